"""Log-mel spectrograms on Slaney's scale, the common input of networks that listen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ottava.signal.framing import count_frames, iter_frames

__all__ = ["LogMel", "hz_to_mel", "mel_to_hz"]

# Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above.
_LINEAR_HZ = 200 / 3
_BREAK_HZ, _BREAK_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Convert hertz, 0 or more, to mels on Slaney's scale."""
    hz = np.asarray(hz, np.float64)
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ, above)


def mel_to_hz(mel: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Convert mels on Slaney's scale to hertz."""
    mel = np.asarray(mel, np.float64)
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, above)


@dataclass(frozen=True)
class LogMel:
    """Logarithm of mel-band power.

    Parameters
    ----------
    rate_hz : int
        Sampling rate of the sound.
    window, hop : int
        Length of the Hann window, and samples between frames.
    n_mels : int
        Number of bands; triangles of equal area (Slaney's normalisation).
    low_hz, high_hz : float
        Lower edge of the first band and upper edge of the last; at most half of ``rate_hz``.
    floor : float
        Added to the power before the logarithm.
    """

    rate_hz: int = 16000
    window: int = 2048
    hop: int = 512
    n_mels: int = 229
    low_hz: float = 30.0
    high_hz: float = 8000.0
    floor: float = 1e-5

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """Weights of the bands, shape (window // 2 + 1, n_mels)."""
        fft_hz = np.linspace(0, self.rate_hz / 2, self.window // 2 + 1)[:, None]
        edges = mel_to_hz(np.linspace(hz_to_mel(self.low_hz), hz_to_mel(self.high_hz), self.n_mels + 2))
        low, centre, high = edges[:-2], edges[1:-1], edges[2:]
        triangles = np.minimum((fft_hz - low) / (centre - low), (high - fft_hz) / (high - centre))
        return (np.maximum(triangles, 0) * (2 / (high - low))).astype(np.float32)

    def stream(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Turn a stream of mono sound into a stream of features, each of shape (frames, n_mels)."""
        taper = np.hanning(self.window + 1)[:-1].astype(np.float32)
        for frames in iter_frames(blocks, self.window, self.hop):
            spectrum = np.fft.rfft(frames * taper)
            power = np.square(spectrum.real) + np.square(spectrum.imag)
            yield np.log(power @ self.weights + np.float32(self.floor))

    def features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features of a whole sound.

        Parameters
        ----------
        samples : ndarray of float32, shape (n,)
            Mono sound at ``rate_hz``, full scale ±1.

        Returns
        -------
        ndarray of float32, shape (ceil(n / hop), n_mels)
            Natural logarithm of ``floor`` plus the power in each band; frame ``t`` is centred on ``t * hop``.
        """
        return np.concatenate([np.zeros((0, self.n_mels), np.float32), *self.stream([samples])])

    def count_frames(self, n_samples: int) -> int:
        """Return the number of frames of a sound of ``n_samples``."""
        return count_frames(n_samples, self.hop)
