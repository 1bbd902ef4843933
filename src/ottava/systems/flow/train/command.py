"""``ottava prune``: a smaller network out of a checkpoint of one of our own systems."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor, nn

from ottava.errors import TrainingError, UsageError
from ottava.io.files import atomic_write, check_output
from ottava.spec import find_spec, resolve
from ottava.systems.flow.activations import as_feed, collect
from ottava.systems.flow.measure import information_flow
from ottava.systems.flow.train.prune import Inputs, Pruned, mark_dead, measure_inputs, prune_units
from ottava.systems.flow.train.scores import MEASURES, unit_scores
from ottava.systems.flow.train.trace import TorchNetwork
from ottava.training.callbacks import load_checkpoint
from ottava.training.export import load_task

__all__ = ["Subject", "main", "open_subject", "prune_subject"]

_SAMPLES, _BATCHES = 512, 64


@dataclass
class Subject:
    """A task that is to be pruned, and data.

    Parameters
    ----------
    task : lightning.pytorch.LightningModule
        Has ``flow_module``, ``flow_inputs`` and ``flow_layers`` (:mod:`ottava.training`).
    data : lightning.pytorch.LightningDataModule
        Its data.
    batches : list
        Batches of training, on which worth is measured.
    monitor : str
        The metric of validation that its training was judged by.
    """

    task: LightningModule
    data: LightningDataModule
    batches: list[Any]
    monitor: str

    def validate(self) -> dict[str, float]:
        """Return all metrics of validation."""
        trainer = Trainer(
            accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        (found,) = trainer.validate(self.task, datamodule=self.data, verbose=False)
        return {name: float(value) for name, value in found.items()}

    def inputs(self) -> list[dict[str, Tensor]]:
        """Return what the module reads of each batch."""
        return [self.task.flow_inputs(batch) for batch in self.batches]


def open_subject(system: str, checkpoint: str | Path, settings: Sequence[str] = ()) -> Subject:
    """Return what is to be pruned.

    Parameters
    ----------
    system : str
        Name of the system, or of a part.
    checkpoint : path-like
        A checkpoint of a run; or weights as ``.safetensors``, which are taken to be of the system's ``ship.yaml``.
    settings : sequence of str
        ``NAME=VALUE`` in place of the run's own settings of its data.

    Raises
    ------
    ottava.errors.UsageError
        If the system's task cannot be pruned, or a setting makes no sense.
    ottava.errors.TrainingError
        If the checkpoint cannot be used.
    """
    spec = find_spec(system)
    if Path(checkpoint).suffix == ".safetensors":
        config = yaml.safe_load((spec.folder / "train" / "ship.yaml").read_text("utf-8"))
        target = str(config.get("task", spec.task))
        task = resolve(target)(**config.get("model", {}), initial_weights=str(checkpoint)).eval()
    else:
        config = yaml.safe_load(load_checkpoint(checkpoint).get("ottava", {}).get("config", "")) or {}
        task = load_task(spec, checkpoint)
    if not hasattr(task, "flow_layers"):
        raise UsageError(f"{system} cannot be pruned", expected="a task with flow_module, flow_inputs and flow_layers")
    options = dict(config.get("data") or {})
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"setting {setting!r} is unreadable", expected="NAME=VALUE")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"setting {setting!r} is unreadable", found=str(error).splitlines()[0]) from error
    try:
        data: LightningDataModule = resolve(str(config.get("datamodule", spec.data)))(**options)
    except TypeError as error:
        raise UsageError("these settings do not fit the data", found=str(error)) from error
    # Batches of training are drawn in an order that follows a trainer's steps.
    data.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    data.setup("fit")
    batches = []
    for batch in islice(data.train_dataloader(), _BATCHES):
        batches.append(batch)
        if sum(len(next(iter(task.flow_inputs(b).values()))) for b in batches) >= _SAMPLES:
            break
    if not batches:
        raise TrainingError("there is no data to measure on", path=checkpoint)
    return Subject(task, data, batches, str(config.get("monitor", "")))


def prune_subject(subject: Subject, share: float, by: str, *, seed: int = 0) -> Pruned:
    """Remove the units that are worth least from a subject's network, in place of it.

    Parameters
    ----------
    subject : Subject
        Its task's network becomes the smaller one.
    share : float
        Share of the multiply-adds that is to go.
    by : str
        One of :data:`.scores.MEASURES`.
    seed : int
        For ``"random"``.
    """
    module = subject.task.flow_module().eval()
    inputs = measure_inputs(module, _running(subject))
    scores = measure_worth(subject, by, inputs, seed=seed)
    example = tuple(value[:1] for value in subject.inputs()[0].values())
    kept = {name: values for name, values in scores.items() if name in subject.task.flow_layers()}
    pruned = prune_units(module, example, kept, share, inputs=inputs)
    network = pruned.model
    subject.task.network = network if isinstance(network, type(subject.task.network)) else network.network
    subject.task.pruned = True
    return pruned


def measure_worth(subject: Subject, by: str, inputs: Inputs, *, seed: int = 0) -> dict[str, Tensor]:
    """Return what each unit of each layer is worth; those that always say the same are worth least."""
    module, data = subject.task.flow_module().eval(), _samples(subject)
    network = TorchNetwork(module, data)
    flow = None
    if by.endswith("flow"):
        flow = information_flow(network, data, estimator="gaussian-copula", rate=None, batch=16)
    loss = _loss(subject) if by == "taylor" else None
    scores = unit_scores(module, by, flow=flow, inputs=inputs.size, loss=loss, seed=seed)
    mark_dead(scores, network, collect(network, as_feed(network, data), batch=16))
    return scores


def _samples(subject: Subject) -> dict[str, NDArray[Any]]:
    """Return what the module reads of samples; windows of several lengths are cut to the shortest."""
    every = subject.inputs()
    data = {}
    for name in every[0]:
        arrays = [inputs[name].numpy() for inputs in every]
        shortest = tuple(slice(min(sizes)) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True))
        data[name] = np.concatenate([array[(slice(None), *shortest)] for array in arrays])[:_SAMPLES]
    return data


def _running(subject: Subject) -> Callable[[nn.Module], None]:
    def run(module: nn.Module) -> None:
        for inputs in subject.inputs()[:8]:
            module(*inputs.values())

    return run


def _loss(subject: Subject) -> Callable[[nn.Module], Tensor]:
    """Return the loss of training over some batches, of the task's own network."""

    def loss(_: nn.Module) -> Tensor:
        torch.manual_seed(0)
        subject.task.log = lambda *a, **k: None
        subject.task.log_dict = lambda *a, **k: None
        try:
            return torch.stack([subject.task.training_step(batch, 0) for batch in subject.batches[:8]]).mean()
        finally:
            del subject.task.log, subject.task.log_dict

    return loss


def main(argv: Sequence[str]) -> int:
    """Run ``ottava prune SYSTEM --checkpoint PATH --out WEIGHTS``: weights, and beside them a card, ``.md``.

    Parameters
    ----------
    argv : sequence of str
        The command and its arguments.

    Returns
    -------
    int
        0. Whatever goes wrong is raised.

    Raises
    ------
    ottava.errors.UsageError, ottava.errors.TrainingError, ottava.errors.InputError
        If arguments make no sense, or it cannot be done.
    """
    given = _parser().parse_args(argv[1:])
    if Path(given.out).suffix != ".safetensors":
        raise UsageError("weights are written as .safetensors", found=given.out, expected="such a name after --out")
    if not 0 < given.share < 1:
        raise UsageError(f"share is {given.share:g}", expected="above 0, below 1")
    card = Path(given.out).with_suffix(".md")
    for path in (given.out, card):
        check_output(path, force=given.force)
    subject = open_subject(given.system, given.checkpoint, given.data)
    before = subject.validate()
    pruned = prune_subject(subject, given.share, given.by, seed=given.seed)
    after = subject.validate()
    said = f"{pruned.saved:.1%} of {pruned.multiply_adds_before:,} multiply-adds are gone, worth measured by {given.by}"
    _say(f"{said}:")
    for name, units in pruned.removed.items():
        _say(f"  {name}: {len(units)} units")
    for name, value in before.items():
        _say(f"  {name}: {value:.4f}, now {after[name]:.4f}")
    subject.task.save_weights(given.out)
    lines = [
        f"# {Path(given.out).name}\n",
        f"The network of {given.system} in {given.checkpoint}, smaller: {said} (seed {given.seed}).\n",
        _table(("validation", "before", "after"), [(k, f"{v:.4f}", f"{after[k]:.4f}") for k, v in before.items()]),
        _table(("layer", "units that went"), [(name, str(len(units))) for name, units in pruned.removed.items()]),
    ]
    with atomic_write(card, force=given.force) as file:
        file.write("\n".join(lines).encode())
    _say(f"{given.out} is written, and {card} about it.")
    _say(f"Go on with: ottava train {given.system} --model.initial_weights {given.out} ...")
    return 0


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(message, expected=self.format_usage().removeprefix("usage: ").strip())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ottava prune", description="Make a network smaller. Needs ottava[train].")
    parser.add_argument("system")
    parser.add_argument(
        "--checkpoint", required=True, metavar="PATH", help="of a run of training, or weights as .safetensors"
    )
    parser.add_argument("--out", required=True, metavar="WEIGHTS", help=".safetensors to train on from, and to export")
    parser.add_argument("--share", type=float, default=0.3, help="of the multiply-adds that is to go (0.3)")
    parser.add_argument("--by", choices=MEASURES, default="weighted-flow", help="what units are worth (weighted-flow)")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=VALUE", help="a setting of the run's data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="overwrite")
    return parser


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
