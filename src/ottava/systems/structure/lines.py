"""Bars as the network reads them: a rhythm and a line of pitches.

Each step of a bar has one of four rhythms (:data:`REST`, :data:`HOLD`, :data:`ONSET`, :data:`OUTSIDE`) and a pitch:
that of the note that began last in this bar, and before the first one, of the first. So every step has a pitch,
whatever its rhythm, and one bar's rhythm can be put over another's line. Pitches are counted from the tune's
*reference*.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.symbolic import bars
from ottava.symbolic.bars import HOLD, ONSET, REST

__all__ = [
    "HOLD", "NO_PITCH", "ONSET", "OUTSIDE", "PITCHES", "REACH", "REST", "RHYTHMS", "STEPS",
    "find_reference", "join_bars", "settle", "split_bars",
]  # fmt: skip

STEPS = 16
"""Most steps of a bar."""
OUTSIDE = 3
"""Rhythm of steps after the end of a bar that has fewer."""
RHYTHMS = 4
REACH = 30
"""Semitones above and below the reference."""
NO_PITCH = 0
"""Pitch of all steps of a bar in which no note begins. Others are 1 and more; the reference is ``REACH + 1``."""
PITCHES = 2 * REACH + 2


def find_reference(symbols: ArrayLike) -> int:
    """Return the pitch from which a tune's pitches are counted: the median of its notes, in MIDI.

    Parameters
    ----------
    symbols : array_like of int, shape (bars, steps)
        As :mod:`ottava.symbolic.bars` writes them. Without notes it is 60.
    """
    flat = np.asarray(symbols)
    pitches = np.sort(flat[flat >= bars.ONSET] - bars.ONSET)
    return int(pitches[len(pitches) // 2]) if len(pitches) else 60


def split_bars(symbols: ArrayLike, reference: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rhythm and line of bars.

    Parameters
    ----------
    symbols : array_like of int, shape (bars, steps)
        At most :data:`STEPS` steps.
    reference : int
        MIDI pitch.

    Returns
    -------
    rhythm, line : ndarray of int64, shape (bars, STEPS)
        Pitches out of reach lie at its edge.
    """
    given = np.asarray(symbols, np.int64)
    rhythm = np.full((len(given), STEPS), OUTSIDE, np.int64)
    rhythm[:, : given.shape[1]] = np.minimum(given, ONSET)
    line = np.zeros((len(given), STEPS), np.int64)
    line[:, : given.shape[1]] = np.clip(given - bars.ONSET - reference, -REACH, REACH) + REACH + 1
    return rhythm, settle(rhythm, line)


def settle(rhythm: NDArray[np.int64], line: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a line that changes only where notes begin, and has no pitch in bars where none does.

    Parameters
    ----------
    rhythm, line : ndarray of int64, shape (..., steps)
        Of the line, only the steps where notes begin are read.
    """
    onset = rhythm == ONSET
    steps = np.arange(rhythm.shape[-1])
    last = np.maximum.accumulate(np.where(onset, steps, -1), axis=-1)
    first = onset.argmax(-1)[..., None]
    settled = np.take_along_axis(line, np.where(last < 0, first, last), axis=-1)
    return np.where(onset.any(-1, keepdims=True), settled, NO_PITCH)


def join_bars(rhythm: ArrayLike, line: ArrayLike, reference: int, steps: int) -> NDArray[np.int16]:
    """Return symbols; the reverse of :func:`split_bars` for pitches within reach.

    Parameters
    ----------
    rhythm, line : array_like of int, shape (bars, STEPS)
        Steps of the bar that are :data:`OUTSIDE` become rests, and notes without a pitch too.
    reference : int
        MIDI pitch.
    steps : int
        Steps to the bar.
    """
    kind, pitch = np.asarray(rhythm)[:, :steps], np.asarray(line)[:, :steps]
    sounding = (kind == ONSET) & (pitch != NO_PITCH)
    symbols = np.where(kind == HOLD, bars.HOLD, bars.REST)
    return np.where(sounding, pitch - REACH - 1 + reference + bars.ONSET, symbols).astype(np.int16)
