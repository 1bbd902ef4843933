"""Groups of neighbouring notes of the rendered corpus, varied anew each time they are drawn."""

from __future__ import annotations

import warnings
from pathlib import Path

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ottava.corpora.rendered import load_about, load_item
from ottava.errors import InputError
from ottava.results import FAMILIES
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.families.naming import BINS, FRAMES, GROUP, LOW_MIDI, cut
from ottava.systems.transcription.families.train.network import PITCHES
from ottava.systems.transcription.train.data import made_corpus
from ottava.training.order import Order

__all__ = ["FamilyData", "NoteGroups"]


class NoteGroups(Dataset[dict[str, Tensor]]):
    """Groups of consecutive notes of a corpus, with what sounds around each.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of shards of one split.
    n_notes : int
        Notes in a group.
    augment : bool
        Draw item and place at random; move the pitch, vary level and colour, and now and then lay another item
        underneath. A group is a function of its number and the seed.
    seed : int
        With its number, names a group.
    shares : dict of str to float or None
        How often each kind of item is drawn, as in :class:`.data.RenderedCrops`.
    """

    def __init__(
        self, folder: Path, n_notes: int, *, augment: bool, seed: int = 0, shares: dict[str, float] | None = None
    ) -> None:
        paths = sorted(Path(folder).glob("*.npz"))
        if not paths:
            raise InputError("no shards here", path=folder, expected="*.npz, made by `ottava data make`")
        self.n_notes, self.augment, self.seed = n_notes, augment, seed
        self.frame_s = LogFrequency().frame_s
        self.by_kind: dict[str, list[Path]] = {}
        for path in paths:
            self.by_kind.setdefault(str(load_about(path)["kind"]), []).append(path)
        self.by_kind.pop("drums", None)  # nobody to name
        wanted = shares or {kind: float(len(found)) for kind, found in self.by_kind.items()}
        self.shares = {kind: share for kind, share in wanted.items() if kind in self.by_kind}
        if not self.shares:
            raise InputError("no shards with notes here", path=folder, found=", ".join(shares or ()) or "only drums")
        self.paths = [path for kind in self.shares for path in self.by_kind[kind]]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index)) if self.augment else None
        frame = pitch = np.zeros(0, np.int64)
        while not len(frame):  # an item of nothing but rests has no group
            levels, notes = load_item(self.paths[index])[:2] if rng is None else self._draw(rng)
            frame, pitch, target = self._notes(notes, levels.shape[1])
            if rng is None:
                break
        n = min(self.n_notes, len(frame))
        first = (len(frame) - n) // 2 if rng is None else int(rng.integers(len(frame) - n + 1))
        chosen = slice(first, first + n)
        frame, pitch, target = frame[chosen], pitch[chosen], target[chosen]
        time_s = frame * self.frame_s
        if rng is not None:
            frame = np.maximum(frame + rng.integers(-1, 2, n), 0)
        patches = _levels(cut(levels, frame, pitch))
        if rng is not None:
            if rng.random() < 0.25:
                patches = self._overlay(patches, frame, pitch, rng)
            patches, pitch = _vary(patches, pitch, rng)
        missing = self.n_notes - n  # a short group is filled up with notes that count for nothing
        return {
            "patches": torch.from_numpy(np.pad(patches, ((0, missing), (0, 0), (0, 0), (0, 0)))),
            "pitch": torch.from_numpy(np.pad(pitch, (0, missing))),
            "time_s": torch.from_numpy(np.pad(time_s, (0, missing), constant_values=1e3).astype(np.float32)),
            "target": torch.from_numpy(np.pad(target, ((0, missing), (0, 0)))),
        }

    def _draw(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return the levels and notes of an item."""
        shares = np.array(list(self.shares.values()))
        for _attempt in range(5):
            found = self.by_kind[rng.choice(list(self.shares), p=shares / shares.sum())]
            try:
                return load_item(found[int(rng.integers(len(found)))])[:2]
            except InputError as error:
                warnings.warn(f"{error}; drawing another", stacklevel=2)
        raise InputError("five damaged shards in a row", path=self.paths[0].parent)

    def _notes(
        self, notes: NDArray[np.float32], n_frames: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Return frame, pitch and shares of families of each onset; unisons are one."""
        notes = notes[notes[:, 4] < len(FAMILIES)]
        frame = np.rint(notes[:, 0] / self.frame_s).astype(np.int64)
        pitch = notes[:, 2].astype(np.int64) - LOW_MIDI
        inside = (pitch >= 0) & (pitch < PITCHES) & (frame < n_frames - FRAMES // 2)
        place = np.stack([frame[inside], pitch[inside]], axis=1)
        unique, back = np.unique(place, axis=0, return_inverse=True)
        target = np.zeros((len(unique), len(FAMILIES)), np.float32)
        target[back.ravel(), notes[inside, 4].astype(int)] = 1
        return unique[:, 0], unique[:, 1], target / target.sum(1, keepdims=True)

    def _overlay(
        self,
        patches: NDArray[np.float32],
        frame: NDArray[np.int64],
        pitch: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Lay another item underneath, softer, by adding powers."""
        levels, _ = self._draw(rng)
        begin = int(rng.integers(max(levels.shape[1] - (frame[-1] - frame[0]), 1)))
        there = np.minimum(begin + frame - frame[0], levels.shape[1] - 1)
        other = _levels(cut(levels, there, pitch)) - np.float32(rng.uniform(0.03, 0.2))
        return np.asarray(np.log10(10 ** (10 * patches) + 10 ** (10 * other)) / 10, np.float32)


def _levels(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    return stored.astype(np.float32) / np.float32(255)


def _vary(
    patches: NDArray[np.float32], pitch: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Change level, colour and pitch, lay noise underneath, and hide a few bands from the network."""
    colour = rng.normal(0, rng.uniform(0, 0.07), 12)
    # One colour for all, on absolute frequency: the patches of higher notes begin higher.
    place = (np.arange(BINS) + 3 * pitch[:, None]) / (BINS + 3 * PITCHES) * 11
    gain = np.interp(place, np.arange(12), colour) + rng.uniform(-0.15, 0.06)
    patches = patches + gain[:, None, None, :].astype(np.float32)
    if rng.random() < 0.3:
        floor = rng.uniform(0.05, 0.4) + 0.055 * np.log10(rng.exponential(1, patches.shape) + 1e-3)
        patches = (np.log10(10 ** (10 * patches) + 10 ** (10 * floor)) / 10).astype(np.float32)
    patches = np.clip(patches, 0, 1.1)
    for _ in range(rng.integers(0, 3)):
        begin, width = int(rng.integers(BINS)), int(rng.integers(3, 24))
        patches[..., begin : begin + width] = 0
    return patches, np.clip(pitch + int(rng.integers(-2, 3)), 0, PITCHES - 1)


class FamilyData(L.LightningDataModule):
    """Groups of notes for training and validation.

    Parameters
    ----------
    folder : str
        A corpus made by ``ottava data make``, with ``train`` and ``validation`` inside. ``"made"`` makes a tiny one
        out of nothing, to try the training itself.
    n_notes : int
        Notes in a group.
    batch_size : int
        Groups a step.
    workers : int
        Processes that prepare groups.
    seed : int
        Seed of the groups.
    shares : dict of str to float or None
        How often each kind of item is drawn.
    """

    def __init__(
        self,
        folder: str,
        n_notes: int = GROUP,
        batch_size: int = 8,
        workers: int = 1,
        seed: int = 0,
        shares: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.n_notes, self.batch_size = n_notes, batch_size
        self.workers, self.seed, self.shares = workers, seed, shares

    def prepare_data(self) -> None:
        """Make the tiny corpus, if that is what is asked for. Lightning calls this in one process only."""
        if str(self.folder) == "made":
            made_corpus()

    def setup(self, stage: str | None = None) -> None:
        """Find the corpus."""
        if str(self.folder) == "made":
            self.folder = made_corpus()

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return random, varied groups of the pieces for training, without end."""
        assert self.trainer is not None
        groups = NoteGroups(self.folder / "train", self.n_notes, augment=True, seed=self.seed, shares=self.shares)
        order = Order(None, self.batch_size, self.trainer)
        return DataLoader(groups, self.batch_size, sampler=order, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return long groups from the middle of the pieces for validation."""
        groups = NoteGroups(self.folder / "validation", 4 * self.n_notes, augment=False, shares=self.shares)
        return DataLoader(groups, 1, num_workers=0)
