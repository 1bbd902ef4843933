"""Ensembles mixed anew from the stems of a corpus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered import Stems

__all__ = ["mix_stems"]

_POWER = (10 ** (10 * np.arange(256) / 255)).astype(np.float32)  # a level of 1 is 0 dB, 0 is -100 dB
_POWER[0] = 0  # and nothing
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

    Powers add, as phases are as good as independent.

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
    _, channels, _, bins = stems.features.shape
    power = np.zeros((channels, n_frames, bins), np.float32)
    for stem in (*pitched, *drums):
        stored = stems.features[stem, :, first_frame : first_frame + n_frames]
        if stem in drums:
            mean, spread, most = _DRUMS_DB
            db = 10 * np.log10(max(len(pitched), 1)) + np.clip(rng.normal(mean, spread), -most, most)
        else:
            db = np.clip(rng.normal(0, 4), -_SPREAD_DB, _SPREAD_DB)
        colour_db = rng.normal(0, rng.uniform(0, 5), 9)
        gain = 10 ** ((db + np.interp(np.linspace(0, 8, bins), np.arange(9), colour_db)) / 10)
        power[:, : stored.shape[1]] += _POWER[stored] * gain.astype(np.float32)
    begin_s = first_frame * frame_s
    chosen = [stems.notes[stem] for stem in (*pitched, *drums)]
    notes = np.concatenate([np.zeros((0, 5), np.float32), *chosen])
    notes = notes[np.argsort(notes[:, 0], kind="stable")] - np.array([begin_s, begin_s, 0, 0, 0], np.float32)
    levels = (np.log10(np.maximum(power, 1)) / 10).astype(np.float32)
    return levels, notes[notes[:, 1] > 0]


def _draw(stems: Stems, rng: np.random.Generator, drum_share: float) -> tuple[list[int], list[int]]:
    """Return the stems that play: pitched ones, of which there is at least one if possible, and drums."""
    takes = [np.flatnonzero(stems.part == place) for place in np.unique(stems.part)]
    is_drums = [len(notes) > 0 and notes[0, 4] == 6 for notes in stems.notes]
    parts = [take for take in takes if not is_drums[take[0]]]
    beats = [take for take in takes if is_drums[take[0]]]
    if parts:
        heard = rng.random(len(parts)) >= rng.random()  # from one instrument alone to all of them
        heard[rng.integers(len(parts))] = True
        parts = [part for part, h in zip(parts, heard, strict=True) if h]
    if parts and rng.random() >= drum_share:
        beats = []
    return [int(rng.choice(take)) for take in parts], [int(rng.choice(take)) for take in beats]
