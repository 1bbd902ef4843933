"""Evaluation: a system's own scores of files, with where they come from, as CSV and in its model card."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec as find_module
from pathlib import Path
from typing import Any

from ottava.errors import InputError, OutputError, TrainingError, UsageError
from ottava.io.files import atomic_write, check_output
from ottava.spec import find_spec, resolve
from ottava.training.provenance import provenance

__all__ = ["evaluate", "fill_card", "render_csv"]

BEGIN, END = "<!-- numbers:begin -->", "<!-- numbers:end -->"


def evaluate(
    system: str,
    data: Iterable[str | Path],
    *,
    weights: str | Path | None = None,
    out: str | Path | None = None,
    card: str | Path | None = None,
    force: bool = False,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Score a system on folders of inputs with their truth.

    Parameters
    ----------
    system : str
        Name of the system.
    data : iterable of path-like
        Folders, in the layout that the system's ``train/evaluate.py`` describes.
    weights : path-like or None
        ONNX file; the bundled one by default.
    out : path-like or None
        CSV file to write.
    card : path-like or None
        Model card whose block of numbers is filled with the means of ``out``.
    force : bool
        Overwrite an existing ``out``.
    on_row : callable or None
        Is called with each row as it comes, for progress.

    Returns
    -------
    list of dict
        One row for each file: ``data``, the system's columns, ``machine``, ``versions``, ``commit``.

    Raises
    ------
    ottava.errors.UsageError
        If the system cannot be evaluated, or a card is given without ``out``.
    ottava.errors.InputError
        If a folder is missing.
    ottava.errors.TrainingError
        If a folder holds nothing to score.
    """
    spec = find_spec(system)
    module = f"ottava.systems.{spec.name}.train.evaluate"
    if find_module(module) is None:
        raise UsageError(f"{system} has nothing to evaluate")
    if card is not None and out is None:
        raise UsageError("the card is filled from a table of results", expected="--out results.csv beside --card")
    if out is not None:
        check_output(out, force=force)
    if card is not None:
        _card_parts(Path(card))  # a card without the block is found out now, not after an hour
    folders = [Path(folder) for folder in data]
    for folder in folders:
        if not folder.exists():
            raise InputError("there is no such folder of data", path=folder)
    score, columns = resolve(f"{module}:evaluate"), provenance()
    rows: list[dict[str, Any]] = []
    for folder in folders:
        before = len(rows)
        for row in score(weights=weights, data=folder):
            rows.append({"data": folder.resolve().name, **row, **columns})
            if on_row is not None:
                on_row(rows[-1])
        if len(rows) == before:
            raise TrainingError("nothing to score was found", path=folder)
    if out is not None:
        with atomic_write(out, force=force) as file:
            file.write(render_csv(rows).encode())
        if card is not None:
            fill_card(card, out)
    return rows


def render_csv(rows: list[dict[str, Any]]) -> str:
    """Return rows as CSV. Columns are in order of first appearance; a row may lack some."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def fill_card(card: str | Path, results: str | Path) -> None:
    """Write the means of a table of results into the block of numbers of a model card.

    Parameters
    ----------
    card : path-like
        The card. The block stands between ``<!-- numbers:begin -->`` and ``<!-- numbers:end -->``.
    results : path-like
        CSV as written by :func:`evaluate`.

    Raises
    ------
    ottava.errors.OutputError
        If the card has no such block.
    """
    before, after = _card_parts(Path(card))
    with open(results, newline="") as file:
        block = _numbers(list(csv.DictReader(file)))
    with atomic_write(card, force=True) as binary:
        binary.write(f"{before}{BEGIN}\n{block}{END}{after}".encode())


def _card_parts(card: Path) -> tuple[str, str]:
    try:
        text = card.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError("the card cannot be read", path=card, found=error.strerror) from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise OutputError("the card has no block of numbers", path=card, expected=f"{BEGIN} and {END}")
    return before, after


def _numbers(rows: list[Mapping[str, str]]) -> str:
    """Return a Markdown table of means: a line for each measure, a column for each data set."""
    sources = {
        source: [row for row in rows if row["data"] == source] for source in dict.fromkeys(r["data"] for r in rows)
    }
    heading = [f"{source} ({len(of_source)} files)" for source, of_source in sources.items()]
    lines = [f"| mean over files | {' | '.join(heading)} |", "|---" + "|---:" * len(sources) + "|"]
    for measure in rows[0]:
        means = [_mean(row[measure] for row in of_source) for of_source in sources.values()]
        if any(means):
            lines.append(f"| {measure} | {' | '.join(means)} |")
    last = rows[-1]
    return "\n".join([*lines, "", f"{last['versions']}, commit {last['commit']}, {last['machine']}.", ""])


def _mean(cells: Iterable[str | None]) -> str:
    """Return the mean of cells, without NaN: the measure means nothing for those files. Empty for words."""
    values = []
    for cell in cells:
        try:
            values.append(float(cell or "nan"))
        except ValueError:
            return ""
    finite = [value for value in values if math.isfinite(value)]
    return f"{sum(finite) / len(finite):.3f}" if finite else ""
