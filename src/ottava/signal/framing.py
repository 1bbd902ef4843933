"""Cutting sound into centred, overlapping frames, from a stream and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ottava.errors import UsageError

__all__ = ["BLOCK_FRAMES", "count_frames", "iter_frames"]

BLOCK_FRAMES = 64
"""Frames handed on at a time. A constant, because matrix products round differently for other sizes."""


def count_frames(n_samples: int, hop: int) -> int:
    """Return how many frames ``n_samples`` give: ``ceil(n_samples / hop)``, so every sample has its frame."""
    return -(-n_samples // hop)


def iter_frames(
    blocks: Iterable[NDArray[np.float32]], window: int, hop: int, *, block_frames: int = BLOCK_FRAMES
) -> Iterator[NDArray[np.float32]]:
    """Cut a stream of sound into frames centred on multiples of ``hop``.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (n,)
        Consecutive pieces of one mono sound, of any lengths.
    window : int
        Even length of a frame in samples. Before the start and after the end there is silence.
    hop : int
        Samples between the centres of neighbouring frames, at most ``window``.
    block_frames : int
        Frames in each array handed on, but the last.

    Yields
    ------
    ndarray of float32, shape (at most ``block_frames``, window)
        Read-only views: frame ``t`` is centred on sample ``t * hop``.
    """
    if window % 2 or not 0 < hop <= window:
        raise UsageError(f"window {window} and hop {hop} do not fit", expected="an even window, 0 < hop <= window")
    span = (block_frames - 1) * hop + window
    pending = np.zeros(window // 2, np.float32)
    n_samples = 0
    for block in blocks:
        n_samples += len(block)
        pending = np.concatenate([pending, np.asarray(block, np.float32)])
        while len(pending) >= span:
            yield _view(pending[:span], window, hop)
            pending = pending[block_frames * hop :]
    # What remains: `pending` begins at the next frame's first sample; add the silence after the end.
    done = (n_samples + window // 2 - len(pending)) // hop
    left = count_frames(n_samples, hop) - done
    pending = np.concatenate([pending, np.zeros(window, np.float32)])
    while left > 0:
        take = min(left, block_frames)
        yield _view(pending[: (take - 1) * hop + window], window, hop)
        pending = pending[take * hop :]
        left -= take


def _view(samples: NDArray[np.float32], window: int, hop: int) -> NDArray[np.float32]:
    return np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
