#!/bin/sh
# mutants.sh ROOT [PATTERN]: each barrier, __syncwarp, wait for copies, event wait, event record and wait of the host in
# src/device/cuda (of the lines that match PATTERN, FILE:LINE:TEXT) is taken away in turn, in a copy of the sources. The
# tests of the device on the emulator must notice, or implied.txt say why nothing is lost. Hours of one core.
set -eu
root=$1 pattern=${2:-.}
implied=$root/tests/cuda/implied.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
calls='__syncthreads\(\)|__syncwarp\(\)|copy_async_wait<[0-9]+>\(\)|cuda(StreamWaitEvent|EventRecord|StreamSynchronize|EventSynchronize)\('

for part in include src tests bench tools meson.build meson_options.txt; do cp -R "$root/$part" "$work/"; done
meson setup "$work/build" "$work" -Dcuda=disabled -Dmpi=disabled -Dwerror=false -Donednn=disabled >"$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }

build() {
    ninja -C "$work/build" tests/cuda/libcublasLt.so.13 tests/cuda/test_cuda_operations_races tests/cuda/test_cuda_loss_races \
        tests/cuda/test_cuda_device_races tests/cuda/test_cuda_operations_plain tests/cuda/test_cuda_device_plain \
        >"$work/log" 2>&1
}

# The quickest and sharpest first; the race detector needs to see each kernel once. How it ends is all that counts; a
# mutant that hangs is ended.
prove() {
    for run in 'device_races eager up 1 test_order' 'loss_races eager up 1 *' 'operations_races eager up 1 test_values' \
        'device_plain lazy random 1 *' 'device_plain lazy random 2 *' 'operations_plain lazy random 1 test_values' \
        'operations_plain eager down 2 *'; do
        set -f
        # shellcheck disable=SC2086 # words
        set -- $run
        set +f
        WEFT_EMULATOR_STREAMS=$2 WEFT_EMULATOR_THREADS=$3 WEFT_EMULATOR_SEED=$4 \
            timeout 1200 "$work/build/tests/cuda/test_cuda_$1" "$5 cuda *" >"$work/out" 2>&1 || return 1
    done
}

# without FILE LINE: the file with the first such call of that line taken away
without() {
    awk -v line="$2" '
        function skip(text, at,    depth) { # behind the parenthesis that closes the one at `at`
            do {
                if (substr(text, at, 1) == "(") depth++
                if (substr(text, at, 1) == ")") depth--
                at++
            } while (depth > 0 && at <= length(text))
            return at
        }
        FNR != line { print; next }
        {
            if (match($0, /__syncthreads\(|__syncwarp\(|copy_async_wait<[0-9]+>\(|cuda(StreamWaitEvent|EventRecord|StreamSynchronize|EventSynchronize)\(/)) {
                begin = RSTART; end = skip($0, RSTART + RLENGTH - 1)
                instead = substr($0, begin) ~ /^cuda/ ? "cudaSuccess" : "(void)0"
                $0 = substr($0, 1, begin - 1) instead substr($0, end)
            }
            print
        }' "$1"
}

cd "$work"
build || { tail -n 20 "$work/log"; exit 1; }
prove || { cat "$work/out"; echo "the sources unharmed are not right"; exit 1; }

caught=0 spared=0 survived=0
grep -nE "$calls" src/device/cuda/*.cu src/device/cuda/*.cuh src/device/cuda/*.c | grep -e "$pattern" >"$work/places" || true
while IFS=: read -r file line text; do
    if grep -qF "$(basename "$file"): $(printf '%s' "$text" | sed 's/^ *//')" "$implied"; then
        spared=$((spared + 1))
        continue
    fi
    cp "$file" "$work/whole"
    without "$work/whole" "$line" >"$file"
    if cmp -s "$work/whole" "$file"; then echo "$file:$line: could not be taken away" && exit 1; fi
    if ! build; then
        tail -n 20 "$work/log"
        exit 1
    fi
    if prove; then
        survived=$((survived + 1))
        echo "not noticed: $file:$line:$text"
    else
        caught=$((caught + 1))
    fi
    cp "$work/whole" "$file"
done <"$work/places"
echo "$caught mutants caught, $spared implied, $survived not noticed"
[ "$survived" = 0 ] && [ "$((caught + spared))" -gt 0 ]
