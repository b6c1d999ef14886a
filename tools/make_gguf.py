#!/usr/bin/env python3
"""Makes tests/convert/files: small GGUF files as llama.cpp's own package writes them, and what is in them.

make_gguf.py FOLDER writes NAME.gguf (a llama of one layer, each type of tensor that weft reads) and NAME.sum: for each
tensor its name, type and the CRC-32 of its numbers in fp32, queries and keys turned to Hugging Face's order; and
blocks.sum, the CRC-32 of numbers that a formula gives as Q8_0. Needs numpy and gguf (pip install gguf). The numbers of
the files are drawn anew by each version of numpy's generator: run it only to change them.
"""
import sys
import zlib
from pathlib import Path

import gguf
import numpy

WIDTH, FORWARD, HEADS, KV_HEADS, VOCABULARY, CONTEXT = 32, 64, 2, 1, 40, 16
HEAD = WIDTH // HEADS
Q = gguf.GGMLQuantizationType

TENSORS = [  # name, shape, type in the file of several types
    ("token_embd.weight", (VOCABULARY, WIDTH), Q.Q8_0),
    ("blk.0.attn_norm.weight", (WIDTH,), Q.F32),
    ("blk.0.attn_q.weight", (HEADS * HEAD, WIDTH), Q.Q4_0),
    ("blk.0.attn_k.weight", (KV_HEADS * HEAD, WIDTH), Q.Q4_1),
    ("blk.0.attn_v.weight", (KV_HEADS * HEAD, WIDTH), Q.F16),
    ("blk.0.attn_output.weight", (WIDTH, HEADS * HEAD), Q.Q4_1),
    ("blk.0.ffn_norm.weight", (WIDTH,), Q.F32),
    ("blk.0.ffn_gate.weight", (FORWARD, WIDTH), Q.Q4_0),
    ("blk.0.ffn_up.weight", (FORWARD, WIDTH), Q.Q8_0),
    ("blk.0.ffn_down.weight", (WIDTH, FORWARD), Q.BF16),
    ("output_norm.weight", (WIDTH,), Q.F32),
    ("output.weight", (VOCABULARY, WIDTH), Q.Q4_0),
]


def add_keys(writer):
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(50000.0)
    writer.add_rope_dimension_count(HEAD)
    writer.add_vocab_size(VOCABULARY)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def add_tokenizer(writer):
    """Bytes from "0" on and two merges."""
    tokens = ["<|endoftext|>"] + [chr(c) for c in range(ord("0"), ord("0") + 36)] + ["12", "123", "[PAD39]"]
    types = [gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * 38 + [gguf.TokenType.UNUSED]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["1 2", "12 3"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def turned(values):
    """Rows in pairs to half after half, head by head."""
    rows, columns = values.shape
    return values.reshape(rows // HEAD, HEAD // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def make(folder, name, kind):
    generator = numpy.random.default_rng(13)
    writer = gguf.GGUFWriter(folder / f"{name}.gguf", "llama")
    add_keys(writer)
    add_tokenizer(writer)
    lines = []
    for tensor, shape, own in TENSORS:
        values = generator.standard_normal(shape, dtype=numpy.float32)
        kept = own if kind is None or len(shape) == 1 else kind
        stored = gguf.quants.quantize(values, kept)
        writer.add_tensor(tensor, stored, raw_dtype=kept)
        back = gguf.quants.dequantize(stored, kept).reshape(shape)
        if "attn_q" in tensor or "attn_k" in tensor:
            back = turned(back)
        numbers = numpy.ascontiguousarray(back, dtype="<f4").tobytes()
        lines.append(f"{tensor} {kept.name} {zlib.crc32(numbers):08x}\n")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / f"{name}.sum").write_text("".join(lines))


def sum_blocks(folder):
    """Whole numbers over 1000 times powers of 2, block by block: test_gguf.c has the same formula."""
    at = numpy.arange(1 << 14)
    values = (at * 7919 % 10007 - 5003).astype(numpy.float32) / numpy.float32(1000)
    values = numpy.ldexp(values, at // 32 % 21 - 10).astype(numpy.float32)
    stored = gguf.quants.quantize(values, Q.Q8_0).tobytes()
    (folder / "blocks.sum").write_text(f"{zlib.crc32(stored):08x}\n")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    make(folder, "types", None)
    make(folder, "q8_0", Q.Q8_0)
    sum_blocks(folder)


if __name__ == "__main__":
    main()
