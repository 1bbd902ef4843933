"""Windows of tunes, and beside each the same window with one bar changed and all that is made of it changed
likewise.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ottava.corpora.songs import make_songs
from ottava.corpora.tunes import BEATS, TuneItem, load_tunes, unpack_chords
from ottava.symbolic.bars import HOLD, ONSET
from ottava.systems.structure.decode import Bars
from ottava.systems.structure.lines import OUTSIDE, PITCHES, REACH, STEPS, find_reference, settle, split_bars
from ottava.systems.structure.relations import Relations, find_relations, transfer
from ottava.training.order import Order

__all__ = ["SHIPPED", "StructureData", "TuneWindows", "change_bar", "read_splits"]

SHIPPED: tuple[str, ...] = ("openewld", "pop909", "music21")
"""Sources whose licences let anyone use what was learned from them."""


def change_bar(bars: Bars, relations: Relations, at: int, new: Bars) -> tuple[Bars, NDArray[np.bool_]]:
    """Replace one bar, and every later bar that is made of it by what it then becomes.

    Parameters
    ----------
    bars : Bars
        One tune, (bars, STEPS).
    relations : Relations
        Of its bars.
    at : int
        Which bar is replaced.
    new : Bars
        Rhythm and line of the new one, (STEPS,).

    Returns
    -------
    Bars
        The new tune.
    ndarray of bool, shape (bars,)
        Which bars follow; not the replaced one.
    """
    rhythm, line = bars[0].copy(), bars[1].copy()
    rhythm[at], line[at] = new
    follows = np.zeros(len(rhythm), bool)
    for i in range(at + 1, len(rhythm)):
        source = int(relations.source[i])
        if source == at or (source >= 0 and follows[source]):
            follows[i] = True
            old = (bars[0][source], bars[1][source])
            rhythm[i], line[i] = transfer((bars[0][i], bars[1][i]), old, (rhythm[source], line[source]))
    return (rhythm, line), follows


class TuneWindows(Dataset[dict[str, Tensor]]):
    """Batches of windows; each is a function of its number and the seed.

    Parameters
    ----------
    tunes : list of TuneItem
        Of at most 16 steps to the bar.
    bars_in_batch : int
        Windows times bars of each.
    lengths : tuple of int
        Bars of a window, one of which is drawn for each batch.
    seed : int
        With its number, names a batch.
    made_share : float
        Share of windows into which further repeats are put: moved, or with some notes changed.
    vary : bool
        Draw windows anywhere and count pitches from elsewhere; else take beginnings.
    """

    def __init__(
        self,
        tunes: list[TuneItem],
        bars_in_batch: int,
        lengths: tuple[int, ...],
        *,
        seed: int = 0,
        made_share: float = 0.4,
        vary: bool = True,
    ) -> None:
        self.tunes = [tune for tune in tunes if tune.symbols.shape[1] <= STEPS]
        self.bars_in_batch, self.lengths, self.seed = bars_in_batch, lengths, seed
        self.made_share, self.vary = made_share, vary
        # A tune is drawn as often as its length's root says: songs come in stretches of a few bars.
        weights = np.sqrt([len(tune.symbols) for tune in self.tunes])
        self.weights = weights / weights.sum()
        self.of_steps: dict[int, list[int]] = defaultdict(list)
        for i, tune in enumerate(self.tunes):
            self.of_steps[tune.symbols.shape[1]].append(i)

    def __len__(self) -> int:
        """Return how many tunes there are; there is no end of batches."""
        return len(self.tunes)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        n = int(rng.choice(self.lengths))
        count = max(self.bars_in_batch // n, 1)
        columns: dict[str, list[NDArray[np.generic]]] = defaultdict(list)
        for k in range(count):
            which = (
                int(rng.choice(len(self.tunes), p=self.weights)) if self.vary else (index * count + k) % len(self.tunes)
            )
            for name, value in self._window(which, n, rng).items():
                columns[name].append(value)
        return {name: torch.from_numpy(np.stack(values)) for name, values in columns.items()}

    def _window(self, which: int, n: int, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        symbols = self.tunes[which].symbols
        steps = symbols.shape[1]
        begin = int(rng.integers(0, max(len(symbols) - n, 0) + 1)) if self.vary else 0
        symbols = symbols[begin : begin + n]
        reference = find_reference(symbols) + (int(rng.integers(-5, 6)) if self.vary else 0)
        bars = split_bars(symbols, reference)
        if self.vary and rng.random() < self.made_share:
            bars = _put_repeats(bars, rng)
        relations = find_relations(*bars)
        at, new = self._draw_change(bars, relations, steps, rng)
        changed, follows = change_bar(bars, relations, at, new)
        real = len(symbols)

        def fill(rows: NDArray[np.int64], value: int) -> NDArray[np.int64]:
            filled = np.full((n, *rows.shape[1:]), value, np.int64)
            filled[:real] = rows
            return filled

        place = np.arange(n)
        return {
            "rhythm": fill(bars[0], OUTSIDE),
            "line": fill(bars[1], 0),
            "source": fill(relations.source, -1),
            "kind": fill(relations.kind, 0),
            "new_rhythm": fill(changed[0], OUTSIDE),
            "new_line": fill(changed[1], 0),
            "new_source": fill(np.where(np.arange(real) == at, -1, relations.source), -1),
            "changed": place == at,
            "follows": fill(follows.astype(np.int64), 0).astype(bool),
            "chords": self._chords(which, begin, n, reference),
            "real": (place < real).astype(np.float32),
            "steps": np.array(steps),
        }

    def _chords(self, which: int, begin: int, n: int, reference: int) -> NDArray[np.float32]:
        """Return the features of a window's chords, (n, CHORD_FEATURES); zeros where there are none."""
        features = np.zeros((n, BEATS, 2, 12), np.float32)
        packed = self.tunes[which].chords
        if packed is not None:
            there = unpack_chords(packed[begin : begin + n]).reshape(-1, BEATS, 2, 12)
            features[: len(there)] = np.roll(there, -(reference % 12), axis=3)
        return features.reshape(n, -1)

    def _draw_change(self, bars: Bars, relations: Relations, steps: int, rng: np.random.Generator) -> tuple[int, Bars]:
        """Return which bar to replace, mostly one that others are made of, and a bar of another tune."""
        sounding = np.flatnonzero((bars[1] > 0).any(1))
        sources = np.unique(relations.source[relations.source >= 0])
        pool = sources if len(sources) and rng.random() < 0.8 else sounding
        at = int(rng.choice(pool)) if len(pool) else 0
        candidates = self.of_steps[steps]
        while True:
            other = self.tunes[candidates[int(rng.integers(len(candidates)))]].symbols
            bar = other[int(rng.integers(len(other)))][None]
            if (bar >= ONSET).any():
                break
        rhythm, line = split_bars(bar, int(bar[bar >= ONSET][0]) - ONSET)
        first = int(bars[1][at][0]) or REACH + 1
        start = np.clip(first + rng.integers(-5, 6), 13, PITCHES - 13)
        return at, (rhythm[0], np.clip(line[0] - REACH - 1 + start, 1, PITCHES - 1))


def _put_repeats(bars: Bars, rng: np.random.Generator) -> Bars:
    """Make one to three bars of earlier ones, moved or with some notes changed."""
    rhythm, line = bars[0].copy(), bars[1].copy()
    for _ in range(int(rng.integers(1, 4))):
        sounding = np.flatnonzero((line > 0).any(1))
        if len(sounding) < 2:
            break
        source, to = np.sort(rng.choice(sounding, 2, replace=False))
        rhythm[to], line[to] = rhythm[source], line[source]
        if rng.random() < 0.6:
            up = int(rng.choice([-7, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 7]))
            line[to] = np.clip(line[to] + up, 1, PITCHES - 1)
        else:
            _ornament(rhythm[to], line[to], rng)
    return rhythm, line


def _ornament(rhythm: NDArray[np.int64], line: NDArray[np.int64], rng: np.random.Generator) -> None:
    """Change one to three places of a bar: another pitch, a note parted in two, or two joined."""
    inside = int((rhythm != OUTSIDE).sum())
    for at in rng.choice(inside, int(rng.integers(1, 4)), replace=False):
        if rhythm[at] == ONSET and (rng.random() < 0.6 or at == 0):
            line[at] = np.clip(line[at] + rng.choice([-4, -3, -2, -1, 1, 2, 3, 4]), 1, PITCHES - 1)
        elif rhythm[at] == ONSET:
            rhythm[at] = HOLD
        elif rhythm[at] == HOLD and at % 2 == 0:
            rhythm[at] = ONSET
            line[at] = np.clip(line[at] + rng.choice([-2, -1, 1, 2]), 1, PITCHES - 1)
    line[:] = settle(rhythm, line)


def read_splits(tunes: str, sources: list[str], *, seed: int = 0) -> dict[str, list[TuneItem]]:
    """Return the tunes of training and of validation.

    Parameters
    ----------
    tunes : str
        Folder written by ``ottava data tunes``, or ``"made"``.
    sources : list of str
        Which of its files.
    seed : int
        Of made-up songs.
    """
    if tunes == "made":
        songs = make_songs(40, seed=seed)
        return {"train": songs[8:], "validation": songs[:8]}
    items = [item for source in sources for item in load_tunes(Path(tunes) / f"{source}.npz")]
    return {split: [item for item in items if item.split == split] for split in ("train", "validation")}


class StructureData(L.LightningDataModule):
    """Tunes to train on.

    Parameters
    ----------
    tunes : str
        Folder written by ``ottava data tunes``; ``"made"`` makes songs up, to try the training itself.
    sources : list of str
        Which of its files to learn from.
    bars_in_batch : int
        Windows times bars of each.
    lengths : list of int
        Lengths of windows in bars, drawn for each batch.
    made_share : float
        See :class:`TuneWindows`.
    workers : int
        Processes that prepare batches.
    seed : int
        Seed of the batches.
    """

    def __init__(
        self,
        tunes: str,
        sources: list[str] | None = None,
        bars_in_batch: int = 384,
        lengths: list[int] | None = None,
        made_share: float = 0.4,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.tunes, self.sources = tunes, sources or list(SHIPPED)
        self.bars_in_batch, self.made_share = bars_in_batch, made_share
        self.lengths = tuple(lengths or (16, 32, 64))
        self.workers, self.seed = workers, seed

    def setup(self, stage: str | None = None) -> None:
        """Read the tunes, or make some up."""
        self.of_split = read_splits(self.tunes, self.sources, seed=self.seed)

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return batches without end."""
        assert self.trainer is not None
        windows = TuneWindows(
            self.of_split["train"], self.bars_in_batch, self.lengths, seed=self.seed, made_share=self.made_share
        )
        return DataLoader(windows, None, sampler=Order(None, 1, self.trainer), num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the beginnings of the validation's tunes, each once."""
        tunes = self.of_split["validation"]
        windows = TuneWindows(tunes, 16 * 32, (32,), seed=1, vary=False)
        count = -(-len(windows.tunes) // 16)
        return DataLoader(windows, None, sampler=range(count), num_workers=0)
