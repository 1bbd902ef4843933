"""How much units and links of a torch module are worth, by several measures: what is pruned first is worth least."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ottava.errors import UsageError
from ottava.results import FlowMap, check_choice
from ottava.systems.flow.activations import as_feed, collect
from ottava.systems.flow.estimators import Estimator
from ottava.systems.flow.information import pairwise_information
from ottava.systems.flow.measure import map_flow
from ottava.systems.flow.train.trace import TorchNetwork, as_array, as_tensor, evaluating, name_called

__all__ = ["MEASURES", "Loss", "link_scores", "measure_links", "prunable_layers", "unit_scores"]

MEASURES: tuple[str, ...] = ("flow", "weighted-flow", "magnitude", "taylor", "activation", "random")
"""Information that flows through; the same, passed on by information times size of weights times size of what comes in;
size of weights; size of the sum of weights times gradients, which is how the loss changes without them, to first order;
size of weights times size of what comes in; chance.

The links into a layer whose sources are concatenated pass on by information alone, as it is not told which of its
weights are whose."""

_PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

Loss = Callable[[nn.Module], Tensor]


def prunable_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the dense layers and ungrouped convolutions of a module, by name; not those with parametrised weights."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, _PRUNABLE) and getattr(layer, "groups", 1) == 1 and not is_parametrized(layer)
    }


def measure_links(
    model: nn.Module, data: NDArray[Any], *, estimator: str | Estimator = "binned", batch: int = 64
) -> dict[str, NDArray[np.float64]]:
    """Return the information that each input of each prunable layer has of each of its units, in nats.

    Units say what they say behind their activation, inputs what comes in, whatever it was made of; of both it is the
    mean over positions.

    Parameters
    ----------
    model : torch.nn.Module
        Takes one array; samples come first in all that its layers read. A copy is run.
    data : ndarray, shape (samples, ...)
        Samples.
    estimator : {"binned", "gaussian-copula", "ksg"} or Estimator
        How.
    batch : int
        Samples that the module gets at a time.

    Returns
    -------
    dict of str to ndarray of float64, shape (units, inputs)
        By name of the layer.
    """
    model = copy.deepcopy(model).eval()
    network = TorchNetwork(model, data)
    units = collect(network, as_feed(network, data), batch=batch).values
    seen: dict[str, list[NDArray[Any]]] = {}
    fresh: set[str] = set()  # layers not called yet: of one that is called again, the first call counts

    def watch(name: str, dense: bool) -> Callable[..., None]:
        def add(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            if name not in fresh:
                return
            fresh.remove(name)
            x = given[0].detach()
            pooled = x.flatten(1, -2).mean(1) if dense and x.ndim > 2 else x if dense else x.flatten(2).mean(2)
            seen.setdefault(name, []).append(as_array(pooled))

        return add

    layers = prunable_layers(model)
    called = {name: called for name in layers if (called := name_called(name, network.inputs)) in units}
    for name in called:
        layers[name].register_forward_pre_hook(watch(name, isinstance(layers[name], nn.Linear)))
    with torch.no_grad():
        for begin in range(0, len(data), batch):
            fresh.update(called)
            model(as_tensor(data[begin : begin + batch], model))
    return {
        name: pairwise_information(np.concatenate(seen[name]), units[key], estimator=estimator).T
        for name, key in called.items()
    }


def link_scores(
    model: nn.Module,
    measure: str,
    *,
    information: Mapping[str, NDArray[np.floating]] | None = None,
    inputs: Mapping[str, NDArray[np.floating]] | None = None,
    loss: Loss | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Return what each link of each prunable layer is worth: (outputs, inputs) by name of the layer.

    Layers of which a measure can tell nothing are left out.

    Parameters
    ----------
    model : torch.nn.Module
        The module.
    measure : str
        One of :data:`MEASURES`.
    information : dict of str to ndarray, shape (outputs, inputs)
        For ``"flow"``, from :func:`measure_links`.
    inputs : dict of str to ndarray, shape (inputs,)
        For ``"activation"``: the root mean square of each input of each layer, from :func:`.prune.measure_inputs`.
    loss : callable or None
        For ``"taylor"``: the module to its loss on data.
    seed : int
        For ``"random"``.

    Raises
    ------
    ottava.errors.UsageError
        If what the measure needs is not given, or the loss does not depend on the module.
    """
    check_choice("measure", measure, MEASURES)
    layers = prunable_layers(model)
    if measure == "flow":
        if information is None:
            raise UsageError("flow needs the information of links")
        return {name: torch.as_tensor(np.asarray(nats), dtype=torch.float32) for name, nats in information.items()}
    if measure == "weighted-flow":
        if information is None or inputs is None:
            raise UsageError("weighted-flow needs the information of links, and the sizes of inputs")
        sized = link_scores(model, "activation", inputs=inputs)
        both = {name: nats for name, nats in information.items() if name in sized}
        return {name: torch.as_tensor(np.asarray(nats)).float() * sized[name] for name, nats in both.items()}
    if measure == "random":
        generator = torch.Generator().manual_seed(seed)
        return {name: torch.rand(layer.weight.shape[:2], generator=generator) for name, layer in layers.items()}
    if measure == "taylor":
        if loss is None:
            raise UsageError("taylor needs a loss")
        return {name: change.abs() for name, change in _changes(model, loss).items()}
    found = {name: _over_taps(layer.weight.detach()) for name, layer in layers.items()}
    if measure == "activation":
        if inputs is None:
            raise UsageError("activation needs the sizes of inputs")
        found = {  # a layer whose weights are used by hand, in parts, is not seen to read anything
            name: values * torch.as_tensor(np.asarray(inputs[name]), dtype=values.dtype)
            for name, values in found.items()
            if name in inputs
        }
    return found


def _changes(model: nn.Module, loss: Loss) -> dict[str, Tensor]:
    """Return by how much the loss would fall without each link, to first order: (outputs, inputs) by layer."""
    weights: dict[str, Any] = {name: layer.weight for name, layer in prunable_layers(model).items()}
    frozen = [weight for weight in weights.values() if not weight.requires_grad]
    try:
        for weight in frozen:
            weight.requires_grad_(True)
        with evaluating(model):
            value = loss(model)
            found = torch.autograd.grad(value, list(weights.values()), allow_unused=True) if value.requires_grad else ()
    finally:
        for weight in frozen:
            weight.requires_grad_(False)
    if all(gradient is None for gradient in found):
        raise UsageError("the loss does not depend on the module", expected="the loss of the module that it is given")
    changes = {}
    for (name, weight), gradient in zip(weights.items(), found, strict=True):
        change = torch.zeros_like(weight) if gradient is None else weight.detach() * gradient
        changes[name] = (change.flatten(2).sum(2) if change.ndim > 2 else change).cpu()
    return changes


def _over_taps(weight: Tensor) -> Tensor:
    """Return sizes of links: of a convolution, over its taps."""
    return (weight.abs() if weight.ndim == 2 else weight.flatten(2).norm(dim=2)).cpu()


def unit_scores(
    model: nn.Module,
    measure: str,
    *,
    flow: FlowMap | None = None,
    inputs: Mapping[str, NDArray[np.floating]] | None = None,
    loss: Loss | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Return what each unit of each prunable layer is worth, by name of the layer.

    Parameters and errors are those of :func:`link_scores`, but for ``"flow"``, which needs a flow map: a unit is worth
    what flows through it. By the other measures it is worth the sum of its own links (of ``"taylor"``, with their
    signs). All are divided by their layer's mean, so that layers can be compared: of a layer that others go around,
    little flows through each unit, and yet no layer can be spared as a whole. Layers that the map does not have are
    left out.
    """
    check_choice("measure", measure, MEASURES)
    layers = prunable_layers(model)
    if measure in ("flow", "weighted-flow"):
        if flow is None or (measure == "weighted-flow" and inputs is None):
            raise UsageError(f"{measure} needs a flow map{' and the sizes of inputs' if measure != 'flow' else ''}")
        if measure == "weighted-flow":
            flow = _weigh(flow, link_scores(model, "activation", inputs=inputs))
        widths = flow.layers
        called = {name: name_called(name, flow.inputs) for name in layers}
        worth = {
            name: torch.from_numpy(flow.information[flow.layer == called[name]]).float()
            for name, layer in layers.items()
            if widths.get(called[name]) == layer.weight.shape[0]
        }
    else:
        if measure == "taylor" and loss is not None:
            links = _changes(model, loss)
        else:
            links = link_scores(model, measure, inputs=inputs, loss=loss, seed=seed)
        worth = {name: values.sum(1).abs() for name, values in links.items()}
    return {name: values / values.mean().clamp(1e-12) for name, values in worth.items()}


def _weigh(flow: FlowMap, sizes: Mapping[str, Tensor]) -> FlowMap:
    """Return a map whose links also count by how much they weigh, where a layer's inputs are its sources' units."""
    edges: dict[tuple[str, str], NDArray[np.float64]] = {
        ends: np.asarray(nats, np.float64) for ends, nats in flow.edges.items()
    }
    for name, values in sizes.items():
        into = [ends for ends in edges if ends[1] == name_called(name, flow.inputs)]
        widths = {len(edges[ends]) for ends in into}
        # A channel that was flattened comes in at several places, one after the other.
        if widths == {values.shape[1]} or (len(into) == 1 and values.shape[1] % widths.pop() == 0):
            for ends in into:
                weights = values.unflatten(1, (len(edges[ends]), -1)).norm(dim=2).T
                edges[ends] = edges[ends] * weights.numpy()
    return map_flow(flow.layers, edges, flow.outputs)
