"""The tables of the structure claims: ``docs/claims_structure.md``.

    python benchmarks/claims/structure_table.py

From ``results/claims_structure.csv`` and ``results/claims_structure_ablations.csv``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from ottava.io.files import atomic_write

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/claims_structure.csv"
DOCUMENT = ROOT / "docs/claims_structure.md"
MASKS = ("m111", "m000", "m121", "m101", "m111, no past", "bars alone", "shipped")
ABLATIONS = ROOT / "benchmarks/results/claims_structure_ablations.csv"
WEIGHTS = ("0.1", "0.3", "1", "3")

HEADS = ("head", "at the first", "chance", "control", "at any equal bar", "chance")

Row = dict[str, str]

INTRODUCTION = """\
# Claims of the Transformer VAE

The paper's network as its authors' code has it, but a quarter as wide ({parameters:.1f} M parameters; theirs has
12.0 M), on {tunes} tunes of eight bars that it has not learned from. Every arm: {steps} steps of 16 tunes after
the same single-bar training, {seeds} seeds, but one for other weights of the divergence; means over seeds, with
the least and the greatest. *m111* is the authors' released model: causal masks of encoder, codes and decoder; 0
is no mask, 2 a bar's own place alone. *no past* keeps bars before it from the decoder, so that all goes through
the codes. *bars alone* closes all paths between bars: a VAE of single bars of the same size. *shipped* is the
network in the package, which is another one ([structure.md](structure.md)), on the {shipped} of these tunes that
are in its own test split.

{machine}; {versions}; commits {commits}. Made by `benchmarks/claims/structure_table.py` from
`benchmarks/results/claims_structure.csv`. C1, causality to the bit, is a test:
`tests/training/test_structure_paper.py`.
"""
PARTS = """\
## What the parts of the shipped network are good for

Each left out, {steps} steps from nothing each, which is a small part of the shipped network's training; seeds:
{seeds}. Test tunes of POP909, the first 64 bars, changed once. *Apart*: what is written of rhythm comes from a
half of the code that tells rhythm alone; it does not pay. Chords are told to encoder and decoder, and codes need not
store them. What makes copies follow are windows in which a bar is changed, pointing, and likeness.
"""


def spread(rows: Sequence[Row], name: str, digits: int = 3) -> str:
    """Return the mean over seeds, and the least and the greatest."""
    values = [float(row[name]) for row in rows if row.get(name) not in (None, "", "nan")]
    if not values:
        return "–"
    mean, low, high = (f"{value:.{digits}f}" for value in (fmean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low}–{high})"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *lines))


def render(rows: list[Row], ablations: list[Row]) -> str:
    arms: dict[str, list[Row]] = {}
    for row in rows:
        arms.setdefault(row["arm"], []).append(row)
    masks = [name for name in MASKS if name in arms]
    first = rows[0]
    seeds = max(len(of_arm) for of_arm in arms.values())
    shipped = arms["shipped"][0]["tunes"] if "shipped" in arms else "–"
    parts = [
        INTRODUCTION.format(
            parameters=int(first["parameters"]) / 1e6,
            seeds=seeds,
            shipped=shipped,
            commits=", ".join(dict.fromkeys(row["commit"] for row in rows)),
            **{k: first[k] for k in ("tunes", "steps", "machine", "versions")},
        ),
        "## C2 A repeated bar stores less\n\nMedian nats of codes of bars that equal an earlier one, and of others; "
        "and the ratio of both at the same places, with its 95 % bootstrap interval over tunes (first seed). "
        "*Shuffled*: the same bars at the same places of other tunes, where they repeat nothing.\n\n"
        + table(
            ["", "nats, repeated", "nats, new", "ratio at the same place", "interval", "ratio, shuffled"],
            [
                [
                    name,
                    spread(arms[name], "nats_repeat", 1),
                    spread(arms[name], "nats_new", 1),
                    spread(arms[name], "repeat_ratio"),
                    f"{float(arms[name][0]['repeat_ratio_low']):.3f}–{float(arms[name][0]['repeat_ratio_high']):.3f}",
                    spread(arms[name], "shuffled_ratio"),
                ]
                for name in masks
            ],
        )
        + _judge(
            arms,
            lambda row: float(row["repeat_ratio_high"]) < 1 and float(row["repeat_ratio"]) < 0.5,
            "repeated bars store less than half of what new ones do",
        ),
        "## C3 Copies follow a change\n\nThe code of a bar that comes again is replaced by another tune's. Share of "
        "later copies that equal what is now written there, of their symbols, and of symbols that change elsewhere.\n\n"
        + table(
            ["", "copies", "their symbols", "elsewhere"],
            [[n, *(spread(arms[n], f"follow_{k}") for k in ("whole", "symbols", "elsewhere"))] for n in masks],
        )
        + _judge(arms, lambda row: float(row["follow_whole"]) > 0.5, "most copies follow"),
        "## C4 More is written right for the same nats\n\n"
        + table(
            [
                "weight of the divergence",
                "nats a tune",
                "free",
                "bars alone: nats",
                "free",
                "shuffled bars: nats",
                "free",
            ],
            [_rate(arms, weight) for weight in WEIGHTS],
        )
        + _cheaper(arms),
        "## C5 Little is lost without the true bars before, and C6 the masks\n\n"
        + table(
            ["", "free", "forced", "forced − free", "nats a tune"],
            [[n, *(spread(arms[n], k) for k in ("free", "forced", "gap")), spread(arms[n], "nats", 1)] for n in masks],
        )
        + _judge(arms, lambda row: float(row["gap"]) < 0.03, "less than 0.03 of symbols is lost"),
        "## C7 Attention points back\n\nHow much heads look at the first occurrence from a repeated bar, beside chance "
        "and beside bars at the same place that repeat nothing, and how much at any equal bar; m111, all heads, means "
        "over seeds.\n\n" + table(HEADS, _heads(arms.get("m111", []))) + _pointing(arms.get("m111", [])),
        "The shipped network's encoder, and where its decoder points: at the nearest of several equal bars.\n\n"
        + table(HEADS, _heads(arms.get("shipped", []))),
        "## C8 Context transfer keeps the form\n\nThe first code is another tune's. How many pairs of bars are equal "
        "or not as in the tune that gives the form, and as in the one that gives the first bar; and how much of the "
        "first bar is the latter's.\n\n"
        + table(
            ["", "as in the form's tune", "as in the other", "first bar"],
            [[n, *(spread(arms[n], f"transfer_{k}") for k in ("to_form", "to_content", "first_bar"))] for n in masks],
        )
        + _judge(
            arms,
            lambda row: (
                float(row["transfer_to_form"]) > float(row["transfer_to_content"])
                and float(row["transfer_first_bar"]) > 0.5
            ),
            "the form is nearer to the form's tune, and most of the first bar is the other's",
        ),
        "C9, against copying by symbols, is measured for the shipped model: [structure.md](structure.md).\n",
        _ablations(ablations) if ablations else "",
    ]
    return "\n".join(parts)


def _judge(arms: dict[str, list[Row]], holds: Callable[[Row], bool], claim: str) -> str:
    """Return a sentence that says of the paper's network and the shipped one whether a claim holds."""
    said = []
    for name, called in (("m111", "the paper's network (m111)"), ("shipped", "the shipped one")):
        rows = arms.get(name, [])
        if not rows:
            continue
        count = sum(map(holds, rows))
        of = f" in {count} of {len(rows)} seeds" if 0 < count < len(rows) else ""
        said.append(f"{'yes' if count else 'no'}{of} for {called}")
    return f"\nWhether {claim}: {', '.join(said)}.\n"


def _cheaper(arms: dict[str, list[Row]]) -> str:
    """Return a sentence that says at which weights bars with others are written better for fewer nats."""
    better, worse = [], []
    for weight in WEIGHTS:
        suffix = "" if weight == "1" else f", kl {weight}"
        whole, alone = arms.get(f"m111{suffix}", []), arms.get(f"bars alone{suffix}", [])
        if not whole or not alone:
            continue
        nats, free = (fmean(float(r[k]) for r in whole) - fmean(float(r[k]) for r in alone) for k in ("nats", "free"))
        if nats < 0 <= free:
            better.append(weight)
        elif free <= 0 < nats:
            worse.append(weight)
    return (
        f"\nFewer nats and no fewer symbols right than bars alone: at a weight of {', '.join(better) or 'none'}. "
        f"More nats and no more symbols right: at {', '.join(worse) or 'none'}. At the others one is better in nats, "
        "one in symbols.\n"
    )


def _pointing(rows: list[Row]) -> str:
    """Return a sentence that says how many heads point back."""
    heads = [[float(cell.split(" ")[0]) for cell in cells[1:4]] for cells in _heads(rows)]
    count = sum(mass > max(chance, control) for mass, chance, control in heads)
    return f"\n{count} of {len(heads)} heads look at the first occurrence more than chance and the control.\n"


def _ablations(rows: list[Row]) -> str:
    arms: dict[str, list[Row]] = {}
    for row in rows:
        arms.setdefault(row["arm"], []).append(row)
    measures = {
        "free": "free",
        "forced": "forced",
        "nats a bar": "stored",
        "exact copies follow": "follow_exact",
        "transposed ones": "follow_transposed",
        "symbols that follow": "follow_symbols",
        "changed elsewhere": "collateral",
    }
    text = PARTS.format(steps=rows[0]["steps"], seeds=max(map(len, arms.values())))
    measures = {name: key for name, key in measures.items() if any(row[f"pop909_{key}"] != "nan" for row in rows)}
    lines = [[name, *(spread(arms[name], f"pop909_{key}") for key in measures.values())] for name in arms]
    return text + "\n" + table(["", *measures], lines)


def _rate(arms: dict[str, list[Row]], weight: str) -> list[str]:
    suffix = "" if weight == "1" else f", kl {weight}"
    whole, alone = arms.get(f"m111{suffix}", []), arms.get(f"bars alone{suffix}", [])
    return [
        weight,
        spread(whole, "nats", 1),
        spread(whole, "free"),
        spread(alone, "nats", 1),
        spread(alone, "free"),
        spread(whole, "shuffled_nats", 1),
        spread(whole, "shuffled_free"),
    ]


def _heads(rows: list[Row]) -> list[list[str]]:
    names = (
        [name.removesuffix(" mass") for name, value in rows[0].items() if name.endswith(" mass") and value]
        if rows
        else []
    )
    kinds = ("mass", "chance", "control", "every", "every_chance")
    return [[name, *(spread(rows, f"{name} {kind}") for kind in kinds)] for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    given = parser.parse_args()
    with given.results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    ablations = []
    if ABLATIONS.exists():
        with ABLATIONS.open(newline="") as file:
            ablations = list(csv.DictReader(file))
    with atomic_write(given.out, force=True) as file:
        file.write(render(rows, ablations).encode())


if __name__ == "__main__":
    main()
