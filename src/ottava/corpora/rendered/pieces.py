"""The pieces that are rendered: scores read from folders, and textures made up on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ottava.corpora.corpus import Item
from ottava.corpora.names import find_corpus
from ottava.errors import InputError
from ottava.symbolic.score import Part, read_score

__all__ = ["Groove", "Piece", "find_sources", "made_up_piece"]

_SCORES = ("lieder", "pop909")


@dataclass(frozen=True)
class Piece:
    """A score to be rendered.

    Parameters
    ----------
    name : str
        Identity of the piece: all its renderings fall into one split.
    corpus : str
        Name of the corpus that it is from.
    path : pathlib.Path
        MusicXML or MIDI.
    """

    name: str
    corpus: str
    path: Path

    def read(self) -> list[Part]:
        """Return its pitched parts."""
        return [part for part in read_score(self.path).parts if not part.drums]


@dataclass(frozen=True)
class Groove:
    """A human drum performance of the Groove MIDI set, at its tempo in quarter notes a minute."""

    item: Item
    bpm: float


def find_sources(folders: Sequence[Path], split: str) -> tuple[dict[str, list[Piece]], list[Groove]]:
    """Find the pieces of a split by corpus, and its grooves.

    Parameters
    ----------
    folders : sequence of pathlib.Path
        Folders of OpenScore Lieder, POP909 and the Groove MIDI set, as they are distributed.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``; the Groove set has its own, the others split by piece.

    Raises
    ------
    ottava.errors.InputError
        If a folder holds none of them.
    """
    pieces: dict[str, list[Piece]] = {}
    grooves: list[Groove] = []
    for folder in folders:
        for name in (*_SCORES, "groove"):
            try:
                items = list(find_corpus(name)(folder).items(split))
            except InputError:
                continue  # a folder of another corpus
            if name == "groove":
                # groove/drummer1/session1/12_rock_95_beat_4-4.mid: the name tells tempo and metre.
                grooves += [
                    Groove(i, float(i.truth_path.stem.split("_")[-3]))
                    for i in items
                    if i.truth_path.stem.endswith("4-4")
                ]
            else:
                pieces[name] = [Piece(i.piece, name, i.truth_path) for i in items]
            break
        else:
            raise InputError(
                "no scores or grooves here", path=folder, expected="OpenScore Lieder, POP909 or Groove MIDI"
            )
    return pieces, grooves


def made_up_piece(rng: np.random.Generator) -> list[Part]:
    """Make up a texture that scores rarely have enough of: runs, octaves, trills, repeated notes, thick chords.

    Returns
    -------
    list of Part
        One part of about 64 quarter notes, anywhere on the 88 keys.
    """
    rows: list[tuple[float, float, int]] = []
    beat = 0.0
    scale = np.array([0, 2, 4, 5, 7, 9, 11]) if rng.random() < 0.5 else np.array([0, 2, 3, 5, 7, 8, 11])
    while beat < 64:
        root = int(rng.integers(0, 12))
        steps = np.sort(np.concatenate([scale + root + 12 * o for o in range(-1, 10)]))
        keys = steps[(steps >= 21) & (steps <= 108)]
        length = float(rng.choice([2, 4, 4, 8]))
        for low, high in ((21, 62), (52, 109)):
            mine = keys[(keys >= low) & (keys < high)]
            kind = rng.choice(["rest", "chords", "arpeggio", "run", "octaves", "trill", "repeat", "wild", "sustain"])
            step = float(rng.choice([0.125, 0.25, 0.25, 1 / 3, 0.5, 0.5, 1.0]))
            place = int(rng.integers(0, len(mine)))
            t, k = 0.0, 0
            while t < length - 1e-9:
                if kind == "rest":
                    break
                stroke: list[int] = []
                if kind == "chords":
                    step = max(step, 0.25)
                    stroke = [int(mine[(place + 2 * j) % len(mine)]) for j in range(int(rng.integers(2, 6)))]
                    place = int(np.clip(place + rng.integers(-3, 4), 0, len(mine) - 1))
                elif kind == "arpeggio":
                    stroke = [int(mine[(place + 2 * (k % int(rng.integers(3, 8)))) % len(mine)])]
                elif kind == "run":
                    stroke = [int(mine[(place + k) % len(mine)])]
                elif kind == "octaves":
                    note = int(mine[place])
                    stroke = [note, note + 12] if note <= 96 else [note]
                    place = int(np.clip(place + rng.integers(-2, 3), 0, len(mine) - 1))
                elif kind == "trill":
                    step = 0.125
                    stroke = [int(mine[(place + k % 2) % len(mine)])]
                elif kind == "repeat":
                    stroke = [int(mine[place])]
                elif kind == "wild":
                    stroke = [int(n) for n in rng.integers(low, high, int(rng.integers(1, 5)))]
                else:
                    step = length
                    stroke = [int(n) for n in rng.choice(mine, min(4, len(mine)), replace=False)]
                rows += [(beat + t, step * rng.uniform(0.6, 1.0), note) for note in set(stroke)]
                t, k = t + step, k + 1
        beat += length
    if not rows:
        rows = [(0.0, 1.0, 60)]
    start, duration, pitch = (np.array(column) for column in zip(*rows, strict=True))
    order = np.lexsort((pitch, start))
    start, duration, pitch = start[order], duration[order], pitch[order].astype(np.int16)
    return [Part("made-up", 0, False, start, duration, pitch, np.full(len(pitch), 64, np.int16))]
