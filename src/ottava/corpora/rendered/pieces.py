"""The pieces that are rendered: scores read from folders, and textures made up on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ottava.corpora.rendered.performance import DRUMS, Part, Performance
from ottava.errors import InputError

__all__ = ["Groove", "Piece", "find_grooves", "find_pieces", "made_up_piece", "split_of"]


@dataclass(frozen=True)
class Piece:
    """A score to be rendered.

    Parameters
    ----------
    name : str
        Identity of the piece: all its renderings fall into one split.
    source : str
        Collection: ``"lieder"``, ``"pop909"``, ``"made-up"``.
    bpm : float
        Usual tempo, quarter notes a minute.
    read : callable
        Returns the list of :class:`Part`.
    """

    name: str
    source: str
    bpm: float
    read: Callable[[], list[Part]]


@dataclass(frozen=True)
class Groove:
    """A human drum performance of the Groove MIDI set and its tempo."""

    path: Path
    bpm: float
    split: str

    def read(self) -> Performance:
        """Return its hits, with General MIDI percussion keys."""
        import symusic

        score = symusic.Score(str(self.path)).to("second")
        notes = [n for track in score.tracks for n in track.notes]
        start = np.array([n.time for n in notes], float)
        order = np.argsort(start, kind="stable")
        pitch = np.array([_GROOVE_KEYS.get(n.pitch, n.pitch) for n in notes], int)
        velocity = np.array([max(n.velocity, 1) for n in notes], int)
        return Performance(start[order], start[order] + 0.1, pitch[order], velocity[order], DRUMS)


# The Roland kit of the Groove set sends keys outside General MIDI; these are the nearest ones inside.
_GROOVE_KEYS = {22: 42, 26: 46, 58: 43}


def split_of(name: str) -> str:
    """Return ``"train"``, ``"valid"`` or ``"test"`` for a piece, from a hash of its name: 90, 4 and 6 in a hundred."""
    place = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100
    return "train" if place < 90 else "valid" if place < 94 else "test"


def find_pieces(folder: Path) -> list[Piece]:
    """Find the scores below a folder: OpenScore Lieder as ``.mxl`` and POP909 as ``POP909/NNN/NNN.mid``.

    Raises
    ------
    ottava.errors.InputError
        If there are none.
    """
    pieces = [
        Piece(path.stem, "lieder", 80, lambda path=path: _read_musicxml(path))  # type: ignore[misc]
        for path in sorted(folder.rglob("lc*.mxl"))
    ]
    pieces += [
        Piece(f"pop909-{path.stem}", "pop909", 80, lambda path=path: _read_midi(path))  # type: ignore[misc]
        for path in sorted(folder.rglob("POP909/*/*.mid"))
        if path.stem == path.parent.name
    ]
    if not pieces:
        raise InputError("no scores here", path=folder, expected="OpenScore Lieder (.mxl) or POP909 (.mid) below")
    return pieces


def find_grooves(folder: Path) -> list[Groove]:
    """Find the performances of the Groove MIDI set below a folder, with the set's own split."""
    import csv

    grooves = []
    for table in sorted(folder.rglob("info.csv")):
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                path = table.parent / row["midi_filename"]
                if row["time_signature"] == "4-4" and path.exists():
                    split = {"validation": "valid"}.get(row["split"], row["split"])
                    grooves.append(Groove(path, float(row["bpm"]), split))
    return grooves


def _read_musicxml(path: Path) -> list[Part]:
    from ottava.symbolic.score import read_score

    return [
        Part(p.name, p.start_q, p.duration_q, p.pitch_midi)
        for p in read_score(path).parts
        if len(p.pitch_midi) and p.pitch_midi.min() >= 0 and p.pitch_midi.max() <= 127
    ]


def _read_midi(path: Path) -> list[Part]:
    import symusic

    score = symusic.Score(str(path))
    parts = []
    for track in score.tracks:
        if track.is_drum or not len(track.notes):
            continue
        soa = track.notes.numpy()
        parts.append(
            Part(
                track.name,
                soa["time"] / score.ticks_per_quarter,
                soa["duration"] / score.ticks_per_quarter,
                soa["pitch"].astype(int),
                soa["velocity"].astype(int),
            )
        )
    return parts


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
    return [Part("made-up", start, duration, pitch.astype(int))]
