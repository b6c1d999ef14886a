#!/usr/bin/env python3
"""GPT-2 by PyTorch as fast as it goes on one GPU, for bench/gpu.sh: bf16 autocast, torch.compile, flash attention, fused
AdamW. Prints one line: tokens a second (the median step), the most memory, and the version.

    tools/torch_gpu.py --layers 12 --width 768 --heads 12 --sequences 32 [--steps 20] [--eager] [--device cuda]

Status 77 where torch, or a GPU for it, is missing."""
import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))
try:
    import torch
    from torch import nn
except ImportError:
    print("this Python has no torch")
    sys.exit(77)
import gpt2


def make_model(options):
    """The whole of GPT-2, with weights such as it begins with."""
    model = {name: getattr(options, name) for name in ("width", "heads", "vocabulary", "context")}
    stage = gpt2.make_stages(model, [options.layers], [0])[0]
    for embedding in (stage.tied, stage.position):
        nn.init.normal_(embedding, std=0.02)
    return stage.to(options.device)


def train(options):
    """Seconds of each step, the first ones left out, in which torch compiles."""
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    cuda = options.device == "cuda"
    model = make_model(options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def get_loss(batch):
        return gpt2.get_loss(model(batch[:, :-1]), batch[:, 1:])

    run = get_loss if options.eager else torch.compile(get_loss)
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
