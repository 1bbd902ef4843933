"""Changing some notes of a MIDI file and leaving every other byte of it as it was.

The file is taken apart into events, which keep the bytes they came with; only a track whose notes change is written
anew. Where a status byte was left out, because the event before has the same, it is left out again if that still holds.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ottava.errors import InputError

__all__ = ["NoteChange", "count_beginnings", "rewrite_notes"]

_NOTE_OFF, _NOTE_ON, _PROGRAM = 0x80, 0x90, 0xC0
_SYSEX, _SYSEX_ON, _META = 0xF0, 0xF7, 0xFF
_TRACK, _END = b"MTrk", b"\xff\x2f"
_ONE_BYTE = (0xC0, 0xD0)  # of channels, after the status; others have two
_SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # of messages that belong in no file, and are in some; others have none


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
    """One event of a track: when, its bytes with the status in front, and whether the file left the status out."""

    tick: int
    order: int
    data: bytes
    running: bool = False

    @property
    def channel(self) -> int:
        return self.data[0] & 0x0F if self.data[0] < 0xF0 else -1

    def is_note(self, on: bool) -> bool:
        kind, loud = self.data[0] & 0xF0, self.data[2] if len(self.data) > 2 else 0
        starts = kind == _NOTE_ON and loud > 0
        return starts if on else kind == _NOTE_OFF or (kind == _NOTE_ON and not starts)


def rewrite_notes(
    data: bytes,
    part: Iterable[tuple[int, int]],
    gone: Sequence[NoteChange],
    come: Sequence[NoteChange],
    *,
    twin: int = 0,
) -> bytes:
    """Return a MIDI file with some notes of one part taken out and others put in.

    Parameters
    ----------
    data : bytes
        The file.
    part : iterable of (int, int)
        Tick and pitch of the notes of the part, by which its track and channel are found: those that differ least.
    gone, come : sequence of NoteChange
        Notes to take out, by start and pitch, and notes to put in.
    twin : int
        How many parts that stand before this one in the file have the same notes.

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
    parsed = {i: _parse(content) for i, (head, content) in enumerate(chunks) if head[:4] == _TRACK}
    index, channel = _find_part(parsed, set(part), twin)
    events = _take_out(parsed[index], channel, gone)
    end = max((event.tick for event in parsed[index]), default=0)
    for note in come:
        # Ends come before beginnings at one tick, and what was there stays in front.
        events.append(_Event(note.start, 2 * 10**9, bytes((_NOTE_ON | channel, note.pitch, note.velocity))))
        events.append(_Event(note.end, -1, bytes((_NOTE_OFF | channel, note.pitch, 64))))
    last = [event for event in events if event.data[:2] == _END]
    rest = [event for event in events if event.data[:2] != _END]
    rest.sort(key=lambda event: (event.tick, event.order))
    final = max([end, *(event.tick for event in rest)])
    rest += [_Event(final, 0, last[0].data if last else _END + b"\x00")]
    content = _write(rest)
    chunks[index] = (_TRACK + len(content).to_bytes(4, "big"), content)
    return b"".join(head + content for head, content in chunks)


def count_beginnings(data: bytes) -> int:
    """Return how many notes begin in a MIDI file, whether they end or not.

    Raises
    ------
    ottava.errors.InputError
        If it is damaged.
    """
    tracks = [content for head, content in _split(data) if head[:4] == _TRACK]
    return sum(event.is_note(True) for content in tracks for event in _parse(content))


def _find_part(tracks: dict[int, list[_Event]], wanted: set[tuple[int, int]], twin: int) -> tuple[int, int]:
    """Return track and channel of the part with these notes."""
    parts = [
        (index, channel, notes)
        for index, events in tracks.items()
        for (channel, _), notes in sorted(_divide(events).items())
        if notes & wanted
    ]
    if not parts:
        raise InputError("the notes of the part are not in this MIDI file", found="none of them")
    least = min(len(notes ^ wanted) for _, _, notes in parts)
    alike = [(index, channel) for index, channel, notes in parts if len(notes ^ wanted) == least]
    return alike[min(twin, len(alike) - 1)]


def _divide(events: list[_Event]) -> dict[tuple[int, int], set[tuple[int, int]]]:
    """Return tick and pitch of notes by channel and program, which is how readers divide a track into parts."""
    program: dict[int, int] = {}
    parts: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
    ends = _pair(events)
    for i, event in enumerate(events):
        if event.data[0] & 0xF0 == _PROGRAM:
            program[event.channel] = event.data[1]
        elif i in ends:
            parts[event.channel, program.get(event.channel, 0)].add((event.tick, event.data[1]))
    return parts


def _pair(events: list[_Event]) -> dict[int, int]:
    """Return for each event that begins a note which one ends it; of notes on a key, the first to begin ends first."""
    ends: dict[int, int] = {}
    begun: dict[tuple[int, int], deque[int]] = defaultdict(deque)
    for i, event in enumerate(events):
        if event.is_note(True):
            begun[event.channel, event.data[1]].append(i)
        elif event.is_note(False) and (waiting := begun[event.channel, event.data[1]]):
            ends[waiting.popleft()] = i
    return ends


def _take_out(events: list[_Event], channel: int, notes: Sequence[NoteChange]) -> list[_Event]:
    """Return the events without those of some notes."""
    ends = _pair(events)
    places: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i in ends:
        if events[i].channel == channel:
            places[events[i].tick, events[i].data[1]].append(i)
    out = set()
    for note in notes:
        if not (found := places[note.start, note.pitch]):
            raise InputError("a note is not where it was", found=f"no pitch {note.pitch} at tick {note.start}")
        begin = found.pop(0)
        out |= {begin, ends[begin]}
    return [event for i, event in enumerate(events) if i not in out]


def _split(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return kind and length, and content, of each chunk; joined they are the file."""
    if data[:4] != b"MThd":
        raise InputError("is no MIDI file", found=repr(data[:4]), expected="b'MThd'")
    chunks, at = [], 0
    while at < len(data):
        stop = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        chunks.append((data[at : at + 8], data[at + 8 : stop]))
        at = stop
    return chunks


def _parse(content: bytes) -> list[_Event]:
    """Return the events of a track. What stands after its end belongs to the event that ends it."""
    events: list[_Event] = []
    at, tick, status = 0, 0, 0
    try:
        while at < len(content):
            delta, at = _read_number(content, at)
            tick += delta
            running = not content[at] & 0x80
            kind, at = (status, at) if running else (content[at], at + 1)
            if kind in (_META, _SYSEX, _SYSEX_ON):
                length, stop = _read_number(content, at + (kind == _META))
                stop = len(content) if kind == _META and content[at] == _END[1] else stop + length
            else:
                status = kind if kind < _SYSEX else status
                stop = at + _count_bytes(kind)
            if not kind & 0x80 or stop > len(content):
                raise IndexError
            events.append(_Event(tick, len(events), bytes((kind,)) + content[at:stop], running))
            at = stop
    except IndexError:
        raise InputError("is a damaged MIDI file", found=f"a track that breaks off at byte {at}") from None
    return events


def _count_bytes(status: int) -> int:
    """Return how many bytes follow a status."""
    if status >= _SYSEX:
        return _SYSTEM_BYTES.get(status, 0)
    return 1 if status & 0xF0 in _ONE_BYTE else 2


def _write(events: Iterable[_Event]) -> bytes:
    written, now, status = bytearray(), 0, 0
    for event in events:
        omit = event.running and event.data[0] == status
        written += _number(event.tick - now) + event.data[omit:]
        now = event.tick
        # After an event that is of no channel, the status has to be said again.
        status = event.data[0] if event.channel >= 0 else 0
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
