"""Ensembles mixed anew from the stems of a corpus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered import Stems

__all__ = ["mix_stems"]

_DOUBLED, _DOUBLE_DB = 0.3, 9.0  # share of parts that a second instrument of the family plays too, and how far below
_SPREAD_DB = 7.0  # of a pitched part's loudness, up or down
_DRUMS_DB = (-2.0, 4.0, 8.0)  # mean and spread of the loudness of drums beside all others, and how far it may go
_COLOUR_DB = 8.0  # largest spread of a stem's colour
_STRETCHED = (0.8, 1.25)  # least and most of what decibels are multiplied by
_IN_A_ROOM = 0.5  # of the mixes


def mix_stems(
    stems: Stems,
    rng: np.random.Generator,
    *,
    first_frame: int,
    n_frames: int,
    frame_s: float,
    drum_share: float = 0.5,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw an instrument for each part, vary it, and put all into a room.

    As there are never enough instruments, each is made into another of its kind: by loudness and colour, and by the
    spread of its levels about the loudest, which makes partials weaker and decays faster, or the reverse. Now and then
    a second instrument of the same family joins it: two timbres make a third. Powers add, as phases are as good as
    independent.

    Parameters
    ----------
    stems : Stems
        A piece.
    rng : numpy.random.Generator
        Draws who plays.
    first_frame, n_frames : int
        The part of the piece that is wanted.
    frame_s : float
        Time between frames in seconds.
    drum_share : float
        Share of mixes that have drums, where the piece has any.

    Returns
    -------
    levels : ndarray of float32, shape (channels, n_frames, bins)
        Levels of :class:`ottava.signal.logfreq.LogFrequency`.
    notes : ndarray of float32, shape (n, 5)
        As in :mod:`ottava.corpora.rendered`, in times from the first frame on. Those that began earlier are among them.
    """
    pitched, drums = _draw(stems, rng, drum_share)
    plan = [(stem, float(np.clip(rng.normal(0, 4), -_SPREAD_DB, _SPREAD_DB))) for stem in pitched]
    for stem, db in tuple(plan):
        same_part = np.flatnonzero(stems.part == stems.part[stem]).tolist()
        others = [other for other in same_part if other != stem and stems.family(other) == stems.family(stem)]
        if others and rng.random() < _DOUBLED:
            plan.append((int(rng.choice(others)), db - rng.uniform(0, _DOUBLE_DB)))
    mean, spread, most = _DRUMS_DB
    all_db = 10 * np.log10(max(len(pitched), 1))
    plan.extend((stem, float(all_db + np.clip(rng.normal(mean, spread), -most, most))) for stem in drums)
    _, channels, _, bins = stems.features.shape
    power = np.zeros((channels, n_frames, bins), np.float32)
    for stem, db in plan:
        stored = stems.features[stem, :, first_frame : first_frame + n_frames]
        knots = rng.normal(0, rng.uniform(0, _COLOUR_DB), int(rng.integers(5, 20)))
        colour_db = np.interp(np.linspace(0, len(knots) - 1, bins), np.arange(len(knots)), knots)
        power[:, : stored.shape[1]] += _stretched(stored, rng) * (10 ** ((db + colour_db) / 10)).astype(np.float32)
    if rng.random() < _IN_A_ROOM:
        power += _tail(power, rng, frame_s)
    begin_s = first_frame * frame_s
    notes = np.concatenate([np.zeros((0, 5), np.float32), *(stems.notes[stem] for stem, _ in plan)])
    notes = notes[np.argsort(notes[:, 0], kind="stable")] - np.array([begin_s, begin_s, 0, 0, 0], np.float32)
    levels = (np.log10(np.maximum(power, 1)) / 10).astype(np.float32)
    return levels, notes[notes[:, 1] > 0]


def _stretched(levels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the power of stored levels (255 is 0 dB, 1 about -100 dB, 0 nothing), spread about the loudest."""
    top = float(levels.max(initial=1))
    stretched = top + rng.uniform(*_STRETCHED) * (np.arange(256) - top)
    table = (10 ** (10 * stretched / 255)).astype(np.float32)
    table[0] = 0
    return table[levels]


def _tail(power: NDArray[np.float32], rng: np.random.Generator, frame_s: float) -> NDArray[np.float32]:
    """Return the power that a room adds (channels, frames, bins), which decays in a time drawn, highs sooner."""
    channels, frames, bins = power.shape
    decay_s = 10 ** rng.uniform(-0.9, 0.35) * np.geomspace(1, rng.uniform(0.3, 1), bins)
    kept = (10 ** (-6 * frame_s / decay_s)).astype(np.float32)
    gain = (1 - kept) * np.float32(10 ** (-rng.uniform(-2, 20) / 10))
    tail, now = np.empty_like(power), np.zeros((channels, bins), np.float32)
    for frame in range(frames):
        tail[:, frame] = gain * now
        now = kept * now + power[:, frame]
    return tail


def _draw(stems: Stems, rng: np.random.Generator, drum_share: float) -> tuple[list[int], list[int]]:
    """Return the stems that play: pitched ones, of which there is at least one if possible, and drums."""
    takes = [np.flatnonzero(stems.part == place) for place in np.unique(stems.part)]
    parts = [take for take in takes if stems.family(take[0]) != "drums"]
    beats = [take for take in takes if stems.family(take[0]) == "drums"]
    if parts:
        heard = rng.random(len(parts)) >= rng.random()  # from one instrument alone to all of them
        heard[rng.integers(len(parts))] = True
        parts = [part for part, h in zip(parts, heard, strict=True) if h]
    if parts and rng.random() >= drum_share:
        beats = []
    return [int(rng.choice(take)) for take in parts], [int(rng.choice(take)) for take in beats]
