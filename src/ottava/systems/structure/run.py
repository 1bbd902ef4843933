"""The verb ``structure``, and the warm model behind it and behind ``vary``."""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ottava import __version__
from ottava.errors import InputError, UsageError
from ottava.results import Bars, Curves, Labels, Notes, Payload, Result
from ottava.runtime.each import run_each
from ottava.runtime.session import Session
from ottava.runtime.weights import find_weights
from ottava.spec import find_spec
from ottava.symbolic.bars import from_bars
from ottava.symbolic.score import Score, read_score
from ottava.symbolic.tune import Tune, find_tune
from ottava.systems.structure.form import name_bars, name_relation
from ottava.systems.structure.lines import REACH, STEPS, find_reference, split_bars
from ottava.systems.structure.prior.draw import Prior

__all__ = [
    "MOST_BARS", "Codes", "Leans", "Melody", "StructureModel",
    "describe", "find_line", "find_notes", "lean", "name_source", "remarks", "structure",
]  # fmt: skip

MOST_BARS = 1000
"""Longest tune, in bars: attention compares each bar with every other."""
LEARNED_STEPS = (8, 12, 16)
"""Steps to the bar of the tunes that the network has learned from."""


class Melody(NamedTuple):
    """A tune, and what the network reads of it.

    Parameters
    ----------
    score : Score
        Where it stands.
    tune : Tune
        In bars.
    reference : int
        MIDI pitch from which pitches are counted.
    rhythm, line : ndarray of int64, shape (bars, STEPS)
        See :mod:`.lines`.
    """

    score: Score
    tune: Tune
    reference: int
    rhythm: NDArray[np.int64]
    line: NDArray[np.int64]


class Codes(NamedTuple):
    """What the encoder says of each bar.

    Parameters
    ----------
    mean, log_variance : ndarray of float32, shape (bars, code)
        Of each bar's Gaussian code.
    attention : ndarray of float32, shape (bars, heads, bars)
        How much each head, of all layers, looks from each bar at each.
    """

    mean: NDArray[np.float32]
    log_variance: NDArray[np.float32]
    attention: NDArray[np.float32]

    @property
    def nats(self) -> NDArray[np.float32]:
        """What each code stores beyond the prior, in nats."""
        spread = self.mean**2 + np.exp(self.log_variance) - self.log_variance - 1
        return np.asarray(0.5 * spread.sum(1), np.float32)


class StructureModel:
    """The structure model, loaded once for many tunes.

    Parameters
    ----------
    weights : path-like or None
        An exported graph to use in place of the bundled one.
    threads : int or None
        Threads of the network; as many as there are cores, at most 4, when not given.

    Raises
    ------
    ottava.errors.MissingError, ottava.errors.ModelError
        If the weights are missing or not usable.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None, threads: int | None = None) -> None:
        spec = find_spec("structure")
        self.session = Session(find_weights(spec, weights), spec, threads)

    @cached_property
    def prior(self) -> Prior:
        """The prior over codes; loaded when bars are first drawn."""
        return Prior(threads=1)

    @property
    def model(self) -> str:
        """Name of the model, with the beginning of its checksum."""
        return self.session.weights.model

    def encode(self, rhythm: NDArray[np.int64], line: NDArray[np.int64]) -> Codes:
        """Return the codes of a tune's bars, each of which sees only those before it.

        Parameters
        ----------
        rhythm, line : ndarray of int64, shape (bars, STEPS)
            From :func:`.lines.split_bars`.
        """
        found = self.session.run_part({"rhythm": rhythm[None], "line": line[None]})
        return Codes(found["mean"][0], found["log_variance"][0], found["attention"][0])

    def decode(
        self, codes: NDArray[np.float32], rhythm: NDArray[np.int64], line: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        """Return what is written of each bar, given its code and the bars before it, as :mod:`.decode` reads it.

        Parameters
        ----------
        codes : ndarray of float32, shape (1, bars, code)
            Codes.
        rhythm, line : ndarray of int64, shape (1, bars, STEPS)
            The bars.
        """
        found = self.session.run_part({"codes": codes, "past_rhythm": rhythm, "past_line": line})
        names = {"rhythm": "new_rhythm", "line": "new_line"}
        return {name: found[names.get(name, name)] for name in ("rhythm", "line", "copies", "offset", "pointer")}

    def __call__(
        self,
        source: Any,
        *,
        part: int | None = None,
        meter: str | None = None,
        upbeat: float | None = None,
        attention: bool = False,
    ) -> Result:
        """Analyse one source. Parameters, result and errors are those of :func:`structure`."""
        began = time.perf_counter()
        melody = find_line(source, part, meter, upbeat)
        tune = melody.tune
        codes = self.encode(melody.rhythm, melody.line)
        written = self.decode(codes.mean[None], melody.rhythm[None], melody.line[None])
        leans = lean(melody, written["pointer"][0])
        bars = describe(melody, codes, leans)
        payloads: dict[str, Payload] = {
            "form": Labels(name_bars(tune.symbols, leans.source.tolist(), tune.refused)),
            "bars": bars,
            "notes": find_notes(melody),
        }
        if attention:
            pointer = written["pointer"][0][:, 1:]
            payloads["curves"] = Curves(bars.start_s, {"leans": pointer, "attention": codes.attention})
        return Result(
            system="structure",
            model=self.model,
            source=name_source(source),
            payloads=payloads,
            settings={"part": part, "meter": meter, "upbeat": upbeat, "attention": attention},
            version=__version__,
            duration_s=float(bars.end_s[-1]),
            elapsed_s=time.perf_counter() - began,
            warnings=remarks(melody),
        )


class Leans(NamedTuple):
    """Of each bar, which earlier one it is made of.

    Parameters
    ----------
    source : ndarray of int64, shape (bars,)
        Its place, from 0 on; -1 if there is none.
    relation : list of str
        One of :data:`ottava.results.RELATIONS`.
    offset : ndarray of int64, shape (bars,)
        Semitones from its first note to the bar's.
    confidence : ndarray of float64, shape (bars,)
        Probability that the decoder points there, or at none.
    """

    source: NDArray[np.int64]
    relation: list[str]
    offset: NDArray[np.int64]
    confidence: NDArray[np.float64]


def lean(melody: Melody, pointer: NDArray[np.float32]) -> Leans:
    """Return which earlier bar each is made of, from where the decoder points.

    A bar that equals an earlier one is made of the nearest such, whatever the decoder says; the confidence is how much
    of it points at any of them.

    Parameters
    ----------
    melody : Melody
        The tune.
    pointer : ndarray of float32, shape (bars, bars + 1)
        See :class:`.train.network.Written`.
    """
    n = len(melody.tune)
    source, offset = np.full(n, -1), np.zeros(n, np.int64)
    relation, confidence = [""] * n, np.ones(n)
    symbols = melody.tune.symbols
    sounding = (melody.line > 0).any(1) & np.array([reason == "" for reason in melody.tune.refused])
    for i in np.flatnonzero(sounding):
        equal = np.flatnonzero(sounding[:i] & (symbols[:i] == symbols[i]).all(1))
        at = int(equal[-1]) if len(equal) else int(pointer[i].argmax()) - 1
        if at < 0 or not sounding[at]:
            confidence[i] = float(pointer[i, 0])
            continue
        source[i], confidence[i] = at, float(pointer[i, (equal if len(equal) else at) + 1].sum())
        relation[i], offset[i] = name_relation(melody.rhythm, melody.line, int(i), at)
    return Leans(source, relation, offset, np.clip(confidence, 0, 1))


def find_line(source: Any, part: int | None = None, meter: str | None = None, upbeat: float | None = None) -> Melody:
    """Return the melody of a source, ready for the network.

    Parameters
    ----------
    source : path-like or Score
        See :func:`ottava.symbolic.score.read_score`.
    part : int or None
        Which part has it, from 1 on; :func:`ottava.symbolic.tune.find_melody` chooses when not given.
    meter : str or None
        Like ``"3/4"``, in place of what the source says.
    upbeat : float or None
        Quarter notes before the first whole bar; see :func:`ottava.symbolic.tune.find_tune`.

    Raises
    ------
    ottava.errors.InputError
        If it cannot be read, has no melody, bars of more than 16 steps, or more than :data:`MOST_BARS` bars.
    ottava.errors.UsageError
        If there is no such part.
    """
    if part is not None and part < 1:
        raise UsageError(f"there is no part {part}", expected="1 or more")
    score = source if isinstance(source, Score) else read_score(source)
    path = None if isinstance(source, Score) else source
    try:
        tune = find_tune(
            score,
            None if part is None else part - 1,
            meter=None if meter is None else _parse_meter(meter),
            upbeat_q=upbeat,
            most_bars=MOST_BARS,
        )
    except InputError as error:
        raise InputError(error.message, path=path, found=error.found, expected=error.expected) from error
    if tune.symbols.shape[1] > STEPS:
        raise InputError(
            "has bars that are too long",
            path=path,
            found=f"{tune.meter[0]}/{tune.meter[1]}",
            expected=f"bars of at most {STEPS} sixteenth notes",
        )
    reference = find_reference(tune.symbols)
    return Melody(score, tune, reference, *split_bars(tune.symbols, reference))


def _parse_meter(text: str) -> tuple[int, int]:
    beats, _, unit = text.partition("/")
    if not (beats.isdecimal() and unit.isdecimal() and int(beats) and int(unit)):
        raise UsageError(f"meter {text!r} is unreadable", expected="like 3/4")
    return int(beats), int(unit)


def remarks(melody: Melody) -> tuple[str, ...]:
    """Return what the user should know of how a melody was read."""
    tune = melody.tune
    said = [f"The melody: {tune.why}."] if len(melody.score) > 1 else []
    if not tune.meter_told:
        said.append(f"The bars are not the file's own: {tune.meter[0]}/{tune.meter[1]} is assumed.")
    if tune.guessed_upbeat_q:
        said.append(f"Bars are taken to begin after an upbeat of {tune.guessed_upbeat_q:g} quarter notes.")
    refused = [f"{i + 1} ({reason})" for i, reason in enumerate(tune.refused) if reason]
    if refused:
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        said.append(f"Bars that do not count: {', '.join(refused[:5])}{more}.")
    if tune.symbols.shape[1] not in LEARNED_STEPS:
        said.append(f"The network has not learned bars of {tune.meter[0]}/{tune.meter[1]}.")
    if melody.score.lost:
        said.append(f"{melody.score.lost} notes begin and never end, and were left out.")
    if tune.left_out:
        said.append(f"{tune.left_out} notes sound together with others, and were left out or cut.")
    if tune.moved > 0.05:
        said.append(f"{tune.moved:.0%} of the notes were moved to the grid of sixteenth notes.")
    far = np.abs(from_bars(tune.symbols).pitch_midi - melody.reference) > REACH
    if far.any():
        said.append(f"{int(far.sum())} notes lie out of the network's reach, {REACH} semitones from the median.")
    return tuple(said)


def describe(melody: Melody, codes: Codes, leans: Leans) -> Bars:
    """Return what was found of each bar."""
    start_s, end_s = _seconds(melody.score, melody.tune.edges_q)
    nats = np.where([reason != "" for reason in melody.tune.refused], 0, codes.nats)
    return Bars(
        start_s, end_s, nats, leans.source + 1, leans.relation, leans.offset, leans.confidence, melody.tune.refused
    )


def _seconds(score: Score, edges_q: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first = 60 / score.tempos[0][1]
    at = np.where(edges_q < 0, edges_q * first, score.seconds(np.maximum(edges_q, 0)))
    return at[:-1], at[1:]


def find_notes(melody: Melody) -> Notes:
    """Return the melody as it was read: its notes on the grid, in seconds."""
    tune, (start, end, pitch) = melody.tune, from_bars(melody.tune.symbols)
    start_s, end_s = (melody.score.seconds(np.maximum(tune.quarters(at), 0)) for at in (start, end))
    part = melody.score.parts[tune.part]
    instrument = part.instrument or "keys"
    kept = end_s > start_s
    n = int(kept.sum())
    return Notes(start_s[kept], end_s[kept], pitch[kept], np.full(n, 80), np.ones(n), np.full(n, instrument))


def name_source(source: Any) -> str:
    """Return what a result calls its source."""
    return "a score" if isinstance(source, Score) else os.fspath(source)


def structure(
    source: Any,
    *,
    part: int | None = None,
    meter: str | None = None,
    upbeat: float | None = None,
    attention: bool = False,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Any:
    """Tell what each bar of a tune says that is new, and which earlier bar it is made of.

    Parameters
    ----------
    source : path-like, Score, or a list of those
        A MIDI, MusicXML or ABC file.
    part : int or None
        Which part has the melody, from 1 on. When not given, the part that is named as one, else one that sings, else
        the one that most often has the highest note.
    meter : str or None
        Like 3/4, in place of what the file says. Files whose bars are of one beat know no meter: they are read as 4/4.
    upbeat : float or None
        Quarter notes before the first whole bar. When not given, as the file says; MIDI files do not, and if one begins
        with a note, it is guessed from how notes then lie in the bars.
    attention : bool
        Also return where the network looks, as ``result.curves``.
    weights : path-like or None
        An exported graph to use in place of the bundled one.
    threads : int or None
        Threads of the network; as many as there are cores, at most 4, when not given.

    Returns
    -------
    Result or iterator of Result
        ``result.form`` (:class:`ottava.results.Labels`) has a letter for each bar, ``result.bars``
        (:class:`ottava.results.Bars`) what it is made of, ``result.notes`` the melody as it was read. For a list, an
        iterator in its order, in which an error stands in the place of a source that could not be used.

    Raises
    ------
    ottava.errors.InputError
        If the source cannot be read or has no melody in bars.
    ottava.errors.UsageError
        If there is no such part.
    ottava.errors.MissingError, ottava.errors.ModelError
        If the weights, or the packages that read MusicXML or ABC, are missing or not usable.

    Examples
    --------
    >>> result = ottava.structure("tune.mid")  # doctest: +SKIP
    >>> print(*result.form.label)  # doctest: +SKIP
    A B A' C A B A' C
    """
    model = StructureModel(weights, threads)
    options: dict[str, Any] = {"part": part, "meter": meter, "upbeat": upbeat, "attention": attention}
    if isinstance(source, (list, tuple)):
        return run_each(model, source, options)
    return model(source, **options)
