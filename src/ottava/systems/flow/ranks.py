"""Columns of samples as ranks, bins and normal scores."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import InputError

__all__ = ["LEAST_SAMPLES", "as_columns", "bin_columns", "normal_scores", "rank_columns"]

LEAST_SAMPLES = 8
"""Fewer say nothing about information."""
_BLOCK = 1 << 22  # values that are ranked at a time


def as_columns(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return samples as (samples, columns), checked.

    Parameters
    ----------
    values : array_like, shape (samples, columns) or (samples,)
        Real numbers.
    name : str
        What errors call them.

    Raises
    ------
    ottava.errors.InputError
        If it has other axes, too few samples, or values that are not finite; then the first such column is named.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} has no real numbers", found=str(array.dtype), expected="floats or integers")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise InputError(f"{name} has {array.ndim} axes", found=str(array.shape), expected="(samples, columns)")
    if len(array) < LEAST_SAMPLES:
        raise InputError(f"{name} has too few samples", found=str(len(array)), expected=f"{LEAST_SAMPLES} or more")
    array = array.astype(np.float64)
    bad = ~np.isfinite(array).all(0)
    if bad.any():
        raise InputError(
            f"{name} has values that are not finite",
            found=f"{int(bad.sum())} such columns, the first is {int(bad.argmax())}",
            expected="finite numbers",
        )
    return array


def rank_columns(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks of each column, from 1 on; equal values share the mean of theirs.

    Parameters
    ----------
    values : ndarray of float64, shape (samples, columns)
        Finite values.
    """
    n, d = values.shape
    ranks = np.empty((n, d))
    at = np.arange(n)[:, None]
    for begin in range(0, d, max(1, _BLOCK // n)):
        part = np.s_[:, begin : begin + max(1, _BLOCK // n)]
        order = np.argsort(values[part], axis=0, kind="stable")
        ordered = np.take_along_axis(values[part], order, axis=0)
        new = np.ones(ordered.shape, bool)
        new[1:] = ordered[1:] != ordered[:-1]
        first = np.maximum.accumulate(np.where(new, at, 0), axis=0)
        last = np.ones(ordered.shape, bool)
        last[:-1] = new[1:]
        until = np.minimum.accumulate(np.where(last, at, n)[::-1], axis=0)[::-1]
        shared = np.empty(ordered.shape)
        np.put_along_axis(shared, order, (first + until) / 2 + 1, axis=0)
        ranks[part] = shared
    return ranks


def bin_columns(ranks: NDArray[np.float64], bins: int) -> NDArray[np.uint8]:
    """Return the bin of each value, from 0 on: bins of about as many samples each.

    Equal values are never parted. One that makes up a ``1 / bins`` of a column or more and is its least, such as the 0
    of a rectifier, or its largest, has a bin of its own; between others, one that makes up twice as much.

    Parameters
    ----------
    ranks : ndarray of float64, shape (samples, columns)
        From :func:`rank_columns`.
    bins : int
        At most this many, 2 to 255.
    """
    return ((ranks - 0.5) * (bins / len(ranks))).astype(np.uint8)


def normal_scores(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quantiles of a normal distribution at these ranks, columns of mean 0 and variance 1.

    Constant columns are 0.

    Parameters
    ----------
    ranks : ndarray of float64, shape (samples, columns)
        From :func:`rank_columns`.
    """
    scores = _quantiles(len(ranks))[(2 * ranks - 2).astype(np.intp)]
    scores -= scores.mean(0)
    spread = np.sqrt((scores**2).mean(0))
    scaled: NDArray[np.float64] = np.divide(scores, spread, out=np.zeros_like(scores), where=spread > 1e-9)
    return scaled


@lru_cache(maxsize=8)
def _quantiles(n: int) -> NDArray[Any]:
    """Return normal quantiles at ranks 1, 1.5, 2 ... n."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((1 + half / 2) / (n + 1)) for half in range(2 * n - 1)])
