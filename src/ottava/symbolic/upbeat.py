"""Where bars begin in a file that does not say so: MIDI has no upbeats, only notes that begin at its first tick.

Of each place where bars may begin it is asked how usual the onsets then lie in their bars, by their lengths, and how
many bars then repeat another. How usual is a table of log-probabilities for each meter, ``upbeat.json``, counted in
written tunes by ``benchmarks/upbeat.py``, which also measures how often the answer is right.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from ottava.symbolic.bars import ONSET, STEPS_PER_QUARTER, Line, to_bars

__all__ = ["AS_WRITTEN", "LENGTHS", "find_upbeat", "score_upbeats"]

LENGTHS = (2, 4, 8)
"""Steps at which a longer class of notes begins."""
_REPEAT = 3.0  # nats for each bar that repeats another
AS_WRITTEN = 5.0
"""Nats in favour of bars that begin with the file."""


@cache
def _usual() -> dict[str, NDArray[np.float64]]:
    """Return for each meter log-probabilities of onsets, (steps, lengths)."""
    text = (resources.files("ottava.symbolic") / "upbeat.json").read_text("utf-8")
    return {meter: np.array(table, np.float64) for meter, table in json.loads(text).items()}


def score_upbeats(line: Line, steps: int, usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how likely each number of steps before the first whole bar is, in nats, shape (steps,).

    Parameters
    ----------
    line : Line
        From the file's beginning.
    steps : int
        Steps to the bar.
    usual : ndarray of float, shape (steps, len(LENGTHS) + 1)
        Log-probability of an onset at each step of a bar, of each class of length.
    """
    kind = np.searchsorted(LENGTHS, line.end - line.start, side="right")
    scores = np.zeros(steps)
    for upbeat in range(steps):
        scores[upbeat] = usual[(line.start - upbeat) % steps, kind].sum()
        shift = (steps - upbeat) % steps
        bars = to_bars(Line(line.start + shift, line.end + shift, line.pitch_midi), steps)
        full = [bar.tobytes() for bar in bars if (bar >= ONSET).any()]
        scores[upbeat] += _REPEAT * (len(full) - len(set(full)))
    return scores


def find_upbeat(line: Line, steps: int, meter: tuple[int, int], *, bars_told: bool = True) -> int:
    """Return the likeliest number of steps before the first whole bar; 0 in meters of which nothing is known.

    Parameters
    ----------
    line : Line
        From the file's beginning.
    steps : int
        Steps to the bar.
    meter : tuple of int
        Numerator and denominator.
    bars_told : bool
        Whether the file's bars may well begin with it; if they are assumed, only whole quarters come before one.
    """
    beats, unit = (4, 4) if meter == (2, 2) else meter
    usual = _usual().get(f"{beats}/{unit}")
    if usual is None or len(usual) != steps or not len(line.start):
        return 0
    scores = score_upbeats(line, steps, usual)
    if bars_told:
        scores[0] += AS_WRITTEN
    else:
        scores[np.arange(steps) % STEPS_PER_QUARTER > 0] = -np.inf
    return int(scores.argmax())
