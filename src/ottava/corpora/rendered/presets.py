"""Which keys of which presets of a SoundFont sound at all: read from its tables, without its samples.

A note outside every key range is silent; a corpus whose truth has it would teach to hear silence.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ottava.errors import InputError

__all__ = ["read_presets"]

_KEY_RANGE, _INSTRUMENT, _SAMPLE = 43, 41, 53  # generators of the SoundFont 2 standard
_SIZES = {b"phdr": 38, b"pbag": 4, b"pgen": 4, b"inst": 22, b"ibag": 4, b"igen": 4}


def read_presets(data: bytes) -> dict[tuple[int, int], frozenset[int]]:
    """Read which keys each preset of a SoundFont has.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    dict of (int, int) to frozenset of int
        Keys, 0-127, by (bank, program). General MIDI's drum kits are in bank 128.

    Raises
    ------
    ottava.errors.InputError
        If the data is no SoundFont.
    """
    tables = {name: data[first : first + size] for name, first, size in _chunks(data)}
    if data[8:12] != b"sfbk" or not tables.keys() >= _SIZES.keys():
        raise InputError("this is not a SoundFont", found=repr(data[:12]), expected="RIFF sfbk with presets")
    bags = {k: np.frombuffer(tables[k], "<u2").reshape(-1, 2)[:, 0].astype(int) for k in (b"pbag", b"ibag")}
    generators = {k: np.frombuffer(tables[k], "<u2").reshape(-1, 2).astype(int) for k in (b"pgen", b"igen")}
    first_bags = [struct.unpack_from("<H", tables[b"inst"], at + 20)[0] for at in range(0, len(tables[b"inst"]), 22)]
    instruments = [
        frozenset().union(*(keys for keys, _ in _zones(bags[b"ibag"][a : b + 1], generators[b"igen"], _SAMPLE)))
        for a, b in itertools.pairwise(first_bags)
    ]
    headers = [struct.unpack_from("<HHH", tables[b"phdr"], at + 20) for at in range(0, len(tables[b"phdr"]), 38)]
    presets: dict[tuple[int, int], frozenset[int]] = {}
    for (program, bank, a), (_, _, b) in itertools.pairwise(headers):
        zones = _zones(bags[b"pbag"][a : b + 1], generators[b"pgen"], _INSTRUMENT)
        presets[bank, program] = frozenset().union(*(keys & instruments[which] for keys, which in zones))
    return presets


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


def _zones(bags: NDArray[np.int_], generators: NDArray[np.int_], target: int) -> Iterator[tuple[frozenset[int], int]]:
    """Return the keys and the target of each zone that has one; a first zone without is the default of the others."""
    default = (0, 127)
    for i, (a, b) in enumerate(itertools.pairwise(bags)):
        zone = dict(generators[a:b].tolist())
        low, high = (zone[_KEY_RANGE] % 256, zone[_KEY_RANGE] // 256) if _KEY_RANGE in zone else default
        if target in zone:
            yield frozenset(range(low, high + 1)), zone[target]
        elif i == 0:
            default = (low, high)
