"""Naming the players of notes as they are found, in NumPy, for a file or a stream."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.results import FAMILIES
from ottava.runtime.session import Session
from ottava.runtime.weights import find_weights
from ottava.systems.transcription.families import SPEC

__all__ = [
    "AHEAD", "BEHIND", "FRAMES", "GROUP", "HEARD", "LEAD", "LOW_MIDI", "MARGIN", "PARTIALS", "PITCHES",
    "Naming", "Roll", "hear",
]  # fmt: skip

LOW_MIDI, PITCHES = 21, 88
"""The keys of a piano: the lowest, A0, and how many."""
LEAD = 3
"""Frames before the onset that are looked at."""
FRAMES = 24
"""Frames that are looked at."""
PARTIALS = (1 / 3, 1 / 2, 2 / 3, 1, 3 / 2, 2, 5 / 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20)
"""Multiples of the fundamental that are looked at: partials, and between and below them, where others' would be."""
MARGIN = 5
"""Frames on either side that convolutions see beside those."""
BEHIND, AHEAD = LEAD + MARGIN, FRAMES - LEAD + MARGIN
"""Frames before an onset, and from it on, on which a note's description depends."""
GROUP = 256
"""Notes that are judged together. Groups of 64 name 2 in 100 fewer rightly; groups that overlap, no more."""
_SPAN = 176
"""Frames whose onsets are described together. More of them take more memory, and are no quicker."""
_ONSET_AT, _FRAME_AT = (-2, -1, 0, 1, 2), (-2, 0, 2, 5, 10)
"""Frames from an onset at which posteriors of its pitch are read."""
_ONSET_BESIDE = (-24, -19, -12, -7, 7, 12, 19, 24)
"""Semitones from an onset at which others at the same time would explain it, or be explained by it."""
HEARD = len(_ONSET_AT) + len(_FRAME_AT) + len(_ONSET_BESIDE)
"""Values of :func:`hear`."""


def hear(
    onset: NDArray[np.float32], sounding: NDArray[np.float32], frame: NDArray[np.int64], pitch: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Gather what the network for notes says of onsets, and around them.

    Parameters
    ----------
    onset, sounding : ndarray, shape (T, 88)
        Posteriors of onsets, and of pitches that sound; beyond the ends there is silence.
    frame, pitch : ndarray of int, shape (N,)
        Places of onsets.

    Returns
    -------
    ndarray, shape (N, HEARD)
        The onset's own height is at ``[:, 2]``.
    """
    edge, beside = max(_FRAME_AT), max(_ONSET_BESIDE)
    rows, columns = frame[:, None] + edge, pitch[:, None] + beside
    padded = np.pad(onset, ((edge, edge), (beside, beside)))
    return np.concatenate(
        [
            padded[rows + np.array(_ONSET_AT), columns],
            np.pad(sounding, ((edge, edge), (beside, beside)))[rows + np.array(_FRAME_AT), columns],
            padded[rows, columns + np.array(_ONSET_BESIDE)],
        ],
        axis=1,
    )


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
        self.width = int(SPEC.outputs["description"][2])

    def describe(
        self,
        levels: NDArray[np.float32],
        frame: NDArray[np.int64],
        pitch: NDArray[np.int64],
        heard: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Describe what notes sound like.

        Parameters
        ----------
        levels : ndarray, shape (channels, T, bins)
            Levels of :class:`ottava.signal.logfreq.LogFrequency`; beyond the ends there is silence.
        frame : ndarray of int, shape (N,)
            Frames of the onsets.
        pitch : ndarray of int, shape (N,)
            Semitones from A0.
        heard : ndarray or None, shape (N, HEARD)
            From :func:`hear`; not given where the onsets are known to be true.

        Returns
        -------
        ndarray, shape (N, width)
        """
        if heard is None:
            heard = np.zeros((len(pitch), HEARD), np.float32)
        described = np.zeros((len(pitch), self.width), np.float32)
        for span in range(0, levels.shape[1], _SPAN):
            some = np.flatnonzero((frame >= span) & (frame < span + _SPAN))
            if len(some):
                first = max(span - BEHIND, 0)
                around = levels[:, first : span + _SPAN + AHEAD].astype(np.float32)
                where: dict[str, NDArray[Any]] = {"frame": frame[some] - first, "sound_pitch": pitch[some]}
                described[some] = self._run({"levels": around, "heard": heard[some]} | where)["description"]
        return described

    def compare(
        self, described: NDArray[np.float32], pitch: NDArray[np.int64], time_s: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Name the players of one group of notes, and say whether they are notes.

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
        ndarray, shape (N, 7)
            How likely each of :data:`ottava.results.FAMILIES` plays, if it is a note; in unison several may. Last, how
            likely it is one: of use only where it was described with what was heard of it.
        """
        since_s = (time_s - time_s[0]).astype(np.float32)
        return self._run({"described": described, "pitch": pitch.astype(np.int64), "time_s": since_s})["likely"]

    def _run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Run the half of the graph that these are the inputs of."""
        found = self.session.run_part({name: values[None] for name, values in inputs.items()})
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
        self._named: list[NDArray[np.float32]] = [np.zeros((0, len(FAMILIES) + 1), np.float32)]

    def add(
        self,
        levels: NDArray[np.float32],
        frame: NDArray[np.int64],
        pitch: NDArray[np.int64],
        time_s: NDArray[np.float64],
        heard: NDArray[np.float32] | None = None,
    ) -> None:
        """Take further onsets and the levels around them; shapes as for :class:`Naming`."""
        self._described = np.concatenate([self._described, self.naming.describe(levels, frame, pitch, heard)])
        self._pitch, self._time_s = np.concatenate([self._pitch, pitch]), np.concatenate([self._time_s, time_s])
        while len(self._pitch) >= GROUP:
            self._name(GROUP)

    def finish(self) -> NDArray[np.float32]:
        """Return the probabilities of all onsets, shape (N, 7), in the order in which they came."""
        if len(self._pitch):
            self._name(len(self._pitch))
        return np.concatenate(self._named)

    def _name(self, n: int) -> None:
        self._named.append(self.naming.compare(self._described[:n], self._pitch[:n], self._time_s[:n]))
        # A copy, as a view would keep all descriptions that came before.
        self._described, self._pitch, self._time_s = self._described[n:].copy(), self._pitch[n:], self._time_s[n:]
