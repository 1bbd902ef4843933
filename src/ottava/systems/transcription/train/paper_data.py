"""Data for the paper's protocol: a corpus's recordings as log-frequency clips, with frame labels.

Features are computed once and kept in a folder of the user's choice, under the recording's checksum and the
features' parameters: another hop, or another recording of the same name, is another file.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ottava.corpora import open_corpus
from ottava.corpora.corpus import hashed_split
from ottava.errors import InputError, UsageError
from ottava.io.files import atomic_write, sha256
from ottava.metrics.transcription import frames
from ottava.results import FAMILIES, Notes
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.train.paper_decode import LOW_MIDI
from ottava.training.order import Order

__all__ = ["PITCHES", "Clip", "Crops", "PaperData", "cached_levels", "make_piece"]

PITCHES = 88
"""Rows of the labels, from A0."""


@dataclass(frozen=True)
class Clip:
    """A recording: levels and truth.

    Parameters
    ----------
    name : str
    levels : ndarray of uint8, shape (bins, frames)
        Features times 255.
    notes : Notes
    frame_s : float
        Time between frames in seconds.
    """

    name: str
    levels: NDArray[np.uint8]
    notes: Notes
    frame_s: float

    def cut(self, first: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return features (1, bins, count) and labels (families, 88, count); outside there is silence."""
        last = self.levels.shape[1]
        inside = self.levels[:, max(first, 0) : max(min(first + count, last), 0)]
        before = min(max(-first, 0), count)
        levels = np.zeros((1, len(self.levels), count), np.float32)
        levels[0, :, before : before + inside.shape[1]] = inside / np.float32(255)
        times = np.arange(first, first + count) * self.frame_s
        near = self.notes[(self.notes.start_s <= times[-1]) & (self.notes.end_s > times[0])]
        pitches = slice(LOW_MIDI, LOW_MIDI + PITCHES)
        return levels, np.stack([frames(near.of(family), times)[:, pitches].T for family in FAMILIES])


def cached_levels(audio: Path, features: LogFrequency, cache: Path) -> NDArray[np.uint8]:
    """Return the first channel of a recording's features times 255, shape (bins, frames), from the cache.

    Parameters
    ----------
    audio : pathlib.Path
    features : LogFrequency
    cache : pathlib.Path
        Folder; made if missing.

    Raises
    ------
    ottava.errors.InputError
        If the recording cannot be read.
    """
    parameters = json.dumps(asdict(features), sort_keys=True)
    file = cache / f"{sha256(audio)[:24]}-{hashlib.sha256(parameters.encode()).hexdigest()[:8]}.npy"
    if not file.exists():
        from ottava.io.audio import load_audio

        packed = io.BytesIO()
        np.save(packed, _quantise(features.features(load_audio(audio, rate_hz=features.rate_hz).samples)))
        cache.mkdir(parents=True, exist_ok=True)
        with atomic_write(file, force=True) as out:
            out.write(packed.getbuffer())
    try:
        levels: Any = np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InputError("damaged features; delete the file", path=file) from error
    return np.asanyarray(levels)


def _quantise(features: NDArray[np.float32]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(np.clip(features[0].T, 0, 1) * 255).astype(np.uint8)
    return levels


def make_piece(seed: int | Sequence[int], seconds: float, *, rate_hz: int = 16000) -> tuple[NDArray[np.float32], Notes]:
    """Make up a piece for tests and trials: decaying tones of eight harmonics, a colour for each family.

    Parameters
    ----------
    seed : int or sequence of int
    seconds : float
    rate_hz : int

    Returns
    -------
    samples : ndarray of float32, shape (seconds * rate_hz,)
    notes : Notes
    """
    rng = np.random.default_rng(seed)
    count = max(int(6 * seconds), 2)
    start = np.sort(rng.uniform(0, 0.9 * seconds, count))
    end = np.minimum(start + rng.uniform(0.2, 0.8, count), seconds)
    family = rng.integers(len(FAMILIES), size=count)
    notes = Notes(
        start,
        end,
        rng.integers(40, 85, count),
        rng.integers(40, 120, count),
        np.ones(count),
        np.array(FAMILIES)[family],
    )
    sound = rng.normal(0, 1e-4, int(seconds * rate_hz))
    for row, kind in zip(notes.rows(), family, strict=True):
        first, last = int(row["start_s"] * rate_hz), int(row["end_s"] * rate_hz)
        t = np.arange(last - first) / rate_hz
        f0_hz = 440 * 2 ** ((row["pitch_midi"] - 69) / 12)
        partials = np.arange(1, 9)
        strength = partials ** (-0.5 - 0.3 * kind) * (partials * f0_hz < rate_hz / 2)
        tone = (strength[:, None] * np.sin(2 * np.pi * f0_hz * partials[:, None] * t)).sum(0)
        sound[first:last] += row["velocity"] / 127 * 0.1 * tone * np.exp(-t * (1 + kind))
    return sound.astype(np.float32), notes


class Crops(Dataset[dict[str, Tensor]]):
    """Random crops, the n-th a function of n; every frame of the corpus is as likely as any other.

    Parameters
    ----------
    clips : list of Clip
    count : int
        Frames of a crop. The middle is drawn first, so crops of another length have the same middle.
    pitch_shift : int
        Largest transposition in semitones.
    bins_per_semitone : int
    seed : int
    """

    def __init__(self, clips: list[Clip], count: int, pitch_shift: int, bins_per_semitone: int, seed: int) -> None:
        self.clips, self.count, self.seed = clips, count, seed
        self.pitch_shift, self.bins_per_semitone = pitch_shift, bins_per_semitone
        self.ends = np.cumsum([clip.levels.shape[1] for clip in clips])

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, number))
        place = int(rng.integers(self.ends[-1]))
        index = int(np.searchsorted(self.ends, place, side="right"))
        clip = self.clips[index]
        begin = int(self.ends[index]) - clip.levels.shape[1]
        levels, labels = clip.cut(place - begin - self.count // 2, self.count)
        semitones = int(rng.integers(-self.pitch_shift, self.pitch_shift + 1))
        levels, labels = _shift(levels, semitones * self.bins_per_semitone), _shift(labels, semitones)
        return {"features": torch.from_numpy(levels), "labels": torch.from_numpy(labels)}


def _shift(array: NDArray[Any], steps: int) -> NDArray[Any]:
    """Move along the second axis; what comes in from outside is zero."""
    moved = np.roll(array, steps, axis=1)
    if steps:
        moved[:, slice(0, steps) if steps > 0 else slice(steps, None)] = 0
    return moved


class _Whole(Dataset[dict[str, Tensor]]):
    """Whole recordings, for scores."""

    def __init__(self, clips: list[Clip]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        levels, labels = self.clips[index].cut(0, self.clips[index].levels.shape[1])
        return {"features": torch.from_numpy(levels), "labels": torch.from_numpy(labels)}


class PaperData(L.LightningDataModule):
    """A corpus of recordings under the paper's protocol.

    Batches hold ``features`` (batch, 1, bins, frames) and ``labels`` (batch, families, 88, frames).

    Parameters
    ----------
    corpus : str
        A name that :func:`ottava.corpora.open_corpus` knows; ``"made"`` for tones made up on the spot.
    folder : str
        Where the corpus lies.
    cache : str
        Folder for features, made if missing.
    count : int
        Frames of a training clip, the network's context included.
    batch_size : int
    pitch_shift : int
        Largest transposition in training, semitones, either way.
    rate_hz, hop, window, bins_per_semitone, low_midi, n_bins : int
        See :class:`ottava.signal.logfreq.LogFrequency`.
    workers : int
        Processes that prepare clips.
    seed : int
        Of the clips' places.
    """

    def __init__(
        self,
        corpus: str = "musicnet",
        folder: str = "",
        cache: str = "",
        count: int = 200,
        batch_size: int = 8,
        pitch_shift: int = 0,
        rate_hz: int = 16000,
        hop: int = 384,
        window: int = 4096,
        bins_per_semitone: int = 3,
        low_midi: int = LOW_MIDI,
        n_bins: int = 288,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if corpus != "made" and not (folder and cache):
            raise UsageError(f"{corpus} needs a folder and a cache", expected="data.folder and data.cache")
        self.corpus, self.folder, self.cache = corpus, folder, Path(cache)
        self.count, self.batch_size, self.pitch_shift = count, batch_size, pitch_shift
        self.workers, self.seed = workers, seed
        self.features = LogFrequency(
            rate_hz=rate_hz,
            hop=hop,
            windows=(window,),
            bins_per_semitone=bins_per_semitone,
            low_midi=low_midi,
            n_bins=n_bins,
        )

    def clips(self, split: str) -> Iterator[Clip]:
        """Yield the recordings of ``"train"``, ``"validation"`` or ``"test"``.

        Where the corpus has no validation split, a tenth of the pieces for training are kept back, chosen by
        a hash of their names.
        """
        frame_s = self.features.frame_s
        if self.corpus == "made":
            place = ("train", "validation", "test").index(split)
            for number in range((6, 2, 2)[place]):
                sound, notes = make_piece((place, number), 4.0, rate_hz=self.features.rate_hz)
                yield Clip(f"made-{number}", _quantise(self.features.features(sound)), notes, frame_s)
            return
        corpus = open_corpus(self.corpus, self.folder)
        own = split in corpus.splits and "validation" in corpus.splits
        for item in corpus.items(split if own or split == "test" else "train"):
            kept_back = not own and split != "test" and hashed_split(item.piece) != "train"
            wanted = own or split == "test" or kept_back == (split == "validation")
            if wanted and item.audio is not None:
                levels = cached_levels(item.audio, self.features, self.cache)
                yield Clip(item.id, levels, item.truth(), frame_s)

    def _all(self, split: str) -> list[Clip]:
        found = list(self.clips(split))
        if not found:
            raise InputError(f"no recordings for {split}", path=self.folder or None)
        return found

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return an endless series of random clips."""
        crops = Crops(self._all("train"), self.count, self.pitch_shift, self.features.bins_per_semitone, self.seed)
        order = Order(None, self.batch_size, self.trainer)  # type: ignore[arg-type]
        return DataLoader(crops, self.batch_size, sampler=order, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the recordings kept back, whole."""
        return DataLoader(_Whole(self._all("validation")))

    def test_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the corpus's test recordings, whole."""
        return DataLoader(_Whole(self._all("test")))
