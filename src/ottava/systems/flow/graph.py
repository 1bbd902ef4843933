"""ONNX graphs: their operations as steps, and their values on data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.errors import InputError, MissingError
from ottava.systems.flow.layers import Layer, Step, find_layers
from ottava.systems.flow.proto import read_model

__all__ = ["OnnxNetwork"]

_LAYERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "Conv": ("convolution", (1,)),
    "ConvTranspose": ("convolution", (1,)),
    "Gemm": ("dense", (-1,)),
    "MatMul": ("dense", (-1,)),
    "Einsum": ("dense", (-1,)),
    "Gather": ("embedding", (-1,)),
    # Sequence, directions, batch, hidden units: a direction has units of its own.
    "LSTM": ("recurrent", (1, 3)),
    "GRU": ("recurrent", (1, 3)),
    "RNN": ("recurrent", (1, 3)),
    "Attention": ("attention", (-1,)),
    "MultiHeadAttention": ("attention", (-1,)),
}
_ELEMENTWISE = """
    Abs Add BatchNormalization BiasGelu Cast Ceil Celu Clip Cos Div Dropout Elu Erf Exp FastGelu Floor Gelu
    HardSigmoid HardSwish Identity InstanceNormalization LeakyRelu Log Max Min Mish Mul Neg Pow PRelu
    QuickGelu Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Sub Tanh ThresholdedRelu
"""
_SHAPES = frozenset({"Shape", "Size", "ConstantOfShape", "EyeLike", "Range"})
_CONTROL = frozenset({"If", "Loop", "Scan"})


class OnnxNetwork:
    """A network in an ONNX file.

    Parameters
    ----------
    path : path-like
        The file.
    threads : int or None
        Threads of onnxruntime; its own choice when not given.
    joins : dict of str to str
        Inputs that are not asked for, because another input or an output is put in their place: networks that lie side
        by side in one graph become one.

    Raises
    ------
    ottava.errors.MissingError
        If there is no such file.
    ottava.errors.InputError
        If it is no ONNX graph, has control flow, or no layer that is known.
    """

    def __init__(
        self, path: str | os.PathLike[str], threads: int | None = None, joins: Mapping[str, str] | None = None
    ) -> None:
        self.path, self.threads = Path(path), threads
        try:
            self._model = read_model(self.path.read_bytes())
        except FileNotFoundError as error:
            raise MissingError("there is no such network", path=path, expected="an ONNX file") from error
        except (OSError, ValueError) as error:
            raise InputError("this is no ONNX graph", path=path, found=str(error).splitlines()[0]) from error
        graph = self._model.graph
        constants = {tensor.name for tensor in graph.initializer}
        constants |= {tensor.values.name for tensor in graph.sparse_initializer}
        _join(graph, joins or {})
        self.inputs = tuple(value.name for value in graph.input if value.name not in constants)
        try:
            self.layers, self.outputs = find_layers(self._steps(), self.inputs, [value.name for value in graph.output])
        except InputError as error:
            raise InputError(error.message, path=path, found=error.found, expected=error.expected) from error

    layers: tuple[Layer, ...]
    """Inputs and layers, in order."""
    outputs: Mapping[str, tuple[str, ...]]
    """Names of the outputs, and of the layers that each comes from."""

    def _steps(self) -> Iterator[Step]:
        live = set(self.inputs)
        for number, node in enumerate(self._model.graph.node):
            if node.op_type in _CONTROL:
                raise InputError(
                    "the network has control flow",
                    found=f"{node.op_type} {node.name or number}",
                    expected="a graph in which all operations always run",
                )
            inputs = tuple(value for value in node.input if value in live)
            if not inputs or node.op_type in _SHAPES:
                continue
            live.update(value for value in node.output if value)
            other = "elementwise" if node.op_type in _ELEMENTWISE.split() else "way"
            kind, axes = _LAYERS.get(node.op_type, (other, ()))
            if axes and not _has_weights(node, inputs):
                kind, axes = "way", ()  # a product of two activations, or values picked from one
            elif node.op_type == "MatMul" and node.input[0] not in inputs:
                axes = (-2,)  # weights from the left
            elif kind == "recurrent" and not node.output[0]:
                axes = (0, 2)  # only the last state is asked for: directions, batch, hidden units
            outputs = tuple(value for value in node.output if value)
            yield Step(kind, node.name.strip("/") or f"{node.op_type} {number}", inputs, outputs, axes)

    def run(self, values: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return values of the graph, inner ones too.

        Parameters
        ----------
        values : sequence of str
            Their names.
        feed : dict of str to ndarray
            The inputs by name.

        Raises
        ------
        ottava.errors.InputError
            If the inputs do not fit.
        """
        if feed.keys() != set(self.inputs):
            raise InputError(
                "these are not the network's inputs",
                path=self.path,
                found=", ".join(feed),
                expected=", ".join(self.inputs),
            )
        given = {name: self._as_input(name, array) for name, array in feed.items()}
        inner = [value for value in dict.fromkeys(values) if value not in feed]
        session = self._session
        try:
            found = dict(zip(inner, session.run(inner, given), strict=True)) if inner else {}
        except Exception as error:  # onnxruntime has a dozen unrelated kinds
            shapes = ", ".join(f"{name} {array.shape}" for name, array in given.items())
            raise InputError(
                "the network cannot run on this",
                path=self.path,
                found=f"{shapes}; {str(error).splitlines()[0]}",
                expected=", ".join(f"{node.name} {node.shape}" for node in session.get_inputs()),
            ) from error
        return [feed[value] if value in feed else found[value] for value in values]

    def _as_input(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Return values in the type of an input; into whole numbers only what is one already."""
        given = np.asarray(array, self._types[name])
        if given.dtype.kind in "iub" and not np.array_equal(given, array):
            at = np.argwhere(given != array)[0]
            raise InputError(
                f"input {name} takes {given.dtype}", path=self.path, found=str(array[tuple(at)]), expected="such values"
            )
        return given

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        model = read_model(self._model.SerializeToString())
        known = set(self.outputs)
        for layer in self.layers:
            if layer.value not in known and layer.kind != "input":
                model.graph.output.add(name=layer.value)
                known.add(layer.value)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it would print is in the exception, and in ours
        options.intra_op_num_threads = self.threads or 0
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Weights may lie in files beside the graph, which it names.
        folder = str(self.path.resolve().parent)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        try:
            return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise InputError(
                "onnxruntime cannot run this graph", path=self.path, found=str(error).splitlines()[0]
            ) from error

    @cached_property
    def _types(self) -> dict[str, Any]:
        return {node.name: _TYPES.get(node.type) for node in self._session.get_inputs()}


_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def _join(graph: Any, joins: Mapping[str, str]) -> None:
    """Put other values in the place of inputs, and operations in an order in which each comes after what it reads."""
    kept = [value for value in graph.input if value.name not in joins]
    del graph.input[:]
    graph.input.extend(kept)
    if not joins:
        return
    for node in graph.node:
        for i, value in enumerate(node.input):
            node.input[i] = joins.get(value, value)
    written = {value for node in graph.node for value in node.output}
    waiting, ordered = list(graph.node), []
    while waiting:
        ready = [node for node in waiting if not written & set(node.input)]
        if not ready:
            raise InputError("the joined graph runs in a circle", found=", ".join(joins))
        ordered += ready
        written -= {value for node in ready for value in node.output}
        waiting = [node for node in waiting if written & set(node.output) or not node.output]
    del graph.node[:]
    graph.node.extend(ordered)


def _has_weights(node: Any, inputs: tuple[str, ...]) -> bool:
    """Return whether an operation that could be a layer has weights."""
    if node.op_type == "Gather":  # a table of weights, read at places that are activations
        return node.input[0] not in inputs
    return len(inputs) < len([value for value in node.input if value])
