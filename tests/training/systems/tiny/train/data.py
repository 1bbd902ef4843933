from __future__ import annotations

import time

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ottava.training.order import Order


class Bursts(Dataset[tuple[Tensor, Tensor]]):
    """Bursts in bands: the onset is where a band rises. Example n is a function of n."""

    def __init__(self, seed: int, pause_s: float = 0.0) -> None:
        self.seed, self.pause_s = seed, pause_s

    def __len__(self) -> int:
        return 8

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor]:
        time.sleep(self.pause_s)
        onset = (torch.rand(20, 3, generator=torch.Generator().manual_seed(1000 * self.seed + n)) < 0.1).float()
        return torch.cat([onset, onset.sum(1, keepdim=True)], 1), onset


class TinyData(LightningDataModule):
    def __init__(self, batch_size: int = 4, pause_s: float = 0.0) -> None:
        super().__init__()
        self.batch_size, self.pause_s = batch_size, pause_s

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        order = Order(None, self.batch_size, self.trainer)
        return DataLoader(Bursts(1, self.pause_s), self.batch_size, sampler=order)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(Bursts(2), self.batch_size)
