"""Reading and writing SoundFont 2 files, as far as instruments are changed or asked which keys they have.

Source: SoundFont Technical Specification 2.04 (E-mu Systems, 2006), chapters 5 to 8. Modulators are not kept: the
standard's default ones hold.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.errors import InputError

__all__ = [
    "Font",
    "Generator",
    "Instrument",
    "Preset",
    "Sample",
    "Zone",
    "key_range",
    "keys_of_presets",
    "read_font",
    "signed",
    "write_font",
]

_PAD = 64  # samples of silence after each sample: the standard asks for 46
_TABLES = {b"phdr", b"pbag", b"pgen", b"inst", b"ibag", b"igen"}
_PRESET, _INSTRUMENT, _SAMPLE = "<20sHHHIII", "<20sH", "<20sIIIIIBbHH"


class Generator(IntEnum):
    """Numbers of the parameters of a zone that are used here (section 8.1.3)."""

    START, END, LOOP_START, LOOP_END = 0, 1, 2, 3
    START_COARSE, END_COARSE, LOOP_START_COARSE, LOOP_END_COARSE = 4, 12, 45, 50
    VIBRATO_CENTS, FILTER_CENTS, RESONANCE_CB = 6, 8, 9
    PAN = 17
    VIBRATO_DELAY, VIBRATO_RATE = 23, 24
    ATTACK, DECAY, SUSTAIN_CB, RELEASE = 34, 36, 37, 38
    INSTRUMENT = 41
    KEYS, VELOCITIES = 43, 44
    SAMPLE = 53
    MODES = 54


Zone = dict[int, int]
"""Parameters by number, 16 bits each, read as unsigned."""


@dataclass(frozen=True)
class Instrument:
    """Zones of samples; a global zone is part of each."""

    name: bytes
    zones: tuple[Zone, ...]


@dataclass(frozen=True)
class Preset:
    """Zones of instruments; a global zone is part of each."""

    name: bytes
    program: int
    bank: int
    zones: tuple[Zone, ...]


@dataclass(frozen=True)
class Sample:
    """Where a sample lies in the font's sound, in samples."""

    name: bytes
    start: int
    end: int
    loop_start: int
    loop_end: int
    rate_hz: int
    pitch: int
    cents: int
    kind: int

    @property
    def right(self) -> bool:
        """Whether this is the right side of a pair."""
        return bool(self.kind & 2)


@dataclass(frozen=True)
class Font:
    """A SoundFont.

    Parameters
    ----------
    presets, instruments, samples : sequence
        Its tables; zones point into the next one.
    sound : ndarray of int16, shape (n,)
        All samples, one after the other.
    """

    presets: Sequence[Preset]
    instruments: Sequence[Instrument]
    samples: Sequence[Sample]
    sound: NDArray[np.int16]


def signed(value: int) -> int:
    """Return what an unsigned 16-bit parameter means as a signed one."""
    return value - 65536 if value > 32767 else value


def key_range(zone: Zone) -> range:
    """Return the keys of a zone."""
    both = zone.get(Generator.KEYS, 0x7F00)
    return range(both % 256, both // 256 + 1)


def read_font(data: bytes, path: Path | None = None) -> Font:
    """Read a SoundFont.

    Parameters
    ----------
    data : bytes
        The whole file.
    path : pathlib.Path or None
        Its name, for errors.

    Returns
    -------
    Font
        Without samples, if the file has none.

    Raises
    ------
    ottava.errors.InputError
        If the data is no SoundFont.
    """
    tables = {name: data[first : first + size] for name, first, size in _chunks(data)}
    if data[8:12] != b"sfbk" or not tables.keys() >= _TABLES:
        raise InputError("this is not a SoundFont", path=path, found=repr(data[:12]), expected="RIFF sfbk with presets")
    presets = [
        Preset(row[0].rstrip(b"\0"), row[1], row[2], tuple(zones))
        for row, zones in _rows(tables, b"p", _PRESET, 3, Generator.INSTRUMENT)
    ]
    instruments = [
        Instrument(row[0].rstrip(b"\0"), tuple(zones))
        for row, zones in _rows(tables, b"i", _INSTRUMENT, 1, Generator.SAMPLE)
    ]
    samples = [
        Sample(name.rstrip(b"\0"), start, end, loop_start, loop_end, rate_hz, pitch, cents, kind)
        for name, start, end, loop_start, loop_end, rate_hz, pitch, cents, _, kind in struct.iter_unpack(
            _SAMPLE, tables.get(b"shdr", b"")
        )
    ]
    return Font(presets, instruments, samples[:-1], np.frombuffer(tables.get(b"smpl", b""), "<i2"))


def keys_of_presets(font: Font) -> dict[tuple[int, int], frozenset[int]]:
    """Return which keys each preset has: a note outside every key range is silent.

    A corpus whose truth has such a note would teach to hear silence.

    Returns
    -------
    dict of (int, int) to frozenset of int
        Keys, 0-127, by (bank, program). General MIDI's drum kits are in bank 128.
    """
    there = [frozenset().union(*(key_range(zone) for zone in i.zones)) for i in font.instruments]
    return {
        (preset.bank, preset.program): frozenset().union(
            *(there[zone[Generator.INSTRUMENT]].intersection(key_range(zone)) for zone in preset.zones)
        )
        for preset in font.presets
    }


def write_font(font: Font) -> bytes:
    """Return the file of a font. Samples are written in the order of the table, each followed by some silence."""
    headers, sounds, at = [], [], 0
    for sample in font.samples:
        sound = font.sound[sample.start : sample.end]
        shift = at - sample.start
        places = (at, at + len(sound), sample.loop_start + shift, sample.loop_end + shift)
        headers.append((sample.name, *places, sample.rate_hz, sample.pitch, sample.cents, 0, sample.kind))
        sounds += [sound, np.zeros(_PAD, np.int16)]
        at += len(sound) + _PAD
    headers.append((b"EOS", *(0,) * 9))
    presets, pbag, pgen = _table(
        [((p.name, p.program, p.bank), p.zones) for p in font.presets], (0, 0, 0), (b"EOP", 0, 0)
    )
    instruments, ibag, igen = _table([((i.name,), i.zones) for i in font.instruments], (), (b"EOI",))
    tables = (
        (b"phdr", _pack(_PRESET, presets)),
        (b"pbag", _pack("<HH", pbag)),
        (b"pmod", bytes(10)),
        (b"pgen", _pack("<HH", pgen)),
        (b"inst", _pack(_INSTRUMENT, instruments)),
        (b"ibag", _pack("<HH", ibag)),
        (b"imod", bytes(10)),
        (b"igen", _pack("<HH", igen)),
        (b"shdr", _pack(_SAMPLE, headers)),
    )
    about = _chunk(b"ifil", struct.pack("<HH", 2, 1)) + _chunk(b"isng", b"EMU8000\0") + _chunk(b"INAM", b"Ottava\0\0")
    samples = _chunk(b"smpl", np.concatenate([*sounds, np.zeros(_PAD, np.int16)]).astype("<i2").tobytes())
    hydra = b"".join(_chunk(name, table) for name, table in tables)
    lists = (b"INFO" + about, b"sdta" + samples, b"pdta" + hydra)
    return _chunk(b"RIFF", b"sfbk" + b"".join(_chunk(b"LIST", each) for each in lists))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Walk through RIFF chunks, into lists."""
    at = 12
    while at + 8 <= len(data):
        name, (size,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        if name == b"LIST":
            at += 12
        else:
            yield name, at + 8, size
            at += 8 + size + size % 2


def _rows(
    tables: dict[bytes, bytes], kind: bytes, form: str, bag: int, target: Generator
) -> Iterator[tuple[tuple[Any, ...], list[Zone]]]:
    """Yield each row of presets or instruments, and its zones that have a target; a first without is their default."""
    rows = list(struct.iter_unpack(form, tables[b"phdr" if kind == b"p" else b"inst"]))
    firsts = [first for first, _ in struct.iter_unpack("<HH", tables[kind + b"bag"])]
    values = list(struct.iter_unpack("<HH", tables[kind + b"gen"]))
    for row, after in itertools.pairwise(rows):
        zones: list[Zone] = []
        default: Zone = {}
        for i in range(row[bag], after[bag]):
            zone = dict(values[firsts[i] : firsts[i + 1]])
            if target in zone:
                zones.append({**default, **zone})
            elif i == row[bag]:
                default = zone
        yield row, zones


def _table(
    rows: Sequence[tuple[tuple[object, ...], Sequence[Zone]]], tail: tuple[int, ...], last: tuple[object, ...]
) -> tuple[list[tuple[object, ...]], list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the rows, bags and generators of presets or instruments."""
    headers: list[tuple[object, ...]] = []
    bags: list[tuple[int, int]] = []
    values: list[tuple[int, int]] = []
    for head, zones in rows:
        headers.append((*head, len(bags), *tail))
        for zone in zones:
            bags.append((len(values), 0))
            values += sorted(zone.items(), key=_place)
    headers.append((*last, len(bags), *tail))
    bags.append((len(values), 0))
    values.append((0, 0))
    return headers, bags, values


def _place(item: tuple[int, int]) -> int:
    """Return where a parameter has to stand in a zone: keys first, then velocities, its target last (section 8.1.2)."""
    first = (Generator.KEYS, Generator.VELOCITIES)
    last = (Generator.INSTRUMENT, Generator.SAMPLE)
    return first.index(item[0]) - 2 if item[0] in first else 1 if item[0] in last else 0


def _pack(form: str, rows: Sequence[tuple[object, ...]]) -> bytes:
    return b"".join(struct.pack(form, *row) for row in rows)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
