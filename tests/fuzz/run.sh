#!/bin/sh
# run.sh ROOT BUILD SECONDS [TARGET ...]: builds the fuzz targets with clang in folder BUILD and lets libFuzzer drive
# each of them, or those named, for so long, from the inputs of corpus/. What it finds stays in BUILD/corpus, and
# an input that fails in BUILD. Ends with a line for each target: executions, and edges of the code that were reached.
set -eu
root=$(realpath "$1") build=$2 seconds=$3
shift 3
if ! command -v clang >/dev/null 2>&1; then echo "no clang"; exit 77; fi
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
cat >"$probe/a.c" <<'END'
int LLVMFuzzerTestOneInput(const char *bytes, unsigned long size);
int LLVMFuzzerTestOneInput(const char *bytes, unsigned long size)
{
    return bytes && size > 9 ? 0 : 0;
}
END
if ! clang -fsanitize=fuzzer,address "$probe/a.c" -o "$probe/a" 2>/dev/null; then
    echo "clang has no libFuzzer (libclang-rt-14-dev)"
    exit 77
fi
if [ ! -e "$build/build.ninja" ]; then
    CC=clang meson setup "$build" "$root" -Dfuzz=true -Donednn=disabled -Dmpi=disabled -Db_sanitize=address,undefined \
        -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
fi
if [ $# = 0 ]; then for file in "$root"/tests/fuzz/corpus/*; do set -- "$@" "$(basename "$file")"; done; fi
targets=$(printf "tests/fuzz/fuzz_%s\n" "$@")
# shellcheck disable=SC2086 # a list of targets
ninja -C "$build" $targets >"$probe/ninja" || { cat "$probe/ninja"; exit 1; }

failed=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
for name in "$@"; do
    mkdir -p "$build/corpus/$name"
    status=0
    "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=4096 -timeout=30 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$build/fuzz-$name-" "$build/corpus/$name" \
        "$root/tests/fuzz/corpus/$name" >"$build/fuzz-$name.log" 2>&1 || status=$?
    if [ "$status" != 0 ]; then
        failed=$((failed + 1))
        tail -n 60 "$build/fuzz-$name.log"
    fi
    awk -v name="$name" -v status="$status" '
        / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        /number_of_executed_units/ { count = $2 }
        END { printf "%-12s %s: %d executions, %d edges\n", name, status == 0 ? "well" : "FAILED", count, edges }' \
        "$build/fuzz-$name.log"
done
[ "$failed" = 0 ]
