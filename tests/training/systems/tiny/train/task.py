from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from ottava.systems.tiny import SPEC  # type: ignore[import-not-found]
from torch import Tensor, nn

from ottava.results import Notes
from ottava.spec import Spec


class TinyNetwork(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, width, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Conv1d(width, 4, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        y = self.out(self.dropout(torch.relu(self.conv(features.transpose(1, 2))))).transpose(1, 2)
        return torch.sigmoid(y[..., :3]), y[..., 3]


class ForgetsLength(nn.Module):
    """Right at the traced length and wrong at any other, as a size read in Python while tracing makes it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        onset, level = self.network(features)
        return onset / int(features.shape[1]), level


class TinyTask(LightningModule):
    def __init__(
        self, width: int = 8, lr: float = 1e-2, dropout: float = 0.2, fails: str = "", fails_at: int = -1
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr, self.fails, self.fails_at = lr, fails, fails_at
        self.network = TinyNetwork(width, dropout)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        features, onset = batch
        found, level = self.network(features)
        loss = nn.functional.binary_cross_entropy(found, onset) + 0.01 * (level - onset.sum(-1)).square().mean()
        self.log("loss", loss, prog_bar=True)
        if self.global_step == self.fails_at:
            if self.fails == "loss":
                loss = loss * float("nan")
            if self.fails == "gradient":  # 0, and its derivative is 0 * inf
                loss = loss + torch.sqrt(0.0 * found.sum())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        features, onset = batch
        self.log("val_loss", nn.functional.binary_cross_entropy(self.network(features)[0], onset))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step / 10))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def export_module(self) -> nn.Module:
        return ForgetsLength(self.network) if self.fails == "export" else self.network

    def example_inputs(self, n_frames: int) -> dict[str, Tensor]:
        return {"features": torch.rand(1, n_frames, 4, generator=torch.Generator().manual_seed(n_frames))}

    def decode_outputs(self, outputs: dict[str, np.ndarray]) -> Notes:
        frame, line = np.nonzero(outputs["onset"][0] > 0.5)
        confidence = outputs["onset"][0][frame, line]
        n = len(frame)
        return Notes(frame * 0.1, frame * 0.1 + 0.1, 60 + line, [80] * n, confidence, ["keys"] * n)

    def feature_parameters(self) -> dict[str, Any]:
        return {"rate_hz": 10, "bands": 4}


class WideTask(TinyTask):
    """Another task of the same system, whose graph has names of its own."""

    def __init__(self, width: int = 32) -> None:
        super().__init__(width)

    def export_spec(self) -> Spec:
        return replace(SPEC, outputs={"rise": (1, "frames", 3), "level": (1, "frames")})

    def decode_outputs(self, outputs: dict[str, np.ndarray]) -> Notes:
        return super().decode_outputs({"onset": outputs["rise"]})
