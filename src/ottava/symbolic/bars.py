"""A tune on a grid: bars of equal length, and in each step of a bar one symbol.

A step is silent (:data:`REST`), or a note goes on in it (:data:`HOLD`), or a note begins: then the symbol is its MIDI
pitch plus :data:`ONSET`. A note that goes on over a bar line begins the next bar with :data:`HOLD`. One line at a time:
where notes overlap, the one that begins later cuts the other short.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import UsageError

__all__ = ["HOLD", "ONSET", "REST", "STEPS_PER_QUARTER", "Line", "from_bars", "snap", "to_bars"]

REST, HOLD, ONSET = 0, 1, 2
"""Symbols of silence and of a note that goes on, and what is added to a pitch for a note that begins."""
STEPS_PER_QUARTER = 4
"""Steps to the quarter note where nothing else is said: sixteenth notes."""


class Line(NamedTuple):
    """One line of notes on a grid.

    Parameters
    ----------
    start, end : ndarray of int, shape (n,)
        Steps from the first bar on, ``start < end``, and no note ends after the next begins.
    pitch_midi : ndarray of int16, shape (n,)
        MIDI pitch.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    pitch_midi: NDArray[np.int16]


def snap(
    start_q: ArrayLike, end_q: ArrayLike, pitch_midi: ArrayLike, steps_per_quarter: int = STEPS_PER_QUARTER
) -> Line:
    """Move notes to a grid, and make one line of them.

    Parameters
    ----------
    start_q, end_q : array_like of float, shape (n,)
        Begin and end in quarter notes, 0 or later.
    pitch_midi : array_like of int, shape (n,)
        MIDI pitch.
    steps_per_quarter : int
        Steps to the quarter note.

    Returns
    -------
    Line
        Begins and ends at the nearest steps, at least one step each. Of notes that begin together the highest stays.
    """
    start = np.rint(np.asarray(start_q, np.float64) * steps_per_quarter).astype(np.int64)
    end = np.rint(np.asarray(end_q, np.float64) * steps_per_quarter).astype(np.int64)
    pitch = np.asarray(pitch_midi, np.int16)
    order = np.lexsort((-pitch, start))
    start, end, pitch = start[order], end[order], pitch[order]
    first = np.flatnonzero(np.diff(start, prepend=-1))
    start, end, pitch = start[first], end[first], pitch[first]
    latest = np.append(start[1:], np.iinfo(np.int64).max)
    return Line(start, np.minimum(np.maximum(end, start + 1), latest), pitch)


def to_bars(line: Line, steps: int, n_bars: int | None = None) -> NDArray[np.int16]:
    """Write a line as symbols.

    Parameters
    ----------
    line : Line
        Notes on the grid.
    steps : int
        Steps to the bar, at least 1.
    n_bars : int or None
        Number of bars; as many as the notes need when not given.

    Returns
    -------
    ndarray of int16, shape (bars, steps)

    Raises
    ------
    ottava.errors.UsageError
        If a number is out of range, or there are notes beyond the last bar.
    """
    if steps < 1:
        raise UsageError(f"bars of {steps} steps", expected="at least 1")
    last = int(line.end[-1]) if len(line.end) else 0
    if n_bars is not None and n_bars * steps < last:
        raise UsageError(
            "the notes do not fit these bars", found=f"{last} steps", expected=f"at most {n_bars} bars of {steps}"
        )
    symbols = np.full(steps * (-(-last // steps) if n_bars is None else n_bars), REST, np.int16)
    for start, end, pitch in zip(*line, strict=True):
        symbols[start:end] = HOLD
        symbols[start] = pitch + ONSET
    return symbols.reshape(-1, steps)


def from_bars(symbols: ArrayLike) -> Line:
    """Read symbols as a line of notes.

    Parameters
    ----------
    symbols : array_like of int, shape (bars, steps)
        A :data:`HOLD` that follows silence is silence.

    Returns
    -------
    Line
        Notes in steps from the first bar on. For what :func:`to_bars` wrote, the same line.
    """
    flat = np.asarray(symbols, np.int64).ravel()
    start = np.flatnonzero(flat >= ONSET)
    change = np.append(np.flatnonzero(flat != HOLD), len(flat))
    # A note ends at the next step that does not hold it.
    return Line(start, change[np.searchsorted(change, start, side="right")], (flat[start] - ONSET).astype(np.int16))
