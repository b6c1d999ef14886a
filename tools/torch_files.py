#!/usr/bin/env python3
"""Schedule files both ways between weft and torch.distributed.pipelining, proved by running them.

    pip install torch                        # 2.14, or 2.15 and newer, which have waits; no GPU is needed
    python3 tools/torch_files.py WEFT        # WEFT: the built program
    python3 tools/torch_files.py WEFT --fast # fewer sizes; so does the long suite

torch to weft: the orders of every schedule class at many sizes, dumped as _dump_csv() writes them by default, with
receives put off, with reductions waited for late, with few sends pending, and without communication. `weft verify` has to
accept each, and torch has to load what `weft schedule` writes of it.

weft to torch: each file of a kind is loaded by _PipelineScheduleRuntime in two or four processes over gloo, which run a
training step of a small model in double precision; its gradients have to be those of the model without a pipeline.
"written" is what `weft schedule --communication` writes; "passes" is without it, and lowered by torch.

Prints tables. Status 0 when all is as it has to be, 1 when not, 77 when there is no such torch here.
"""
import argparse
import csv
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile

CLASSES = ["GPipe", "1F1B", "LoopedBFS", "Interleaved1F1B", "InterleavedZeroBubble", "ZBVZeroBubble", "DualPipeV"]
# Orders of torch's own that can run nowhere.
REFUSED = {"1F1B": "rightly refused: in torch 2.15.0, and before, the last rank never runs micro-batch 0"}
# What is set on a schedule object before it is lowered anew.
VARIANTS = {
    "default": {},
    "late receives": {"_defer_pp_recv": True},
    "late reductions": {"_defer_reduce_grad_wait": True},
    "few sends": {"_max_outstanding_sends": 2},
}
WIDTH, ROWS = 6, 2  # of the model, and of a micro-batch
TOLERANCE = 1e-6  # of gradients, relative
PATIENCE = 120  # seconds that a step may take on a busy machine


def find_torch():
    """torch's schedules, or None and why they are no use."""
    try:
        import torch.distributed.pipelining.schedules as schedules
    except ImportError as error:
        return None, f"no torch: {error}"
    return (schedules, None) if hasattr(schedules, "REDUCE_GRAD") else (None, "torch before 2.14")


def get_dialect(schedules):
    """What makes weft write the communication that this torch loads."""
    return [] if hasattr(schedules, "WAIT_SEND_F") else ["--write-dialect", "2.14"]


def run_weft(program, *words):
    """Status, standard output, standard error."""
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr.strip()


def print_table(title, rows, columns, cells):
    widths = [max(len(text) for text in [column, *(cells.get((row, column), "") for row in rows)]) for column in columns]
    first = max(map(len, rows))
    print(f"\n{title}\n\n{'':{first}}", *(column.rjust(width) for column, width in zip(columns, widths)), sep="  ")
    for row in rows:
        print(f"{row:{first}}", *(cells.get((row, c), "").rjust(w) for c, w in zip(columns, widths)), sep="  ")
    sys.stdout.flush()


# torch to weft


class StandIn:
    """As much of a stage as a schedule object asks for before it runs."""

    submod = None

    def __init__(self, index, ranks, stages):
        self.stage_index, self.num_stages, self.group_rank, self.group_size = index, stages, 0, ranks


def make_schedule(schedules, name, ranks, loops, microbatches):
    """None where torch has no such order."""
    cls = schedules.get_schedule_class(name)
    stages = [StandIn(i, ranks, ranks * loops) for i in range(loops)]
    single = issubclass(cls, schedules.PipelineScheduleSingle)
    try:
        return None if single and loops > 1 else cls(stages[0] if single else stages, microbatches)
    except ValueError:
        return None


def dump_all(schedule, path):
    """Writes one file after the other; yields what it is, and whether it has communication."""
    if not hasattr(schedule, "pipeline_order_with_comms"):
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows(schedule.pipeline_order[rank] for rank in sorted(schedule.pipeline_order))
        yield "order", False
        return
    for variant, settings in VARIANTS.items():
        if not all(hasattr(schedule, key) for key in settings):
            continue  # this torch knows none
        before = {key: getattr(schedule, key) for key in settings}
        vars(schedule).update(settings)
        try:
            schedule._prepare_schedule_with_comms(schedule.pipeline_order)
            schedule._dump_csv(path)
            yield variant, True
        except ValueError:
            continue  # torch finds no place for waits
        finally:
            vars(schedule).update(before)
    schedule._dump_csv(path, format="compute_only")
    yield "passes", False


def load_again(schedules, program, path, ranks, stages, microbatches):
    """Loads what weft writes of a dump. None, or what is wrong."""
    status, text, message = run_weft(program, "schedule", path, "--format", "csv", *get_dialect(schedules))
    if status:
        return message
    with open(path, "w") as file:
        file.write(text)
    runtime = schedules._PipelineScheduleRuntime([StandIn(0, ranks, stages)], microbatches)
    try:
        runtime._load_csv(path, format="compute_comms")
    except (AssertionError, RuntimeError, ValueError) as error:
        return f"written again, torch says: {error}"
    return None


def read_dumps(schedules, program, folder, fast):
    """Whether weft takes every file of torch's."""
    path = os.path.join(folder, "dump.csv")
    good, made, wrong = {}, {}, []
    sizes = [(p, v, m) for p in ((2, 4) if fast else (1, 2, 3, 4, 8)) for v in ((1, 2) if fast else (1, 2, 3, 4))
             for m in (range(1, 9) if fast else range(1, 25))]
    for name, (ranks, loops, microbatches) in ((name, size) for name in CLASSES for size in sizes):
        schedule = make_schedule(schedules, name, ranks, loops, microbatches)
        for what, communication in dump_all(schedule, path) if schedule else ():
            status, _, message = run_weft(program, "verify", path)
            if not status and communication:
                message = load_again(schedules, program, path, ranks, ranks * loops, microbatches)
            key = name, what
            made[key] = made.get(key, 0) + 1
            good[key] = good.get(key, 0) + (not message)
            if message and name not in REFUSED:
                wrong.append(f"{name}, P = {ranks}, V = {loops}, M = {microbatches}, {what}: {message}")
    cells = {key: f"{good[key]} of {made[key]}" for key in made}
    print_table("torch to weft: files accepted", CLASSES, ["order", *VARIANTS, "passes"], cells)
    print(*(f"{name}: {reason}" for name, reason in REFUSED.items()), sep="\n")
    print(*wrong[:20], sep="\n")
    return not wrong


# weft to torch


def make_model(stages):
    import torch

    torch.manual_seed(7)
    linear = torch.nn.Linear
    return [torch.nn.Sequential(linear(WIDTH, WIDTH), torch.nn.Tanh(), linear(WIDTH, WIDTH)).double() for _ in range(stages)]


def make_batch(microbatches):
    import torch

    source = torch.Generator().manual_seed(11)
    return [torch.randn(ROWS * microbatches, WIDTH, generator=source, dtype=torch.float64) for _ in range(2)]


def get_loss(output, target):
    return ((output - target) ** 2).mean()


def difference(part, right):
    """The largest of a part's gradients, relative to the largest of the right ones."""
    worst = 0.0
    for own, other in zip(part.parameters(), right.parameters()):
        if own.grad is None:
            return float("inf")
        worst = max(worst, float((own.grad - other.grad).abs().max() / other.grad.abs().max()))
    return worst


def train(schedules, rank, case):
    """One step of one rank. The difference of its gradients from those without a pipeline."""
    import torch
    from torch.distributed.pipelining import PipelineStage

    stages, microbatches = len(case["stage_rank"]), case["microbatches"]
    parts, right = make_model(stages), make_model(stages)
    inputs, target = make_batch(microbatches)
    own = [stage for stage in range(stages) if case["stage_rank"][stage] == rank]
    between = torch.zeros(ROWS, WIDTH, dtype=torch.float64, requires_grad=True)
    first = between.detach()
    held = [PipelineStage(parts[s], s, stages, torch.device("cpu"), between if s else first, between) for s in own]
    runtime = schedules._PipelineScheduleRuntime(held, microbatches, loss_fn=get_loss)
    runtime._load_csv(case["path"], format=case["format"])
    runtime.step(*([inputs] if 0 in own else []), target=target if stages - 1 in own else None)
    get_loss(torch.nn.Sequential(*right)(inputs), target).backward()
    return max(difference(parts[s], right[s]) for s in own)


def work(rank, ranks, port, cases):
    """A process of the pipeline: cases in, answers out."""
    import torch
    import torch.distributed as dist

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # torch tells every failure at length
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    schedules, _ = find_torch()
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    while True:
        try:
            cases.send(train(schedules, rank, cases.recv()))
        except EOFError:
            return
        except Exception as error:  # whatever torch says is the answer
            cases.send(f"{type(error).__name__}: {' '.join(str(error).split())}")


class Pipeline:
    """Processes that train case after case, with torch loaded already; started anew after one that failed."""

    def __init__(self, ranks):
        self.ranks, self.processes, self.ends = ranks, [], []

    def start(self):
        context = multiprocessing.get_context("fork")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for rank in range(self.ranks):
            here, there = context.Pipe()
            self.processes.append(context.Process(target=work, args=(rank, self.ranks, port, there), daemon=True))
            self.processes[-1].start()
            there.close()
            self.ends.append(here)

    def stop(self):
        for process, end in zip(self.processes, self.ends):
            process.kill()
            process.join()
            end.close()
        self.processes, self.ends = [], []

    def ask(self, case):
        """The largest difference, or a text that says what is wrong."""
        if not self.processes:
            self.start()
        for end in self.ends:
            end.send(case)
        try:
            answers = [end.recv() if end.poll(PATIENCE) else "hangs" for end in self.ends]
        except EOFError:
            answers = ["a process ended"]
        texts = [answer for answer in answers if isinstance(answer, str)]
        if texts:
            self.stop()
        return texts[0] if texts else max(answers)


def write_file(program, folder, kind, ranks, loops, microbatches, flags):
    """A case, or why weft has none."""
    sizes = [kind, "--pipeline", ranks, "--loops", loops, "--microbatches", microbatches]
    status, text, message = run_weft(program, "schedule", *sizes, "--format", "csv", *flags)
    if status:
        return None, message
    path = os.path.join(folder, "file.csv")
    with open(path, "w") as file:
        file.write(text)
    shape = json.loads(run_weft(program, "schedule", *sizes, "--json")[1])
    return {"path": path, "microbatches": microbatches, "stage_rank": shape["stage_rank"],
            "format": "compute_comms" if flags else "compute_only"}, None


def train_kinds(schedules, program, folder, fast):
    """Whether torch loads every file of weft's and gets the right gradients."""
    listed = run_weft(program, "schedule", "--help")[1].split("kinds:\n")[1].splitlines()
    kinds = [line.split()[0] for line in listed]
    cells, bad, columns = {}, [], []
    for ranks, loops, microbatches in [(2, 2, 5), (4, 2, 8)] if fast else [
            (2, 1, 1), (2, 1, 4), (2, 2, 5), (2, 3, 8), (4, 1, 3), (4, 1, 8), (4, 2, 8), (4, 2, 13), (4, 3, 12)]:
        pipeline = Pipeline(ranks)
        for what, flags in (("written", ["--communication", *get_dialect(schedules)]), ("passes", [])):
            column = f"{ranks} {loops} {microbatches} {what}"
            columns.append(column)
            for kind in kinds:
                case, message = write_file(program, folder, kind, ranks, loops, microbatches, flags)
                answer = pipeline.ask(case) if case else "-"
                good = isinstance(answer, float) and answer <= TOLERANCE
                cells[kind, column] = f"{answer:.0e}" if good else "-" if not case else "wrong"
                if case and not good:
                    bad.append(f"{kind}, {column}: {answer}")
        pipeline.stop()
    print_table("weft to torch: P V M, and the largest difference of a gradient; -: the kind has no such size", kinds,
                columns, cells)
    print(*bad[:20], sep="\n")
    return not bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weft", metavar="WEFT", help="the built program")
    parser.add_argument("--fast", action="store_true", help="fewer sizes")
    arguments = parser.parse_args()
    schedules, reason = find_torch()
    if not schedules:
        print(f"skipped: {reason}")
        return 77
    program = os.path.realpath(arguments.weft)
    with tempfile.TemporaryDirectory() as folder:
        reads = read_dumps(schedules, program, folder, arguments.fast)
        trains = train_kinds(schedules, program, folder, arguments.fast)
    return 0 if reads and trains else 1


if __name__ == "__main__":
    sys.exit(main())
