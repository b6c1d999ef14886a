#!/usr/bin/env python3
"""Megatron's own reader and builder of data sets against weft's.

    tools/megatron_files.py WEFT DOCUMENTS IDS TOKENIZER

WEFT: the built program. DOCUMENTS, IDS: tests/data/documents and tests/tokenizer/ids of its build folder. TOKENIZER: a
tokenizer.json of byte-level BPE. What `weft tokenize` writes (uint16 and int32; by documents and packed in a pipe; many
documents, a long one, empty ones, empty lines) is read by megatron.core.datasets.indexed_dataset with the ids that the
texts have alone; what its builder writes, in every type, of several sequences a document and empty ones, is read by
weft. Status 0 when all are equal, 1 when not, 77 when PyPI cannot be reached.

Of megatron-core, which pip fetches into a folder that is removed in the end, only the files that read and write data
sets are run, as they are, with NumPy; PyTorch and the rest of the library, which they only name, are stood in for.
"""
import importlib
import itertools
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import types
import zipfile

LIBRARY = "megatron-core==0.16.1"
END = "<|endoftext|>"


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def fetch(folder):
    """Runs this script again by a Python that has NumPy, with Megatron's files in the folder."""
    python = os.path.join(folder, "venv", "bin", "python")
    pip = [python, "-m", "pip", "-q", "--disable-pip-version-check"]
    for words in ([sys.executable, "-m", "venv", os.path.join(folder, "venv")], pip + ["install", "numpy"],
                  pip + ["download", "--no-deps", "-d", folder, LIBRARY]):
        if subprocess.run(words, capture_output=True, check=False).returncode != 0:
            skip(f"{LIBRARY} and numpy cannot be had from PyPI")
    wheel = next(name for name in os.listdir(folder) if name.endswith(".whl"))
    with zipfile.ZipFile(os.path.join(folder, wheel)) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith("megatron/core/")])
    return subprocess.run([python, __file__, *sys.argv[1:5], folder], check=False).returncode


def load(folder):
    """Megatron's module, without the __init__ of its packages, which import all of the library."""
    for name in ("megatron", "megatron.core", "megatron.core.datasets"):
        package = types.ModuleType(name)
        package.__path__ = [os.path.join(folder, *name.split("."))]
        sys.modules[name] = package
    torch = types.ModuleType("torch")
    torch.Tensor = object
    torch.utils = types.SimpleNamespace(data=types.SimpleNamespace(Dataset=object))
    sys.modules["torch"] = torch
    utils = types.ModuleType("megatron.core.utils")
    utils.log_single_rank = lambda *words: None
    sys.modules["megatron.core.utils"] = utils
    return importlib.import_module("megatron.core.datasets.indexed_dataset")


class Check:
    def __init__(self, weft, documents, ids, tokenizer, megatron, folder):
        self.weft, self.documents, self.ids = weft, documents, ids
        self.megatron, self.folder, self.failures = megatron, folder, 0
        self.tokenizers = {"uint16": tokenizer, "int32": self.path("wide.json")}
        with open(tokenizer, encoding="utf-8") as file:
            wide = json.load(file)
        wide["added_tokens"].append({"id": 70000, "content": "<|wide|>", "special": True, "normalized": False,
                                     "lstrip": False, "rstrip": False, "single_word": False})
        with open(self.tokenizers["int32"], "w", encoding="utf-8") as file:
            json.dump(wide, file)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words, **more):
        done = subprocess.run(words, capture_output=True, check=False, **more)
        if done.returncode != 0:
            sys.exit(f"{' '.join(words)}: {done.stderr.decode()}")
        return done.stdout.decode()

    def tell(self, what, got, want):
        if got == want:
            print(f"{what}: {len(want)} documents, {sum(map(len, want))} tokens, equal")
            return
        self.failures += 1
        place = next((i for i, pair in enumerate(zip(got, want)) if pair[0] != pair[1]), min(len(got), len(want)))
        print(f"{what}: {len(got)} documents where {len(want)} are right; the first other one is {place}")

    def ids_of(self, tokenizer, texts):
        """Of each text alone."""
        with open(self.path("texts"), "wb") as file:
            for text in texts:
                file.write(struct.pack("<I", len(text.encode())) + text.encode())
        self.run(self.ids, tokenizer, self.path("texts"), self.path("ids"))
        with open(self.path("ids"), "rb") as file:
            data = file.read()
        lists, at = [], 0
        while at < len(data):
            count, = struct.unpack_from("<I", data, at)
            lists.append(list(struct.unpack_from(f"<{count}i", data, at + 4)))
            length, = struct.unpack_from("<I", data, at + 4 + 4 * count)
            at += 8 + 4 * count + length
        return lists

    def of_weft(self, prefix):
        return [list(map(int, line.split())) for line in self.run(self.documents, prefix).splitlines()]

    def of_megatron(self, prefix):
        """Documents, by mapped and by read files."""
        both = []
        for mapped in (True, False):
            data = self.megatron.IndexedDataset(prefix, mmap=mapped)
            ends = [int(end) for end in data.document_indices]
            sequences = [data[i].tolist() for i in range(len(data))]
            both.append([sum(sequences[a:b], []) for a, b in zip(ends, ends[1:])])
        assert both[0] == both[1]
        return both[0]

    def check_written_by_weft(self, numbers):
        tokenizer = self.tokenizers[numbers]
        wide = ["<|wide|> at the end <|wide|>"] if numbers == "int32" else []
        texts = make_texts() + wide
        lists = self.ids_of(tokenizer, texts)
        end, = self.ids_of(tokenizer, [END])[0]
        with open(self.path("in.jsonl"), "w", encoding="utf-8") as file:
            for i, text in enumerate(texts):
                file.write(json.dumps({"n": i, "text": text}) + "\n" * (1 + i % 3))
        words = [self.weft, "tokenize", "--tokenizer", tokenizer, "--end-of-text", END, "--special"]
        for name, more, want in (("ended", [], [ids + [end] for ids in lists]),
                                 ("bare", ["--no-end-of-text"], [ids for ids in lists if ids])):
            prefix = self.path(f"{numbers}-{name}")
            plain = words[:4] + words[6:] if more else words
            self.run(*plain, *more, "--out", prefix, self.path("in.jsonl"))
            data = self.megatron.IndexedDataset(prefix)
            assert data.index.dtype.__name__ == numbers, data.index.dtype
            self.tell(f"weft's {prefix_name(prefix)} by Megatron", [d for d in self.of_megatron(prefix) if d], want)
            self.tell(f"weft's {prefix_name(prefix)} by weft", self.of_weft(prefix), want)
            self.check_facts(prefix, want)

    def check_facts(self, prefix, want):
        facts = json.loads(self.run(self.weft, "data", prefix, "--json"))
        flat = list(itertools.chain.from_iterable(want))
        wanted = {"tokens": len(flat), "largest_token": max(flat), "first_tokens": flat[:len(facts["first_tokens"])]}
        if any(facts[key] != wanted[key] for key in wanted):
            self.failures += 1
            print(f"weft data {prefix_name(prefix)}: {facts}, where {wanted} is right")

    def check_written_by_megatron(self, numbers):
        import numpy
        kind, chance = numpy.dtype(numbers).type, random.Random(numbers)
        most = {"uint8": 255, "int8": 127, "int16": 32767, "uint16": 65535, "float32": 1 << 24}.get(numbers, (1 << 31) - 2)
        prefix, want = self.path("megatron-" + numbers), []
        builder = self.megatron.IndexedDatasetBuilder(prefix + ".bin", dtype=kind)
        for number in range(3000):
            lengths = [chance.choice([1, 1, 2, 7, 40]) for _ in range(chance.choice([1, 1, 1, 2, 3]))]
            if number % 50 == 7:
                lengths = [5000 if number == 7 else 0]
            tokens = [chance.randrange(most + 1) for _ in range(sum(lengths))]
            tokens[:1] = [most] * (number == 9) or tokens[:1]
            builder.add_document(numpy.array(tokens, dtype=kind), lengths)
            want.append(tokens)
        builder.finalize(prefix + ".idx")
        self.tell(f"Megatron's {numbers} by Megatron", self.of_megatron(prefix), want)
        self.tell(f"Megatron's {numbers} by weft", self.of_weft(prefix), [tokens for tokens in want if tokens])
        self.check_facts(prefix, want)


def prefix_name(prefix):
    return os.path.basename(prefix)


def make_texts():
    chance, words = random.Random(7), ["In", "the", "beginning", "weft", "  ", "\n", "\u00e9t\u00e9", "\u65e5\u672c", "2:14,"]
    texts = [" ".join(chance.choice(words) for _ in range(chance.choice([1, 3, 20, 90]))) for _ in range(4000)]
    texts[::97] = [""] * len(texts[::97])
    texts[1234] = " ".join(chance.choice(words) for _ in range(60000))
    return texts


def main():
    if len(sys.argv) == 5:
        with tempfile.TemporaryDirectory() as folder:
            return fetch(folder)
    folder = sys.argv[5]
    check = Check(*map(os.path.abspath, sys.argv[1:5]), load(folder), folder)
    for numbers in check.tokenizers:
        check.check_written_by_weft(numbers)
    for kind in check.megatron.DType:
        check.check_written_by_megatron(kind.name)
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
