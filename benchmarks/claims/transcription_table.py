"""The table of the transcription claims, and ``docs/claims.md`` from it.

    python benchmarks/claims/transcription_table.py

Every comparison is paired: the same test items, the same seeds. Intervals are 95 % bootstrap intervals that draw
items and seeds anew, so they tell of both spreads.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.io.files import atomic_write
from ottava.results import FAMILIES

ROOT = Path(__file__).parents[2]
COLUMNS = [
    *("data", "arm", "seed", "steps", "item", "ap", "frame_f", "note_f", "note_family_f"),
    *(f"ap_{family}" for family in FAMILIES),
    *("probe_ap", "contrast_2", "contrast_3", "threshold", "parameters", "multiply_adds", "context_frames"),
    *("train_s", "real_time_factor", "peak_mb", "machine", "versions", "commit"),
]
NETS = ("shallow", "translation-invariant", "resnet")
FRAME_MS = 24
SEEDS = 3
"""As many are meant to be run."""

Row = Mapping[str, Any]
Scores = NDArray[np.float64]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the table, none if there is no table yet. A run is in it whole or not at all."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the table anew, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_text(row.get(name)) for name in COLUMNS] for row in rows)
    with atomic_write(path, force=True) as file:
        file.write(text.getvalue().encode())


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.5f}" if isinstance(value, float) else str(value)


class Table:
    """The rows of the latest budget and data, as scores by arm."""

    def __init__(self, rows: Sequence[Row]) -> None:
        last = (rows[-1]["data"], rows[-1]["steps"])
        self.rows = [row for row in rows if (row["data"], row["steps"]) == last]
        self.arms = list(dict.fromkeys(row["arm"] for row in self.rows))
        self.items = sorted({row["item"] for row in self.rows} - {"pooled"})

    def pooled(self, arm: str, column: str) -> list[float]:
        """Return the values of a column in an arm's pooled rows, one for each seed."""
        mine = [row for row in self.rows if row["arm"] == arm and row["item"] == "pooled" and row[column]]
        return [float(row[column]) for row in mine]

    def seeds(self, arm: str) -> set[str]:
        """Return the seeds that an arm was run with."""
        return {row["seed"] for row in self.rows if row["arm"] == arm}

    def scores(self, arm: str, column: str, seeds: Sequence[str]) -> Scores:
        """Return a column's values, shape (seeds, items); nan where there is none."""
        found = {(r["seed"], r["item"]): r[column] for r in self.rows if r["arm"] == arm}
        values = [[found.get((seed, item)) or "nan" for item in self.items] for seed in seeds]
        return np.array(values, dtype=np.float64)

    def difference(self, one: str, other: str, column: str) -> Scores | None:
        """Return paired differences, shape (seeds, items), or None where there is nothing to pair."""
        seeds = sorted(self.seeds(one) & self.seeds(other))
        if not seeds:
            return None
        differences = self.scores(one, column, seeds) - self.scores(other, column, seeds)
        return differences if (~np.isnan(differences)).all(0).any() else None


def interval(differences: Scores, draws: int = 4000) -> tuple[float, float, float]:
    """Return the mean of paired differences and the ends of its 95 % interval.

    Parameters
    ----------
    differences : ndarray, shape (seeds, items)
        Items without a value in any seed (nan) are left out.
    draws : int
        Bootstrap samples of seeds and, independently, of items.
    """
    d = differences[:, ~np.isnan(differences).any(0)]
    rng = np.random.default_rng(0)
    seeds = rng.integers(d.shape[0], size=(draws, d.shape[0], 1))
    items = rng.integers(d.shape[1], size=(draws, 1, d.shape[1]))
    means = d[seeds, items].mean((1, 2))
    low, high = np.quantile(means, (0.025, 0.975))
    return float(d.mean()), float(low), float(high)


def line(label: str, differences: Scores | None) -> str:
    """Return a row of a table of comparisons: difference, interval, verdict."""
    if differences is None:
        return f"| {label} | not run | | |"
    mean, low, high = interval(differences)
    verdict = "holds" if low > 0 else "the opposite holds" if high < 0 else "open"
    return f"| {label} | {mean:+.4f} | {low:+.4f} to {high:+.4f} | {verdict} |"


def compare(table: Table, pairs: Sequence[tuple[str, str]], columns: Mapping[str, str]) -> list[str]:
    """Return a table of comparisons."""
    rows = [
        line(f"{one} over {other}, {name}", table.difference(one, other, column))
        for one, other in pairs
        for column, name in columns.items()
    ]
    return ["| comparison | difference | 95 % interval | claim |", "|---|---|---|---|", *rows, ""]


def gains(table: Table) -> list[str]:
    """Return the table of claim 5: is the gain larger for the weaker network?"""
    rows = ["| comparison | difference | 95 % interval | claim |", "|---|---|---|---|"]
    for weak, strong in (("shallow", "translation-invariant"), ("shallow", "resnet")):
        one, other = (table.difference(f"{net}/U+C", f"{net}/C", "ap") for net in (weak, strong))
        same = one is not None and other is not None and one.shape == other.shape
        rows.append(line(f"gain for {weak} over gain for {strong}, AP", one - other if same else None))  # type: ignore[operator]
    return [*rows, ""]


def costs(table: Table) -> list[str]:
    """Return the table of claim 8: what U adds."""
    rows = [
        "| network | real-time factor | peak memory, 20 s | look-ahead | multiply-adds a frame |",
        "|---|---|---|---|---|",
    ]
    for net in NETS:
        for arm in (f"{net}/C", f"{net}/U+C"):
            if table.pooled(arm, "peak_mb"):
                factor, peak, context, work = (
                    float(np.median(table.pooled(arm, column)))
                    for column in ("real_time_factor", "peak_mb", "context_frames", "multiply_adds")
                )
                ahead_ms = context // 2 * FRAME_MS
                rows.append(f"| {arm} | {factor:.4f} | {peak:.0f} MB | {ahead_ms:.0f} ms | {work / 1e6:.2f} M |")
    return [*rows, ""]


def overview(table: Table) -> list[str]:
    """Return the table of all arms."""
    rows = [
        "| arm | seeds | AP, mean of items | AP, pooled | frame F, pooled | parameters | multiply-adds a frame |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm in table.arms:
        seeds = sorted(table.seeds(arm))
        ap = np.nanmean(table.scores(arm, "ap", seeds), axis=1)
        cells = [_mean(v) for v in (ap, table.pooled(arm, "ap"))]
        f, size, work = (np.mean(table.pooled(arm, c)) for c in ("frame_f", "parameters", "multiply_adds"))
        rows.append(f"| {arm} | {len(seeds)} | {' | '.join(cells)} | {f:.4f} | {size:,.0f} | {work / 1e6:.2f} M |")
    return [*rows, ""]


def _mean(values: Sequence[float] | Scores) -> str:
    spread = f" ± {np.std(values):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def page(rows: Sequence[Row]) -> str:
    """Return the document."""
    table = Table(rows)
    fewest = min(len(table.seeds(arm)) for arm in table.arms)
    warning = [
        f"**So far every arm has been run with {fewest} of {SEEDS} seeds.** Until all are there, intervals tell too",
        "little of the spread over seeds.",
        "",
    ]
    frame = {"ap": "AP", "frame_f": "frame F"}
    both = {"ap": "AP", "note_family_f": "note F with family"}
    reading = {"contrast_2": "fundamental over 2nd harmonic", "contrast_3": "fundamental over 3rd harmonic"}
    matched = [(f"{n}/U+C", f"{n}/C={b}") for n in NETS for b in ("parameters", "multiply-adds")]
    alone = [(f"{n}/U+C", other) for n in NETS for other in ("U alone", "U alone=parameters")]
    probes = [(f"{n}/U+C", other) for n in NETS for other in ("probe of X", "probe of X=context")]
    families = [("V1", "V4=V1"), ("V1", "V3=V1"), ("V2", "V4=V2"), ("V2", "V3=V2")]
    steps, machine, versions = (table.rows[-1][name] for name in ("steps", "machine", "versions"))
    commits = ", ".join(sorted({row["commit"] for row in table.rows} - {""}))
    text = [
        "# Claims",
        "",
        "## Transcription with pre-stacked U-Nets",
        "",
        f"Every arm: {steps} steps of Adam on the same clips of the rendered corpus, in the same order;",
        f"{len(table.items)} test items of pieces never trained on. C is a transcription network, U + C the same with",
        "a U-Net in front, trained together. Networks are scaled down to minutes on one core: what holds here holds",
        "at this size and budget. A difference is the mean over items and seeds of paired differences, with its",
        "95 % bootstrap interval over both; the claim *holds* when the interval lies above zero and is *open* when",
        "it contains zero. AP is the micro average precision of frames.",
        "",
        *(warning if fewest < SEEDS else []),
        f"{machine}; {versions}; commit {commits}. Made by `benchmarks/claims/transcription_table.py` from",
        "`benchmarks/results/claims_transcription.csv`.",
        "",
        "### 1. U + C beats C",
        "",
        *compare(table, [(f"{n}/U+C", f"{n}/C") for n in NETS], frame),
        "Without the residual, which the paper may not have had:",
        "",
        *compare(table, [(f"{n}/U+C plain", f"{n}/C") for n in NETS], frame),
        "### 2. U + C beats a C of the same size, and a C of the same work",
        "",
        "The larger C also sees as many frames as the pair.",
        "",
        *compare(table, matched, frame),
        "### 3. U + C beats U as the transcriber",
        "",
        "*U alone* is the pair's U with a row for each note; *=parameters* is grown to the size of U + resnet.",
        "",
        *compare(table, alone, frame),
        "### 4. Training together beats a U trained as autoencoder, and an added reconstruction term",
        "",
        *compare(table, [("shallow/U+C plain", f"shallow/U+C {s}") for s in ("frozen", "reconstruction")], frame),
        "### 5. The gain is larger for a weaker C",
        "",
        *gains(table),
        "### 6. Several instruments: V1 and V2 beat V4 and V3 of the same size",
        "",
        *compare(table, families, both),
        "### 7. Z is easier to read than X",
        "",
        "A linear probe of one frame; *=context* reads as many frames of X as Z has seen.",
        "",
        *compare(table, probes, {"probe_ap": "AP of the probe"}),
        "![Spectrum above, Z below, fundamentals marked](images/claims_z.png)",
        "",
        "How far a sounding fundamental stands above its harmonics, in standard deviations of the whole picture:",
        "",
        *compare(table, [(f"{n}/U+C", "probe of X") for n in NETS], reading),
        "### 8. What U costs",
        "",
        "One thread, seconds of work for a second of sound, memory beyond the loaded network.",
        "",
        *costs(table),
        "### All arms",
        "",
        "Mean over seeds ± standard deviation.",
        "",
        *overview(table),
    ]
    return "\n".join(text)


def main() -> None:
    """Write the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=ROOT / "benchmarks/results/claims_transcription.csv")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/claims.md")
    options = parser.parse_args()
    rows = read_rows(options.table)
    if not rows:
        parser.error(f"{options.table}: no rows")
    with atomic_write(options.out, force=True) as file:
        file.write(page(rows).encode())
    print(options.out)


if __name__ == "__main__":
    main()
