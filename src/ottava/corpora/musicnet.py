"""MusicNet: 330 recordings of chamber music with labels from aligned scores.

``musicnet/`` holds ``train_data/ID.wav`` with ``train_labels/ID.csv`` and ``test_data``, ``test_labels``
alike. Labels count samples at 44.1 kHz and General MIDI programs from 1. Alignment is good to about a tenth
of a second: scores with a 50 ms onset tolerance measure the labels as much as the system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from ottava.corpora.corpus import Corpus, Item, notes_from, numbers, read_table
from ottava.errors import InputError
from ottava.results import Notes

__all__ = ["MusicNet"]

_RATE_HZ = 44100


class MusicNet(Corpus):
    """MusicNet, with the ten test recordings of its distribution."""

    name = "musicnet"
    title = "MusicNet"
    version = "1.0"
    url = "https://zenodo.org/records/5120004"
    licence = "CC BY 4.0 (labels); each recording on its own terms, see musicnet_metadata.csv"
    citation = "Thickstun, Harchaoui, Kakade: Learning Features of Music from Scratch. ICLR 2017."
    splits = ("train", "test")
    velocities = False
    archives: ClassVar[Mapping[str, str]] = {"musicnet.tar.gz": "md5:844764911fa0d5b97c97da944a057590"}
    marks = ("train_labels", "test_labels")

    def _list(self) -> Iterator[Item]:
        for split in self.splits:
            audio = {path.stem: path for path in (self.root / f"{split}_data").glob("*.wav")}
            labels = {path.stem: path for path in (self.root / f"{split}_labels").glob("*.csv")}
            for name in sorted(audio.keys() | labels.keys()):
                # A file without its counterpart is listed all the same: the counterpart is what is missing.
                truth = labels.get(name, self.root / f"{split}_labels" / f"{name}.csv")
                sound = audio.get(name, self.root / f"{split}_data" / f"{name}.wav")
                yield self._item(name, split, truth, partial(_read_labels, truth), audio=sound)


def _read_labels(path: Path) -> Notes:
    from ottava.symbolic.instruments import family_of_program

    rows = read_table(path, ("start_time", "end_time", "instrument", "note"))
    start, end, program, pitch = (
        numbers(path, rows, column) for column in ("start_time", "end_time", "instrument", "note")
    )
    families = {number: family_of_program(int(number) - 1) for number in set(program) if 1 <= number <= 128}
    unknown = {number for number in program if families.get(number) is None}
    if unknown:
        raise InputError(
            "damaged",
            path=path,
            found=f"instrument {min(unknown):g}",
            expected="a program of a melodic instrument",
        )
    start_s, end_s = ([sample / _RATE_HZ for sample in column] for column in (start, end))
    return notes_from(path, start_s, end_s, pitch, [str(families[number]) for number in program])
