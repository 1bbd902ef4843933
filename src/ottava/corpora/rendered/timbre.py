"""Making one instrument sound like another of its family: colour, tremolo, doubling, saturation, balance.

All take and return mono float32 sound, and none moves it in time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["active_rms", "colour", "double", "saturate", "sway", "vary"]

_ELECTRIC = frozenset((2, 4, 5, 7, 16, 17, 18, *range(26, 32), *range(33, 40)))
"""Programs that are heard through an amplifier."""


def active_rms(sound: NDArray[np.float32], *, rate_hz: int) -> float:
    """Return the root mean square over the moments (of 50 ms) that are less than 30 dB below the loudest."""
    block = int(0.05 * rate_hz)
    power = np.square(sound[: len(sound) // block * block]).reshape(-1, block).mean(1)
    active = power[power > 1e-3 * power.max(initial=0)]
    return float(np.sqrt(active.mean())) if len(active) else 0.0


def colour(sound: NDArray[np.float32], rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Filter with a smooth random response within 8 dB."""
    size = 1 << int(np.ceil(np.log2(max(len(sound), 2))))
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    octave = np.log2(np.maximum(hz, 40) / 40)
    knots = np.linspace(0, octave[-1], 10)
    db = np.clip(rng.normal(0, rng.uniform(1, 6), len(knots)), -8, 8)
    gain = (10 ** (np.interp(octave, knots, db) / 20)).astype(np.float32)
    return np.asarray(np.fft.irfft(np.fft.rfft(sound, size) * gain, size)[: len(sound)], np.float32)


def sway(sound: NDArray[np.float32], rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Let the level swell and fall some times a second (tremolo)."""
    depth, hz, phase = rng.uniform(0.1, 0.5), rng.uniform(3, 8), rng.uniform(0, 2 * np.pi)
    t = np.arange(len(sound), dtype=np.float32) * np.float32(2 * np.pi * hz / rate_hz)
    return np.asarray(sound * (1 - np.float32(depth) * (0.5 + 0.5 * np.sin(t + np.float32(phase)))), np.float32)


def double(sound: NDArray[np.float32], rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Add a copy whose small delay changes slowly, so that it is a little out of tune (chorus)."""
    n = np.arange(len(sound), dtype=np.float64)
    swing_s, hz = rng.uniform(0.0005, 0.003), rng.uniform(0.15, 1.2)
    delay = (rng.uniform(0.002, 0.012) + swing_s * (1 + np.sin(2 * np.pi * hz * n / rate_hz))) * rate_hz
    copy = np.interp(n - delay, n, sound, left=0.0).astype(np.float32)
    return sound + np.float32(rng.uniform(0.3, 1.0)) * copy


def saturate(sound: NDArray[np.float32], rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Drive an amplifier softly into its limits."""
    drive = 10 ** rng.uniform(-0.5, 0.7)
    return np.asarray(np.tanh(sound * np.float32(drive / (active_rms(sound, rate_hz=rate_hz) + 1e-9))), np.float32)


def vary(sound: NDArray[np.float32], program: int, rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Change the timbre of one part (a kit, if the program is negative) by what suits it, each now and then."""
    if rng.random() < (0.35 if program in _ELECTRIC else 0.25 if program < 0 else 0.0):
        sound = saturate(sound, rng, rate_hz=rate_hz)
    if rng.random() < 0.8:
        sound = colour(sound, rng, rate_hz=rate_hz)
    if program >= 0 and rng.random() < 0.15:
        sound = sway(sound, rng, rate_hz=rate_hz)
    if program >= 0 and rng.random() < 0.15:
        sound = double(sound, rng, rate_hz=rate_hz)
    return sound
