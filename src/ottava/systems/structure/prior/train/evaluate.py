"""Scoring the prior: ``ottava evaluate structure.prior --data TUNES/SOURCE.npz``.

Of each tune of the test split, the first 64 bars, some codes are hidden: the last four, and the middle four. What a
hidden code costs under the prior, in nats, stands beside what it costs under N(0, 1), which is the paper's.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.systems.structure.lines import find_reference, split_bars
from ottava.systems.structure.prior.draw import Prior
from ottava.systems.structure.run import StructureModel
from ottava.systems.structure.train.evaluate import MOST_BARS, read_test

__all__ = ["evaluate"]

_HIDDEN = 4


def evaluate(weights: str | os.PathLike[str] | None, data: Path) -> Iterable[dict[str, Any]]:
    """Yield one row for each tune: nats a hidden code at the end and in the middle, under the prior and under N(0, 1).

    Parameters
    ----------
    weights : path-like or None
        An exported graph; the bundled one when not given.
    data : pathlib.Path
        Table of tunes.
    """
    prior, model = Prior(weights), StructureModel()
    for tune in read_test(data):
        symbols = tune.symbols[:MOST_BARS]
        codes = model.encode(*split_bars(symbols, find_reference(symbols)))
        noise = np.random.default_rng(0).standard_normal(codes.mean.shape)
        drawn = codes.mean + np.exp(0.5 * codes.log_variance) * noise
        n = len(symbols)
        row: dict[str, Any] = {"file": tune.id, "bars": n}
        for name, begin in (("end", n - _HIDDEN), ("middle", (n - _HIDDEN) // 2)):
            hidden = np.arange(begin, begin + _HIDDEN)
            known = ~np.isin(np.arange(n), hidden)
            row[f"{name}_prior"] = round(float(_cost(prior, codes.mean, drawn, known)[hidden].mean()), 4)
            row[f"{name}_normal"] = round(float(_normal(drawn[hidden]).mean()), 4)
        yield row


def _cost(
    prior: Prior, mean: NDArray[np.float32], drawn: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return nats of each code under the mixture that the prior gives with all hidden ones hidden, (bars,)."""
    shown = np.where(known[:, None], mean, 0).astype(np.float32)
    found = prior.session.run({"codes": shown[None], "known": known[None].astype(np.float32)})
    centre, deviation = found["mean"][0].astype(float), found["log_deviation"][0].astype(float)
    each = -_normal((drawn[:, None] - centre) * np.exp(-deviation)) - deviation.sum(2)
    each = each + np.log(np.maximum(found["weight"][0], 1e-12))
    top = each.max(1, keepdims=True)
    return np.asarray(-(top[:, 0] + np.log(np.exp(each - top).sum(1))))


def _normal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (values**2 + math.log(2 * math.pi)).sum(-1))
