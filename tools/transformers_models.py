#!/usr/bin/env python3
"""Tiny models of every family that weft imports, made by transformers, and what transformers computes of them.

    tools/transformers_models.py make FOLDER                    # tests/convert/oracles, which tests/convert reads
    tools/transformers_models.py check WEFT ORACLES WORK        # ORACLES: tests/convert/test_oracles as it is built
    tools/transformers_models.py speed WEFT WORK [THREADS ...]  # seconds a token of both, by 1 and 2 threads

Every tensor is filled with random numbers: where biases are zero and norms one, a lost one would not show. A folder holds
a model as transformers saves it; gradient/, the same with gradients in place of weights; numbers.txt, lines of a word and
numbers: tokens, the mean loss over them, a prompt and the tokens that follow greedily. Sequences are longer than windows
and than the context that rotary positions are stretched from; the greedy tokens go beyond the model's context, where the
window moves on.

check makes larger models too, and holds weft to transformers: losses, gradients, logits before and after training on two
workers, tensors, greedy tokens. Where this Python has no torch and transformers, pip fetches them into WORK, which is kept.
Status 0 when all agree, 1 when not, 77 when they cannot be had.
"""
import contextlib
import copy
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

TRANSFORMERS, TORCH = "transformers==5.24.0", "torch==2.15.0"
# What torch needs without a GPU: its own list of needs brings the libraries of CUDA, three times its size.
TORCH_NEEDS = ["filelock", "typing_extensions", "sympy", "networkx", "jinja2", "fsspec", "setuptools", "numpy"]

YARN = dict(rope_type="yarn", rope_theta=1000000.0, factor=4.0, original_max_position_embeddings=16)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
STRETCHED = dict(rope_type="yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=16, beta_fast=2.0,
                 beta_slow=0.05, truncate=False, attention_factor=1.3)
# Class, element type of the file, and what config.json says besides the sizes.
MODELS = {
    "gpt2": ("GPT2", "float32", {}),
    "llama2": ("Llama", "bfloat16", dict(rms_norm_eps=1e-5, num_key_value_heads=4)),
    "llama3": ("Llama", "float32", dict(rms_norm_eps=1e-5, rope_theta=500000.0)),
    "llama3.1": ("Llama", "bfloat16", dict(rms_norm_eps=1e-5, head_dim=8, tie_word_embeddings=True, rope=LLAMA3)),
    "llama-linear": ("Llama", "float32", dict(attention_bias=True, mlp_bias=True,
                                              rope=dict(rope_type="linear", rope_theta=10000.0, factor=2.5))),
    "llama-yarn": ("Llama", "bfloat16", dict(head_dim=8, rope=STRETCHED)),
    "smollm2": ("Llama", "bfloat16", dict(rms_norm_eps=1e-5, rope_theta=100000.0, tie_word_embeddings=True,
                                          hidden_size=12, num_attention_heads=3, num_key_value_heads=1)),
    "tinyllama": ("Llama", "float16", dict(rms_norm_eps=1e-5, num_key_value_heads=1)),
    "mistral": ("Mistral", "bfloat16", dict(rms_norm_eps=1e-5, sliding_window=16)),
    "nemo": ("Mistral", "bfloat16", dict(rms_norm_eps=1e-5, rope_theta=1000000.0, head_dim=8, sliding_window=None)),
    "qwen2": ("Qwen2", "bfloat16", dict(rope_theta=1000000.0, tie_word_embeddings=True)),
    "qwen2-yarn": ("Qwen2", "float16", dict(rope=YARN)),
    "qwen3": ("Qwen3", "float16", dict(rope_theta=1000000.0, head_dim=8, tie_word_embeddings=True)),
    "starcoder2": ("Starcoder2", "bfloat16", dict(sliding_window=16)),
}
LIVE_ONLY = ["llama3", "tinyllama"]  # as others of the list
SMALL = dict(vocab_size=40, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64)
LARGE = dict(vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64)
SEQUENCES, PROMPT, GREEDY = 2, 40, 40
MARGIN = 1e-3  # by how much the most probable token leads, so that rounding never decides


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def fetch(work):
    """Where torch and transformers are not, runs this script again with those of WORK/site."""
    site = os.path.join(work, "site")
    if os.environ.get("PYTHONPATH", "") == site:
        skip("torch and transformers cannot be imported from " + site)
    if not os.path.exists(os.path.join(work, "done")):
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--target", site]
        for words in ([TRANSFORMERS, *TORCH_NEEDS], ["--no-deps", TORCH]):
            if subprocess.run(pip + words, capture_output=True, check=False).returncode != 0:
                skip("torch and transformers cannot be had from PyPI")
        with open(os.path.join(work, "done"), "w", encoding="utf-8"):
            pass
    done = subprocess.run([sys.executable, *sys.argv], env=dict(os.environ, PYTHONPATH=site), check=False)
    sys.exit(done.returncode)


@contextlib.contextmanager
def exact():
    """transformers makes norms, softmax and rotary positions in single precision whatever the model's type: in double here."""
    kept = {name: getattr(torch, name) for name in ("float", "float32")}
    kept_method = torch.Tensor.float
    for name in kept:
        setattr(torch, name, torch.float64)
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(torch, name, value)
        torch.Tensor.float = kept_method


def make_config(name, sizes):
    family, dtype, keys = MODELS[name]
    keys = dict(sizes, **{"bos_token_id": 1, "eos_token_id": None, **keys})
    if sizes is LARGE:
        keys.update({key: sizes[key] for key in ("hidden_size", "num_attention_heads") if key in keys})
        keys["num_key_value_heads"] = {1: 1, 4: 4}.get(keys["num_key_value_heads"], 2)
        if "head_dim" in keys:
            keys["head_dim"] = 32
    keys["dtype"] = dtype
    if family == "GPT2":
        names = dict(hidden_size="n_embd", num_hidden_layers="n_layer", num_attention_heads="n_head",
                     max_position_embeddings="n_positions")
        keys = {names.get(key, key): value for key, value in keys.items()
                if key not in ("intermediate_size", "num_key_value_heads")}
    rope = keys.pop("rope", None)
    if rope:
        keys["rope_parameters"] = dict(rope)
    elif "rope_theta" in keys:
        keys["rope_parameters"] = dict(rope_type="default", rope_theta=keys.pop("rope_theta"))
    return getattr(transformers, family + "Config")(**keys)


def make_model(name, sizes, seed):
    """The model with random numbers that its file's element type holds."""
    config = make_config(name, sizes)
    with exact():
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").double().eval()
    generator = torch.Generator().manual_seed(seed)
    scale = 1.0 / (config.hidden_size ** 0.5)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            value = torch.randn(weight.shape, generator=generator) * (scale if weight.dim() == 2 else 0.2)
            if weight.dim() == 1 and key.endswith("weight"):
                value += 1
            weight.copy_(value.to(getattr(torch, MODELS[name][1])))
    return model


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").double().eval()


def make_tokens(model, seed):
    generator = torch.Generator().manual_seed(1000 + seed)
    count = SEQUENCES * model.config.max_position_embeddings + 1
    return torch.randint(1, model.config.vocab_size, (count,), generator=generator)


def loss_of(model, tokens):
    """Mean over sequences that lie one behind the other, as weft cuts them."""
    T = model.config.max_position_embeddings
    logits = model(tokens[:-1].view(-1, T)).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[1:])


def follow(model, prompt, count):
    """Greedy tokens, each from the whole window of as many tokens as the model sees; and the least lead."""
    T, tokens, lead = model.config.max_position_embeddings, list(prompt), float("inf")
    for _ in range(count):
        with torch.no_grad():
            logits = model(torch.tensor([tokens[-T:]]), use_cache=False).logits[0, -1]
        best = logits.topk(2)
        lead = min(lead, (best.values[0] - best.values[1]).item())
        tokens.append(best.indices[0].item())
    return tokens[len(prompt):], lead


def save(folder, model):
    """As transformers does, with gradient/ beside it."""
    gradients = {key: weight.grad.float().contiguous() for key, weight in model.named_parameters()}
    stored = copy.deepcopy(model).to(model.config.dtype)
    stored.save_pretrained(folder)
    os.remove(os.path.join(folder, "generation_config.json"))
    os.makedirs(os.path.join(folder, "gradient"), exist_ok=True)
    shutil.copy(os.path.join(folder, "config.json"), os.path.join(folder, "gradient"))
    save_file(gradients, os.path.join(folder, "gradient", "model.safetensors"), metadata={"format": "pt"})


def make_folder(folder, name, sizes):
    """The first seed is taken whose greedy tokens are not close and not few."""
    T = sizes["max_position_embeddings"]
    for seed in range(1000):
        model = make_model(name, sizes, seed)
        tokens = make_tokens(model, seed)
        with exact():
            greedy, lead = follow(model, tokens[:PROMPT].tolist(), GREEDY)
        if lead > MARGIN and len(set(greedy)) > 8:
            break
    else:
        sys.exit(f"{name}: no seed gives greedy tokens that rounding does not decide")
    assert PROMPT < T < PROMPT + GREEDY
    with exact():
        loss = loss_of(model, tokens)
        loss.backward()
    save(folder, model)
    lines = {"tokens": tokens.tolist(), "loss": [f"{loss.item():.9g}"], "prompt": tokens[:PROMPT].tolist(), "greedy": greedy}
    with open(os.path.join(folder, "numbers.txt"), "w", encoding="utf-8") as file:
        for key, values in lines.items():
            file.write(" ".join([key, *map(str, values)]) + "\n")
    size = sum(os.path.getsize(os.path.join(at, one)) for at, _, files in os.walk(folder) for one in files)
    print(f"{name:<14}seed {seed:<4}loss {loss.item():.6f}  least lead {lead:.4f}, {len(set(greedy))} greedy tokens, {size} bytes",
          flush=True)


def make(folder):
    for name in MODELS:
        if name not in LIVE_ONLY:
            make_folder(os.path.join(folder, name), name, SMALL)
    return 0


def run(*words):
    """What a command prints; its failure is this script's."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(" ".join(words) + "\n" + done.stdout + done.stderr)
    return done.stdout


def numbers(folder, word):
    with open(os.path.join(folder, "numbers.txt"), encoding="utf-8") as file:
        return next(line.split()[1:] for line in file if line.startswith(word + " "))


class Check:
    """Of one folder against weft; counts what differs."""

    def __init__(self, weft, folder, name):
        self.weft, self.folder, self.name, self.wrong = weft, os.path.join(folder, name), name, []
        self.run = os.path.join(folder, name + "-run")
        self.tokens = torch.tensor([int(word) for word in numbers(self.folder, "tokens")])
        self.data = os.path.join(folder, name + ".bin")
        with open(self.data, "wb") as file:
            file.write(struct.pack(f"<{len(self.tokens)}I", *self.tokens.tolist()))

    def expect(self, good, what):
        if not good:
            self.wrong.append(what)

    def logits(self, operand):
        out = self.data + ".logits"
        loss = json.loads(run(self.weft, "evaluate", operand, "--json", "--logits", out, "data.path=" + self.data,
                              "data.format=uint32", "data.tokenizer=", "threads=1"))["loss"]
        return load_file(out)["logits"], loss

    def compare(self, operand, folder, what):
        """weft's logits of a run with those of transformers of a folder, and the difference."""
        model = load(folder)
        with torch.no_grad():
            wanted = model(self.tokens[:-1].view(SEQUENCES, -1)).logits
            loss = loss_of(model, self.tokens).item()
        got, own = self.logits(operand)
        off = (got - wanted).abs().max().item()
        self.expect(off <= 1e-4, f"logits {what}: {off:.3g} apart")
        self.expect(abs(own - loss) <= 1e-5 * loss, f"loss {what}: {own:.9g}, transformers has {loss:.9g}")
        return model, off

    def generate(self, operand, prompt, count, *how):
        return [int(word) for word in run(self.weft, "generate", operand, "--prompt", " ".join(map(str, prompt)), "--tokens",
                                          str(count), "--temperature", "0", *how).split()][len(prompt):]

    def greedy(self, operand, model, what):
        """As far as no two tokens are close; transformers with its cache, and behind the context by windows that move."""
        prompt, T = [int(word) for word in numbers(self.folder, "prompt")], model.config.max_position_embeddings
        wanted, count = [], 0
        for count in range(1, GREEDY + 1):
            one, lead = follow(model, prompt + wanted, 1)
            if lead < MARGIN:
                break
            wanted += one
        self.expect(len(wanted) > T - PROMPT or what != "as it came", f"greedy tokens {what}: close after {len(wanted)}")
        for how in ([], ["--no-cache"]):
            got = self.generate(operand, prompt, max(len(wanted), 1), *how)
            self.expect(got == wanted or not wanted, f"greedy tokens {what}, {how}: {got}, transformers has {wanted}")
        cached = min(len(wanted), T - PROMPT)
        own = model.generate(torch.tensor([prompt]), max_new_tokens=max(cached, 1), do_sample=False)[0, PROMPT:].tolist()
        self.expect(own[:cached] == wanted[:cached], f"greedy tokens {what}: transformers' own cache gives {own}")

    def whole(self, divided):
        """divided: trained by workers that divide each layer, else by a pipeline."""
        weft, out, again = self.weft, self.run + "-out", self.run + "-again"
        run(weft, "import", self.folder, "--out", self.run)
        model, before = self.compare(self.run, self.folder, "as it came")
        self.greedy(self.run, model, "as it came")
        # Out, by the keys that older versions wrote, and in again.
        run(weft, "export", self.run, "--to", out)
        run(weft, "import", out, "--out", again)
        self.expect(torch.equal(self.logits(self.run)[0], self.logits(again)[0]), "logits of what was exported and imported")
        self.compare(self.run, out, "as it left")
        shutil.rmtree(out)
        kv_heads = getattr(model.config, "num_key_value_heads", model.config.num_attention_heads)
        layout = ["parallel.tensor=2"] if divided and kv_heads % 2 == 0 else [
            "parallel.pipeline=2", "parallel.loops=2", "parallel.schedule=breadth-first"]
        run(weft, "train", os.path.join(self.run, "config.yaml"), "--resume", "data.path=" + self.data,
            "data.held_out_path=" + self.data, "data.format=uint32",
            "run.steps=3", "batch.microbatches=2", "batch.sequences=1", "optimizer.learning_rate=1e-2", "optimizer.warmup=0",
            "run.timelines=0", "threads=1", *layout)
        run(weft, "export", self.run, "--to", out)
        model, after = self.compare(self.run, out, "after three steps")
        self.greedy(self.run, model, "after three steps")
        self.expect(not torch.equal(self.logits(self.run)[0], self.logits(again)[0]), "three steps change nothing")
        print(f"{self.name:<14}logits {before:.2g} apart, {after:.2g} after three steps ({layout[0]})", flush=True)
        for line in self.wrong:
            print("    " + line, flush=True)
        return not self.wrong


def check(weft, oracles):
    weft, good = os.path.abspath(weft), True
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            make_folder(os.path.join(folder, name), name, LARGE)
        done = subprocess.run([os.path.abspath(oracles), folder], check=False)
        for number, name in enumerate(MODELS):
            good &= Check(weft, folder, name).whole(number % 2 == 1)
    return 0 if good and done.returncode == 0 else 1


SMOLLM2 = dict(vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
               num_key_value_heads=3, max_position_embeddings=2048, rms_norm_eps=1e-5, tie_word_embeddings=True, eos_token_id=None)
SPEED_PROMPT, SPEED_TOKENS, SPEED_CONTEXT = 16, 128, 512


def difference(generate):
    """Seconds a token: of some more tokens than one, without what comes before the second."""
    seconds = []
    for count in (1, 1 + SPEED_TOKENS):
        begin = time.perf_counter()
        generate(count)
        seconds.append(time.perf_counter() - begin)
    return (seconds[1] - seconds[0]) / SPEED_TOKENS


def speed(weft, work, threads):
    """A model of SmolLM2-135M's shape in fp32, its numbers random."""
    folder, made = os.path.join(work, "smollm2-135m"), os.path.join(work, "smollm2-135m-run")
    if not os.path.exists(made):
        config = transformers.LlamaConfig(**SMOLLM2)
        transformers.AutoModelForCausalLM.from_config(config).float().save_pretrained(folder)
        run(weft, "import", folder, "--context", str(SPEED_CONTEXT), "--out", made)
    model, prompt = transformers.AutoModelForCausalLM.from_pretrained(folder).float().eval(), list(range(100, 100 + SPEED_PROMPT))
    every = sorted(os.sched_getaffinity(0))

    def theirs(count):
        with torch.no_grad():
            model.generate(torch.tensor([prompt]), min_new_tokens=count, max_new_tokens=count, do_sample=False)

    def ours(count):
        run(weft, "generate", made, "--prompt", " ".join(map(str, prompt)), "--tokens", str(count), "--temperature", "0")

    print("threads  weft s/token  transformers  ratio")
    for number in threads:
        os.sched_setaffinity(0, every[:number])  # weft takes a thread for each processor
        torch.set_num_threads(number)
        theirs(2)
        mine, other = difference(ours), difference(theirs)
        print(f"{number:>7}{mine:>14.4f}{other:>14.4f}{other / mine:>7.1f}", flush=True)
    return 0


def main():
    words = sys.argv[1:]
    counts = {"make": 2, "check": 4, "speed": 3}
    if not words or len(words) < counts.get(words[0], len(words) + 1):
        sys.exit(__doc__)
    if words[0] != "speed":
        os.environ["OMP_WAIT_POLICY"] = "passive"  # threads of small models would mostly wait for each other
    global torch, transformers, load_file, save_file
    os.environ.update(TRANSFORMERS_VERBOSITY="error", HF_HUB_OFFLINE="1")
    try:
        import torch
        import transformers
        from safetensors.torch import load_file, save_file
    except ImportError:
        if words[0] == "make":
            sys.exit("torch and transformers are needed here; check WEFT ORACLES WORK fetches them into WORK/site")
        fetch(words[3] if words[0] == "check" else words[2])
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    if words[0] == "speed":
        return speed(words[1], words[2], [int(word) for word in words[3:]] or [1, 2])
    if words[0] == "make":
        return make(words[1])
    return check(words[1], words[2])


if __name__ == "__main__":
    sys.exit(main())
