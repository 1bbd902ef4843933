"""Sound from files, file objects and arrays: one channel, one rate, whole or in blocks.

Channels are averaged, then the rate is changed by soxr at high quality. Reading in blocks gives the same
samples as reading whole, bit for bit, since both are the same stream; memory is bounded by the block. Levels
are left as they are. A sample that is not a finite number is an error, never replaced: what surrounds it is
hardly music.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from ottava.errors import InputError, UsageError
from ottava.io.decoders import MEDIA_SUFFIXES, SOUND_SUFFIXES, Decoding, decode_array, decode_file

__all__ = ["SUFFIXES", "Audio", "AudioStream", "Source", "load_audio", "stream_audio"]

SUFFIXES: tuple[str, ...] = SOUND_SUFFIXES + MEDIA_SUFFIXES
"""Suffixes of files that are worth trying, lower-case, with their dot."""

# A damaged header may say anything; a rate of 1 Hz would make gigabytes of a block.
_RATES_HZ = (1000, 10_000_000)


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound in memory.

    Parameters
    ----------
    samples : numpy.ndarray of float32, shape (n,)
        One channel, read-only, full scale at 1. May be empty.
    rate_hz : int
        Samples in a second.
    source : str
        Path or description of where it came from.
    warnings : tuple of str
        What is wrong with the source, if it could be read all the same.
    """

    samples: NDArray[np.float32] = field(repr=False)
    rate_hz: int
    source: str
    warnings: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz


Source = str | os.PathLike[str] | BinaryIO | tuple[Any, float] | Audio
"""What sound is read from: a path, a binary file object that can seek, a tuple of an array with shape (n,) or
(n, channels) and its rate in Hz, or sound read before."""


class AudioStream:
    """Sound that arrives in blocks. Made by :func:`stream_audio`; a context manager and an iterator.

    Attributes
    ----------
    source : str
        Path or description of where it comes from.
    duration_s : float or None
        Length in seconds that the source claims, None if it does not say.
    rate_hz : int
        Samples in a second of the blocks.
    """

    def __init__(self, decoding: Decoding, rate_hz: int, size: int) -> None:
        self.source = decoding.name
        self.duration_s = decoding.duration_s
        self.rate_hz = rate_hz
        self._decoding = decoding
        self._blocks = _cut(_resample(_mix(decoding), decoding.rate_hz, rate_hz), size)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the source; complete when the last block has been read."""
        return tuple(self._decoding.warnings)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NDArray[np.float32]:
        """Return the next block, float32, read-only, all of one length but the last."""
        return next(self._blocks)

    def close(self) -> None:
        """Release the source. Blocks that have been read stay valid."""
        self._decoding.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stream_audio(source: Source, *, rate_hz: int = 16000, block_s: float = 30.0) -> AudioStream:
    """Open sound for reading in blocks, in memory that does not grow with its length.

    Parameters
    ----------
    source : path-like, binary file object, (array, rate), or Audio
        wav, flac, ogg, opus, mp3; m4a, mp4, mkv and other videos with the ``[video]`` extra. A file object is
        read from its beginning and stays open. Arrays have shape (n,) or (n, channels); integers are scaled
        by their range.
    rate_hz : int
        Rate of the blocks, above 0.
    block_s : float
        Length of each block but the last, in seconds, at least one sample.

    Returns
    -------
    AudioStream
        Iterate over it, inside a ``with`` statement.

    Raises
    ------
    ottava.errors.InputError
        If the source cannot be opened or is no sound; while iterating, if nothing of it can be decoded or a
        sample is not finite. A source that can be decoded in part gives that part, and a warning.
    ottava.errors.MissingError
        If the format needs the ``[video]`` extra.
    ottava.errors.UsageError
        If the arguments make no sense.

    Examples
    --------
    >>> with stream_audio((np.zeros(40000), 16000), block_s=1.0) as blocks:
    ...     [len(block) for block in blocks]
    [16000, 16000, 8000]
    """
    if not 0 < rate_hz < np.inf or rate_hz != int(rate_hz):
        raise UsageError(f"rate_hz {rate_hz} makes no sense", expected="a whole number above 0")
    if not 1 <= block_s * rate_hz < np.inf:
        raise UsageError(f"block_s {block_s} makes no sense", expected="at least one sample")
    decoding = _open(source)
    if not _RATES_HZ[0] <= decoding.rate_hz <= _RATES_HZ[1]:
        decoding.close()
        raise InputError(
            "has a sampling rate that no sound has",
            path=decoding.name,
            found=f"{decoding.rate_hz:g} Hz",
            expected=f"{_RATES_HZ[0]} to {_RATES_HZ[1]} Hz",
        )
    return AudioStream(decoding, int(rate_hz), round(block_s * rate_hz))


def load_audio(source: Source, *, rate_hz: int = 16000) -> Audio:
    """Read sound whole.

    Parameters
    ----------
    source : path-like, binary file object, (array, rate), or Audio
        As for :func:`stream_audio`.
    rate_hz : int
        Rate of the result, above 0.

    Returns
    -------
    Audio
        One channel at ``rate_hz``. A container without samples gives no samples.

    Raises
    ------
    ottava.errors.InputError, ottava.errors.MissingError, ottava.errors.UsageError
        As for :func:`stream_audio`.

    Examples
    --------
    >>> load_audio((np.zeros((44100, 2)), 44100))
    Audio(rate_hz=16000, source='array', warnings=())
    """
    with stream_audio(source, rate_hz=rate_hz) as stream:
        blocks = list(stream)
    samples = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
    samples.flags.writeable = False
    return Audio(samples, stream.rate_hz, stream.source, stream.warnings)


def _open(source: Source) -> Decoding:
    if isinstance(source, Audio):
        decoding = decode_array(source.samples, source.rate_hz)
        decoding.name, decoding.warnings = source.source, list(source.warnings)
        return decoding
    if isinstance(source, tuple):
        if len(source) == 2 and isinstance(source[1], (int, float, np.number)):
            return decode_array(*source)
    elif isinstance(source, (str, os.PathLike)) or hasattr(source, "read"):
        return decode_file(source)
    raise UsageError(
        "no source of sound",
        found=type(source).__name__,
        expected="a path, a binary file, or (array, rate_hz)",
    )


def _mix(decoding: Decoding) -> Iterator[NDArray[np.float32]]:
    frames = 0
    for block in decoding.blocks:
        mono = block[:, 0] if block.shape[1] == 1 else _average(block)
        if not np.isfinite(mono).all():
            bad = int(np.argmin(np.isfinite(mono)))
            raise InputError(
                "has a sample that is not a finite number",
                path=decoding.name,
                found=f"{mono[bad]} at {(frames + bad) / decoding.rate_hz:.3f} s",
            )
        frames += len(mono)
        yield mono


def _average(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the channels. ``mean(axis=1)`` takes ten times as long where channels are few."""
    mono = block[:, 0].astype(np.float32)
    for channel in block.T[1:]:
        mono += channel
    mono /= np.float32(block.shape[1])
    return mono


def _resample(blocks: Iterator[NDArray[np.float32]], from_hz: float, to_hz: int) -> Iterator[NDArray[np.float32]]:
    if from_hz == to_hz:
        yield from blocks
        return
    import soxr

    converter = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield converter.resample_chunk(np.ascontiguousarray(block))
    yield converter.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


def _cut(blocks: Iterator[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """Yield the same samples in read-only blocks of one size; the last may be shorter."""
    waiting: list[NDArray[np.float32]] = []
    count = 0
    for block in blocks:
        while count + len(block) >= size:
            need = size - count
            yield _joined([*waiting, block[:need]])
            waiting, count, block = [], 0, block[need:]
        if len(block):
            waiting.append(block)
            count += len(block)
    if count:
        yield _joined(waiting)


def _joined(pieces: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    block = np.concatenate(pieces)
    block.flags.writeable = False
    return block
