#!/usr/bin/env python3
"""GPT-2 by PyTorch as fast as it goes on one GPU, for bench/gpu.sh: bf16 autocast, torch.compile, flash attention, fused
AdamW. Prints one line: tokens a second (the median step), the most memory, and the version.

    tools/torch_gpu.py --layers 12 --width 768 --heads 12 --sequences 32 [--steps 20] [--eager] [--device cuda]

Status 77 where torch, or a GPU for it, is missing."""
import argparse
import statistics
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    print("this Python has no torch")
    sys.exit(77)


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


class Model(nn.Module):
    """The loss of a batch; the head's weight is the embedding's."""

    def __init__(self, layers, width, heads, vocabulary, context):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, batch):
        x = self.tokens(batch[:, :-1]) + self.positions.weight[: batch.shape[1] - 1]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def train(options):
    """Seconds of each step, the first ones left out, in which torch compiles."""
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    cuda = options.device == "cuda"
    model = Model(options.layers, options.width, options.heads, options.vocabulary, options.context).to(options.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    run = model if options.eager else torch.compile(model)
    batch = torch.randint(options.vocabulary, (options.sequences, options.context + 1), device=options.device)
    seconds = []
    for step in range(options.steps + 3):
        begin = time.perf_counter()
        with torch.autocast(options.device, torch.bfloat16):
            loss = run(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize()
        if step >= 3:
            seconds.append(time.perf_counter() - begin)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("layers", 12), ("width", 768), ("heads", 12), ("vocabulary", 50257), ("context", 1024),
                          ("sequences", 32), ("steps", 20)]:
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no GPU")
        sys.exit(77)
    seconds = statistics.median(train(options))
    memory = torch.cuda.max_memory_allocated() / 2**20 if options.device == "cuda" else 0
    print(f"{options.sequences * options.context / seconds:.0f} tokens/s, {memory:.0f} MiB, torch {torch.__version__}, "
          f"{'eager' if options.eager else 'compiled'}")


if __name__ == "__main__":
    main()
