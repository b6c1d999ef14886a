#!/bin/sh
# options.sh WEFT ROOT: each option of each verb is in the verb's usage and on the page of the command line, and each
# verb with its operands on that page and in README.md.
set -eu
weft=$1 page=$2/docs/cli.md readme=$2/README.md
checked=0
# names WORDS PAGE: the page has these words, blanks counted once
names() { sed -e 's/\\|/|/g' -e 's/   */ /g' "$2" | grep -qF -e "$1" || { echo "'$1' is not in $2"; exit 1; }; }

for verb in $("$weft" help | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p'); do
    help=$("$weft" "$verb" --help)
    usage=$(printf '%s\n' "$help" | sed '/^$/,$d')
    operands=$(printf '%s\n' "$usage" | sed -n '1s/ \[*--.*//; 1s/^usage: //p')
    names " $operands" "$page"
    names "| \`$operands" "$readme"
    for option in $(printf '%s\n' "$help" | sed -n 's/^  \(--[a-z-]*\) .*/\1/p' | grep -vx -e --help); do
        case " $usage " in
        *[\ \[]"$option"[]\ ]*) ;;
        *) echo "$option is not in the usage of weft $verb"; exit 1 ;;
        esac
        grep -q -e "$option\\b" "$page" ||
            { echo "$option of weft $verb is not in $page"; exit 1; }
        checked=$((checked + 1))
    done
done
[ "$checked" -gt 100 ] || { echo "only $checked options"; exit 1; }
