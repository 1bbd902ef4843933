"""The verb ``vary``: some bars of a tune are changed, and what is made of them changes with them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava import __version__
from ottava.errors import InputError, UsageError
from ottava.results import Labels, MidiFile, Result
from ottava.runtime.each import run_each
from ottava.symbolic.bars import HOLD, ONSET, REST, STEPS_PER_QUARTER
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
_WAYS = ("from", "notes", "toward", "extend")  # where none is given, bars are drawn
_BAR, _AMOUNT = "1", 0.5  # when not given
_MEANINGLESS = {"bar": ("toward", "extend"), "seed": ("from", "notes", "toward")}


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
        if not length.isdecimal() or not 0 < int(length) <= steps:
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
        pitch = int(name) if name.isdecimal() else -1
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


def _check_options(given: set[str]) -> None:
    ways = [name for name in _WAYS if name in given]
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)} exclude each other", expected="one of them")
    for name, others in _MEANINGLESS.items():
        if name in given and (beside := given.intersection(others)):
            raise UsageError(f"{name} means nothing with {min(beside)}", expected="one of them")
    if "amount" in given and "toward" not in given:
        raise UsageError("amount means nothing without toward", expected="both")


def _check_bars(melody: Melody, bars: list[int], path: str | None = None) -> None:
    for i in bars:
        if melody.tune.refused[i]:
            raise InputError(f"bar {i + 1} does not count", path=path, found=melody.tune.refused[i])


def _read_other(path: str | os.PathLike[str]) -> tuple[Melody, tuple[str, ...]]:
    """Return another tune, and what the user should know of how it was read."""
    other = find_line(path)
    return other, tuple(f"{Path(path).name}: {text}" for text in remarks(other))


def _write_bars(melody: Melody, chosen: list[int], notes: Sequence[str]) -> dict[int, NDArray[np.int16]]:
    if len(chosen) > 1:
        raise UsageError("notes are of one bar", found=f"{len(chosen)} bars")
    return {chosen[0]: parse_notes(notes, melody.tune.symbols.shape[1])}


def _take_bars(melody: Melody, chosen: list[int], from_: str) -> tuple[dict[int, NDArray[np.int16]], tuple[str, ...]]:
    """Return bars of another tune, by the places where they go, and what the user should know of it."""
    path, _, text = from_.rpartition(":")
    if not path:
        raise UsageError(f"from {from_!r} is unreadable", expected="FILE:BAR, like other.mid:5")
    other, said = _read_other(path)
    check_steps(other, melody.tune.symbols.shape[1])
    taken = _parse_range(text, len(other.tune), "bar")
    _check_bars(other, taken, path)
    if len(taken) != len(chosen):
        raise UsageError("as many bars are needed as are replaced", found=f"{len(taken)}", expected=f"{len(chosen)}")
    return dict(zip(chosen, other.tune.symbols[taken], strict=True)), said


class _Vary:
    """One call of the verb, for one model."""

    def __init__(self, model: StructureModel) -> None:
        self.model = model

    def __call__(
        self,
        source: Any,
        *,
        bar: str | None = None,
        from_: str | None = None,
        notes: Sequence[str] | None = None,
        seed: int | None = None,
        toward: str | os.PathLike[str] | None = None,
        amount: float | None = None,
        extend: int = 0,
        part: int | None = None,
        meter: str | None = None,
        upbeat: float | None = None,
    ) -> Result:
        """Change one tune. Parameters, result and errors are those of :func:`vary`."""
        began = time.perf_counter()
        if extend < 0:
            raise UsageError(f"extend is {extend}", expected="0 or more")
        settings: dict[str, Any] = {
            "bar": None if bar is None else str(bar),
            "from": from_,
            "notes": None if notes is None else list(notes),
            "seed": seed,
            "toward": None if toward is None else os.fspath(toward),
            "amount": amount,
            "extend": extend or None,
        }
        _check_options({name for name, value in settings.items() if value is not None})
        melody = find_line(source, part, meter, upbeat)
        chosen: list[int] = []
        said: tuple[str, ...] = ()
        rng = np.random.default_rng(seed or 0)
        if toward is not None:
            settings["amount"] = _AMOUNT if amount is None else amount
            other, said = _read_other(toward)
            varied = _whole(self._go_toward(melody, other, settings["amount"]))
        elif extend:
            varied = _whole(self._continue(melody, extend, rng))
        else:
            settings["bar"] = _BAR if bar is None else str(bar)
            chosen = _parse_range(settings["bar"], len(melody.tune), "bar")
            _check_bars(melody, chosen)
            if notes is not None:
                new = _write_bars(melody, chosen, notes)
            elif from_ is not None:
                new, said = _take_bars(melody, chosen, from_)
            else:
                drawn = draw_bars(self.model, melody, chosen, len(melody.tune), rng)
                new = {at: drawn[at] for at in chosen}
            varied = change(self.model, melody, new)
        names = [self.model.model]
        if not {"from", "notes", "toward"} & {name for name, value in settings.items() if value is not None}:
            names.append(self.model.prior.session.weights.model)
        settings |= {"extend": extend, "part": part, "meter": meter, "upbeat": upbeat}
        return self._report(source, melody, varied, chosen, said, began, settings, ", ".join(names))

    def _go_toward(self, melody: Melody, other: Melody, amount: float) -> NDArray[np.int16]:
        between = interpolate(self.model, melody, other, amount)
        # Bars that do not count, in either, have no code to go from, or to.
        counts = [not (mine or theirs) for mine, theirs in zip(melody.tune.refused, other.tune.refused, strict=False)]
        return np.where(np.array(counts)[:, None], between, melody.tune.symbols[: len(between)])

    def _continue(self, melody: Melody, count: int, rng: np.random.Generator) -> NDArray[np.int16]:
        n = len(melody.tune)
        if n + count > MOST_BARS:
            raise UsageError(f"extend is {count}", found=f"{n} bars", expected=f"at most {MOST_BARS} in all")
        return draw_bars(self.model, melody, list(range(n, n + count)), n + count, rng)

    def _report(
        self,
        source: Any,
        melody: Melody,
        varied: Varied,
        chosen: list[int],
        said: tuple[str, ...],
        began: float,
        settings: dict[str, Any],
        model: str,
    ) -> Result:
        tune, after = melody.tune, varied.symbols
        edges = tune.edges_q
        if len(after) > len(tune):
            length = after.shape[1] / STEPS_PER_QUARTER
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
                "midi": MidiFile(np.frombuffer(write_tune(source, melody, new_tune), np.uint8)),
            },
            settings=settings,
            version=__version__,
            duration_s=float(changed.score.seconds(max(float(new_tune.edges_q[-1]), 0.0))),
            elapsed_s=time.perf_counter() - began,
            warnings=(*remarks(melody), *said, *_sentences(varied)),
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
    bar: str | None = None,
    from_: str | None = None,
    notes: Sequence[str] | None = None,
    seed: int | None = None,
    toward: str | os.PathLike[str] | None = None,
    amount: float | None = None,
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
    bar : str or None
        Which bars to change, from 1 on: 3, or 3-6; the first when not given.
    from_ : str or None
        Take the new bars from another tune: other.mid:5, or other.mid:5-8 for several.
    notes : sequence of str or None
        The new bar's notes, each a pitch and its length in sixteenth notes: C5:4,D5:4,r:8.
    seed : int or None
        Seed of bars that are drawn, where nothing else says what they are; 0 when not given.
    toward : path-like or None
        Another tune: instead of changing bars, go towards it. Bars that do not count, in either, stay as they are.
    amount : float or None
        How far to go toward the other tune, from 0 to 1; 0.5 when not given.
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
        ``result.midi`` (:class:`ottava.results.MidiFile`) is the new file: of MIDI, the old one with other notes in the
        melody; of MusicXML and ABC, one that is written anew from the notes, without lyrics and grace notes.
        ``result.changes`` says of each bar whether it is the ``same``, was ``edited``, ``follows`` or is ``new``;
        ``result.form``, ``result.bars`` and ``result.notes`` are of the new tune. For a list, an iterator in its order,
        in which an error stands in the place of a source that could not be used.

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
