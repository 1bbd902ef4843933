"""How a bar may be made of an earlier one, found symbol by symbol: the yardstick for the network, and what it learns
from.

A *relation* of a bar to its source says, of every step, whether the rhythm is the same and by how much the pitch
differs. Applied to another source it gives the other bar that is related to it in the same way (:func:`transfer`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ottava.systems.structure.lines import NO_PITCH, ONSET, PITCHES, settle

__all__ = ["MOST_OFFSET", "Relations", "find_relations", "transfer"]

_LEAST_NOTES = 3
_LEAST_EQUAL = 0.7
_MOST_BENDING = 3
MOST_OFFSET = 12
"""Semitones by which a bar may be moved."""


class Relations(NamedTuple):
    """The best relation of each bar to an earlier one.

    Parameters
    ----------
    source : ndarray of int64, shape (..., bars)
        The earlier bar, the nearest of several; -1 if there is none.
    kind : ndarray of int64, shape (..., bars)
        Position in :data:`ottava.results.RELATIONS`.
    """

    source: NDArray[np.int64]
    kind: NDArray[np.int64]


def find_relations(rhythm: NDArray[np.int64], line: NDArray[np.int64]) -> Relations:
    """Return the best relation of each bar: equal, then transposed, then varied, then alike in contour.

    Parameters
    ----------
    rhythm, line : ndarray of int64, shape (..., bars, steps)
        From :func:`.lines.split_bars`.
    """
    n = rhythm.shape[-2]
    r, p = rhythm[..., :, None, :], line[..., :, None, :]  # later
    s, q = rhythm[..., None, :, :], line[..., None, :, :]  # earlier
    onset = rhythm == ONSET
    notes = onset.sum(-1)
    earlier = np.tril(np.ones((n, n), bool), -1) & (notes[..., :, None] > 0) & (notes[..., None, :] > 0)
    difference = p - q
    low, high = difference.min(-1), difference.max(-1)
    near = np.maximum(np.abs(low), np.abs(high)) <= MOST_OFFSET
    same_rhythm = (r == s).all(-1)
    many = (notes >= _LEAST_NOTES)[..., :, None]
    equal = ((r == s) & (difference == 0)).mean(-1)
    steps_up = np.sign(np.diff(line, axis=-1))
    alike = (steps_up[..., :, None, :] == steps_up[..., None, :, :]).all(-1)
    exact = earlier & same_rhythm & (low == 0) & (high == 0)
    transposed = earlier & same_rhythm & (low == high) & near & many
    both = (onset[..., :, None, :] & onset[..., None, :, :] & (difference == 0)).sum(-1) >= 2
    varied = earlier & (equal >= _LEAST_EQUAL) & both & near
    contour = earlier & same_rhythm & alike & (high - low <= _MOST_BENDING) & near & many
    nearness = np.arange(n) / n
    # The kind first, then for varied bars how much is equal, then the nearest.
    score = np.zeros(exact.shape)
    for rank, (which, detail) in enumerate(((contour, 0), (varied, equal), (transposed, 0), (exact, 0)), start=1):
        score = np.where(which, rank * 100 + np.round(16 * np.asarray(detail)) + nearness, score)
    source = score.argmax(-1)
    best = score.max(-1)
    kind = np.array([0, 4, 3, 2, 1])[(best // 100).astype(int)]
    return Relations(np.where(best > 0, source, -1), kind)


def transfer(
    bar: tuple[NDArray[np.int64], NDArray[np.int64]],
    old: tuple[NDArray[np.int64], NDArray[np.int64]],
    new: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the bar that is to ``new`` as ``bar`` is to ``old``: a pair of rhythm and line, each of shape (steps,)."""
    rhythm = np.where(bar[0] == old[0], new[0], bar[0])
    line = np.clip(new[1] + bar[1] - old[1], 1, PITCHES - 1)
    # A note of its own in a bar whose source has none there keeps its pitch.
    line = np.where((new[1] == NO_PITCH) | (old[1] == NO_PITCH), np.maximum(bar[1], 1), line)
    return rhythm, settle(rhythm, line)
