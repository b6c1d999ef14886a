"""GPT-2 in plain PyTorch, whole or as stages of a pipeline, with the weights that `weft export` writes."""
import json
import mmap

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.heads, C // self.heads).transpose(1, 2) for part in self.qkv(self.ln_1(x)).split(C, 2))
        x = x + self.output(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, C))
        return x + self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh"))


class Stage(nn.Module):
    """Consecutive layers; the first stage embeds, the last has the final norm and the head, whose weight is the
    embedding: the same parameter where both stages are in one process, else a copy (`tied` names either)."""

    def __init__(self, model, layers, embeds, heads, tied):
        super().__init__()
        width = model["width"]
        self.blocks = nn.ModuleDict({str(i): Block(width, model["heads"]) for i in layers})
        self.embeds, self.has_head = embeds, heads
        if embeds:
            self.position = nn.Parameter(torch.empty(model["context"], width))
        if heads:
            self.ln_f = nn.LayerNorm(width)
        if embeds or heads:
            self.tied = tied

    def forward(self, x):
        if self.embeds:
            x = F.embedding(x, self.tied) + self.position[:x.shape[1]]
        for block in self.blocks.values():
            x = block(x)
        return F.linear(self.ln_f(x), self.tied) if self.has_head else x


def make_stages(model, split, own):
    """{stage: Stage} of the own ones. split: layers of each stage."""
    tied = nn.Parameter(torch.empty(model["vocabulary"], model["width"]))
    first = [sum(split[:stage]) for stage in range(len(split))]
    return {s: Stage(model, range(first[s], first[s] + split[s]), s == 0, s == len(split) - 1, tied) for s in own}


def get_loss(logits, targets):
    """Mean over all positions, in fp32."""
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


TENSORS = {"ln_1.weight": "ln_1.weight", "ln_1.bias": "ln_1.bias", "ln_2.weight": "ln_2.weight", "ln_2.bias": "ln_2.bias",
           "qkv.weight": "attn.c_attn.weight", "qkv.bias": "attn.c_attn.bias", "output.weight": "attn.c_proj.weight",
           "output.bias": "attn.c_proj.bias", "up.weight": "mlp.c_fc.weight", "up.bias": "mlp.c_fc.bias",
           "down.weight": "mlp.c_proj.weight", "down.bias": "mlp.c_proj.bias"}
OUTSIDE = {"tied": "wte.weight", "position": "wpe.weight", "ln_f.weight": "ln_f.weight", "ln_f.bias": "ln_f.bias"}


def name_in_file(name):
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, layer, rest = name.split(".", 2)
    return f"h.{layer}.{TENSORS[rest]}"


def load(stages, path):
    """Fills stages from a safetensors file of fp32. GPT-2's files have the matrices of layers turned."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    begin = 8 + int.from_bytes(data[:8], "little")
    entries = {key.removeprefix("transformer."): value for key, value in json.loads(data[8:begin]).items()}
    with torch.no_grad():
        for name, parameter in ((n, p) for stage in stages.values() for n, p in stage.named_parameters()):
            entry = entries[name_in_file(name)]
            if entry["dtype"] != "F32":
                raise ValueError(f"{path}: {name} is {entry['dtype']}, not F32")
            offset, end = entry["data_offsets"]
            tensor = torch.frombuffer(data, dtype=torch.float32, count=(end - offset) // 4, offset=begin + offset)
            tensor = tensor.view(entry["shape"])
            parameter.copy_(tensor.t() if name.startswith("blocks.") and tensor.dim() == 2 else tensor)


def read_batch(path, tokens):
    """Inputs and targets, (sequences, tokens), of all blocks of a file of uint16."""
    with open(path, "rb") as file:
        stream = torch.frombuffer(bytearray(file.read()), dtype=torch.uint16).to(torch.int64)
    count = (len(stream) - 1) // tokens
    return stream[:count * tokens].view(count, tokens), stream[1:count * tokens + 1].view(count, tokens)
