"""Sound in any container to blocks of samples, in bounded memory; what is wrong with it, in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from ottava.errors import InputError, MissingError, UsageError
from ottava.io.containers import Kind, identify, mp3_is_joined, ogg_end, wav_claim_s
from ottava.io.files import open_input
from ottava.io.mpg123 import hushed

__all__ = ["MEDIA_SUFFIXES", "SOUND_SUFFIXES", "Decoding", "decode_array", "decode_file"]

SOUND_SUFFIXES = (
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aif",
    ".aiff",
    ".aifc",
    ".au",
    ".caf",
    ".w64",
)
"""Suffixes of the formats that every installation reads."""

MEDIA_SUFFIXES = (
    *(".m4a", ".aac", ".mp4", ".m4v", ".mov", ".mkv", ".mka", ".webm", ".wma", ".wmv", ".avi", ".flv"),
    *(".mpg", ".mpeg", ".ts", ".3gp", ".wv", ".ape"),
)
"""Suffixes of the formats that need the ``[video]`` extra."""

_BLOCK_VALUES = 2**18  # samples times channels in a block: 1 MiB
_MP3_BLOCK = 9216  # samples: eight frames
_SLACK_S = 0.1  # codecs pad and trim some milliseconds; less than this is not a missing end
_EXPECTED = "wav, flac, ogg, opus, mp3, m4a or the sound of a video"


@dataclass
class Decoding:
    """A sound being decoded.

    Parameters
    ----------
    name : str
        Path or description of the source.
    rate_hz : float
        Sampling rate.
    duration_s : float or None
        Length as the container states it, None if it does not. The end may be missing.
    blocks : iterator of numpy.ndarray of float32, shape (n, channels)
        The samples in order, full scale at 1; each block a new array. The blocks follow the source, not the
        wish of whoever reads them. Raises :class:`ottava.errors.InputError` if nothing can be decoded.
    warnings : list of str
        Grows while decoding.
    close : callable
        Releases the source.
    """

    name: str
    rate_hz: float
    duration_s: float | None
    blocks: Iterator[NDArray[np.float32]]
    warnings: list[str] = field(default_factory=list)
    close: Callable[[], None] = lambda: None


def decode_array(samples: Any, rate_hz: float) -> Decoding:
    """Decode an array of shape (n,) or (n, channels), unchanged itself; integers scaled by their range."""
    array = np.asarray(samples)
    shape = f"{array.dtype} of shape {array.shape}"
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu" or (array.ndim == 2 and not array.shape[1]):
        raise InputError("no sound in this array", found=shape, expected="real numbers, (n,) or (n, channels)")
    if array.ndim == 2 and array.shape[1] > max(array.shape[0], 64):
        raise InputError("this array lies on its side", found=shape, expected="(n, channels)")
    offset, scale = 0.0, 1.0
    if array.dtype.kind in "iu":
        scale = 2.0 ** (8 * array.dtype.itemsize - 1)
        offset = scale if array.dtype.kind == "u" else 0.0
    columns = array if array.ndim == 2 else array[:, np.newaxis]  # also when empty

    def blocks() -> Iterator[NDArray[np.float32]]:
        size = max(1, _BLOCK_VALUES // columns.shape[1])
        for begin in range(0, len(columns), size):
            block = columns[begin : begin + size]
            yield block.astype(np.float32) if scale == 1 else ((block - offset) / scale).astype(np.float32)

    return Decoding("array", float(rate_hz), len(array) / rate_hz if rate_hz else None, blocks())


def decode_file(source: str | os.PathLike[str] | BinaryIO) -> Decoding:
    """Open a sound or video file and decode it, with libsndfile where possible, else with PyAV.

    Raises
    ------
    ottava.errors.InputError
        If the file cannot be opened or is no sound.
    ottava.errors.MissingError
        If only PyAV can decode it and that is not installed.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        with open_input(source) as file:
            look = _look(file)
    else:
        name = str(getattr(source, "name", "sound data"))
        try:
            look = _look(source)
            source.seek(0)
        except (OSError, AttributeError, TypeError) as error:
            raise UsageError("this is no binary file that can be read twice", found=repr(source)) from error
    kind = look.kind
    if kind is None and Path(name).suffix.lower() in MEDIA_SUFFIXES:
        kind = Kind("a video or compressed sound file", "media")
    if kind is not None and kind.decoder == "none":
        raise InputError("is no sound", path=name, found=f"what looks like {kind.name}", expected=_EXPECTED)
    if kind is not None and kind.decoder == "media":
        return _decode_media(source, name, kind)
    return _decode_sound(source, name, look)


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read from front to back.

    Of a file that can seek, soundfile seeks to the end of every block that it has read, and there the MP3
    decoder loses the bits that frames borrow from each other: a different sound comes out.
    """

    def seekable(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _Look:
    """What the bytes of a file say, apart from any decoder."""

    kind: Kind | None
    claim_s: float | None  # of a WAV file whose end is missing
    complete: bool  # unless an Ogg file lacks the mark of its end
    position: int  # where an Ogg file has got to
    joined: bool  # an MP3 file after which another begins


def _look(file: BinaryIO) -> _Look:
    file.seek(0)
    head = file.read(64)
    if not isinstance(head, bytes):
        raise TypeError("text")
    if not head:
        raise InputError("is empty", path=str(getattr(file, "name", "sound data")), found="0 bytes")
    complete, position = ogg_end(file) if head[:4] == b"OggS" else (True, 0)
    return _Look(identify(head), wav_claim_s(file), complete, position, mp3_is_joined(file))


def _decode_sound(source: str | os.PathLike[str] | BinaryIO, name: str, look: _Look) -> Decoding:
    # Bytes, because a path need not be valid Unicode where paths are bytes. Windows wants characters.
    target = os.fsencode(source) if isinstance(source, (str, os.PathLike)) and os.name != "nt" else source
    try:
        with hushed():
            file = _Forward(target)
    except (soundfile.SoundFileError, TypeError, OSError) as error:
        found = f"what looks like {look.kind.name}, but damaged" if look.kind else "unknown contents"
        raise InputError("cannot be decoded", path=name, found=found, expected=_EXPECTED) from error
    mp3 = file.format == "MP3"
    # The MP3 decoder finds its way again after damage, at the price of the block in which it met it.
    size, patience = (_MP3_BLOCK, 8) if mp3 else (max(1, _BLOCK_VALUES // file.channels), 0)
    claim_s = look.claim_s or file.frames / file.samplerate

    def blocks() -> Iterator[NDArray[np.float32]]:
        frames, damages, failures = 0, 0, 0
        while failures <= patience:
            block = np.empty((size, file.channels), dtype=np.float32)
            try:
                with hushed() if mp3 else nullcontext():
                    block = file.read(out=block)
                if not len(block):
                    break
                failures = 0
            except soundfile.SoundFileError:
                damages, failures = damages + 1, failures + 1
                # What came before the damage is in place; the MP3 decoder does not say how much that is.
                block = block[:0] if mp3 else block[: max(0, file.tell() - frames)]
            frames += len(block)
            yield block
        found_s = frames / file.samplerate
        missing = claim_s - found_s > _SLACK_S
        if not frames and (damages or missing or look.position):
            raise InputError(
                "cannot be decoded",
                path=name,
                found="no sound after its header",
                expected=f"{claim_s:.2f} s" if claim_s else None,
            )
        if missing or damages:
            what = "it is damaged" if damages else "its end is missing"
            decoding.warnings.append(f"{what}: {found_s:.2f} s found of the {claim_s:.2f} s that its header claims")
        elif not look.complete:
            decoding.warnings.append(f"its end is missing: {found_s:.2f} s found, without the mark of an end")
        elif mp3 and look.joined:
            decoding.warnings.append(f"it is several MP3 files joined: only the first, {found_s:.2f} s, is read")

    decoding = Decoding(name, float(file.samplerate), claim_s, blocks(), close=file.close)
    return decoding


def _decode_media(source: str | os.PathLike[str] | BinaryIO, name: str, kind: Kind) -> Decoding:
    try:
        import av
    except ImportError as error:
        raise MissingError(
            f"reading {kind.name} needs PyAV", path=name, expected="pip install 'ottava[video]'"
        ) from error
    try:
        container = av.open(os.fspath(source) if isinstance(source, (str, os.PathLike)) else source)
    except (av.FFmpegError, ValueError) as error:
        found = f"what looks like {kind.name}, but damaged"
        raise InputError("cannot be decoded", path=name, found=found, expected=_EXPECTED) from error
    if not container.streams.audio:
        container.close()
        raise InputError("has no sound", path=name, found=f"{kind.name} without an audio track")
    stream = container.streams.audio[0]
    rate_hz = float(stream.rate)
    claim_s = container.duration / av.time_base if container.duration else None

    def blocks() -> Iterator[NDArray[np.float32]]:
        frames, damaged = 0, False
        # Codecs differ in number format and layout of their frames, which hold 20 ms: this one does not.
        converter = av.AudioResampler(format="fltp", frame_size=_BLOCK_VALUES // max(1, stream.channels))
        packets = container.decode(stream)
        while not damaged:
            try:
                frame = next(packets, None)
                converted = converter.resample(frame)
            except (av.FFmpegError, ValueError):
                damaged = True
                converted = converter.resample(None)
            for piece in converted:
                frames += piece.samples
                yield np.ascontiguousarray(piece.to_ndarray().T)
            if frame is None:
                break
        found_s = frames / rate_hz
        if not frames and (damaged or claim_s):
            raise InputError("cannot be decoded", path=name, found=f"{kind.name} whose sound is damaged")
        if claim_s is not None and (damaged or claim_s - found_s > max(_SLACK_S, 0.01 * claim_s)):
            decoding.warnings.append(f"it is cut off or damaged: {found_s:.2f} s found of {claim_s:.2f} s")

    decoding = Decoding(name, rate_hz, claim_s, blocks(), close=container.close)
    return decoding
