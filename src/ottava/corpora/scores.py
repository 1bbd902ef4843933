"""Collections of written music, without sound: material for rendering, and truth in the score's own time.

None has an official split; ours goes by a hash of the piece's name
(:func:`ottava.corpora.corpus.hashed_split`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from ottava.corpora.corpus import Corpus, Item, hashed_split
from ottava.results import Notes

__all__ = ["Lieder", "Nottingham", "OpenEwld", "Pop909"]

_OBOE = 68


class Lieder(Corpus):
    """OpenScore Lieder: 19th-century songs for voice and piano.

    Files are ``scores/<composer>/<set>/<song>/lc<id>.mxl``.
    """

    name = "lieder"
    title = "OpenScore Lieder"
    version = "1"
    url = "https://github.com/OpenScore/Lieder"
    licence = "CC0 1.0"
    citation = "Gotham, Jonas: The OpenScore Lieder Corpus. Music Encoding Conference 2021."
    official_split = False
    weights_may_ship = True
    velocities = False
    marks = ("scores/*/*/*/lc*.mxl",)

    def _list(self) -> Iterator[Item]:
        for path in sorted(self.root.glob(self.marks[0])):
            yield self._item(path.stem, hashed_split(path.stem), path, partial(_read_song, path))


class OpenEwld(Corpus):
    """OpenEWLD: public-domain lead sheets, ``dataset/<authors>/<title>/<title>.mxl``. Truth is the melody."""

    name = "openewld"
    title = "OpenEWLD"
    version = "2018"
    url = "https://doi.org/10.5281/zenodo.4332855"
    licence = "MIT (repository); public-domain tunes"
    citation = (
        "Simonetta, Carnovalini, Orio, Rodà: Symbolic Music Similarity through a Graph-Based Representation. "
        "Audio Mostly 2018."
    )
    official_split = False
    weights_may_ship = True
    velocities = False
    marks = ("dataset/*/*/*.mxl",)

    def _list(self) -> Iterator[Item]:
        for path in sorted(self.root.glob(self.marks[0])):
            # One tune may stand under several spellings of its authors: the title is the piece.
            piece = path.parent.name.casefold()
            name = f"{path.parent.parent.name}/{path.parent.name}"
            yield self._item(name, hashed_split(piece), path, partial(_read_sheet, path), piece=piece)


class Pop909(Corpus):
    """POP909: piano arrangements of 909 pop songs, ``NNN/NNN.mid`` with tracks MELODY, BRIDGE and PIANO."""

    name = "pop909"
    title = "POP909"
    version = "2020"
    url = "https://github.com/music-x-lab/POP909-Dataset"
    licence = "MIT (arrangements and annotations of commercial songs)"
    citation = (
        "Wang, Chen, Jiang, Zhang, Xu, Dai, Bin, Xia: POP909: A Pop-song Dataset for Music Arrangement "
        "Generation. ISMIR 2020."
    )
    official_split = False
    weights_may_ship = True
    marks = ("[0-9][0-9][0-9]/[0-9][0-9][0-9].mid",)

    def _list(self) -> Iterator[Item]:
        from ottava.io.midi import read_midi

        for path in sorted(self.root.glob(self.marks[0])):
            if path.stem == path.parent.name:
                piece = f"pop909-{path.stem}"
                yield self._item(path.stem, hashed_split(piece), path, partial(read_midi, path), piece=piece)


class Nottingham(Corpus):
    """Nottingham: folk tunes with chords, ``MIDI/<tune>.mid``; its subfolders repeat melody and chords apart.

    GPL-3: for development and evaluation, not for weights that are given away.
    """

    name = "nottingham"
    title = "Nottingham"
    version = "2013"
    url = "https://github.com/jukedeck/nottingham-dataset"
    licence = "GPL-3.0"
    citation = "Foxley: Nottingham Database (abc.sourceforge.net/NMD); cleaned by Jukedeck."
    official_split = False
    marks = ("MIDI/*.mid",)

    def _list(self) -> Iterator[Item]:
        from ottava.io.midi import read_midi

        for path in sorted(self.root.glob(self.marks[0])):
            yield self._item(path.stem, hashed_split(path.stem), path, partial(read_midi, path))


def _read_song(path: Path) -> Notes:
    from ottava.symbolic.score import read_score

    score = read_score(path)
    # The engravers gave singers, whatever they are called, the oboe's sound. A real oboe is called one.
    parts = (
        replace(part, name="Voice") if part.program == _OBOE and "ob" not in part.name.casefold() else part
        for part in score
    )
    return replace(score, parts=tuple(parts)).notes()


def _read_sheet(path: Path) -> Notes:
    from ottava.symbolic.score import read_score

    return read_score(path).notes()
