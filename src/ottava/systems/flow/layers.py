"""The layers of a network, and which of them feed which, found in a list of its operations.

It knows neither ONNX nor torch: both are told as :class:`Step` (:mod:`.graph`, :mod:`.train.trace`).

A *layer* is an operation with weights: dense, convolution, recurrent, embedding, attention with its projections in one.
Its values are taken where the elementwise operations behind it end: after bias, batch norm and activation, whatever
those are made of. Everything else (pooling, reshaping, adding, concatenating, gating, softmax, products of two
activations) is a way from layer to layer, and all ways are followed: what reaches a layer through a residual, a
concatenation or a branch is its source as much as what lies right before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ottava.errors import InputError

__all__ = ["KINDS", "Layer", "Step", "find_layers", "shorten"]

KINDS: tuple[str, ...] = ("input", "dense", "convolution", "recurrent", "embedding", "attention")
"""Kinds of layers."""
_LONGEST = 100  # letters of a name; the end of a long one says most


@dataclass(frozen=True)
class Step:
    """One operation.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS` but the first, ``"elementwise"``, or ``"way"`` for all others.
    name : str
        What it is called.
    inputs : tuple of str
        Values that it reads, without weights and other constants.
    outputs : tuple of str
        Values that it writes. Of a layer, the first is what it is about.
    axes : tuple of int
        Of a layer, axes of that value along which its units lie, from the front.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Layer:
    """A layer, or an input of the network.

    Parameters
    ----------
    name : str
        What it is called; no two are called the same.
    kind : str
        One of :data:`KINDS`.
    value : str
        The value that tells its activations.
    axes : tuple of int
        Axes of that value along which its units lie; of an input, none are told.
    sources : tuple of str
        Names of the layers and inputs that it reads, in the network's order.
    part : str
        What its operation is called: of one that is used twice the same for both; empty for an input.
    """

    name: str
    kind: str
    value: str
    axes: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    part: str = ""


@dataclass
class _Open:
    """A layer that is being found: its elementwise region so far."""

    name: str
    step: Step
    sources: tuple[str, ...]
    region: list[str] = field(default_factory=list)


def find_layers(
    steps: Iterable[Step], inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[tuple[Layer, ...], dict[str, tuple[str, ...]]]:
    """Return the layers in the network's order, inputs first, and the names of those that each output comes from.

    Parameters
    ----------
    steps : iterable of Step
        The operations, each after those that it reads from.
    inputs, outputs : sequence of str
        Values that come in and go out.

    Raises
    ------
    ottava.errors.InputError
        If no layer lies between them.
    """
    steps = list(steps)
    order = {name: i for i, name in enumerate(inputs)}
    reach: dict[str, frozenset[str]] = {name: frozenset([name]) for name in inputs}
    owner: dict[str, str] = {}
    opened: dict[str, _Open] = {}
    for step in steps:
        seen = frozenset[str]().union(*(reach.get(value, frozenset()) for value in step.inputs))
        if not seen:
            continue  # constants, whatever they are made of
        if step.kind in KINDS:
            name = _unused(step.name, order)
            order[name] = len(order)
            sources = tuple(sorted(seen, key=order.__getitem__))
            opened[name] = _Open(name, step, sources, [step.outputs[0]])
            owner[step.outputs[0]] = name
            reach |= dict.fromkeys(step.outputs, frozenset([name]))
            continue
        owners = {owner.get(value) for value in step.inputs if reach.get(value)}
        if step.kind == "elementwise" and len(owners) == 1 and (only := owners.pop()) is not None:
            owner[step.outputs[0]] = only
            opened[only].region.append(step.outputs[0])
        reach |= dict.fromkeys(step.outputs, seen)
    if not opened:
        raise InputError(
            "the network has no layer that is known",
            found=", ".join(sorted({step.name for step in steps})[:8]) or "no operation",
            expected="dense, convolution, recurrent, embedding or attention layers",
        )
    leaving = set(outputs)
    for step in steps:
        of_step = owner.get(step.outputs[0]) if step.kind not in KINDS else None
        leaving |= {value for value in step.inputs if owner.get(value) != of_step or of_step is None}
    layers = [Layer(name, "input", name) for name in inputs]
    for entry in opened.values():
        exits = [value for value in entry.region if value in leaving]
        value = exits[-1] if exits else entry.region[-1]
        layers.append(Layer(entry.name, entry.step.kind, value, entry.step.axes, entry.sources, entry.step.name))
    return tuple(layers), {
        value: tuple(sorted(reach.get(value, frozenset()), key=order.__getitem__)) for value in outputs
    }


def shorten(name: str) -> str:
    """Return the end of a long name."""
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"


def _unused(name: str, taken: Iterable[str]) -> str:
    name = shorten(name)
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name} {number}"
    return found
