#!/usr/bin/env python3
"""TensorBoard's own reader against metrics.jsonl: a run, and the same run resumed from a checkpoint before its end.

    python3 tools/tensorboard_events.py WEFT    # WEFT: the built program

Where there is no tensorboard, pip fetches it into a folder that is removed in the end. Prints what was compared. Status 0
when every scalar is as metrics.jsonl has it, 1 when not, 77 when there is no tensorboard and PyPI cannot be reached.
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

KEYS = {"train": ["loss", "gradient_norm", "learning_rate", "tokens_per_second", "seconds"],
        "held_out": ["loss", "bits_per_byte"]}
SETTINGS = ["run.steps=30", "run.tensorboard=true", "run.evaluate_every=4", "run.evaluate_batches=1", "checkpoint.every=10",
            "checkpoint.keep=0"]
CONFIG = """model: {layers: 2, width: 16, heads: 2, feed_forward: 32, context: 16}
data: {path: %s}
batch: {microbatches: 2}
threads: 1
"""


def fetch(folder):
    """Runs this script again by a Python that has tensorboard."""
    python = os.path.join(folder, "bin", "python")
    made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, check=False)
    if made.returncode == 0:
        made = subprocess.run([python, "-m", "pip", "install", "-q", "tensorboard"], capture_output=True, check=False)
    if made.returncode != 0:
        print("skipped: no tensorboard here, and it cannot be installed")
        return 77
    return subprocess.run([python, __file__, *sys.argv[1:], "--fetched"], check=False).returncode


def train(weft, config, folder, *more):
    subprocess.run([weft, "train", config, "run.folder=" + folder, *SETTINGS, *more], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def fp32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def wanted(folder):
    """{tag: [(step, fp32 value), ...]} of metrics.jsonl."""
    out = {}
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        for line in map(json.loads, file):
            part = "held_out" if "evaluation" in line else "train"
            for key in KEYS[part]:
                if line[key] is not None:
                    out.setdefault(part + "/" + key, []).append((line["step"], fp32(line[key])))
    return out


def compare(folder, what):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    reader = EventAccumulator(folder, size_guidance={"scalars": 0})
    reader.Reload()
    got = {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
    want = wanted(folder)
    if got != want:
        for tag in sorted(set(got) | set(want)):
            if got.get(tag) != want.get(tag):
                print(f"{what}: {tag}: TensorBoard has {got.get(tag)}, metrics.jsonl {want.get(tag)}")
        return False
    print(f"{what}: {len(got)} tags, {sum(map(len, got.values()))} scalars are those of metrics.jsonl")
    return len(got) == 7


def cut_end(folder):
    """As a kill may leave the last record."""
    name = max(name for name in os.listdir(folder) if "tfevents" in name)
    path = os.path.join(folder, name)
    os.truncate(path, os.path.getsize(path) - 5)


def check(weft):
    with tempfile.TemporaryDirectory() as folder:
        corpus, config, run = (os.path.join(folder, name) for name in ("corpus.txt", "train.yaml", "run"))
        with open(corpus, "w", encoding="utf-8") as file:
            file.write("the warp and the weft go over and under each other\n" * 400)
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG % corpus)
        train(weft, config, run)
        good = compare(run, "a whole run")
        shutil.rmtree(os.path.join(run, "step-00000030"))
        cut_end(run)
        train(weft, config, run, "--resume", "parallel.pipeline=2")
        good &= compare(run, "resumed at step 20")
        for name in [name for name in os.listdir(run) if name.startswith("step-")]:
            shutil.rmtree(os.path.join(run, name))
        train(weft, config, run, "run.seed=5")
        return compare(run, "another run in the same folder") and good


def main():
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        if "--fetched" in sys.argv:
            return 1
        with tempfile.TemporaryDirectory() as folder:
            return fetch(folder)
    return 0 if check(os.path.abspath(sys.argv[1])) else 1


if __name__ == "__main__":
    sys.exit(main())
