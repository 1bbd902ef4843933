"""Crops of the rendered corpus with their targets, varied anew each time they are drawn."""

from __future__ import annotations

import getpass
import tempfile
from pathlib import Path

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ottava import __version__
from ottava.corpora.rendered import Recipe, make_rendered
from ottava.results import DRUM_CLASSES, FAMILIES
from ottava.symbolic.instruments import drum_class_of_key
from ottava.systems.transcription.families.naming import LOW_MIDI, PITCHES
from ottava.systems.transcription.train.equipment import limit_band
from ottava.systems.transcription.train.excerpts import Excerpt, Excerpts
from ottava.training.order import Order

__all__ = ["RenderedCrops", "RenderedData", "TranscriptionData", "make_targets"]

ONSET_REACH = 1.5
"""Frames from an onset at which its target has fallen to zero."""


def make_targets(
    notes: NDArray[np.float32], first_frame: int, n_frames: int, frame_s: float
) -> dict[str, NDArray[np.float32]]:
    """Turn notes into targets on the frames' clock.

    An onset or offset at frame position ``f`` gives frame ``t`` the target ``max(0, 1 - |t - f| / 1.5)``: the exact
    time, finer than a frame, can be read back from its neighbours.

    Parameters
    ----------
    notes : ndarray, shape (n, 5)
        As in :mod:`ottava.corpora.rendered`.
    first_frame, n_frames : int
        The crop.
    frame_s : float
        Time between frames in seconds.

    Returns
    -------
    dict of str to ndarray
        ``onset``, ``frame``, ``offset``, ``velocity`` of shape (n_frames, 88); ``drum_onset``, ``drum_velocity``
        (n_frames, 5). Velocities are 0..1, given wherever the onset is not 0.
    """
    shape = (n_frames, PITCHES)
    onset, frame, offset, velocity = (np.zeros(shape, np.float32) for _ in range(4))
    drum_onset, drum_velocity = (np.zeros((n_frames, len(DRUM_CLASSES)), np.float32) for _ in range(2))
    begin = notes[:, 0] / frame_s - first_frame
    end = notes[:, 1] / frame_s - first_frame
    inside = (end > -2) & (begin < n_frames + 2)
    for f, g, (_, _, pitch, force, kind) in zip(begin[inside], end[inside], notes[inside], strict=True):
        if kind >= len(FAMILIES):
            name = drum_class_of_key(int(pitch))
            if name is not None:
                _mark(drum_onset, drum_velocity, f, DRUM_CLASSES.index(name), force / 127)
            continue
        p = int(pitch) - LOW_MIDI
        if not 0 <= p < PITCHES:
            continue
        _mark(onset, velocity, f, p, force / 127)
        _mark(offset, None, g, p, 0)
        sounding = slice(max(round(f), 0), max(round(g), round(f) + 1, 0))
        frame[sounding, p] = 1
    return {
        "onset": onset, "frame": frame, "offset": offset, "velocity": velocity,
        "drum_onset": drum_onset, "drum_velocity": drum_velocity,
    }  # fmt: skip


def _mark(
    target: NDArray[np.float32],
    velocity: NDArray[np.float32] | None,
    position: float,
    column: int,
    force: float,
) -> None:
    for t in range(int(np.ceil(position - ONSET_REACH)), int(np.floor(position + ONSET_REACH)) + 1):
        level = 1 - abs(t - position) / ONSET_REACH
        if 0 <= t < len(target) and level > target[t, column]:
            target[t, column] = level
            if velocity is not None:
                velocity[t, column] = force


class RenderedCrops(Dataset[dict[str, Tensor]]):
    """Random crops of shards, or in validation each shard's beginning.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of shards of one split.
    n_frames : int
        Length of a crop.
    augment : bool
        Draw shard and place at random; vary level, colour, noise and pitch; now and then lay two items over each
        other. A crop is a function of its number and the seed, and there is no end of numbers.
    seed : int
        With its number, names a crop.
    shares : dict of str to float or None
        See :class:`Excerpts`.
    drum_share : float
        Share of mixes of stems that have drums.
    """

    def __init__(
        self,
        folder: Path,
        n_frames: int,
        *,
        augment: bool,
        seed: int = 0,
        shares: dict[str, float] | None = None,
        drum_share: float = 0.5,
    ) -> None:
        self.excerpts = Excerpts(folder, shares, drum_share=drum_share)
        self.n_frames, self.augment, self.seed = n_frames, augment, seed

    def __len__(self) -> int:
        return len(self.excerpts.paths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if self.augment:
            levels, targets = self._vary(np.random.default_rng((self.seed, index)))
        else:
            levels, targets = self._aim(self.excerpts.cut(self.excerpts.paths[index], n_frames=self.n_frames))
        return {"features": torch.from_numpy(levels)} | {k: torch.from_numpy(v) for k, v in targets.items()}

    def _aim(self, excerpt: Excerpt) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Fill an excerpt up with silence, and return it with its targets."""
        levels = np.pad(excerpt.levels, ((0, 0), (0, self.n_frames - excerpt.levels.shape[1]), (0, 0)))
        return levels, make_targets(excerpt.notes, 0, self.n_frames, self.excerpts.frame_s)

    def _vary(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        levels, targets = self._aim(self.excerpts.draw(rng, self.n_frames))
        levels, targets = _transpose(levels, targets, int(rng.integers(-3, 4)))
        if rng.random() < 0.12:
            other, more = _transpose(*self._aim(self.excerpts.draw(rng, self.n_frames)), int(rng.integers(-3, 4)))
            levels, targets = _overlay(levels, other + rng.uniform(-0.12, 0.0), targets, more)
        return _colour(levels, rng), targets


_PITCHED = ("onset", "frame", "offset", "velocity")


def _transpose(
    levels: NDArray[np.float32], targets: dict[str, NDArray[np.float32]], semitones: int
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Shift features and targets along frequency; what comes in from outside is silent."""
    if not semitones:
        return levels, targets
    moved = {k: _shift(v, semitones, 1) if k in _PITCHED else v for k, v in targets.items()}
    return _shift(levels, 3 * semitones, 2), moved


def _shift(array: NDArray[np.float32], steps: int, axis: int) -> NDArray[np.float32]:
    shifted = np.zeros_like(array)
    there = [slice(None)] * array.ndim
    here = [slice(None)] * array.ndim
    there[axis] = slice(max(steps, 0), array.shape[axis] + min(steps, 0))
    here[axis] = slice(max(-steps, 0), array.shape[axis] - max(steps, 0))
    shifted[tuple(there)] = array[tuple(here)]
    return shifted


def _overlay(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    targets: dict[str, NDArray[np.float32]],
    more: dict[str, NDArray[np.float32]],
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Add the powers of two crops (their phases are as good as independent) and unite their targets."""
    power = 10 ** (10 * a) + 10 ** (10 * b)  # a level of 1 is 0 dB, 0 is -100 dB
    both = {k: np.maximum(v, more[k]) for k, v in targets.items()}
    return np.log10(power).astype(np.float32) / 10, both


def _colour(levels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change level and colour, and lay a floor of noise under the sound."""
    channels, frames, bins = levels.shape
    gain = np.full(bins, rng.uniform(-0.15, 0.08))  # decibels / 100
    if rng.random() < 0.7:
        knots = rng.normal(0, rng.uniform(0, 0.06), 8)
        gain = gain + np.interp(np.linspace(0, 7, bins), np.arange(8), knots)
    gain += limit_band(np.arange(bins), rng)
    levels = levels + gain.astype(np.float32)
    if rng.random() < 0.3:
        floor = rng.uniform(0.05, 0.45) + np.linspace(0, rng.uniform(-0.1, 0.15), bins)
        noise = floor + 0.055 * np.log10(rng.exponential(1, (channels, frames, bins)) + 1e-3)
        levels = (np.log10(10 ** (10 * levels) + 10 ** (10 * noise)) / 10).astype(np.float32)
    return np.clip(levels, 0, 1.1).astype(np.float32)


class RenderedData(L.LightningDataModule):
    """A rendered corpus to train on, or a tiny one made for it. Parameters as for :class:`TranscriptionData`."""

    def __init__(self, folder: str, batch_size: int, workers: int, seed: int, shares: dict[str, float] | None) -> None:
        super().__init__()
        self.folder, self.batch_size = Path(folder), batch_size
        self.workers, self.seed, self.shares = workers, seed, shares

    def prepare_data(self) -> None:
        """Make the tiny corpus, if that is what is asked for. Lightning calls this in one process only."""
        if str(self.folder) == "made":
            _made_corpus()

    def setup(self, stage: str | None = None) -> None:
        """Find the corpus."""
        if str(self.folder) == "made":
            self.folder = _made_corpus()


class TranscriptionData(RenderedData):
    """Training and validation crops.

    Parameters
    ----------
    folder : str
        A corpus made by ``ottava data make``, with ``train`` and ``validation`` inside. ``"made"``
        makes a tiny one out of nothing, to try the training itself.
    n_frames : int
        Length of a crop in frames of 24 ms.
    batch_size : int
        Crops a step.
    workers : int
        Processes that prepare crops.
    seed : int
        Seed of the crops.
    shares : dict of str to float or None
        How often each kind of item is drawn, see :class:`RenderedCrops`.
    drum_share : float
        Share of mixes of stems that have drums.
    """

    def __init__(
        self,
        folder: str,
        n_frames: int = 208,
        batch_size: int = 8,
        workers: int = 1,
        seed: int = 0,
        shares: dict[str, float] | None = None,
        drum_share: float = 0.5,
    ) -> None:
        super().__init__(folder, batch_size, workers, seed, shares)
        self.n_frames, self.drum_share = n_frames, drum_share

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return random, varied crops of the pieces for training, without end."""
        assert self.trainer is not None
        crops = RenderedCrops(
            self.folder / "train",
            self.n_frames,
            augment=True,
            seed=self.seed,
            shares=self.shares,
            drum_share=self.drum_share,
        )
        order = Order(None, self.batch_size, self.trainer)
        return DataLoader(crops, self.batch_size, sampler=order, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the beginnings of the pieces for validation, four times as long as in training."""
        crops = RenderedCrops(self.folder / "validation", 4 * self.n_frames, augment=False)
        return DataLoader(crops, max(self.batch_size // 4, 1), num_workers=0)


def _made_corpus() -> Path:
    """Return the folder of a tiny corpus made up out of nothing, after making what of it is missing."""
    # One for each user and version: made once, the same for all processes of a run.
    folder = Path(tempfile.gettempdir()) / f"ottava-made-{__version__}-{getpass.getuser()}"
    for split, count in (("train", 3), ("validation", 1)):
        make_rendered(folder, Recipe(split=split, kinds={"piano": 1}, length_s=5), count=count)
    return folder
