"""What several play at once on one pitch is one note of several players."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["number_unisons"]

_APART = 2
"""Frames between onsets of one pitch that transcription cannot tell apart, 50 ms."""


def number_unisons(frame: NDArray[np.int64], pitch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number notes: onsets of one pitch that transcription cannot tell apart are one note.

    Parameters
    ----------
    frame, pitch : ndarray of int, shape (N,)
        Places of onsets.

    Returns
    -------
    ndarray of int, shape (N,)
        Of each onset the number of its note, from 0, in the order of frame and pitch.
    """
    order = np.lexsort((frame, pitch))
    begins = np.ones(len(order), bool)
    begins[1:] = (np.diff(pitch[order]) > 0) | (np.diff(frame[order]) > _APART)
    by_pitch = np.cumsum(begins) - 1
    rank = np.argsort(np.lexsort((pitch[order][begins], frame[order][begins])))
    number = np.empty(len(order), np.int64)
    number[order] = rank[by_pitch]
    return number
