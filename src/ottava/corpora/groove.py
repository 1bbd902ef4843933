"""Groove MIDI: 13.6 hours of human drumming on an electronic kit.

``groove/`` holds ``info.csv`` with the official split and a folder a drummer. The distribution comes with and
without audio (``groove-v1.0.0-midionly.zip``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from ottava.corpora.corpus import Corpus, Item, read_table
from ottava.results import Notes

__all__ = ["Groove"]

# The kit (Roland TD-11) sends three keys outside General MIDI's meaning: hi-hat edges, and the rim of tom 3.
_ROLAND_KEYS = {22: 42, 26: 46, 58: 43}


class Groove(Corpus):
    """Groove MIDI 1.0.0, its keys brought to General MIDI."""

    name = "groove"
    title = "Groove MIDI"
    version = "1.0.0"
    url = "https://magenta.tensorflow.org/datasets/groove"
    licence = "CC BY 4.0"
    citation = (
        "Gillick, Roberts, Engel, Eck, Bamman: Learning to Groove with Inverse Sequence Transformations. ICML 2019."
    )
    weights_may_ship = True
    archives: ClassVar[Mapping[str, str]] = {"groove-v1.0.0.zip": "md5:99db7e2a087761a913b2abfb19e86181"}
    mirdata_index = "groove_midi_index_1.0.0.json"
    marks = ("info.csv",)

    def _list(self) -> Iterator[Item]:
        with_audio = any(self.root.glob("*/*/*.wav"))
        for row in read_table(self.root / "info.csv", ("id", "midi_filename", "audio_filename", "split")):
            path = self.root / row["midi_filename"]
            # Some rows of the table name no sound: not every performance was recorded.
            audio = self.root / row["audio_filename"] if with_audio and row["audio_filename"] else None
            yield self._item(row["id"], row["split"], path, partial(_read, path), audio=audio)


def _read(path: Path) -> Notes:
    from ottava.io.midi import read_midi

    notes = read_midi(path)
    keys = np.array([_ROLAND_KEYS.get(key, key) for key in notes.pitch_midi.tolist()], dtype=np.int16)
    drums = np.full(len(notes), "drums")
    return Notes(notes.start_s, notes.end_s, keys, notes.velocity, notes.confidence, drums).sorted()
