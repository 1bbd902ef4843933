"""From a checkpoint to an ONNX file that is proved to say the same.

The graph is traced (``dynamo=False``). Tried with torch 2.14 on a U-Net and a recurrent network, the newer
exporter fails on padding to a multiple of four and bakes the example's length into a GRU; the traced graphs
keep their axes free. The parity check below does not trust that but tries several lengths.

Large weights are stored as 16-bit floats, which halves the file; a cast in front of each makes them 32-bit again, once,
when the graph is loaded. What the rounding changes is measured, too.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from lightning.pytorch import LightningModule
from numpy.typing import NDArray

import ottava
from ottava.errors import MissingError, OutputError, TrainingError
from ottava.io.files import atomic_write, check_output
from ottava.results import Payload
from ottava.spec import Spec, find_spec, resolve
from ottava.training.callbacks import load_checkpoint

__all__ = ["Exported", "export", "export_task", "load_task"]

OPSET = 17
LENGTHS = (1, 2, 37, 250, 1001)
"""Frames of the parity check: the shortest, odd ones, a usual one, a long one."""

TOLERANCE = 1e-4
"""Largest difference between torch and onnxruntime, relative to 1 or to the value if that is larger."""
ROUNDING_TOLERANCE = 0.02
"""The same between the graph and the one whose weights are rounded to 16 bits."""
_LARGE = 256  # values; smaller weights stay as they are


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported file and how closely it agrees with torch.

    Parameters
    ----------
    path : pathlib.Path
        The ONNX file.
    sha256 : str
        Its checksum, for the model card.
    n_bytes : int
        Its size.
    cases : int
        Number of inputs compared.
    max_difference : float
        Largest difference of any output from torch's on any of them, before weights are rounded.
    rounding_difference : float
        Largest difference that rounding makes.
    """

    path: Path
    sha256: str
    n_bytes: int
    cases: int
    max_difference: float
    rounding_difference: float


def export(
    system: str,
    checkpoint: str | Path,
    path: str | Path,
    *,
    card: str | Path | None = None,
    force: bool = False,
) -> Exported:
    """Export a checkpoint of a system.

    Parameters
    ----------
    system : str
        Name of the system.
    checkpoint : path-like
        A checkpoint, or a run folder: then its ``best.ckpt`` or else its ``last.ckpt``.
    path : path-like
        The ONNX file to write.
    card : path-like or None
        Model card whose ``sha256``, ``bytes`` and ``parameters`` are to be those of the file.
    force : bool
        Overwrite an existing file.

    Raises
    ------
    ottava.errors.OutputError
        If the file exists and ``force`` is not set, or the card lacks these lines.
    ottava.errors.MissingError
        If there is no such card.
    ottava.errors.TrainingError
        If the checkpoint cannot be used or the graph says something else than torch. No file is left then.
    """
    check_output(path, force=force)
    if card is not None and not Path(card).is_file():
        raise MissingError("there is no such card", path=card, expected="a model card to fill in")
    spec, checkpoint = find_spec(system), Path(checkpoint)
    if checkpoint.is_dir():
        best = checkpoint / "best.ckpt"
        checkpoint = best if best.is_file() else checkpoint / "last.ckpt"
    config = load_checkpoint(checkpoint).get("ottava", {}).get("config", "")
    task = load_task(spec, checkpoint)
    own_spec = getattr(task, "export_spec", None)  # of a task that is not the one the system ships
    done = export_task(own_spec() if own_spec else spec, task, path, config=config, force=force)
    if card is not None:
        n_parameters = sum(p.numel() for p in task.export_module().parameters())
        _describe(Path(card), {"sha256": f'"{done.sha256}"', "bytes": done.n_bytes, "parameters": n_parameters})
    return done


def _describe(card: Path, values: dict[str, str | int]) -> None:
    """Set lines ``key = value`` in the head of a card."""
    text = card.read_text(encoding="utf-8")
    for key, value in values.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
        if not count:
            raise OutputError("the card has no such line to fill in", path=card, expected=f"{key} = ...")
    with atomic_write(card, force=True) as file:
        file.write(text.encode())


def load_task(spec: Spec, checkpoint: str | Path) -> LightningModule:
    """Return the task that a checkpoint was trained as, with its weights, in evaluation mode on the CPU.

    Raises
    ------
    ottava.errors.TrainingError
        If the file is no checkpoint or belongs to another model.
    """
    record = load_checkpoint(checkpoint).get("ottava", {})
    target = yaml.safe_load(record.get("config", "{}")).get("task", spec.task)
    try:
        task: LightningModule = resolve(str(target)).load_from_checkpoint(
            checkpoint, map_location="cpu", weights_only=True
        )
    except (KeyError, RuntimeError, TypeError) as error:
        raise TrainingError(
            f"this checkpoint does not fit {spec.name}", path=checkpoint, found=str(error).split("\n")[0]
        ) from error
    task.eval()
    return task


def export_task(
    spec: Spec, task: LightningModule, path: str | Path, *, config: str = "", force: bool = False
) -> Exported:
    """Export a task as it stands, after comparing the graph with torch.

    Parameters
    ----------
    spec : Spec
        Names the graph's inputs and outputs and their axes. Axes given by name stay free.
    task : lightning.pytorch.LightningModule
        Has the methods that :mod:`ottava.training` describes.
    path : path-like
        The ONNX file to write.
    config : str
        The run's configuration, whose SHA-256 goes into the metadata.
    force : bool
        Overwrite an existing file.

    Raises
    ------
    ottava.errors.OutputError
        If the file exists and ``force`` is not set.
    ottava.errors.TrainingError
        If the graph says something else than torch, with all cases in which it does. No file is left then.
    """
    check_output(path, force=force)
    needs = ("export_module", "example_inputs", "decode_outputs", "feature_parameters")
    missing = [name for name in needs if not hasattr(task, name)]
    if missing:
        raise TrainingError(
            f"{type(task).__name__} cannot be exported",
            found=f"no {', '.join(missing)}",
            expected="as ottava.training says",
        )
    module = task.export_module().eval()
    example = task.example_inputs(LENGTHS[-2])
    model = _trace(spec, module, example)
    _check_sizes(spec, module, example)
    cases, largest = _check_parity(spec, task, module, model.SerializeToString())
    rounded = _round_weights(model)
    rounding = _check_rounding(spec, task, model.SerializeToString(), rounded.SerializeToString())
    model = rounded
    metadata = {
        "system": spec.name,
        "version": ottava.__version__,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "features": json.dumps(task.feature_parameters(), sort_keys=True),
        "parity": json.dumps({"cases": cases, "max_difference": largest, "rounding_difference": rounding}),
    }
    onnx.helper.set_model_props(model, metadata)
    data = model.SerializeToString()
    with atomic_write(path, force=force) as file:
        file.write(data)
    return Exported(Path(path), hashlib.sha256(data).hexdigest(), len(data), cases, largest, rounding)


def _trace(spec: Spec, module: torch.nn.Module, example: dict[str, torch.Tensor]) -> onnx.ModelProto:
    axes = spec.inputs | spec.outputs
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # tracing warns of everything that parity then checks
            torch.onnx.export(
                module,
                tuple(example[name] for name in spec.inputs),
                buffer,
                dynamo=False,
                opset_version=OPSET,
                input_names=list(spec.inputs),
                output_names=list(spec.outputs),
                dynamic_axes={n: {i: a for i, a in enumerate(s) if isinstance(a, str)} for n, s in axes.items()},
            )
    except Exception as error:  # the module's own errors and torch's of several kinds
        raise TrainingError("the graph cannot be traced", found=str(error).strip().split("\n")[0]) from error
    model = onnx.load_from_string(buffer.getvalue())
    for value in model.graph.output:  # tracing loses the sizes of fixed axes and invents names for them
        for axis, size in zip(value.type.tensor_type.shape.dim, spec.outputs[value.name], strict=True):
            if isinstance(size, str):
                axis.dim_param = size
            else:
                axis.dim_value = size
    onnx.checker.check_model(model)
    return model


def _cases(spec: Spec, task: LightningModule) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    generator = torch.Generator().manual_seed(0)
    for n_frames in LENGTHS:
        example = task.example_inputs(n_frames)
        yield f"example of {n_frames} frames", example
        yield f"silence of {n_frames} frames", {n: torch.zeros_like(x) for n, x in example.items()}
        noise = {
            n: torch.randn(x.shape, generator=generator, dtype=x.dtype) if x.is_floating_point() else x
            for n, x in example.items()
        }
        yield f"noise of {n_frames} frames", noise
    if all(axes[0] == "batch" for axes in spec.inputs.values()):
        yield "a batch of two", {name: torch.cat([noise[name], example[name]]) for name in spec.inputs}


def _round_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its large weights stored as 16-bit floats."""
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    casts = []
    for tensor in rounded.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > _LARGE and np.abs(values).max() < np.finfo(np.float16).max:
            name, stored = tensor.name, f"{tensor.name}.half"
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
            casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *rounded.graph.node]
    del rounded.graph.node[:]
    rounded.graph.node.extend(nodes)
    onnx.checker.check_model(rounded)
    return rounded


def _check_rounding(spec: Spec, task: LightningModule, exact: bytes, rounded: bytes) -> float:
    """Return the largest difference that rounding the weights makes, or raise if it is too large."""
    sessions = [_open(data) for data in (exact, rounded)]
    largest = 0.0
    for _, inputs in _cases(spec, task):
        fed = {name: inputs[name].numpy() for name in spec.inputs}
        expected, found = (session.run(list(spec.outputs), fed) for session in sessions)
        largest = max(largest, *(_difference(f, e) for f, e in zip(found, expected, strict=True)))
    if not largest <= ROUNDING_TOLERANCE:
        raise TrainingError(
            "weights rounded to 16 bits say something else; nothing was written",
            found=f"outputs that differ by {largest:.3g}",
            expected=f"within {ROUNDING_TOLERANCE:g}",
        )
    return largest


def _open(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it would print is in the exception, and in ours
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _check_parity(spec: Spec, task: LightningModule, module: torch.nn.Module, data: bytes) -> tuple[int, float]:
    """Return the number of cases and the largest difference, or raise with all that disagree."""
    session = _open(data)
    failures, largest, cases = [], 0.0, dict(_cases(spec, task))
    for case, inputs in cases.items():
        expected = {name: value.numpy() for name, value in _ask(spec, module, inputs).items()}
        try:
            values = session.run(list(spec.outputs), {name: inputs[name].numpy() for name in spec.inputs})
        except Exception as error:  # onnxruntime raises several unrelated kinds
            failures.append(f"{case}: {str(error).splitlines()[0]}")
            continue
        found = dict(zip(spec.outputs, values, strict=True))
        differences = {name: _difference(found[name], expected[name]) for name in expected}
        wrong = {name: value for name, value in differences.items() if not value <= TOLERANCE}
        failures += [f"{case}: {name} differs by {value:.3g}" for name, value in wrong.items()]
        largest = max(largest, *differences.values())
        if not wrong and not _same(task.decode_outputs(found), task.decode_outputs(expected)):
            failures.append(f"{case}: the decoded payloads differ")
    if failures:
        raise TrainingError(
            "the exported graph says something else than torch; nothing was written",
            found=f"{len(failures)} failures in {len(cases)} cases: " + "; ".join(failures),
            expected=f"outputs within {TOLERANCE:g} and equal payloads",
        )
    return len(cases), largest


def _check_sizes(spec: Spec, module: torch.nn.Module, example: dict[str, torch.Tensor]) -> None:
    """Raise if the network is larger or smaller than the one that the system can run."""
    values = example | _ask(spec, module, example)
    for name, axes in (spec.inputs | spec.outputs).items():
        shape = tuple(values[name].shape)
        fits = len(shape) == len(axes) and all(isinstance(a, str) or a == n for a, n in zip(axes, shape, strict=True))
        if not fits:
            raise TrainingError(f"{name} has another size than {spec.name} needs", found=str(shape), expected=str(axes))


def _ask(spec: Spec, module: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        outputs = module(*(inputs[name] for name in spec.inputs))
    return dict(zip(spec.outputs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True))


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference, relative to 1 or the value; infinite for other shapes and NaN."""
    if found.shape != expected.shape or not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return math.inf
    scaled = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    return float(scaled.max(initial=0))


def _same(found: Payload, expected: Payload) -> bool:
    """Whether payloads are equal: counts, integers and words exactly, real numbers within the tolerance."""
    if type(found) is not type(expected) or len(found) != len(expected):
        return False
    for one, other in zip(found.rows(), expected.rows(), strict=True):
        for name, value in one.items():
            if isinstance(value, float):
                if abs(value - other[name]) > TOLERANCE:
                    return False
            elif value != other[name]:
                return False
    return True
