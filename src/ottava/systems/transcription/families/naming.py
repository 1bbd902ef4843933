"""Naming the players of notes as they are found, in NumPy, for a file or a stream."""

from __future__ import annotations

import os
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ottava.results import FAMILIES
from ottava.runtime.session import Session
from ottava.runtime.weights import find_weights
from ottava.systems.transcription.families import SPEC

__all__ = ["BELOW", "BINS", "FRAMES", "GROUP", "LEAD", "LOW_MIDI", "PITCHES", "Naming", "Roll", "cut"]

_T = TypeVar("_T", bound=np.generic)
LOW_MIDI, PITCHES = 21, 88
"""The keys of a piano: the lowest, A0, and how many."""
LEAD = 3
"""Frames of a patch before the onset."""
FRAMES = 24
"""Frames of a patch."""
BELOW = 36
"""Log-frequency bins of a patch below the fundamental: an octave."""
BINS = 160
"""Bins of a patch: up to the tenth partial."""
GROUP = 64
"""Notes that are judged together. More know better, and need more memory: of the validation split's notes 70.4 % get
the right family in groups of 64, 72.6 % in groups of 256, for 50 MB."""


def cut(features: NDArray[_T], frame: NDArray[np.int64], pitch: NDArray[np.int64]) -> NDArray[_T]:
    """Cut the surroundings of onsets from features; beyond the ends there is silence.

    Parameters
    ----------
    features : ndarray, shape (channels, T, bins)
        Levels of :class:`ottava.signal.logfreq.LogFrequency`, three bins to the semitone from A0.
    frame, pitch : ndarray of int, shape (N,)
        Place of each onset; pitches in semitones from A0.

    Returns
    -------
    ndarray, shape (N, channels, FRAMES, BINS)
        Of the type of ``features``.
    """
    padded = np.pad(features, ((0, 0), (LEAD, FRAMES), (BELOW, BINS)))
    windows = sliding_window_view(padded, (FRAMES, BINS), axis=(1, 2))
    return np.ascontiguousarray(windows[:, frame, 3 * pitch].transpose(1, 0, 2, 3))


class Naming:
    """The network, loaded once for many files.

    Parameters
    ----------
    weights : path-like or None
        An exported graph to use in place of the bundled one.
    threads : int or None
        Threads of the network; as many as there are cores, at most 4, when not given.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None, threads: int | None = None) -> None:
        self.session = Session(find_weights(SPEC, weights), SPEC, threads)

    def __call__(
        self, patches: NDArray[np.float32], pitch: NDArray[np.int64], time_s: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Name the players of one group of notes.

        Parameters
        ----------
        patches : ndarray, shape (N, channels, FRAMES, BINS)
            From :func:`cut`.
        pitch : ndarray of int, shape (N,)
            Semitones from A0.
        time_s : ndarray, shape (N,)
            Onsets.

        Returns
        -------
        ndarray, shape (N, 6)
            Probabilities of :data:`ottava.results.FAMILIES`.
        """
        inputs = {
            "patches": patches[None].astype(np.float32),
            "pitch": pitch[None].astype(np.int64),
            "time_s": (time_s - time_s[0])[None].astype(np.float32),
        }
        family: NDArray[np.float32] = self.session.run(inputs)["family"][0]
        return family


class Roll:
    """Onsets as they come, named in groups of :data:`GROUP` in their order, whatever pieces they come in.

    Parameters
    ----------
    naming : Naming
        The network.
    """

    def __init__(self, naming: Naming) -> None:
        self.naming = naming
        self._waiting: list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]] = []
        self._named: list[NDArray[np.float32]] = [np.zeros((0, len(FAMILIES)), np.float32)]

    def add(self, patches: NDArray[np.float32], pitch: NDArray[np.int64], time_s: NDArray[np.float64]) -> None:
        """Take further onsets; shapes as for :class:`Naming`."""
        self._waiting.append((patches, pitch, time_s))
        if sum(len(waiting[1]) for waiting in self._waiting) < GROUP:
            return
        joined = tuple(np.concatenate(part) for part in zip(*self._waiting, strict=True))
        whole = len(joined[1]) // GROUP * GROUP
        for first in range(0, whole, GROUP):
            self._named.append(self.naming(*(part[first : first + GROUP] for part in joined)))
        self._waiting = [tuple(part[whole:].copy() for part in joined)]  # type: ignore[list-item]

    def finish(self) -> NDArray[np.float32]:
        """Return the probabilities of all onsets, shape (N, 6), in the order in which they came."""
        rest = [part for part in self._waiting if len(part[1])]
        if rest:
            self._named.append(self.naming(*(np.concatenate(part) for part in zip(*rest, strict=True))))
            self._waiting = []
        return np.concatenate(self._named)
