"""A constant-Q-like transform: spectra on a logarithmic frequency axis, a fixed number of bins to the semitone.

Short-time spectra are pooled onto geometrically spaced bands with triangular weights; where bands lie closer
together than the FFT's bins (the lowest octaves) a band interpolates between its two neighbours. On this axis a
transposition is a shift, which lets convolutions treat all pitches alike and training transpose for free.

One window cannot be good at both ends: the long one tells neighbouring low pitches apart, the short one says
*when* a note begins. Each is one channel of the feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ottava.signal.framing import count_frames, iter_frames

__all__ = ["LogFrequency"]

_A4_HZ, _A4_MIDI = 440.0, 69


@dataclass(frozen=True)
class LogFrequency:
    """Log-frequency levels in decibels, scaled to about 0..1.

    Parameters
    ----------
    rate_hz : int
        Sampling rate of the sound.
    hop : int
        Samples between frames.
    windows : tuple of int
        Length of the Hann window of each channel in samples, longest first.
    bins_per_semitone : int
        Odd; each semitone's middle bin is in tune with A4 = 440 Hz.
    low_midi : int
        MIDI pitch of the lowest semitone.
    n_bins : int
        Number of bins.
    floor_db : float
        Level, relative to a full-scale sinusoid, that becomes 0; 0 dB becomes 1.
    """

    rate_hz: int = 16000
    hop: int = 384
    windows: tuple[int, ...] = (4096, 1024)
    bins_per_semitone: int = 3
    low_midi: int = 21
    n_bins: int = 288
    floor_db: float = -100.0

    @property
    def frame_s(self) -> float:
        """Time between frames in seconds."""
        return self.hop / self.rate_hz

    @property
    def n_channels(self) -> int:
        """Number of channels, one for each window."""
        return len(self.windows)

    @cached_property
    def centres_hz(self) -> NDArray[np.float64]:
        """Centre frequency of each bin in hertz, shape (n_bins,)."""
        steps = np.arange(self.n_bins) - self.bins_per_semitone // 2
        pitch = self.low_midi + steps / self.bins_per_semitone
        return _A4_HZ * 2.0 ** ((pitch - _A4_MIDI) / 12)

    @cached_property
    def _banks(self) -> tuple[list[tuple[slice, slice, NDArray[np.float32]]], ...]:
        return tuple(self._bank(window) for window in self.windows)

    def _bank(self, window: int) -> list[tuple[slice, slice, NDArray[np.float32]]]:
        """Return the pooling weights of one window as dense blocks along the diagonal: (FFT bins, bands, weights)."""
        step_hz = self.rate_hz / window
        fft_hz = np.arange(window // 2 + 1) * step_hz
        blocks = []
        # Four semitones at a time: a dense product over the FFT bins that they touch. For a block of frames it is small
        # enough for OpenBLAS not to share it among threads, whose spinning takes the cores from the network.
        width = 4 * self.bins_per_semitone
        for first in range(0, self.n_bins, width):
            bands = slice(first, min(first + width, self.n_bins))
            with np.errstate(divide="ignore"):
                octaves = np.log2(fft_hz[:, None] / self.centres_hz[bands])
            weights = np.clip(1 - np.abs(octaves) * 12 * self.bins_per_semitone, 0, None)
            # Bands narrower than an FFT bin: linear interpolation between the two neighbours.
            narrow = np.flatnonzero(weights.sum(0) < 1)
            position = self.centres_hz[bands][narrow] / step_hz
            below = np.floor(position).astype(int)
            weights[:, narrow] = 0
            weights[below, narrow] = 1 - (position - below)
            weights[np.minimum(below + 1, window // 2), narrow] += position - below
            used = np.flatnonzero(weights.any(1))
            rows = slice(int(used[0]), int(used[-1]) + 1)
            blocks.append((rows, bands, np.ascontiguousarray(weights[rows], np.float32)))
        return blocks

    def stream(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Turn a stream of sound into a stream of features.

        Parameters
        ----------
        blocks : iterable of ndarray of float32, shape (n,)
            Consecutive pieces of one mono sound at ``rate_hz``, full scale ±1.

        Yields
        ------
        ndarray of float32, shape (channels, frames, bins)
            Consecutive features; concatenated along frames they equal :meth:`features` exactly.
        """
        longest = max(self.windows)
        for frames in iter_frames(blocks, longest, self.hop):
            yield np.stack([self._levels(frames, i) for i in range(self.n_channels)])

    def features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features of a whole sound.

        Parameters
        ----------
        samples : ndarray of float32, shape (n,)
            Mono sound at ``rate_hz``, full scale ±1.

        Returns
        -------
        ndarray of float32, shape (channels, ceil(n / hop), bins)
            Frame ``t`` is centred on time ``t * hop / rate_hz``. Silence is 0; a full-scale sinusoid about 1.
        """
        empty = np.zeros((self.n_channels, 0, self.n_bins), np.float32)
        return np.concatenate([empty, *self.stream([samples])], axis=1)

    def count_frames(self, n_samples: int) -> int:
        """Return the number of frames of a sound of ``n_samples``."""
        return count_frames(n_samples, self.hop)

    def _levels(self, frames: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
        window = self.windows[channel]
        margin = (frames.shape[1] - window) // 2
        # Scaled so that a full-scale sinusoid on a bin's centre has level 0 dB.
        taper = np.hanning(window + 1)[:-1]
        taper = (taper * (2 / taper.sum())).astype(np.float32)
        spectrum = np.fft.rfft(frames[:, margin : margin + window] * taper)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        pooled = np.empty((len(frames), self.n_bins), np.float32)
        for rows, bands, weights in self._banks[channel]:
            pooled[:, bands] = power[:, rows] @ weights
        floor = np.float32(10 ** (self.floor_db / 10))
        levels = np.log10(np.maximum(pooled, floor))
        return np.maximum(1 - levels * np.float32(10 / self.floor_db), 0, dtype=np.float32)
