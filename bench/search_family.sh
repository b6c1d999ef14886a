#!/bin/sh
# How good an order weft search has after a while, over sixty random cases in little memory: P = 3 to 6, one to three
# stages a rank, 4 to 16 micro-batches, caps from the least feasible, whole costs from 1 to 9, messages of 0 to 3.
#
#     search_family.sh run WEFT LIMIT [CASE ...]    a line a case: its number, the step found, the bound. LIMIT: flags, such
#                                                   as "--seconds 1", or "--work 30000000" for about a second of one core
#     search_family.sh table LABEL=FILE ...         what such runs found, and how far above the least of them
#
# A case is a function of its number, so that runs of different programs can be compared.
set -eu

# flags CASE: of weft search
flags() {
    awk -v n="$1" '
        function roll(sides) { seed = (seed * 69069 + 12345) % 2147483648; return int(seed / 65536) % sides }
        function costs(  list, s) { for (s = 0; s < P * V; s++) list = list (s ? "," : "") 1 + roll(9); return list }
        BEGIN {
            round = int(n / 12); P = 3 + n % 4; V = 1 + int(n / 4) % 3; M = 4 + 3 * round
            if (P * V * M > 256) M = int(256 / (P * V))
            seed = n + 1; for (i = 0; i < 8; i++) roll(2)
            printf "--pipeline %d --loops %d --microbatches %d --memory-cap %d", P, V, M, V + (n + round) % 5
            printf " --forward %s --backward-input %s --backward-weight %s --comm %d", costs(), costs(), costs(), roll(4)
        }'
}

run() {
    weft=$1 limit=$2
    shift 2
    [ $# -gt 0 ] || set -- $(seq 0 59)
    for case; do
        # shellcheck disable=SC2046,SC2086 # flags are words
        "$weft" search $(flags "$case") $limit --json | awk -v n="$case" '
            /"step_time"/ && step == "" { step = $2 + 0 }
            /"bound"/ { bound = $2 + 0 }
            END { print n, step, bound }'
    done
}

# The cases that all files have.
table() {
    awk '
        BEGIN {
            for (i = 1; i < ARGC; i++) { label[i] = ARGV[i]; sub(/=.*/, "", label[i]); sub(/^[^=]*=/, "", ARGV[i]) }
            files = ARGC - 1
        }
        FNR == 1 { file++ }
        { step[file, $1] = $2; seen[$1]++; if (!($1 in least) || $2 < least[$1]) least[$1] = $2
          if ($3 > bound[$1]) bound[$1] = $3 }
        END {
            printf "case   bound   least"
            for (i = 1; i <= files; i++) printf "  %16s", label[i]
            printf "\n"
            for (n = 0; n < 60; n++) {
                if (seen[n] < files) continue
                count++
                printf "%4d  %6g  %6g", n, bound[n], least[n]
                for (i = 1; i <= files; i++) {
                    above = 100 * (step[i, n] / least[n] - 1)
                    printf "  %6g %7.2f %%", step[i, n], above
                    sum[i] += above; if (above > most[i]) most[i] = above; within[i] += above <= 5
                }
                printf "\n"
            }
            printf "\n%d cases; above the least: mean, most, within 5 %%\n", count
            for (i = 1; i <= files; i++)
                printf "%-16s %8.2f %% %8.2f %% %6d\n", label[i], sum[i] / count, most[i], within[i]
        }' "$@"
}

case ${1:-} in
run | table) "$@" ;;
*) sed -n 's/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
