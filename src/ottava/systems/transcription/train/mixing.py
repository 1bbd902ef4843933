"""Ensembles mixed anew from the stems of a corpus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered import Stems

__all__ = ["mix_stems"]

_POWER = (10 ** (10 * np.arange(256) / 255)).astype(np.float32)  # a level of 1 is 0 dB, 0 is -100 dB
_POWER[0] = 0  # and nothing
_DOUBLED, _DOUBLE_DB = 0.3, 9.0  # share of parts that a second instrument of the family plays too, and how far below
_SPREAD_DB = 7.0  # of a pitched part's loudness, up or down
_DRUMS_DB = (-2.0, 4.0, 8.0)  # mean and spread of the loudness of drums beside all others, and how far it may go


def mix_stems(
    stems: Stems,
    rng: np.random.Generator,
    *,
    first_frame: int,
    n_frames: int,
    frame_s: float,
    drum_share: float = 0.5,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Let an instrument drawn for each part play, each at a loudness and with a colour of its own.

    Now and then a second instrument of the same family joins it: two timbres make a third. Powers add, as phases are as
    good as independent.

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
        knots = rng.normal(0, rng.uniform(0, 6), int(rng.integers(5, 20)))
        colour_db = np.interp(np.linspace(0, len(knots) - 1, bins), np.arange(len(knots)), knots)
        power[:, : stored.shape[1]] += _POWER[stored] * (10 ** ((db + colour_db) / 10)).astype(np.float32)
    begin_s = first_frame * frame_s
    notes = np.concatenate([np.zeros((0, 5), np.float32), *(stems.notes[stem] for stem, _ in plan)])
    notes = notes[np.argsort(notes[:, 0], kind="stable")] - np.array([begin_s, begin_s, 0, 0, 0], np.float32)
    levels = (np.log10(np.maximum(power, 1)) / 10).astype(np.float32)
    return levels, notes[notes[:, 1] > 0]


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
