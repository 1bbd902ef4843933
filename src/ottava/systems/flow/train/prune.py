"""Pruning torch modules: links are zeroed, or units are removed for real."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ottava.errors import InputError, UsageError
from ottava.systems.flow.activations import Activations, as_feed, collect, find_ends
from ottava.systems.flow.estimators import Estimator
from ottava.systems.flow.measure import information_flow
from ottava.systems.flow.train.scores import Loss, link_scores, measure_links, prunable_layers, unit_scores
from ottava.systems.flow.train.trace import TorchNetwork, as_tensor

__all__ = [
    "Inputs", "Pruned", "count_multiply_adds", "mark_dead", "measure_inputs", "prune", "prune_links", "prune_units",
    "pruning_curve",
]  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """What comes into each prunable layer, over data.

    Parameters
    ----------
    mean, size : dict of str to ndarray, shape (inputs,)
        Mean, and root mean square, by name of the layer.
    """

    mean: Mapping[str, NDArray[np.float64]]
    size: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Pruned:
    """A smaller module.

    Parameters
    ----------
    model : torch.nn.Module
        A copy of the one that was given, with fewer units.
    removed : dict of str to list of int
        Numbers of the units that are gone, by name of each layer that made them.
    multiply_adds, multiply_adds_before : int
        For the example inputs.
    """

    model: nn.Module
    removed: Mapping[str, list[int]]
    multiply_adds: int
    multiply_adds_before: int

    @property
    def saved(self) -> float:
        """Share of the multiply-adds that is gone."""
        return 1 - self.multiply_adds / self.multiply_adds_before


def prune(
    model: nn.Module,
    data: NDArray[Any],
    share: float,
    *,
    by: str = "weighted-flow",
    structured: bool = True,
    keep: Sequence[str] | None = None,
    loss: Loss | None = None,
    tune: Callable[[nn.Module], object] | None = None,
    estimator: str | Estimator = "binned",
    batch: int = 64,
    seed: int = 0,
) -> Pruned:
    """Return a smaller copy of a module: what is worth least goes.

    Parameters
    ----------
    model : torch.nn.Module
        Takes one array, samples first.
    data : ndarray, shape (samples, ...)
        On which worth is measured.
    share : float
        Share of the multiply-adds that is to go; or, unstructured, of the links.
    by : str
        One of :data:`.scores.MEASURES`.
    structured : bool
        Remove units for real. Otherwise links are zeroed, those of dead units first, and nothing becomes smaller.
    keep : sequence of str or None
        Parts of the module that keep all their units; those that the outputs come from, when not given.
    loss : callable or None
        The module to its loss, for ``by="taylor"``.
    tune : callable or None
        Trains the pruned copy, in place, before it is returned.
    estimator : {"binned", "gaussian-copula", "ksg"} or Estimator
        Of information.
    batch : int
        Samples that the module gets at a time.
    seed : int
        For ``by="random"``.

    Raises
    ------
    ottava.errors.InputError, ottava.errors.UsageError
        As :func:`prune_units`, :func:`prune_links` and :func:`.measure.information_flow` do.
    """
    worth = _measure_worth(model, data, by, structured, loss, estimator, batch, seed)
    pruned = worth.prune(share, keep)
    if tune is not None:
        tune(pruned.model)
    return pruned


class _TooMuchError(InputError):
    """So much cannot be removed."""


@dataclass(frozen=True)
class _Worth:
    """What units or links of a module are worth, measured once for all shares."""

    model: nn.Module
    example: Tensor
    structured: bool
    scores: Mapping[str, Tensor]
    inputs: Inputs
    ends: tuple[str, ...]

    def prune(self, share: float, keep: Sequence[str] | None) -> Pruned:
        if self.structured:
            kept = self.ends if keep is None else keep
            return prune_units(self.model, self.example, self.scores, share, keep=kept, inputs=self.inputs)
        before = count_multiply_adds(self.model, self.example)
        silent = {name: np.flatnonzero(size == 0).tolist() for name, size in self.inputs.size.items()}
        return Pruned(prune_links(self.model, self.scores, share, silent=silent), {}, before, before)


def _measure_worth(
    model: nn.Module,
    data: NDArray[Any],
    by: str,
    structured: bool,
    loss: Loss | None,
    estimator: str | Estimator,
    batch: int,
    seed: int,
) -> _Worth:
    network = TorchNetwork(model, data)
    inputs = measure_inputs(model, lambda m: [m(as_tensor(part, m)) for part in _parts(data, batch)])
    flow = None
    if by.endswith("flow") and structured:
        # All estimates count, chance too: links that are set to 0 could not be put in an order.
        flow = information_flow(network, data, estimator=estimator, rate=None, batch=batch, seed=seed)
    if structured:
        scores = unit_scores(model, by, flow=flow, inputs=inputs.size, loss=loss, seed=seed)
        mark_dead(scores, network, collect(network, as_feed(network, data), batch=batch))
    else:
        links = measure_links(model, data, estimator=estimator, batch=batch) if by.endswith("flow") else None
        scores = link_scores(model, by, information=links, inputs=inputs.size, loss=loss, seed=seed)
    return _Worth(model, as_tensor(data[:1], model), structured, scores, inputs, _ends_of(network))


def mark_dead(scores: Mapping[str, Tensor], network: TorchNetwork, found: Activations) -> None:
    """Let units that always say the same be worth less than all others, in place.

    Parameters
    ----------
    scores : dict of str to Tensor, shape (units,)
        From :func:`.scores.unit_scores`.
    network : TorchNetwork
        The module.
    found : Activations
        What its units say.
    """
    alive: dict[str, NDArray[np.bool_]] = {}
    for layer in network.layers:
        if layer.part:
            varies = np.ptp(found.values[layer.name], axis=0) > 0
            alive[layer.part] = varies | alive.get(layer.part, False)
    for part, varies in alive.items():
        if part in scores and len(scores[part]) == len(varies):
            scores[part][torch.from_numpy(~varies)] = -1


def _ends_of(network: TorchNetwork) -> tuple[str, ...]:
    """Return the parts of a module that its outputs come from."""
    ends, parts = find_ends(network), dict(network.module.named_modules())
    return tuple({layer.part: None for layer in network.layers if layer.name in ends and layer.part in parts})


def _parts(data: NDArray[Any], batch: int) -> Iterator[NDArray[Any]]:
    for begin in range(0, len(data), batch):
        yield data[begin : begin + batch]


def pruning_curve(
    model: nn.Module,
    data: NDArray[Any],
    judge: Callable[[nn.Module], float],
    *,
    shares: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    measures: Sequence[str] = ("weighted-flow", "flow", "magnitude", "activation"),
    structured: bool = True,
    keep: Sequence[str] | None = None,
    loss: Loss | None = None,
    tune: Callable[[nn.Module], object] | None = None,
    estimator: str | Estimator = "binned",
    batch: int = 64,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return how well a module does the smaller it is, by several measures of worth.

    Parameters
    ----------
    model, data
        See :func:`prune`.
    judge : callable
        A module to a number, such as its accuracy.
    shares : sequence of float
        Shares that go.
    measures : sequence of str
        Of :data:`.scores.MEASURES`; ``"taylor"`` needs a loss.
    structured, keep, loss, tune, estimator, batch, seed
        See :func:`prune`.

    Returns
    -------
    list of dict
        ``by``, ``share``, ``saved`` (of the multiply-adds) and ``value``, for each share that can go.

    Raises
    ------
    ottava.errors.InputError, ottava.errors.UsageError
        As :func:`prune` does.
    """
    rows = [{"by": "", "share": 0.0, "saved": 0.0, "value": float(judge(model))}]
    for by in measures:
        worth = _measure_worth(model, data, by, structured, loss, estimator, batch, seed)
        for share in shares:
            try:
                pruned = worth.prune(share, keep)
            except _TooMuchError:
                continue
            if tune is not None:
                tune(pruned.model)
            rows.append({"by": by, "share": share, "saved": pruned.saved, "value": float(judge(pruned.model))})
    return rows


def measure_inputs(model: nn.Module, run: Callable[[nn.Module], object]) -> Inputs:
    """Return what comes into each prunable layer while a function runs the module.

    Parameters
    ----------
    model : torch.nn.Module
        Nothing is changed on it: a copy is run.
    run : callable
        Runs the module it is given on data.
    """
    model = copy.deepcopy(model).eval()
    sums: dict[str, list[Any]] = {}

    def watch(name: str, dense: bool) -> Callable[..., None]:
        def add(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            x = given[0].detach().double()
            x = x.flatten(0, -2) if dense else x.transpose(1, -1).flatten(0, -2)
            total = sums.setdefault(name, [0.0, 0.0, 0])
            total[0], total[1], total[2] = total[0] + x.sum(0), total[1] + (x**2).sum(0), total[2] + len(x)

        return add

    for name, layer in prunable_layers(model).items():
        layer.register_forward_pre_hook(watch(name, isinstance(layer, nn.Linear)))
    with torch.no_grad():
        run(model)
    return Inputs(
        {name: (first / count).cpu().numpy() for name, (first, _, count) in sums.items()},
        {name: np.sqrt((second / count).cpu().numpy()) for name, (_, second, count) in sums.items()},
    )


def prune_links(
    model: nn.Module,
    scores: Mapping[str, Tensor],
    share: float,
    *,
    dead: Mapping[str, Sequence[int]] | None = None,
    silent: Mapping[str, Sequence[int]] | None = None,
) -> nn.Module:
    """Return a copy of a module in which the links that are worth least are 0, and nothing else has changed.

    The paper's section 4.2: dead units first, with their biases, then links in the order of what they are worth.

    Parameters
    ----------
    model : torch.nn.Module
        The module.
    scores : dict of str to Tensor, shape (outputs, inputs)
        Of each layer whose links may go, from :func:`.scores.link_scores`.
    share : float
        Share of these links, from 0 to 1.
    dead : dict of str to sequence of int or None
        Units, by layer, whose own links and biases go whatever the share. Nothing is lost if they always say 0, and say
        it without them, too: behind a norm of batches they may not.
    silent : dict of str to sequence of int or None
        Inputs, by the layer that reads them, that are always 0: their links go whatever the share, and nothing is lost.

    Raises
    ------
    ottava.errors.UsageError
        If there are no scores or no such layer, or ``share`` is out of range.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"share is {share:g}", expected="from 0 to 1")
    pruned = copy.deepcopy(model)
    layers = prunable_layers(pruned)
    if not scores:
        raise UsageError("no links have scores", expected="scores of " + ", ".join(layers))
    if unknown := [name for name in (*scores, *(dead or {}), *(silent or {})) if name not in layers]:
        raise UsageError("there is no such layer", found=", ".join(unknown), expected=", ".join(layers))
    with torch.no_grad():
        for name, units in (dead or {}).items():
            layers[name].weight[list(units)] = 0
            if layers[name].bias is not None:
                layers[name].bias[list(units)] = 0
        for name, places in (silent or {}).items():
            layers[name].weight[:, list(places)] = 0
        every = torch.cat([values.flatten() for values in scores.values()])
        count = round(share * len(every))
        # Sorted stably: of links of the same worth, the first go first.
        gone = torch.zeros(len(every), dtype=torch.bool, device=every.device)
        gone[torch.argsort(every, stable=True)[:count]] = True
        begin = 0
        for name, values in scores.items():
            of_layer = gone[begin : begin + values.numel()].reshape(values.shape)
            layers[name].weight[of_layer.to(layers[name].weight.device)] = 0
            begin += values.numel()
    return pruned


def prune_units(
    model: nn.Module,
    example: Tensor | tuple[Tensor, ...],
    scores: Mapping[str, Tensor],
    share: float,
    *,
    keep: Sequence[str] = (),
    inputs: Inputs | None = None,
    least: int = 1,
) -> Pruned:
    """Return a smaller copy of a module: the units that are worth least are removed, through its dependency graph.

    Units that residuals tie together go together, and are worth the mean of what they are.

    Parameters
    ----------
    model : torch.nn.Module
        The module.
    example : Tensor or tuple of Tensor
        Arguments of its ``forward``.
    scores : dict of str to Tensor, shape (units,)
        Of each layer whose units may go, from :func:`.scores.unit_scores`.
    share : float
        Share of the multiply-adds that is to go, above 0, below 1.
    keep : sequence of str
        Parts of the module that keep all their units. Name those that the outputs come from, or they lose units, too.
    inputs : Inputs or None
        When given, what a unit said on average is added to the biases of those that read it; for units that always say
        the same, nothing is then lost, but at the border of convolutions that fill up with zeros, and behind a norm
        over units.
    least : int
        Units that each layer keeps.

    Raises
    ------
    ottava.errors.InputError
        If the module's dependencies cannot be traced, its ``forward`` relies on sizes, or so much cannot go.
    ottava.errors.UsageError
        If ``share`` is out of range, or there is no such part to keep.
    """
    if not 0 < share < 1:
        raise UsageError(f"share is {share:g}", expected="above 0, below 1")
    parts = [name for name, _ in model.named_modules() if name]
    if unknown := [name for name in keep if name not in parts]:
        raise UsageError("keep names no part of the module", found=", ".join(unknown), expected=", ".join(parts))
    before = count_multiply_adds(model, example)
    groups = _find_groups(model, example, scores, keep)
    if not groups:
        raise InputError("no layer's units can be removed", found=", ".join(scores) or "no scores")
    worth = torch.cat([values for _, values in groups])
    order = torch.argsort(worth, stable=True).tolist()
    edges = np.cumsum([0, *(len(values) for _, values in groups)])
    low, high = 0, len(order)
    best: tuple[nn.Module, dict[str, list[int]], int] | None = None
    while low < high:  # the least number of units that saves enough
        count = (low + high) // 2
        candidate, removed = _remove(model, example, groups, edges, order[: count + 1], inputs, least)
        try:
            found = count_multiply_adds(candidate, example)
        except Exception as error:  # whatever its forward does when a size is not what it was
            raise InputError(
                "the module cannot run without the units that were removed",
                found=str(error).splitlines()[0] if str(error) else type(error).__name__,
                expected=f"keep: layers whose sizes its forward relies on, of {', '.join(removed)}",
            ) from error
        if found <= (1 - share) * before:
            best, high = (candidate, removed, found), count
        else:
            low = count + 1
    if best is None:
        raise _TooMuchError("so much cannot be removed", found=f"{share:.0%} asked for", expected="a smaller share")
    return Pruned(*best, before)


def count_multiply_adds(model: nn.Module, example: Tensor | tuple[Tensor, ...]) -> int:
    """Return the multiply-adds of products of matrices and convolutions for one call, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    model = copy.deepcopy(model).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*(example if isinstance(example, tuple) else (example,)))
    return int(counter.get_total_flops()) // 2


@contextmanager
def _quiet() -> Iterator[Any]:
    import torch_pruning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield torch_pruning


def _trace(model: nn.Module, example: Tensor | tuple[Tensor, ...]) -> Any:
    for value in model.parameters():
        if value.is_floating_point():
            value.requires_grad_(True)  # what the graph is found by
    with _quiet() as pruning:
        try:
            return pruning.DependencyGraph().build_dependency(model.eval(), example)
        except Exception as error:  # whatever a module does that its tracing does not know
            raise InputError(
                "the module's dependencies cannot be traced", found=f"{type(error).__name__}: {error}"
            ) from error


def _is_wrapped(module: Any) -> bool:
    """Return whether a module's weights are made of others at each call, and cannot be cut."""
    return is_parametrized(module) or hasattr(module, "weight_g")


def _find_groups(
    model: nn.Module, example: Tensor | tuple[Tensor, ...], scores: Mapping[str, Tensor], keep: Sequence[str]
) -> list[tuple[str, Tensor]]:
    """Return layers whose units can be removed, each with those that go with it, and what their units are worth."""
    copied = copy.deepcopy(model)
    graph = _trace(copied, example)
    parts, layers = dict(copied.named_modules()), prunable_layers(copied)
    names = {part: name for name, part in parts.items()}
    kept = [parts[name] for name in keep] + [layers[name] for name in layers if name not in scores]
    found = []
    with _quiet():
        for group in graph.get_all_groups(ignored_layers=kept, root_module_types=[type(m) for m in layers.values()]):
            root = group[0].dep.target.module
            if any(_is_wrapped(dependency.target.module) for dependency, _ in group):
                continue
            size = len(group[0].idxs)
            total, count = torch.zeros(size), 0
            for dependency, places in group:
                name = names.get(dependency.target.module, "")
                if graph.is_out_channel_pruning_fn(dependency.handler) and name in scores and len(places) == size:
                    total, count = total + scores[name][list(places)], count + 1
            if count:
                found.append((names[root], total / count))
    return found


def _remove(
    model: nn.Module,
    example: Tensor | tuple[Tensor, ...],
    groups: Sequence[tuple[str, Tensor]],
    edges: NDArray[np.intp],
    chosen: Sequence[int],
    inputs: Inputs | None,
    least: int,
) -> tuple[nn.Module, dict[str, list[int]]]:
    pruned = copy.deepcopy(model)
    graph = _trace(pruned, example)
    layers = dict(pruned.named_modules())
    names = {layer: name for name, layer in layers.items()}
    # Which of its first inputs each layer still has: removing some moves the others.
    left = {name: np.arange(layer.weight.shape[1]) for name, layer in prunable_layers(pruned).items()}
    makers = {
        name
        for name, part in layers.items()
        if isinstance(getattr(part, "weight", None), Tensor) and part.weight.ndim > 1
    }
    removed: dict[str, list[int]] = {}
    for number, (name, values) in enumerate(groups):
        units = [unit - int(edges[number]) for unit in chosen if edges[number] <= unit < edges[number + 1]]
        units = sorted(units[: max(len(values) - least, 0)])  # the least worth come first
        if not units:
            continue
        with _quiet() as pruning:
            root = layers[name]
            handler = (
                pruning.prune_linear_out_channels if isinstance(root, nn.Linear) else pruning.prune_conv_out_channels
            )
            group = graph.get_pruning_group(root, handler, units)
            for dependency, places in group:
                reader = names.get(dependency.target.module, "")
                if reader in makers and graph.is_out_channel_pruning_fn(dependency.handler):
                    removed[reader] = sorted(places)
                if reader in left and graph.is_in_channel_pruning_fn(dependency.handler):
                    if inputs is not None and reader in inputs.mean:
                        _fold(dependency.target.module, places, inputs.mean[reader][left[reader][list(places)]])
                    left[reader] = np.delete(left[reader], list(places))
            group.prune()
    # Tracing has put all in evaluation mode, and let all learn.
    for part_name, part in model.named_modules():
        layers[part_name].training = part.training
    learning = {value_name: value.requires_grad for value_name, value in model.named_parameters()}
    for value_name, value in pruned.named_parameters():
        value.requires_grad_(learning.get(value_name, True))
    return pruned, removed


def _fold(layer: nn.Module, places: Sequence[int], mean: NDArray[np.float64]) -> None:
    """Add what some inputs say on average to a layer's bias."""
    weight = layer.weight.detach()[:, list(places)]
    said = (weight.flatten(2).sum(2) if weight.ndim > 2 else weight) @ torch.as_tensor(mean).to(weight)
    layer.bias = nn.Parameter(said if layer.bias is None else layer.bias.detach() + said)
