"""Groups of neighbouring notes of the rendered corpus, varied anew each time they are drawn.

Best drawn from a corpus of stems, with recorded ensembles beside them: in stems who plays together is drawn, too. A
piano that only ever plays alone makes the attention among notes take everybody near it for a piano. Of ready mixes the
onsets can be those that transcription finds, with all its errors, which the network learns to tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ottava.results import FAMILIES
from ottava.systems.transcription.families.naming import FRAMES, GROUP, HEARD, LOW_MIDI, PITCHES
from ottava.systems.transcription.families.train.found import Found, find_all, label
from ottava.systems.transcription.families.train.unisons import number_unisons
from ottava.systems.transcription.train.data import RenderedData
from ottava.systems.transcription.train.equipment import limit_band
from ottava.systems.transcription.train.excerpts import Excerpt, Excerpts
from ottava.training.order import Order

__all__ = ["FamilyData", "NoteGroups"]

_OCTAVES = np.float32(10 * np.log2(10))  # levels times this are powers in octaves
_JOINED = 0.1
"""Share of groups from two items at once."""
_LATE = {-2: 0.03, -1: 0.2, 0: 0.42, 1: 0.27, 2: 0.08}
"""How often an onset comes how many frames late. Of those found 7 in 10 come in time, 2 in 10 one late, 1 in 10 one
early; in training more are off, as soft attacks are so all together."""


class NoteGroups(Dataset[dict[str, Tensor]]):
    """Groups of consecutive notes of a corpus, with what sounds around each.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of shards of one split.
    n_notes : int
        Notes in a group.
    n_frames : int
        Frames from which a varied group is drawn.
    augment : bool
        Draw item and place at random, who plays if it is in stems, and now and then two items at once; move the
        pitch, vary level and colour. A group is a function of its number and the seed.
    seed : int
        With its number, names a group.
    shares : dict of str to float or None
        How often each kind of item is drawn, as in :class:`.data.RenderedCrops`.
    found : bool
        Take the onsets that transcription finds in items that are not in stems, in place of the truth's.
    """

    def __init__(
        self,
        folder: Path,
        n_notes: int,
        n_frames: int = 88,
        *,
        augment: bool,
        seed: int = 0,
        shares: dict[str, float] | None = None,
        found: bool = False,
    ) -> None:
        self.excerpts = Excerpts(folder, shares, without=frozenset({"drums"}))  # nobody to name
        self.n_notes, self.n_frames, self.augment, self.seed = n_notes, n_frames, augment, seed
        self.frame_s = self.excerpts.frame_s
        ready = [path for kind in self.excerpts.shares if kind != "stems" for path in self.excerpts.by_kind[kind]]
        self.found = find_all(ready) if found else {}

    def __len__(self) -> int:
        return len(self.excerpts.paths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index)) if self.augment else None
        if rng is None:
            scene = self._scene(self.excerpts.cut(self.excerpts.paths[index]))
        else:
            scene = self._excerpt(rng)
            if rng.random() < _JOINED and scene.true:
                scene = scene.join(self._excerpt(rng, true=True), rng.uniform(-0.12, 0.04))
        # Some notes are left out, and times are stretched: a melody that always is the same gives its player away.
        n = min(self.n_notes if rng is None else int(self.n_notes / rng.uniform(0.35, 1)), len(scene.frame))
        first = (len(scene.frame) - n) // 2 if rng is None else int(rng.integers(len(scene.frame) - n + 1))
        chosen = np.arange(first, first + n)
        if rng is not None:
            chosen = np.sort(rng.permutation(chosen)[: self.n_notes])
        # Where notes are few they come twice: made-up ones would be neighbours such as the network never meets in use.
        chosen = np.resize(chosen, self.n_notes if n else 0)
        frame, pitch = scene.frame[chosen], scene.pitch[chosen]
        target, heard = scene.target[chosen], scene.heard[chosen]
        time_s = frame * self.frame_s
        levels = scene.levels
        if rng is not None:
            late = rng.choice(list(_LATE), len(frame), p=list(_LATE.values())) if scene.true else np.zeros_like(frame)
            time_s = time_s + (late + rng.uniform(-0.5, 0.5, len(frame))) * self.frame_s
            time_s *= 2 ** rng.uniform(-0.6, 0.6)
            frame = np.maximum(frame + late, 0)
            levels = np.pad(_vary(levels, rng), ((0, 0), (0, self.n_frames - levels.shape[1]), (0, 0)))
        return {
            "levels": torch.from_numpy(levels),
            "frame": torch.from_numpy(frame),
            "pitch": torch.from_numpy(pitch),
            "time_s": torch.from_numpy(time_s.astype(np.float32)),
            "heard": torch.from_numpy(heard),
            "target": torch.from_numpy(target),
        }

    def _excerpt(self, rng: np.random.Generator, *, true: bool = False) -> _Scene:
        """Return some seconds of an item in which somebody plays, moved in pitch."""
        while True:
            scene = self._scene(self.excerpts.draw(rng, self.n_frames)).move(int(rng.integers(-3, 4)))
            if len(scene.frame) and (scene.true or not true):
                return scene

    def _scene(self, excerpt: Excerpt) -> _Scene:
        if excerpt.mixed or excerpt.path not in self.found:
            return _Scene.of(excerpt, self.frame_s)
        found = self.found[excerpt.path].window(excerpt.first_frame, excerpt.levels.shape[1])
        return _Scene.of_found(excerpt, found, self.frame_s)


@dataclass(frozen=True)
class _Scene:
    """Levels (channels, T, bins), and onsets in their order.

    Of each the frame, the pitch, who plays and whether it is a note (N, 7; 1, 0, or -1 where that is not asked), and
    what is heard of it (N, HEARD). ``true`` says that the onsets are those of the truth.
    """

    levels: NDArray[np.float32]
    frame: NDArray[np.int64]
    pitch: NDArray[np.int64]
    target: NDArray[np.float32]
    heard: NDArray[np.float32]
    true: bool

    @classmethod
    def of(cls, excerpt: Excerpt, frame_s: float) -> _Scene:
        """Take the notes as the corpus has them."""
        notes = excerpt.notes[excerpt.notes[:, 4] < len(FAMILIES)]
        target = np.eye(len(FAMILIES) + 1, dtype=np.float32)[notes[:, 4].astype(int)]
        target[:, -1] = -1
        frame, pitch = np.rint(notes[:, 0] / frame_s).astype(np.int64), notes[:, 2].astype(np.int64) - LOW_MIDI
        heard = np.zeros((len(frame), HEARD), np.float32)
        return cls(excerpt.levels, frame, pitch, target, heard, true=True)._inside()

    @classmethod
    def of_found(cls, excerpt: Excerpt, found: Found, frame_s: float) -> _Scene:
        """Take the notes as transcription finds them."""
        target = label(found, excerpt.notes, frame_s)
        return cls(excerpt.levels, found.frame, found.pitch, target, found.heard, true=False)._inside()

    def _inside(self) -> _Scene:
        """Leave out what has too little sound or lies outside the keys; unisons become one note of several families."""
        last = self.levels.shape[1] - FRAMES // 2
        keep = (self.pitch >= 0) & (self.pitch < PITCHES) & (self.frame >= 0) & (self.frame < last)
        kept = replace(
            self, frame=self.frame[keep], pitch=self.pitch[keep], target=self.target[keep], heard=self.heard[keep]
        )
        if not self.true:
            return kept
        number = number_unisons(kept.frame, kept.pitch)
        _, first = np.unique(number, return_index=True)
        target = np.full((len(first), kept.target.shape[1]), -1, np.float32)
        np.maximum.at(target, number, kept.target)
        frame = np.full(len(first), last)
        np.minimum.at(frame, number, kept.frame)
        return replace(kept, frame=frame, pitch=kept.pitch[first], target=target, heard=kept.heard[first])

    def move(self, semitones: int) -> _Scene:
        """Shift along pitch; what comes in from outside is silent."""
        levels = np.zeros_like(self.levels)
        up, down = max(3 * semitones, 0), max(-3 * semitones, 0)
        bins = levels.shape[2]
        levels[:, :, up : bins - down] = self.levels[:, :, down : bins - up]
        return replace(self, levels=levels, pitch=self.pitch + semitones)._inside()

    def join(self, other: _Scene, gain: float) -> _Scene:
        """Let another scene sound at the same time: powers add, as phases are as good as independent."""
        n = min(self.levels.shape[1], other.levels.shape[1])
        power = 10 ** (10 * self.levels[:, :n]) + 10 ** (10 * (other.levels[:, :n] + np.float32(gain)))
        return _Scene(
            (np.log10(power) / 10).astype(np.float32),
            np.concatenate([self.frame, other.frame]),
            np.concatenate([self.pitch, other.pitch]),
            np.concatenate([self.target, other.target]),
            np.concatenate([self.heard, other.heard]),
            true=self.true,
        )._inside()


def _vary(levels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change level and colour, lay noise underneath, and hide a few bands from the network."""
    bins = np.arange(levels.shape[2])
    colour = np.interp(bins / bins[-1] * 11, np.arange(12), rng.normal(0, rng.uniform(0, 0.06), 12))
    gain = colour + rng.uniform(-0.15, 0.06) + limit_band(bins, rng)
    levels = levels + gain.astype(np.float32)
    if rng.random() < 0.5:
        fall = rng.uniform(0, 0.3) * (0.5 - bins / bins[-1])  # from white noise to one of lows
        noise = np.log10(rng.standard_exponential(levels.shape, np.float32) + np.float32(1e-3))
        floor = (rng.uniform(0.05, 0.5) + fall).astype(np.float32) + np.float32(0.055) * noise
        levels = np.logaddexp2(levels * _OCTAVES, floor * _OCTAVES) / _OCTAVES
    levels = np.clip(levels, 0, 1.1)
    for _ in range(rng.integers(0, 3)):
        begin, width = int(rng.integers(len(bins))), int(rng.integers(3, 24))
        levels[..., begin : begin + width] = 0
    return levels


class FamilyData(RenderedData):
    """Groups of notes for training and validation.

    Parameters
    ----------
    folder : str
        A corpus made by ``ottava data make``, with ``train`` and ``validation`` inside. ``"made"`` makes a tiny one
        out of nothing, to try the training itself.
    n_notes : int
        Notes in a group.
    n_frames : int
        Frames from which a group is drawn.
    batch_size : int
        Groups a step.
    workers : int
        Processes that prepare groups.
    seed : int
        Seed of the groups.
    shares : dict of str to float or None
        How often each kind of item is drawn.
    found : bool
        See :class:`NoteGroups`.
    """

    def __init__(
        self,
        folder: str,
        n_notes: int = 28,
        n_frames: int = 88,
        batch_size: int = 32,
        workers: int = 1,
        seed: int = 0,
        shares: dict[str, float] | None = None,
        found: bool = False,
    ) -> None:
        super().__init__(folder, batch_size, workers, seed, shares)
        self.n_notes, self.n_frames, self.found = n_notes, n_frames, found

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return random, varied groups of the pieces for training, without end."""
        assert self.trainer is not None
        groups = NoteGroups(
            self.folder / "train",
            self.n_notes,
            self.n_frames,
            augment=True,
            seed=self.seed,
            shares=self.shares,
            found=self.found,
        )
        order = Order(None, self.batch_size, self.trainer)
        return DataLoader(groups, self.batch_size, sampler=order, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return long groups from the middle of the pieces for validation."""
        groups = NoteGroups(self.folder / "validation", GROUP, augment=False, found=self.found)
        return DataLoader(groups, 1, num_workers=0)
