#!/usr/bin/env python3
"""Trains small tokenizers of each kind on the King James text and writes them, texts and the ids of their originals to
tests/tokenizer/files.

    bible -f gen1:1-rev22:21 >kjv.txt
    python3 -m venv venv && venv/bin/pip install tiktoken tokenizers sentencepiece
    venv/bin/python tools/make_tokenizers.py kjv.txt        # from the root of the repository

texts.bin: 4 bytes of a length, and that many bytes, for each text. NAME.ids: for each text 4 bytes of a count, and 2 bytes
for each id. The files in the repository came from tiktoken 0.14.0, tokenizers 0.23.3 and sentencepiece 0.2.3.
"""
import base64
import io
import json
import os
import random
import struct
import sys

import sentencepiece
import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = "tests/tokenizer/files"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace("{1,3}", "")
O200K = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ]
)
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
    "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]
OTHER = r"\w+|[^\w\s]+|\s"  # no scanner knows it

kjv = open(sys.argv[1], encoding="utf-8").read()
lines = kjv[:1500000].splitlines()


def make_texts():
    rnd = random.Random(12)
    pool = list("abcdeXYZ'  \n\t.,!?-_/0123456789éßñ“”日本語カナひらΩжЖ🎉👍🏽\u0301\u200d\u017fǅªº²½٣\u3000\u00a0\u0085") + [
        "'s", "'LL", "'ve", "'D", "\r\n", "  ", "the ", " of", "Lord", "\u2581", "\u1100\u1161\u11a8", "e\u0301", "\u212b",
        "<|endoftext|>", "<s>", "</s>", "[STRIP]", "[WORD]", "[NORM]", "[LEFT]", "[RIGHT]", "<sep>", "[é]",
    ]
    texts = ["", " ", "\n", "a", kjv[:2000], kjv[700000:701500], kjv[-800:]]
    texts += ["".join(rnd.choices(pool, k=rnd.randint(1, 40))) for _ in range(150)]
    texts += ["x" + " " * n + "y" + "\n" * (n % 4) for n in range(12)] + [" " * 40, "\n" * 9, " \n \n\t", "a \n ", "ab" * 40]
    texts += [f"in{s}[STRIP]{s}the{s}[WORD]{s}of[WORD]{s}[NORM]x{s}[LEFT]{s}[RIGHT]{s}<|endoftext|>" for s in ("", " ", "\n ")]
    texts += ["".join(chr(c) for c in range(a, a + 48)) for a in (0x1, 0x80, 0x300, 0x600, 0x3040, 0xAC00, 0x1F600, 0x10FFC0)]
    broken = [bytes(rnd.choices(b"A \x80\xbf\xc2\xc3\xe2\x96\x81\xed\xa0\xf0\x9f\x98\xf4\x90\xff\xc0\xe0", k=9)) for _ in range(30)]
    return [t.encode() for t in texts] + broken


texts = make_texts()


def as_text(raw):
    return raw.decode("utf-8", "replace")


def write(name, ids):
    with open(f"{FOLDER}/{name}.ids", "wb") as out:
        for one in ids:
            out.write(struct.pack(f"<I{len(one)}H", len(one), *one))


def added(tokenizer):
    tokenizer.add_special_tokens(["<|endoftext|>", "<s>", "</s>"])
    tokenizer.add_tokens(
        [
            AddedToken("[STRIP]", lstrip=True, rstrip=True, normalized=False),
            AddedToken("[WORD]", single_word=True, normalized=False),
            AddedToken("[NORM]", normalized=True),
            AddedToken("[LEFT]", lstrip=True, normalized=True),
            AddedToken("[RIGHT]", rstrip=True, normalized=False),
            AddedToken("[é]", normalized=True),
        ]
    )


def save(name, tokenizer, pairs=True):
    """Writes the merges as pairs, or as texts with a blank, as older files have them."""
    data = json.loads(tokenizer.to_str())
    if not pairs:
        data["model"]["merges"] = [" ".join(merge) for merge in data["model"]["merges"]]
    with open(f"{FOLDER}/{name}.json", "w", encoding="utf-8") as out:
        json.dump(data, out, ensure_ascii=False, separators=(",", ":"))
    again = Tokenizer.from_file(f"{FOLDER}/{name}.json")
    write(name, [again.encode(as_text(t), add_special_tokens=False).ids for t in texts])


def byte_level(name, steps, size=480, normalizer=None, ignore_merges=False, template=None, prefix=False, pairs=True):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    last = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=not steps or not isinstance(steps[-1], pre_tokenizers.Split))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps + [last]) if steps else last
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    added(tokenizer)
    if template:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    save(name, tokenizer, pairs)
    return tokenizer


def split(text):
    return pre_tokenizers.Split(Regex(text), "isolated")


def tiktoken_file(name, tokenizer, pattern):
    """The byte-level tokenizer's own tokens as a tiktoken file; what it cannot know is that merges are by rank."""
    letters = {}
    others = 0
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
            letters[chr(byte)] = byte
        else:
            letters[chr(256 + others)] = byte
            others += 1
    known = set(range(tokenizer.get_vocab_size(with_added_tokens=False)))
    tokens = [(i, bytes(letters[c] for c in t)) for t, i in tokenizer.get_vocab().items() if i in known]
    with open(f"{FOLDER}/{name}.tiktoken", "wb") as out:
        for rank, token in sorted(tokens):
            out.write(base64.b64encode(token) + b" " + str(rank).encode() + b"\n")
    encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks={t: i for i, t in tokens}, special_tokens={})
    write(name, [encoding.encode_ordinary(as_text(t)) for t in texts])


def sentencepiece_file(name, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines[:6000]), model_writer=model, vocab_size=600, minloglevel=2, **options
    )
    with open(f"{FOLDER}/{name}.model", "wb") as out:
        out.write(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def as_json(name, model, normalizer, pre_tokenizer, decoder):
    """A SentencePiece model as transformers writes it to a tokenizer.json."""
    vocabulary = {model.id_to_piece(i): i for i in range(model.get_piece_size())}
    merges = []
    for piece, i in vocabulary.items():
        if model.is_byte(i) or model.is_control(i) or model.is_unknown(i):
            continue
        parts = [(piece[:k], piece[k:]) for k in range(1, len(piece)) if piece[:k] in vocabulary and piece[k:] in vocabulary]
        merges += [(-model.get_score(i), *sorted_pair) for sorted_pair in sorted(parts, key=lambda p: (vocabulary[p[0]], vocabulary[p[1]]))]
    merges.sort(key=lambda m: m[0])
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[(a, b) for _, a, b in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer, tokenizer.decoder = normalizer, decoder
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    added(tokenizer)
    save(name, tokenizer)


os.makedirs(FOLDER, exist_ok=True)
with open(f"{FOLDER}/texts.bin", "wb") as out:
    for text in texts:
        out.write(struct.pack("<I", len(text)) + text)

gpt2 = byte_level("gpt2", [], pairs=False)
byte_level("prefix", [], size=300, prefix=True)
llama3 = byte_level("llama3", [split(LLAMA3)], ignore_merges=True, template=True)
byte_level("qwen", [split(QWEN)], normalizer=normalizers.NFC())
byte_level("deepseek", [split(text) for text in DEEPSEEK], normalizer=normalizers.Sequence([]))
byte_level("smollm", [pre_tokenizers.Digits(individual_digits=True)])
byte_level("o200k", [split(O200K)])
byte_level("other", [split(OTHER)], normalizer=normalizers.NFKC())
tiktoken_file("ranks", llama3, LLAMA3)
tiktoken_file("ranks_other", gpt2, OTHER)

plain = sentencepiece_file("pieces", model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
write("pieces", [plain.encode(t) for t in texts])
rules = f"{FOLDER}/rules.tsv"
with open(rules, "w") as out:
    out.write("C9\t45\nE9\t65\n65 301\t65\n3000\t20\nA0\t20\n9\t20\nA\t20\nD A\t20\n2BD\t27\nAA\t61 62\n")
mapped = sentencepiece_file("mapped", model_type="bpe", normalization_rule_tsv=rules, user_defined_symbols=["<sep>", "[NORM]"], character_coverage=0.999)
os.remove(rules)
write("mapped", [mapped.encode(t) for t in texts])
sentencepiece_file("unigram", model_type="unigram", normalization_rule_name="identity")

marks = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
strip = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
as_json("pieces_json", plain, normalizers.Sequence(marks), None, decoders.Sequence(strip))
as_json("metaspace", plain, None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoders.Sequence(strip))
as_json("metaspace_split", plain, None, pre_tokenizers.Metaspace(), decoders.Metaspace())

for name, model in (
    ("unigram", models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0)),
    ("wordpiece", models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")),
    ("wordlevel", models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")),
):
    Tokenizer(model).save(f"{FOLDER}/{name}.json", pretty=False)
