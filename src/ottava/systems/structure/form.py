"""Letters for bars: equal bars share one, a bar that is made of another has the other's with a stroke."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from ottava.results import RELATIONS
from ottava.symbolic.bars import ONSET
from ottava.systems.structure.relations import find_relations

__all__ = ["REFUSED", "SILENT", "name_bars", "name_relation"]

SILENT, REFUSED = "-", "?"
"""Labels of bars in which no note begins, and of bars that were refused."""


def name_bars(symbols: NDArray[np.int16], leans_on: Sequence[int], refused: Sequence[str] = ()) -> list[str]:
    """Return a label for each bar: ``A``, ``B``, ...; ``A'``, ``A''``, ``A'3`` for what is made of an ``A``.

    Parameters
    ----------
    symbols : ndarray of int16, shape (bars, steps)
        See :mod:`ottava.symbolic.bars`.
    leans_on : sequence of int
        Of each bar, the place of the bar that it is made of, from 0 on; -1 if there is none.
    refused : sequence of str
        Of each bar, why it does not count, if it does not.
    """
    labels: list[str] = []
    known: dict[bytes, str] = {}
    letters = 0
    strokes: dict[str, int] = {}
    for i, bar in enumerate(symbols):
        content = bar.tobytes()
        if refused and refused[i]:
            labels.append(REFUSED)
            continue
        if not (bar >= ONSET).any():
            labels.append(SILENT)
            continue
        if content not in known:
            root = labels[leans_on[i]].partition("'")[0] if leans_on[i] >= 0 else ""
            if root in ("", SILENT, REFUSED):
                known[content] = _letter(letters)
                letters += 1
            else:
                strokes[root] = count = strokes.get(root, 0) + 1
                known[content] = root + ("'" * count if count < 3 else f"'{count}")
        labels.append(known[content])
    return labels


def _letter(number: int) -> str:
    """Return A to Z, then AA, AB and so on."""
    word = ""
    while number >= 0:
        word = ascii_uppercase[number % 26] + word
        number = number // 26 - 1
    return word


def name_relation(rhythm: NDArray[np.int64], line: NDArray[np.int64], bar: int, source: int) -> tuple[str, int]:
    """Return how a bar is made of an earlier one, and by how many semitones it is moved.

    What is none of the exact kinds is called varied: that it is made of the other is the network's opinion.

    Parameters
    ----------
    rhythm, line : ndarray of int64, shape (bars, steps)
        From :func:`.lines.split_bars`.
    bar, source : int
        Places of both.
    """
    found = find_relations(rhythm[[source, bar]], line[[source, bar]])
    kind = int(found.kind[1]) if found.source[1] == 0 else 0
    return RELATIONS[kind] or "varied", int(line[bar, 0] - line[source, 0])
