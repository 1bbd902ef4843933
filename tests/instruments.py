"""Instruments so poor that a test can tell what they play."""

import struct

import numpy as np

from ottava.corpora.rendered.fonts import MidiInstruments
from ottava.corpora.rendered.performance import DRUMS, Performance


def played(pitches, *, step_s=0.8, length_s=0.5, velocity=90, program=0, begin_s=0.4):
    n = len(pitches)
    start = begin_s + step_s * np.arange(n)
    return Performance(start, start + length_s, np.array(pitches), np.full(n, velocity), program)


class Sines(MidiInstruments):
    """Sines of one level, for few programs, few keys and a kit with one drum: what a poor SoundFont has."""

    def __init__(self, programs=(42, 71), keys=range(50, 80)):
        self.programs, self.there = programs, frozenset(keys)

    def keys(self, program):
        return self.there if program in self.programs else frozenset({36}) if program == DRUMS else frozenset()

    def _render(self, midi):
        import symusic

        score = symusic.Score.from_midi(midi).to("second")
        sound = np.zeros((int((score.end() + 4) * 32000), 2), np.float32)
        for track in score.tracks:
            assert track.is_drum or track.program in self.programs
            for note in track.notes:
                assert note.pitch in self.keys(DRUMS if track.is_drum else track.program)
                first, n = round(note.start * 32000), round((note.end - note.start) * 32000)
                wave = np.sin(2 * np.pi * 440 * 2 ** ((note.pitch - 69) / 12) * np.arange(n) / 32000)
                sound[first : first + n] += (0.01 * wave)[:, None]
        return sound, 32000


def soundfont(keys):
    """Return a SoundFont without samples: program 3 with a default range, a range of its own, and an instrument's."""
    low, high = keys
    tables = {
        b"phdr": b"".join(
            struct.pack("<20sHHHIII", name, program, bank, bag, 0, 0, 0)
            for name, program, bank, bag in ((b"three", 3, 0, 0), (b"kit", 0, 128, 3), (b"EOP", 0, 0, 4))
        ),
        b"pbag": struct.pack("<10H", 0, 0, 1, 0, 3, 0, 4, 0, 5, 0),
        b"pgen": struct.pack("<HH", 43, 256 * high + low)  # the preset's default range
        + struct.pack("<HHHH", 43, 256 * 70 + 60, 41, 0)  # from 60 to 70, the first instrument
        + struct.pack("<HHHH", 41, 1, 41, 0),  # the second in the default range; the kit: the first
        b"inst": b"".join(struct.pack("<20sH", b"i", bag) for bag in (0, 1, 2)),
        b"ibag": struct.pack("<6H", 0, 0, 2, 0, 3, 0),
        b"igen": struct.pack("<HHHHHH", 43, 256 * 65 + 20, 53, 0, 53, 1),
    }
    body = b"".join(name + struct.pack("<I", len(table)) + table for name, table in tables.items())
    pdta = b"LIST" + struct.pack("<I", len(body) + 4) + b"pdta" + body
    return b"RIFF" + struct.pack("<I", len(pdta) + 4) + b"sfbk" + pdta
