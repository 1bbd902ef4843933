"""Changing some notes of a MIDI file and leaving every other byte of it as it was.

The file is taken apart into events, which keep the bytes they came with; only a track whose notes change is written
anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ottava.errors import InputError

__all__ = ["NoteChange", "count_beginnings", "rewrite_notes"]

_NOTE_OFF, _NOTE_ON = 0x80, 0x90


class NoteChange(NamedTuple):
    """A note that goes, comes or changes, in ticks.

    Parameters
    ----------
    start, end : int
        Ticks; of a note that goes, ``end`` is not looked at.
    pitch, velocity : int
        MIDI numbers.
    """

    start: int
    end: int
    pitch: int
    velocity: int = 64


@dataclass
class _Event:
    """One event of a track: when, and its bytes with the status in front."""

    tick: int
    order: int
    data: bytes

    @property
    def channel(self) -> int:
        return self.data[0] & 0x0F if self.data[0] < 0xF0 else -1

    def is_note(self, on: bool) -> bool:
        kind, loud = self.data[0] & 0xF0, self.data[2] if len(self.data) > 2 else 0
        starts = kind == _NOTE_ON and loud > 0
        return starts if on else kind == _NOTE_OFF or (kind == _NOTE_ON and not starts)


def rewrite_notes(
    data: bytes, part: Iterable[tuple[int, int]], gone: Sequence[NoteChange], come: Sequence[NoteChange]
) -> bytes:
    """Return a MIDI file with some notes of one part taken out and others put in.

    Parameters
    ----------
    data : bytes
        The file.
    part : iterable of (int, int)
        Tick and pitch of the notes of the part, by which its track and channel are found.
    gone, come : sequence of NoteChange
        Notes to take out, by start and pitch, and notes to put in.

    Returns
    -------
    bytes
        The file. Tracks that do not hold the part, and all events but the notes', are as they were.

    Raises
    ------
    ottava.errors.InputError
        If the file is damaged, or does not have these notes.
    """
    chunks = _split(data)
    wanted = set(part)
    best, found, parsed = (0, 0), -1, {}
    for i, (kind, content) in enumerate(chunks):
        if kind != b"MTrk":
            continue
        events = parsed[i] = _parse(content)
        for channel in {event.channel for event in events if event.channel >= 0}:
            starts = {(e.tick, e.data[1]) for e in events if e.channel == channel and e.is_note(True)}
            if len(starts & wanted) > found:
                best, found = (i, channel), len(starts & wanted)
    if found < 1:
        raise InputError("the notes of the part are not in this MIDI file", found="none of them")
    index, channel = best
    events = parsed[index]
    for note in gone:
        _take_out(events, channel, note)
    end = max((event.tick for event in events), default=0)
    for note in come:
        # Ends come before beginnings at one tick, and what was there stays in front.
        events.append(_Event(note.start, 2 * 10**9, bytes((_NOTE_ON | channel, note.pitch, note.velocity))))
        events.append(_Event(note.end, -1, bytes((_NOTE_OFF | channel, note.pitch, 64))))
    last = [event for event in events if event.data[:2] == b"\xff\x2f"]
    rest = [event for event in events if event.data[:2] != b"\xff\x2f"]
    rest.sort(key=lambda event: (event.tick, event.order))
    final = max([end, *(event.tick for event in rest)])
    rest += [_Event(final, 0, last[0].data if last else b"\xff\x2f\x00")]
    chunks[index] = (b"MTrk", _write(rest))
    return b"".join(kind + len(content).to_bytes(4, "big") + content for kind, content in chunks)


def count_beginnings(data: bytes) -> int:
    """Return how many notes begin in a MIDI file, whether they end or not.

    Raises
    ------
    ottava.errors.InputError
        If it is damaged.
    """
    return sum(event.is_note(True) for kind, content in _split(data) if kind == b"MTrk" for event in _parse(content))


def _take_out(events: list[_Event], channel: int, note: NoteChange) -> None:
    for i, event in enumerate(events):
        if (event.tick, event.channel) == (note.start, channel) and event.is_note(True) and event.data[1] == note.pitch:
            end = next(
                (
                    j
                    for j in range(i + 1, len(events))
                    if events[j].channel == channel and events[j].is_note(False) and events[j].data[1] == note.pitch
                ),
                None,
            )
            if end is not None:
                del events[end]
            del events[i]
            return
    raise InputError("a note is not where it was", found=f"no pitch {note.pitch} at tick {note.start}")


def _split(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "big")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length
    if not chunks or chunks[0][0] != b"MThd":
        raise InputError("is no MIDI file", found=repr(data[:4]), expected="b'MThd'")
    return chunks


def _parse(content: bytes) -> list[_Event]:
    events: list[_Event] = []
    at, tick, status = 0, 0, 0
    try:
        while at < len(content):
            delta, at = _read_number(content, at)
            tick += delta
            if content[at] & 0x80:
                status, at = content[at], at + 1
            if status in (0xFF, 0xF0, 0xF7):
                head = bytes((status,)) if status != 0xFF else content[at - 1 : at + 1]
                begin = at + (status == 0xFF)
                length, start = _read_number(content, begin)
                events.append(_Event(tick, len(events), head + content[begin : start + length]))
                at = start + length
            else:
                size = 1 if status & 0xF0 in (0xC0, 0xD0) else 2
                if not status & 0x80 or at + size > len(content):
                    raise IndexError
                events.append(_Event(tick, len(events), bytes((status,)) + content[at : at + size]))
                at += size
    except IndexError:
        raise InputError("is a damaged MIDI file", found=f"a track that breaks off at byte {at}") from None
    return events


def _write(events: Iterable[_Event]) -> bytes:
    written, now = bytearray(), 0
    for event in events:
        written += _number(event.tick - now) + event.data
        now = event.tick
    return bytes(written)


def _read_number(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    while True:
        byte, at = content[at], at + 1
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, at


def _number(value: int) -> bytes:
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))
