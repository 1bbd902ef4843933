"""Organs that exist nowhere: drawbars, ranks of pipes, free reeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered.performance import Performance

__all__ = ["ModelledOrgan"]

_TABLE = 2048
_DRAWBARS = (0.5, 1.5, 1, 2, 3, 4, 5, 6, 8)
"""Multiples of the pitch of the nine drawbars of a tonewheel organ, 16' to 1'."""
_RANKS = (0.5, 1, 1, 1, 2, 2, 3, 4)
"""Those of the ranks that pipes are drawn from; 8' is the pitch that is written."""


@dataclass(frozen=True)
class _Voice:
    """What sounds for each key: a multiple of its pitch, its level, how far it is out of tune, its harmonics."""

    multiple: float
    gain: float
    cents: float
    slope_db: float  # by which each octave of harmonics is softer
    harmonics: int
    even_db: float = 0.0


class ModelledOrgan:
    """An organ drawn at random, one of three kinds.

    Drawbars are sines at the multiples of a tonewheel organ, with a click of the key, at times a percussive harmonic,
    and a rotating loudspeaker; pipes are ranks of flutes, principals and reeds that speak slowly, with a chiff; free
    reeds are those of harmonium and accordion, bright, in pairs that beat. All hold their tone as long as the key is
    held, as loud whatever the velocity.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the organ.
    rate_hz : int
        Sampling rate.
    """

    def __init__(self, rng: np.random.Generator, rate_hz: int = 16000) -> None:
        self.rate_hz = rate_hz
        kind = str(rng.choice(["drawbars", "pipes", "reeds"]))
        if kind == "drawbars":
            self._voices = self._draw_drawbars(rng)
            self.attack_s, self.release_s = rng.uniform(0.002, 0.01), rng.uniform(0.01, 0.04)
            self.sway_hz = float(rng.choice([0, rng.uniform(0.6, 1), rng.uniform(5.5, 7.5)]))
            self.sway_cents, self.sway_db = rng.uniform(2, 15), rng.uniform(0.5, 3)
            self.noise_db, self.noise_s = rng.uniform(-40, -15), 0.004
        elif kind == "pipes":
            self._voices = self._draw_ranks(rng)
            self.attack_s, self.release_s = rng.uniform(0.015, 0.07), rng.uniform(0.05, 0.2)
            self.sway_hz = float(rng.choice([0, 0, rng.uniform(4, 6.5)]))
            self.sway_cents, self.sway_db = rng.uniform(2, 8), rng.uniform(0.5, 2)
            self.noise_db, self.noise_s = rng.uniform(-45, -12), rng.uniform(0.02, 0.06)
        else:
            self._voices = self._draw_reeds(rng)
            self.attack_s, self.release_s = rng.uniform(0.01, 0.06), rng.uniform(0.02, 0.1)
            self.sway_hz = float(rng.choice([0, rng.uniform(0.3, 1)]))
            self.sway_cents, self.sway_db = rng.uniform(0, 3), rng.uniform(1, 4)
            self.noise_db, self.noise_s = rng.uniform(-50, -30), 0.02
        self.drive = rng.uniform(0.5, 3) if kind == "drawbars" and rng.random() < 0.4 else 0.0
        struck = kind == "drawbars" and rng.random() < 0.25
        multiple, fall_s = float(rng.choice([2, 3])), rng.uniform(0.08, 0.3)
        self._struck = (multiple, fall_s) if struck else None

    @staticmethod
    def _draw_drawbars(rng: np.random.Generator) -> list[_Voice]:
        drawn = rng.integers(0, 9, len(_DRAWBARS)) * (rng.random(len(_DRAWBARS)) < rng.uniform(0.3, 1))
        drawn[2] = max(drawn[2], 5)  # 8' is the pitch that is written
        drawn[0] = min(drawn[0], drawn[2] - 2)
        return [_Voice(m, 10 ** (-3 * (8 - n) / 20), 0, 30, 2) for m, n in zip(_DRAWBARS, drawn, strict=True) if n]

    @staticmethod
    def _draw_ranks(rng: np.random.Generator) -> list[_Voice]:
        voices: list[_Voice] = []
        for multiple in (1, *rng.choice(_RANKS, int(rng.integers(0, 6)))):
            slope_db, harmonics, even_db = (
                (rng.uniform(12, 20), 6, -rng.uniform(0, 25)),  # flutes, some of them stopped
                (rng.uniform(6, 11), 16, 0),  # principals
                (rng.uniform(2, 6), 24, 0),  # reeds
            )[int(rng.choice(3, p=[0.4, 0.45, 0.15]))]
            gain = 10 ** (-rng.uniform(0 if multiple >= 1 else 6, 12) / 20) if voices else 1.0
            voices.append(_Voice(float(multiple), gain, rng.normal(0, 2), slope_db, harmonics, even_db))
        return voices

    @staticmethod
    def _draw_reeds(rng: np.random.Generator) -> list[_Voice]:
        slope_db, beat = rng.uniform(3, 8), rng.uniform(0, 18)
        others: list[list[tuple[float, float]]] = [[], [(1, beat)], [(1, beat), (1, -beat)], [(0.5, 0)], [(2, beat)]]
        reeds = [(1.0, 0.0), *others[int(rng.integers(len(others)))]]
        return [_Voice(m, min(m, 1), c, slope_db + rng.normal(0, 0.5), 32, -rng.uniform(0, 5)) for m, c in reeds]

    def play(self, part: Performance, rng: np.random.Generator) -> NDArray[np.float32]:
        """Play one performance; mono at ``rate_hz``."""
        sound = np.zeros(int((part.end_s.max(initial=0) + 1) * self.rate_hz), np.float32)
        t = np.arange(len(sound), dtype=np.float32) / np.float32(self.rate_hz)
        turn = np.sin(2 * np.pi * self.sway_hz * t + rng.uniform(0, 6.3)) if self.sway_hz else np.zeros_like(t)
        # Place in a period of 1 Hz: all keys share the wind, or the loudspeaker.
        place = np.cumsum(np.exp2(self.sway_cents / 1200 * turn)) / self.rate_hz
        noise = rng.standard_normal(1 << 15).astype(np.float32)
        for start_s, end_s, pitch in zip(part.start_s, part.end_s, part.pitch_midi, strict=True):
            first = int(start_s * self.rate_hz)
            n = min(int((end_s - start_s + self.release_s) * self.rate_hz), len(sound) - first)
            sound[first : first + n] += self._note(
                place[first : first + n], float(end_s - start_s), int(pitch), noise, rng
            )
        sound *= (10 ** (self.sway_db / 2 * (turn - 1) / 20)).astype(np.float32)
        if self.drive:
            sound = np.tanh(self.drive * sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)
        return sound

    def _note(
        self,
        place: NDArray[np.float64],
        length_s: float,
        pitch: int,
        noise: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        n, f0_hz = len(place), 440 * 2 ** ((pitch - 69) / 12)
        t = np.arange(n, dtype=np.float32) / np.float32(self.rate_hz)
        tone = np.zeros(n, np.float32)
        for voice in self._voices:
            hz = f0_hz * voice.multiple * 2 ** (voice.cents / 1200)
            if hz < 0.45 * self.rate_hz:
                index = (place * hz * _TABLE + rng.uniform(0, _TABLE)).astype(np.int64) & (_TABLE - 1)
                tone += np.float32(voice.gain) * self._cycle(voice, hz)[index]
        if self._struck is not None:
            multiple, fall_s = self._struck
            tone += np.exp(-t / np.float32(fall_s)) * np.sin(2 * np.pi * f0_hz * multiple * place).astype(np.float32)
        # A quarter of a sine rises at once: the note is heard when it is written, however slow the attack.
        rise = np.sin(np.float32(np.pi / 2) * np.minimum(t / np.float32(min(self.attack_s, 0.6 * length_s)), 1))
        fall = np.clip((length_s + self.release_s - t) / self.release_s, 0, 1).astype(np.float32)
        begin = int(rng.integers(len(noise)))
        burst = np.take(noise, np.arange(begin, begin + n), mode="wrap") * np.exp(-t / np.float32(self.noise_s))
        return np.asarray((rise * tone + np.float32(10 ** (self.noise_db / 20)) * burst) * fall, np.float32)

    def _cycle(self, voice: _Voice, hz: float) -> NDArray[np.float32]:
        """Return one period of a voice."""
        n = np.arange(1, max(min(voice.harmonics, int(0.46 * self.rate_hz / hz)), 1) + 1)
        level_db = -voice.slope_db * np.log2(n) + voice.even_db * (n % 2 == 0)
        spectrum = np.zeros(_TABLE // 2 + 1, complex)
        spectrum[n] = 10 ** (level_db / 20) * np.exp(1j * n * n)  # phases that make no peaks
        return np.asarray(np.fft.irfft(spectrum, _TABLE) * (_TABLE / 2), np.float32)
