"""What is trained: to say which codes the hidden bars have."""

from __future__ import annotations

import math
import os

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ottava.results import Labels
from ottava.systems.structure.prior.train.network import PriorNetwork
from ottava.training.networks import save_network, warm_up_and_fall

__all__ = ["PriorTask", "hidden_nats"]


class PriorTask(L.LightningModule):
    """Train :class:`PriorNetwork` on codes that are drawn from the encoder's posterior.

    Parameters
    ----------
    width, heads, layers, mixture
        See :class:`PriorNetwork`.
    learning_rate, warmup_steps, decay_share, weight_decay : float
        As for :class:`ottava.systems.structure.train.task.StructureTask`.
    """

    def __init__(
        self,
        width: int = 96,
        heads: int = 4,
        layers: int = 3,
        mixture: int = 8,
        learning_rate: float = 1e-3,
        warmup_steps: int = 100,
        decay_share: float = 0.5,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = PriorNetwork(width, heads, layers, mixture=mixture)

    def _nats(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, int]:
        mean, known = batch["mean"], batch["known"]
        drawn = mean + torch.randn_like(mean) * (0.5 * batch["log_variance"]).exp()
        hidden = (1 - known) * batch["real"]
        weight, centre, deviation = self.network(mean, known)
        ours = hidden_nats(drawn, weight, centre, deviation)
        normal = 0.5 * (drawn.square() + math.log(2 * math.pi)).sum(2)
        count = hidden.sum().clamp(1)
        return (ours * hidden).sum() / count, (normal * hidden).sum() / count, int(count)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Return nats a hidden code."""
        loss, _, _ = self._nats(batch)
        self.log("train/nats", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Log nats a hidden code, and the same under N(0, 1)."""
        loss, normal, count = self._nats(batch)
        self.log("valid/nats", loss, batch_size=count, prog_bar=True)
        self.log("valid/normal", normal, batch_size=count)

    def configure_optimizers(self) -> dict[str, object]:
        """Return AdamW with warm-up, a plateau and a linear fall."""
        return warm_up_and_fall(self)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the network's weights as safetensors."""
        save_network(self.network, path)

    def export_module(self) -> nn.Module:
        """Return the network."""
        return self.network

    def example_inputs(self, n_bars: int) -> dict[str, Tensor]:
        """Return codes at random, of which every third is hidden."""
        n = min(n_bars, 300)
        codes = torch.randn(1, n, self.network.code, generator=torch.Generator().manual_seed(0))
        return {"codes": codes, "known": (torch.arange(n) % 3 > 0).float()[None]}

    def decode_outputs(self, outputs: dict[str, NDArray[np.float32]]) -> Labels:
        """Return the likeliest Gaussian of each bar, as words."""
        return Labels([str(k) for k in outputs["weight"][0].argmax(1)])

    def feature_parameters(self) -> dict[str, object]:
        """Return the size of a code."""
        return {"code": self.network.code}


def hidden_nats(drawn: Tensor, weight: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Return what each code costs under its mixture, in nats, (batch, bars)."""
    far = (drawn[:, :, None] - mean) * (-log_deviation).exp()
    each = -0.5 * (far.square() + math.log(2 * math.pi)).sum(3) - log_deviation.sum(3)
    return -torch.logsumexp(each + weight.clamp(1e-8).log(), 2)
