"""What tasks of all systems do with a network: read and write its weights, and how its learning rate goes."""

from __future__ import annotations

import os
from pathlib import Path

import lightning as L
import safetensors.torch
import torch
from torch import nn

from ottava.errors import InputError, TrainingError
from ottava.io.files import atomic_write
from ottava.training.callbacks import load_checkpoint

__all__ = ["load_network", "save_network", "warm_up_and_fall"]


def save_network(network: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write weights as ``.safetensors``."""
    with atomic_write(path, force=True) as file:
        file.write(safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()}))


def load_network(network: nn.Module, path: str | os.PathLike[str], *, part: str = "network.") -> None:
    """Take weights from a ``.safetensors`` file or from a checkpoint of a run.

    Parameters
    ----------
    network : torch.nn.Module
        Gets the weights.
    path : path-like
        The file.
    part : str
        With what the names of the wanted weights begin in a checkpoint.

    Raises
    ------
    ottava.errors.InputError
        If the file cannot be read or is of a network of other sizes.
    """
    try:
        if Path(path).suffix == ".ckpt":
            state = load_checkpoint(Path(path))["state_dict"]
            weights = {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
        else:
            weights = safetensors.torch.load_file(path)
        network.load_state_dict(weights)
    except (OSError, RuntimeError, TrainingError, safetensors.SafetensorError) as error:
        found = str(error).splitlines()[-1].strip()
        raise InputError("these weights do not fit", path=path, found=found) from error


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
