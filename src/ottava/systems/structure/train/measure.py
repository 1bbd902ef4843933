"""How well tunes are written again from their codes, and whether what is made of a changed bar follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.results import RELATIONS
from ottava.systems.structure.decode import Bars, Decoder, mix, write_bars
from ottava.systems.structure.lines import ONSET, OUTSIDE

__all__ = ["Encoder", "equal_symbols", "measure", "relate_to_changed", "rewrite_given"]

Encoder = Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.float32], ...]]
"""Rhythm and line (batch, bars, STEPS) to mean and log-variance of the codes."""


def measure(encode: Encoder, decode: Decoder, batch: Mapping[str, NDArray[Any]]) -> dict[str, tuple[float, int]]:
    """Return means, and of how many bars or symbols they are.

    ``free`` and ``forced``
        Share of symbols that are written again right from mean codes, after bars of its own, and after the true ones.
    ``stored``, ``stored_repeat``, ``stored_new``
        Nats in codes of all bars; from the fifth on, medians of bars that equal an earlier one and of unrelated ones.
    ``follow_KIND``
        Share of bars that follow a change wholly, by their relation to the changed bar (:func:`relate_to_changed`);
        ``follow_symbols``: symbols of all that should.
    ``collateral``
        Share of symbols that the change alters in bars that should not follow.

    Parameters
    ----------
    encode, decode : callable
        The network; see :data:`Encoder` and :data:`ottava.systems.structure.decode.Decoder`.
    batch : dict of ndarray
        From :class:`.data.TuneWindows`.
    """
    bars, new = (batch["rhythm"], batch["line"]), (batch["new_rhythm"], batch["new_line"])
    kind, follows, changed, steps = (batch[name] for name in ("kind", "follows", "changed", "steps"))
    to_changed = relate_to_changed(batch)
    real = batch["real"] > 0
    codes, log_variance = encode(*bars)
    swapped = np.where(changed[..., None], encode(*new)[0], codes)
    free, _ = write_bars(decode, codes, steps)
    # The changed bar is given, so that what follows is judged by whether it follows, not by how well that is written.
    edited, _ = write_bars(decode, swapped, steps, (new, changed))
    unedited, _ = write_bars(decode, codes, steps, (bars, changed))
    place = np.arange(real.shape[1])
    inside = (np.arange(bars[0].shape[2]) < steps[:, None, None]) & real[..., None]
    hit = equal_symbols(edited, new)
    whole = np.all(hit | ~inside, axis=2)
    untouched = (place > changed.argmax(1)[:, None]) & ~follows
    elsewhere = inside & np.asarray(untouched)[..., None]
    kept, touched = _mean(equal_symbols(edited, unedited)[elsewhere])
    stored = 0.5 * (codes**2 + np.exp(log_variance) - log_variance - 1).sum(2)
    later = (bars[1] > 0).any(2) & real & (place >= 4)
    found = {
        "free": _mean(equal_symbols(free, bars)[inside]),
        "forced": _mean(equal_symbols(rewrite_given(decode, codes, bars), bars)[inside]),
        "stored": _mean(stored[real]),
        "stored_repeat": _median(stored[later & (kind == 1)]),
        "stored_new": _median(stored[later & (kind == 0)]),
        "collateral": (1 - kept if touched else 0.0, touched),
        "follow_symbols": _mean(hit[inside & follows[..., None]]),
    }
    for number, name in enumerate(RELATIONS[1:], start=1):
        found[f"follow_{name}"] = _mean(whole[to_changed == number])
    return found


def relate_to_changed(batch: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return the relation of each bar that follows to the changed bar, (batch, bars); 0 for all others.

    A bar may be made of one that is made of the changed one: the loosest relation on the way counts, so that a copy of
    a varied bar is a varied one.

    Parameters
    ----------
    batch : dict of ndarray
        From :class:`.data.TuneWindows`.
    """
    source, kind, follows = batch["source"], batch["kind"], batch["follows"]
    found = np.zeros_like(kind)
    rows = np.arange(len(kind))
    for i in range(kind.shape[1]):
        found[:, i] = np.where(follows[:, i], np.maximum(kind[:, i], found[rows, source[:, i]]), 0)
    return found


def rewrite_given(decode: Decoder, codes: NDArray[np.float32], bars: Bars) -> Bars:
    """Return each bar as it is written after the true ones before it.

    Parameters
    ----------
    decode : callable
        See :data:`ottava.systems.structure.decode.Decoder`.
    codes : ndarray of float32, shape (batch, bars, code)
        Codes.
    bars : Bars
        The true bars, (batch, bars, STEPS).
    """
    written = decode(codes, *bars)
    rhythm, line = np.empty_like(bars[0]), np.empty_like(bars[1])
    outside = bars[0] == OUTSIDE
    for i in range(bars[0].shape[1]):
        of_rhythm, of_line = mix(written, bars, i)
        rhythm[:, i] = of_rhythm[:, :, :OUTSIDE].argmax(2)
        line[:, i] = of_line[:, :, 1:].argmax(2) + 1
    return np.where(outside, OUTSIDE, rhythm), line


def equal_symbols(a: Bars, b: Bars) -> NDArray[np.bool_]:
    """Return where symbols are equal: the same rhythm, and where a note begins, the same pitch."""
    return np.asarray((a[0] == b[0]) & ((a[1] == b[1]) | (a[0] != ONSET)))


def _mean(values: NDArray[Any]) -> tuple[float, int]:
    return (float(values.mean()) if len(values) else 0.0), len(values)


def _median(values: NDArray[Any]) -> tuple[float, int]:
    return (float(np.median(values)) if len(values) else 0.0), len(values)
