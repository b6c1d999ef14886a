#!/bin/sh
# A run on text through a tokenizer: the bits of a run on the tokens that weft tokenize makes, from a cache when there is
# one; bits a byte; what does not fit is refused. Usage: tokenizer.sh WEFT FILES [local|mpi]
. "$(dirname "$0")/common.sh"
files=$2
transport=${3:-local}

run() { # NAME ARGUMENTS...
    name=$1
    shift
    timeout 120 "$weft" train "$work/run.yaml" run.steps=4 run.folder="$work/$name" model.vocabulary=512 \
        data.tokenizer="$files/gpt2.json" data.cache="$work/cache" "$@" > "$work/$name.log" 2>&1
}

trains() {
    run "$@" || die "$name: $(tail -n 1 "$work/$name.log")"
}

refused() { # WORDS NAME ARGUMENTS...
    words=$1
    shift
    run "$@"
    status=$?
    [ $status -eq 2 ] || die "$name: status $status, not 2"
    [ "$(grep -c "^weft train: .*$words" "$work/$name.log")" -eq 1 ] || die "$name: it does not say '$words' in a line"
    ok "refused: $words"
}

makers() { cat "$work"/"$1"*.log | grep -c 'kept in'; }

if [ "$transport" = mpi ]; then
    . "$(dirname "$0")/launch.sh"
    launch both 2 "$weft" run.steps=4 parallel.pipeline=2 model.vocabulary=512 data.tokenizer="$files/gpt2.json" \
        data.cache="$work/cache"
    await_launcher
    [ $status -eq 0 ] || die "two processes: status $status"
    [ "$(makers both)" -eq 1 ] || die "two processes: $(makers both) of them tokenised the text"
    trains one
    "$weft" compare "$work/both" "$work/one" > "$work/difference" || die "two processes: $(cat "$work/difference")"
    ok "one process makes the tokens, the others wait"
    exit
fi

trains first --dry-run
grep -q 'is tokenised when the run starts' "$work/first.log" || die "a dry run does not say that there are no tokens yet"
[ ! -e "$work/cache" ] || die "a dry run makes a cache"
trains first
trains second parallel.pipeline=2
"$weft" tokenize --tokenizer "$files/gpt2.json" --out "$work/megatron" "$work/corpus.txt" > "$work/tokenize.log" 2>&1 ||
    die "weft tokenize"
trains third data.path="$work/megatron"
for other in second third; do
    "$weft" compare "$work/first" "$work/$other" > "$work/difference" || die "$other: $(cat "$work/difference")"
    [ "$(makers $other)" -eq 0 ] || die "$other: the text was tokenised again"
done
grep -q 'corpus.txt: 1 document, [0-9]* tokens, kept in ' "$work/first.log" || die "the first run does not say that it keeps tokens"
ok "text is tokenised once, and trained on as its tokens are"

gzip -c "$work/corpus.txt" > "$work/packed.txt.gz"
awk '{ printf "{\"text\": \"%s\\n\"}\n", $0 }' "$work/corpus.txt" > "$work/lines.jsonl"
echo '{"words": 3}' > "$work/bad-lines.jsonl"
trains packed data.path="$work/packed.txt.gz"
"$weft" compare "$work/first" "$work/packed" > "$work/difference" || die "packed: $(cat "$work/difference")"
trains blend "data.sources=[{path: $work/lines.jsonl, weight: 2}, {path: $work/corpus.txt}]" data.documents=mask
ok "JSONL, packed text and blends"

# A picture among texts is left out where it is said that they are texts, or seen by a name; else it is refused.
mkdir "$work/mixed" "$work/mixed-lines"
cp "$work/corpus.txt" "$work/mixed"
cp "$work/lines.jsonl" "$work/mixed-lines"
for folder in mixed mixed-lines; do printf '\211PNG\r\n\032\n\0\0\0\015IHDR' > "$work/$folder/picture.png"; done
trains mixed-run data.path="$work/mixed" data.format=text
"$weft" compare "$work/first" "$work/mixed-run" > "$work/difference" || die "mixed: $(cat "$work/difference")"
trains mixed-lines-run data.path="$work/mixed-lines"
for name in mixed-run mixed-lines-run; do
    grep -q ': 1 file left out as no text, such as .*picture.png' "$work/$name.log" || die "$name: does not tell of the picture"
done
refused 'data.path: .*picture.png: seems to be' picture data.path="$work/mixed"

# With sequences of one token all tokens of the held-out text but its first, which is one byte, are targets.
printf '%%\nThe warp is the set of threads that the weft crosses.\n\303\244 \360\237\247\266\n' > "$work/held.txt"
trains bits data.held_out_path="$work/held.txt" batch.tokens=1
grep '"evaluation"' "$work/bits/metrics.jsonl" | tail -n 1 |
    sed 's/.*"loss":\([^,]*\),"bits_per_byte":\([^,]*\),"tokens":\([0-9]*\).*/\1 \2 \3/' |
    awk -v bytes="$(wc -c < "$work/held.txt")" '{ wanted = $1 / log(2) * $3 / (bytes - 1)
        exit !($2 > 0 && ($2 / wanted - 1) ^ 2 < 1e-18) }' || die "bits a byte: $(tail -n 1 "$work/bits/metrics.jsonl")"
ok "bits a byte are those of the text"

refused 'model.vocabulary: .* tokens: set it' small model.vocabulary=300
refused 'model.vocabulary: .* tokens: set it' small model.vocabulary=300 data.path="$work/megatron"
refused 'data.tokenizer: .*nothing: cannot open' missing data.tokenizer="$work/nothing"
refused 'data.path: .*lines.jsonl:1' bad data.path="$work/bad-lines.jsonl"
refused 'is another tokenizer than that of' first data.tokenizer="$files/llama3.json" run.steps=6 --resume
refused 'has the fingerprint' other data.tokenizer_fingerprint=0123456789abcdef
trains first run.steps=6 --resume
ok "the run goes on with its own tokenizer"

# Text in and out: the same bytes as they come and at once, up to a text to stop at, which may lie in several tokens.
trains sampled run.steps=40 optimizer.learning_rate=0.01 run.sample_tokens=12 run.sample_prompt='The wörp<|endoftext|>'
grep -q '^The wörp<|endoftext|>.' "$work/sampled.log" || die "the sample at the end does not go on from its prompt"
generate() { "$weft" generate "$work/sampled" --prompt 'the warp ' --tokens 40 --temperature 0 "$@" 2>> "$work/sampled.log"; }
generate > "$work/whole.txt" || die "generate"
[ "$(wc -c < "$work/whole.txt")" -gt 45 ] || die "generate prints next to nothing"
generate --json > "$work/whole.json" && grep -q '^{"prompt": "the warp ", "text": "[^0-9]' "$work/whole.json" || die "generate --json"
stop=$(tail -c +25 "$work/whole.txt" | head -c 7)
generate --stop "${stop}xyz" > "$work/missed.txt"
cmp -s "$work/whole.txt" "$work/missed.txt" || die "a text to stop at that does not come changes what does"
generate --stop "$stop" > "$work/stopped.txt" || die "generate --stop"
at=$(tail -c +10 "$work/whole.txt" | grep -obaF -e "$stop" | head -n 1)
{ head -c $((9 + ${at%%:*})) "$work/whole.txt"; echo; } | cmp - "$work/stopped.txt" || die "generate --stop prints other text"
generate --no-cache | cmp - "$work/whole.txt" || die "generate --no-cache prints other text"
status=0
generate --prompt '' > /dev/null || status=$?
[ $status -eq 2 ] || die "an empty prompt: status $status"
status=0
generate --stop '' > /dev/null || status=$?
[ $status -eq 2 ] || die "an empty text to stop at: status $status"
ok "text goes into generation and comes out"

# A full disk, as a limit on the size of a file.
( ulimit -f 100; run full data.cache="$work/other" ) 2> /dev/null
status=$?
[ $status -eq 1 ] && [ "$(grep -c '^weft train: .*tokens.bin.part: cannot write' "$work/full.log")" -eq 1 ] ||
    die "a full disk: status $status, $(tail -n 1 "$work/full.log")"
trains full data.cache="$work/other"
"$weft" compare "$work/full" "$work/third" > "$work/difference" || die "after a full disk: $(cat "$work/difference")"
ok "a full disk is one line"
