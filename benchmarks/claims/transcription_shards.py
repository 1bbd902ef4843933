"""Shards of the rendered corpus as clips, and a made-up corpus to try things on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ottava.corpora.rendered import load_item
from ottava.results import FAMILIES, Notes
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.train.paper_data import Clip, make_piece

FEATURES = LogFrequency()


def load_clips(folder: Path, limit: int) -> list[Clip]:
    """Load the shards of a split that have pitched notes."""
    clips = []
    for path in sorted(folder.glob("*.npz"))[:limit]:
        features, rows, _ = load_item(path)
        rows = rows[(rows[:, 4] < len(FAMILIES)) & (rows[:, 1] > rows[:, 0])]
        if len(rows):
            names = np.array(FAMILIES)[rows[:, 4].astype(int)]
            notes = Notes(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3].clip(1, 127), np.ones(len(rows)), names)
            clips.append(Clip(path.stem, np.ascontiguousarray(features[0].T), notes, FEATURES.frame_s))
    if not clips:
        raise SystemExit(f"{folder}: no shards with notes")
    return clips


def write_made(folder: Path) -> None:
    """Write a corpus of made-up tones, to try the script on."""
    for split, count in (("train", 6), ("validation", 2), ("test", 3)):
        (folder / split).mkdir(parents=True)
        for index in range(count):
            sound, notes = make_piece((len(split), index), 8.0)
            levels = np.rint(FEATURES.features(sound).clip(0, 1) * 255).astype(np.uint8)
            family = [FAMILIES.index(name) for name in notes.instrument]
            rows = np.column_stack((notes.start_s, notes.end_s, notes.pitch_midi, notes.velocity, family))
            path = folder / split / f"{index:03d}.npz"
            np.savez(path, features=levels, notes=rows.astype(np.float32), about=np.array("{}"))
