#!/bin/sh
# rules.sh SRC: what kernels keep to, so that one source is for nvcc and for the emulator, and its bits are always the
# same. Proves first, on files of its own, that it notices.
set -eu

# Prints "FILE:LINE: what is wrong" for every breach in the kernels of folder $1; those in ptx/ may have PTX.
breaches() {
    find "$1" -name '*.cu' -o -name '*.cuh' | sort | xargs awk '
        function breach(what) { print FILENAME ":" FNR ": " what }
        FNR == 1 { guard = "" }
        /<<</ { breach("a launch by <<<>>>: use cudaLaunchKernelEx") }
        /__shared__/ && !/^    extern __shared__ __align__\(16\) unsigned char weft_shared\[\];$/ {
            breach("shared memory that is not weft_shared")
        }
        /(^|[^a-zA-Z_0-9])atomic[A-Z]/ { breach("an atomic: the order of its additions is nobody'"'"'s") }
        /(^|[^a-zA-Z_0-9])namespace/ { breach("a namespace: weft_shared would be another one in it") }
        /(^|[^a-zA-Z_0-9])(asm|__asm__)[ (]/ && FILENAME !~ /\/ptx\// { breach("PTX outside of ptx/") }
        /__CUDA_ARCH__|__CUDACC__|__activemask|cooperative_groups|__constant__|__managed__/ {
            breach("what the emulator does not have")
        }
        /^#ifndef/ && FILENAME ~ /\.cuh$/ && guard == "" { guard = $2; next }
        /^#define/ && $2 == guard && NF == 2 { next }
        /^#endif/ && guard != "" { next }
        /^ *# *(define|if|ifdef|ifndef|elif|else|endif|undef)/ { breach("a macro") }'
}

trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
mkdir "$trial/ptx"
# expect FILE TEXT YES|NO: whether it is noticed
expect() {
    printf '%b\n' "$2" >"$trial/$1"
    found=NO
    [ -z "$(breaches "$trial")" ] || found=YES
    rm "$trial/$1"
    [ "$found" = "$3" ] || { echo "the checker itself is wrong about $1: $2"; exit 1; }
}
expect a.cu 'kernel<<<1, 2>>>(x);' YES
expect a.cu '    __shared__ float x[32];' YES
expect a.cu '    extern __shared__ __align__(16) unsigned char weft_shared[];' NO
expect a.cu '    atomicAdd(&x, 1.0f);' YES
expect a.cu 'namespace {' YES
expect a.cu '    asm volatile("bar.sync 0;");' YES
expect ptx/a.cuh '    asm volatile("bar.sync 0;");' NO
expect a.cu '#define N 32' YES
expect a.cu '#ifdef __CUDACC__' YES
expect a.cuh '#ifndef A_CUH\n#define A_CUH\nint f(void);\n#endif' NO
expect a.cuh '#ifndef A_CUH\n#define A_CUH\n#define N 32\n#endif' YES
expect a.cu '    int reasonable = blockIdx.x;' NO

found=$(breaches "$1")
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
