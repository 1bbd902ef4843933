"""What microphones, loudspeakers and codecs do to levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["limit_band"]

_SLOPE = 0.24 / 36
"""24 dB an octave, in levels of :class:`ottava.signal.logfreq.LogFrequency` and its bins."""


def limit_band(bins: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw equipment that now and then carries no highs (from 2.3 to 7.3 kHz on) or no lows (from 140 to 30 Hz down).

    Parameters
    ----------
    bins : ndarray of int
        Bins of :class:`ottava.signal.logfreq.LogFrequency`.
    rng : numpy.random.Generator
        Draws it.

    Returns
    -------
    ndarray of float
        What is added to the level of each bin, at most 0.
    """
    gain = np.zeros(bins.shape)
    if rng.random() < 0.35:
        gain -= _SLOPE * np.clip(bins - rng.uniform(230, 290), 0, None)
    if rng.random() < 0.35:
        gain -= _SLOPE * np.clip(rng.uniform(5, 85) - bins, 0, None)
    return gain
