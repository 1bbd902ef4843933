"""Maps of single samples: what each adds to the information of links, multiplied along paths (section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.results import check_choice
from ottava.systems.flow.activations import (
    Activations,
    Network,
    Pool,
    as_feed,
    collect,
    find_end,
    find_ends,
    iter_links,
)
from ottava.systems.flow.estimators import Estimator, find_estimator
from ottava.systems.flow.information import pointwise_information
from ottava.systems.flow.measure import find_network
from ottava.systems.flow.paths import NORMALS, sum_paths

__all__ = ["SIGNS", "attribute_samples", "end_of", "multiply_points"]

SIGNS: tuple[str, ...] = ("signed", "absolute", "positive")
"""What is multiplied: nats with their signs, as in the paper, where an even number of negative ones along a path make a
positive one; their sizes; or those above 0 alone."""
_MOST_BYTES = 1 << 27


def attribute_samples(
    model: Any,
    data: ArrayLike | Mapping[str, ArrayLike],
    rows: ArrayLike,
    *,
    output: str | None = None,
    estimator: str | Estimator = "gaussian-copula",
    pool: str | Pool = "mean",
    signs: str = "signed",
    normalize: str = "layer",
    batch: int = 64,
    most_inputs: int = 4096,
) -> dict[str, NDArray[np.float64]]:
    """Return, of single samples, how much each input value speaks for each output unit.

    Parameters
    ----------
    model, data
        See :func:`.measure.information_flow`. All samples tell what is usual.
    rows : array_like of int, shape (r,)
        Samples that are explained.
    output : str or None
        Name of the layer whose units are explained; needed where the network has several ends.
    estimator, pool
        See :func:`.measure.information_flow`.
    signs : {"signed", "absolute", "positive"}
        See :data:`SIGNS`.
    normalize : {"none", "layer", "unit"}
        See :data:`.paths.NORMALS`.
    batch, most_inputs
        See :func:`.measure.information_flow`.

    Returns
    -------
    dict of str to ndarray of float64, shape (r, *input's, units)
        By name of the input.

    Raises
    ------
    ottava.errors.InputError
        If the model or the data cannot be used.
    ottava.errors.UsageError
        If an option is unknown, there is no such sample, or several outputs to choose from.
    """
    check_choice("signs", signs, SIGNS)
    check_choice("normalize", normalize, NORMALS)
    network, method = find_network(model, data), find_estimator(estimator)
    last = end_of(network, output)
    index = np.atleast_1d(np.asarray(rows, np.intp))
    found = collect(network, as_feed(network, data), pool=pool, batch=batch, most_inputs=most_inputs)
    return multiply_points(network, found, index, last, method, signs, normalize)


def end_of(network: Network, output: str | None) -> str:
    """Return the layer of a network whose units are explained; see :func:`.activations.find_end`."""
    return find_end(find_ends(network), (layer.name for layer in network.layers if layer.kind != "input"), output)


def multiply_points(
    network: Network,
    found: Activations,
    rows: NDArray[np.intp],
    output: str,
    estimator: Estimator,
    signs: str,
    normalize: str,
) -> dict[str, NDArray[np.float64]]:
    """Return maps of samples whose activations are known; see :func:`attribute_samples`."""
    sizes = {layer.name: found.values[layer.name].shape[1] for layer in network.layers}
    links = list(iter_links(network.layers))
    held = 8 * sum(sizes[source.name] * sizes[reader.name] for source, reader in links)
    block = max(1, _MOST_BYTES // held)
    maps: dict[str, list[NDArray[np.float64]]] = {}
    for begin in range(0, len(rows), block):
        part = rows[begin : begin + block]
        nats = {
            (source.name, reader.name): pointwise_information(
                found.values[source.name], found.values[reader.name], part, estimator=estimator
            )
            for source, reader in links
        }
        if signs != "signed":
            nats = {pair: np.abs(v) if signs == "absolute" else np.maximum(v, 0) for pair, v in nats.items()}
        for start in network.inputs:
            for k in range(len(part)):
                of_sample = {pair: values[k] for pair, values in nats.items()}
                if (reached := sum_paths(sizes, of_sample, start, normalize=normalize).get(output)) is not None:
                    maps.setdefault(start, []).append(reached)
    return {start: np.stack(each).reshape(len(rows), *found.shapes[start], -1) for start, each in maps.items()}
