"""Excerpts of a rendered corpus, drawn at random by kind of item; those in stems are mixed anew each time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered import load_about, load_item, load_stems
from ottava.errors import InputError
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.train.mixing import mix_stems

__all__ = ["Excerpt", "Excerpts"]


@dataclass(frozen=True)
class Excerpt:
    """Some seconds of an item.

    Parameters
    ----------
    levels : ndarray of float32, shape (channels, n, bins)
        Levels of :class:`ottava.signal.logfreq.LogFrequency`.
    notes : ndarray of float32, shape (m, 5)
        As in :mod:`ottava.corpora.rendered`, in times from the excerpt's beginning; others than those of the excerpt
        may be among them.
    path : pathlib.Path
        The shard.
    first_frame : int
        Where in it the excerpt begins.
    mixed : bool
        Whether it was mixed of stems, and is not what the shard holds.
    """

    levels: NDArray[np.float32]
    notes: NDArray[np.float32]
    path: Path
    first_frame: int
    mixed: bool = False


class Excerpts:
    """The shards of one split, by kind.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of shards.
    shares : dict of str to float or None
        How often each kind of item is drawn (``"piano"``, ``"ensemble"``, ``"solo"``, ``"drums"``, ``"stems"``); as
        often as it occurs when not given.
    drum_share : float
        Share of mixes of stems that have drums.
    without : set of str
        Kinds that are not used.

    Raises
    ------
    ottava.errors.InputError
        If there are no shards that can be used.
    """

    def __init__(
        self,
        folder: Path,
        shares: dict[str, float] | None = None,
        *,
        drum_share: float = 0.5,
        without: frozenset[str] = frozenset(),
    ) -> None:
        paths = sorted(Path(folder).glob("*.npz"))
        if not paths:
            raise InputError("no shards here", path=folder, expected="*.npz, made by `ottava data make`")
        self.by_kind: dict[str, list[Path]] = {}
        for path in paths:
            try:
                self.by_kind.setdefault(str(load_about(path)["kind"]), []).append(path)
            except InputError as error:
                warnings.warn(f"{error}; left out", stacklevel=2)
        wanted = shares or {kind: float(len(found)) for kind, found in self.by_kind.items()}
        self.shares = {kind: share for kind, share in wanted.items() if kind in self.by_kind and kind not in without}
        if not self.shares:
            raise InputError(
                "no shards of these kinds here",
                path=folder,
                found=", ".join(self.by_kind),
                expected=", ".join(shares or ()) or f"others than {', '.join(sorted(without))}",
            )
        self.paths = [path for kind in self.shares for path in self.by_kind[kind]]
        self.drum_share = drum_share
        self.frame_s = LogFrequency().frame_s

    def draw(self, rng: np.random.Generator, n_frames: int) -> Excerpt:
        """Return some seconds of an item, of at most so many frames.

        Raises
        ------
        ottava.errors.InputError
            If five shards in a row are damaged. Of single ones it only warns.
        """
        shares = np.array(list(self.shares.values()))
        for _attempt in range(5):
            kind = rng.choice(list(self.shares), p=shares / shares.sum())
            path = self.by_kind[kind][int(rng.integers(len(self.by_kind[kind])))]
            try:
                if kind == "stems":
                    return self._mix(path, rng, n_frames)
                return self.cut(path, float(rng.random()), n_frames)
            except InputError as error:
                warnings.warn(f"{error}; drawing another", stacklevel=2)
        raise InputError("five damaged shards in a row", path=self.paths[0].parent)

    def cut(self, path: Path, place: float = 0.0, n_frames: int | None = None) -> Excerpt:
        """Return an excerpt that begins at ``place`` (0..1) of what a shard leaves free; all of it without a length."""
        stored, notes, _ = load_item(path)
        first = round(place * max(stored.shape[1] - (n_frames or stored.shape[1]), 0))
        levels = stored[:, first : first + n_frames if n_frames else None].astype(np.float32) / np.float32(255)
        since = notes - np.array([first * self.frame_s, first * self.frame_s, 0, 0, 0], np.float32)
        return Excerpt(levels, since, path, first)

    def _mix(self, path: Path, rng: np.random.Generator, n_frames: int) -> Excerpt:
        stems, _ = load_stems(path)
        first = int(rng.integers(max(stems.features.shape[2] - n_frames, 0) + 1))
        levels, notes = mix_stems(
            stems, rng, first_frame=first, n_frames=n_frames, frame_s=self.frame_s, drum_share=self.drum_share
        )
        return Excerpt(levels, notes, path, first, mixed=True)
