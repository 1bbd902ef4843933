"""The new melody as MIDI, with all that the file had beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ottava.io.rewrite import NoteChange, rewrite_notes
from ottava.symbolic.bars import from_bars
from ottava.symbolic.score import Part, Score
from ottava.symbolic.tune import Tune
from ottava.symbolic.write import write_score
from ottava.systems.structure.run import Melody

__all__ = ["write_tune"]

_Row = tuple[float, float, int, int]  # begin and end in quarter notes, pitch, velocity


def write_tune(source: Any, melody: Melody, after: Tune) -> bytes:
    """Return a MIDI file in which the melody is the new one, and all else as it was.

    Notes that stay keep their times and velocities. A MIDI file keeps its other events, too, in the bytes that they
    came in; of another source, a file is made of its notes, tempo and meter: lyrics and grace notes are not in it.

    Parameters
    ----------
    source : path-like or Score
        Where the melody comes from.
    melody : Melody
        As it was.
    after : Tune
        As it is to be; it may be longer or shorter.
    """
    part = melody.score.parts[melody.tune.part]
    gone, come = _compare(melody, after)
    if not isinstance(source, Score) and Path(source).suffix.lower() in (".mid", ".midi"):
        data = Path(source).read_bytes()
        tpq = int.from_bytes(data[12:14], "big")
        ticks, notes = _find_places(part, tpq)
        return rewrite_notes(
            data,
            notes,
            [NoteChange(ticks[i], 0, int(part.pitch_midi[i])) for i in gone],
            [NoteChange(round(begin * tpq), round(end * tpq), pitch, loud) for begin, end, pitch, loud in come],
            twin=sum(_find_places(other, tpq)[1] == notes for other in melody.score.parts[: melody.tune.part]),
        )
    parts = list(melody.score.parts)
    parts[melody.tune.part] = _replace(part, gone, come)
    return write_score(replace(melody.score, parts=tuple(parts)))


def _find_places(part: Part, tpq: int) -> tuple[list[int], set[tuple[int, int]]]:
    """Return at which ticks the notes of a part begin, and the set of these with their pitches."""
    ticks = np.rint(part.start_q * tpq).astype(int).tolist()
    return ticks, set(zip(ticks, part.pitch_midi.tolist(), strict=True))


def _compare(melody: Melody, after: Tune) -> tuple[list[int], list[_Row]]:
    """Return which notes of the part go, and what notes come."""
    tune, part = melody.tune, melody.score.parts[melody.tune.part]
    old, new = (
        {(int(a), int(p)): int(b) for a, b, p in zip(*from_bars(symbols), strict=True)}
        for symbols in (tune.symbols, after.symbols)
    )

    def at_q(step: int) -> float:
        return max(float(after.quarters(step)), 0.0)

    keys = list(zip(tune.note_steps.tolist(), part.pitch_midi.tolist(), strict=True))
    gone = [i for i, key in enumerate(keys) if key in old and new.get(key) != old[key]]
    played = {keys[i]: i for i in gone}
    usual = int(np.median(part.velocity))
    come: list[_Row] = []
    for (start, pitch), end in new.items():
        if old.get((start, pitch)) != end:
            i = played.get((start, pitch))
            begin_q = at_q(start) if i is None else float(part.start_q[i])
            if at_q(end) > begin_q:
                come.append((begin_q, at_q(end), pitch, usual if i is None else int(part.velocity[i])))
    return gone, come


def _replace(part: Part, gone: list[int], come: list[_Row]) -> Part:
    rows = [
        (float(start), float(start + length), int(pitch), int(velocity))
        for i, (start, length, pitch, velocity) in enumerate(
            zip(part.start_q, part.duration_q, part.pitch_midi, part.velocity, strict=True)
        )
        if i not in set(gone)
    ]
    table = np.array(sorted(rows + come), np.float64).reshape(-1, 4)
    return replace(
        part,
        start_q=table[:, 0],
        duration_q=table[:, 1] - table[:, 0],
        pitch_midi=table[:, 2].astype(np.int16),
        velocity=table[:, 3].astype(np.int16),
    )
