"""One process of a contender. run.py starts it; its argument is what to train, as JSON. It reads how many steps to make, a
number a line, and answers each with a line of JSON: the seconds and the loss of every step, and the most memory that this
process has had."""
import contextlib
import datetime
import json
import os
import sys
import time

import torch
import torch.distributed as dist
from torch.distributed import pipelining
from torch.distributed.fsdp import fully_shard

import gpt2

SINGLE = ("GPipe", "1F1B")


class Precision:
    """fp32; autocast: fp32 weights, products in bf16; pure: everything in bf16, the optimizer's states, too."""

    def __init__(self, name):
        self.name = name

    def prepare(self, module):
        return module.bfloat16() if self.name == "pure" else module

    def context(self):
        return torch.autocast("cpu", torch.bfloat16) if self.name == "autocast" else contextlib.nullcontext()


class Cast(torch.nn.Module):
    """A module whose forward pass runs in the precision."""

    def __init__(self, module, precision):
        super().__init__()
        self.module, self.precision = module, precision

    def forward(self, x):
        with self.precision.context():
            x = self.module(x)
        return x


def make_optimizer(job, parameters):
    parameters = list(dict.fromkeys(parameters))
    groups = [{"params": [p for p in parameters if p.dim() >= 2], "weight_decay": job["weight_decay"]},
              {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=job["learning_rate"], betas=(0.9, 0.95), eps=1e-8, fused=True)


def compile_parts(job, stages):
    """Blocks share what is compiled for the first of them."""
    if not job["compiled"]:
        return gpt2.get_loss
    for block in (block for stage in stages.values() for block in stage.blocks.values()):
        block.compile(dynamic=False)
    return torch.compile(gpt2.get_loss, dynamic=False)


def one_process(job, batch):
    """One worker, or one of several data-parallel ones, each with its own share of the batch."""
    precision = Precision(job["precision"])
    stages = gpt2.make_stages(job["model"], [job["model"]["layers"]], [0])
    gpt2.load(stages, job["weights"])
    precision.prepare(stages[0])
    get_loss = compile_parts(job, stages)
    M = job["microbatches"]
    shares = [part.chunk(job["ranks"])[job["rank"]].chunk(M) for part in batch]
    model = stages[0]
    if job["method"] == "DDP":
        model = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    elif job["method"] == "FSDP":
        # Weights are gathered once a step and stay, which is the quickest. Gradients and the optimizer are divided.
        for part in (*stages[0].blocks.values(), model):
            fully_shard(part, reshard_after_forward=False)
    optimizer = make_optimizer(job, model.parameters())

    def step():
        total = torch.zeros(())
        for index, (inputs, targets) in enumerate(zip(*shares)):
            last = index == M - 1
            if job["method"] == "FSDP":
                model.set_requires_gradient_sync(last)
                model.set_reshard_after_backward(last)
            with model.no_sync() if job["method"] == "DDP" and not last else contextlib.nullcontext():
                with precision.context():
                    loss = get_loss(model(inputs), targets) / M
                loss.backward()
            total += loss.detach()
        optimizer.step()
        optimizer.zero_grad()
        if job["ranks"] > 1:
            dist.all_reduce(total)
        return total.item() / job["ranks"]
    return step


def pipeline(job, batch):
    """One rank of a pipeline."""
    precision = Precision(job["precision"])
    split, rank, ranks = job["split"], job["rank"], job["ranks"]
    S = len(split)
    v_shaped = job["method"] == "ZBVZeroBubble"
    owner = [s % ranks if not v_shaped or (s // ranks) % 2 == 0 else ranks - 1 - s % ranks for s in range(S)]
    own = [s for s in range(S) if owner[s] == rank]
    stages = gpt2.make_stages(job["model"], split, own)
    gpt2.load(stages, job["weights"])
    for stage in stages.values():
        precision.prepare(stage)
    get_loss = compile_parts(job, stages)
    held = [pipelining.PipelineStage(Cast(stages[s], precision), s, S, torch.device("cpu")) for s in own]
    cls = pipelining.schedules.get_schedule_class(job["method"])

    def share_of_loss(logits, targets):
        with precision.context():
            return get_loss(logits, targets) / job["microbatches"]
    schedule = cls(held[0] if job["method"] in SINGLE else held, job["microbatches"], loss_fn=share_of_loss, scale_grads=False)
    parameters = [p for s in own for p in stages[s].parameters()]
    optimizer = make_optimizer(job, parameters)
    # The embedding and the head, where they are in two processes: each needs the gradient of both.
    shared = [stages[s].tied for s in own if s in (0, S - 1)] if owner[0] != owner[-1] else []
    inputs = [batch[0]] if 0 in own else []
    targets = batch[1] if S - 1 in own else None

    def step():
        losses = []
        schedule.step(*inputs, target=targets, losses=losses, return_outputs=False)
        for parameter in shared:
            dist.all_reduce(parameter.grad)
        optimizer.step()
        optimizer.zero_grad()
        return float(torch.stack(losses).sum()) if losses else None
    return step


def peak_memory():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def main():
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    torch.manual_seed(1)
    if job["ranks"] > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{job['port']}", rank=job["rank"],
                                world_size=job["ranks"], timeout=datetime.timedelta(seconds=job["patience"]))
    step = (pipeline if job["split"] else one_process)(job, gpt2.read_batch(job["tokens"], job["model"]["tokens"]))
    for line in sys.stdin:
        out = {"seconds": [], "losses": []}
        for _ in range(int(line)):
            begin = time.perf_counter()
            out["losses"].append(step())
            out["seconds"].append(time.perf_counter() - begin)
        print(json.dumps(dict(out, memory=peak_memory(), torch=torch.__version__)), flush=True)
    os._exit(0)  # nothing is left to say: gloo's threads may take their time


main()
