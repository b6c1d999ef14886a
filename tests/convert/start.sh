#!/bin/sh
# start.sh WEFT MAKE [mpi]: a run that starts from a folder or a GGUF file, at any layout, has the bits of one that goes on
# from the same imported; what starts from a checkpoint has those of its export. What is wrong with a folder is one line with
# status 2, whichever worker finds it, and there is no run then.
set -eu
weft=$(realpath "$1") make=$(realpath "$2") transport=${3:-local}
tokenizer=$(realpath "$(dirname "$0")/../tokenizer/files/gpt2.json")
mpirun='' mpirun_options=''
if [ "$transport" = mpi ]; then
    . "$(dirname "$0")/../transport/mpi.sh"
    find_mpirun "$weft" || exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
awk 'BEGIN { for (i = 0; i < 800; i++) printf "%c%c%c%c", (i * 7 + int(i / 5)) % 23, 0, 0, 0 }' >tokens.bin
cat >start.yaml <<'END'
run: {steps: 3, timelines: 0}
data: {path: tokens.bin, format: uint32, held_out: 0.1}
batch: {microbatches: 2}
optimizer: {learning_rate: 0.01}
threads: 1
device: reference
timeout: 60
END
runs=0

die() {
    echo "FAILED: $*" >&2
    cat ./*.log >&2 2>/dev/null || true
    exit 1
}

weft_of() { # WORKERS ARGUMENTS...
    workers=$1
    shift
    if [ "$transport" = mpi ]; then
        # shellcheck disable=SC2086 # options are several words
        "$mpirun" $mpirun_options -n "$workers" "$weft" "$@" transport=mpi
    else
        "$weft" "$@"
    fi
}

train() { # RUN WORKERS KEYS...
    run=$1 workers=$2
    shift 2
    runs=$((runs + 1))
    weft_of "$workers" train start.yaml run.folder="$run" --resume "$@" >"$run.log" 2>&1 || die "$run"
}

same() { # NAME FOLDER WORKERS KEYS...: the start from it and from the import
    name=$1 from=$2 count=$3
    shift 3
    rm -rf imported started
    "$weft" import "$from" --out imported >/dev/null
    train imported "$count" run.start="$from" "$@"
    grep -q "run.start $from is not read: imported holds a checkpoint" imported.log || die "$name: no note"
    train started "$count" run.start="$from" "$@"
    ! grep -q 'is not read' started.log || die "$name: a note"
    "$weft" compare imported started >compare.log || die "$name: other bits"
    cmp started/source/config.json imported/source/config.json || die "$name: no source"
}

refused() { # NAME PATTERN WORKERS ARGUMENTS...
    name=$1 pattern=$2 workers=$3
    shift 3
    status=0
    weft_of "$workers" "$@" run.folder=refused >refused.out 2>refused.log || status=$?
    [ $status -eq 2 ] || die "$name: status $status instead of 2"
    grep -q "$pattern" refused.log || die "$name: the message does not say '$pattern'"
    [ "$(grep -c '^weft' refused.log)" -eq 1 ] || die "$name: more than one message"
    [ ! -s refused.out ] || die "$name: something was printed"
    [ ! -e refused ] || die "$name: something was written"
}

for family in gpt2 qwen3; do "$make" . $family; done
same gpt2-tensor gpt2 2 parallel.tensor=2
same qwen3-pipeline qwen3 2 parallel.pipeline=2
same qwen3-sharded qwen3 2 parallel.data=2 parallel.shard=weights element=bf16
if [ "$transport" = local ]; then
    for family in llama llama3.1 llama-bias mistral qwen2 starcoder2; do "$make" . $family parts; done
    same gpt2-loops gpt2 1 parallel.loops=2
    same gpt2-bf16 gpt2 1 element=bf16
    same llama llama 4 parallel.tensor=2 parallel.pipeline=2 parallel.loops=1
    same llama3.1 llama3.1 2 parallel.pipeline=2 parallel.schedule=1f1b
    same bias llama-bias 4 parallel.tensor=2 parallel.data=2 parallel.shard=weights
    same mistral mistral 2 parallel.data=2 parallel.shard=gradients
    same qwen2 qwen2 2 parallel.tensor=2
    same starcoder2 starcoder2 2 parallel.tensor=2 element=bf16
fi

# Weights alone, of a checkpoint as of its export: fresh moments, step 1, other data.
train first 1 run.start=qwen3
"$weft" export first --to exported >/dev/null
"$weft" export first --gguf model.gguf >/dev/null
same gguf model.gguf 2 parallel.pipeline=2
head -c 2400 tokens.bin >other.bin
train again 2 run.start=first/step-00000003 data.path=other.bin parallel.pipeline=2
train whole 1 run.start=first data.path=other.bin
train export 1 run.start=exported data.path=other.bin
"$weft" compare again export >compare.log || die "a checkpoint: other bits"
"$weft" compare whole export >compare.log || die "a run: other bits"
cmp again/source/config.json qwen3/config.json || die "a checkpoint: no source"
# What a run started from may be gone once it has a checkpoint, which has the model then.
mv first gone
train again 2 run.start=first/step-00000003 data.path=other.bin parallel.pipeline=2 run.steps=5
train export 1 run.start=exported data.path=other.bin run.steps=5
"$weft" compare again export >compare.log || die "a run that goes on: other bits"

"$weft" evaluate model.gguf data.path=tokens.bin data.format=uint32 | tail -n +2 >one.txt
"$weft" evaluate exported data.path=tokens.bin data.format=uint32 | tail -n +2 >two.txt
cmp one.txt two.txt || die "an evaluation of a GGUF file"
"$weft" generate model.gguf --prompt "$(printf '\001\002')" --tokens 3 --temperature 0 >one.txt
"$weft" generate exported --prompt "$(printf '\001\002')" --tokens 3 --temperature 0 >two.txt
cmp one.txt two.txt || die "a text of a GGUF file"

# Files of the folder come out again; a smaller context is taken; what belongs to an earlier start goes.
echo '{"a": 1}' >qwen3/generation_config.json
"$weft" config start.yaml run.start=qwen3 | grep -q "  head_width: 8  # start" || die "no origin"
train kept 1 run.start=qwen3 model.context=8
"$weft" export kept --to out >/dev/null
cmp out/generation_config.json qwen3/generation_config.json || die "a file of the folder is missing"
grep -q '"max_position_embeddings": 16' out/config.json || die "another context"
"$weft" export kept/step-00000003// --to out-slash >/dev/null
(cd kept/step-00000003 && "$weft" export . --to ../../out-inside >/dev/null)
for out in out-slash out-inside; do
    cmp $out/generation_config.json qwen3/generation_config.json || die "$out: a file is missing"
done
rm -rf kept/step-*
train kept 1 run.start=exported
[ ! -e kept/source/generation_config.json ] || die "a file of an earlier start is left"
# A folder that lies where a run keeps its files stays as it is.
mkdir own
cp -r qwen3 own/source
train own 1 run.start=own/source
for file in config.json generation_config.json; do
    cmp own/source/$file qwen3/$file || die "a start in RUN/source loses $file"
done
"$weft" evaluate qwen3 data.path=tokens.bin data.format=uint32 --json >one.json
weft_of 2 evaluate qwen3 data.path=tokens.bin data.format=uint32 --json parallel.pipeline=2 >two.json
cmp one.json two.json || die "an evaluation at another layout"
"$weft" import qwen3 --out run >/dev/null
"$weft" evaluate run data.path=tokens.bin data.format=uint32 --json | sed 's/"run.step-00000000"/"qwen3"/' >three.json
cmp one.json three.json || die "an evaluation of what was imported"
"$weft" generate qwen3 --prompt "$(printf '\001\002')" --tokens 3 --temperature 0 >one.txt
"$weft" generate run --prompt "$(printf '\001\002')" --tokens 3 --temperature 0 >two.txt
cmp one.txt two.txt || die "another text"

# A fault in what one worker reads.
"$make" . qwen3 nan
for layout in parallel.pipeline=2 parallel.tensor=2 parallel.data=2 "parallel.data=2 parallel.shard=weights"; do
    # shellcheck disable=SC2086 # a list of keys
    refused "nan, $layout" 'qwen3/model.safetensors: tensor "model.layers.1.mlp.down_proj.weight" holds a number that' 2 \
        train start.yaml run.start=qwen3 $layout
done
"$make" . qwen3 tied
refused tied 'tensor "lm_head.weight" is not the embedding' 2 train start.yaml run.start=qwen3 parallel.tensor=2
"$make" . qwen3 parts
rm qwen3/model-00002-of-00003.safetensors
refused missing 'run.start: qwen3/model-00002-of-00003.safetensors: cannot open' 2 train start.yaml run.start=qwen3 parallel.pipeline=2
"$make" . qwen3
truncate -s 5000 qwen3/model.safetensors
refused truncated 'qwen3/model.safetensors: truncated' 2 train start.yaml run.start=qwen3 parallel.pipeline=2
[ "$transport" = local ] || exit 0

refused "dry run" 'qwen3/model.safetensors: truncated' 1 train start.yaml run.start=qwen3 --dry-run
refused "a key" "model.width: is 32, but the model in gpt2 has 16" 1 train start.yaml run.start=gpt2 model.width=32
refused "a longer context" "model.context: is 17, but the model in gpt2 has 16" 1 train start.yaml run.start=gpt2 model.context=17
refused "no start" 'run.start: none: no such checkpoint, run folder, folder of Hugging Face or GGUF file' 1 train start.yaml run.start=none
refused "a file" 'run.start: tokens.bin: is no GGUF file' 1 train start.yaml run.start=tokens.bin
echo '{}' >gpt2/tokenizer.json
refused "a tokenizer" 'data.tokenizer (start): gpt2/tokenizer.json' 1 train start.yaml run.start=gpt2
train without 1 run.start=gpt2 data.tokenizer=
"$weft" generate gpt2 --prompt "$(printf '\001')" --tokens 2 --temperature 0 >one.txt 2>note.log || die "generate with such a tokenizer"
grep -q 'note: .*goes on without a tokenizer' note.log || die "no note of a tokenizer"
printf 'run: {start: gpt2}\ndata: {path: none}\nmodel: {context: 8}\n' >plan.yaml
"$weft" plan plan.yaml H100-SXM-80GB >plan.txt 2>plan.log || die "a plan"
grep -q '2 layers of 16' plan.txt && grep -q 'sequences of 8 tokens' plan.txt || die "a plan of another model"
sed -i 's/"model_type": "gpt2",/&"logit_scale": 2,/' gpt2/config.json
refused "mathematics" 'run.start: gpt2/config.json:1:.*logit_scale: weft does not know' 1 train start.yaml run.start=gpt2
if "$weft" evaluate gpt2 data.path=tokens.bin 2>evaluate.log; then die "evaluated"; fi
grep -q 'logit_scale' evaluate.log || die "evaluate does not refuse"

# Text goes through the folder's tokenizer, and through the copy of it where the folder is gone.
awk 'BEGIN { for (i = 0; i < 900; i++) printf "%s%s", i % 3 ? "loom" : "the weft", i % 7 ? " " : "\n" }' >words.txt
export XDG_CACHE_HOME="$folder/cache"
"$weft" train start.yaml run.folder=words run.steps=1 model.layers=1 model.width=16 model.heads=2 model.vocabulary=512 model.context=16 \
    model.architecture=llama >words.log 2>&1 || die words
"$weft" export words --to words-out >/dev/null
cp "$tokenizer" words-out/tokenizer.json
"$weft" import words-out --out words-run >/dev/null
"$weft" evaluate words-out data.path=words.txt --json >one.json 2>words.log || die "an evaluation of text"
"$weft" evaluate words-run data.path=words.txt --json 2>words.log | sed 's/"words-run.step-00000000"/"words-out"/' >two.json
cmp one.json two.json || die "an evaluation of text by what was imported"
if grep -q '"bits_per_byte": null' one.json; then die "no bits a byte"; fi
train text 1 run.start=words-out data.path=words.txt data.format=text
for model in words-out text; do
    "$weft" generate $model --prompt "the loom" --tokens 3 --temperature 0 >one.txt || die "generate $model"
    grep -q '^the loom' one.txt || die "$model: $(cat one.txt)"
done
mv words-out words-gone
"$weft" generate text --prompt "the loom" --tokens 3 --temperature 0 >two.txt || die "generate without the folder"
cmp one.txt two.txt || die "another text without the folder"
train text 1 run.start=words-out data.path=words.txt data.format=text run.steps=4

# Nothing of a folder stays in memory: a run that starts from 49 MiB of weights is as large as one that makes its own.
model='model.layers=1 model.width=64 model.heads=2 model.vocabulary=200000 model.context=8'
peak() { sed -n 's/.*"peak_resident_bytes": \([0-9]*\).*/\1/p' "$1"; }
# shellcheck disable=SC2086 # a list of keys
"$weft" train start.yaml run.folder=wide run.steps=1 $model batch.microbatches=1 device=cpu --json >wide.json 2>wide.log || die wide
"$weft" export wide --to wide-out >/dev/null
"$weft" train start.yaml run.folder=wide-again run.start=wide-out run.steps=1 batch.microbatches=1 device=cpu --json >again.json 2>again.log ||
    die "a wide start"
size=$(wc -c <wide-out/model.safetensors)
[ $(($(peak again.json) - $(peak wide.json))) -lt $((size / 4)) ] || die "$(peak wide.json) bytes, with a start $(peak again.json)"
echo "$runs runs"
