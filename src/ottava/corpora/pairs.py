"""Your own recordings: sound files with their notes beside them, in any folder.

``a.flac`` goes with ``a.mid`` (or ``.midi``) or with ``a.tsv``: tab-separated columns ``onset_s``,
``offset_s``, ``pitch_midi``, and if known ``velocity`` and ``instrument``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ottava.corpora.corpus import UNKNOWN_VELOCITY, Corpus, Item, numbers, read_table
from ottava.errors import InputError
from ottava.results import Notes

__all__ = ["Pairs"]

_SOUND = (".wav", ".flac", ".ogg", ".opus", ".mp3")
_TRUTH = (".mid", ".midi", ".tsv")


class Pairs(Corpus):
    """Sounds and notes of the same name in a folder and those inside it. Sounds alone are left out."""

    name = "pairs"
    title = "a folder of sounds and notes"
    version = ""
    url = ""
    licence = "as their owner says"
    citation = ""
    splits = ("test",)
    official_split = False

    def _list(self) -> Iterator[Item]:
        for audio in sorted(path for path in self.root.rglob("*") if path.suffix.lower() in _SOUND):
            truth = next((p for p in map(audio.with_suffix, _TRUTH) if p.exists()), None)
            if truth is not None:
                name = audio.relative_to(self.root).with_suffix("").as_posix()
                yield self._item(name, "test", truth, partial(_read, truth), audio=audio)


def _read(path: Path) -> Notes:
    if path.suffix != ".tsv":
        from ottava.io.midi import read_midi

        return read_midi(path)
    rows = read_table(path, ("onset_s", "offset_s", "pitch_midi"), delimiter="\t")
    start, end, pitch = (numbers(path, rows, column) for column in ("onset_s", "offset_s", "pitch_midi"))
    known = bool(rows) and "velocity" in rows[0]
    velocity = numbers(path, rows, "velocity") if known else [UNKNOWN_VELOCITY] * len(rows)
    instrument = [row.get("instrument") or "keys" for row in rows]
    try:
        return Notes(start, end, np.rint(pitch), velocity, np.ones(len(rows)), instrument).sorted()
    except InputError as error:
        raise InputError(error.message, path=path, found=error.found, expected=error.expected) from error
