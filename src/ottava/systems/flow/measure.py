"""From a network and data to a flow map."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import InputError
from ottava.results import FlowMap, check_choice
from ottava.spec import resolve
from ottava.systems.flow.activations import Network, Pool, as_feed, collect, find_ends, iter_links
from ottava.systems.flow.estimators import Estimator, find_estimator, name_estimator
from ottava.systems.flow.graph import OnnxNetwork
from ottava.systems.flow.information import pairwise_information, significant
from ottava.systems.flow.paths import share_through
from ottava.systems.flow.ranks import LEAST_SAMPLES, normal_scores, rank_columns

__all__ = ["REDUNDANCIES", "find_network", "information_flow"]

REDUNDANCIES: tuple[str, ...] = ("none", "paper", "mrmr")
"""What is taken off a link's information for what other units of the layer before tell, too."""


def find_network(model: Any, data: ArrayLike | Mapping[str, ArrayLike]) -> Network:
    """Return a network whose inner values can be read.

    Parameters
    ----------
    model : path-like, torch.nn.Module, or Network
        An ONNX file, a torch module, or what this function returned before.
    data : array_like or dict of str to array_like
        What it is to read: torch modules are run on two samples to find their layers.

    Raises
    ------
    ottava.errors.InputError
        If it is none of these, or its layers cannot be found.
    ottava.errors.MissingError
        If there is no such file.
    """
    if isinstance(model, (str, os.PathLike)):
        return OnnxNetwork(model)
    if all(hasattr(model, name) for name in ("run", "layers", "inputs", "outputs")):
        network: Network = model
        return network
    if hasattr(model, "named_parameters"):
        traced: Network = resolve("ottava.systems.flow.train.trace:TorchNetwork")(model, data)
        return traced
    raise InputError("this is no network", found=type(model).__name__, expected="an ONNX file or a torch.nn.Module")


def information_flow(
    model: Any,
    data: ArrayLike | Mapping[str, ArrayLike],
    *,
    estimator: str | Estimator = "binned",
    pool: str | Pool = "mean",
    redundancy: str = "none",
    beta: float = 5e-4,
    rate: float | None = 0.05,
    screen: float = 1.0,
    batch: int = 64,
    most_inputs: int = 4096,
    seed: int = 0,
) -> FlowMap:
    """Return how much the units of consecutive layers of a network tell of each other.

    After S. B. Davis, U. Bhatt, K. Bhardwaj, R. Marculescu and J. M. F. Moura, *On Network Science and Mutual
    Information for Explaining Deep Neural Networks*, ICASSP 2020. A unit is an input value, a neuron, or a channel of a
    convolution; a link is the mutual information of two units over the samples (equations 5 and 6, corrected as
    :mod:`ottava.systems.flow` tells).

    Parameters
    ----------
    model : path-like, torch.nn.Module, or Network
        See :func:`find_network`.
    data : array_like or dict of str to array_like
        Inputs, samples along the first axis. Held-out data tells what the network does, not what it has learned by
        heart.
    estimator : {"binned", "gaussian-copula", "ksg"} or Estimator
        How information is estimated; see :mod:`.estimators`.
    pool : {"mean", "max", "each"} or callable
        What becomes of a unit's values at several positions; see :data:`.activations.POOLS`.
    redundancy : {"none", "paper", "mrmr"}
        ``"paper"`` is equation 3 as printed: the information of the *whole* layer before with the unit (by a Gaussian
        copula), less ``beta`` times the information of the link's source with those units before it in the layer.
        ``"mrmr"`` is the link's own information, less ``beta`` times the source's mean information with all others.
    beta : float
        Weight of the redundancy; the paper's is 5e-4.
    rate : float or None
        Links that chance would give are 0: this share of those that stay, the false discovery rate, may still be
        chance. None keeps all. See :func:`.information.significant`.
    screen : float
        See :func:`.information.pairwise_information`.
    batch : int
        Samples that the network gets at a time.
    most_inputs : int
        Inputs with more values are averaged over blocks of neighbours.
    seed : int
        Of the shuffles that tell what chance gives.

    Returns
    -------
    FlowMap
        Negative estimates are 0.

    Raises
    ------
    ottava.errors.InputError
        If the model or the data cannot be used.
    ottava.errors.UsageError
        If an option is unknown or out of range.
    """
    check_choice("redundancy", redundancy, REDUNDANCIES)
    network, method = find_network(model, data), find_estimator(estimator)
    feed = as_feed(network, data)
    n = len(next(iter(feed.values())))
    if n < LEAST_SAMPLES:
        raise InputError("too few samples to tell information", found=str(n), expected=f"{LEAST_SAMPLES} or more")
    if all((array == array[:1]).all() for array in feed.values()):
        raise InputError("no input varies over the samples", found=f"{n} equal ones", expected="different ones")
    found = collect(network, feed, pool=pool, batch=batch, most_inputs=most_inputs)
    edges: dict[tuple[str, str], NDArray[np.float64]] = {}
    among: dict[str, NDArray[np.float64]] = {}
    for source, reader in iter_links(network.layers):
        x, y = found.values[source.name], found.values[reader.name]
        nats = pairwise_information(x, y, estimator=method, screen=screen)
        kept = 1.0 if rate is None else significant(nats, x, y, estimator=method, screen=screen, rate=rate, seed=seed)
        if redundancy != "none":
            if source.name not in among:
                among[source.name] = pairwise_information(x, x, estimator=method)
            nats = np.maximum(_less_redundancy(nats, x, y, among[source.name], redundancy, beta), 0)
        edges[source.name, reader.name] = nats * kept
    sizes = {layer.name: found.values[layer.name].shape[1] for layer in network.layers}
    shapes = {name: shape for name, shape in found.shapes.items() if len(shape) > 1}
    measured = {
        "estimator": name_estimator(method),
        "samples": n,
        "pool": pool if isinstance(pool, str) else getattr(pool, "__name__", type(pool).__name__),
        "redundancy": redundancy,
        "beta": beta if redundancy != "none" else None,
        "rate": rate,
        "screen": screen,
        "most_inputs": most_inputs,
        "seed": seed,
    }
    return map_flow(sizes, edges, find_ends(network), shapes=shapes, measured=measured)


def map_flow(
    sizes: Mapping[str, int],
    edges: Mapping[tuple[str, str], NDArray[np.float64]],
    outputs: tuple[str, ...],
    *,
    signs: Mapping[tuple[str, str], NDArray[np.float64]] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    axes: Mapping[str, tuple[tuple[str, float, float], ...]] | None = None,
    measured: Mapping[str, str | int | float | None] | None = None,
) -> FlowMap:
    """Return the flow map of links that were measured.

    Parameters
    ----------
    sizes : dict of str to int
        Units of each layer, in order.
    edges : dict of (str, str) to ndarray
        Information of links, 0 or more.
    outputs : tuple of str
        Layers that the outputs come from.
    signs : dict of (str, str) to ndarray or None
        1 or -1 for links whose units rise together, or against each other.
    shapes, axes, measured : dict or None
        See :class:`ottava.results.FlowMap`.
    """
    information = np.concatenate(list(share_through(sizes, edges, outputs).values()))
    attribution = information
    if signs is not None:
        signed = {ends: nats * signs[ends] for ends, nats in edges.items()}
        attribution = np.concatenate(list(share_through(sizes, signed, outputs).values()))
    return FlowMap(
        np.repeat(list(sizes), list(sizes.values())),
        np.concatenate([np.arange(size) for size in sizes.values()]),
        information,
        attribution,
        edges,
        shapes or {},
        axes or {},
        outputs,
        measured or {},
    )


def _less_redundancy(
    nats: NDArray[np.float64],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    among: NDArray[np.float64],
    redundancy: str,
    beta: float,
) -> NDArray[np.float64]:
    """Return what a link tells less what other units of its source's layer tell of the source, ``among`` them."""
    if redundancy == "mrmr":
        others = among.sum(1, keepdims=True) - np.diag(among)[:, None]
        return np.asarray(nats - beta * others / max(len(among) - 1, 1))
    return np.asarray(_of_whole(x, y) - beta * np.tril(among, -1).sum(1, keepdims=True))


def _of_whole(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the information of all columns of one set together with each of another, (1, columns), by a copula."""
    scores = [normal_scores(rank_columns(np.asarray(columns, np.float64))) for columns in (x, y)]
    n, d = scores[0].shape
    within = scores[0].T @ scores[0] / n + (d / n + 1e-6) * np.eye(d)  # as many columns as samples explain anything
    across = scores[0].T @ scores[1] / n
    explained = (across * np.linalg.solve(within, across)).sum(0, keepdims=True)
    whole: NDArray[np.float64] = -0.5 * np.log1p(-np.clip(explained, 0, 1 - 1 / n**2))
    return whole
