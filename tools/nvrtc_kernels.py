#!/usr/bin/env python3
"""Compiles the device's kernels for one GPU by NVRTC of another CUDA version: the check for GPUs that the toolkit at hand
has dropped (sm_70, Volta, by CUDA 12.9). NVRTC comes from PyPI.

    tools/nvrtc_kernels.py SRC ALLOWED CAPABILITY FILE.cu...

ALLOWED: tests/cuda/stack.txt. Status 0 when all kernels are translated without stack frames or spills, but for those
that it names, 1 when not, 77 when PyPI cannot be reached.

Host code of the files is compiled as if it were the device's, against the few declarations below; what counts is that all
kernels are translated, without spills."""
import ctypes
import os
import re
import subprocess
import sys
import tempfile

PACKAGES = ["nvidia-cuda-nvrtc-cu12==12.9.86", "nvidia-cuda-runtime-cu12==12.9.79"]

# What the C library's headers are to the kernels and the headers that they share with hosts.
PLAIN = """
typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long int64_t;
typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned uint32_t; typedef unsigned long uint64_t;
typedef unsigned long size_t; typedef long ptrdiff_t; typedef unsigned long uintptr_t; typedef long intptr_t;
#define NULL 0
#define INT64_MAX 0x7fffffffffffffff
#define INT32_MAX 0x7fffffff
#define SIZE_MAX 0xffffffffffffffff
#define INFINITY __int_as_float(0x7f800000)
"""
# NVRTC has the runtime's types built in; what launches is a call of nothing that instantiates the kernel.
RUNTIME = """
#include <stdint.h>
extern cudaError_t launched(const void *kernel);
template <class... E, class... A> cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *, void (*kernel)(E...), A &&...)
{
    return launched((const void *)kernel);
}
template <class T> cudaError_t cudaFuncSetAttribute(T *, cudaFuncAttribute, int) { return cudaSuccess; }
"""
HEADERS = {name: f"#pragma once\n#include \"plain.h\"\n" for name in
           ["stdint.h", "stddef.h", "stdbool.h", "math.h", "string.h", "stdarg.h", "stdlib.h", "limits.h"]}
HEADERS["plain.h"] = "#pragma once\n" + PLAIN
HEADERS["cuda_runtime.h"] = HEADERS["cuda_runtime_api.h"] = "#ifndef RUNTIME\n#define RUNTIME\n" + RUNTIME + "#endif\n"


def install(folder):
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder] + PACKAGES
    if subprocess.run(command, stderr=subprocess.DEVNULL).returncode != 0:
        print("PyPI cannot be reached")
        sys.exit(77)


def compile_one(nvrtc, path, arguments):
    """The compiler's words and the size of what it made, or None."""
    program = ctypes.c_void_p()
    names = list(HEADERS)
    texts = (ctypes.c_char_p * len(names))(*[HEADERS[n].encode() for n in names])
    keys = (ctypes.c_char_p * len(names))(*[n.encode() for n in names])
    with open(path, "rb") as file:
        source = file.read()
    if nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, os.path.basename(path).encode(), len(names), texts, keys):
        sys.exit(f"{path}: NVRTC takes no program")
    options = (ctypes.c_char_p * len(arguments))(*[a.encode() for a in arguments])
    status = nvrtc.nvrtcCompileProgram(program, len(arguments), options)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    made = None
    if status == 0:
        nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
        made = size.value
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode(), made


def main():
    source, allowed_file, capability, files = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    with open(allowed_file) as file:
        allowed = [line.split()[1] for line in file if line.startswith(capability + " ")]
    given = os.environ.get("WEFT_NVRTC")  # a folder where PACKAGES are installed already
    with tempfile.TemporaryDirectory() as scratch:
        folder = given or scratch
        if not given:
            install(folder)
        nvrtc = ctypes.CDLL(os.path.join(folder, "nvidia/cuda_nvrtc/lib/libnvrtc.so.12"))
        arguments = [f"--gpu-architecture=sm_{capability}", "-std=c++17", "-fmad=false", "-default-device",
                     "--ptxas-options=-v", f"-I{source}", f"-I{os.path.join(folder, 'nvidia/cuda_runtime/include')}"]
        wrong = 0
        for path in files:
            log, made = compile_one(nvrtc, path, arguments)
            kernels = set(re.findall(r"Compiling entry function '(\S+)'", log))
            spilling = [name for name, numbers in re.findall(r"Function properties for (\S+)\n(.*bytes stack frame.*)", log)
                        if name in kernels and re.search(r"[1-9]", numbers)]
            if made is None or not kernels:
                wrong += 1
                print(f"{path}:\n{log}")
                continue
            wrong += sum(not any(name in kernel for name in allowed) for kernel in spilling)
            print(f"{os.path.basename(path)}: {len(kernels)} kernels for sm_{capability}, {made} bytes, "
                  f"a stack frame or spills in: {', '.join(spilling) or 'none'}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
