"""Scoring tunes against themselves: ``ottava evaluate structure --data TUNES/SOURCE.npz``.

The file is one of those that ``ottava data tunes`` writes; its test split is scored, the first 64 bars of each tune.
Each tune is changed three times, in bars that others are made of where there are such, for bars of other tunes of the
file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ottava.corpora.tunes import TuneItem, load_tunes
from ottava.errors import TrainingError
from ottava.systems.structure.lines import STEPS
from ottava.systems.structure.run import StructureModel
from ottava.systems.structure.train.data import TuneWindows
from ottava.systems.structure.train.measure import measure

__all__ = ["MOST_BARS", "evaluate", "read_test"]

MOST_BARS = 64
_CHANGES = 3


def read_test(data: Path) -> list[TuneItem]:
    """Return the tunes of the test split that the network can read.

    Parameters
    ----------
    data : pathlib.Path
        Table of tunes.

    Raises
    ------
    ottava.errors.TrainingError
        If there are none.
    """
    tunes = [tune for tune in load_tunes(data) if tune.split == "test" and tune.symbols.shape[1] <= STEPS]
    if not tunes:
        raise TrainingError("no tunes to test on", path=data)
    return tunes


def evaluate(weights: str | os.PathLike[str] | None, data: Path) -> Iterable[dict[str, Any]]:
    """Yield one row for each tune: the measures of :func:`.measure.measure`, empty where they mean nothing.

    Parameters
    ----------
    weights : path-like or None
        An exported graph; the bundled one when not given.
    data : pathlib.Path
        Table of tunes.
    """
    model = StructureModel(weights)
    tunes = read_test(data)

    def encode(rhythm: Any, line: Any) -> tuple[Any, ...]:
        found = model.session.run_part({"rhythm": rhythm, "line": line})
        return found["mean"], found["log_variance"]

    sets = [TuneWindows(tunes, 1, (MOST_BARS,), seed=seed, vary=False) for seed in range(_CHANGES)]
    for i, tune in enumerate(sets[0].tunes):
        n = min(len(tune.symbols), MOST_BARS)
        found: dict[str, list[tuple[float, int]]] = {}
        for windows in sets:
            batch = {name: value.numpy() for name, value in windows[i].items()}
            batch = {name: value[:, :n] if value.ndim > 1 else value for name, value in batch.items()}
            for name, value in measure(encode, model.decode, batch).items():
                found.setdefault(name, []).append(value)
        row: dict[str, Any] = {"file": tune.id, "bars": n}
        for name, values in found.items():
            total = sum(count for _, count in values)
            row[name] = round(sum(value * count for value, count in values) / total, 4) if total else np.nan
        yield row
