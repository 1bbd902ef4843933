"""What each unit of each layer says on data: one number for each sample and unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil, prod
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import InputError, UsageError
from ottava.systems.flow.layers import Layer

__all__ = ["POOLS", "Activations", "Network", "Pool", "as_feed", "collect", "find_ends", "iter_links"]

Pool = Callable[[Layer, NDArray[np.float32]], NDArray[np.float32]]
"""A layer's values (samples, units, positions...) to (samples, units)."""

POOLS: tuple[str, ...] = ("mean", "max", "each")
"""What is done with values of a unit at several positions: their mean (the paper's choice for convolutions), the
largest, or each for itself, as units of its own."""


class Network(Protocol):
    """A network whose inner values can be read: :class:`.graph.OnnxNetwork`, or a torch module."""

    inputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    outputs: Mapping[str, tuple[str, ...]]

    def run(self, values: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return values by name for inputs whose first axis is samples."""


class Activations(NamedTuple):
    """Samples of all units.

    Parameters
    ----------
    values : dict of str to ndarray of float32, shape (samples, units)
        By name of the layer.
    shapes : dict of str to tuple of int
        How the units of a layer lie: of an input, the axes of one sample, coarser where there were too many.
    """

    values: dict[str, NDArray[np.float32]]
    shapes: dict[str, tuple[int, ...]]


def as_feed(network: Network, data: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
    """Return data as arrays by the names of a network's inputs, checked.

    Parameters
    ----------
    network : Network
        Who is to read it.
    data : array_like or dict of str to array_like
        One array suffices for a network of one input. The first axis is samples.

    Raises
    ------
    ottava.errors.InputError
        If inputs are missing, unknown, not of equally many samples, or have values that are not finite.
    """
    if isinstance(data, Mapping):
        feed = {str(name): np.asarray(array) for name, array in data.items()}
    elif len(network.inputs) == 1:
        feed = {network.inputs[0]: np.asarray(data)}
    else:
        raise InputError("the network has several inputs", found="one array", expected=", ".join(network.inputs))
    if feed.keys() != set(network.inputs):
        raise InputError(
            "these are not the network's inputs", found=", ".join(feed), expected=", ".join(network.inputs)
        )
    counts = {name: len(array) if array.ndim else 0 for name, array in feed.items()}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        found = ", ".join(f"{name} {feed[name].shape}" for name in feed)
        raise InputError("inputs differ in samples", found=found, expected="as many along the first axis of all")
    for name, array in feed.items():
        if array.dtype.kind not in "fiub":
            raise InputError(f"input {name} has no real numbers", found=str(array.dtype), expected="floats or integers")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"input {name} has values that are not finite", expected="finite numbers")
    return feed


def collect(
    network: Network,
    feed: Mapping[str, NDArray[Any]],
    *,
    pool: str | Pool = "mean",
    batch: int = 64,
    most_inputs: int = 4096,
) -> Activations:
    """Return what all units of a network say on all samples.

    Parameters
    ----------
    network : Network
        The network.
    feed : dict of str to ndarray
        From :func:`as_feed`.
    pool : {"mean", "max", "each"} or callable
        What becomes of positions; see :data:`POOLS` and :data:`Pool`. Inputs are never pooled.
    batch : int
        Samples that the network gets at a time.
    most_inputs : int
        Inputs with more values than this are averaged over blocks of neighbours.

    Raises
    ------
    ottava.errors.InputError
        If the network does not accept the data, or a layer's samples cannot be told or are not finite.
    ottava.errors.UsageError
        If ``pool`` is unknown.
    """
    if isinstance(pool, str) and pool not in POOLS:
        raise UsageError(f"pool {pool!r} is unknown", expected="one of " + ", ".join(POOLS))
    n = len(next(iter(feed.values())))
    layers = network.layers
    batch, axes = _sample_axes(network, feed, batch)
    found: dict[str, list[NDArray[np.float32]]] = {layer.name: [] for layer in layers}
    shapes: dict[str, tuple[int, ...]] = {}
    for begin in range(0, n, batch):
        part = {name: array[begin : begin + batch] for name, array in feed.items()}
        values = network.run([layer.value for layer in layers], part)
        count = len(next(iter(part.values())))
        for layer, value in zip(layers, values, strict=True):
            if layer.kind == "input":
                units = _coarser(np.asarray(value, np.float32), most_inputs)
            else:
                units = _pool(layer, _units_first(layer, value, axes[layer.name], count), pool)
            if not np.isfinite(units).all():
                raise InputError(
                    f"layer {layer.name} has values that are not finite",
                    found=f"in samples {begin} to {begin + count - 1}",
                    expected="finite activations",
                )
            shapes[layer.name] = units.shape[1:]
            found[layer.name].append(units.reshape(count, -1).astype(np.float32))
    return Activations({name: np.concatenate(parts) for name, parts in found.items()}, shapes)


def _sample_axes(network: Network, feed: Mapping[str, NDArray[Any]], batch: int) -> tuple[int, dict[str, int]]:
    """Return how many samples the network takes at a time, and the axis of each layer's value along which they lie.

    They are found by asking it for different numbers of samples. A network that only takes one number of them has
    them along the first axis, or, in the recurrent operations of ONNX, the third.
    """
    n = len(next(iter(feed.values())))
    shapes = []
    for count in (2, 3):
        part = {name: np.resize(array[:count], (count, *array.shape[1:])) for name, array in feed.items()}
        try:
            values = network.run([layer.value for layer in network.layers], part)
        except InputError:
            if count == 3:
                raise
            return 1, {
                layer.name: 2 if layer.kind == "recurrent" and len(layer.axes) == 2 else 0 for layer in network.layers
            }
        shapes.append([value.shape for value in values])
    axes = {}
    for layer, two, three in zip(network.layers, *shapes, strict=True):
        moved = [i for i, (a, b) in enumerate(zip(two, three, strict=True)) if a * 3 == b * 2]
        if len(moved) != 1:
            raise InputError(
                f"the samples of layer {layer.name} cannot be told apart",
                found=f"shape {two} for two samples and {three} for three",
                expected="one axis that grows with them",
            )
        axes[layer.name] = moved[0]
    return min(batch, n), axes


def _units_first(layer: Layer, value: NDArray[Any], axis: int, count: int) -> NDArray[np.float32]:
    """Return values as (samples, units, positions...)."""
    units = [a % value.ndim for a in layer.axes]
    positions = [a for a in range(value.ndim) if a not in (*units, axis)]
    array = np.asarray(value, np.float32).transpose(axis, *units, *positions)
    size = prod(array.shape[1 : 1 + len(units)])
    array = array.reshape(len(array), size, *array.shape[1 + len(units) :])
    if len(array) != count:  # samples and positions share an axis, samples first
        array = np.moveaxis(array.reshape(count, -1, *array.shape[1:]), 1, 2)
    return array


def _pool(layer: Layer, array: NDArray[np.float32], pool: str | Pool) -> NDArray[np.float32]:
    if callable(pool):
        return pool(layer, array)
    if array.ndim == 2 or pool == "each":
        return array
    positions = tuple(range(2, array.ndim))
    found: NDArray[np.float32] = array.mean(positions) if pool == "mean" else array.max(positions)
    return found


def _coarser(array: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Average an input over blocks until a sample has few enough values; its longest axes are shortened."""
    if prod(array.shape[1:]) <= most:
        return array
    shape = list(array.shape[1:])
    while prod(shape) > most:
        longest = int(np.argmax(shape))
        shape[longest] = ceil(shape[longest] / 2)
    for axis, size in enumerate(shape, start=1):
        edges = np.linspace(0, array.shape[axis], size + 1).astype(int)
        sums = np.add.reduceat(array, edges[:-1], axis=axis)
        counts = np.diff(edges).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
        array = (sums / counts).astype(np.float32)
    return array


def find_ends(network: Network) -> tuple[str, ...]:
    """Return the names of all layers that outputs come from, in the network's order."""
    ends = {name for names in network.outputs.values() for name in names}
    return tuple(layer.name for layer in network.layers if layer.name in ends)


def iter_links(layers: Sequence[Layer]) -> Iterator[tuple[Layer, Layer]]:
    """Yield pairs of layers of which the second reads the first."""
    by_name = {layer.name: layer for layer in layers}
    for layer in layers:
        for source in layer.sources:
            yield by_name[source], layer
