#!/bin/sh
# options.sh WEFT PAGE: each option of each verb is in the verb's usage and on the page of the command line.
set -eu
weft=$1 page=$2
checked=0
for verb in $("$weft" help | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p'); do
    help=$("$weft" "$verb" --help)
    usage=$(printf '%s\n' "$help" | sed '/^$/,$d')
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
