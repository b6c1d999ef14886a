#!/bin/sh
# names.sh ROOT: one name, one thing. A type of the project, or of a header, has a name that no other type of src and
# include has; a type of one file has one that no other of its folder has. What device.h or transport.h only names, each
# folder of a kind may have as its own. No two files of a layer have one name, except
# in folders of kinds (device/cpu and device/reference, transport/local and transport/mpi): those mirror each other.
# Proves first, on a tree of its own, that it notices.
set -eu

# same_types FOLDER...: "NAME: PLACE PLACE ..." for every name of several types.
same_types() {
    find "$@" -name '*.[ch]' | sort | xargs awk '
        function folder(path) { sub(/\/[^\/]*$/, "", path); return path }
        function add(name) {
            if (name == "" || (FILENAME, name) in here) return # variants of one file, by #if
            here[FILENAME, name] = 1
            found++; names[found] = name; files[found] = FILENAME; lines[found] = FNR
        }
        function take(name, file, line) {
            shared = name ~ /^weft_/ || file ~ /\.h$/
            if (name in opaque && file ~ /\/(device|transport)\/[a-z]+\//) shared = 0
            key = (shared ? "" : folder(file) " ") name
            places[key] = places[key] " " file ":" line
            if (count[key]++) twice[key] = name
        }
        FILENAME ~ /\/(device\/device|transport\/transport)\.h$/ && /^typedef struct [a-z_]+ [a-z_]+;/ { opaque[$3] }
        /^(typedef )?(struct|union|enum) [A-Za-z_0-9]+ \{/ {
            name = $0; sub(/^typedef /, "", name); sub(/^[a-z]+ /, "", name); sub(/ .*/, "", name); add(name)
        }
        /^\} [A-Za-z_0-9]+;/ { add(substr($2, 1, length($2) - 1)) } # the same name again, mostly
        /^typedef .*;/ && !/\{/ { # a function, a pointer to one, or another name; not struct x x
            name = $0; sub(/;.*/, "", name)
            if (name ~ /\(\*/) { sub(/.*\(\*/, "", name); sub(/\).*/, "", name) } else sub(/[\[(].*/, "", name)
            sub(/.*[ *]/, "", name)
            if ($2 !~ /^(struct|union|enum)$/ || $3 != name) add(name)
        }
        END {
            for (i = 1; i <= found; i++) take(names[i], files[i], lines[i])
            for (key in twice) print twice[key] ":" places[key]
        }' | sort
}

# same_files FOLDER: "LAYER/NAME" for every name of several files in a layer, but for those in folders of kinds alone.
same_files() {
    (cd "$1" && find . -type f | sed 's/^..//' | awk -F/ '
        NF > 1 {
            name = $1 "/" $NF
            in_kind = NF == 3 && ($1 == "device" || $1 == "transport")
            count[name]++
            if (!in_kind) outside[name] = 1
        }
        END { for (name in count) if (count[name] > 1 && name in outside) print name }' | sort)
}

trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
mkdir -p "$trial/base" "$trial/device/cpu" "$trial/device/reference" "$trial/train/parts"
# expect TYPES|FILES FILE TEXT YES|NO: whether something is noticed once the file is there
expect() {
    printf '%b' "$3" >"$trial/$2"
    found=NO
    case $1 in TYPES) wrong=$(same_types "$trial") ;; FILES) wrong=$(same_files "$trial") ;; esac
    [ -z "$wrong" ] || found=YES
    [ "$found" = "$4" ] || { echo "the checker itself is wrong about $2: $3"; exit 1; }
    [ "$found" = NO ] || rm "$trial/$2"
}
expect TYPES base/a.h 'typedef struct weft_a {\n    int b;\n} weft_a;\ntypedef struct weft_b weft_b;\n' NO
expect TYPES base/b.c 'struct weft_b {\n    int b;\n};\nstruct row {\n    int b;\n};\n' NO
expect TYPES train/c.c 'typedef struct row {\n    int b;\n} row;\n' NO
expect TYPES train/d.c 'typedef enum weft_a {\n    A\n} weft_a;\n' YES
expect TYPES train/d.h 'typedef struct {\n    int b;\n} weft_a;\n' YES
expect TYPES device/device.h 'typedef struct weft_c weft_c;\n' NO
expect TYPES device/cpu/a.c 'struct weft_c {\n    int b;\n};\n' NO
expect TYPES device/reference/a.c 'struct weft_c {\n    int b;\n};\n' NO
expect TYPES device/a.c 'struct weft_a {\n    int b;\n};\n' YES
expect TYPES train/e.h 'typedef int (*weft_a)(int);\n' YES
expect TYPES train/e.c 'typedef void row(int);\n' YES
expect FILES device/cpu/linear.c '' NO
expect FILES device/reference/linear.c '' NO
expect FILES train/linear.c '' NO
expect FILES device/linear.c '' YES
expect FILES train/parts/linear.c '' YES

cd "$1"
found=$(same_types src include; same_files src)
[ -z "$found" ] || { printf 'names of several things:\n%s\n' "$found"; exit 1; }
