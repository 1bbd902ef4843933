"""What the floor adds to Lightning's loop: seeds by step, a stop when not finite, a point to resume from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, RichProgressBar

from ottava.errors import TrainingError
from ottava.io.files import atomic_write

__all__ = ["AtomicCheckpoints", "FiniteLoss", "ProgressBar", "ResumePoint", "StepSeeds", "load_checkpoint"]


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoint files that are whole or not there.

    Lightning's own writer goes through the system's temporary folder, which is not atomic when that is on
    another disk than the run.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``, replacing what was there."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, force=True) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self, path: Any, map_location: Callable[..., Any] | None = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint of tensors and plain data onto the CPU."""
        return load_checkpoint(path)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of tensors and plain data onto the CPU.

    Raises
    ------
    ottava.errors.TrainingError
        If there is no file or it is no such checkpoint.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError("there is no such checkpoint", path=path) from None
    except Exception as error:  # torch raises several unrelated kinds for damaged files
        raise TrainingError(
            "this is not a checkpoint of tensors and plain data", path=path, found=str(error).split("\n")[0]
        ) from error
    return checkpoint


class ProgressBar(RichProgressBar):
    """Lightning's bar on stderr, without the number of epochs, which a run counted in steps does not have."""

    def __init__(self) -> None:
        super().__init__(console_kwargs={"stderr": True})

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what the bar shows beside the time."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}

    def _get_train_description(self, current_epoch: int) -> str:
        return "Training" if self.trainer.max_epochs == -1 else str(super()._get_train_description(current_epoch))


class StepSeeds(Callback):
    """Seed torch before every batch, so that dropout and the like depend on the step and not on history.

    Parameters
    ----------
    seed : int
        Seed of the run. Batches and processes get different ones.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Seed for the batch to come."""
        batch = trainer.fit_loop.total_batch_idx * trainer.world_size + trainer.global_rank
        torch.manual_seed(self.seed * 1_000_003 + batch)


class FiniteLoss(Callback):
    """Stop with a :class:`ottava.errors.TrainingError` when the loss or a gradient is not finite."""

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        """Look at the loss before it reaches any weight."""
        if not torch.isfinite(loss).all():
            raise TrainingError(
                f"the loss is not finite at step {trainer.global_step}",
                found=f"{loss.detach().sum().item()}",
                expected="a finite loss; a lower learning rate or gradient clipping may help",
            )

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradients: a finite loss can have some that are not."""
        if trainer.scaler is not None:  # half precision scales its loss by trial and error, and skips such steps
            return
        for name, parameter in pl_module.named_parameters():
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
                raise TrainingError(f"a gradient is not finite at step {trainer.global_step}", found=f"it in {name}")


class ResumePoint(Checkpoint):
    """Keep ``last.ckpt``, every so many steps and at every epoch's end.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    every_steps : int
        Steps from one save to the next.
    record : dict
        Plain data about the run, kept in the checkpoint under ``"ottava"``.
    """

    def __init__(self, folder: Path, every_steps: int, record: dict[str, Any]) -> None:
        self.path = folder / "last.ckpt"
        self.every_steps = every_steps
        self.record = record
        self._saved_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting from the step that was loaded."""
        self._saved_step = trainer.global_step

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the record to every checkpoint of the run."""
        checkpoint["ottava"] = self.record

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Save when enough steps have passed."""
        if trainer.global_step - self._saved_step >= self.every_steps:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what the epoch has reached. Lightning also calls this when training stops in its middle."""
        if trainer.global_step > self._saved_step:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path)  # every process takes part; the first one writes
        self._saved_step = trainer.global_step
