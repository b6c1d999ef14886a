#!/bin/sh
# registers.sh NVCC SRC ALL NEW CODE...: builds the kernels in the files of the lists ALL (for every GPU) and NEW (from sm_80
# on) for each CODE (75, 80 ...) and prints what each takes of a GPU: registers of a thread, static shared memory of a
# block (what a launch asks for comes on top), bytes of stack and of spilled registers. Fails where there is a stack frame
# or a spill in a kernel that stack.txt does not name. Skips (77) without nvcc.
set -eu
nvcc=$1 src=$2 all=$3 new=$4
shift 4
[ -n "$nvcc" ] || { echo "no nvcc"; exit 77; }
allowed=$(dirname "$0")/stack.txt
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT

# table CODE FILE <ptxas's own words: "CODE FILE KERNEL registers shared stack spills" a kernel
table() {
    awk -v code="$1" -v file="$2" '
        /Compiling entry function/ { split($0, part, "\047"); kernel = part[2] }
        /bytes stack frame/ { stack = $1; spills = $5 + $9 }
        /Used [0-9]+ registers/ {
            shared = 0
            for (i = 2; i <= NF; i++) {
                if ($i == "registers," || $i == "registers") registers = $(i - 1)
                if ($i ~ /^smem/) shared = $(i - 2)
            }
            print code, file, kernel, registers, shared, stack, spills
        }'
}

for code in "$@"; do
    files=$all
    [ "$code" -lt 80 ] || files="$all $new"
    for file in $files; do
        "$nvcc" -std=c++17 -O3 -fmad=false -I"$src" -I"$src/device/cuda/ptx" -arch="sm_$code" -Xptxas -v -cubin \
            -o "$trial/cubin" "$file" 2>"$trial/words" || { cat "$trial/words"; exit 1; }
        table "$code" "$(basename "$file")" <"$trial/words"
    done
done >"$trial/table"

kernels=$(wc -l <"$trial/table")
[ "$kernels" -gt 0 ] || { echo "ptxas names no kernel"; exit 1; }
if command -v c++filt >/dev/null 2>&1; then
    c++filt <"$trial/table" >"$trial/plain"
else
    cp "$trial/table" "$trial/plain"
fi
# Names without their parameters, which hold blanks.
sed -E 's/^([0-9]+ [^ ]+) (void )?([^ (]*(<[^(]*>)?)(\([^)]*\))* ([0-9]+ [0-9]+ [0-9]+ [0-9]+)$/\1|\3|\6/' "$trial/plain" |
    awk -F'|' -v allowed="$allowed" '
        BEGIN {
            while ((getline line <allowed) > 0)
                if (line !~ /^#/ && split(line, word, " ") > 1) reason[word[1] " " word[2]] = 1
            printf "%-4s %-24s %-50s %9s %7s %6s %6s\n", "sm_", "file", "kernel", "registers", "shared", "stack", "spills"
        }
        {
            split($1, place, " "); split($3, number, " ")
            printf "%-4s %-24s %-50s %9d %7d %6d %6d\n", place[1], place[2], $2, number[1], number[2], number[3], number[4]
            name = $2; sub(/<.*/, "", name)
            if (number[3] + number[4] > 0 && !((place[1] " " name) in reason)) wrong = wrong "\n" $2 " of sm_" place[1]
        }
        END { if (wrong != "") { print "a stack frame or spills in:" wrong; exit 1 } }'
