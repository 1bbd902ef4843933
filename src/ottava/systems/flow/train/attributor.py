"""Attributions of torch modules with the call that Captum's attributors have."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ottava.errors import InputError, UsageError
from ottava.results import check_choice
from ottava.systems.flow.activations import Activations, Pool, as_feed, collect
from ottava.systems.flow.estimators import Estimator, find_estimator
from ottava.systems.flow.paths import NORMALS
from ottava.systems.flow.points import SIGNS, end_of, multiply_points
from ottava.systems.flow.ranks import LEAST_SAMPLES
from ottava.systems.flow.train.trace import TorchNetwork, as_array, find_arguments

__all__ = ["FlowAttribution"]


class FlowAttribution:
    """Maps of single samples by information flow, called as Captum's attributors are with inputs and ``target=``.

    Parameters
    ----------
    model : torch.nn.Module
        Samples come first in all that it takes, and in what it returns, one number for each class. It is run on the
        data once: of one that has changed since, make another.
    data : array_like or Tensor, shape (samples, ...), or tuple of those
        What is usual: information is a property of many samples. A hundred or more; of a module that takes several
        tensors, as many of each.
    output : str or None
        Name of the layer whose units are the classes; needed where the module has several ends.
    estimator, pool, signs, normalize
        See :func:`ottava.systems.flow.points.attribute_samples`.

    Raises
    ------
    ottava.errors.InputError, ottava.errors.UsageError
        As :func:`ottava.systems.flow.points.attribute_samples` does.
    """

    def __init__(
        self,
        model: nn.Module,
        data: ArrayLike | Tensor | tuple[ArrayLike | Tensor, ...],
        *,
        output: str | None = None,
        estimator: str | Estimator = "gaussian-copula",
        pool: str | Pool = "mean",
        signs: str = "signed",
        normalize: str = "layer",
    ) -> None:
        self.forward_func = model
        given = data if isinstance(data, tuple) else (data,)
        names = find_arguments(model)
        if len(given) > len(names):
            raise InputError("the module takes fewer tensors", found=str(len(given)), expected=", ".join(names))
        self.data = dict(zip(names, map(_as_array, given), strict=False))
        if any(len(array) < LEAST_SAMPLES for array in self.data.values() if array.ndim):
            found = ", ".join(str(array.shape) for array in self.data.values())
            raise InputError("too few samples to tell what is usual", found=found, expected=f"{LEAST_SAMPLES} or more")
        self._options = (
            find_estimator(estimator),
            check_choice("signs", signs, SIGNS),
            check_choice("normalize", normalize, NORMALS),
        )
        self._pool = pool
        self._network = TorchNetwork(model, self.data)
        self._output = end_of(self._network, output)
        self._usual = collect(self._network, as_feed(self._network, self.data), pool=pool)

    def attribute(self, inputs: Tensor | tuple[Tensor, ...], target: int | Tensor | list[int] | None = None) -> Any:
        """Return what each value of each input speaks for a class.

        Parameters
        ----------
        inputs : Tensor, shape (n, ...), or tuple of Tensor
            Samples to explain. Each is looked at among the data, and knows nothing of the others.
        target : int, Tensor or list of int, or None
            The class, one for all or one for each; needed where there are several.

        Returns
        -------
        Tensor or tuple of Tensor
            Of the inputs' shape and device. Inputs of more than 4096 values each share it among blocks of neighbours.

        Raises
        ------
        ottava.errors.InputError
            If inputs are unlike the data.
        ottava.errors.UsageError
            If there is no such class, or none was named of several.
        """
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        samples = {name: _as_array(tensor) for name, tensor in zip(self.data, given, strict=False)}
        shapes = {name: array.shape[1:] for name, array in samples.items()}
        expected = {name: array.shape[1:] for name, array in self.data.items()}
        if len(given) != len(self.data) or shapes != expected:
            found = ", ".join(str(tuple(tensor.shape)) for tensor in given)
            wanted = ", ".join(f"(n, {str(shape)[1:]}" for shape in expected.values())
            raise InputError("inputs are unlike the data", found=found, expected=wanted)
        n = len(given[0])
        count = self._usual.values[self._output].shape[1]
        classes = _classes(target, n, count)
        found_maps: dict[str, list[NDArray[np.float64]]] = {name: [] for name in samples}
        if n:
            one = collect(self._network, as_feed(self._network, samples), pool=self._pool)
        for i in range(n):
            among = {k: np.concatenate([one.values[k][i : i + 1], usual]) for k, usual in self._usual.values.items()}
            maps = multiply_points(
                self._network, Activations(among, one.shapes), np.zeros(1, np.intp), self._output, *self._options
            )
            for name, shape in shapes.items():
                of_class = maps[name][..., classes[i]] if name in maps else np.zeros((1, *one.shapes[name]))
                found_maps[name].append(_finer(of_class, (1, *shape)))
        tensors = tuple(
            torch.from_numpy(np.concatenate(each) if each else np.zeros((0, *shapes[name]))).to(
                tensor.device, tensor.dtype if tensor.is_floating_point() else torch.float32
            )
            for (name, each), tensor in zip(found_maps.items(), given, strict=True)
        )
        return tensors if isinstance(inputs, tuple) else tensors[0]


def _as_array(values: ArrayLike | Tensor) -> NDArray[Any]:
    return as_array(values) if isinstance(values, Tensor) else np.asarray(values)


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
