"""From posteriors to notes, in NumPy, for a file or a stream.

A note begins at a local maximum of the onset posterior, placed finer than a frame by its neighbours. It ends at the
first of: an offset maximum, the frame posterior falling below its threshold, the next onset of its pitch. Whether it
is a note, and who plays it, is asked of a network of its own (:mod:`.families`), which looks at faint maxima, too.
Notes are found independently of how the posteriors are cut into pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ottava.errors import UsageError
from ottava.results import DRUM_CLASSES, FAMILIES, Notes, check_choice
from ottava.symbolic.instruments import key_of_drum_class
from ottava.systems.transcription.families.naming import AHEAD, BEHIND, LOW_MIDI, Naming, Roll, hear

__all__ = ["DRUM_SHARES", "Thresholds", "decode", "decode_stream"]

_LOOK_BACK, _LOOK_AHEAD = BEHIND, AHEAD
"""Frames around an onset that are needed to name its player."""
_DRUM_LENGTH_S = 0.1
DRUM_SHARES = {"kick": 0.7, "snare": 1.0, "hi-hat": 0.5, "toms": 0.6, "cymbals": 0.6}
"""Of the threshold, for each class: the softer ones are less sure of themselves. From the validation split, too."""

_SURE, _SURE_WITHIN_S = 0.8, 5.0
"""A drum hit counts only if one of this height, or of twice the threshold if that is less, is at most so far away: weak
ones are found in attacks of all kinds where nobody drums. From the validation split, too."""


FAINT = 0.15
"""Least height of an onset maximum for the network for families to judge whether it is a note. A quarter more are
judged than would be notes by their height; from 0.1 on, two fifths more, and the notes are no better."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What counts as a note. The defaults maximise F on the validation split of the rendered corpus.

    Parameters
    ----------
    onset : float
        Least confidence of a note, 0 to 1: how likely an onset maximum is one to the network for families, or where
        that is not asked, its height. Lower finds more notes, and more wrong ones.
    frame : float
        Posterior below which a note has ended, 0 to 1.
    offset : float
        Least height of an offset maximum that ends a note, 0 to 1.
    drum : float
        Least height of a drum hit's maximum, 0 to 1, for a snare; the share of it that is enough for each other class
        is in :data:`DRUM_SHARES`. Hits count only within 5 s of a sure one, of 0.8 or of twice the threshold.
    min_note_s : float
        Notes shorter than this are left out, in seconds.
    """

    onset: float = 0.375
    frame: float = 0.15
    offset: float = 0.2
    drum: float = 0.4
    min_note_s: float = 0.03

    def __post_init__(self) -> None:
        for name in ("onset", "frame", "offset", "drum"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise UsageError(f"{name} threshold {value} out of range", expected="above 0, at most 1")
        if not 0 <= self.min_note_s < 10:
            raise UsageError(f"min_note_s {self.min_note_s} out of range", expected="0 to 10 seconds")


def decode(
    posteriors: Mapping[str, NDArray[np.float32]],
    *,
    frame_s: float,
    thresholds: Thresholds | None = None,
    instruments: Iterable[str] | None = None,
    naming: Naming | None = None,
) -> Notes:
    """Turn the posteriors of a whole file into notes.

    Parameters
    ----------
    posteriors : dict of str to ndarray of float32
        ``onset``, ``frame``, ``offset``, ``velocity`` of shape (t, 88); ``drum_onset``, ``drum_velocity`` (t, 5). All
        between 0 and 1. With ``naming``, also ``features`` (t, channels, bins), from which they were made.
    frame_s : float
        Time between frames in seconds.
    thresholds : Thresholds or None
        What counts as a note.
    instruments : iterable of str or None
        Only these families (and ``"drums"``) are in the recording: each note goes to the likeliest of them. All
        when not given.
    naming : Naming or None
        Judges onsets and names the players. Without it every maximum of the onset posterior that is high enough is a
        note, and all notes are given to the first of the families.

    Returns
    -------
    notes : ottava.results.Notes
        Sorted by start; empty when nothing is found.

    Raises
    ------
    ottava.errors.UsageError
        If an instrument is unknown.
    """
    return decode_stream([posteriors], frame_s=frame_s, thresholds=thresholds, instruments=instruments, naming=naming)


def decode_stream(
    chunks: Iterable[Mapping[str, NDArray[np.float32]]],
    *,
    frame_s: float,
    thresholds: Thresholds | None = None,
    instruments: Iterable[str] | None = None,
    naming: Naming | None = None,
) -> Notes:
    """Turn consecutive pieces of posteriors into the notes of the whole, in bounded memory.

    Parameters and errors are those of :func:`decode`, but for ``chunks``: consecutive posteriors. What is kept
    beyond a piece is a few numbers for each onset, and two bits for each pitch and frame.
    """
    limits = thresholds or Thresholds()
    wanted = tuple((*FAMILIES, "drums") if instruments is None else instruments)
    for name in wanted:
        check_choice("instrument", name, (*FAMILIES, "drums"))
    families = np.array([name in wanted for name in FAMILIES])
    roll = Roll(naming) if naming is not None and families.any() else None
    least = limits.onset if roll is None else min(FAINT, limits.onset)
    onsets: list[NDArray[np.float64]] = []
    hits: list[NDArray[np.float64]] = []
    stops: list[NDArray[np.bool_]] = []
    held: dict[str, NDArray[np.float32]] | None = None
    first = before = 0  # number of the first frame held, and how many held frames are already decoded
    for chunk in _with_end(chunks):
        last = chunk is None
        if chunk is not None:
            held = dict(chunk) if held is None else {k: np.concatenate([held[k], v]) for k, v in chunk.items()}
        if held is None:
            return Notes.empty()
        n = len(held["onset"])
        end = n if last else n - _LOOK_AHEAD
        if end <= before:
            continue
        span = slice(before, end)
        found = _read_onsets(held, span, first, least) if families.any() else np.zeros((0, 5))
        onsets.append(found)
        if roll is not None:
            frame, pitch = found[:, 1:3].T.astype(np.int64)
            here = frame - first
            heard = hear(held["onset"], held["frame"], here, pitch)
            roll.add(held["features"].transpose(1, 0, 2), here, pitch, frame * frame_s, heard)
        hits.append(_read_hits(held, span, first, limits.drum))
        quiet = held["frame"][span] < limits.frame
        stops.append(quiet | _maxima(held["offset"], span, limits.offset))
        keep = max(end - _LOOK_BACK, 0)
        held = {k: v[keep:] for k, v in held.items()}
        first, before = first + keep, end - keep
    if not onsets:
        return Notes.empty()
    begun = np.concatenate(onsets)
    family = np.full(len(begun), families.argmax())
    if roll is not None:
        likely = roll.finish()
        family, begun[:, 3] = np.where(families, likely[:, :-1], -1).argmax(1), likely[:, -1]
    sure = begun[:, 3] >= limits.onset
    rows = _close(np.column_stack([begun, family])[sure], np.concatenate(stops))
    rows = rows[(rows[:, 1] - rows[:, 0]) * frame_s >= limits.min_note_s]
    drums = _near_sure(np.concatenate(hits), limits.drum, frame_s) if "drums" in wanted else np.zeros((0, 5))
    return _to_notes(rows, drums, frame_s)


def _with_end(
    chunks: Iterable[Mapping[str, NDArray[np.float32]]],
) -> Iterable[Mapping[str, NDArray[np.float32]] | None]:
    yield from chunks
    yield None


def _neighbours(curve: NDArray[np.float32], span: slice) -> tuple[NDArray[np.float32], ...]:
    """Return a curve's frames in a span, the frame before each, and the one after; silence beyond the ends."""
    edge = np.zeros((1, curve.shape[1]), np.float32)
    padded = np.concatenate([edge, curve[max(span.start - 1, 0) : span.stop + 1], edge])
    skip = 1 if span.start > 0 else 0
    n = span.stop - span.start
    return padded[1 + skip : 1 + skip + n], padded[skip : skip + n], padded[2 + skip : 2 + skip + n]


def _maxima(curve: NDArray[np.float32], span: slice, threshold: float | NDArray[np.float32]) -> NDArray[np.bool_]:
    here, left, right = _neighbours(curve, span)
    return (here >= threshold) & (here > left) & (here >= right)


def _refine(left: NDArray[np.float32], here: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Place a maximum between frames.

    In training an onset at distance ``d`` frames has the target ``max(0, 1 - |d| / 1.5)``. With ``r`` the difference
    of a maximum's neighbours over the sum of all three, the place on that triangle is ``2.5 r / (2 + |r|)``, whatever
    its height.
    """
    ratio = (right - left).astype(np.float64) / np.maximum(left + here + right, 1e-6)
    return np.asarray(np.clip(2.5 * ratio / (2 + np.abs(ratio)), -0.5, 0.5), np.float64)


def find_onsets(posteriors: Mapping[str, NDArray[np.float32]], threshold: float) -> NDArray[np.float64]:
    """Return one row for each maximum of the onset posterior: position and frame, pitch column, height, velocity."""
    return _read_onsets(posteriors, slice(0, len(posteriors["onset"])), 0, threshold)


def _read_onsets(
    held: Mapping[str, NDArray[np.float32]],
    span: slice,
    first: int,
    threshold: float,
) -> NDArray[np.float64]:
    """Return one row for each onset: position in frames, frame, pitch column, confidence, velocity."""
    t, p = np.nonzero(_maxima(held["onset"], span, threshold))
    here, left, right = (a[t, p] for a in _neighbours(held["onset"], span))
    t = t + span.start
    position = np.maximum(t + first + _refine(left, here, right), 0)
    return np.stack([position, t + first, p, here, held["velocity"][t, p]], axis=1).astype(np.float64)


def _read_hits(
    held: Mapping[str, NDArray[np.float32]], span: slice, first: int, threshold: float
) -> NDArray[np.float64]:
    """Return one row for each drum hit: position in frames, class, confidence, velocity."""
    shares = np.array([DRUM_SHARES[name] for name in DRUM_CLASSES], np.float32)
    t, c = np.nonzero(_maxima(held["drum_onset"], span, threshold * shares))
    here, left, right = (a[t, c] for a in _neighbours(held["drum_onset"], span))
    t = t + span.start
    beside = _refine(left, here, right)
    position, sureness = np.maximum(t + first + beside, 0), here / np.minimum(1.2 - 0.8 * np.abs(beside), 1)
    return np.stack([position, c, here, held["drum_velocity"][t, c], sureness], axis=1).astype(np.float64)


def _near_sure(hits: NDArray[np.float64], threshold: float, frame_s: float) -> NDArray[np.float64]:
    """Keep the hits that are sure, or have a sure one nearby."""
    sure = max(threshold, min(2 * threshold, _SURE))
    at_s = hits[:, 0] * frame_s
    edges = np.concatenate([[-np.inf], np.sort(at_s[hits[:, 4] >= sure]), [np.inf]])
    after = np.searchsorted(edges, at_s).clip(1)
    near: NDArray[np.bool_] = np.minimum(at_s - edges[after - 1], edges[after] - at_s) <= _SURE_WITHIN_S
    return hits[near]


def _close(onsets: NDArray[np.float64], stop: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Find each note's end; return rows of begin, end (frames), pitch column, confidence, velocity, family."""
    n_frames = len(stop)
    onsets = onsets[np.lexsort((onsets[:, 0], onsets[:, 2]))]
    ends = np.full(len(onsets), float(n_frames))
    for p in np.unique(onsets[:, 2]).astype(int):
        mine = np.flatnonzero(onsets[:, 2] == p)
        frames = onsets[mine, 1].astype(int)
        stopped = np.flatnonzero(stop[:, p])
        # The posterior may still be rising in the first frame after an onset.
        place = np.searchsorted(stopped, frames + 2)
        ends[mine] = np.append(stopped, n_frames)[place]
        ends[mine[:-1]] = np.minimum(ends[mine[:-1]], onsets[mine[1:], 0])
    return np.column_stack([onsets[:, 0], ends, onsets[:, 2:]])


def _to_notes(rows: NDArray[np.float64], drums: NDArray[np.float64], frame_s: float) -> Notes:
    keys = np.array([key_of_drum_class(name) for name in DRUM_CLASSES])
    hit_s = drums[:, 0] * frame_s
    velocity = np.concatenate([rows[:, 4], drums[:, 3]]) * 127
    names = [FAMILIES[i] for i in rows[:, 5].astype(int)] + ["drums"] * len(drums)
    return Notes(
        start_s=np.concatenate([rows[:, 0] * frame_s, hit_s]),
        end_s=np.concatenate([rows[:, 1] * frame_s, hit_s + _DRUM_LENGTH_S]),
        pitch_midi=np.concatenate([rows[:, 2] + LOW_MIDI, keys[drums[:, 1].astype(int)]]),
        velocity=np.clip(np.rint(velocity), 1, 127),
        confidence=np.clip(np.concatenate([rows[:, 3], drums[:, 2]]), 0, 1),
        instrument=names,  # type: ignore[arg-type]  # lists are converted when the record is made
    ).sorted()
