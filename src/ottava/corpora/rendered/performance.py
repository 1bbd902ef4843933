"""From a score to a performance: tempo that breathes, hands that are not exact, dynamics, articulation, pedal.

All randomness comes from the generator that the caller hands in, so a seed names a performance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ottava.symbolic.score import Part

__all__ = ["DRUMS", "Performance", "humanise", "press_pedal"]

DRUMS = -1
"""Program of a drum part played on the standard kit; ``DRUMS - k`` is kit number ``k`` of General MIDI level 2."""


@dataclass(frozen=True)
class Performance:
    """Played notes of one instrument.

    Parameters
    ----------
    start_s, end_s : ndarray of float, shape (n,)
        When the key goes down and when the damper falls, in seconds.
    pitch_midi, velocity : ndarray of int, shape (n,)
        MIDI pitch (or percussion key) and velocity, 1-127.
    program : int
        General MIDI program, 0-127; negative for drums, see :data:`DRUMS`.
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    pitch_midi: NDArray[np.int64]
    velocity: NDArray[np.int64]
    program: int = 0

    def __len__(self) -> int:
        return len(self.start_s)

    def window(self, begin_s: float, end_s: float) -> Performance:
        """Return the notes that begin in a span of time, moved so that the span begins at 0 and cut at its end."""
        keep = (self.start_s >= begin_s) & (self.start_s < end_s - 0.05)
        return replace(
            self,
            start_s=self.start_s[keep] - begin_s,
            end_s=np.minimum(self.end_s[keep], end_s) - begin_s,
            pitch_midi=self.pitch_midi[keep],
            velocity=self.velocity[keep],
        )


def _walk(rng: np.random.Generator, n: int, spread: float, memory: float) -> NDArray[np.float64]:
    """Return a smooth random curve of standard deviation ``spread``: a first-order autoregression."""
    noise = rng.normal(0, spread * np.sqrt(1 - memory**2), n)
    curve = np.empty(n)
    value = rng.normal(0, spread)
    for i in range(n):
        value = memory * value + noise[i]
        curve[i] = value
    return curve


def humanise(parts: list[Part], rng: np.random.Generator, *, bpm: float) -> list[Performance]:
    """Play the parts of a score together.

    Parameters
    ----------
    parts : list of Part
        Parts that share one clock.
    rng : numpy.random.Generator
        Source of all randomness.
    bpm : float
        Mean tempo, quarter notes a minute.

    Returns
    -------
    list of Performance
        One for each part, with program 0; notes are sorted by start and none overlaps the next of its pitch.
    """
    end_q = max(float((p.start_q + p.duration_q).max()) for p in parts) + 1
    # One tempo value for each half quarter note, with drift over bars and small unevenness.
    grid_q = np.arange(0, end_q + 0.5, 0.5)
    n = len(grid_q)
    drift = _walk(rng, n, rng.uniform(0.01, 0.12), 0.95) + _walk(rng, n, rng.uniform(0.0, 0.04), 0.3)
    step_s = 0.5 * 60 / bpm * np.exp(drift)
    grid_s = np.concatenate([[0], np.cumsum(step_s)])[:n] + rng.uniform(0.05, 0.6)

    level = rng.uniform(35, 95)  # from pp to ff
    swell = _walk(rng, n, rng.uniform(3, 16), 0.97)
    spread_s = rng.choice([0.002, 0.008, 0.015, 0.025])
    played = []
    for part in parts:
        order = np.lexsort((part.pitch_midi, part.start_q))
        start_q, duration_q = part.start_q[order], np.maximum(part.duration_q[order], 0.05)
        pitch = part.pitch_midi[order].astype(np.int64)
        size = len(pitch)
        start_s = np.interp(start_q, grid_q, grid_s) + rng.normal(0, spread_s, size)
        # Rolled chords: now and then the notes of one stroke go up one after the other.
        stroke = np.unique(start_q, return_inverse=True)[1]
        rolled = rng.random(stroke.max() + 1 if size else 0) < rng.choice([0, 0.02, 0.1])
        rank = np.arange(size) - np.searchsorted(stroke, stroke)
        start_s = start_s + rolled[stroke] * rank * rng.uniform(0.02, 0.06)
        held = np.clip(rng.normal(rng.uniform(0.5, 1.02), 0.08, size), 0.15, 1.1)
        nominal_s = np.interp(start_q + duration_q, grid_q, grid_s) - np.interp(start_q, grid_q, grid_s)
        end_s = start_s + np.maximum(nominal_s * held, 0.05)
        if np.ptp(part.velocity) > 0 and rng.random() < 0.6:
            base = part.velocity[order] + level - 70
        else:
            top = np.zeros(size)
            last = np.searchsorted(stroke, stroke, side="right") - 1
            top[last == np.arange(size)] = rng.uniform(0, 14)
            base = level + top + np.where(np.isclose(start_q % 1, 0), rng.uniform(0, 8), 0)
        velocity = base + np.interp(start_q, grid_q, swell) + rng.normal(0, rng.uniform(2, 9), size)
        played.append(
            _settle(
                Performance(
                    np.maximum(start_s, 0),
                    end_s,
                    pitch,
                    np.clip(np.rint(velocity), 8, 127).astype(np.int64),
                )
            )
        )
    return played


def _settle(played: Performance) -> Performance:
    """Sort by start and end every note before the next one of its pitch; drop strokes too close to be played."""
    order = np.lexsort((played.start_s, played.pitch_midi))
    start_s, end_s = played.start_s[order], played.end_s[order].copy()
    pitch, velocity = played.pitch_midi[order], played.velocity[order]
    keep = np.ones(len(order), bool)
    for i in range(1, len(order)):
        if pitch[i] == pitch[i - 1] and start_s[i] - start_s[i - 1] < 0.04:
            keep[i] = False
    start_s, end_s, pitch, velocity = start_s[keep], end_s[keep], pitch[keep], velocity[keep]
    same = np.flatnonzero(pitch[:-1] == pitch[1:])
    end_s[same] = np.minimum(end_s[same], start_s[same + 1] - 0.005)
    end_s = np.maximum(end_s, start_s + 0.02)
    order = np.lexsort((pitch, start_s))
    return replace(
        played, start_s=start_s[order], end_s=end_s[order], pitch_midi=pitch[order], velocity=velocity[order]
    )


def press_pedal(played: Performance, rng: np.random.Generator, *, period_s: float) -> Performance:
    """Hold notes with the sustain pedal, changed at about regular times (legato pedalling).

    Parameters
    ----------
    played : Performance
        Notes as the fingers hold them.
    rng : numpy.random.Generator
        Source of all randomness.
    period_s : float
        Mean time between pedal changes in seconds.

    Returns
    -------
    Performance
        The same notes, each lasting until the pedal comes up or its pitch is struck again.
    """
    if not len(played):
        return played
    last_s = float(played.end_s.max()) + 1
    changes = np.cumsum(rng.uniform(0.7, 1.3, int(last_s / period_s) + 2) * period_s)
    # The foot lifts just after a stroke: move each change onto the nearest following onset.
    onsets = np.unique(played.start_s)
    following = np.minimum(np.searchsorted(onsets, changes), len(onsets) - 1)
    lift_s = onsets[following] + rng.uniform(0.02, 0.12, len(changes))
    down_s = lift_s + rng.uniform(0.02, 0.3, len(changes))
    used = rng.random(len(changes)) < rng.uniform(0.5, 1)
    end_s = played.end_s.copy()
    for down, up, held in zip(down_s[:-1], lift_s[1:], used[:-1], strict=True):
        if held and up > down:
            inside = (end_s >= down) & (end_s < up)
            end_s[inside] = up
    return _settle(replace(played, end_s=end_s))
