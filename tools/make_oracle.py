#!/usr/bin/python3
"""Writes the numbers that tests/model compares with: tiny models built in plain PyTorch, independent of weft.

Each file starts with text lines "name count", a blank line, then the values as little-endian fp32 in that order.
Computed in double precision from fp32 weights. See tools/README.md.
"""
import math
import os
import sys

import numpy
import torch
import torch.nn.functional as functional

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

B, T, M, STEPS = 2, 16, 2, 10  # sequences a micro-batch, tokens, micro-batches a step, steps
RATE, BETAS, EPSILON, DECAY, CLIP = 1e-2, (0.9, 0.95), 1e-8, 0.1, 1.0

BASE = dict(layers=2, width=16, heads=4, vocabulary=64, context=20, norm_epsilon=1e-5, rotary_base=10000.0)
MODELS = {
    "gpt2": dict(BASE, kv_heads=4, feed_forward=64, norm=0, position=0, activation=0, bias=1, tied=1),
    "llama": dict(BASE, kv_heads=2, feed_forward=40, norm=1, position=1, activation=1, bias=0, tied=0),
    "llama_tied": dict(BASE, kv_heads=1, feed_forward=24, norm=1, position=1, activation=1, bias=0, tied=1),
}
# What only some models have, in the order of the file's "kin"; low and high are yarn's slow and fast too.
KIN = dict(head_width=0, qkv_bias=0, query_key_norm=0, window=0, rotary_scaling=0, rotary_factor=1.0, rotary_context=0,
           rotary_low=1.0, rotary_high=4.0)
MODELS["llama31"] = dict(MODELS["llama"], **dict(KIN, head_width=6, window=7, rotary_scaling=2, rotary_factor=8.0,
                                                 rotary_context=100))
MODELS["qwen"] = dict(MODELS["llama_tied"], kv_heads=2, **dict(KIN, head_width=8, qkv_bias=1, query_key_norm=1,
                                                               rotary_scaling=3, rotary_factor=4.0, rotary_context=100,
                                                               rotary_high=16.0))
# Trained by more than the cross entropy.
MODELS["smoothed"] = dict(MODELS["llama_tied"], vocabulary=63, z=0.01, smoothing=0.1)
CONFIG = ["layers", "width", "heads", "kv_heads", "feed_forward", "vocabulary", "context", "norm", "position",
          "activation", "bias", "tied", "norm_epsilon", "rotary_base"]


def head_width(c):
    return c.get("head_width") or c["width"] // c["heads"]


def parameter_shapes(c):
    """Name -> shape, in weft's order; the tied head is not listed."""
    width, head = c["width"], head_width(c)
    qkv = (c["heads"] + 2 * c["kv_heads"]) * head
    up = c["feed_forward"] * (2 if c["activation"] else 1)
    shapes = {"embedding.token": (c["vocabulary"], width)}
    if c["position"] == 0:
        shapes["embedding.position"] = (c["context"], width)

    def norm(name):
        shapes[name + ".weight"] = (width,)
        if c["bias"] and c["norm"] == 0:
            shapes[name + ".bias"] = (width,)

    def linear(name, rows, columns, bias=False):
        shapes[name + ".weight"] = (rows, columns)
        if c["bias"] or bias:
            shapes[name + ".bias"] = (rows,)

    for layer in range(c["layers"]):
        prefix = f"layer.{layer}."
        norm(prefix + "norm1")
        linear(prefix + "attention.qkv", qkv, width, c.get("qkv_bias"))
        if c.get("query_key_norm"):
            shapes[prefix + "attention.query_norm.weight"] = (head,)
            shapes[prefix + "attention.key_norm.weight"] = (head,)
        linear(prefix + "attention.output", width, c["heads"] * head)
        norm(prefix + "norm2")
        linear(prefix + "mlp.up", up, width)
        linear(prefix + "mlp.down", width, c["feed_forward"])
    norm("final_norm")
    if not c["tied"]:
        shapes["head.weight"] = (c["vocabulary"], width)
    return shapes


def make_weights(c, generator):
    weights = {}
    for name, shape in parameter_shapes(c).items():
        value = torch.randn(shape, generator=generator) * (0.2 if len(shape) == 2 else 0.1)
        if "norm" in name and name.endswith("weight"):
            value = 1 + value
        weights[name] = value.to(torch.float32).to(torch.float64).requires_grad_()
    return weights


def normalise(c, weights, name, x):
    if c["norm"] == 0:
        return functional.layer_norm(x, (c["width"],), weights[name + ".weight"], weights.get(name + ".bias"),
                                     c["norm_epsilon"])
    return normalise_root(c, weights, name, x)


def normalise_root(c, weights, name, x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + c["norm_epsilon"]) * weights[name + ".weight"]


def product(weights, name, x):
    return functional.linear(x, weights[name + ".weight"], weights.get(name + ".bias"))


def frequencies(c, half):
    """What each pair turns by from token to token, and what cosines and sines are multiplied by: as transformers."""
    plain, scaling = c["rotary_base"] ** (-torch.arange(half) / half), c.get("rotary_scaling", 0)
    if scaling == 0:
        return plain, 1.0
    factor, context, low, high = (c["rotary_" + key] for key in ("factor", "context", "low", "high"))
    if scaling == 2:  # llama3
        fits = context * plain / (2 * math.pi)
        kept = ((fits - low) / (high - low)).clamp(0, 1)
        return plain / factor * (1 - kept) + plain * kept, 1.0
    bounds = [2 * half * math.log(context / (2 * math.pi * fits)) / (2 * math.log(c["rotary_base"]))
              for fits in (high, low)]
    first, last = max(math.floor(bounds[0]), 0), min(math.ceil(bounds[1]), 2 * half - 1)
    ramp = ((torch.arange(half) - first) / (last - first)).clamp(0, 1)
    return plain / factor * ramp + plain * (1 - ramp), 0.1 * math.log(factor) + 1  # yarn


def rotate(c, x):
    """x (sequences, heads, T, D): pairs (i, i + D/2), as Hugging Face's Llama."""
    half = x.shape[-1] // 2
    frequency, scale = frequencies(c, half)
    angle = torch.arange(x.shape[-2])[:, None] * frequency
    cosine, sine = scale * torch.cat([angle.cos()] * 2, -1), scale * torch.cat([angle.sin()] * 2, -1)
    return x * cosine + torch.cat([-x[..., half:], x[..., :half]], -1) * sine


def attention(c, weights, prefix, x):
    count, tokens, width = x.shape
    H, G, D = c["heads"], c["kv_heads"], head_width(c)
    q, k, v = product(weights, prefix + "attention.qkv", x).split([H * D, G * D, G * D], -1)
    q, k, v = (t.view(count, tokens, -1, D).transpose(1, 2) for t in (q, k, v))
    if c.get("query_key_norm"):
        q, k = (normalise_root(c, weights, prefix + f"attention.{name}_norm", x)
                for name, x in (("query", q), ("key", k)))
    if c["position"] == 1:
        q, k = rotate(c, q), rotate(c, k)
    k, v = (t.repeat_interleave(H // G, 1) for t in (k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(D)
    scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -math.inf)
    if c.get("window"):
        scores = scores.masked_fill(torch.ones(tokens, tokens).tril(-c["window"]).bool(), -math.inf)
    out = (scores.softmax(-1) @ v).transpose(1, 2).reshape(count, tokens, H * D)
    return product(weights, prefix + "attention.output", out)


def mlp(c, weights, prefix, x):
    up = product(weights, prefix + "mlp.up", x)
    if c["activation"] == 0:
        middle = functional.gelu(up, approximate="tanh")
    else:
        gate, value = up.chunk(2, -1)
        middle = functional.silu(gate) * value
    return product(weights, prefix + "mlp.down", middle)


def logits_of(c, weights, tokens):
    x = functional.embedding(tokens, weights["embedding.token"])
    if c["position"] == 0:
        x = x + weights["embedding.position"][:tokens.shape[1]]
    for layer in range(c["layers"]):
        prefix = f"layer.{layer}."
        x = x + attention(c, weights, prefix, normalise(c, weights, prefix + "norm1", x))
        x = x + mlp(c, weights, prefix, normalise(c, weights, prefix + "norm2", x))
    head = weights["embedding.token"] if c["tied"] else weights["head.weight"]
    return normalise(c, weights, "final_norm", x) @ head.T


def make_batches(c, generator):
    """Tokens with a pattern to learn; the last target of each step's first sequence is not counted."""
    start = torch.randint(0, c["vocabulary"], (STEPS, M * B, 1), generator=generator)
    noise = torch.randint(0, 3, (STEPS, M * B, T + 1), generator=generator)
    stream = (start + 5 * torch.arange(T + 1) + noise) % c["vocabulary"]
    tokens, targets = stream[..., :-1].clone(), stream[..., 1:].clone()
    targets[:, 0, -1] = -1
    return tokens, targets


def losses_of(c, logits, targets):
    """What is trained, and the cross entropy: means over the targets that count."""
    rows, wanted = logits.flatten(0, 1), targets.flatten()
    plain = functional.cross_entropy(rows, wanted, ignore_index=-1)
    smoothed = functional.cross_entropy(rows, wanted, ignore_index=-1, label_smoothing=c.get("smoothing", 0.0))
    return smoothed + c.get("z", 0.0) * rows[wanted >= 0].logsumexp(-1).square().mean(), plain


def train(c, weights, tokens, targets, out):
    groups = [dict(params=[w for w in weights.values() if w.dim() == 2], weight_decay=DECAY),
              dict(params=[w for w in weights.values() if w.dim() == 1], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPSILON)
    losses, plains, norms = [], [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        logits = logits_of(c, weights, tokens[step])
        loss, plain = losses_of(c, logits, targets[step])
        loss.backward()
        if step == 0:
            out["logits"] = logits
            out.update({"gradient/" + name: weight.grad.clone() for name, weight in weights.items()})
        norms.append(torch.nn.utils.clip_grad_norm_(list(weights.values()), CLIP).item())
        losses.append(loss.item())
        plains.append(plain.item())
        optimizer.step()
    out["losses"], out["norms"] = torch.tensor(losses), torch.tensor(norms)
    if "z" in c:
        out["loss"], out["plains"] = torch.tensor([c["z"], c["smoothing"]]), torch.tensor(plains)
    out.update({"final/" + name: weight for name, weight in weights.items()})


def write(path, values):
    header = "".join(f"{name} {value.numel()}\n" for name, value in values.items()) + "\n"
    with open(path, "wb") as file:
        file.write(header.encode())
        for value in values.values():
            file.write(value.detach().numpy().astype(numpy.dtype("<f4")).tobytes())


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "tests/model/oracle"
    for seed, (name, c) in enumerate(MODELS.items()):
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        generator = torch.Generator().manual_seed(seed + 1)
        weights = make_weights(c, generator)
        tokens, targets = make_batches(c, generator)
        out = {"config": torch.tensor([float(c[key]) for key in CONFIG] + [B, T, M, STEPS]),
               "tokens": tokens, "targets": targets}
        if "head_width" in c:
            out["kin"] = torch.tensor([float(c[key]) for key in KIN])
        out.update({"weight/" + key: value.detach().clone() for key, value in weights.items()})
        train(c, weights, tokens, targets, out)
        path = os.path.join(folder, name + ".bin")
        write(path, out)
        print(path, os.path.getsize(path), "bytes; losses", out["losses"].numpy().round(3), "norms",
              out["norms"].numpy().round(2))


if __name__ == "__main__":
    main()
