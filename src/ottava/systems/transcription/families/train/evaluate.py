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
from ottava.systems.transcription.families.naming import LOW_MIDI, PITCHES, Naming, Roll, cut

__all__ = ["evaluate", "name_truth"]


def evaluate(weights: str | os.PathLike[str] | None, data: Path) -> Iterable[dict[str, Any]]:
    """Yield one row for each file: the share of notes with the right family, of all and of each family.

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
        truth, likely = name_truth(naming, features, item.truth(), extractor.frame_s)
        right = likely.argmax(1) == truth
        shares = {name: float(right[truth == i].mean()) if (truth == i).any() else np.nan
                  for i, name in enumerate(FAMILIES)}  # fmt: skip
        yield {"file": item.id, "notes": len(truth), "right": float(right.mean()) if len(right) else np.nan} | {
            f"right_{name}": share for name, share in shares.items()
        }


def name_truth(
    naming: Naming, features: NDArray[np.float32], notes: Notes, frame_s: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the true family of each note, in the order of onsets, and what the network takes it for (N, 6)."""
    notes = notes[np.isin(notes.instrument, FAMILIES)]
    frame = np.rint(notes.start_s / frame_s).astype(np.int64)
    pitch = notes.pitch_midi.astype(np.int64) - LOW_MIDI
    order = np.lexsort((pitch, frame))
    order = order[(pitch[order] >= 0) & (pitch[order] < PITCHES) & (frame[order] < features.shape[1])]
    frame, pitch = frame[order], pitch[order]
    roll = Roll(naming)
    roll.add(cut(features, frame, pitch), pitch, frame * frame_s)
    truth = np.array([FAMILIES.index(str(name)) for name in notes.instrument[order]], np.int64)
    return truth, roll.finish()
