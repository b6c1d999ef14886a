#!/usr/bin/env python3
"""The tables of docs/performance.md from the results that run.py appends to a file.

    python3 tools/peers/table.py RESULTS.csv

A piece is one contender and weft, which took turns. Its ratio is that of the medians of their steps, so it is one of the
same minutes. Of several pieces of a contender the one with the median ratio stands in the table, and the least and the
greatest ratio beside it. The best of PyTorch is the contender that weft has the least ratio to. Others: what other programs
used of the processors meanwhile.
"""
import csv
import statistics
import sys

LAYOUTS = {"one": "one worker, two threads", "pipeline": "pipeline of two workers, one thread each",
           "data": "two data-parallel workers, one thread each"}


def read_pieces(path):
    """{row: [piece, ...]} in the order of the file."""
    lines = {}
    with open(path, newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            lines.setdefault((line["row"], line["piece"]), []).append(line)
    rows = {}
    for (row, _), piece in lines.items():
        made = make_piece(piece)
        if made:
            rows.setdefault(row, []).append(made)
    return rows


def make_piece(lines):
    """None where one of the two is missing."""
    sides = {who: [line for line in lines if (line["who"] == "weft") == (who == "weft")] for who in ("weft", "peer")}
    if not all(sides.values()):
        return None
    piece = {key: lines[0][key] for key in ("piece", "processor")}
    piece["others"] = float(lines[0]["others"])
    piece["versions"] = {line["who"] for line in sides["peer"]}
    for who, own in sides.items():
        seconds = statistics.median(float(line["seconds"]) for line in own)
        piece[who] = float(own[0]["tokens"]) / seconds
        piece[who + " memory"] = max(int(line["memory"]) for line in own) / 2 ** 30
        piece[who + " steps"] = len(own)
    piece["ratio"] = piece["weft"] / piece["peer"]
    return piece


def get_middle(pieces):
    return sorted(pieces, key=lambda piece: piece["ratio"])[(len(pieces) - 1) // 2]


def print_row(cells):
    print("| " + " | ".join(cells) + " |")


def print_rows(title, rows):
    print_row([title, "its tokens/s", "weft's", "weft / it", "its GiB", "weft's", "steps", "others"])
    print_row(["---"] * 8)
    for name, pieces in rows:
        middle = get_middle(pieces)
        ratio = f"{middle['ratio']:.2f}"
        if len(pieces) > 1:
            ratio += f" ({min(p['ratio'] for p in pieces):.2f}-{max(p['ratio'] for p in pieces):.2f})"
        print_row([name, f"{middle['peer']:.0f}", f"{middle['weft']:.0f}", ratio, f"{middle['peer memory']:.1f}",
                   f"{middle['weft memory']:.1f}", " + ".join(str(p["peer steps"]) for p in pieces),
                   f"{middle['others']:.0%}"])


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    rows = read_pieces(sys.argv[1])
    if not rows:
        print(f"{sys.argv[1]}: no contender with weft beside it", file=sys.stderr)
        return 2
    pieces = [piece for own in rows.values() for piece in own]
    processors = sorted({piece["processor"] for piece in pieces})
    days = sorted({piece["piece"][:10] for piece in pieces})
    versions = sorted({version for piece in pieces for version in piece["versions"] if version != "weft, too"})
    print(f"{', '.join(processors)}; {days[0]}{' to ' + days[-1] if len(days) > 1 else ''}; {', '.join(versions)}\n")
    groups = {}
    for row, own in rows.items():
        layout, element, name = row.split("-", 2)
        groups.setdefault((layout, element), []).append((name, own))
    best = []
    for (layout, element), group in groups.items():
        peers = [(name, own) for name, own in group if not name.startswith("weft-")]
        if peers:
            name, own = min(peers, key=lambda entry: get_middle(entry[1])["ratio"])
            best.append((f"{LAYOUTS[layout]}, {element}: {name}", own))
    print_rows("the best of PyTorch", best)
    for (layout, element), group in groups.items():
        print()
        print_rows(f"{LAYOUTS[layout]}, {element}", group)
    return 0


if __name__ == "__main__":
    sys.exit(main())
