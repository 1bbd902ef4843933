"""Changing the codes of a tune, and writing it again.

A tune's codes are kept, but for those of the changed bars, which are taken from the tune with the new bars in it; then
all bars are written again in their order. What comes out is compared with what the unchanged codes give, and only where
the two differ is the tune touched: what the network cannot write by heart stays as it was. Nor is a bar touched that is
not made of one that changed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ottava.errors import UsageError
from ottava.systems.structure.decode import write_bars
from ottava.systems.structure.lines import join_bars, split_bars
from ottava.systems.structure.run import Melody, StructureModel

__all__ = ["Varied", "change", "check_steps", "draw_bars", "interpolate"]


_MADE_OF = 0.5  # share of the pointer


class Varied(NamedTuple):
    """A tune after a change.

    Parameters
    ----------
    symbols : ndarray of int16, shape (bars, steps)
        The new tune.
    source : ndarray of int64, shape (bars,)
        Of each bar that changes because one that it is made of did, that one's place; -1 for all others.
    elsewhere : tuple of int
        Steps that the network would have changed in bars that are not made of a changed one, and steps of those bars.
    """

    symbols: NDArray[np.int16]
    source: NDArray[np.int64]
    elsewhere: tuple[int, int]


def change(model: StructureModel, melody: Melody, new: dict[int, NDArray[np.int16]]) -> Varied:
    """Change bars of a melody, and what is made of them.

    Parameters
    ----------
    model : StructureModel
        The network.
    melody : Melody
        From :func:`.run.find_line`.
    new : dict of int to ndarray of int16, shape (steps,)
        Symbols of the bars that are replaced, by their places from 0 on.
    """
    symbols = melody.tune.symbols
    steps = symbols.shape[1]
    varied = symbols.copy()
    for at, bar in new.items():
        varied[at] = bar
    rhythm, line = split_bars(varied, melody.reference)
    codes = model.encode(melody.rhythm, melody.line).mean
    swapped = codes.copy()
    places = sorted(new)
    swapped[places] = model.encode(rhythm, line).mean[places]
    # Bars before the first change are given, so that both writings start from what really is there.
    given = (np.arange(len(symbols)) < places[0]) | np.isin(np.arange(len(symbols)), places)
    width = np.array([steps])
    old_bars, new_bars = (melody.rhythm[None], melody.line[None]), (rhythm[None], line[None])
    before, _ = write_bars(model.decode, codes[None], width, (old_bars, given[None]))
    after, leans = write_bars(model.decode, swapped[None], width, (new_bars, given[None]))
    old, now = (join_bars(bars[0][0], bars[1][0], melody.reference, steps) for bars in (before, after))
    source = np.full(len(symbols), -1)
    spoilt = kept = 0
    for i in range(places[0] + 1, len(symbols)):
        if i in new or melody.tune.refused[i]:
            continue
        at = int(leans[0, i, :i].argmax())
        if leans[0, i, at] >= _MADE_OF and (at in new or source[at] >= 0):
            # A bar that the network knows by heart is taken whole: half a rhythm of each is none.
            known = (old[i] == symbols[i]).all()
            varied[i] = now[i] if known else np.where(old[i] == now[i], symbols[i], now[i])
            source[i] = at if (varied[i] != symbols[i]).any() else -1
        else:
            spoilt, kept = spoilt + int((old[i] != now[i]).sum()), kept + steps
    return Varied(varied, source, (spoilt, kept))


def draw_bars(
    model: StructureModel, melody: Melody, places: list[int], count: int, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Return a tune in which some bars are drawn anew, one after the other, to go with all others.

    Parameters
    ----------
    model : StructureModel
        The network, with its prior.
    melody : Melody
        From :func:`.run.find_line`.
    places : list of int
        Which bars, from 0 on, in their order; there may be some after the tune's end.
    count : int
        Bars of the new tune.
    rng : numpy.random.Generator
        Draws them.
    """
    steps = melody.tune.symbols.shape[1]
    empty = np.zeros((count - len(melody.tune), steps), np.int16)
    symbols = np.concatenate([melody.tune.symbols, empty])
    known = ~np.isin(np.arange(count), places)
    rhythm, line = split_bars(symbols, melody.reference)
    codes = model.encode(rhythm, line).mean
    for at in places:
        codes[at] = model.prior.draw(codes, known, at, rng)
        given = (rhythm[None, : at + 1], line[None, : at + 1]), np.arange(at + 1)[None] < at
        written, _ = write_bars(model.decode, codes[None, : at + 1], np.array([steps]), given)
        rhythm[at], line[at] = written[0][0, at], written[1][0, at]
        # What was written may be other than what was drawn; what follows goes with what is there.
        codes[: at + 1] = model.encode(rhythm[: at + 1], line[: at + 1]).mean
        known[at] = True
    drawn = join_bars(rhythm, line, melody.reference, steps)
    symbols[places] = drawn[places]
    return symbols


def interpolate(model: StructureModel, one: Melody, other: Melody, amount: float) -> NDArray[np.int16]:
    """Return the tune between two, on the straight line between their codes.

    Parameters
    ----------
    model : StructureModel
        The network.
    one, other : Melody
        Two tunes of one meter; of the longer, the first bars are used.
    amount : float
        0 gives the first, 1 the second, as the network writes them.

    Raises
    ------
    ottava.errors.UsageError
        If their bars have different lengths, or the amount is out of range.
    """
    if not 0 <= amount <= 1:
        raise UsageError(f"amount is {amount}", expected="0 to 1")
    steps = one.tune.symbols.shape[1]
    check_steps(other, steps)
    n = min(len(one.tune), len(other.tune))
    codes = [model.encode(m.rhythm[:n], m.line[:n]).mean for m in (one, other)]
    mixed = (1 - amount) * codes[0] + amount * codes[1]
    reference = round((1 - amount) * one.reference + amount * other.reference)
    written, _ = write_bars(model.decode, mixed[None].astype(np.float32), np.array([steps]))
    return join_bars(written[0][0], written[1][0], reference, steps)


def check_steps(other: Melody, steps: int) -> None:
    """Raise if bars of another tune do not fit.

    Raises
    ------
    ottava.errors.UsageError
        If they have another number of steps.
    """
    if other.tune.symbols.shape[1] != steps:
        raise UsageError(
            "the bars of both have different lengths",
            found=f"{other.tune.symbols.shape[1]} sixteenth notes",
            expected=f"{steps}",
        )
