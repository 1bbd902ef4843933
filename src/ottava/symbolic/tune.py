"""The melody of a score, on a grid of bars: which part it is, and where its bars begin."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ottava.errors import InputError, UsageError
from ottava.symbolic.bars import STEPS_PER_QUARTER, Line, snap, to_bars
from ottava.symbolic.score import Part, Score

__all__ = ["Tune", "find_melody", "find_tune"]

_MELODY = re.compile(r"melod(y|ie|ia)|tune|lead|solo|cantus|cantabile")
_MOST_STEPS = 64


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
    start_q : float
        Where the first bar begins, in quarter notes of the score: below 0 if it is an upbeat.
    moved : float
        Share of notes that begin off the grid by more than a fifth of a step.
    """

    symbols: NDArray[np.int16]
    meter: tuple[int, int]
    part: int
    why: str
    start_q: float
    moved: float

    def __len__(self) -> int:
        return len(self.symbols)


def find_melody(score: Score) -> tuple[int, str]:
    """Return which part of a score has the melody, and why, in words.

    A part that is named as one, else one that sings, else the one that most often has the highest note and seldom more
    than one at a time.

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
    for words, test in (("is named as the melody", _names_melody), ("sings", lambda part: part.sings)):
        chosen = [i for i in pitched if test(score.parts[i])]
        if chosen:
            best = max(chosen, key=lambda i: len(score.parts[i]))
            return best, f"{_label(score, best)} {words}"
    shares = {i: _leads(score, i, pitched) for i in pitched}
    best = max(pitched, key=lambda i: shares[i])
    return best, f"{_label(score, best)} has the highest single notes most of the time"


def _names_melody(part: Part) -> bool:
    return bool(_MELODY.search(part.name.casefold()))


def _label(score: Score, index: int) -> str:
    return f"part {index + 1}" + (f" ({score.parts[index].name})" if score.parts[index].name else "")


def _leads(score: Score, index: int, others: list[int]) -> float:
    """Return for how much of the music, in quarter notes, a part alone has the highest note, and just one."""
    n_steps = int(max((part.start_q + part.duration_q).max() for part in score) * STEPS_PER_QUARTER) + 1
    top = np.zeros(n_steps, np.int16)
    mine, voices = np.zeros(n_steps, np.int16), np.zeros(n_steps, np.int16)
    for i in others:
        part = score.parts[i]
        for start, length, pitch in zip(part.start_q, part.duration_q, part.pitch_midi, strict=True):
            span = slice(int(start * STEPS_PER_QUARTER), max(int((start + length) * STEPS_PER_QUARTER), 1))
            held = mine if i == index else top
            held[span] = np.maximum(held[span], pitch)
            if i == index:
                voices[span] += 1
    return float(((mine > top) & (voices == 1)).sum()) / STEPS_PER_QUARTER


def find_tune(score: Score, part: int | None = None) -> Tune:
    """Return the melody of a score in bars.

    Parameters
    ----------
    score : Score
        Of one meter.
    part : int or None
        Which part, from 0 on; :func:`find_melody` chooses when not given.

    Returns
    -------
    Tune
        Where the score has an upbeat, the first bar is that, with rests before it.

    Raises
    ------
    ottava.errors.InputError
        If there is no melody, the meter changes, or its bars have no whole number of sixteenth notes.
    ottava.errors.UsageError
        If there is no such part.
    """
    if part is None:
        part, why = find_melody(score)
    elif 0 <= part < len(score):
        why = "as asked for"
    else:
        raise UsageError(f"there is no part {part + 1}", found=f"{len(score)} parts")
    meter, steps = _one_meter(score)
    chosen = score.parts[part]
    sounding = chosen.duration_q > 0  # grace notes have no place on a grid
    start_q, pitch = chosen.start_q[sounding], chosen.pitch_midi[sounding]
    end_q = start_q + chosen.duration_q[sounding]
    first_q = score.upbeat_q - steps / STEPS_PER_QUARTER if score.upbeat_q else 0.0
    at = (start_q - first_q) * STEPS_PER_QUARTER
    moved = float((np.abs(at - np.rint(at)) > 0.2).mean()) if len(at) else 0.0
    line: Line = snap(start_q - first_q, end_q - first_q, pitch)
    return Tune(to_bars(line, steps), meter, part, why, first_q, moved)


def _one_meter(score: Score) -> tuple[tuple[int, int], int]:
    """Return the meter and the steps to its bars."""
    meters = {(beats, unit) for _, beats, unit in score.meters}
    if len(meters) > 1:
        found = ", ".join(f"{beats}/{unit}" for _, beats, unit in score.meters[:4])
        raise InputError("changes its meter", found=found, expected="one meter throughout")
    ((beats, unit),) = meters
    steps = beats * 4 * STEPS_PER_QUARTER / unit if unit else 0.0
    if not 1 <= steps <= _MOST_STEPS or steps != int(steps):
        raise InputError(
            "has bars that do not fit a grid", found=f"{beats}/{unit}", expected="a whole number of sixteenth notes"
        )
    return (beats, unit), int(steps)
