"""Asking why a bar's code is what it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ottava.runtime.questions import Axis, Question, pick_item
from ottava.systems.structure.run import StructureModel, find_line, lean

__all__ = ["ask"]

_MOST_BARS = 64
"""Bars up to the one that is asked about that are looked at."""


def ask(model: StructureModel, source: Any, item: int | None = None) -> Question:
    """Return the question why a bar's code is what it is.

    Parameters
    ----------
    model : StructureModel
        The model.
    source : path-like or Score
        See :func:`.run.structure`.
    item : int or None
        Number of the bar, from 1 on; the first that leans on another when not given.

    Raises
    ------
    ottava.errors.InputError, ottava.errors.UsageError
        If the source cannot be read, or has no such bar.
    """
    melody = find_line(source)
    codes = model.encode(melody.rhythm, melody.line)
    written = model.decode(codes.mean[None], melody.rhythm[None], melody.line[None])
    leans = lean(melody, written["pointer"][0])
    leaning = np.flatnonzero(leans.source >= 0)
    n = len(melody.tune)
    at = pick_item(item, n, int(leaning[0]) if len(leaning) else n - 1, "bar")
    first = max(0, at + 1 - _MOST_BARS)
    bars = slice(first, at + 1)
    axes = (Axis("bar", first + 1), Axis("step"))
    on = f", which leans on bar {leans.source[at] + 1}" if leans.source[at] >= 0 else ""
    return Question(
        text=f"the code of bar {at + 1}{on}",
        inputs={"rhythm": melody.rhythm[None, bars], "line": melody.line[None, bars]},
        output="mean",
        index=(at - first,),
        axes={"rhythm": axes, "line": axes},
        found={"bar": at + 1, "leans_on": int(leans.source[at] + 1), "nats": float(codes.nats[at])},
    )
