"""The recording, made small enough for a page, and its outline for the waveform. One pass, bounded memory."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from ottava.io.audio import stream_audio

__all__ = ["LONGEST_S", "Sound", "record"]

LONGEST_S = 15 * 60.0
"""Recordings longer than this stay outside the page."""

# Vorbis rather than MP3, because browsers seek in it to the sample, and rather than Opus, because libsndfile
# encodes it four times faster: 0.2 s and 0.3 MB for each minute at this rate and quality.
_RATE_HZ = 24_000
_COMPRESSION = 0.5
_BLOCK_S = 10.0
_WINDOW = 480  # samples, 20 ms; divides a block
_BARS = 1600


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording as a page needs it.

    Parameters
    ----------
    duration_s : float
        Length in seconds.
    peak, loudness : numpy.ndarray of uint8, shape (bars,)
        Greatest magnitude and root mean square within equal parts of the recording, 255 for the greatest
        magnitude of all. At most 1600 parts, none for an empty recording.
    encoded : bytes or None
        Ogg Vorbis, mono, 24 kHz. None if the recording is longer than :data:`LONGEST_S`.
    """

    duration_s: float
    peak: NDArray[np.uint8]
    loudness: NDArray[np.uint8]
    encoded: bytes | None


def record(source: Any) -> Sound:
    """Read a recording once, block by block, and return what a page needs of it.

    Parameters
    ----------
    source
        Anything that :func:`ottava.io.audio.stream_audio` reads.

    Raises
    ------
    ottava.errors.InputError
        If the recording cannot be read.
    """
    peaks, powers, length, longest = [], [], 0, LONGEST_S * _RATE_HZ
    buffer = io.BytesIO()
    with (
        stream_audio(source, rate_hz=_RATE_HZ, block_s=_BLOCK_S) as blocks,
        soundfile.SoundFile(
            buffer, "w", _RATE_HZ, 1, format="OGG", subtype="VORBIS", compression_level=_COMPRESSION
        ) as encoder,
    ):
        if (blocks.duration_s or 0) > LONGEST_S:
            longest = 0  # known beforehand: spare the encoding
        for block in blocks:
            length += len(block)
            windows = np.pad(block, (0, -len(block) % _WINDOW)).reshape(-1, _WINDOW)
            peaks.append(np.abs(windows).max(axis=1))
            powers.append((windows**2).mean(axis=1))
            if length <= longest:
                encoder.write(block)
    peak, loudness = _bars(np.concatenate(peaks or [[]]), np.concatenate(powers or [[]]))
    encoded = buffer.getvalue() if 0 < length <= longest else None
    return Sound(length / _RATE_HZ, peak, loudness, encoded)


def _bars(peaks: NDArray[np.floating], powers: NDArray[np.floating]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Merge windows into at most ``_BARS`` bars, and scale them to bytes."""
    if not len(peaks):
        return np.zeros(0, np.uint8), np.zeros(0, np.uint8)
    edges = np.linspace(0, len(peaks), min(len(peaks), _BARS) + 1).astype(int)
    peak = np.maximum.reduceat(peaks, edges[:-1])
    loudness = np.sqrt(np.add.reduceat(powers, edges[:-1]) / np.diff(edges))
    scale = 255 / max(float(peak.max()), 1e-4)  # near-silence stays flat
    return (peak * scale).round().astype(np.uint8), (loudness * scale).round().astype(np.uint8)
