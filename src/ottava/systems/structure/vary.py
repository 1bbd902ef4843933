"""The verb ``vary``: some bars of a tune are changed, and what is made of them changes with them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava import __version__
from ottava.errors import InputError, UsageError
from ottava.results import Labels, MidiFile, Result
from ottava.runtime.each import run_each
from ottava.symbolic.bars import HOLD, ONSET, REST
from ottava.systems.structure.change import Varied, change, check_steps, draw_bars, interpolate
from ottava.systems.structure.form import name_bars
from ottava.systems.structure.lines import split_bars
from ottava.systems.structure.rewrite import write_tune
from ottava.systems.structure.run import (
    MOST_BARS,
    Melody,
    StructureModel,
    describe,
    find_line,
    find_notes,
    lean,
    name_source,
    remarks,
)

__all__ = ["parse_notes", "vary"]

_PITCH = re.compile(r"([A-Ga-g])([#b]*)(-?\d+)")
_SEMITONES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}


def parse_notes(text: Sequence[str], steps: int) -> NDArray[np.int16]:
    """Return the symbols of one bar from words like ``C5:4``: a pitch or ``r``, and its length in steps.

    Parameters
    ----------
    text : sequence of str
        Pitches by name (C4 is middle C, 60) or MIDI number; ``r`` rests.
    steps : int
        Steps to the bar, which the notes have to fill.

    Raises
    ------
    ottava.errors.UsageError
        If a word cannot be read, or they are longer or shorter than the bar.
    """
    symbols: list[int] = []
    for word in text:
        name, _, length = word.strip().partition(":")
        if not length.isdigit() or not 0 < int(length) <= steps:
            raise UsageError(f"note {word!r} is unreadable", expected="PITCH:STEPS, like C5:4")
        if name.lower() == "r":
            symbols += [REST] * int(length)
        else:
            symbols += [_pitch(name, word) + ONSET] + [HOLD] * (int(length) - 1)
    if len(symbols) != steps:
        raise UsageError("the notes do not fill the bar", found=f"{len(symbols)} steps", expected=f"{steps}")
    return np.array(symbols, np.int16)


def _pitch(name: str, word: str) -> int:
    found = _PITCH.fullmatch(name)
    if found:
        letter, accidentals, octave = found.groups()
        pitch = _SEMITONES[letter.lower()] + accidentals.count("#") - accidentals.count("b") + 12 * (int(octave) + 1)
    else:
        pitch = int(name) if name.isdigit() else -1
    if not 0 <= pitch <= 127:
        raise UsageError(f"note {word!r} is unreadable", expected="a pitch from C-1 to G9, or 0 to 127")
    return pitch


def _parse_range(text: str, n_bars: int, what: str) -> list[int]:
    """Read ``3`` or ``3-6``; places from 0 on."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if not found:
        raise UsageError(f"{what} {text!r} is unreadable", expected="a number, or two with a dash: 3 or 3-6")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= n_bars:
        raise UsageError(f"{what} {text} is not in the tune", expected=f"1 to {n_bars}")
    return list(range(first - 1, last))


class _Vary:
    """One call of the verb, for one model."""

    def __init__(self, model: StructureModel) -> None:
        self.model = model

    def __call__(
        self,
        source: Any,
        *,
        bar: str = "1",
        from_: str | None = None,
        notes: Sequence[str] | None = None,
        seed: int | None = None,
        toward: str | os.PathLike[str] | None = None,
        amount: float = 0.5,
        extend: int = 0,
        part: int | None = None,
        meter: str | None = None,
        upbeat: float | None = None,
    ) -> Result:
        """Change one tune. Parameters, result and errors are those of :func:`vary`."""
        began = time.perf_counter()
        given = [name for name, value in (("from", from_), ("notes", notes), ("toward", toward)) if value is not None]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} exclude each other", expected="one of them")
        if toward is not None and extend:
            raise UsageError("toward and extend exclude each other", expected="one of them")
        if extend < 0:
            raise UsageError(f"extend is {extend}", expected="0 or more")
        melody = find_line(source, part, meter, upbeat)
        steps = melody.tune.symbols.shape[1]
        chosen: list[int] = []
        if toward is not None:
            varied = _whole(interpolate(self.model, melody, find_line(toward), amount))
        elif extend:
            varied = _whole(self._continue(melody, extend, seed or 0))
        else:
            chosen = _parse_range(str(bar), len(melody.tune), "bar")
            if refused := [i for i in chosen if melody.tune.refused[i]]:
                raise InputError(f"bar {refused[0] + 1} does not count", found=melody.tune.refused[refused[0]])
            varied = change(self.model, melody, self._new_bars(melody, chosen, steps, from_, notes, seed or 0))
        settings = {
            "bar": str(bar),
            "from": from_,
            "notes": None if notes is None else list(notes),
            "seed": seed,
            "toward": None if toward is None else os.fspath(toward),
            "amount": amount,
            "extend": extend,
            "part": part,
            "meter": meter,
            "upbeat": upbeat,
        }
        drawn = toward is None and (extend > 0 or (from_ is None and notes is None))
        names = [self.model.model, *([self.model.prior.session.weights.model] if drawn else [])]
        return self._report(source, melody, varied, chosen, began, settings, ", ".join(names))

    def _new_bars(
        self, melody: Melody, chosen: list[int], steps: int, from_: str | None, notes: Sequence[str] | None, seed: int
    ) -> dict[int, NDArray[np.int16]]:
        if notes is not None:
            if len(chosen) > 1:
                raise UsageError("notes are of one bar", found=f"{len(chosen)} bars")
            return {chosen[0]: parse_notes(notes, steps)}
        if from_ is not None:
            path, _, text = from_.rpartition(":")
            if not path:
                raise UsageError(f"from {from_!r} is unreadable", expected="FILE:BAR, like other.mid:5")
            other = find_line(path)
            check_steps(other, steps)
            taken = _parse_range(text, len(other.tune), "bar")
            if len(taken) != len(chosen):
                raise UsageError(
                    "as many bars are needed as are replaced", found=f"{len(taken)}", expected=f"{len(chosen)}"
                )
            return dict(zip(chosen, other.tune.symbols[taken], strict=True))
        drawn = draw_bars(self.model, melody, chosen, len(melody.tune), np.random.default_rng(seed))
        return {at: drawn[at] for at in chosen}

    def _continue(self, melody: Melody, count: int, seed: int) -> NDArray[np.int16]:
        n = len(melody.tune)
        if n + count > MOST_BARS:
            raise UsageError(f"extend is {count}", found=f"{n} bars", expected=f"at most {MOST_BARS} in all")
        return draw_bars(self.model, melody, list(range(n, n + count)), n + count, np.random.default_rng(seed))

    def _report(
        self,
        source: Any,
        melody: Melody,
        varied: Varied,
        chosen: list[int],
        began: float,
        settings: dict[str, Any],
        model: str,
    ) -> Result:
        tune, after = melody.tune, varied.symbols
        edges = tune.edges_q
        if len(after) > len(tune):
            length = edges[-1] - edges[-2]
            edges = np.append(edges, edges[-1] + length * np.arange(1, len(after) - len(tune) + 1))
        new_tune = replace(
            tune,
            symbols=after,
            edges_q=edges[: len(after) + 1],
            refused=(*tune.refused, *[""] * len(after))[: len(after)],
        )
        changed = Melody(melody.score, new_tune, melody.reference, *split_bars(after, melody.reference))
        codes = self.model.encode(changed.rhythm, changed.line)
        written = self.model.decode(codes.mean[None], changed.rhythm[None], changed.line[None])
        found = lean(changed, written["pointer"][0])
        kinds = _kinds(tune.symbols, varied, chosen)
        return Result(
            system="structure",
            model=model,
            source=name_source(source),
            payloads={
                "form": Labels(name_bars(after, found.source.tolist(), new_tune.refused)),
                "bars": describe(changed, codes, found),
                "changes": Labels(kinds),
                "notes": find_notes(changed),
                "midi": MidiFile(np.frombuffer(write_tune(source, melody, after, edges), np.uint8)),
            },
            settings=settings,
            version=__version__,
            duration_s=float(changed.score.seconds(max(float(new_tune.edges_q[-1]), 0.0))),
            elapsed_s=time.perf_counter() - began,
            warnings=(*remarks(melody), *_sentences(varied)),
        )


def _whole(symbols: NDArray[np.int16]) -> Varied:
    """Return what was written without regard to what was there."""
    return Varied(symbols, np.full(len(symbols), -1), (0, 0))


def _kinds(before: NDArray[np.int16], varied: Varied, chosen: list[int]) -> list[str]:
    """Return of each bar whether it is the same, edited, follows, or is new."""
    return [
        "edited" if i in chosen
        else "follows" if varied.source[i] >= 0
        else "same" if i < len(before) and (before[i] == bar).all()
        else "new"
        for i, bar in enumerate(varied.symbols)
    ]  # fmt: skip


def _sentences(varied: Varied) -> tuple[str, ...]:
    said = [f"Bar {i + 1} follows bar {at + 1}." for i, at in enumerate(varied.source) if at >= 0]
    spoilt, steps = varied.elsewhere
    if spoilt:
        said.append(
            f"Elsewhere the network would have changed {spoilt} of {steps} steps ({spoilt / steps:.1%}); they stay."
        )
    return tuple(said)


def vary(
    source: Any,
    *,
    bar: str = "1",
    from_: str | None = None,
    notes: Sequence[str] | None = None,
    seed: int | None = None,
    toward: str | os.PathLike[str] | None = None,
    amount: float = 0.5,
    extend: int = 0,
    part: int | None = None,
    meter: str | None = None,
    upbeat: float | None = None,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Any:
    """Change bars of a tune; what is made of them changes with them.

    The new bars come from another tune, from notes that are written out, or are drawn at random. With the opening bars
    of another tune this is the paper's context transfer: its beginning, developed as this tune develops its own.

    Parameters
    ----------
    source : path-like, Score, or a list of those
        A MIDI, MusicXML or ABC file.
    bar : str
        Which bars to change, from 1 on: 3, or 3-6.
    from_ : str or None
        Take the new bars from another tune: other.mid:5, or other.mid:5-8 for several.
    notes : sequence of str or None
        The new bar's notes, each a pitch and its length in sixteenth notes: C5:4,D5:4,r:8.
    seed : int or None
        Seed of bars that are drawn, where nothing else says what they are; 0 when not given.
    toward : path-like or None
        Another tune: instead of changing bars, go towards it.
    amount : float
        How far, from 0 to 1.
    extend : int
        Instead of changing bars, go on for so many more, drawn at random.
    part : int or None
        Which part has the melody, from 1 on; see :func:`.run.structure`.
    meter : str or None
        Like 3/4, in place of what the file says.
    upbeat : float or None
        Quarter notes before the first whole bar; see :func:`.run.structure`.
    weights : path-like or None
        An exported graph to use in place of the bundled one.
    threads : int or None
        Threads of the network; as many as there are cores, at most 4, when not given.

    Returns
    -------
    Result or iterator of Result
        ``result.midi`` (:class:`ottava.results.MidiFile`) is the new file; ``result.changes`` says of each bar whether
        it is the ``same``, was ``edited``, ``follows`` or is ``new``; ``result.form``, ``result.bars`` and
        ``result.notes`` are of the new tune. For a list, an iterator in its order, in which an error stands in the
        place of a source that could not be used.

    Raises
    ------
    ottava.errors.InputError
        If a source cannot be read or has no melody in bars.
    ottava.errors.UsageError
        If there are no such bars or part, or the options do not go together.
    ottava.errors.MissingError, ottava.errors.ModelError
        If the weights, or the packages that read MusicXML or ABC, are missing or not usable.

    Examples
    --------
    >>> result = ottava.vary("tune.mid", bar="3", from_="other.mid:5")  # doctest: +SKIP
    >>> result.save("varied.mid")  # doctest: +SKIP
    """
    call = _Vary(StructureModel(weights, threads))
    options: dict[str, Any] = {
        "bar": bar, "from_": from_, "notes": notes, "seed": seed, "toward": toward, "amount": amount, "extend": extend,
        "part": part, "meter": meter, "upbeat": upbeat,
    }  # fmt: skip
    if isinstance(source, (list, tuple)):
        return run_each(call, source, options)
    return call(source, **options)
