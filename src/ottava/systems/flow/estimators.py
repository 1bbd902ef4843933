"""Mutual information of pairs of scalars, all pairs of two sets of columns at a time, in nats.

Three estimators with the same two methods: ``pairs`` is the information of each pair of columns, ``points`` its
summands for single samples, whose mean over all samples is what ``pairs`` returns.

* :class:`Binned`: bins of equal counts, all joint tables by one matrix product; corrected for the bias of counts.
* :class:`Copula`: the information of a Gaussian with the correlation of the ranks' normal scores. Fastest, and blind to
  what does not rise or fall.
* :class:`Ksg`: nearest neighbours. Slowest, and nearest to the truth for continuous values.

Estimates may be negative, where the bias correction of nothing, or chance, makes them so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ottava.errors import UsageError
from ottava.systems.flow.ranks import bin_columns, normal_scores, rank_columns

__all__ = ["ESTIMATORS", "Binned", "Copula", "Estimator", "Ksg", "find_estimator", "name_estimator"]

Columns = NDArray[np.float64]
"""Samples of several scalars, (samples, columns)."""

_TILE_BYTES = 1 << 26


class Estimator(Protocol):
    """What all estimators do."""

    def pairs(self, x: Columns, y: Columns) -> NDArray[np.float64]:
        """Return the information of each column of ``x`` with each of ``y``, (columns of x, columns of y), in nats."""

    def points(self, x: Columns, y: Columns, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return its summands for some samples, (rows, columns of x, columns of y), in nats."""


@dataclass(frozen=True)
class Binned:
    """Plug-in estimate over bins of equal counts, with the correction of Miller and Madow.

    Parameters
    ----------
    bins : int or None
        Bins of each column, 2 to 255. When not given, so many that five samples fall into a cell of two independent
        columns' joint table, 16 at most.

    Notes
    -----
    Ties are never parted (:func:`.ranks.bin_columns`), and columns of few values have few bins. Invariant under
    strictly monotone maps of a column. A pair that determine each other reach the logarithm of the bins, no more.
    """

    bins: int | None = None

    def __post_init__(self) -> None:
        if self.bins is not None and not 2 <= self.bins <= 255:
            raise UsageError(f"bins is {self.bins}", expected="2 to 255")

    def _bins(self, n: int) -> int:
        return self.bins or int(np.clip(np.sqrt(n / 5), 2, 16))

    def pairs(self, x: Columns, y: Columns) -> NDArray[np.float64]:
        """See :class:`Estimator`."""
        n, bins = len(x), self._bins(len(x))
        codes = [bin_columns(rank_columns(columns), bins) for columns in (x, y)]
        found = np.empty((x.shape[1], y.shape[1]))
        totals, filled = zip(*(_of_counts(_count(c, bins)[:, None]) for c in codes), strict=True)
        for rows, columns in _tiles(*found.shape, bins * bins * 4 * 3):
            counts = _joint(codes[0][:, rows], codes[1][:, columns], bins)
            cells, used = _of_counts(counts.transpose(0, 2, 1, 3).reshape(*counts.shape[::2], bins * bins))
            total_x, total_y = totals[0][rows], totals[1][columns].T
            bias = filled[0][rows] + filled[1][columns].T - used - 1
            found[rows, columns] = (cells - total_x - total_y) / n + np.log(n) + bias / (2 * n)
        # To the last bit, not to the last of the sums: a column that fills one bin tells nothing.
        found[filled[0][:, 0] == 1] = 0
        found[:, filled[1][:, 0] == 1] = 0
        return found

    def points(self, x: Columns, y: Columns, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """See :class:`Estimator`."""
        n, bins = len(x), self._bins(len(x))
        one, other = (bin_columns(rank_columns(columns), bins) for columns in (x, y))
        of_one, of_other = (_count(c, bins) for c in (one, other))
        found = np.empty((len(rows), x.shape[1], y.shape[1]))
        for i, j in _tiles(x.shape[1], y.shape[1], bins * bins * 4 * 2):
            counts = _joint(one[:, i], other[:, j], bins)
            width, height = counts.shape[0], counts.shape[2]
            a, b = one[rows][:, i, None], other[rows][:, None, j]
            at_i, at_j = np.arange(width)[:, None], np.arange(height)
            joint = counts[at_i, a, at_j, b]
            used = np.count_nonzero(counts, axis=(1, 3))
            bias = np.count_nonzero(of_one[i], axis=1)[:, None] + np.count_nonzero(of_other[j], axis=1) - used - 1
            expected = of_one[i][at_i, a] * of_other[j][at_j, b]
            found[:, i, j] = np.log(joint * (n / expected)) + bias / (2 * n)
        return found


def _count(codes: NDArray[np.uint8], bins: int) -> NDArray[np.float32]:
    """Return how many samples lie in each bin of each column, (columns, bins)."""
    return np.array([np.bincount(column, minlength=bins) for column in codes.T], np.float32).reshape(-1, bins)


def _one_hot(codes: NDArray[np.uint8], bins: int) -> NDArray[np.float32]:
    hot = codes[:, :, None] == np.arange(bins, dtype=np.uint8)
    found: NDArray[np.float32] = hot.reshape(len(codes), -1).astype(np.float32)
    return found


def _joint(one: NDArray[np.uint8], other: NDArray[np.uint8], bins: int) -> NDArray[np.float32]:
    """Return joint counts (columns, bins, other's columns, bins); exact, as they stay below 2 ** 24."""
    counts = np.zeros((one.shape[1] * bins, other.shape[1] * bins), np.float32)
    step = max(1, _TILE_BYTES // (4 * bins * max(one.shape[1], other.shape[1])))
    for begin in range(0, len(one), step):
        part = slice(begin, begin + step)
        counts += _one_hot(one[part], bins).T @ _one_hot(other[part], bins)
    return counts.reshape(one.shape[1], bins, other.shape[1], bins)


def _of_counts(counts: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum of ``c log c`` over the last axis, and how many of its counts are above 0."""
    terms = np.log(np.maximum(counts, 1))
    terms *= counts
    return terms.sum(-1, dtype=np.float64), np.minimum(counts, 1).sum(-1, dtype=np.float64)


def _tiles(rows: int, columns: int, bytes_each: int) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of pairs that need a bounded amount of memory."""
    side = max(1, int((_TILE_BYTES / bytes_each) ** 0.5))
    for i in range(0, rows, side):
        for j in range(0, columns, side):
            yield slice(i, min(i + side, rows)), slice(j, min(j + side, columns))


@dataclass(frozen=True)
class Copula:
    """Information of a Gaussian copula with the correlation of the ranks' normal scores.

    Notes
    -----
    Invariant under strictly monotone maps of a column. The bias of a correlation of nothing, 1 / 2N, is taken off. A
    pair of equal ranks, whose information has no bound, gets the logarithm of the number of samples.
    """

    def pairs(self, x: Columns, y: Columns) -> NDArray[np.float64]:
        """See :class:`Estimator`."""
        scores = [normal_scores(rank_columns(columns)) for columns in (x, y)]
        return _of_correlation(scores[0].T @ scores[1] / len(x), len(x))

    def points(self, x: Columns, y: Columns, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """See :class:`Estimator`."""
        n = len(x)
        one, other = (normal_scores(rank_columns(columns)) for columns in (x, y))
        most = np.sqrt(1 - 1 / n**2)
        given = one.T @ other / n
        r = np.clip(given, -most, most)
        a, b = one[rows][:, :, None], other[rows][:, None]
        # Beside its mean over all samples, which is 0 but where the correlation had to be cut.
        apart = r**2 * (a**2 + b**2 - 2) - 2 * r * (a * b - given)
        return _of_correlation(given, n) - apart / (2 * (1 - r**2))


def _of_correlation(r: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = -0.5 * np.log1p(-np.minimum(r**2, 1 - 1 / n**2)) - 1 / (2 * n)
    found[r == 0] = 0
    return found


@dataclass(frozen=True)
class Ksg:
    """Nearest neighbours, for mixtures of continuous and discrete values.

    W. Gao, S. Kannan, S. Oh and P. Viswanath, *Estimating Mutual Information for Discrete-Continuous Mixtures*,
    NeurIPS 2017, after Kraskov, Stögbauer and Grassberger.

    Parameters
    ----------
    neighbours : int
        Which nearest neighbour's distance counts, 1 or more.
    literal : bool
        Equation 6 of the paper as it is printed, which counts neighbours among ties wrongly: on rectified values it
        gives nonsense, such as -4.7 nats for two constants. For comparisons.
    threads : int or None
        Pairs at a time; as many as there are cores when not given.
    """

    neighbours: int = 5
    literal: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise UsageError(f"neighbours is {self.neighbours}", expected="1 or more")

    def pairs(self, x: Columns, y: Columns) -> NDArray[np.float64]:
        """See :class:`Estimator`."""
        return np.asarray(self._each(x, y, None)[0])

    def points(self, x: Columns, y: Columns, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """See :class:`Estimator`."""
        return self._each(x, y, rows)

    def _each(self, x: Columns, y: Columns, rows: NDArray[np.intp] | None) -> NDArray[np.float64]:
        """Return points of some samples, or, in place of them, their mean."""
        n = len(x)
        if self.neighbours >= n:
            raise UsageError(f"neighbours is {self.neighbours}", expected=f"below the number of samples, {n}")
        # Distances between numbers far from 0 would be rounded.
        x, y = x - x.mean(0), y - y.mean(0)
        found = np.empty((1 if rows is None else len(rows), x.shape[1], y.shape[1]))
        digamma = np.concatenate([[-np.inf], -np.euler_gamma + np.cumsum(np.r_[0, 1 / np.arange(1, n + 1)])])
        ordered = [np.sort(y[:, j]) for j in range(y.shape[1])]

        def fill(i: int) -> None:
            for j in range(y.shape[1]):
                summands = self._summands(x[:, i], y[:, j], ordered[j], digamma)
                found[:, i, j] = summands.mean() if rows is None else summands[rows]

        with ThreadPoolExecutor(self.threads or os.cpu_count()) as pool:
            list(pool.map(fill, range(x.shape[1])))
        return found

    def _summands(
        self, x: NDArray[np.float64], y: NDArray[np.float64], ordered: NDArray[np.float64], digamma: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        n, k = len(x), self.neighbours
        constant = ordered[0] == ordered[-1] or (x == x[0]).all()
        if constant and not self.literal:
            return np.zeros(n)  # a constant tells nothing, and nothing of it can be told
        order = np.lexsort((y, x))
        along, across = x[order], y[order]
        equal = _equal_pairs(along, across)
        radius = _neighbour_distances(along, across, k, np.flatnonzero(equal <= k))
        if self.literal:
            near = [_count_within(np.sort(v), v, radius, strict=False) for v in (along, across)]
            summands = digamma[k] + np.log(n) - np.log(near[0]) - np.log(near[1])
        else:
            near = [_count_within(s, v, radius, strict=True) for s, v in ((along, along), (ordered, across))]
            ties = radius == 0
            neighbours = np.full(n, k)
            neighbours[ties] = equal[ties]
            summands = digamma[neighbours] + np.log(n) - digamma[near[0]] - digamma[near[1]]
        found = np.empty(n)
        found[order] = summands
        return found


def _neighbour_distances(
    x: NDArray[np.float64], y: NDArray[np.float64], k: int, wanted: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the largest-coordinate distance of samples to their k-th nearest other, 0 for those that are not wanted.

    ``x`` must be sorted. All near ones lie within a window along it, whose width is guessed, and doubled where it
    proves too narrow.
    """
    n = len(x)
    radius = np.zeros(n)
    half = max(k, int(1.2 * np.sqrt(k * n)))
    while len(wanted):
        half = min(half, n)
        windows = [
            sliding_window_view(np.pad(v, half, constant_values=c), 2 * half + 1) for v, c in ((x, np.inf), (y, 0))
        ]
        step = max(1, _TILE_BYTES // (8 * (2 * half + 1)))
        for begin in range(0, len(wanted), step):
            at = wanted[begin : begin + step]
            distance = np.maximum(np.abs(windows[0][at] - x[at, None]), np.abs(windows[1][at] - y[at, None]))
            radius[at] = np.partition(distance, k, axis=1)[:, k]  # the nearest is the sample itself
        # Beyond the window nothing is nearer along x than what lies at its ends.
        edge = np.minimum(x[wanted] - _at(x, wanted - half - 1), _at(x, wanted + half + 1) - x[wanted])
        wanted = wanted[edge < radius[wanted]] if half < n else wanted[:0]
        half *= 2
    return radius


def _at(x: NDArray[np.float64], index: NDArray[np.intp]) -> NDArray[np.float64]:
    outside = np.where(index < 0, -np.inf, np.inf)
    return np.where((index >= 0) & (index < len(x)), x[index.clip(0, len(x) - 1)], outside)


def _count_within(
    ordered: NDArray[np.float64], values: NDArray[np.float64], radius: NDArray[np.float64], strict: bool
) -> NDArray[np.intp]:
    """Return how many samples lie within the radius of each value, itself among them; nearer than it if strict.

    Where the radius is 0, those that are equal count.
    """
    # A sample at the very radius must not come in or stay out by rounding.
    reach = radius * (1 - 1e-10 if strict else 1 + 1e-10)
    low, high = np.searchsorted(ordered, values - reach, "left"), np.searchsorted(ordered, values + reach, "right")
    return np.asarray(high - low)


def _equal_pairs(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return of each sample how many are equal to it, itself among them; sorted by ``x``, then by ``y``."""
    new = np.ones(len(x), bool)
    new[1:] = (x[1:] != x[:-1]) | (y[1:] != y[:-1])
    group = np.cumsum(new) - 1
    return np.asarray(np.bincount(group)[group])


ESTIMATORS: dict[str, Estimator] = {"binned": Binned(), "gaussian-copula": Copula(), "ksg": Ksg()}
"""Estimators by name, with their usual settings."""


def find_estimator(estimator: str | Estimator) -> Estimator:
    """Return the estimator of a name, or the one given.

    Raises
    ------
    ottava.errors.UsageError
        If there is none of that name.
    """
    if not isinstance(estimator, str):
        return estimator
    if estimator not in ESTIMATORS:
        raise UsageError(f"there is no estimator {estimator!r}", expected="one of " + ", ".join(ESTIMATORS))
    return ESTIMATORS[estimator]


def name_estimator(estimator: Estimator) -> str:
    """Return the name of an estimator with its usual settings, or what it is with others."""
    return next((name for name, usual in ESTIMATORS.items() if usual == estimator), repr(estimator))
