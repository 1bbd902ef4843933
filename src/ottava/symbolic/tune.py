"""The melody of a score, on a grid of bars: which part it is, and where its bars begin."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import InputError, UsageError
from ottava.symbolic.bars import STEPS_PER_QUARTER, Line, snap, to_bars
from ottava.symbolic.score import DEFAULT_METER, Part, Score
from ottava.symbolic.upbeat import find_upbeat

__all__ = ["Tune", "find_melody", "find_tune"]

# Whole words: a melodica, and a pad that is detuned, are none. A part that leads may do so for a few bars only.
_MELODY = (re.compile(r"m[eé]lod(y|ie|[ií]a).*|tune|cantus|cantabile"), re.compile(r"lead|solo"))
_MOST_STEPS = 64
_NO_BAR = 4  # steps
_OFF_GRID = 0.2  # of a step
_AGREED = 0.8  # length of the mean of unit vectors


@dataclass(frozen=True, eq=False)
class Tune:
    """One line of a score in bars.

    Parameters
    ----------
    symbols : ndarray of int16, shape (bars, steps)
        As :mod:`ottava.symbolic.bars` writes them.
    meter : tuple of int
        Numerator and denominator.
    part : int
        Which part of the score it is.
    why : str
        Why that part, in words.
    edges_q : ndarray of float64, shape (bars + 1,)
        Where bars begin and the last one ends, in quarter notes of the score; the first is below 0 if it is an upbeat.
    refused : tuple of str
        Of each bar, why it does not count; empty for those that do.
    moved : float
        Share of notes that begin off the grid by more than a fifth of a step.
    note_steps : ndarray of int64, shape (notes of the part,)
        At which step each note of the part begins; -1 for those that have no place on the grid, as grace notes and what
        a bar has beyond the usual length.
    left_out : int
        Notes of the part that sound with others: those below another that begins with them, and those that are cut
        where the next begins.
    guessed_upbeat_q : float
        Quarter notes before the first whole bar, where the score does not say it; 0 otherwise.
    meter_told : bool
        Whether the meter is the score's own.
    """

    symbols: NDArray[np.int16]
    meter: tuple[int, int]
    part: int
    why: str
    edges_q: NDArray[np.float64]
    refused: tuple[str, ...]
    moved: float
    note_steps: NDArray[np.int64]
    left_out: int = 0
    guessed_upbeat_q: float = 0.0
    meter_told: bool = True

    def __len__(self) -> int:
        return len(self.symbols)

    def quarters(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return where steps lie in the score, in quarter notes.

        Parameters
        ----------
        steps : array_like of int
            Counted from the first bar on. Those that a short bar does not have lie at its end.
        """
        at, usual = np.asarray(steps), self.symbols.shape[1]
        bar = np.clip(at // usual, 0, len(self))
        ends = np.append(self.edges_q[1:], np.inf)
        return np.asarray(np.minimum(self.edges_q[bar] + (at - bar * usual) / STEPS_PER_QUARTER, ends[bar]))


def find_melody(score: Score) -> tuple[int, str]:
    """Return which part of a score has the melody, and why, in words.

    A part that is named as one, else one that is named as leading, else one that sings, else the one that most often
    has the highest note and seldom more than one at a time. Of several that are named so, one that sings, and of those
    the one with most notes.

    Raises
    ------
    ottava.errors.InputError
        If no part has pitches.
    """
    pitched = [i for i, part in enumerate(score) if not part.drums]
    if not pitched:
        found = "only drums" if len(score) else "no notes"
        raise InputError("has no melody", found=found, expected="a part with pitches")
    if len(pitched) == 1:
        return pitched[0], "the only part with pitches"
    ranks = {i: _rank_name(score.parts[i]) for i in pitched}
    best = max(pitched, key=lambda i: (ranks[i], score.parts[i].sings, len(score.parts[i])))
    if ranks[best] or score.parts[best].sings:
        return best, f"{_label(score, best)} {'is named as the melody' if ranks[best] else 'sings'}"
    shares = _leads([score.parts[i] for i in pitched])
    best = pitched[int(np.argmax(shares))]
    return best, f"{_label(score, best)} has the highest single notes most of the time"


def _rank_name(part: Part) -> int:
    """Return 2 for a part that is named as the melody, 1 for one that is named as leading, 0 for others."""
    words = re.findall(r"[^\W\d_]+", part.name.casefold())
    matches = [any(map(pattern.fullmatch, words)) for pattern in _MELODY]
    return len(_MELODY) - matches.index(True) if any(matches) else 0


def _label(score: Score, index: int) -> str:
    return f"part {index + 1}" + (f" ({score.parts[index].name})" if score.parts[index].name else "")


def _leads(parts: list[Part]) -> list[float]:
    """Return for how much of the music, in quarter notes, each part alone has the highest note, and just one."""
    spans = [_find_spans(part) for part in parts]
    # Only where some note begins or ends does anything change: long music with few notes needs little memory.
    edges = np.unique(np.concatenate([at for begin, end in spans for at in (begin, end)]))
    highest, second = np.zeros(len(edges), np.int16), np.zeros(len(edges), np.int16)
    who, single = np.full(len(edges), -1), []
    for i, (part, (begin, end)) in enumerate(zip(parts, spans, strict=True)):
        first, last = np.searchsorted(edges, begin), np.searchsorted(edges, end)
        voices = np.cumsum(np.bincount(first, minlength=len(edges)) - np.bincount(last, minlength=len(edges)))
        single.append(voices == 1)
        top = np.zeros(len(edges), np.int16)
        for k in np.argsort(part.pitch_midi, kind="stable"):
            top[first[k] : last[k]] = part.pitch_midi[k]
        second = np.maximum(second, np.minimum(highest, top))
        who[top > highest] = i
        highest = np.maximum(highest, top)
    steps = np.diff(edges, append=edges[-1:])
    alone = highest > second
    return [float(steps[alone & (who == i) & one].sum()) / STEPS_PER_QUARTER for i, one in enumerate(single)]


def _find_spans(part: Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return at which steps notes begin and end."""
    begin, end = part.start_q, part.start_q + part.duration_q
    return (begin * STEPS_PER_QUARTER).astype(np.int64), np.maximum((end * STEPS_PER_QUARTER).astype(np.int64), 1)


def find_tune(
    score: Score,
    part: int | None = None,
    *,
    meter: tuple[int, int] | None = None,
    upbeat_q: float | None = None,
    most_bars: int | None = None,
) -> Tune:
    """Return the melody of a score in bars.

    Parameters
    ----------
    score : Score
        Where bars begin is taken from the score, or from its meter if it does not tell.
    part : int or None
        Which part, from 0 on; :func:`find_melody` chooses when not given.
    meter : tuple of int or None
        Numerator and denominator, in place of what the score says.
    upbeat_q : float or None
        Quarter notes before the first whole bar. When not given, as the score says; if it does not say, and begins with
        a note, :func:`ottava.symbolic.upbeat.find_upbeat` does.
    most_bars : int or None
        Of a longer tune nothing is worked out.

    Returns
    -------
    Tune
        In the meter that holds longest. Where the score has an upbeat, the first bar is that, with rests before it.
        Bars of another length, or mostly off the grid, stand in their places, with the reason why they do not count;
        what begins in one beyond the usual length is not in the line.

    Raises
    ------
    ottava.errors.InputError
        If there is no melody, the bars of its meter have no whole number of sixteenth notes, none of them can be read,
        or there are too many.
    ottava.errors.UsageError
        If there is no such part.
    """
    if part is None:
        part, why = find_melody(score)
    elif 0 <= part < len(score):
        why = "as asked for"
    else:
        raise UsageError(f"there is no part {part + 1}", found=f"{len(score)} parts")
    chosen = score.parts[part]
    sounding = chosen.duration_q > 0  # grace notes have no place on a grid
    start_q, pitch = chosen.start_q[sounding], chosen.pitch_midi[sounding]
    end_q = start_q + chosen.duration_q[sounding]
    if not len(start_q):
        raise InputError("has no melody", found="only grace notes", expected="notes that last")
    told = meter is None
    if meter is not None:
        score = replace(score, meters=((0.0, *meter),), bars_q=(), upbeat_q=0.0)
    meter, steps = _main_meter(score, float(end_q.max(initial=0)))
    if told and steps <= _NO_BAR:
        # Some programs write bars of one beat where they know no meter.
        told, meter, steps = False, DEFAULT_METER, 16
        score = replace(score, meters=((0.0, *meter),), bars_q=(), upbeat_q=0.0)
    last_q = float(end_q.max(initial=0))
    if most_bars is not None and last_q * STEPS_PER_QUARTER > most_bars * steps:
        found = f"{math.ceil(last_q * STEPS_PER_QUARTER / steps)} bars"
        raise InputError("is too long", found=found, expected=f"at most {most_bars}")
    late_q = _find_lateness(start_q)
    start_q, end_q = start_q - late_q, end_q - late_q
    if upbeat_q is None and not score.bars_q and not score.upbeat_q:
        upbeat_q = _hear_upbeat(score, snap(start_q, end_q, pitch), steps, meter, told)
    if upbeat_q is not None:
        if not 0 <= upbeat_q < steps / STEPS_PER_QUARTER:
            most = _words(steps / STEPS_PER_QUARTER)
            raise UsageError(f"an upbeat of {upbeat_q} quarter notes", expected=f"0 or more, less than {most}")
        score = replace(score, upbeat_q=upbeat_q, bars_q=())
    begins, lengths = _find_bars(score, float(end_q.max(initial=0)), steps / STEPS_PER_QUARTER)
    edges = np.append(begins, begins[-1:] + lengths[-1:])
    heard_upbeat = upbeat_q if not score.bars_q and upbeat_q else 0.0

    def place(at_q: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return positions in steps, and which of them are beyond the usual length; these are cut to it."""
        bar = np.clip(np.searchsorted(edges, at_q + 1e-6, side="right") - 1, 0, len(begins) - 1)
        within = (at_q - begins[bar]) * STEPS_PER_QUARTER
        # What is about to begin the next bar belongs there.
        beyond = (within >= steps - 0.5) & (within < lengths[bar] * STEPS_PER_QUARTER - 0.5)
        return np.asarray(bar * steps + np.minimum(within, steps), np.float64), beyond

    (at, beyond), (end, _) = place(start_q), place(end_q)
    note_steps = np.full(len(chosen), -1, np.int64)
    note_steps[sounding] = np.where(beyond, -1, np.rint(at))
    at, end, pitch = at[~beyond], end[~beyond], pitch[~beyond]
    off = np.abs(at - np.rint(at)) > _OFF_GRID
    line: Line = snap(at / STEPS_PER_QUARTER, end / STEPS_PER_QUARTER, pitch)
    left_out = len(at) - len(line.start) + _count_cut(np.rint(at), np.rint(end))
    inside = line.start < len(begins) * steps
    line = Line(line.start[inside], np.minimum(line.end[inside], len(begins) * steps), line.pitch_midi[inside])
    bar = np.minimum(at // steps, len(begins) - 1).astype(int)
    loose = np.bincount(bar, off, len(begins)) > 0.5 * np.bincount(bar, minlength=len(begins))
    refused = tuple(
        f"{_words(length)} quarter notes long, not {_words(steps / STEPS_PER_QUARTER)}"
        if abs(length * STEPS_PER_QUARTER - steps) > 1e-3
        else "most notes lie off the grid of sixteenths"
        if is_loose
        else ""
        for length, is_loose in zip(lengths, loose, strict=True)
    )
    if all(reason for reason, count in zip(refused, np.bincount(bar, minlength=len(begins)), strict=True) if count):
        raise InputError("has no bar that could be read", found=next(reason for reason in refused if reason))
    moved = float(off.mean()) if len(off) else 0.0
    return Tune(
        to_bars(line, steps, len(begins)),
        meter,
        part,
        why,
        edges + late_q,
        refused,
        moved,
        note_steps,
        left_out,
        heard_upbeat,
        told,
    )


def _count_cut(start: NDArray[np.float64], end: NDArray[np.float64]) -> int:
    """Return how many of the distinct beginnings have a note that goes on beyond the next."""
    begins, which = np.unique(start, return_inverse=True)
    last = np.zeros(len(begins))
    np.maximum.at(last, which, end)
    return int((last[:-1] > begins[1:]).sum())


def _find_lateness(start_q: NDArray[np.float64]) -> float:
    """Return by how much all notes lie behind the grid, in quarter notes; 0 unless they agree."""
    if not len(start_q):
        return 0.0
    turn = np.exp(2j * np.pi * STEPS_PER_QUARTER * start_q).mean()
    late = float(np.angle(turn) / (2 * np.pi))
    return late / STEPS_PER_QUARTER if np.abs(turn) > _AGREED and abs(late) > _OFF_GRID / 2 else 0.0


def _hear_upbeat(score: Score, line: Line, steps: int, meter: tuple[int, int], told: bool) -> float | None:
    """Return the upbeat of a score that does not tell; one that changes its meter, or begins with a rest, has none."""
    if not len(line.start) or (told and (len(score.meters) > 1 or line.start[0] > 0)):
        return None
    return find_upbeat(line, steps, meter, bars_told=told) / STEPS_PER_QUARTER


def _words(quarters: float) -> str:
    return f"{quarters:.3f}".rstrip("0").rstrip(".")


def _main_meter(score: Score, end_q: float) -> tuple[tuple[int, int], int]:
    """Return the meter that holds longest, and the steps to its bars."""
    held: dict[tuple[int, int], float] = {}
    ends = [at for at, _, _ in score.meters[1:]] + [max(end_q, score.meters[-1][0] + 1)]
    for (begin, beats, unit), end in zip(score.meters, ends, strict=True):
        held[beats, unit] = held.get((beats, unit), 0.0) + end - begin
    beats, unit = max(held, key=lambda meter: held[meter])
    steps = beats * 4 * STEPS_PER_QUARTER / unit if unit else 0.0
    if not 1 <= steps <= _MOST_STEPS or steps != int(steps):
        raise InputError(
            "has bars that do not fit a grid", found=f"{beats}/{unit}", expected="a whole number of sixteenth notes"
        )
    return (beats, unit), int(steps)


def _find_bars(score: Score, end_q: float, usual_q: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where bars begin and how long they are, in quarter notes, as many as hold notes."""
    written = _written_bars(score) or _metric_bars(score, end_q)
    bars: list[tuple[float, float]] = []
    for begin, length in written:
        if length <= 1e-6:
            continue
        if bars and abs(bars[-1][1] + length - usual_q) < 1e-6:
            bars[-1] = (bars[-1][0], usual_q)  # a bar with a repeat sign inside, or an upbeat after a short bar
        else:
            bars.append((begin, length))
    if bars and bars[0][1] < usual_q - 1e-6:
        bars[0] = (bars[0][0] + bars[0][1] - usual_q, usual_q)
    if len(bars) > 1 and bars[-1][1] < usual_q - 1e-6:
        bars[-1] = (bars[-1][0], usual_q)
    begins, lengths = np.array(bars or [(0.0, usual_q)]).T
    count = max(int(np.searchsorted(begins, end_q - 1e-6)), 1)
    return begins[:count], lengths[:count]


def _written_bars(score: Score) -> list[tuple[float, float]]:
    return [(begin, end - begin) for begin, end in itertools.pairwise(score.bars_q)]


def _metric_bars(score: Score, end_q: float) -> list[tuple[float, float]]:
    bars = [(0.0, score.upbeat_q)] if score.upbeat_q else []
    stops = [at for at, _, _ in score.meters[1:]] + [max(end_q, score.meters[-1][0] + 1e-3)]
    for (begin, beats, unit), stop in zip(score.meters, stops, strict=True):
        length = 4 * beats / unit if beats and unit else 4.0
        at = max(begin, score.upbeat_q)
        # One that begins after the last note is enough, however far the marks go on.
        while at < stop - 1e-6 and not (bars and bars[-1][0] >= end_q):
            is_last = stop == stops[-1]
            bars.append((at, length if is_last else min(length, stop - at)))
            at += length
    return bars
