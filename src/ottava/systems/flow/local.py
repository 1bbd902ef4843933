"""Why a network says one thing of one input: the flow of information from parts of the input to what is said.

The samples are variants of the input (:class:`.variants.Variants`), so that what is measured is what the network does
with this input, and nothing that happens to go together in the world. A layer's unit is what it says at those positions
that have to do with what is explained: positions are weighed by how they vary with it, as in the first component of
partial least squares, over one half of the variants; information is measured on the other half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.errors import InputError, UsageError
from ottava.results import FlowMap
from ottava.runtime.questions import Question
from ottava.systems.flow.activations import Network, collect
from ottava.systems.flow.estimators import Estimator, find_estimator, name_estimator
from ottava.systems.flow.information import pairwise_information, significant
from ottava.systems.flow.layers import Layer
from ottava.systems.flow.measure import map_flow
from ottava.systems.flow.ranks import normal_scores, rank_columns
from ottava.systems.flow.variants import Variants

__all__ = ["TARGET", "explain_one"]

TARGET = "answer"
"""Name of the last layer of the map: what is explained, one unit."""


def explain_one(
    network: Network,
    question: Question,
    *,
    estimator: str | Estimator = "gaussian-copula",
    variants: int = 1200,
    keep: float = 0.7,
    most_parts: int = 600,
    rate: float | None = 0.05,
    batch: int = 32,
    seed: int = 0,
) -> FlowMap:
    """Return the flow of information from parts of an input to one thing that a network says of it.

    Parameters
    ----------
    network : Network
        The network.
    question : Question
        The input, and what is said of it.
    estimator : {"binned", "gaussian-copula", "ksg"} or Estimator
        How information is estimated.
    variants : int
        Variants of the input; half of them weigh positions, the others are measured. 32 or more.
    keep, most_parts
        See :class:`.variants.Variants`.
    rate : float or None
        See :func:`.measure.information_flow`.
    batch : int
        Variants that the network gets at a time.
    seed : int
        Of the variants, and of the shuffles that tell what chance gives.

    Returns
    -------
    FlowMap
        Layers are the inputs, in parts; the layers on the way; and :data:`TARGET`. Where several numbers are asked
        about together, what is explained is how near they stay to what they were.

    Raises
    ------
    ottava.errors.InputError
        If the network has no such output, or what it says is the same for all variants.
    ottava.errors.UsageError
        If there are too few variants, or an option is out of range.
    """
    if variants < 32 or not 0 < keep < 1:
        raise UsageError("variants or keep out of range", found=f"{variants}, {keep:g}", expected="32 or more; 0 to 1")
    method = find_estimator(estimator)
    made = Variants(question.inputs, variants, keep, most_parts, question.parts, seed)
    said = _ask(network, question, made, batch)
    if np.ptp(said) <= 1e-9 * max(1.0, float(np.abs(said).max())):
        raise InputError("nothing in the input changes what is said", found=question.text)
    layers = _on_the_way(network, question.output)
    half = variants // 2
    pool = _Related(said[:half])
    collect_layers = _Part(network, layers)
    collect(collect_layers, made.feed(slice(0, half)), pool=pool.learn, batch=batch)
    found = collect(collect_layers, made.feed(slice(half, None)), pool=pool.weigh, batch=batch).values
    found |= made.masks(slice(half, None))
    found[TARGET] = said[half:, None].astype(np.float32)
    edges, signs = {}, {}
    for layer in (*layers, Layer(TARGET, "dense", "", (), network.outputs[question.output])):
        for source in layer.sources:
            x, y = found[source], found[layer.name]
            nats = pairwise_information(x, y, estimator=method)
            if rate is not None:
                nats *= significant(nats, x, y, estimator=method, rate=rate, seed=seed)
            edges[source, layer.name], signs[source, layer.name] = nats, _signs(x, y)
    sizes = {name: found[name].shape[1] for name in (*(layer.name for layer in layers), TARGET)}
    shapes = {name: shape for name, shape in made.shapes.items() if name in sizes}
    measured: dict[str, str | int | float | None] = {
        "estimator": name_estimator(method),
        "samples": variants - half,
        "variants": variants,
        "keep": keep,
        "most_parts": most_parts,
        "rate": rate,
        "seed": seed,
    }
    return map_flow(
        sizes,
        edges,
        (TARGET,),
        signs=signs,
        measured=measured,
        shapes={name: shape for name, shape in shapes.items() if len(shape) > 1},
        axes={
            name: tuple(
                (axis.name, axis.start, axis.step * size / parts)
                for axis, size, parts in zip(
                    question.axes[name], np.asarray(question.inputs[name]).shape[1:], shapes[name], strict=True
                )
            )
            for name in shapes
            if name in question.axes and len(shapes[name]) > 1
        },
    )


def _ask(network: Network, question: Question, made: Variants, batch: int) -> NDArray[np.float64]:
    """Return what is said of each variant: the number asked for, or how near several stay to what they were."""
    if question.output not in network.outputs:
        raise InputError(
            f"the network has no output {question.output}", expected=", ".join(network.outputs) or "no output"
        )
    parts = []
    for begin in range(0, made.count, batch):
        (value,) = network.run([question.output], made.feed(slice(begin, begin + batch)))
        at: Any = (slice(None), *question.index)
        parts.append(np.asarray(value[at], np.float64))
    values = np.concatenate(parts).reshape(made.count, -1)
    if values.shape[1] > 1:
        return np.asarray(-((values - values[0]) ** 2).sum(1))
    return np.asarray(values[:, 0])


def _on_the_way(network: Network, output: str) -> list[Layer]:
    """Return the layers that an output depends on, in order."""
    by_name = {layer.name: layer for layer in network.layers}
    wanted = set(network.outputs[output])
    for layer in reversed(network.layers):
        if layer.name in wanted:
            wanted.update(layer.sources)
    return [by_name[name] for name in by_name if name in wanted]


class _Part:
    """A network, of which only some layers are looked at."""

    def __init__(self, network: Network, layers: list[Layer]) -> None:
        self.inputs, self.outputs, self.run = network.inputs, network.outputs, network.run
        self.layers = tuple(layers)


class _Related:
    """The pool that weighs a unit's positions by how they vary with what is explained."""

    def __init__(self, said: NDArray[np.float64]) -> None:
        self._said = normal_scores(rank_columns(said[:, None]))[:, 0].astype(np.float32)
        self._at: dict[str, int] = {}
        self._weights: dict[str, NDArray[np.float32]] = {}

    def learn(self, layer: Layer, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gather the covariance of every position with what is explained."""
        flat = array.reshape(*array.shape[:2], -1)
        begin = self._at.get(layer.name, 0)
        self._at[layer.name] = begin + len(flat)
        said = self._said[begin : begin + len(flat)]
        self._weights[layer.name] = self._weights.get(layer.name, 0) + np.einsum("n,nup->up", said, flat)
        return np.asarray(flat.mean(2))

    def weigh(self, layer: Layer, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return units as weighed means of their positions."""
        flat = array.reshape(*array.shape[:2], -1)
        weights = self._weights[layer.name]
        total = np.abs(weights).sum(1, keepdims=True)
        scaled = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
        return np.asarray(np.einsum("nup,up->nu", flat, scaled))


def _signs(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    scores = [normal_scores(rank_columns(np.asarray(v, np.float64))) for v in (x, y)]
    return np.where(scores[0].T @ scores[1] < 0, -1.0, 1.0)
