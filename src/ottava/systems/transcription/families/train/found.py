"""Onsets as transcription finds them in a corpus, faint ones too, and which notes of the truth they are."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered import load_item
from ottava.io.files import atomic_write
from ottava.results import FAMILIES
from ottava.systems.transcription.decode import FAINT, find_onsets
from ottava.systems.transcription.families.naming import LOW_MIDI, hear
from ottava.systems.transcription.run import Transcriber

__all__ = ["Found", "find_all", "label"]

_WITHIN_S = 0.05
"""How far a found onset may be from that of the truth."""


@dataclass(frozen=True)
class Found:
    """Onsets of an item in their order.

    Parameters
    ----------
    position : ndarray, shape (N,)
        In frames, finer than those.
    frame, pitch : ndarray of int, shape (N,)
        Frames, and semitones from A0.
    heard : ndarray of float32, shape (N, HEARD)
        See :func:`ottava.systems.transcription.families.naming.hear`.
    """

    position: NDArray[np.float64]
    frame: NDArray[np.int64]
    pitch: NDArray[np.int64]
    heard: NDArray[np.float32]

    def window(self, first: int, n_frames: int) -> Found:
        """Take what begins in some frames, counted from the first of them."""
        inside = (self.frame >= first) & (self.frame < first + n_frames)
        return Found(self.position[inside] - first, self.frame[inside] - first, self.pitch[inside], self.heard[inside])


def find_all(paths: Iterable[Path]) -> dict[Path, Found]:
    """Find the onsets of shards; what is found is kept in a folder beside them, until it is found otherwise.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        Shards of features.
    """
    transcriber = Transcriber(threads=1)
    return {path: _load(path, transcriber) for path in paths}


def _load(path: Path, transcriber: Transcriber) -> Found:
    kept = path.parent / "found" / path.name
    by = f"{transcriber.session.weights.model} from {FAINT}"
    if kept.exists():
        with np.load(kept, allow_pickle=False) as stored:
            if str(stored["by"]) == by:
                return Found(stored["position"], stored["frame"], stored["pitch"], stored["heard"])
    features, _, _ = load_item(path)
    chunks = list(transcriber.run_network([features.astype(np.float32) / np.float32(255)]))
    posteriors = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in ("onset", "frame", "velocity")}
    rows = find_onsets(posteriors, FAINT)
    rows = rows[np.argsort(rows[:, 1], kind="stable")]
    frame, pitch = rows[:, 1:3].T.astype(np.int64)
    found = Found(rows[:, 0], frame, pitch, hear(posteriors["onset"], posteriors["frame"], frame, pitch))
    packed = io.BytesIO()
    np.savez(packed, by=np.array(by), **vars(found))
    kept.parent.mkdir(exist_ok=True)
    with atomic_write(kept, force=True) as file:
        file.write(packed.getbuffer())
    return found


def label(found: Found, notes: NDArray[np.float32], frame_s: float) -> NDArray[np.float32]:
    """Say which families play each onset, and whether it is one, shape (N, 7).

    Each note of the truth is found once, at most: by the surest onset of its pitch within 50 ms.

    Parameters
    ----------
    found : Found
        Onsets.
    notes : ndarray, shape (n, 5)
        As in :mod:`ottava.corpora.rendered`, on the same clock.
    frame_s : float
        Time between frames in seconds.
    """
    notes = notes[notes[:, 4] < len(FAMILIES)]
    target = np.zeros((len(found.frame), len(FAMILIES) + 1), np.float32)
    free = np.ones(len(notes), bool)
    for i in np.argsort(-found.heard[:, 2], kind="stable"):
        beside_s = np.abs(notes[:, 0] - found.position[i] * frame_s)
        near = (notes[:, 2] == found.pitch[i] + LOW_MIDI) & (beside_s <= _WITHIN_S)
        if (near & free).any():
            target[i, notes[near, 4].astype(int)] = 1
            target[i, -1] = 1
            free[np.argmin(np.where(near & free, beside_s, np.inf))] = False
    return target
