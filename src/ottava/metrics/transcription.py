"""How good is a transcription? Scores of notes, frames, instrument families and drum hits.

The task and its scores are those of MIREX and of the piano transcription papers since Hawthorne et al.
(2018):

``note``
    An estimated note is right when its onset is within 50 ms and its pitch within 50 cents of a true note's,
    one to one, by maximum matching (:mod:`mir_eval.transcription`).
``note_offset``
    ... and its end within 50 ms or 20 % of the true note's length, whichever is more.
``note_velocity``, ``note_offset_velocity``
    ... and its velocity within 0.1 of the true one, after the true velocities are scaled to 0-1 and the
    estimated ones are fitted to them by a line.
``note_family``
    As ``note``, and the instrument family is the same. ``note_keys``, ``note_bass``, ... count one family
    alone.
``frame``
    Pitches that sound, every 10 ms; with ``frame_accuracy`` (true positives over the union) and
    ``frame_error`` (E_tot of Poliner and Ellis: the sum over frames of ``max(truth, estimate) - right``, over
    the number of true pitches), as in :mod:`mir_eval.multipitch`.
``drum``
    Hits of the five drum classes within 50 ms, class by class, counted together; ``drum_kick``, ... alone.

Each of them has ``_p``, ``_r`` and ``_f``. Drums take part in ``drum`` only, pitched notes in everything
else.

A file first becomes *counts* (:func:`count`), and counts become scores (:func:`score`). So there are two ways
to speak of many files, and they differ: :func:`mean` averages the scores of the files, and
``score(pool(counts))`` adds up the counts, where long and dense files weigh more.

Differences to mir_eval, with their size:

1. Nothing against nothing is ``nan``, "not measured", where mir_eval says 0. Silence transcribed as silence,
   or the ``drum`` score of a piano piece, tells nothing and must not pull a mean down; :func:`mean` leaves it
   out. One side empty scores 0, as in mir_eval.
2. Notes are matched pitch by pitch. MIDI pitches are whole, so two notes within 50 cents have the same one,
   and the size of the maximum matching is the same; memory falls from all notes squared to those of one
   pitch.
3. Where several maximum matchings exist (trills faster than 50 ms), the one chosen may differ, and the
   velocity scores, which fit a line through the matched pairs, with it. All other scores depend on the size
   alone.
4. Frame scores use whole pitches on one clock for both sides, no resampling. Equal to mir_eval on that clock.
5. Overlapping notes of one pitch sound once in a frame; mir_eval would count a frequency listed twice twice.
6. :func:`average_precision` sums ``(recall step) x precision`` over the distinct values, without
   interpolation. The trapezoid under the same points, once common in the MusicNet papers' tool, reads
   slightly higher.

Tables call for care: MAESTRO's truth usually holds notes for as long as the pedal does, others end them with
the key, and the offset scores of the two cannot be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import MissingError, UsageError
from ottava.results import DRUM_CLASSES, FAMILIES, Notes

__all__ = ["Counts", "average_precision", "count", "evaluate", "frames", "mean", "pool", "score"]

Counts: TypeAlias = dict[str, tuple[int, ...]]
"""Name of a score to ``(right, true, estimated)``; for ``"frame"`` also the sum of the larger of the two."""

_FRAME_S = 0.01
_VELOCITY_TOLERANCE = 0.1


def evaluate(truth: Notes, estimate: Notes, onset_tolerance_s: float = 0.05) -> dict[str, float]:
    """Score the transcription of one file.

    Parameters
    ----------
    truth, estimate : Notes
        True and estimated notes, drums included.
    onset_tolerance_s : float > 0
        Largest distance of matching onsets, in seconds.

    Returns
    -------
    dict of str to float
        All scores that the module's text describes, from 0 to 1 (``frame_error`` may exceed 1), ``nan`` where
        neither side has anything to compare, and for ``frame_error`` where the truth is empty.

    Raises
    ------
    ottava.errors.MissingError
        If mir_eval is not installed.
    ottava.errors.UsageError
        If the tolerance is not positive.
    """
    return score(count(truth, estimate, onset_tolerance_s))


def count(truth: Notes, estimate: Notes, onset_tolerance_s: float = 0.05) -> Counts:
    """Count what is right, true and estimated in one file, for every kind of score.

    Parameters
    ----------
    truth, estimate : Notes
        True and estimated notes, drums included.
    onset_tolerance_s : float > 0
        Largest distance of matching onsets, in seconds.

    Raises
    ------
    ottava.errors.MissingError
        If mir_eval is not installed.
    ottava.errors.UsageError
        If the tolerance is not positive.
    """
    if not onset_tolerance_s > 0:
        raise UsageError(f"onset_tolerance_s is {onset_tolerance_s}", expected="more than 0")
    mir_eval = _mir_eval()
    pitched, guessed = (notes[notes.instrument != "drums"] for notes in (truth, estimate))
    sizes = len(pitched), len(guessed)
    counts: Counts = {}
    for name, ratio in (("note", None), ("note_offset", 0.2)):
        pairs = _match_notes(mir_eval, pitched, guessed, onset_tolerance_s, ratio)
        counts[name] = (len(pairs), *sizes)
        counts[f"{name}_velocity"] = (_count_velocities(pitched, guessed, pairs), *sizes)
    for family in FAMILIES:
        part, guess = pitched.of(family), guessed.of(family)
        right = len(_match_notes(mir_eval, part, guess, onset_tolerance_s, None))
        counts[f"note_{family}"] = (right, len(part), len(guess))
    counts["note_family"] = _total(counts[f"note_{family}"] for family in FAMILIES)
    counts["frame"] = _count_frames(pitched, guessed)
    for name in DRUM_CLASSES:
        hits, guesses = _hits(truth, name), _hits(estimate, name)
        pairs = mir_eval.match_note_onsets(hits, guesses, onset_tolerance_s)
        counts[f"drum_{name}"] = (len(pairs), len(hits), len(guesses))
    counts["drum"] = _total(counts[f"drum_{name}"] for name in DRUM_CLASSES)
    return counts


def score(counts: Counts) -> dict[str, float]:
    """Turn counts into precision, recall and F.

    Returns
    -------
    dict of str to float
        As from :func:`evaluate`.
    """
    scores: dict[str, float] = {}
    for name, (right, true, estimated, *_) in counts.items():
        undefined = float("nan") if true == estimated == 0 else 0.0
        scores[f"{name}_p"] = right / estimated if estimated else undefined
        scores[f"{name}_r"] = right / true if true else undefined
        scores[f"{name}_f"] = 2 * right / (true + estimated) if true + estimated else undefined
    right, true, estimated, larger = counts["frame"]
    union = true + estimated - right
    scores["frame_accuracy"] = right / union if union else float("nan")
    scores["frame_error"] = (larger - right) / true if true else float("nan")
    return scores


def pool(counts: Iterable[Counts]) -> Counts:
    """Add up the counts of several files.

    Raises
    ------
    ottava.errors.UsageError
        If there are none.
    """
    files = list(counts)
    if not files:
        raise UsageError("no file to pool", expected="at least one")
    return {name: _total(file[name] for file in files) for name in files[0]}


def mean(scores: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Average the scores of several files, each over the files where it is not ``nan``.

    Raises
    ------
    ottava.errors.UsageError
        If there are none.
    """
    files = list(scores)
    if not files:
        raise UsageError("no file to average", expected="at least one")
    means: dict[str, float] = {}
    for name in files[0]:
        values = np.array([file[name] for file in files], dtype=np.float64)
        measured = values[~np.isnan(values)]
        means[name] = float(measured.mean()) if len(measured) else float("nan")
    return means


def frames(notes: Notes, times_s: ArrayLike) -> NDArray[np.bool_]:
    """Return which pitches sound at given times; a note sounds from its start up to, not at, its end.

    Parameters
    ----------
    notes : Notes
        Notes; drums are left out.
    times_s : array_like of float, shape (t,)
        Times in seconds, increasing.

    Returns
    -------
    numpy.ndarray of bool, shape (t, 128)
        Sounding pitches.
    """
    times = np.asarray(times_s, dtype=np.float64)
    roll = np.zeros((len(times), 128), dtype=np.bool_)
    notes = notes[notes.instrument != "drums"]
    first, last = np.searchsorted(times, notes.start_s), np.searchsorted(times, notes.end_s)
    for begin, end, pitch in zip(first, last, notes.pitch_midi, strict=True):
        roll[begin:end, pitch] = True
    return roll


def average_precision(truth: ArrayLike, posteriors: ArrayLike) -> float:
    """Area under the precision-recall curve over all cells at once (micro average), as MusicNet papers report
    it.

    Cells of equal posterior enter together, so the result does not depend on their order.

    Parameters
    ----------
    truth : array_like of bool
        What is there, any shape, usually (frames, pitches).
    posteriors : array_like of float
        Same shape; only their order matters.

    Returns
    -------
    float
        From 0 to 1; ``nan`` when nothing is there.

    Raises
    ------
    ottava.errors.UsageError
        If the shapes differ or a posterior is not finite.
    """
    labels = np.asarray(truth, dtype=np.bool_).ravel()
    values = np.asarray(posteriors).ravel()
    if np.shape(truth) != np.shape(posteriors):
        raise UsageError("shapes differ", found=f"{np.shape(posteriors)}", expected=f"{np.shape(truth)}")
    if not np.isfinite(values).all():
        raise UsageError("posteriors must be finite")
    if not labels.any():
        return float("nan")
    order = np.argsort(-values, kind="stable")
    values, labels = values[order], labels[order]
    last_of_tie = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    right = np.cumsum(labels)[last_of_tie]
    precision, recall = right / (last_of_tie + 1), right / right[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _mir_eval() -> ModuleType:
    try:
        import mir_eval.transcription
    except ImportError as error:
        raise MissingError(
            "scoring needs mir_eval", expected="pip install 'ottava[train]' or pip install mir_eval"
        ) from error
    module: ModuleType = mir_eval.transcription
    return module


def _match_notes(
    mir_eval: Any, truth: Notes, estimate: Notes, onset_tolerance_s: float, offset_ratio: float | None
) -> NDArray[np.intp]:
    """Return matched positions, shape (pairs, 2): maximum matching, pitch by pitch."""
    found = [np.empty((0, 2), dtype=np.intp)]
    for pitch in np.intersect1d(truth.pitch_midi, estimate.pitch_midi):
        left, right = (np.flatnonzero(notes.pitch_midi == pitch) for notes in (truth, estimate))
        pairs = mir_eval.match_notes(
            _intervals(truth[left]),
            np.full(len(left), 440.0),  # one pitch on both sides: any frequency will do
            _intervals(estimate[right]),
            np.full(len(right), 440.0),
            onset_tolerance=onset_tolerance_s,
            offset_ratio=offset_ratio,
        )
        if pairs:
            i, j = np.array(pairs, dtype=np.intp).T
            found.append(np.column_stack((left[i], right[j])))
    return np.concatenate(found)


def _count_velocities(truth: Notes, estimate: Notes, pairs: NDArray[np.intp]) -> int:
    """Count the pairs whose velocities agree, after the estimate's best line through the truth's."""
    if not len(pairs):
        return 0
    low, high = int(truth.velocity.min()), int(truth.velocity.max())
    true = (truth.velocity[pairs[:, 0]] - low) / max(1, high - low)
    guess = np.column_stack((estimate.velocity[pairs[:, 1]].astype(np.float64), np.ones(len(pairs))))
    line = np.linalg.lstsq(guess, true, rcond=None)[0]
    return int((np.abs(guess @ line - true) < _VELOCITY_TOLERANCE).sum())


def _count_frames(truth: Notes, estimate: Notes) -> tuple[int, ...]:
    end_s = max((float(notes.end_s.max()) for notes in (truth, estimate) if len(notes)), default=0.0)
    times = np.arange(int(np.ceil(end_s / _FRAME_S))) * _FRAME_S
    true, guess = frames(truth, times), frames(estimate, times)
    larger = np.maximum(true.sum(axis=1), guess.sum(axis=1)).sum()
    return int((true & guess).sum()), int(true.sum()), int(guess.sum()), int(larger)


def _hits(notes: Notes, name: str) -> NDArray[np.float64]:
    """Return the intervals of one drum class, shape (n, 2). Keys of no class, cowbells say, are left out."""
    from ottava.symbolic.instruments import drum_class_of_key

    drums = notes.of("drums")
    return _intervals(drums[np.array([drum_class_of_key(int(k)) == name for k in drums.pitch_midi], dtype=bool)])


def _intervals(notes: Notes) -> NDArray[np.float64]:
    return np.column_stack((notes.start_s, notes.end_s))


def _total(counts: Iterable[Sequence[int]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*counts, strict=True))
