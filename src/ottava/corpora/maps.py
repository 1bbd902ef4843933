"""MAPS: piano pieces from seven sampled pianos and, twice, from a real Disklavier.

Each archive ``MAPS_<piano>_<n>.zip`` unpacks to ``<piano>/MUS/MAPS_MUS-<piece>_<piano>.{wav,mid,txt}`` (or
deeper, in a folder of its own); the sets of chords and single notes beside ``MUS`` are not used. The test set
of the field is the Disklavier: ``ENSTDkAm`` and ``ENSTDkCl``. The sampled pianos play many of the same
pieces; those are taken out of training, as in Hawthorne et al. (2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ottava.corpora.corpus import Corpus, Item, notes_from, numbers, read_table
from ottava.results import Notes

__all__ = ["Maps"]

_PREFIX = "MAPS_MUS-"
_TEST_PIANOS = ("ENSTDkAm", "ENSTDkCl")
_SUFFIXES = (".txt", ".wav")


class Maps(Corpus):
    """MAPS, its whole pieces. The truth is that of the ``.txt`` files, which has no velocities."""

    name = "maps"
    title = "MAPS"
    version = "2008"
    url = "https://adasp.telecom-paris.fr/resources/2010-07-08-maps-database/"
    licence = "CC BY-NC-SA"
    citation = (
        "Emiya, Badeau, David: Multipitch Estimation of Piano Sounds Using a New Probabilistic Spectral "
        "Smoothness Principle. IEEE Transactions on Audio, Speech and Language Processing 18(6), 2010."
    )
    splits = ("train", "test")
    velocities = False
    marks = (f"**/MUS/{_PREFIX}*",)

    def _list(self) -> Iterator[Item]:
        found = {(path.parent, path.stem) for path in self.root.glob(self.marks[0]) if path.suffix in _SUFFIXES}
        names = sorted(found, key=lambda place: place[1])
        tested = {_piece(stem)[0] for _, stem in names if _piece(stem)[1] in _TEST_PIANOS}
        for folder, stem in names:
            piece, piano = _piece(stem)
            split = "test" if piano in _TEST_PIANOS else "train"
            if split == "train" and piece in tested:
                continue
            truth = folder / f"{stem}.txt"
            audio = folder / f"{stem}.wav"
            yield self._item(stem, split, truth, partial(_read_list, truth), piece=piece, audio=audio)


def _piece(stem: str) -> tuple[str, str]:
    """Return piece and piano of a file name: ``MAPS_MUS-chpn-p4_ENSTDkAm`` is ``chpn-p4`` on ``ENSTDkAm``."""
    piece, _, piano = stem.removeprefix(_PREFIX).rpartition("_")
    return piece, piano


def _read_list(path: Path) -> Notes:
    rows = read_table(path, ("OnsetTime", "OffsetTime", "MidiPitch"), delimiter="\t")
    start, end, pitch = (numbers(path, rows, column) for column in ("OnsetTime", "OffsetTime", "MidiPitch"))
    return notes_from(path, start, end, pitch, "keys")
