"""Notes from a frame-wise posterior: the rule that a system without onsets needs, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ottava.results import Notes

__all__ = ["LOW_MIDI", "frame_notes"]

LOW_MIDI = 21
"""MIDI pitch of the first row."""

_VELOCITY = 80  # the posterior says nothing about force


def frame_notes(
    posterior: NDArray[np.float32],
    frame_s: float,
    *,
    threshold: float = 0.5,
    gap_s: float = 0.05,
    min_note_s: float = 0.06,
    instrument: str = "keys",
) -> Notes:
    """Turn runs of frames above a threshold into notes.

    A repeated note whose frames touch is one note: without onsets nothing tells them apart.

    Parameters
    ----------
    posterior : ndarray of float, shape (frames, notes)
        From 0 to 1; column 0 is A0.
    frame_s : float
        Time between frames in seconds.
    threshold : float
    gap_s : float
        Shorter silences inside a note are filled.
    min_note_s : float
        Shorter notes are dropped, after the filling.
    instrument : str
        Family written to every note.

    Returns
    -------
    ottava.results.Notes
        The confidence is the mean of the posterior over the note's frames.
    """
    # A closed frame at both ends of each pitch: every run then begins and ends inside its own row.
    is_open = np.pad(np.greater_equal(posterior.T, threshold), ((0, 0), (1, 1)))
    edges = np.flatnonzero(np.diff(is_open.ravel()))
    begin, end = edges[::2], edges[1::2]
    width = is_open.shape[1]
    touch = (begin[1:] - end[:-1] <= gap_s / frame_s) & (begin[1:] // width == end[:-1] // width)
    begin, end = begin[np.r_[True, ~touch][: len(begin)]], end[np.r_[~touch, True][: len(end)]]
    keep = end - begin >= min_note_s / frame_s
    begin, end = begin[keep], end[keep]
    row, first, last = begin // width, begin % width, end % width
    total = np.pad(np.cumsum(posterior, axis=0, dtype=np.float64), ((1, 0), (0, 0)))
    confidence = (total[last, row] - total[first, row]) / np.maximum(last - first, 1)
    return Notes(
        first * frame_s,
        last * frame_s,
        LOW_MIDI + row,
        np.full(len(row), _VELOCITY),
        np.clip(confidence, 0, 1),
        np.full(len(row), instrument),
    )
