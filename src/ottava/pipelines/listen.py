"""``listen``: one call from a recording to a MIDI file and a page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from ottava.errors import OttavaError
from ottava.io.files import check_output
from ottava.results import Result
from ottava.systems.transcription.run import transcribe

__all__ = ["listen"]

_SUFFIXES = (".mid", ".html")


@overload
def listen(
    source: list[Any],
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    instruments: Sequence[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Iterator[Result | OttavaError]: ...
@overload
def listen(
    source: Any,
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    instruments: Sequence[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Result: ...
def listen(
    source: Any,
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    instruments: Sequence[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Result | Iterator[Result | OttavaError]:
    """Write down what is heard, as MIDI and as a page to look at.

    Parameters
    ----------
    source : path-like, binary file object, (ndarray, int), or a list of these
        What to listen to. A pair is samples of shape (n,) or (n, channels) with their rate in hertz.
    out : path-like or None
        Folder for the two files, named after the source. Nothing is written when not given.
    force : bool
        Overwrite existing files.
    instruments : sequence of str or None
        The families that play, if known: of keys, plucked, bass, bowed, winds, voice, drums. Each note goes to
        the likeliest of them.
    weights : path-like or None
        Weights to use in place of the bundled ones.
    threads : int or None
        Threads of the network; as many as the machine has cores, but at most 4, when not given.

    Returns
    -------
    Result or iterator of Result and OttavaError
        What was heard; for a list one after the other, an error in the place of a source that failed.

    Raises
    ------
    ottava.errors.InputError
        If the source cannot be read.
    ottava.errors.OutputError
        If a file exists and ``force`` is not set, or cannot be written.
    ottava.errors.MissingError, ottava.errors.ModelError
        If the weights are missing or not usable.
    """
    options: dict[str, Any] = {"instruments": instruments, "weights": weights, "threads": threads}
    if isinstance(source, list):
        return _each(source, out, force, options)
    targets = _targets(source, out, force)
    return _write(transcribe(source, **options), targets, force)


def _each(
    sources: list[Any], out: str | os.PathLike[str] | None, force: bool, options: dict[str, Any]
) -> Iterator[Result | OttavaError]:
    # Targets are checked first, so that nothing is computed in vain; those in the way keep their place.
    checked: list[list[Path] | OttavaError] = []
    for source in sources:
        try:
            checked.append(_targets(source, out, force))
        except OttavaError as error:
            checked.append(error)
    free = [s for s, targets in zip(sources, checked, strict=True) if not isinstance(targets, OttavaError)]
    heard = transcribe(free, **options)
    for targets in checked:
        if isinstance(targets, OttavaError):
            yield targets
            continue
        outcome = next(heard)
        try:
            yield outcome if isinstance(outcome, OttavaError) else _write(outcome, targets, force)
        except OttavaError as error:
            yield error


def _targets(source: Any, out: str | os.PathLike[str] | None, force: bool) -> list[Path]:
    if out is None:
        return []
    stem = Path(source).stem if isinstance(source, (str, os.PathLike)) else "heard"
    return [check_output(Path(out) / (stem + suffix), force=force) for suffix in _SUFFIXES]


def _write(result: Result, targets: list[Path], force: bool) -> Result:
    for path in targets:
        result.save(path, force=force)
    return result
