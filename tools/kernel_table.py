#!/usr/bin/env python3
"""The table of docs/gpu.md: what each kernel takes of each GPU, from what tests/cuda/registers.sh prints.

    cd build/tests/cuda && WEFT_EMULATOR_LAUNCHES=/tmp/launches ./test_cuda_operations_plain 'test_values cuda *'
    make registers | tools/kernel_table.py /tmp/launches

A row is a kernel, a column a GPU: registers of a thread, the most of its forms (elements, widths of heads, and so on); the
last one is the most that a launch asks for. Of shared memory that is in kernels themselves, stack frames and spills only
what is not 0 is said, below."""
import re
import sys


def read(lines):
    """{(file, kernel): {gpu: most registers}}, what is not 0 in words, and the number of forms."""
    most, odd, forms = {}, [], 0
    for line in lines:
        found = re.match(r"\s*(\d+)\s+(\S+\.cu)\s+(\S.*?)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*$", line)
        if not found:
            continue
        gpu, file, kernel, registers, shared, stack, spills = found.groups()
        row = most.setdefault((file, kernel.split("<")[0]), {})
        row[gpu] = max(row.get(gpu, 0), int(registers))
        forms += 1
        if int(shared) + int(stack) + int(spills):
            odd.append(f"`{kernel}` of sm_{gpu}: {shared} bytes of shared memory, {stack} of stack, {spills} of spills")
    return most, odd, forms


def read_launches(path):
    """{kernel: most bytes of shared memory}"""
    most = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            _, kernel, count = line.rstrip("\n").split("|")
            name = kernel.split("<")[0].split(" ")[-1]
            most[name] = max(most.get(name, 0), int(count))
    return most


def main():
    shared = read_launches(sys.argv[1])
    most, odd, forms = read(sys.stdin)
    gpus = sorted({gpu for row in most.values() for gpu in row}, key=int)
    print("| kernel | " + " | ".join("sm_" + gpu for gpu in gpus) + " | shared memory, bytes |")
    print("| --- |" + " --- |" * (len(gpus) + 1))
    for (file, kernel), row in sorted(most.items()):
        name = re.sub(r"_kernel$", "", kernel)
        print(f"| {file[:-3]}: {name} | " + " | ".join(str(row.get(gpu, "")) for gpu in gpus) +
              f" | {shared[kernel]} |")
    print(f"\n{forms} forms of {len(most)} kernels. " + ("; ".join(odd) or "None has shared memory of its own, a stack frame "
                                                          "or a spilled register") + ".")


if __name__ == "__main__":
    main()
