"""Variants of one input, in which parts are faded out or exchanged: what an explanation of one case is measured on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.systems.flow.activations import cut_in_halves

__all__ = ["Variants"]


class Variants:
    """Variants of one sample.

    Numbers with fractions are faded towards what a twentieth along their longest axis stays below (a spectrogram's
    floor); whole numbers, which are symbols, are exchanged for those at other places along the first axis (another
    bar's), or along the second if the first has one place.

    Parameters
    ----------
    inputs : dict of str to ndarray
        Inputs by name, one sample each.
    count : int
        How many; the first is the sample itself.
    keep : float
        How likely a part stays as it is, above 0, below 1.
    most_parts : int
        An input is cut into at most so many parts: blocks of neighbours.
    parts : dict of str to tuple of int or None
        Of inputs by name, in how many parts their axes are cut, whatever ``most_parts`` says.
    seed : int
        Which parts are kept.

    Raises
    ------
    ottava.errors.UsageError
        If ``most_parts`` is below 1.
    """

    def __init__(
        self,
        inputs: Mapping[str, NDArray[Any]],
        count: int,
        keep: float = 0.7,
        most_parts: int = 600,
        parts: Mapping[str, tuple[int, ...]] | None = None,
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.count = count
        self._inputs = {name: np.asarray(array)[0] for name, array in inputs.items()}
        self.shapes: dict[str, tuple[int, ...]] = {}
        """In how many parts the axes of each input are cut."""
        self._kept: dict[str, NDArray[np.bool_]] = {}
        self._others: dict[str, NDArray[np.intp]] = {}
        self._floors: dict[str, NDArray[Any]] = {}
        for name, array in self._inputs.items():
            shape = tuple(map(min, (parts or {}).get(name) or _parts(array.shape, most_parts), array.shape))
            self.shapes[name] = shape
            self._kept[name] = rng.random((count, *shape)) < keep
            self._kept[name][0] = True
            if array.dtype.kind == "f":
                longest = int(np.argmax(array.shape))
                self._floors[name] = np.quantile(array, 0.05, axis=longest, keepdims=True).astype(array.dtype)
            else:
                places = array.shape[_along(array)] if array.ndim else 1
                self._others[name] = rng.integers(0, max(places, 1), (count, *shape))

    def masks(self, rows: slice) -> dict[str, NDArray[np.float32]]:
        """Return which parts of variants are as they were, 1 or 0, (variants, parts) by name of the input.

        A symbol that was exchanged for an equal one is as it was.
        """
        found = {}
        for name, kept in self._kept.items():
            same = kept[rows]
            if name in self._others:
                same = same | _all_of_parts(self._make(name, rows) == self._inputs[name], self.shapes[name])
            found[name] = same.reshape(len(same), -1).astype(np.float32)
        return found

    def feed(self, rows: slice) -> dict[str, NDArray[Any]]:
        """Return variants as inputs of the network."""
        return {name: self._make(name, rows) for name in self._inputs}

    def _make(self, name: str, rows: slice) -> NDArray[Any]:
        array, kept = self._inputs[name], self._kept[name][rows]
        spread = _spread(kept, array.shape)
        if name not in self._others:
            return np.asarray(np.where(spread, array, self._floors[name]))
        place = _spread(self._others[name][rows], array.shape)
        others = np.take_along_axis(array[None], place.reshape(len(place), *array.shape), axis=1 + _along(array))
        return np.asarray(np.where(spread, array, others))


def _along(array: NDArray[Any]) -> int:
    """Return the axis along which symbols are exchanged."""
    return int(array.ndim > 1 and len(array) == 1)


def _parts(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Return in how many parts to cut the axes: longest ones are halved; a short first axis is one part."""
    parts = list(shape)
    if len(parts) > 2 and parts[0] <= 4:
        parts[0] = 1  # channels that show the same
    return cut_in_halves(tuple(parts), most)


def _places(size: int, parts: int) -> NDArray[np.intp]:
    """Return the part of each place along an axis."""
    return np.minimum(np.arange(size) * parts // size, parts - 1)


def _spread(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return values of parts (variants, *parts) at all places (variants, *shape)."""
    for axis, size in enumerate(shape, start=1):
        values = np.take(values, _places(size, values.shape[axis]), axis=axis)
    return values


def _all_of_parts(values: NDArray[np.bool_], parts: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return of each part whether all its places (variants, *shape) are true."""
    for axis, count in enumerate(parts, start=1):
        edges = np.searchsorted(_places(values.shape[axis], count), np.arange(count))
        values = np.logical_and.reduceat(values, edges, axis=axis)
    return values
