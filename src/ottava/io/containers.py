"""What the first and last bytes of a file say: which kind it is, and how much sound it claims to hold.

Decoders take a header's word for the length or quietly correct it. Here the claim is read apart, so that a
file whose end is missing can be told from a short one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

__all__ = ["Kind", "identify", "mp3_is_joined", "ogg_end", "wav_claim_s"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file, and who decodes it: libsndfile (``"sound"``), FFmpeg (``"media"``), or nobody."""

    name: str
    decoder: Literal["sound", "media", "none"]


_SIGNATURES: tuple[tuple[int, bytes, str, Literal["sound", "media", "none"]], ...] = (
    (0, b"fLaC", "a FLAC file", "sound"),
    (0, b"OggS", "an Ogg file", "sound"),
    (0, b"ID3", "an MP3 file", "sound"),
    (8, b"WAVE", "a WAV file", "sound"),
    (8, b"AIF", "an AIFF file", "sound"),
    (4, b"ftyp", "an MP4 file", "media"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM file", "media"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a Windows Media file", "media"),
    (8, b"AVI ", "an AVI video", "media"),
    (0, b"FLV\x01", "a Flash video", "media"),
    (0, b"\x00\x00\x01\xba", "an MPEG video", "media"),
    (0, b"\xff\xf1", "an AAC file", "media"),
    (0, b"\xff\xf9", "an AAC file", "media"),
    (0, b"wvpk", "a WavPack file", "media"),
    (0, b"MAC ", "a Monkey's Audio file", "media"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image", "none"),
    (0, b"\xff\xd8\xff", "a JPEG image", "none"),
    (0, b"GIF8", "a GIF image", "none"),
    (8, b"WEBP", "a WebP image", "none"),
    (0, b"%PDF", "a PDF document", "none"),
    (0, b"PK\x03\x04", "a ZIP archive", "none"),
    (0, b"\x1f\x8b", "a gzip archive", "none"),
    (0, b"Rar!", "a RAR archive", "none"),
    (0, b"MThd", "a MIDI file", "none"),
    (0, b"\x7fELF", "a program", "none"),
    (0, b"MZ", "a program", "none"),
)

# Sizes that encoders write into a header when they cannot know better, because they write to a pipe.
_UNKNOWN_SIZE = 0x7FFF_F000
_OGG_PAGE_MAX = 65_307


def identify(head: bytes) -> Kind | None:
    """Return the kind of file that begins with ``head`` (64 bytes are enough), or None if it is unknown."""
    for offset, signature, name, decoder in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return Kind(name, decoder)
    if head and all(byte >= 32 or byte in b"\t\n\f\r" for byte in head):
        return Kind("text", "none")
    return None


def wav_claim_s(file: BinaryIO) -> float | None:
    """Return how many seconds the header of a WAV file claims, if that is more than the file holds.

    Parameters
    ----------
    file : binary file object
        Seekable. Its position changes.

    Returns
    -------
    float or None
        None if the data is complete, the length is marked as unknown, or this is no WAV file.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    order = {b"RIFF": "<", b"RIFX": ">"}.get(head[:4])
    if order is None or head[8:] != b"WAVE":
        return None
    bytes_per_s = 0
    while len(chunk := file.read(8)) == 8:
        name, length = struct.unpack(f"{order}4sI", chunk)
        begin = file.tell()
        if name == b"data":
            if length >= _UNKNOWN_SIZE or length <= size - begin or not bytes_per_s:
                return None
            return float(length / bytes_per_s)
        if name == b"fmt ":
            fields = file.read(16)
            bytes_per_s = struct.unpack(f"{order}I", fields[8:12])[0] if len(fields) == 16 else 0
        file.seek(begin + length + length % 2)
    return None


def mp3_is_joined(file: BinaryIO) -> bool:
    """Return whether another MP3 file follows where the first one's header says that it ends.

    Parameters
    ----------
    file : binary file object
        Seekable. Its position changes.
    """
    file.seek(0)
    tag = file.read(10)
    begin = 0
    if tag[:3] == b"ID3" and len(tag) == 10:
        begin = 10 + sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
    file.seek(begin)
    frame = file.read(200)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or not frame[at + 7] & 2:  # the second flag says that a size in bytes is given
        return False
    at += 12 if frame[at + 7] & 1 else 8
    file.seek(begin + int.from_bytes(frame[at : at + 4], "big"))
    following = file.read(3)
    return following == b"ID3" or (following[:1] == b"\xff" and following[1:2] >= b"\xe2")


def ogg_end(file: BinaryIO) -> tuple[bool, int]:
    """Return how an Ogg file ends.

    Parameters
    ----------
    file : binary file object
        Seekable. Its position changes.

    Returns
    -------
    complete : bool
        Whether the last page is there in full and carries the mark of a stream's end.
    position : int
        Position in the stream of the last page whose beginning is there, 0 for none.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - 2 * _OGG_PAGE_MAX))
    tail = file.read()
    at = len(tail)
    while (at := tail.rfind(b"OggS\x00", 0, at)) >= 0:
        page = tail[at:]
        if len(page) < 27 or len(page) < 27 + page[26]:
            continue
        flags, position = page[5], struct.unpack("<q", page[6:14])[0]
        whole = len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
        return whole and bool(flags & 4), max(position, 0)
    return False, 0
