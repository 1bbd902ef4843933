"""Torch modules: their operations as steps, and their values on data.

Nothing is registered on a module: while it runs, the functions of torch that it calls are watched, and which tensors go
in and out, are written into or are looked at. So any module that torch can run can be read, whatever it is made of,
except one that does other things for other data, or computes outside torch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

from ottava.errors import InputError
from ottava.systems.flow.layers import Layer, Step, find_layers, shorten

__all__ = ["TorchNetwork", "as_array", "as_tensor", "evaluating", "find_arguments", "name_called"]

_LAYERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "linear": ("dense", (-1,)),
    "bilinear": ("dense", (-1,)),
    "matmul": ("dense", (-1,)),
    "mm": ("dense", (-1,)),
    "bmm": ("dense", (-1,)),
    "addmm": ("dense", (-1,)),
    "einsum": ("dense", (-1,)),
    **{f"conv{kind}{n}d": ("convolution", (1,)) for kind in ("", "_transpose") for n in (1, 2, 3)},
    "embedding": ("embedding", (-1,)),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), ("recurrent", (-1,))),
    "multi_head_attention_forward": ("attention", (-1,)),
}
_ELEMENTWISE = """
    abs add sub mul div true_divide neg pow exp log log1p expm1 sqrt rsqrt square reciprocal erf sin cos
    sigmoid tanh relu relu6 leaky_relu prelu rrelu elu celu selu gelu silu mish glu softplus softsign
    hardswish hardsigmoid hardtanh logsigmoid threshold clamp clip where batch_norm instance_norm dropout
    dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout to float double half type type_as
    contiguous clone detach requires_grad minimum maximum round floor ceil sign
"""


class TorchNetwork:
    """A torch module.

    Parameters
    ----------
    module : torch.nn.Module
        Run in evaluation mode and without gradients; the modes of its parts are put back afterwards.
    data : array_like or dict of str to array_like
        What it is to read, by the names of its ``forward``; the layers are found with two samples of it.

    Raises
    ------
    ottava.errors.InputError
        If it cannot run on them, or has no layer that is known.
    """

    def __init__(self, module: nn.Module, data: ArrayLike | Mapping[str, ArrayLike]) -> None:
        self.module = module = getattr(module, "_orig_mod", module)  # as it was before it was compiled
        accepted = find_arguments(module)
        self.inputs = tuple(map(str, data)) if isinstance(data, Mapping) else (accepted[0],)
        given = data if isinstance(data, Mapping) else {accepted[0]: data}
        first = {name: np.asarray(array)[:2] for name, array in given.items()}
        record, outputs = self._watch(first)
        self._operations = record.operations
        self.layers, self.outputs = find_layers(record.steps, self.inputs, outputs)

    layers: tuple[Layer, ...]
    """Inputs and layers, in order."""
    outputs: Mapping[str, tuple[str, ...]]
    """Names of the outputs, and of the layers that each comes from."""

    def run(self, values: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return values, by the names that layers have for them.

        Parameters
        ----------
        values : sequence of str
            Their names.
        feed : dict of str to ndarray
            The inputs by name.

        Raises
        ------
        ottava.errors.InputError
            If the module cannot run on them, or does other things than when its layers were found.
        """
        record, _ = self._watch(feed, frozenset(values))
        if record.operations != self._operations:
            pairs = zip_longest(record.operations, self._operations)
            at = next(i for i, (now, before) in enumerate(pairs) if now != before)
            raise InputError(
                "the module has control flow: it does other things for other data",
                found=f"operation {at + 1} of {len(record.operations)} differs",
                expected="the same operations for all data",
            )
        return [feed[value] if value in feed else record.kept[value] for value in values]

    def _watch(
        self, feed: Mapping[str, NDArray[Any]], wanted: frozenset[str] = frozenset()
    ) -> tuple[_Record, list[str]]:
        tensors = {name: as_tensor(array, self.module) for name, array in feed.items()}
        record = _Record(self.module, tensors, wanted)
        try:
            with evaluating(self.module), torch.no_grad(), record:
                found = self.module(**tensors)
        except InputError:
            raise
        except Exception as error:  # whatever the module raises on data that it cannot use
            raise InputError(
                "the module cannot run on this",
                found=", ".join(f"{name} {array.dtype} {array.shape}" for name, array in feed.items()),
                expected=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            ) from error
        outputs = [record.name(leaf) for leaf in tree_flatten(found)[0] if isinstance(leaf, Tensor)]
        followed = [name for name in outputs if name is not None]
        if not followed:
            raise InputError(
                "no output could be followed back to the inputs",
                found=f"{len(outputs)} tensors",
                expected="tensors that are made of the inputs by functions of torch",
            )
        return record, followed


def find_arguments(module: nn.Module) -> list[str]:
    """Return the names of what a module's ``forward`` takes.

    Raises
    ------
    ottava.errors.InputError
        If it takes nothing.
    """
    accepted = [
        name
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    if not accepted:
        raise InputError("the module's forward takes nothing", found=type(module).__name__)
    return accepted


def as_tensor(array: ArrayLike, module: nn.Module) -> Tensor:
    """Return an array as a module reads it: on its device, floats of its kind, whole numbers as they are."""
    like = next(module.parameters(), torch.zeros(()))
    tensor = torch.from_numpy(np.array(array)).to(like.device)  # a copy: modules may write into what they read
    return tensor.to(like.dtype) if tensor.is_floating_point() else tensor


def as_array(tensor: Tensor) -> NDArray[Any]:
    """Return a copy of a tensor's values, from wherever it is."""
    values = tensor.detach().cpu()
    array: NDArray[Any] = (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # NumPy has no such
    return array.copy()


def name_called(part: str, inputs: Sequence[str]) -> str:
    """Return what a part of a module is called as a layer, where it is used first."""
    name = shorten(part)
    return f"{name} 2" if name in inputs else name


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode, and each part back into the one that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


class _Record(TorchFunctionMode):
    """The functions of torch that are called, and what goes in and out."""

    def __init__(self, module: nn.Module, inputs: Mapping[str, Tensor], wanted: frozenset[str]) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.operations: list[str] = []
        self.kept: dict[str, NDArray[Any]] = {}
        self._wanted = wanted
        self._owners = {id(value): _owner(name) for name, value in module.named_parameters()}
        self._names: dict[int, str] = {id(tensor): name for name, tensor in inputs.items()}
        self._alive: list[Tensor] = list(inputs.values())  # or another tensor could get the same id

    def name(self, tensor: Tensor) -> str | None:
        """Return the name of a value, or None of one that does not depend on the inputs."""
        return self._names.get(id(tensor))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [leaf for leaf in tree_flatten((args, kwargs or {}))[0] if isinstance(leaf, Tensor)]
        inputs = tuple(name for tensor in given if (name := self.name(tensor)) is not None)
        found = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        called = name.strip("_")
        results = [leaf for leaf in tree_flatten(found)[0] if isinstance(leaf, Tensor)]
        if called == "get":  # a property, such as a transpose
            results = [tensor for tensor in results if all(tensor is not other for other in given)]
        elif called == "setitem" or (name.endswith("_") and not name.endswith("__")):  # written into
            # Of a part of another tensor, that one is written into, too.
            written = given[:1] if called != "setitem" else [args[0]]
            results = [*written, *(part._base for part in written if part._base is not None)]
            inputs = tuple(dict.fromkeys((*inputs, *filter(None, map(self.name, results)))))
        if inputs and results:
            self._note(called, given, inputs, results)
        elif owner := next((self._owners[id(tensor)] for tensor in given if id(tensor) in self._owners), ""):
            for tensor in results:  # a part of a layer's weights, or their transpose
                self._owners.setdefault(id(tensor), owner)
                self._alive.append(tensor)
        return found

    def _note(self, called: str, given: list[Tensor], inputs: tuple[str, ...], results: list[Tensor]) -> None:
        weights = [tensor for tensor in given if self.name(tensor) is None]
        plain = called.removeprefix("r") if called in ("radd", "rsub", "rmul", "rtruediv", "rpow") else called
        plain = {"truediv": "div", "iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div"}.get(plain, plain)
        kind, axes = _LAYERS.get(plain, ("elementwise" if plain in _ELEMENTWISE.split() else "way", ()))
        if axes and not weights:
            kind, axes = "way", ()
        if weights and given and given[0] is weights[0] and len(axes) == 1 and plain in ("matmul", "mm", "bmm"):
            axes = (-2,) if results[0].ndim > 1 and weights[0].ndim > 1 else axes
        outputs = []
        for k, tensor in enumerate(results):
            name = f"{called} {len(self.operations)}.{k}"
            self._names[id(tensor)] = name
            self._alive.append(tensor)
            outputs.append(name)
            if name in self._wanted:
                self.kept[name] = as_array(tensor)
        owner = next((self._owners[id(w)] for w in weights if id(w) in self._owners), "")
        self.operations.append(f"{called} {owner}")
        self.steps.append(Step(kind, owner or called, inputs, tuple(outputs), axes))


def _owner(parameter: str) -> str:
    """Return the name of the part of a module that a parameter belongs to, parametrised or not."""
    return re.sub(r"\.?(parametrizations\..*|[^.]*)$", "", parameter)
