"""Codes of tunes, by the bundled encoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ottava.systems.structure.run import StructureModel
from ottava.systems.structure.train.data import StructureData, TuneWindows
from ottava.training.order import Order

__all__ = ["CodedWindows", "PriorData"]


class CodedWindows(Dataset[dict[str, Tensor]]):
    """Batches of windows as codes, some of them hidden: the last ones, a gap, or here and there.

    Parameters
    ----------
    windows : TuneWindows
        Of tunes.
    seed : int
        With its number, decides what of a batch is hidden.
    """

    def __init__(self, windows: TuneWindows, seed: int = 0) -> None:
        self.windows, self.seed = windows, seed
        self.model: StructureModel | None = None

    def __len__(self) -> int:
        """Return how many tunes there are."""
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        self.model = self.model or StructureModel(threads=1)
        batch = self.windows[index]
        rng = np.random.default_rng((self.seed, 1, index))
        found = self.model.session.run_part({"rhythm": batch["rhythm"].numpy(), "line": batch["line"].numpy()})
        real = batch["real"].numpy()
        count, n = real.shape
        known = np.ones((count, n), np.float32)
        for row, length in zip(known, real.sum(1).astype(int), strict=True):
            kind = rng.random()
            if kind < 0.5:
                row[int(rng.integers(1, max(length, 2))) :] = 0
            elif kind < 0.85:
                begin = int(rng.integers(0, length))
                row[begin : begin + int(rng.integers(1, 9))] = 0
            else:
                row[rng.random(n) < rng.uniform(0.1, 0.6)] = 0
        known *= real
        return {
            "mean": torch.from_numpy(found["mean"]),
            "log_variance": torch.from_numpy(found["log_variance"]),
            "known": torch.from_numpy(known),
            "real": batch["real"],
        }


class PriorData(StructureData):
    """Tunes to train on, as codes. Parameters as for :class:`StructureData`, but that no songs are made up."""

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return batches without end."""
        assert self.trainer is not None
        windows = TuneWindows(self.of_split["train"], self.bars_in_batch, self.lengths, seed=self.seed, made_share=0)
        coded = CodedWindows(windows, self.seed)
        return DataLoader(coded, None, sampler=Order(None, 1, self.trainer), num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the beginnings of the validation's tunes, each once."""
        windows = TuneWindows(self.of_split["validation"], 16 * 32, (32,), seed=1, vary=False)
        return DataLoader(CodedWindows(windows), None, sampler=range(-(-len(windows.tunes) // 16)), num_workers=0)
