"""Attributions of torch modules with the call that Captum's attributors have."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ottava.errors import InputError, UsageError
from ottava.systems.flow.activations import Pool
from ottava.systems.flow.estimators import Estimator
from ottava.systems.flow.points import attribute_samples

__all__ = ["FlowAttribution"]


class FlowAttribution:
    """Maps of single samples by information flow, in the place of ``captum.attr.IntegratedGradients`` and its like.

    Parameters
    ----------
    model : torch.nn.Module
        Takes one tensor, samples first, and returns one number for each class.
    data : array_like or Tensor, shape (samples, ...)
        What is usual: information is a property of many samples. A hundred or more.
    estimator, pool, signs, normalize
        See :func:`ottava.systems.flow.points.attribute_samples`.
    """

    def __init__(
        self,
        model: nn.Module,
        data: ArrayLike | Tensor,
        *,
        estimator: str | Estimator = "gaussian-copula",
        pool: str | Pool = "mean",
        signs: str = "signed",
        normalize: str = "layer",
    ) -> None:
        self.forward_func = model
        self.data = data.detach().cpu().numpy() if isinstance(data, Tensor) else np.asarray(data)
        self._options: dict[str, Any] = {"estimator": estimator, "pool": pool, "signs": signs, "normalize": normalize}

    def attribute(self, inputs: Tensor, target: int | Tensor | list[int] | None = None) -> Tensor:
        """Return what each value of each input speaks for a class.

        Parameters
        ----------
        inputs : Tensor, shape (n, ...)
            Samples to explain.
        target : int, Tensor or list of int, or None
            The class, one for all or one for each; needed where there are several.

        Returns
        -------
        Tensor
            Of the inputs' shape, dtype and device. Inputs of more than 4096 values each share it among blocks of
            neighbours.

        Raises
        ------
        ottava.errors.InputError
            If inputs are unlike the data.
        ottava.errors.UsageError
            If there is no such class, or none was named of several.
        """
        samples = inputs.detach().cpu().numpy()
        if samples.shape[1:] != self.data.shape[1:]:
            raise InputError(
                "inputs are unlike the data", found=str(samples.shape), expected=f"(n, *{self.data.shape[1:]})"
            )
        n = len(samples)
        every = np.concatenate([samples, self.data])
        (maps,) = attribute_samples(self.forward_func, every, np.arange(n), **self._options).values()
        classes = _classes(target, n, maps.shape[-1])
        chosen = np.stack([maps[i, ..., k] for i, k in enumerate(classes)]) if n else np.zeros((0, *maps.shape[1:-1]))
        return torch.from_numpy(_finer(chosen, samples.shape)).to(inputs.device, inputs.dtype)


def _classes(target: int | Tensor | list[int] | None, n: int, count: int) -> list[int]:
    if target is None:
        if count > 1:
            raise UsageError("there are several classes", expected=f"target, 0 to {count - 1}")
        return [0] * n
    given = [int(k) for k in torch.as_tensor(target).flatten().tolist()]
    classes = given * n if len(given) == 1 else given
    if len(classes) != n or not all(0 <= k < count for k in classes):
        raise UsageError("target does not fit", found=str(given[:8]), expected=f"{n} numbers from 0 to {count - 1}")
    return classes


def _finer(maps: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Share the values of blocks among what they were averaged over."""
    for axis, size in enumerate(shape[1:], start=1):
        if (blocks := maps.shape[axis]) != size:
            counts = np.diff(np.linspace(0, size, blocks + 1).astype(int))
            shares = maps / counts.reshape([-1 if i == axis else 1 for i in range(maps.ndim)])
            maps = np.repeat(shares, counts, axis=axis)
    return np.ascontiguousarray(maps)
