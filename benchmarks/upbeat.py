"""Count how onsets lie in the bars of written tunes, and measure how well that finds upbeats.

    python benchmarks/upbeat.py --tunes tunes

Counts in the training split, and writes ``src/ottava/symbolic/upbeat.json``. Then the tunes of the other splits are put
to the test: those that begin with a bar as they are, and those that begin with an upbeat without the rests before it,
as a MIDI file would have them. Writes ``results/upbeat.csv``.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from ottava.corpora.tunes import TuneItem, load_tunes
from ottava.io.files import atomic_write
from ottava.symbolic.bars import Line, from_bars
from ottava.symbolic.upbeat import AS_WRITTEN, LENGTHS, score_upbeats
from ottava.systems.structure.train.data import SHIPPED
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance

TABLE = Path(__file__).parents[1] / "src/ottava/symbolic/upbeat.json"
RESULTS = Path(__file__).parent / "results/upbeat.csv"
METERS = ((4, 4), (3, 4), (6, 8), (2, 4))


def meter_of(tune: TuneItem) -> tuple[int, int]:
    return (4, 4) if tune.meter == (2, 2) else tune.meter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tunes", type=Path, required=True)
    folder = parser.parse_args().tunes
    tunes = [tune for source in SHIPPED for tune in load_tunes(folder / f"{source}.npz")]
    usual = {}
    for meter in METERS:
        steps = meter[0] * 16 // meter[1]
        counts = np.ones((steps, len(LENGTHS) + 1))
        for tune in tunes:
            if tune.split == "train" and meter_of(tune) == meter:
                start, end, _ = from_bars(tune.symbols)
                # Each tune counts the same, whatever its length.
                np.add.at(counts, (start % steps, np.searchsorted(LENGTHS, end - start, side="right")), 50 / len(start))
        usual[meter] = np.round(np.log(counts / counts.sum()), 2)
    with atomic_write(TABLE, force=True) as file:
        file.write((json.dumps({f"{a}/{b}": table.tolist() for (a, b), table in usual.items()}) + "\n").encode())
    right = defaultdict(list)
    for tune in tunes:
        if tune.split == "train" or meter_of(tune) not in usual:
            continue
        steps = tune.symbols.shape[1]
        start, end, pitch = from_bars(tune.symbols)
        first = int(start[0])
        if 0 < first < steps // 4:
            continue  # neither a bar nor an upbeat: a bar that begins with a rest
        upbeat = (steps - first) % steps
        line = Line(start - first, end - first, pitch)
        scores = score_upbeats(line, steps, usual[meter_of(tune)])
        scores[0] += AS_WRITTEN
        found = int(scores.argmax())
        right[tune.id.split("/")[0], "upbeat" if upbeat else "downbeat"].append(found == upbeat)
    rows = [
        {"source": source, "begins_with": begin, "tunes": len(found), "right": round(float(np.mean(found)), 4)}
        | provenance()
        for (source, begin), found in sorted(right.items())
    ]
    with atomic_write(RESULTS, force=True) as file:
        file.write(render_csv(rows).encode())
    for row in rows:
        print(row["source"], row["begins_with"], row["tunes"], row["right"])


if __name__ == "__main__":
    main()
