"""Measure the shipped structure network on the same tunes, by the same measures, as the arms of the paper's.

    python benchmarks/claims/structure_shipped.py --tunes TUNES

Adds a row to ``results/claims_structure.csv``. Its test tunes are those of its own test split among the arms' ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from structure_arms import RESULTS, judge, merge_row
from structure_measures import Coded, Symbols

from ottava.corpora.tunes import load_tunes
from ottava.runtime.cards import read_card
from ottava.spec import find_spec
from ottava.symbolic.bars import ONSET
from ottava.systems.structure.decode import Bars, write_bars
from ottava.systems.structure.lines import find_reference, join_bars, split_bars
from ottava.systems.structure.run import StructureModel
from ottava.systems.structure.train.data import SHIPPED
from ottava.systems.structure.train.measure import rewrite_given
from ottava.systems.structure.train.paper import LOW_MIDI, STEPS
from ottava.systems.structure.train.paper_data import beginnings, to_paper
from ottava.training.provenance import provenance


class ShippedCoder:
    """The network in the package, given the paper's symbols."""

    def __init__(self) -> None:
        self.model = StructureModel()

    def _read(self, symbols: Symbols) -> tuple[Bars, list[int]]:
        ours = np.where(symbols >= ONSET, symbols + LOW_MIDI, symbols)
        references = [find_reference(tune) for tune in ours]
        pairs = [split_bars(tune, reference) for tune, reference in zip(ours, references, strict=True)]
        return (np.stack([r for r, _ in pairs]), np.stack([line for _, line in pairs])), references

    def _write(self, bars: Bars, references: list[int]) -> Symbols:
        tunes = zip(*bars, references, strict=True)
        return np.stack([to_paper(join_bars(rhythm, line, reference, STEPS)) for rhythm, line, reference in tunes])

    def encode(self, symbols: Symbols) -> Coded:
        bars, _ = self._read(symbols)
        found = self.model.session.run_part({"rhythm": bars[0], "line": bars[1]})
        mean, log_variance = found["mean"], found["log_variance"]
        nats = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(2)
        written = self.model.decode(mean, *bars)
        attention = {"encoder": found["attention"].transpose(0, 2, 1, 3), "pointer": written["pointer"][:, None, :, 1:]}
        return Coded(mean, nats, attention)

    def write(self, codes: NDArray[np.float32], symbols: Symbols) -> Symbols:
        _, references = self._read(symbols)
        bars, _ = write_bars(self.model.decode, codes, np.full(len(codes), STEPS))
        return self._write(bars, references)

    def force(self, codes: NDArray[np.float32], symbols: Symbols) -> Symbols:
        bars, references = self._read(symbols)
        return self._write(rewrite_given(self.model.decode, codes, bars), references)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tunes", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    items = [tune for source in SHIPPED for tune in load_tunes(given.tunes / f"{source}.npz") if tune.split == "test"]
    symbols = to_paper(beginnings(items))
    parameters = read_card(find_spec("structure")).parameters
    row: dict[str, Any] = {"arm": "shipped", "seed": 0, "steps": "", "parameters": parameters, "tunes": len(symbols)}
    row |= {k: round(v, 5) if isinstance(v, float) else v for k, v in judge(ShippedCoder(), symbols, 5).items()}
    merge_row(given.out, row | provenance())
    print({k: row[k] for k in ("tunes", "free", "gap", "nats", "repeat_ratio", "follow_whole", "follow_elsewhere")})


if __name__ == "__main__":
    main()
