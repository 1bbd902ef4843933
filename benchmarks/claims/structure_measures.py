"""What the structure claims are judged by, for any network that codes and writes tunes of eight bars.

A network is a :class:`Coder`: symbols to codes, and codes to symbols, both as arrays. All measures are of one tune
each, so that intervals can be drawn over tunes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Symbols = NDArray[np.int64]
"""Tunes, (tunes, bars, steps)."""


@dataclass(frozen=True)
class Coded:
    """Codes of tunes: means (tunes, bars, code), nats (tunes, bars), attention (tunes, heads, bars, bars) by name."""

    mean: NDArray[np.float32]
    nats: NDArray[np.float32]
    attention: dict[str, NDArray[np.float32]]


class Coder(Protocol):
    """A network."""

    def encode(self, symbols: Symbols) -> Coded:
        """Return codes of tunes."""

    def write(self, codes: NDArray[np.float32], symbols: Symbols) -> Symbols:
        """Return tunes written from codes alone; of ``symbols`` only what a network may know besides is read."""

    def force(self, codes: NDArray[np.float32], symbols: Symbols) -> Symbols:
        """Return each bar written after the true ones before it."""


def first_equal(symbols: Symbols) -> NDArray[np.int64]:
    """Return of each bar the first earlier bar that equals it, -1 if none does; bars without an onset equal none."""
    equal = (symbols[:, :, None] == symbols[:, None]).all(3)
    sounding = (symbols >= 2).any(2)
    n = symbols.shape[1]
    earlier = equal & np.tril(np.ones((n, n), bool), -1) & sounding[:, :, None]
    return np.where(earlier.any(2), earlier.argmax(2), -1)


def shuffle_bars(symbols: Symbols, rng: np.random.Generator) -> tuple[Symbols, NDArray[np.intp]]:
    """Return tunes whose bars come from all over, and in which of them each bar of the given tunes now is.

    Each place keeps the bars that tunes have there, in another order.
    """
    order = np.stack([rng.permutation(len(symbols)) for _ in range(symbols.shape[1])], 1)
    return np.take_along_axis(symbols, order[..., None], 0), np.argsort(order, 0)


def reconstruction(coder: Coder, symbols: Symbols, coded: Coded) -> dict[str, NDArray[np.float64]]:
    """Return of each tune the shares of symbols written right, and the nats it stores."""
    free = coder.write(coded.mean, symbols) == symbols
    forced = coder.force(coded.mean, symbols) == symbols
    return {
        "free": free.mean((1, 2)),
        "forced": forced.mean((1, 2)),
        "nats": coded.nats.sum(1).astype(float),
    }


def stored_at_repeats(symbols: Symbols, coded: Coded) -> list[dict[str, float]]:
    """Return nats of every bar from the second on: its place, and whether it equals an earlier one."""
    source = first_equal(symbols)
    sounding = (symbols >= 2).any(2)
    return [
        {"tune": t, "place": i, "repeat": float(source[t, i] >= 0), "nats": float(coded.nats[t, i])}
        for t in range(len(symbols))
        for i in range(1, symbols.shape[1])
        if sounding[t, i]
    ]


def position_matched(rows: list[dict[str, float]]) -> float:
    """Return the ratio of nats at repeats to nats at new bars: medians at each place, their mean over places."""
    ratios, weights = [], []
    for place in sorted({row["place"] for row in rows}):
        here = [row for row in rows if row["place"] == place]
        repeat = [row["nats"] for row in here if row["repeat"]]
        new = [row["nats"] for row in here if not row["repeat"]]
        if len(repeat) >= 3 and len(new) >= 3:
            ratios.append(np.median(repeat) / max(np.median(new), 1e-9))
            weights.append(min(len(repeat), len(new)))
    return float(np.average(ratios, weights=weights)) if ratios else float("nan")


def ratio_interval(rows: list[dict[str, float]], rng: np.random.Generator, draws: int = 300) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of :func:`position_matched` over tunes."""
    of_tune: dict[float, list[dict[str, float]]] = {}
    for row in rows:
        of_tune.setdefault(row["tune"], []).append(row)
    tunes = list(of_tune.values())
    drawn = (rng.integers(0, len(tunes), len(tunes)) for _ in range(draws))
    ratios = [position_matched([row for k in chosen for row in tunes[k]]) for chosen in drawn]
    low, high = np.nanpercentile(ratios, (2.5, 97.5))
    return float(low), float(high)


def edits(coder: Coder, symbols: Symbols, coded: Coded, rng: np.random.Generator) -> list[dict[str, float]]:
    """Change the code of a bar that others repeat for another tune's at the same place, and write all again.

    Of each tune that has such a bar: the share of later copies that equal what is now written in its place, of their
    symbols that do, and of symbols elsewhere that the change alters.
    """
    source = first_equal(symbols)
    chosen, places = [], []
    for t, of_bar in enumerate(source):
        firsts = np.unique(of_bar[of_bar >= 0])
        if len(firsts):
            chosen.append(t)
            places.append(int(rng.choice(firsts)))
    if not chosen:
        return []
    rows, at = np.arange(len(chosen)), np.array(places)
    codes = coded.mean[chosen].copy()
    other = (np.array(chosen) + rng.integers(1, len(symbols), len(chosen))) % len(symbols)
    before = coder.write(codes, symbols[chosen])
    codes[rows, at] = coded.mean[other, at]
    after = coder.write(codes, symbols[chosen])
    found = []
    for k, (t, j) in enumerate(zip(chosen, places, strict=True)):
        copies = np.flatnonzero(source[t] == j)
        rest = np.setdiff1d(np.arange(j + 1, symbols.shape[1]), copies)
        same = after[k, copies] == after[k, j]
        found.append(
            {
                "tune": t,
                "changed": float((after[k, j] != before[k, j]).mean()),
                "whole": float(same.all(1).mean()),
                "symbols": float(same.mean()),
                "elsewhere": float((after[k, rest] != before[k, rest]).mean()) if len(rest) else float("nan"),
            }
        )
    return [row for row in found if row["changed"] > 0]


def attention_at_repeats(symbols: Symbols, coded: Coded) -> list[dict[str, Any]]:
    """Return of each head how much it looks at the first occurrence from repeats, and chance and control.

    The control is how much bars at the same place that repeat nothing look at that same distance. ``every`` is how much
    it looks at all earlier bars that are equal, and ``every_chance`` how much of what can be seen those are.
    """
    source = first_equal(symbols)
    equal = (symbols[:, :, None] == symbols[:, None]).all(3)
    found = []
    for name, weights in coded.attention.items():
        for head in range(weights.shape[1]):
            mass, chance, control, every, every_chance = [], [], [], [], []
            for t, i in np.argwhere(source >= 0):
                j = source[t, i]
                others = np.flatnonzero(source[:, i] < 0)
                mass.append(weights[t, head, i, j])
                chance.append(1 / (i + 1))
                control.append(weights[others, head, i, j].mean() if len(others) else np.nan)
                every.append(weights[t, head, i, :i][equal[t, i, :i]].sum())
                every_chance.append(equal[t, i, :i].sum() / (i + 1))
            found.append(
                {
                    "attention": name,
                    "head": head,
                    "mass": float(np.mean(mass)),
                    "chance": float(np.mean(chance)),
                    "control": float(np.nanmean(control)),
                    "every": float(np.mean(every)),
                    "every_chance": float(np.mean(every_chance)),
                }
            )
    return found


def context_transfer(coder: Coder, symbols: Symbols, coded: Coded, rng: np.random.Generator) -> list[dict[str, float]]:
    """Give tunes the first code of others, and compare which bars are equal in what comes out.

    Of each pair: how near the matrix of equal bars is to that of the tune that gives the form, and to that of the one
    that gives the beginning, as shares of equal entries; and whether the first bar is the latter's.
    """
    giver = np.roll(np.arange(len(symbols)), int(rng.integers(1, len(symbols))))
    codes = coded.mean.copy()
    codes[:, 0] = coded.mean[giver, 0]
    written = coder.write(codes, symbols)
    own = coder.write(coded.mean, symbols)

    def matrix(x: Symbols) -> NDArray[np.bool_]:
        return np.asarray((x[:, :, None] == x[:, None]).all(3))

    lower = np.tril(np.ones((symbols.shape[1],) * 2, bool), -1)
    out, form, content = matrix(written), matrix(symbols), matrix(symbols[giver])
    return [
        {
            "tune": t,
            "to_form": float((out[t] == form[t])[lower].mean()),
            "to_content": float((out[t] == content[t])[lower].mean()),
            "first_bar": float((written[t, 0] == own[giver[t], 0]).mean()),
        }
        for t in range(len(symbols))
        if (form[t] != content[t])[lower].any()
    ]


def interval(
    values: NDArray[np.float64] | list[float], rng: np.random.Generator, draws: int = 2000
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean over tunes."""
    array = np.asarray(values, float)
    array = array[np.isfinite(array)]
    if not len(array):
        return float("nan"), float("nan")
    means = array[rng.integers(0, len(array), (draws, len(array)))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
