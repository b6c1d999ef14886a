#!/bin/sh
# All numbers of docs/52b.md: writes its tables anew from `weft plan`.
#
#     tools/make_52b.sh [WEFT]        from the root of the repository; WEFT: build/weft
set -eu

weft=${1:-build/weft}
page=docs/52b.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Flops of one sequence with all layers computed again: 96 s l h^2 (1 + s / 6h + V / 16 l h), as the paper counts.
flops=$(awk 'BEGIN { s = 1024; l = 64; h = 8192; V = 30592
                     printf "%.6e", 96 * s * l * h * h * (1 + s / (6 * h) + V / (16 * l * h)) }')
shares="0.125 0.25 0.5 1 2 4"

batches() {
    for share in $shares; do awk -v n="$1" -v x="$share" 'BEGIN { printf "%d\n", n * x }'; done | paste -s -d, -
}

# The best plan of each batch that leaves no GPU idle: batch, Tflop/s a GPU, layout. Flops of the model alone where
# recomputation is left open.
best() { # GPUs MODEL CLUSTER FIX
    case $4 in *recompute=full*) counted=$flops ;; *) counted=0 ;; esac
    "$weft" plan "$2" "$3" --gpus "$1" --batch "$(batches "$1")" --top 50 --csv --fix "$4" |
        awk -F, -v flops="$counted" '
            NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
            $at["idle_gpus"] > 0 || $at["batch"] in seen { next }
            {
                seen[$at["batch"]] = 1
                reached = flops * $at["batch"] / $at["step_s"] / $at["gpus"] / 1e12
                if (flops == 0) reached = $at["model_tflops_per_gpu"]
                printf "%d %.1f %d.%d.%d.%d.%d %s\n", $at["batch"], reached, $at["data"], $at["tensor"], $at["pipeline"], $at["loops"], $at["micro_batch"], $at["shard"]
            }'
}

# One row a batch: what each way reaches, and what breadth-first gains over the two others.
table() { # MODEL CLUSTER RIVAL-CLUSTER EXTRA
    echo '| GPUs | batch/GPU | breadth-first | depth-first | 1f1b | no pipeline, sharded weights | gain over depth-first | over 1f1b | best breadth-first layout |'
    echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- |'
    for gpus in 64 512 4096; do
        best "$gpus" "$1" "$2" "schedule=breadth-first$4" > "$work/bf"
        best "$gpus" "$1" "$3" "schedule=depth-first$4" > "$work/df"
        best "$gpus" "$1" "$3" "schedule=1f1b$4" > "$work/1f1b"
        best "$gpus" "$1" "$2" "schedule=none,shard=weights$4" > "$work/none"
        awk -v gpus="$gpus" -v names="$work/bf $work/df $work/1f1b $work/none" -v shares="$shares" '
            function gain(a, b) { return a > 0 && b > 0 ? sprintf("%+.0f %%", 100 * (a / b - 1)) : "" }
            BEGIN {
                files = split(names, name, " ")
                for (k = 1; k <= files; k++)
                    while ((getline line < name[k]) > 0) {
                        split(line, word, " ")
                        value[k, word[1]] = word[2]
                        layout[k, word[1]] = word[3] " " word[4]
                    }
                rows = split(shares, share, " ")
                for (r = 1; r <= rows; r++) {
                    b = int(gpus * share[r])
                    text = share[r] < 1 ? "1/" 1 / share[r] : share[r]
                    printf "| %d | %s | %s | %s | %s | %s | %s | %s | %s |\n", gpus, text, value[1, b], value[2, b],
                        value[3, b], value[4, b], gain(value[1, b], value[2, b]), gain(value[1, b], value[3, b]),
                        layout[1, b]
                }
            }'
    done
}

# Puts a file between the marks of that name.
place() { # NAME FILE
    awk -v name="$1" -v file="$2" '
        $0 == "<!-- table: " name " -->" { print; while ((getline line < file) > 0) print line; skip = 1; next }
        $0 == "<!-- end -->" { skip = 0 }
        !skip' "$page" > "$work/page"
    cat "$work/page" > "$page"
}

v100=examples/dgx1-v100.yaml
h100=examples/dgx-h100.yaml
table examples/52b.yaml "$v100" examples/dgx1-v100-megatron.yaml ,recompute=full > "$work/table"
place v100 "$work/table"
table examples/52b.yaml "$v100" "$v100" ,recompute=full > "$work/table"
place v100-equal "$work/table"
table examples/52b-flash.yaml "$h100" examples/dgx-h100-megatron.yaml "" > "$work/table"
place h100 "$work/table"
