"""Scoring names against the truth: ``ottava evaluate transcription.families --data FOLDER``.

Folders are those of :mod:`ottava.systems.transcription.train.evaluate`, with instruments. The onsets are the truth's,
so that the score is of naming alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.pairs import Pairs
from ottava.io.audio import load_audio
from ottava.results import FAMILIES, Notes
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.families.naming import LOW_MIDI, PITCHES, Naming, Roll
from ottava.systems.transcription.families.train.unisons import number_unisons

__all__ = ["evaluate", "name_truth"]


def evaluate(weights: str | os.PathLike[str] | None, data: Path) -> Iterable[dict[str, Any]]:
    """Yield one row for each file: the share of notes whose likeliest family plays them, of all and of each family.

    Parameters
    ----------
    weights : path-like or None
        An exported graph; the bundled one when not given.
    data : pathlib.Path
        Folder of sound files with their notes beside them.
    """
    naming, extractor = Naming(weights), LogFrequency()
    for item in Pairs(data).items("test"):
        assert item.audio is not None  # a pair has both
        features = extractor.features(load_audio(item.audio, rate_hz=extractor.rate_hz).samples)
        players, likely = name_truth(naming, features, item.truth(), extractor.frame_s)
        right = players[np.arange(len(players)), likely.argmax(1)]
        shares = {"right": _mean(right)} | {
            f"right_{name}": _mean(right[plays]) for name, plays in zip(FAMILIES, players.T, strict=True)
        }
        yield {"file": item.id, "notes": len(players)} | shares


def _mean(right: NDArray[np.bool_]) -> float:
    return float(right.mean()) if len(right) else np.nan


def name_truth(
    naming: Naming, features: NDArray[np.float32], notes: Notes, frame_s: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return which families play each note, in the order of onsets, and how likely each is to the network, both (N, 6).

    What several play in unison is one note.
    """
    notes = notes[np.isin(notes.instrument, FAMILIES)]
    frame = np.rint(notes.start_s / frame_s).astype(np.int64)
    pitch = notes.pitch_midi.astype(np.int64) - LOW_MIDI
    inside = (pitch >= 0) & (pitch < PITCHES) & (frame < features.shape[1])
    notes, frame, pitch = notes[inside], frame[inside], pitch[inside]
    number = number_unisons(frame, pitch)
    _, first = np.unique(number, return_index=True)
    players = np.zeros((len(first), len(FAMILIES)), bool)
    players[number, [FAMILIES.index(str(name)) for name in notes.instrument]] = True
    roll = Roll(naming)
    roll.add(features, frame[first], pitch[first], frame[first] * frame_s)
    return players, roll.finish()[:, :-1]
