"""The paper's protocol: single bars first, then tunes from the local networks that came of it."""

from __future__ import annotations

import os

import lightning as L
import torch
from torch import Tensor

from ottava.results import check_choice
from ottava.systems.structure.train.paper import WIDTH, BarVae, Coded, PaperVae, divergence, paper_loss
from ottava.training.networks import load_network, save_network

__all__ = ["PaperStructureTask"]

_STAGES = {
    # Share of the steps after which each learning rate ends.
    "bars": ((12 / 18, 1e-3), (1.0, 1e-4)),
    "tunes": ((30 / 60, 1e-4), (50 / 60, 1e-5), (1.0, 1e-6)),
}


class PaperStructureTask(L.LightningModule):
    """Train :class:`.paper.BarVae` or :class:`.paper.PaperVae`.

    Parameters
    ----------
    stage : {"bars", "tunes"}
        Which of the two.
    local_weights : str
        For tunes, weights of the local networks, ``.safetensors`` written by :meth:`save_local` or the first stage's
        checkpoint. ``"random"`` starts without; a missing file is an error (the authors' loader goes on without).
    masks : list of int
        See :class:`.paper.PaperVae`.
    past : bool
        See :class:`.paper.PaperVae`.
    kl_weight : float
        Weight of the mean divergence: the authors' ``kl_coef``. In nats a tune it counts a quarter of that.
    width : int
        See :class:`.paper.PaperVae`.
    """

    def __init__(
        self,
        stage: str = "tunes",
        local_weights: str = "random",
        masks: list[int] | None = None,
        past: bool = True,
        kl_weight: float = 1.0,
        width: int = WIDTH,
    ) -> None:
        super().__init__()
        check_choice("stage", stage, tuple(_STAGES))
        self.save_hyperparameters()
        seen, read, own = masks or (1, 1, 1)
        self.network = BarVae(width) if stage == "bars" else PaperVae((seen, read, own), past, width)
        self.stage, self.kl_weight = stage, kl_weight
        if stage == "tunes" and local_weights != "random":
            load_network(self.network.local, local_weights, part="network.local.")

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        """Return the loss as the authors write it."""
        logits, coded = self.network(batch)
        loss = paper_loss(logits, batch, coded, self.kl_weight)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, ...], _: int) -> None:
        """Log what the authors' evaluation prints: accuracy after its own and after true bars, and divergence."""
        (symbols,) = batch
        n = len(symbols)
        logits, coded = self.network(symbols)
        self.log("valid/loss", paper_loss(logits, symbols, coded, self.kl_weight), batch_size=n)
        self.log("valid/forced_sampled", _accuracy(logits, symbols), batch_size=n)
        self.log("valid/divergence", divergence(coded).mean(), batch_size=n)
        self.log("valid/active", _active(coded), batch_size=n)
        if isinstance(self.network, PaperVae):
            forced, _attention = self.network.decode(coded.mean, symbols[:, :-1])
            free = self.network.write(coded.mean)
            self.log("valid/forced", _accuracy(forced, symbols), batch_size=n)
            self.log("valid/free", (free == symbols).float().mean(), batch_size=n, prog_bar=True)

    def configure_optimizers(self) -> dict[str, object]:
        """Return Adam, whose learning rate falls by ten at the authors' shares of the epochs."""
        optimizer = torch.optim.Adam(self.parameters(), 1.0)
        steps = int(self.trainer.estimated_stepping_batches)

        def rate(step: int) -> float:
            return next((value for share, value in _STAGES[self.stage] if step < share * steps), 0.0)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def save_local(self, path: str | os.PathLike[str]) -> None:
        """Write the local networks' weights as safetensors."""
        save_network(self.network.local, path)


def _accuracy(logits: Tensor, symbols: Tensor) -> Tensor:
    return (logits.argmax(3) == symbols).float().mean()


def _active(coded: Coded) -> Tensor:
    """Return how many dimensions of a bar's code store more than a hundredth of a nat on average."""
    return (divergence(coded).mean(0) > 0.01).float().sum(1).mean()
