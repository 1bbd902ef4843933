"""Pieces whose parts lie apart, each played by several instruments, to be mixed anew each time they are drawn.

Five parts that four instruments can play make a thousand ensembles for the price of twenty tracks. All instruments of a
part play the same performance of it, so that any choice of them plays together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered import recording
from ottava.corpora.rendered.arrangement import draw_kit, draw_program, into_range, split_by_register
from ottava.corpora.rendered.casting import Sources, render_stems
from ottava.corpora.rendered.performance import Performance
from ottava.corpora.rendered.shards import open_shard
from ottava.results import FAMILIES
from ottava.signal.logfreq import LogFrequency

__all__ = ["Stems", "load_stems", "plan_takes", "record_stems"]

_SHARES = {"keys": 0.24, "plucked": 0.2, "bass": 0.08, "bowed": 0.18, "winds": 0.18, "voice": 0.12}
_LOW_SHARES = {"keys": 0.1, "plucked": 0.1, "bass": 0.5, "bowed": 0.15, "winds": 0.15}
_IN_A_ROOM = 0.5  # of the stems


@dataclass(frozen=True)
class Stems:
    """One piece in stems.

    Parameters
    ----------
    features : ndarray of uint8, shape (stems, channels, frames, bins)
        Levels of :class:`ottava.signal.logfreq.LogFrequency` times 255, all stems about equally loud.
    part : ndarray of int, shape (stems,)
        Which part of the piece each stem plays: of stems that share one, only one can sound at a time.
    notes : list of ndarray of float32, shape (n, 5)
        Of each stem, as in :mod:`ottava.corpora.rendered`.
    """

    features: NDArray[np.uint8]
    part: NDArray[np.int64]
    notes: list[NDArray[np.float32]]

    def family(self, stem: int) -> str:
        """Return who plays a stem, ``"drums"`` among them; nobody (``""``) if it has no notes."""
        notes = self.notes[stem]
        return (*FAMILIES, "drums")[int(notes[0, 4])] if len(notes) else ""


def plan_takes(
    parts: list[Performance], drums: list[Performance], takes: int, rng: np.random.Generator
) -> tuple[list[tuple[str, Performance]], NDArray[np.int64]]:
    """Give each part of a piece several instruments.

    Parameters
    ----------
    parts : list of Performance
        Parts of one piece, the accompaniment last: half of the time it is split by register.
    drums : list of Performance
        Drum tracks of the same tempo, takes of one further part.
    takes : int
        Instruments a part.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    planned : list of (str, Performance)
        Families (or ``"drums"``) and what they play.
    part : ndarray of int
        Place of each one's part.
    """
    lines = [(_SHARES, part) for part in parts[:-1][:4]]
    if len(parts[-1]) and rng.random() < 0.5:
        low, middle, high = split_by_register(parts[-1])
        lines += [(_LOW_SHARES, low), (_SHARES, middle), (_SHARES, high)]
    else:
        lines.append((_SHARES, parts[-1]))
    planned, places = [], []
    for place, (shares, line) in enumerate(lines):
        families = rng.choice(list(shares), takes, p=np.array(list(shares.values())) / sum(shares.values()))
        for family in families.tolist():
            played = into_range(line, family)
            if len(played):
                planned.append((family, replace(played, program=draw_program(family, rng))))
                places.append(place)
    for beat in drums:
        planned.append(("drums", replace(beat, program=draw_kit(rng))))
        places.append(len(lines))
    return planned, np.array(places, np.int64)


def record_stems(
    planned: list[tuple[str, Performance]],
    part: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    sources: Sources,
    length_s: float,
    tune: float,
    varied: bool,
    recorded: bool,
) -> tuple[Stems, list[str]]:
    """Render stems, half of them in rooms of their own, and compute their features.

    Parameters
    ----------
    planned, part
        From :func:`plan_takes`.
    rng : numpy.random.Generator
        Source of all randomness.
    sources : Sources
        What the parts are played from.
    length_s : float
        Length of all stems.
    tune, varied
        See :func:`ottava.corpora.rendered.casting.render_cast`.
    recorded : bool
        Use rooms.

    Returns
    -------
    Stems, list of str
        The stems, and where each comes from.
    """
    features = LogFrequency()
    rate_hz = features.rate_hz
    n = int(length_s * rate_hz)
    levels, places, notes, names = [], [], [], []
    for place, played, sound, name in render_stems(
        planned, rng, sources=sources, tune=tune, rate_hz=rate_hz, varied=varied
    ):
        sound = np.pad(sound[:n], (0, max(n - len(sound), 0)))
        if recorded and rng.random() < _IN_A_ROOM:
            sound = recording.add_room(sound, rng, rate_hz=rate_hz)
        family = planned[place][0]
        kind = len(FAMILIES) if family == "drums" else FAMILIES.index(family)
        rows = np.column_stack(
            [played.start_s / tune, played.end_s / tune, played.pitch_midi, played.velocity, np.full(len(played), kind)]
        ).astype(np.float32)
        levels.append(np.rint(np.clip(features.features(sound), 0, 1) * 255).astype(np.uint8))
        notes.append(rows[rows[:, 0] < length_s])
        places.append(int(part[place]))
        names.append(name)
    return Stems(np.stack(levels), np.array(places, np.int64), notes), names


def load_stems(path: Path) -> tuple[Stems, dict[str, object]]:
    """Load a shard of stems, and where it comes from.

    Raises
    ------
    ottava.errors.InputError
        If the shard is damaged, or holds a mix.
    """
    with open_shard(path, "stems") as (shard, about):
        ends = np.cumsum(shard["counts"])[:-1]
        return Stems(shard["features"], shard["part"], np.split(shard["notes"], ends)), about
