"""Sums and maxima over the paths of a network, without listing them.

A path's weight is the product of its links' (equation 4 of the paper). The sum over all paths between two units is an
entry of a product of matrices, layer by layer; over networks with residuals and branches, of sums of such products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ottava.errors import UsageError
from ottava.results import FlowMap, check_choice
from ottava.systems.flow.activations import find_end

__all__ = ["NORMALS", "Path", "attribute", "best_paths", "keep_links", "share_through", "sum_paths"]

NORMALS: tuple[str, ...] = ("none", "layer", "unit")
"""By what links are divided before they are multiplied: nothing; the sum of all links into their layer, which keeps the
order of attributions in a chain; or the sum of all into their unit, so that shares are passed on and none is lost."""

Edges = Mapping[tuple[str, str], NDArray[np.floating]]


def sum_paths(
    sizes: Mapping[str, int], edges: Edges, start: str, *, normalize: str = "none"
) -> dict[str, NDArray[np.float64]]:
    """Return the sum over all paths from each unit of a layer to each of all others.

    Parameters
    ----------
    sizes : dict of str to int
        Units of each layer, layers in an order in which each comes after those that it reads.
    edges : dict of (str, str) to ndarray
        Links from a layer's units to those of one that reads it.
    start : str
        Where paths begin.
    normalize : {"none", "layer", "unit"}
        See :data:`NORMALS`.

    Returns
    -------
    dict of str to ndarray of float64, shape (units of start, units)
        By layer, for those that can be reached from it.
    """
    check_choice("normalize", normalize, NORMALS)
    scaled = _normalize(edges, normalize)
    found: dict[str, NDArray[np.float64]] = {}
    for name in sizes:
        incoming = [found[a] @ weights for (a, b), weights in scaled.items() if b == name and a in found]
        if (start, name) in scaled:
            incoming.append(scaled[start, name])
        if incoming:
            found[name] = np.sum(incoming, axis=0)
    return found


def _normalize(edges: Edges, normalize: str) -> dict[tuple[str, str], NDArray[np.float64]]:
    scaled = {ends: np.asarray(weights, np.float64) for ends, weights in edges.items()}
    if normalize == "none":
        return scaled
    readers = dict.fromkeys(reader for _, reader in scaled)
    for name in readers:
        total = np.sum([np.abs(weights).sum(0) for (_, b), weights in scaled.items() if b == name], axis=0)
        if normalize == "layer":
            total = np.full_like(total, total.sum())
        scale = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
        scaled |= {ends: weights * scale for ends, weights in scaled.items() if ends[1] == name}
    return scaled


def share_through(sizes: Mapping[str, int], edges: Edges, outputs: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the share of the information on its way to the outputs that goes through each unit.

    Every unit of the layers that end the network has an equal part of 1. Each unit passes its part on to those that it
    reads from, by their links' information.

    Parameters
    ----------
    sizes, edges
        See :func:`sum_paths`.
    outputs : sequence of str
        Layers that the outputs come from.

    Returns
    -------
    dict of str to ndarray of float64, shape (units,)
        By layer. What a unit cannot pass on, because nothing tells of it, is lost.
    """
    scaled = _normalize(edges, "unit")
    ends = sum(sizes[name] for name in outputs)
    parts = {name: np.full(size, 1 / ends if name in outputs else 0.0) for name, size in sizes.items()}
    for name in reversed(list(sizes)):
        for (source, reader), weights in scaled.items():
            if reader == name:
                parts[source] = parts[source] + weights @ parts[name]
    return parts


def keep_links(flow: FlowMap, most: int) -> FlowMap:
    """Return a map with the links that pass on the largest shares; the others have no information.

    Parameters
    ----------
    flow : FlowMap
        A map; its units keep what they have.
    most : int
        How many links are kept, 1 or more.

    Returns
    -------
    FlowMap
        ``measured["links"]`` says how many of how many were kept, if not all.
    """
    count = sum(np.count_nonzero(nats) for nats in flow.edges.values())
    if count <= most:
        return flow
    shares = {
        ends: links * flow.information[flow.layer == ends[1]] for ends, links in _normalize(flow.edges, "unit").items()
    }
    every = np.concatenate([links.ravel() for links in shares.values()])
    kept = np.zeros(len(every), bool)
    kept[np.argpartition(every, -most)[-most:]] = True
    bounds = np.cumsum([links.size for links in shares.values()])[:-1]
    parts = dict(zip(shares, np.split(kept, bounds), strict=True))
    edges = {ends: nats * parts[ends].reshape(nats.shape) for ends, nats in flow.edges.items()}
    return replace(flow, edges=edges, measured={**flow.measured, "links": f"{most} of {count}"})


def attribute(flow: FlowMap, *, output: str | None = None, normalize: str = "none") -> dict[str, NDArray[np.float64]]:
    """Return how much each input value contributes to each output unit: equation 4, for all samples together.

    Parameters
    ----------
    flow : FlowMap
        From :func:`.measure.information_flow`.
    output : str or None
        Name of the layer whose units are explained; needed where the network has several ends.
    normalize : {"none", "layer", "unit"}
        See :data:`NORMALS`. ``"none"`` is the paper's.

    Returns
    -------
    dict of str to ndarray of float64, shape (*input's, units)
        By name of the input.

    Raises
    ------
    ottava.errors.UsageError
        If there is no such layer, or several outputs to choose from.
    """
    name = find_end(flow.outputs, (name for name in flow.layers if name not in flow.inputs), output)
    found = {}
    for start in flow.inputs:
        sums = sum_paths(flow.layers, flow.edges, start, normalize=normalize)
        if name in sums:
            found[start] = sums[name].reshape(*flow.shapes.get(start, (flow.layers[start],)), -1)
    return found


@dataclass(frozen=True)
class Path:
    """One way through a network.

    Parameters
    ----------
    weight : float
        Product of its links' information.
    units : tuple of (str, int)
        Layer and number of each unit on it, from an input to an output.
    """

    weight: float
    units: tuple[tuple[str, int], ...]


def best_paths(flow: FlowMap, unit: int, *, output: str | None = None, count: int = 5) -> list[Path]:
    """Return the paths of the largest weight that end in a unit, best first.

    Parameters
    ----------
    flow : FlowMap
        From :func:`.measure.information_flow`.
    unit : int
        Number of the output's unit, from 0 on.
    output : str or None
        See :func:`attribute`.
    count : int
        How many, 1 or more.

    Returns
    -------
    list of Path
        Fewer where there are fewer of a weight above 0. Work and memory grow with the links, not with the paths.

    Raises
    ------
    ottava.errors.UsageError
        If there is no such unit.
    """
    name = find_end(flow.outputs, (name for name in flow.layers if name not in flow.inputs), output)
    sizes = flow.layers
    if not 0 <= unit < sizes[name]:
        raise UsageError(f"{name} has no unit {unit}", expected=f"0 to {sizes[name] - 1}")
    if count < 1:
        raise UsageError(f"count is {count}", expected="1 or more")
    # Of each unit the best partial paths that end in it: logarithms of weights, and where each comes from.
    score: dict[str, NDArray[np.float64]] = {}
    back: dict[str, NDArray[np.int64]] = {}
    origins: dict[str, list[str]] = {}
    for layer, size in sizes.items():
        sources = [a for a, b in flow.edges if b == layer and a in score]
        if not sources:
            score[layer] = np.full((size, count), -np.inf)
            score[layer][:, 0] = 0
            back[layer] = np.full((size, count, 3), -1)
            continue
        origins[layer] = sources
        values, places = [], []
        for number, source in enumerate(sources):
            with np.errstate(divide="ignore"):
                links = np.log(np.asarray(flow.edges[source, layer], np.float64))
            values.append((score[source][:, :, None] + links[:, None, :]).reshape(-1, size))
            at = np.indices(score[source].shape).reshape(2, -1).T
            places.append(np.column_stack([np.full(len(at), number), at]))
        every, where = np.concatenate(values), np.concatenate(places)
        kept = min(count, len(every))
        order = np.argsort(-every, axis=0, kind="stable")[:kept]
        best = np.take_along_axis(every, order, 0).T
        score[layer] = np.pad(best, ((0, 0), (0, count - kept)), constant_values=-np.inf)
        back[layer] = np.pad(where[order].transpose(1, 0, 2), ((0, 0), (0, count - kept), (0, 0)))
    return [
        Path(float(np.exp(score[name][unit, rank])), _walk(back, origins, name, unit, rank))
        for rank in range(count)
        if np.isfinite(score[name][unit, rank])
    ]


def _walk(
    back: Mapping[str, NDArray[np.int64]], origins: Mapping[str, list[str]], layer: str, unit: int, rank: int
) -> tuple[tuple[str, int], ...]:
    units = [(layer, unit)]
    while layer in origins:
        number, unit, rank = (int(x) for x in back[layer][unit, rank])
        layer = origins[layer][number]
        units.append((layer, unit))
    return tuple(reversed(units))
