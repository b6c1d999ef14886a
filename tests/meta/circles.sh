#!/bin/sh
# circles.sh CC WITH_MPI SOURCES LIST ARCHIVE|FOLDER...: the files of a folder that include or call each other in a
# circle are those of LIST. A new circle is refused, and so is a line whose circle is gone or smaller: the list only
# shrinks. Headers include; objects, those of an archive or of a build folder, call what another one of them defines.
# Proves first, on a tree of its own, that it notices a circle.
set -eu
compiler=$1 with_mpi=$2 sources=$3 list=$4
shift 4

# inclusions SOURCES: "include FOLDER FROM TO" for every header that includes one of its own folder.
inclusions() {
    (cd "$1" && grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' --include='*.h' .) | awk '
        function base(path) { sub(/.*\//, "", path); return path }
        function folder(path) { return path ~ /\// ? substr(path, 1, length(path) - length(base(path)) - 1) : "." }
        {
            from = $0; sub(/:.*/, "", from); sub(/^\.\//, "", from)
            match($0, /"[^"]*"/)
            to = substr($0, RSTART + 1, RLENGTH - 2)
            if (to !~ /\//) to = folder(from) "/" to
            if (folder(from) == folder(to)) print "include", folder(from), base(from), base(to)
        }'
}

# calls ARCHIVE|FOLDER...: "call NAME FROM TO" for every object whose code uses a function that another one defines. A
# table that names functions of all its kinds calls none of them.
calls() {
    for place; do
        if [ -d "$place" ]; then set -- "$place"/*.o; else set -- "$place"; fi
        readelf -rsW "$@" | awk -v name="$(basename "$place" | sed 's/^libweft_//; s/\.[ap]$//')" '
            /^File:/ { from = $2; sub(/\]?$/, "", from); sub(/.*[\/\[(]/, "", from); sub(/\.o$/, "", from) }
            /^Relocation section/ { code = $3 ~ /^.\.rela?\.text/ }
            $3 ~ /^R_/ && code { used[from " " $5] = 1 }
            $4 == "FUNC" && $5 == "GLOBAL" && $7 != "UND" { home[$8] = from }
            END {
                for (pair in used) {
                    split(pair, words, " ")
                    if (words[2] in home) print "call", name, words[1], home[words[2]]
                }
            }'
    done
}

# Reads "KIND PLACE FROM TO"; prints "KIND PLACE: FILE FILE ..." for each set of files that all reach each other.
circles() {
    sort -u | awk '
        function see(file) {
            if (!((place, file) in known)) { known[place, file] = 1; node[place, ++count[place]] = file }
        }
        $3 != $4 { place = $1 " " $2; edge[place, $3, $4] = 1; see($3); see($4) }
        END {
            for (p in count) {
                n = count[p]
                for (k = 1; k <= n; k++) for (i = 1; i <= n; i++) if ((p, node[p, i], node[p, k]) in edge)
                    for (j = 1; j <= n; j++)
                        if ((p, node[p, k], node[p, j]) in edge) edge[p, node[p, i], node[p, j]] = 1
                for (i = 1; i <= n; i++) if ((p, node[p, i], node[p, i]) in edge) {
                    least = node[p, i]
                    for (j = 1; j <= n; j++)
                        if ((p, node[p, i], node[p, j]) in edge && (p, node[p, j], node[p, i]) in edge)
                            least = node[p, j] < least ? node[p, j] : least
                    print p ":", least, node[p, i]
                }
            }
        }' | sort | awk '
        $1 " " $2 " " $3 != set { if (set != "") print line; set = $1 " " $2 " " $3; line = $1 " " $2 }
        { line = line " " $4 }
        END { if (set != "") print line }'
}

trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
wrong() { echo "the checker itself is wrong: $1"; exit 1; }

# compiled NAME TEXT: an object of the trial
compiled() {
    printf '%s\n' "$2" >"$trial/$1"
    # shellcheck disable=SC2086 # a command and its words
    $compiler -c "$trial/$1" -o "$trial/$1.o"
}
compiled a.c 'void b(void); void a(void); void a(void) { b(); }'
compiled b.c 'void c(void); void b(void); void b(void) { c(); }'
compiled c.c 'void c(void); void c(void) { }'
compiled d.c 'void a(void); extern void (*const t)(void); void (*const t)(void) = a; void d(void); void d(void) { a(); }'
[ -z "$(calls "$trial" | circles)" ] || wrong "there is no circle of calls"
compiled c.c 'void a(void); void c(void); void c(void) { a(); }'
[ "$(calls "$trial" | circles | sed 's/.*: //')" = "a.c b.c c.c" ] || wrong "a.c, b.c, c.c call each other in a circle"
mkdir "$trial/one" "$trial/two"
echo '#include "two/b.h"' >"$trial/one/a.h"
echo '#include "one/a.h"' >"$trial/two/b.h"
[ -z "$(inclusions "$trial" | circles)" ] || wrong "there is no circle of includes within a folder"
echo '#include "one/a.h"' >"$trial/one/b.h"
echo '#  include "b.h"' >"$trial/one/a.h"
[ "$(inclusions "$trial" | circles)" = "include one: a.h b.h" ] || wrong "a.h and b.h include each other"

{ inclusions "$sources"; calls "$@"; } >"$trial/edges"
[ "$(grep -c ^call "$trial/edges")" -gt 100 ] || { echo "hardly any calls found"; exit 1; }
[ "$(grep -c ^include "$trial/edges")" -gt 20 ] || { echo "hardly any includes found"; exit 1; }
circles <"$trial/edges" | sort >"$trial/found"
grep -v '^#' "$list" | if [ "$with_mpi" = true ]; then cat; else grep -v ' mpi_'; fi | sort >"$trial/listed"
comm -23 "$trial/found" "$trial/listed" | sed 's/^/a new circle: /' >"$trial/complaints"
comm -13 "$trial/found" "$trial/listed" | sed "s|^|gone or changed, so take it off $list: |" >>"$trial/complaints"
cat "$trial/complaints"
[ ! -s "$trial/complaints" ]
