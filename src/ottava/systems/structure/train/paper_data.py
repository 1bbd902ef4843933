"""Melodies as the paper's network reads them: the first eight bars, in 47 symbols, in nine keys."""

from __future__ import annotations

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from ottava.corpora.tunes import TuneItem
from ottava.errors import InputError
from ottava.symbolic.bars import ONSET, REST
from ottava.systems.structure.train.data import SHIPPED, read_splits
from ottava.systems.structure.train.paper import BARS, HIGH_MIDI, LOW_MIDI, STEPS
from ottava.training.order import Order

__all__ = ["TRANSPOSITIONS", "PaperBars", "PaperStructureData", "beginnings", "to_paper"]

TRANSPOSITIONS = tuple(range(-4, 5))
"""Semitones by which each tune is moved, one after the other, as the authors do."""


def to_paper(symbols: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return the paper's symbols: 0 silence, 1 sustain, 2 to 46 an onset of MIDI pitch 40 to 84.

    Parameters
    ----------
    symbols : ndarray of int16, shape (..., steps)
        As :mod:`ottava.symbolic.bars` writes them. Onsets out of range become silence, as with the authors.
    """
    pitch = symbols.astype(np.int64) - ONSET
    inside = (pitch >= LOW_MIDI) & (pitch <= HIGH_MIDI)
    return np.where(symbols < ONSET, symbols, np.where(inside, pitch - LOW_MIDI + ONSET, REST)).astype(np.int64)


def beginnings(tunes: list[TuneItem]) -> NDArray[np.int16]:
    """Return the first eight bars of each tune of 16 steps to the bar, shape (tunes, 8, 16).

    Raises
    ------
    ottava.errors.InputError
        If there is none. Shorter tunes are left out; the authors fill them up.
    """
    found = [tune.symbols[:BARS] for tune in tunes if tune.symbols.shape[1] == STEPS and len(tune.symbols) >= BARS]
    if not found:
        raise InputError("no tune of eight bars in 4/4", found=f"{len(tunes)} tunes")
    return np.stack(found)


class PaperBars(Dataset[Tensor]):
    """Beginnings of tunes in nine keys, ``9 * tunes`` items; or single bars of them.

    Parameters
    ----------
    tunes : ndarray of int16, shape (tunes, 8, 16)
        From :func:`beginnings`.
    single : bool
        Items are bars (1, 16), not tunes (8, 16).
    """

    def __init__(self, tunes: NDArray[np.int16], single: bool = False) -> None:
        self.tunes = tunes.reshape(-1, 1, STEPS) if single else tunes

    def __len__(self) -> int:
        return len(self.tunes) * len(TRANSPOSITIONS)

    def __getitem__(self, index: int) -> Tensor:
        tune, key = divmod(index, len(TRANSPOSITIONS))
        symbols = self.tunes[tune]
        return torch.from_numpy(to_paper(np.where(symbols >= ONSET, symbols + TRANSPOSITIONS[key], symbols)))


class PaperStructureData(L.LightningDataModule):
    """Beginnings of tunes.

    Parameters
    ----------
    tunes : str
        Folder written by ``ottava data tunes``; ``"made"`` makes songs up.
    single : bool
        Single bars, for the first stage.
    batch_size : int
        Items a step.
    workers : int
        Processes that prepare batches.
    """

    def __init__(self, tunes: str, single: bool = False, batch_size: int = 16, workers: int = 1) -> None:
        super().__init__()
        self.tunes, self.single, self.batch_size, self.workers = tunes, single, batch_size, workers

    def setup(self, stage: str | None = None) -> None:
        """Read the tunes, or make some up."""
        parts = read_splits(self.tunes, list(SHIPPED))
        self.of_split = {split: beginnings(items) for split, items in parts.items()}

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Return batches without end."""
        assert self.trainer is not None
        items = PaperBars(self.of_split["train"], self.single)
        order = Order(len(items), self.batch_size, self.trainer)
        return DataLoader(items, self.batch_size, sampler=order, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return the beginnings of the validation's tunes in their own key."""
        symbols = torch.from_numpy(to_paper(self.of_split["validation"]))
        return DataLoader(TensorDataset(symbols.reshape(-1, 1, STEPS) if self.single else symbols), 64)
