"""A network in onnxruntime: named arrays in, named arrays out, checked against the system's spec."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.errors import ModelError, UsageError
from ottava.runtime.weights import Weights
from ottava.spec import Spec

__all__ = ["Session", "check_threads", "default_threads"]


def default_threads() -> int:
    """Return the number of cores that this process may use, at most 4: small networks gain little beyond."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 4)


def check_threads(threads: int | None) -> int:
    """Return a number of threads that was asked for, or else the default.

    Raises
    ------
    ottava.errors.UsageError
        If it is below 1.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}", expected="1 or more")
    return threads or default_threads()


_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


class Session:
    """A loaded network. Safe to call from several threads.

    Parameters
    ----------
    weights : Weights
        The graph, from :func:`ottava.runtime.weights.find_weights`.
    spec : Spec
        The system, whose ``inputs`` and ``outputs`` the graph must have.
    threads : int or None
        Threads inside an operator; :func:`default_threads` when not given.

    Raises
    ------
    ottava.errors.ModelError
        If onnxruntime cannot read the graph, it says that it is for another system, or its inputs and outputs
        are not those of the spec.
    ottava.errors.UsageError
        If ``threads`` is below 1.
    """

    def __init__(self, weights: Weights, spec: Spec, threads: int | None = None) -> None:
        import onnxruntime

        self.weights = weights
        self.threads = check_threads(threads)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        # Threads that wait by spinning take the cores from NumPy's, which work between two runs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Measured on three minutes of features: the memory pattern planner raises the peak by half and saves
        # no time; without the arena every run asks the system for its memory anew, for 40 % more time.
        options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(weights.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a dozen unrelated kinds
            raise ModelError(
                "onnxruntime cannot read these weights",
                path=weights.path,
                found=str(error),
                expected="an ONNX graph",
            ) from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._outputs = [node.name for node in self._session.get_outputs()]
        if self.metadata.get("system") != spec.name:
            raise ModelError(
                "these weights are for something else",
                path=weights.path,
                found=f"system {self.metadata.get('system')!r} in the graph's metadata",
                expected=repr(spec.name),
            )
        _check("inputs", weights, self._session.get_inputs(), spec.inputs)
        _check("outputs", weights, self._session.get_outputs(), spec.outputs)
        self._silence = {
            node.name: np.zeros([size if isinstance(size, int) else 1 for size in node.shape], _TYPES[node.type])
            for node in self._session.get_inputs()
        }

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Run the network.

        Parameters
        ----------
        inputs : dict of str to ndarray
            One array for each input of the spec, with its axes.

        Returns
        -------
        dict of str to ndarray
            One array for each output of the spec, with its axes.

        Raises
        ------
        ottava.errors.ModelError
            If an array is missing, unknown or does not fit the graph.
        """
        if inputs.keys() != self._silence.keys():
            raise ModelError("these are not the network's inputs", found=_names(inputs), expected=_names(self._silence))
        try:
            outputs = self._session.run(None, dict(inputs))
        except Exception as error:
            raise ModelError(
                "the network could not run",
                path=self.weights.path,
                found=", ".join(f"{name} {array.dtype} {array.shape}" for name, array in inputs.items()),
                expected=str(error),
            ) from error
        return dict(zip(self._outputs, outputs, strict=True))

    def run_part(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Run one of several networks that lie side by side in one graph.

        Parameters
        ----------
        inputs : dict of str to ndarray
            The inputs of that network. The others get zeros, of length 1 along free axes.

        Returns
        -------
        dict of str to ndarray
            All outputs of the spec; those of the other networks mean nothing.

        Raises
        ------
        ottava.errors.ModelError
            As for :meth:`run`.
        """
        return self.run({**self._silence, **inputs})


def _check(kind: str, weights: Weights, nodes: Any, expected: Mapping[str, tuple[str | int, ...]]) -> None:
    found = {node.name: tuple(node.shape) for node in nodes}
    fits = found.keys() == expected.keys() and all(_same_axes(found[name], expected[name]) for name in expected)
    if not fits:
        raise ModelError(
            f"the network has other {kind} than {weights.system} needs",
            path=weights.path,
            found=", ".join(f"{name} {shape}" for name, shape in found.items()),
            expected=", ".join(f"{name} {shape}" for name, shape in expected.items()),
        )


def _same_axes(found: tuple[Any, ...], expected: tuple[str | int, ...]) -> bool:
    # Only fixed lengths are compared: exporters rename free axes.
    return len(found) == len(expected) and all(
        a == b for a, b in zip(found, expected, strict=True) if isinstance(a, int) and isinstance(b, int)
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
