#!/usr/bin/env python3
"""Writes src/tokenizer/classes.def: the class of every character, as tiktoken and Hugging Face tokenizers see it.

Both link the tables of one Unicode version into their regular expressions; asking them is the only way to have the same
letters as they have. Needs tiktoken (0.14: Unicode 16). Run from the root of the repository; src/tokenizer/classes.h
says what the numbers mean.
"""
import tiktoken

BLOCK = 128
CLASSES = [r"\s", r"\p{N}", r"[\p{Lu}\p{Lt}]", r"\p{Ll}", r"[\p{Lm}\p{Lo}]", r"\p{M}", r"[\p{P}\p{S}]"]
WORD = 8

characters = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
ranks = {bytes([i]): i for i in range(256)}


def members(pattern):
    encoding = tiktoken.Encoding("classes", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return set(map(ord, bytes(encoding.encode_ordinary(characters)).decode()))


table = [0] * 0x110000
for number, pattern in enumerate(CLASSES):
    for c in members(pattern):
        table[c] = number + 1
for c in members(r"\w"):
    table[c] |= WORD

blocks, index = [], []
for start in range(0, len(table), BLOCK):
    block = table[start : start + BLOCK]
    if block not in blocks:
        blocks.append(block)
    index.append(blocks.index(block))


def write(out, name, size, numbers):
    out.write(f"static const unsigned char {name}{size} = {{\n")
    line = ""
    for number in numbers:
        if len(line) > 116:
            out.write(line + "\n")
            line = ""
        line += f"{number},"
    out.write(line + "\n};\n")


assert len(blocks) < 256
with open("src/tokenizer/classes.def", "w") as out:
    out.write("/* Written by tools/make_classes.py. */\n")
    write(out, "class_blocks", f"[{len(blocks) * BLOCK}]", [c for block in blocks for c in block])
    write(out, "class_index", f"[{len(index)}]", index)
