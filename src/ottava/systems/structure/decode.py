"""From what the decoder says to bars, one after the other: each bar is written from its code and the bars before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ottava.systems.structure.lines import NO_PITCH, OUTSIDE, PITCHES, RHYTHMS, STEPS, settle
from ottava.systems.structure.relations import MOST_OFFSET

__all__ = ["Bars", "Decoder", "mix", "write_bars"]

Bars = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rhythm and line, int64 of shape (..., bars, STEPS) each."""
Decoder = Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]], Mapping[str, NDArray[np.float32]]]
"""Codes (batch, bars, code), rhythm and line to the outputs named in :class:`.train.network.Written`."""


def mix(
    written: Mapping[str, NDArray[np.float32]], bars: Bars, at: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probabilities of rhythms (batch, STEPS, RHYTHMS) and pitches (batch, STEPS, PITCHES) of one bar.

    Parameters
    ----------
    written : dict of ndarray
        ``rhythm``, ``line``, ``copies``, ``offset``, ``pointer``, each with axes batch and bars in front.
    bars : Bars
        Batch of tunes; bars from ``at`` on are not looked at.
    at : int
        Which bar.
    """
    pointer = written["pointer"][:, at, 1 : at + 1]
    somewhere = pointer.sum(1)[:, None]
    taken = written["copies"][:, at]
    rhythm = np.exp(written["rhythm"][:, at]) * (1 - taken[:, :, 0] * somewhere)[..., None]
    line = np.exp(written["line"][:, at]) * (1 - taken[:, :, 1] * somewhere)[..., None]
    if at:
        past_rhythm, past_line = bars[0][:, :at], bars[1][:, :at]
        rhythm += taken[:, :, :1] * np.einsum("bj,bjsr->bsr", pointer, np.eye(RHYTHMS, dtype=np.float32)[past_rhythm])
        there = np.einsum("bj,bjsp->bsp", pointer, np.eye(PITCHES, dtype=np.float32)[past_line])
        there[:, :, NO_PITCH] = 0
        offset = np.exp(written["offset"][:, at])
        for k in range(2 * MOST_OFFSET + 1):
            up = k - MOST_OFFSET
            to, origin = slice(max(up, 0) + 1, PITCHES + min(up, 0)), slice(max(-up, 0) + 1, PITCHES - max(up, 0))
            low = slice(to.start, to.start + (origin.stop - origin.start))
            line[:, :, low] += taken[:, :, 1:] * offset[:, :, k : k + 1] * there[:, :, origin]
    return rhythm, line


def write_bars(
    decoder: Decoder,
    codes: NDArray[np.float32],
    steps: NDArray[np.int64],
    given: tuple[Bars, NDArray[np.bool_]] | None = None,
) -> tuple[Bars, NDArray[np.float32]]:
    """Write bars in their order, each the likeliest.

    Parameters
    ----------
    decoder : callable
        See :data:`Decoder`.
    codes : ndarray of float32, shape (batch, bars, code)
        One for each bar.
    steps : ndarray of int, shape (batch,)
        Steps to the bar.
    given : tuple of Bars and ndarray of bool, shape (batch, bars), or None
        Bars of which some are not written but taken as they are, and which.

    Returns
    -------
    Bars
        Of shape (batch, bars, STEPS).
    ndarray of float32, shape (batch, bars, bars)
        How much of each bar points at each earlier one.
    """
    batch, n, _ = codes.shape
    rhythm = np.zeros((batch, n, STEPS), np.int64)
    line = np.zeros((batch, n, STEPS), np.int64)
    leans = np.zeros((batch, n, n), np.float32)
    inside = np.arange(STEPS) < steps[:, None]
    for i in range(n):
        taken = np.zeros(batch, bool) if given is None else given[1][:, i]
        if given is not None and taken.all():
            rhythm[:, i], line[:, i] = given[0][0][:, i], given[0][1][:, i]
            continue
        written = decoder(codes[:, : i + 1], rhythm[:, : i + 1], line[:, : i + 1])
        of_rhythm, of_line = mix(written, (rhythm, line), i)
        rhythm[:, i] = np.where(inside, of_rhythm[:, :, :OUTSIDE].argmax(2), OUTSIDE)
        line[:, i] = settle(rhythm[:, i], of_line[:, :, 1:].argmax(2) + 1)
        leans[:, i, : i + 1] = written["pointer"][:, i, 1:]
        if given is not None:
            rhythm[taken, i], line[taken, i] = given[0][0][taken, i], given[0][1][taken, i]
    return (rhythm, line), leans
