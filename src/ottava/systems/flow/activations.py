"""What each unit of each layer says on data: one number for each sample and unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import ceil, prod
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import InputError, UsageError
from ottava.results import check_choice
from ottava.systems.flow.layers import Layer

__all__ = [
    "POOLS",
    "Activations",
    "Network",
    "Pool",
    "as_feed",
    "collect",
    "cut_in_halves",
    "find_end",
    "find_ends",
    "iter_links",
]

Pool = Callable[[Layer, NDArray[np.float32]], NDArray[np.float32]]
"""A layer's values (samples, units, positions...) to (samples, units)."""

POOLS: tuple[str, ...] = ("mean", "max", "each")
"""What is done with values of a unit at several positions: their mean (the paper's choice for convolutions), the
largest, or each for itself, as units of its own."""
_MOST_BYTES = 1 << 28


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
        Samples that the network gets at a time; fewer, if all layers' values of so many are more than 256 MiB.
    most_inputs : int
        Inputs with more values than this are averaged over blocks of neighbours.

    Raises
    ------
    ottava.errors.InputError
        If the network does not accept the data, or a layer's samples cannot be told or are not finite.
    ottava.errors.UsageError
        If ``pool`` is unknown, or ``batch`` or ``most_inputs`` below 1.
    """
    if isinstance(pool, str) and pool not in POOLS:
        raise UsageError(f"pool {pool!r} is unknown", expected="one of " + ", ".join(POOLS))
    if batch < 1:
        raise UsageError(f"batch is {batch}", expected="1 or more")
    n = len(next(iter(feed.values())))
    layers = network.layers
    batch, places = _find_samples(network, feed, batch)
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
                units = _pool(layer, _units_first(layer, value, places[layer.name], count), pool)
            if not np.isfinite(units).all():
                raise InputError(
                    f"layer {layer.name} has values that are not finite",
                    found=f"in samples {begin} to {begin + count - 1}",
                    expected="finite activations",
                )
            shapes[layer.name] = units.shape[1:]
            found[layer.name].append(units.reshape(count, -1).astype(np.float32))
    return Activations({name: np.concatenate(parts) for name, parts in found.items()}, shapes)


class _Samples(NamedTuple):
    """Where the samples of a layer's value lie: their axis, and, if positions share it, whether samples come first."""

    axis: int
    first: bool = True

    def split(self, array: NDArray[Any], count: int) -> NDArray[Any]:
        """Return a value with samples along the first axis; positions that share theirs along the last."""
        moved = np.moveaxis(array, self.axis, 0)
        if len(moved) == count:
            return moved
        rest = moved.shape[1:]
        parted = moved.reshape(count, -1, *rest) if self.first else moved.reshape(-1, count, *rest).swapaxes(0, 1)
        return np.moveaxis(parted, 1, -1)


def _find_samples(network: Network, feed: Mapping[str, NDArray[Any]], batch: int) -> tuple[int, dict[str, _Samples]]:
    """Return how many samples the network takes at a time, and where they lie in each layer's value.

    That is found by asking it for different numbers of samples, and for the same in another order. A network that only
    takes one number of them has them along the first axis, or, in the recurrent operations of ONNX, the last but one.
    """
    n = len(next(iter(feed.values())))
    wanted = [layer.value for layer in network.layers]
    found = []
    for count in (2, 3):
        part = {name: np.resize(array[:count], (count, *array.shape[1:])) for name, array in feed.items()}
        try:
            found.append(network.run(wanted, part))
        except InputError:
            if count == 3:
                raise
            # Between directions and hidden units.
            return 1, {
                layer.name: _Samples(layer.axes[1] - 1 if layer.kind == "recurrent" and len(layer.axes) == 2 else 0)
                for layer in network.layers
            }
    places = {}
    turned: list[NDArray[Any]] = []
    for k, (layer, two, three) in enumerate(zip(network.layers, *found, strict=True)):
        moved = [i for i, (a, b) in enumerate(zip(two.shape, three.shape, strict=True)) if a * 3 == b * 2]
        if len(moved) != 1:
            raise InputError(
                f"the samples of layer {layer.name} cannot be told apart",
                found=f"shape {two.shape} for two samples and {three.shape} for three",
                expected="one axis that grows with them",
            )
        places[layer.name] = _Samples(moved[0])
        if three.shape[moved[0]] != 3:
            turned = turned or network.run(wanted, {name: array[::-1] for name, array in part.items()})
            fitting = [p for p in (_Samples(moved[0]), _Samples(moved[0], False)) if _turns(p, three, turned[k])]
            if not fitting:
                raise InputError(
                    f"the samples of layer {layer.name} cannot be told apart",
                    found=f"shape {three.shape} for three samples",
                    expected="one axis that grows with them, in which they follow each other",
                )
            places[layer.name] = fitting[0]
    held = sum(value.nbytes for value in found[1]) / 3
    return max(1, min(batch, n, int(_MOST_BYTES / held))), places


def _turns(samples: _Samples, value: NDArray[Any], turned: NDArray[Any]) -> bool:
    """Return whether a value of three samples is that of the same in reverse order."""
    one, other = (samples.split(np.asarray(v, np.float64), 3) for v in (value, turned))
    return np.allclose(one, other[::-1], rtol=1e-3, atol=1e-4 * (1 + float(np.abs(one).max())))


def _units_first(layer: Layer, value: NDArray[Any], samples: _Samples, count: int) -> NDArray[np.float32]:
    """Return values as (samples, units, positions...)."""
    units = [a % value.ndim for a in layer.axes]
    # The axis of samples comes first, all others keep their order, and a new one may follow.
    array = samples.split(np.asarray(value, np.float32), count)
    units = [1 + a - (a > samples.axis) for a in units]
    positions = [a for a in range(1, array.ndim) if a not in units]
    array = array.transpose(0, *units, *positions)
    return array.reshape(count, prod(array.shape[1 : 1 + len(units)]), *array.shape[1 + len(units) :])


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
    for axis, size in enumerate(cut_in_halves(array.shape[1:], most), start=1):
        if size == array.shape[axis]:
            continue
        edges = np.linspace(0, array.shape[axis], size + 1).astype(int)
        sums = np.add.reduceat(array, edges[:-1], axis=axis)
        counts = np.diff(edges).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
        array = (sums / counts).astype(np.float32)
    return array


def cut_in_halves(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Return a shape of at most so many values: the longest axis is halved until it fits.

    Raises
    ------
    ottava.errors.UsageError
        If not even one value may be left.
    """
    if most < 1:
        raise UsageError(f"at most {most} values of an input", expected="1 or more")
    parts = list(shape)
    while prod(parts) > most:
        longest = int(np.argmax(parts))
        parts[longest] = ceil(parts[longest] / 2)
    return tuple(parts)


def find_end(ends: Sequence[str], inner: Iterable[str], output: str | None) -> str:
    """Return the layer whose units are explained: the one named, or the only one that outputs come from.

    Parameters
    ----------
    ends : sequence of str
        Layers that outputs come from.
    inner : iterable of str
        All layers but the inputs.
    output : str or None
        The one that is wanted.

    Raises
    ------
    ottava.errors.UsageError
        If there is no such layer, or several to choose from.
    """
    if output is None and len(ends) != 1:
        raise UsageError("the network has several outputs", expected="output, one of " + ", ".join(ends))
    return ends[0] if output is None else check_choice("output", output, tuple(inner))


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
