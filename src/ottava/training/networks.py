"""What tasks of all systems do with a network: read and write its weights, pruned ones too, and how its rate goes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ottava.errors import InputError, TrainingError
from ottava.io.files import atomic_write
from ottava.training.callbacks import load_checkpoint

__all__ = ["Prunable", "load_network", "save_network", "shrink", "warm_up_and_fall"]


def save_network(network: nn.Module, path: str | os.PathLike[str], *, pruned: bool = False) -> None:
    """Write weights as ``.safetensors``; of a pruned network the file says so."""
    weights = {k: v.contiguous() for k, v in network.state_dict().items()}
    with atomic_write(path, force=True) as file:
        file.write(safetensors.torch.save(weights, {"pruned": "yes"} if pruned else None))


def load_network(network: nn.Module, path: str | os.PathLike[str], *, part: str = "network.") -> bool:
    """Take weights from a ``.safetensors`` file or from a checkpoint of a run.

    Where they say that they are of a pruned network, the network becomes as small as theirs.

    Parameters
    ----------
    network : torch.nn.Module
        Gets the weights.
    path : path-like
        The file.
    part : str
        With what the names of the wanted weights begin in a checkpoint.

    Returns
    -------
    bool
        Whether they are of a pruned network.

    Raises
    ------
    ottava.errors.InputError
        If the file cannot be read or is of a network of other sizes.
    """
    try:
        if Path(path).suffix == ".ckpt":
            checkpoint = load_checkpoint(Path(path))
            pruned, state = bool(checkpoint.get(_PRUNED)), checkpoint["state_dict"]
            weights = {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
        else:
            with safetensors.safe_open(path, "pt") as file:
                pruned = (file.metadata() or {}).get("pruned") == "yes"
            weights = safetensors.torch.load_file(path)
        if pruned:
            shrink(network, weights)
        network.load_state_dict(weights)
    except (OSError, RuntimeError, TrainingError, safetensors.SafetensorError) as error:
        found = str(error).splitlines()[-1].strip()
        raise InputError("these weights do not fit", path=path, found=found) from error
    return pruned


def shrink(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give layers the sizes of the weights that they are to take, where those are smaller.

    Parameters
    ----------
    network : torch.nn.Module
        Is changed. Its dense layers, convolutions, embeddings and norms may be.
    weights : dict of str to Tensor
        By name, as in the network's ``state_dict``.
    """
    for name, layer in network.named_modules():
        weight = weights.get(f"{name}.weight")
        if weight is None or not isinstance(layer, (*_SIZES, *_NORMS)):
            continue
        for part, value in ((part, weights.get(f"{name}.{part}")) for part in ("weight", "bias")):
            old = getattr(layer, part, None)
            if value is not None and (old is None or value.shape != old.shape):
                setattr(layer, part, nn.Parameter(torch.empty_like(value, dtype=weight.dtype)))
        for part in ("running_mean", "running_var"):
            if f"{name}.{part}" in weights:
                setattr(layer, part, torch.empty_like(weights[f"{name}.{part}"]))
        for sizes in (names for kind, names in (_SIZES | _NORMS).items() if isinstance(layer, kind)):
            for size, axis in sizes.items():
                value = weight.shape[axis]
                setattr(layer, size, (value,) if isinstance(getattr(layer, size), tuple) else value)


_SIZES: dict[type[nn.Module], dict[str, int]] = {
    nn.Linear: {"out_features": 0, "in_features": 1},
    nn.Embedding: {"num_embeddings": 0, "embedding_dim": 1},
    nn.Conv1d: {"out_channels": 0, "in_channels": 1},
    nn.Conv2d: {"out_channels": 0, "in_channels": 1},
}
_NORMS: dict[type[nn.Module], dict[str, int]] = {
    nn.BatchNorm1d: {"num_features": 0},
    nn.BatchNorm2d: {"num_features": 0},
    nn.LayerNorm: {"normalized_shape": 0},
}
_PRUNED = "ottava_pruned"


class Prunable(L.LightningModule):
    """A task whose ``network`` may be smaller than its own settings say, because it was pruned."""

    network: nn.Module
    pruned = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note whether the network is pruned."""
        checkpoint[_PRUNED] = self.pruned

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the network as small as that of the checkpoint, if that is pruned."""
        if checkpoint.get(_PRUNED):
            own = {k.removeprefix("network."): v for k, v in checkpoint["state_dict"].items()}
            shrink(self.network, own)
            self.pruned = True


def warm_up_and_fall(task: L.LightningModule) -> dict[str, object]:
    """Return AdamW with warm-up, a plateau and a linear fall, by the task's own settings."""
    settings = task.hparams
    decayed = [p for p in task.parameters() if p.ndim > 1]
    kept = [p for p in task.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings["weight_decay"]},
        {"params": kept, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings["learning_rate"])
    total = max(int(task.trainer.estimated_stepping_batches), 1)

    def factor(step: int) -> float:
        rising = (step + 1) / max(float(settings["warmup_steps"]), 1)
        falling = max((total - step) / max(float(settings["decay_share"]) * total, 1), 0.02)
        return min(1.0, rising, falling)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
