"""Naming the players of notes as they are found, in NumPy, for a file or a stream."""

from __future__ import annotations

import os
from typing import Any, TypeVar

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
GROUP = 256
"""Notes that are judged together. Groups of 64 name 2 in 100 fewer rightly; groups that overlap, no more."""
_SOUNDS = 32
"""Notes whose sound is looked at together: more need more memory, and are no quicker."""


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
        sizes = {name: tuple(size for size in axes[2:] if isinstance(size, int)) for name, axes in SPEC.inputs.items()}
        self.width = sizes["described"][0]
        integers = ("patch_pitch", "pitch")
        self._silent: dict[str, NDArray[Any]] = {
            name: np.zeros((1, *size), np.int64 if name in integers else np.float32) for name, size in sizes.items()
        }

    def describe(self, patches: NDArray[np.float32], pitch: NDArray[np.int64]) -> NDArray[np.float32]:
        """Describe what notes sound like.

        Parameters
        ----------
        patches : ndarray, shape (N, channels, FRAMES, BINS)
            From :func:`cut`.
        pitch : ndarray of int, shape (N,)
            Semitones from A0.

        Returns
        -------
        ndarray, shape (N, width)
        """
        described = [np.zeros((0, self.width), np.float32)]
        for first in range(0, len(pitch), _SOUNDS):
            some = slice(first, first + _SOUNDS)
            sounds = patches[some].astype(np.float32)
            described.append(self._run({"patches": sounds, "patch_pitch": pitch[some].astype(np.int64)})["description"])
        return np.concatenate(described)

    def compare(
        self, described: NDArray[np.float32], pitch: NDArray[np.int64], time_s: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Name the players of one group of notes.

        Parameters
        ----------
        described : ndarray, shape (N, width)
            From :meth:`describe`.
        pitch : ndarray of int, shape (N,)
            Semitones from A0.
        time_s : ndarray, shape (N,)
            Onsets.

        Returns
        -------
        ndarray, shape (N, 6)
            How likely each of :data:`ottava.results.FAMILIES` plays; in unison several may.
        """
        since_s = (time_s - time_s[0]).astype(np.float32)
        return self._run({"described": described, "pitch": pitch.astype(np.int64), "time_s": since_s})["family"]

    def _run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Run the half of the graph that these are the inputs of; the other half gets one silent note."""
        inputs = self._silent | inputs
        found = self.session.run({name: values[None] for name, values in inputs.items()})
        return {name: values[0] for name, values in found.items()}


class Roll:
    """Onsets as they come, named in groups of :data:`GROUP` in their order, whatever pieces they come in.

    Parameters
    ----------
    naming : Naming
        The network.
    """

    def __init__(self, naming: Naming) -> None:
        self.naming = naming
        self._described = np.zeros((0, naming.width), np.float32)
        self._pitch, self._time_s = np.zeros(0, np.int64), np.zeros(0)
        self._named: list[NDArray[np.float32]] = [np.zeros((0, len(FAMILIES)), np.float32)]

    def add(self, patches: NDArray[np.float32], pitch: NDArray[np.int64], time_s: NDArray[np.float64]) -> None:
        """Take further onsets; shapes as for :class:`Naming`."""
        self._described = np.concatenate([self._described, self.naming.describe(patches, pitch)])
        self._pitch, self._time_s = np.concatenate([self._pitch, pitch]), np.concatenate([self._time_s, time_s])
        while len(self._pitch) >= GROUP:
            self._name(GROUP)

    def finish(self) -> NDArray[np.float32]:
        """Return the probabilities of all onsets, shape (N, 6), in the order in which they came."""
        if len(self._pitch):
            self._name(len(self._pitch))
        return np.concatenate(self._named)

    def _name(self, n: int) -> None:
        self._named.append(self.naming.compare(self._described[:n], self._pitch[:n], self._time_s[:n]))
        # A copy, as a view would keep all descriptions that came before.
        self._described, self._pitch, self._time_s = self._described[n:].copy(), self._pitch[n:], self._time_s[n:]
