"""What a network costs, and networks of equal cost: the control that a comparison of architectures needs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ottava.errors import TrainingError

__all__ = ["closest", "count_multiply_adds", "count_parameters"]


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable numbers; shared ones count once."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_multiply_adds(module: nn.Module, bins: int) -> int:
    """Return the multiplications of all convolutions for each further frame of a long clip.

    Normalisations, activations and additions are left out, as is usual.

    Parameters
    ----------
    module : Module
        A stack with ``valid`` and ``context`` of :mod:`.paper`.
    bins : int
        Height of the spectrogram.
    """
    # Shapes are all that is needed, so nothing is computed. The copy leaves the caller's network as it is.
    twin: Any = copy.deepcopy(module).to("meta").eval()
    total = 0

    def count(layer: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        height, width = layer.kernel_size
        if isinstance(layer, nn.ConvTranspose2d):  # each input value meets every weight of its channel
            total += inputs[0].numel() * layer.out_channels // layer.groups * height * width
        else:  # each output value is a sum over the weights of its channel
            total += output.numel() * layer.in_channels // layer.groups * height * width

    for layer in twin.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(count)
    totals = []
    for extra in (0, 1):  # the cost grows linearly with the frames, so the difference is exact
        total = 0
        twin.valid(torch.empty(1, 1, bins, twin.context + extra, device="meta"))
        totals.append(total)
    return totals[1] - totals[0]


def closest(
    build: Callable[..., nn.Module],
    candidates: Iterable[Mapping[str, Any]],
    measure: Callable[[nn.Module], int],
    target: int,
    *,
    tolerance: float = 0.02,
) -> dict[str, Any]:
    """Return the arguments whose network costs nearest to ``target``.

    Parameters
    ----------
    build : callable
        Makes a network from one candidate's arguments.
    candidates : iterable of dict
    measure : callable
        Cost of a network, for instance :func:`count_parameters`.
    target : int
    tolerance : float
        Largest relative difference allowed.

    Raises
    ------
    ottava.errors.TrainingError
        If no candidate is that close.
    """
    best: dict[str, Any] = {}
    distance = float("inf")
    found = 0
    for candidate in candidates:
        with torch.device("meta"):
            cost = measure(build(**candidate))
        if abs(cost - target) < distance:
            best, distance, found = dict(candidate), abs(cost - target), cost
    if distance > tolerance * target:
        raise TrainingError(
            "no candidate is close enough to the budget", found=f"{found} with {best}", expected=f"{target}"
        )
    return best
