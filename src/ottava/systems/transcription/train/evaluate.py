"""Scoring transcriptions against their truth: ``ottava evaluate transcription --data FOLDER``.

A folder holds sound files, each with its notes beside it under the same stem: ``.tsv`` with a heading and the
columns onset_s, offset_s, pitch_midi, velocity and, if known, instrument; or ``.mid``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ottava.corpora.pairs import Pairs
from ottava.metrics.transcription import count, score
from ottava.results import DRUM_CLASSES, FAMILIES, Notes
from ottava.systems.transcription.run import Transcriber

__all__ = ["evaluate"]

MEASURES = ("note", "note_offset", "note_velocity", "note_family", "frame", "drum")
CLASSES = (*(f"note_{name}" for name in FAMILIES), *(f"drum_{name}" for name in DRUM_CLASSES))


def evaluate(weights: str | os.PathLike[str] | None, data: Path) -> Iterable[dict[str, Any]]:
    """Yield one row of scores for each file, as :mod:`ottava.metrics.transcription` defines them.

    Parameters
    ----------
    weights : path-like or None
        An exported graph; the bundled one when not given.
    data : pathlib.Path
        Folder of sound files with their notes beside them.
    """
    model = Transcriber(weights)
    for item in Pairs(data).items("test"):
        assert item.audio is not None  # a pair has both
        result = model(item.audio)
        notes = result.notes
        assert isinstance(notes, Notes)
        scores = score(count(item.truth(), notes))
        names = [f"{m}_{end}" for m in MEASURES for end in "prf"] + [f"{name}_f" for name in CLASSES]
        yield {"file": item.id, **{name: scores[name] for name in names}}
