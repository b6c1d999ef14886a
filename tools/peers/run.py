#!/usr/bin/env python3
"""PyTorch beside weft: the same model, batch, threads and split of the layers, in turn.

    python3 tools/peers/run.py WEFT WORK                      # every contender, some hours; WEFT: the built program
    python3 tools/peers/run.py WEFT WORK --only 'one-bf16-*'  # some; --list names them
    python3 tools/peers/run.py WEFT WORK --quick              # every contender with a tiny model, to see that it works
    python3 tools/peers/table.py WORK/124M-results.csv        # the tables

WORK is kept: a Python with the newest torch of PyPI (--python or WEFT_PEERS_PYTHON names another), the batch, the weights,
what torch compiled, what processes said, and SIZE-results.csv, to which each contender adds its steps and those of weft. Every
step has the same batch; both sides start from the same weights, and a contender counts only when its losses are weft's.
--prepare does everything but measure, so that a contender that is measured afterwards has compiled already.

Status 0 when all went well, 1 when a contender failed or computed something else, 2 for a wrong command line, 77 when there
is no torch and PyPI cannot be reached.
"""
import argparse
import array
import contextlib
import csv
import datetime
import fnmatch
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = {"tiny": dict(layers=6, width=64, heads=4, vocabulary=256, context=64, tokens=32),
         "124M": dict(layers=12, width=768, heads=12, vocabulary=50257, context=1024, tokens=512),
         "355M": dict(layers=24, width=1024, heads=16, vocabulary=50257, context=1024, tokens=512)}
MICROBATCHES, SEQUENCES, THREADS = 4, 2, 2  # of a step; of a micro-batch; of all workers together
# The order of weft whose split of the layers a schedule of torch gets, and stages a worker.
SCHEDULES = {"GPipe": ("gpipe", 1), "1F1B": ("1f1b", 1), "LoopedBFS": ("breadth-first", 2),
             "Interleaved1F1B": ("depth-first", 2), "InterleavedZeroBubble": ("interleaved-zero-bubble", 2),
             "ZBVZeroBubble": ("zb-v", 2)}
NOT_COMPILED = ("InterleavedZeroBubble", "ZBVZeroBubble")  # torch does not compile split backward passes
WEFT_KEYS = {"one": [f"threads={THREADS}"],
             "pipeline": ["parallel.pipeline=2", "parallel.loops=2", "parallel.schedule=breadth-first", "threads=1"],
             "data": ["parallel.data=2", f"batch.microbatches={MICROBATCHES // 2}", "threads=1"]}
TOLERANCE = {"fp32": (1e-4, 1e-3), "bf16": (2e-2, 5e-2)}  # of the first loss, and of the two behind updates
LEARNING_RATE, WEIGHT_DECAY, PATIENCE = 1e-4, 0.1, 3600
# glibc keeps what torch frees, and large pages are asked for: without this an eager step faults all its memory in anew.
MEMORY = {"THP_MEM_ALLOC_ENABLE": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
          "MALLOC_TOP_PAD_": str(1 << 28)}
# MKL takes its fast path where it believes that the processor is of Intel. torch's calls go through the dynamic linker.
INTEL = "int mkl_serv_intel_cpu_true(void) { return 1; }\nint mkl_serv_intel_cpu(void) { return 1; }\n"
PRODUCT = """import sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
a, best = torch.rand(2048, 2048), 1e9
for _ in range(8):
    begin = time.perf_counter()
    a @ a
    best = min(best, time.perf_counter() - begin)
print(2 * 2048 ** 3 / best / 1e9)
"""


class Trouble(Exception):
    """What ends one contender."""


class Row:
    """A contender: how the work is divided, the element type, and how torch, or weft in another way, does it."""

    def __init__(self, layout, element, method="", precision="fp32", compiled=False, split="", keys=()):
        self.layout, self.element, self.method, self.keys = layout, element, method, list(keys)
        self.precision, self.compiled, self.split = precision, compiled, split
        how = [] if method == "weft" or precision == "fp32" else [precision]
        how += [] if method == "weft" else ["compiled" if compiled else "eager"]
        self.name = "-".join(filter(None, [layout, element, method, *how, split]))


def make_rows():
    rows = []
    for element, precision in (("bf16", "pure"), ("bf16", "autocast"), ("fp32", "fp32")):
        rows += [Row("one", element, "", precision, compiled) for compiled in (True, False)]
        for method in SCHEDULES:
            for compiled in (False,) if method in NOT_COMPILED else (True, False):
                rows += [Row("pipeline", element, method, precision, compiled, split) for split in ("weft", "even")]
        rows += [Row("data", element, method, precision, compiled) for method in ("DDP", "FSDP") for compiled in (True, False)]
    for element in TOLERANCE:
        rows.append(Row("pipeline", element, "weft", split="mpi", keys=["transport=mpi"]))
        rows.append(Row("data", element, "weft", split="weights", keys=["parallel.shard=weights"]))
    return rows


class Bench:
    """The folder, what is in it, and how both sides are run."""

    def __init__(self, options):
        self.weft, self.folder, self.options = os.path.abspath(options.weft), os.path.abspath(options.work), options
        self.model = SIZES[options.size]
        os.makedirs(self.folder, exist_ok=True)
        self.tokens, self.config, self.run_folder = self.place("tokens.bin"), self.place("gpt2.yaml"), self.place("run")
        self.exported, self.splits = self.place("weights"), {}
        self.python, self.preload = None, None

    def place(self, name):
        """Files of one size of the model do not meet those of another."""
        return os.path.join(self.folder, f"{self.options.size}-{name}")

    def log(self, name):
        return open(os.path.join(self.folder, name + ".log"), "w", encoding="utf-8")

    # The Python with torch.

    def find_python(self):
        """Returns False when none is named and none can be made."""
        self.python = self.options.python or os.environ.get("WEFT_PEERS_PYTHON")
        if self.python:
            return True
        venv = os.path.join(self.folder, "venv")
        self.python, done = os.path.join(venv, "bin", "python"), os.path.join(venv, "done")
        if not os.path.exists(done):
            for command in ([sys.executable, "-m", "venv", venv], [self.python, "-m", "pip", "install", "-q", "-U", "torch"]):
                with self.log("pip") as log:
                    if subprocess.run(command, stdout=log, stderr=log, check=False).returncode != 0:
                        return False
            open(done, "w", encoding="utf-8").close()
        return True

    def make_preload(self):
        """The library that keeps MKL off its slow path where the processor is not of Intel, if it makes products faster."""
        if "GenuineIntel" in read_text("/proc/cpuinfo"):
            return
        source, library = os.path.join(self.folder, "intel.c"), os.path.join(self.folder, "intel.so")
        with open(source, "w", encoding="utf-8") as file:
            file.write(INTEL)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        plain, fast = self.time_product({}), self.time_product({"LD_PRELOAD": library})
        print(f"MKL's fp32 product: {plain:.0f} Gflop/s as it is, {fast:.0f} taking the processor for one of Intel; "
              "torch gets the faster", flush=True)
        if fast > plain:
            self.preload = library

    def time_product(self, environment):
        done = subprocess.run([self.python, "-c", PRODUCT, str(THREADS)], env=dict(os.environ, **environment),
                              capture_output=True, check=True)
        return float(done.stdout)

    # What both sides start from.

    def make_inputs(self):
        """A file of exactly one step's tokens, so that each epoch, in whatever order, is the same batch; a configuration."""
        model, source = self.model, random.Random(1)
        count = MICROBATCHES * SEQUENCES * model["tokens"] + 1
        with open(self.tokens, "wb") as file:
            drawn = array.array("H", (int(model["vocabulary"] * source.random() ** 3) for _ in range(count)))
            if sys.byteorder == "big":
                drawn.byteswap()
            drawn.tofile(file)
        sizes = ", ".join(f"{key}: {model[key]}" for key in ("layers", "width", "heads", "vocabulary", "context"))
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"""model: {{{sizes}}}
data: {{path: {self.tokens}, format: nanogpt, held_out: 0}}
batch: {{microbatches: {MICROBATCHES}, sequences: {SEQUENCES}, tokens: {model["tokens"]}}}
optimizer: {{learning_rate: {LEARNING_RATE}, weight_decay: {WEIGHT_DECAY}, decay: constant, clip: 0}}
run: {{folder: {self.run_folder}, timelines: 0}}
""")

    def export_weights(self):
        """Both sides start from these. A step at a learning rate of 0 leaves the initial weights."""
        if os.path.exists(os.path.join(self.exported, "model.safetensors")):
            return
        remove(self.run_folder)
        remove(self.exported)
        with self.log("export") as log:
            for command in (["train", self.config, "run.steps=1", "optimizer.learning_rate=0"],
                            ["export", self.run_folder, "--to", self.exported]):
                subprocess.run([self.weft, *command], stdout=log, stderr=log, check=True)
        remove(self.run_folder)

    def find_split(self, method, which):
        """Layers of each stage: as weft splits them for this order, or as many in each as in another, or one more."""
        kind, loops = SCHEDULES[method]
        if which == "even":
            layers, stages = self.model["layers"], 2 * loops
            return [layers * (stage + 1) // stages - layers * stage // stages for stage in range(stages)]
        if method not in self.splits:
            done = subprocess.run([self.weft, "train", self.config, "--dry-run", "--json", "parallel.pipeline=2",
                                   f"parallel.loops={loops}", f"parallel.schedule={kind}"], capture_output=True, check=True)
            self.splits[method] = [stage["layers"] for stage in json.loads(done.stdout)["stages"]]
        return self.splits[method]

    # Running them.

    def make_peer(self, row):
        ranks = 1 if row.layout == "one" else 2
        job = dict(method=row.method, precision=row.precision, compiled=row.compiled, ranks=ranks, threads=THREADS // ranks,
                   model=self.model, tokens=self.tokens, weights=os.path.join(self.exported, "model.safetensors"),
                   microbatches=MICROBATCHES // (2 if row.layout == "data" else 1), patience=PATIENCE,
                   learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, port=find_port(),
                   split=self.find_split(row.method, row.split) if row.layout == "pipeline" else None)
        threads = str(job["threads"])
        environment = dict(os.environ, **MEMORY, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads, GLOO_SOCKET_IFNAME="lo",
                           CUDA_VISIBLE_DEVICES="", TORCHINDUCTOR_CACHE_DIR=os.path.join(self.folder, "inductor"),
                           TORCHINDUCTOR_COMPILE_THREADS="1")
        if self.preload:
            environment["LD_PRELOAD"] = self.preload
        return Peer(self.python, job, environment, os.path.join(self.folder, row.name + ".log"))

    def make_weft(self, row, more=()):
        folder = f"{self.run_folder}-{len(more)}"
        command = [self.weft, "train", self.config, f"run.start={self.exported}", f"run.folder={folder}", "run.steps=1000000",
                   f"timeout={PATIENCE}", f"element={row.element}", *WEFT_KEYS[row.layout], *more]
        if "transport=mpi" in more:
            command = ["mpirun", "-n", "2", *command]
        return Weft(command, folder, os.path.join(self.folder, "weft.log"))

    def prepare(self, rows):
        """Has torch compile what it will."""
        for row in (row for row in rows if row.method != "weft"):
            peer = self.make_peer(row)
            try:
                peer.take(1)
            finally:
                peer.end()

    def measure(self, rows):
        """The lines of rows that one weft is beside."""
        sides, wanted = {}, self.options
        started = datetime.datetime.now().isoformat(timespec="seconds")
        try:
            for row in rows:
                sides[row] = self.make_weft(row, row.keys) if row.method == "weft" else self.make_peer(row)
                sides[row].take(wanted.warm)
                sides[row].pause()
            sides[None] = self.make_weft(rows[0])
            sides[None].take(wanted.warm)
            if wanted.gate:
                sides[None].pause()
            with self.hold_quiet([pid for side in sides.values() for pid in side.find_processes()]) as others:
                for turn in range(wanted.turns):
                    for side in list(sides.values())[::1 if turn % 2 else -1]:
                        side.take(wanted.steps, counts=True)
                        side.pause()
        finally:
            for side in sides.values():
                side.end()
        tokens, out = MICROBATCHES * SEQUENCES * self.model["tokens"], []
        wrong = [text for row in rows if (text := compare_losses(row, sides[None], sides[row]))]
        if wrong:
            raise Trouble("; ".join(wrong))
        for row in rows:
            for side in (sides[None], sides[row]):
                who = "weft" if side is sides[None] else side.name
                out += [dict(piece=started, processor=get_processor(), row=row.name, who=who, step=step + 1,
                             seconds=f"{seconds:.4f}", tokens=tokens, loss=f"{side.losses[step]:.6f}", memory=side.memory,
                             others=f"{others[0]:.3f}") for step, seconds in side.seconds]
        return out

    @contextlib.contextmanager
    def hold_quiet(self, pids):
        """With --gate what is measured runs at niceness 0 while that command does. Gives a list that has, in the end, the
        share of the processors that others used."""
        command, others, own_niceness = shlex.split(self.options.gate or ""), [], os.getpriority(os.PRIO_PROCESS, 0)
        for pid in [os.getpid(), *pids] if command else []:
            for task in os.listdir(f"/proc/{pid}/task"):
                os.setpriority(os.PRIO_PROCESS, int(task), 0)
        gate = subprocess.Popen([*command, "sh", "-c", "echo; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        gate.stdout.readline()
        begin, own, busy = time.monotonic(), read_own_seconds(pids), read_busy_seconds()
        try:
            yield others
            if gate.poll() is not None:
                raise Trouble("what keeps the machine quiet ended too early")
        finally:
            gate.stdin.close()
            gate.wait()
            os.setpriority(os.PRIO_PROCESS, 0, own_niceness)
        used = read_busy_seconds() - busy - (read_own_seconds(pids) - own)
        others.append(max(0.0, used / (time.monotonic() - begin) / os.cpu_count()))


class Side:
    """What is measured: losses of all steps, the seconds of those that count, by step, and bytes of memory."""

    def __init__(self):
        self.seconds, self.losses, self.memory = [], [], 0


class Peer(Side):
    """PyTorch, in one process or two, each of which makes steps when it is told."""

    def __init__(self, python, job, environment, log):
        super().__init__()
        self.log, self.name = log, None
        with open(log, "w", encoding="utf-8") as file:
            self.processes = [subprocess.Popen([python, os.path.join(HERE, "contender.py"), json.dumps(dict(job, rank=rank))],
                                               env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file)
                              for rank in range(job["ranks"])]

    def take(self, steps, counts=False):
        try:
            for process in self.processes:
                process.stdin.write(f"{steps}\n".encode())
                process.stdin.flush()
            said = [json.loads(process.stdout.readline()) for process in self.processes]
        except (OSError, ValueError) as error:
            raise Trouble(f"it failed: see {self.log}") from error
        if counts:
            self.seconds += [(len(self.losses) + i, max(own)) for i, own in enumerate(zip(*(one["seconds"] for one in said)))]
        self.losses += next(one["losses"] for one in said if one["losses"][0] is not None)
        self.memory, self.name = sum(one["memory"] for one in said), "torch " + said[0]["torch"]

    def pause(self):
        """It waits for its next turn by itself."""

    def find_processes(self):
        return [process.pid for process in self.processes]

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


class Weft(Side):
    """weft, which is stopped between its turns. The step that it is stopped in does not count."""

    def __init__(self, command, folder, log):
        super().__init__()
        self.folder, self.log, self.name, self.paused = folder, log, "weft, too", False
        self.program = os.path.basename(next(word for word in command if word not in ("mpirun", "-n", "2")))[:15]
        remove(folder)
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        with open(log, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)

    def read_steps(self):
        lines = read_text(os.path.join(self.folder, "metrics.jsonl")).splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def take(self, steps, counts=False):
        first = len(self.losses) + (1 if self.paused else 0)
        if self.paused:
            self.signal(signal.SIGCONT)
            self.paused = False
        while len(said := self.read_steps()) < first + steps:
            if self.process.poll() is not None:
                raise Trouble(f"weft ended: see {self.log}")
            time.sleep(0.02)
        if counts:
            self.seconds += [(step, said[step]["seconds"]) for step in range(first, first + steps)]
        self.losses = [one["loss"] for one in said[:first + steps]]
        self.memory = sum(map(read_peak_memory, self.find_processes()))

    def pause(self):
        self.signal(signal.SIGSTOP)
        self.losses, self.paused = [one["loss"] for one in self.read_steps()], True

    def find_processes(self):
        """Those of all below the process that was started which are weft, and not mpirun."""
        parents = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            fields = read_text(f"/proc/{entry}/stat").rpartition(")")[2].split()
            if len(fields) > 1:
                parents.setdefault(int(fields[1]), []).append(int(entry))
        family = [self.process.pid]
        for one in family:
            family += parents.get(one, [])
        return [one for one in family if read_text(f"/proc/{one}/comm").strip() == self.program]

    def signal(self, number):
        for pid in self.find_processes():
            os.kill(pid, number)

    def end(self):
        """At once, as a signal that weft hears would have it write a checkpoint. mpirun then ends by itself."""
        self.signal(signal.SIGKILL)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        remove(self.folder)


def compare_losses(row, weft, peer):
    """None, or how they differ."""
    for step, (own, other) in enumerate(zip(weft.losses[:3], peer.losses)):
        limit = TOLERANCE[row.element][step > 0]
        if not abs(own - other) <= limit:
            return f"the loss of {row.name}'s step {step + 1} is {other:.6f} where weft has {own:.6f}, more than {limit} apart"
    return None


def read_text(path):
    """Empty where there is no file, or its process has just ended."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)


def find_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read_peak_memory(pid):
    found = [line for line in read_text(f"/proc/{pid}/status").splitlines() if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) * 1024 if found else 0


def read_own_seconds(pids):
    """Of processors, that these processes and this one have used."""
    fields = [read_text(f"/proc/{pid}/stat").rpartition(")")[2].split() for pid in [os.getpid(), *pids]]
    return sum(int(own[11]) + int(own[12]) for own in fields if own) / os.sysconf("SC_CLK_TCK")


def read_busy_seconds():
    """Of all processors together; what a host takes from a virtual machine counts."""
    user, nice, system, _, _, irq, softirq, steal = map(int, read_text("/proc/stat").split(maxsplit=9)[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def get_processor():
    names = [line.partition(":")[2].strip() for line in read_text("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    features = read_text("/proc/cpuinfo")
    kind = next((word for flag, word in ((" amx_bf16", "AMX"), (" avx512_bf16", "AVX512_BF16"), (" avx512f", "AVX-512"))
                 if flag in features), "no AVX-512")
    return f"{len(names)} cores, {names[0] if names else 'unknown'}, {kind}"


def append(path, lines):
    new = not os.path.exists(path)
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        if new:
            writer.writeheader()
        writer.writerows(lines)


def tell(lines):
    for row, who in dict.fromkeys((line["row"], line["who"]) for line in lines):
        own = [line for line in lines if line["row"] == row and line["who"] == who]
        print(f"{row}: {who}:", *(f"{float(line['tokens']) / float(line['seconds']):.0f}" for line in own), "tokens/s,",
              f"others {float(own[0]['others']):.0%}", flush=True)


def make_groups(rows, most):
    """Lists of rows that are beside the same weft, each of at most so many."""
    groups = []
    for row in rows:
        if row.compiled and not shutil.which(os.environ.get("CXX", "g++")):
            print(f"{row.name}: left out: there is no C++ compiler")
        elif groups and len(groups[-1]) < most and (groups[-1][0].layout, groups[-1][0].element) == (row.layout, row.element):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def read_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weft")
    parser.add_argument("work")
    parser.add_argument("--only", action="append", metavar="ROW", help="contenders of these names; * and ? stand for others")
    parser.add_argument("--list", action="store_true", help="name the contenders")
    parser.add_argument("--prepare", action="store_true", help="run what is needed before, and each contender for a step")
    parser.add_argument("--quick", action="store_true", help="a tiny model, one step, one turn")
    parser.add_argument("--size", choices=SIZES, help="of the model (124M)")
    parser.add_argument("--steps", type=int, help="that count, of each side in each turn (3)")
    parser.add_argument("--warm", type=int, default=2, help="steps before them, which do not, at least 1 (2)")
    parser.add_argument("--turns", type=int, help="of each side (2)")
    parser.add_argument("--together", type=int, default=1, help="contenders that one weft is beside, all in memory at once (1)")
    parser.add_argument("--gate", metavar="COMMAND", help="keeps the machine quiet while the command behind it runs")
    parser.add_argument("--python", help="one that has torch")
    options = parser.parse_args()
    options.size = options.size or ("tiny" if options.quick else "124M")
    options.steps, options.warm = options.steps or (1 if options.quick else 3), max(1, options.warm)
    options.turns = options.turns or (1 if options.quick else 2)
    return options


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended, too
    options = read_options()
    rows = [row for row in make_rows() if any(fnmatch.fnmatchcase(row.name, word) for word in options.only or ["*"])]
    if options.list:
        print(*(row.name for row in rows), sep="\n")
        return 0
    if not rows:
        print("run.py: no contender has such a name (--list names them)", file=sys.stderr)
        return 2
    bench = Bench(options)
    if not bench.find_python():
        print("skipped: no torch here, and PyPI cannot be reached")
        return 77
    try:
        bench.make_preload()
        bench.make_inputs()
        bench.export_weights()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"run.py: {error}; {bench.folder}/export.log may say why", file=sys.stderr)
        return 1
    results, failed = bench.place("results.csv"), 0
    for group in make_groups(rows, options.together):
        names = ", ".join(row.name for row in group)
        try:
            if options.prepare:
                bench.prepare(group)
                print(f"{names}: ready", flush=True)
                continue
            lines = bench.measure(group)
            append(results, lines)
            tell(lines)
        except (Trouble, subprocess.CalledProcessError) as trouble:
            print(f"{names}: {trouble}", file=sys.stderr, flush=True)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
