"""Mutual information of all pairs of two sets of scalars, and which of it chance would give."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import InputError, UsageError
from ottava.systems.flow.estimators import Copula, Estimator, find_estimator
from ottava.systems.flow.ranks import as_columns

__all__ = ["information_coefficient", "pairwise_information", "pointwise_information", "significant"]

_CHANCE_PAIRS = 1 << 18
_FEW_PAIRS = 1 << 15


def pairwise_information(
    X: ArrayLike,
    H: ArrayLike,
    *,
    estimator: str | Estimator = "binned",
    screen: float = 1.0,
    clip: bool = True,
) -> NDArray[np.float64]:
    """Return the mutual information of each column of one set of samples with each of another.

    Parameters
    ----------
    X : array_like, shape (samples, d)
        Real numbers.
    H : array_like, shape (samples, h)
        Real numbers of the same samples.
    estimator : {"binned", "gaussian-copula", "ksg"} or Estimator
        How; see :mod:`.estimators`.
    screen : float
        Share of the pairs that ``estimator`` is asked for: those that the Gaussian copula or the bins, whichever says
        more, think highest of. The others get the larger of those two. Above 0, at most 1.
    clip : bool
        Give 0 for negative estimates, which are chance: information is not negative.

    Returns
    -------
    ndarray of float64, shape (d, h)
        Information in nats.

    Raises
    ------
    ottava.errors.InputError
        If there are too few samples, not as many in both, or values that are not finite.
    ottava.errors.UsageError
        If there is no such estimator, or ``screen`` is out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(2000, 1))
    >>> y = 0.8 * x + 0.6 * rng.normal(size=(2000, 1))  # 0.511 nats
    >>> float(pairwise_information(x, y, estimator="gaussian-copula")[0, 0])  # doctest: +ELLIPSIS
    0.5...
    """
    x, y = _both(X, H)
    found = _estimate(x, y, find_estimator(estimator), screen)
    return np.maximum(found, 0) if clip else found


def _estimate(
    x: NDArray[np.float64], y: NDArray[np.float64], estimator: Estimator, screen: float
) -> NDArray[np.float64]:
    if not 0 < screen <= 1:
        raise UsageError(f"screen is {screen:g}", expected="above 0, at most 1")
    if screen == 1 or not x.shape[1] * y.shape[1]:
        return estimator.pairs(x, y)
    found = np.maximum(Copula().pairs(x, y), find_estimator("binned").pairs(x, y))
    wanted = max(1, round(screen * found.size))
    best = np.argpartition(found.ravel(), -wanted)[-wanted:]
    rows, columns = np.unravel_index(np.sort(best), found.shape)
    for i in np.unique(rows):
        of_row = columns[rows == i]
        found[i, of_row] = estimator.pairs(y[:, of_row], x[:, [i]])[:, 0]  # many first: they go side by side
    return found


def pointwise_information(
    X: ArrayLike, H: ArrayLike, rows: ArrayLike, *, estimator: str | Estimator = "gaussian-copula"
) -> NDArray[np.float64]:
    """Return what single samples add to the mutual information of each pair of columns.

    Parameters
    ----------
    X, H : array_like, shape (samples, d) and (samples, h)
        See :func:`pairwise_information`.
    rows : array_like of int, shape (r,)
        Which samples.
    estimator : {"binned", "gaussian-copula", "ksg"} or Estimator
        How.

    Returns
    -------
    ndarray of float64, shape (r, d, h)
        Nats, of either sign: a sample may speak against what all say together. The mean over all samples is what
        :func:`pairwise_information` returns with ``clip=False``.

    Raises
    ------
    ottava.errors.InputError, ottava.errors.UsageError
        As there; and if there is no such sample.
    """
    x, y = _both(X, H)
    index = np.atleast_1d(np.asarray(rows, np.intp))
    if len(index) and not -len(x) <= index.min() <= index.max() < len(x):
        raise UsageError("there is no such sample", found=f"{index.min()} to {index.max()}", expected=f"of {len(x)}")
    return find_estimator(estimator).points(x, y, index)


def _both(X: ArrayLike, H: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = as_columns(X, "X"), as_columns(H, "H")
    if len(x) != len(y):
        raise InputError("X and H have not the same samples", found=f"{len(x)} and {len(y)}", expected="as many")
    return x, y


def information_coefficient(nats: ArrayLike) -> NDArray[np.float64]:
    """Return the size of the correlation that Gaussians of this information would have: ``sqrt(1 - exp(-2 I))``.

    Parameters
    ----------
    nats : array_like
        Information; negative counts as none.

    Returns
    -------
    ndarray of float64
        From 0 to 1, of the same shape.
    """
    found: NDArray[np.float64] = np.sqrt(-np.expm1(-2 * np.maximum(np.asarray(nats, np.float64), 0)))
    return found


def significant(
    found: NDArray[np.float64],
    X: ArrayLike,
    H: ArrayLike,
    *,
    estimator: str | Estimator = "binned",
    screen: float = 1.0,
    rate: float = 0.05,
    seed: int = 0,
    shuffles: int = 4,
) -> NDArray[np.bool_]:
    """Return which pairs tell more of each other than chance would, at a false discovery rate.

    Parameters
    ----------
    found : ndarray of float64, shape (d, h)
        From :func:`pairwise_information` of the same samples.
    X, H : array_like, shape (samples, d) and (samples, h)
        The samples.
    estimator : {"binned", "gaussian-copula", "ksg"} or Estimator
        How it was found.
    screen : float
        How it was found; see :func:`pairwise_information`.
    rate : float
        The false discovery rate, above 0, below 1: this share of those returned may be wrong. As many, and one more,
        are found among shuffled samples.
    seed : int
        Of the shuffles.
    shuffles : int
        How often the samples of ``H`` are shuffled, 1 or more: where there are few pairs more often, up to
        ``1 / rate`` times, so that a single one can stand out. What is found then in all pairs of columns, but for
        constant ones, or in a quarter of a million of them, is what chance gives. Of many pairs at least
        ``1 / (rate * shuffles)`` must stand out, or none is returned.

    Returns
    -------
    ndarray of bool, shape (d, h)
        False wherever a column is constant.
    """
    x, y = _both(X, H)
    if not 0 < rate < 1 or shuffles < 1:
        raise UsageError("rate or shuffles out of range", found=f"{rate:g}, {shuffles}", expected="0 to 1; 1 or more")
    method, rng = find_estimator(estimator), np.random.default_rng(seed)
    alive = np.ix_(np.ptp(x, axis=0) > 0, np.ptp(y, axis=0) > 0)
    kept = np.zeros(found.shape, bool)
    if not found[alive].size:
        return kept
    values = found[alive]
    shuffles = max(shuffles, min(ceil(1 / rate), _FEW_PAIRS // values.size))
    drawn = []
    for _ in range(shuffles):
        part = min(1.0, (_CHANCE_PAIRS / values.size) ** 0.5)
        columns = [index.ravel() for index in alive]
        if part < 1:
            columns = [rng.choice(index, ceil(part * len(index)), replace=False) for index in columns]
        drawn.append(_estimate(x[:, columns[0]], rng.permutation(y[:, columns[1]]), method, screen).ravel())
    chance = np.sort(np.concatenate(drawn))
    limits = np.sort(values, axis=None)
    above = len(chance) - np.searchsorted(chance, limits, "left")
    # One more, as the pairs themselves are one draw of chance if they share nothing.
    wrong = (above + 1) * (values.size / len(chance))
    accepted = wrong <= rate * np.arange(len(limits), 0, -1)
    if accepted.any():
        kept[alive] = (values >= limits[accepted.argmax()]) & (values > 0)
    return kept
