#!/bin/sh
# mutants.sh ROOT [PATTERN]: each barrier, __syncwarp, wait for copies, event wait, event record and wait of the host in
# src/device/cuda, and each event of copies between GPUs in src/transport/local/peer.c (of the lines that match PATTERN,
# FILE:LINE:TEXT), is taken away in turn, in a copy of the sources. A test on the emulator must notice: first those of
# what uses the line, then all; or implied.txt says why nothing is lost. About half an hour of one core.
set -eu
root=$1 pattern=${2:-.}
implied=$root/tests/cuda/implied.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
calls='__syncthreads\(\)|__syncwarp\(\)|copy_async_wait<[0-9]+>\(\)|cuda(StreamWaitEvent|EventRecord|StreamSynchronize|EventSynchronize)\('

for part in include src tests bench tools meson.build meson_options.txt; do cp -R "$root/$part" "$work/"; done
meson setup "$work/build" "$work" -Dcuda=disabled -Dmpi=disabled -Dwerror=false -Donednn=disabled >"$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }

# Of the file that was changed, an object; then one program.
build() {
    ninja -C "$work/build" "$@" >"$work/log" 2>&1 && return
    tail -n 20 "$work/log"
    exit 1
}

# ends COMMAND...: how it ends is all that counts; what hangs is ended. What others end says nothing.
ends() {
    status=0
    timeout 3600 "$@" >"$work/out" 2>&1 || status=$?
    case $status in 130 | 137 | 143) echo "$how: was killed" && exit 1 ;; esac
    return $status
}

# passes PROGRAM STREAMS THREADS SEED TESTS [OPERATION...]
passes() {
    program=tests/cuda/test_cuda_$1 gpus=1 how="$*"
    case $1 in peers_*) program=tests/transport/test_cuda_$1 gpus=4 ;; esac
    build tests/cuda/libcublasLt.so.13 "$program"
    order="WEFT_EMULATOR_STREAMS=$2 WEFT_EMULATOR_THREADS=$3 WEFT_EMULATOR_SEED=$4 WEFT_EMULATOR_GPUS=$gpus"
    shift 4
    # shellcheck disable=SC2086 # assignments
    ends env $order "$work/build/$program" "$@"
}

# The program, in which an operation that fails is named where it was given.
named() {
    how="faults.sh"
    build tests/cuda/weft-cuda-plain
    ends "$work/tests/cuda/faults.sh" "$work/build/tests/cuda/weft-cuda-plain"
}

# The operations that a file's kernels are for.
operations_of() {
    case $1 in
    *attention_forward.cu) echo attention_forward ;;
    *attention_backward.cu) echo attention_backward ;;
    *attention_rows.cu) echo attention_step attention_forward attention_backward ;;
    *embed.cu) echo embed_backward ;;
    *loss.cu) echo cross_entropy cross_entropy_gradient loss_part loss_finish loss_finish_gradient ;;
    *norm.cu) echo norm_backward_weight linear_backward_weight ;;
    *) echo square_sums norm_finish judge ;;
    esac
}

# What finds most, most quickly: the race detector needs to see each kernel once.
passes_first() {
    case $1 in
    */peer.c) passes peers_races some up 1 cuda && passes peers_plain lazy random 1 cuda ;;
    *.c)
        for test in test_order test_events test_memory test_done_on_return; do
            passes device_races eager up 1 "$test cuda *" && passes device_plain lazy random 1 "$test cuda *" || return 1
        done
        named
        ;;
    *)
        # shellcheck disable=SC2046 # words
        passes operations_races eager up 1 'test_values cuda *' $(operations_of "$1") &&
            passes operations_plain lazy random 1 'test_values cuda *' $(operations_of "$1")
        ;;
    esac
}

# shellcheck disable=SC2317 # called by name
passes_all() {
    case $1 in
    */peer.c)
        passes peers_races lazy up 2 cuda && passes peers_plain some random 3 cuda
        return
        ;;
    esac
    passes device_races eager up 1 '* cuda *' && passes loss_races eager up 1 '* cuda *' &&
        passes operations_races eager up 1 'test_values cuda *' || return 1
    for number in 1 2 3; do
        passes device_plain lazy random "$number" '* cuda *' && passes operations_plain lazy random "$number" '* cuda *' ||
            return 1
    done
    passes operations_plain eager down 2 '* cuda *'
}

# right PASSES FILE: what finds a mutant finds nothing where nothing was taken away; tried once
right() {
    case $tried in *"<$*>"*) return ;; esac
    tried="$tried<$*>"
    "$@" && return
    cat "$work/out"
    echo "the sources unharmed do not pass: $how"
    exit 1
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
            if (match($0, /__syncthreads\(|__syncwarp\(|copy_async_wait<[0-9]+>\(|cuda(StreamWaitEvent|EventRecord|StreamSynchronize|EventSynchronize)\(|[a-z>-]+->event_[a-z]+\(/)) {
                begin = RSTART; end = skip($0, RSTART + RLENGTH - 1)
                instead = substr($0, begin) ~ /^cuda/ ? "cudaSuccess" : "(void)0"
                $0 = substr($0, 1, begin - 1) instead substr($0, end)
            }
            print
        }' "$1"
}

# mutant PASSES FILE LINE: whether nothing notices
mutant() {
    right "$1" "$2"
    cp "$2" "$work/whole"
    without "$work/whole" "$3" >"$2"
    if cmp -s "$work/whole" "$2"; then echo "$2:$3: could not be taken away" && exit 1; fi
    noticed=0
    "$1" "$2" || noticed=1
    cp "$work/whole" "$2"
    return $noticed
}

cd "$work"
tried='' caught=0 spared=0 survived=0
{
    grep -nE "$calls" src/device/cuda/*.cu src/device/cuda/*.cuh src/device/cuda/*.c
    grep -nE 'event_(wait|record)\(' /dev/null src/transport/local/peer.c
} | grep -e "$pattern" >"$work/places" || true
while IFS=: read -r file line text; do
    if grep -qF "$(basename "$file"): $(printf '%s' "$text" | sed 's/^ *//')" "$implied"; then
        spared=$((spared + 1))
    elif mutant passes_first "$file" "$line" && mutant passes_all "$file" "$line"; then
        survived=$((survived + 1))
        echo "not noticed: $file:$line:$text"
    else
        caught=$((caught + 1))
        echo "$file:$line:$text: $how"
    fi
done <"$work/places"
echo "$caught mutants caught, $spared implied, $survived not noticed"
[ "$survived" = 0 ] && [ "$((caught + spared))" -gt 0 ]
