"""Bowed, blown and sung instruments that exist nowhere: harmonics, formants, vibrato, breath."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered.performance import Performance
from ottava.corpora.rendered.recording import convolve

__all__ = ["ModelledTone"]

_TABLE = 2048
_DRAWN = {  # lowest and highest of what is drawn for each family
    "bowed": {
        "slope_db": (4.5, 8),
        "rise_s": (0.006, 0.07),
        "cents": (-20, 30),  # below 0: no vibrato
        "wait_s": (0.1, 0.4),
        "hiss_db": (-46, -28),
    },
    "winds": {
        "slope_db": (5, 13),
        "rise_s": (0.01, 0.05),
        "cents": (0, 22),
        "wait_s": (0.2, 0.7),
        "hiss_db": (-44, -22),
    },
    "voice": {
        "slope_db": (7, 12),
        "rise_s": (0.03, 0.09),
        "cents": (20, 80),
        "wait_s": (0, 0.35),
        "hiss_db": (-46, -28),
    },
}


class ModelledTone:
    """An instrument of sustained tones drawn at random.

    Harmonics fall by a slope and pass resonances at fixed frequencies: the bore of a wind instrument (with weak even
    harmonics in some), the vowels of a voice, from one to another during a note. The louder, the brighter. Vibrato sets
    in some time after the note; legato notes of some instruments glide.

    A bowed string moves as Helmholtz found, nearly a sawtooth, without the harmonics that have a node under the bow.
    Its body has dozens of narrow resonances, so that neighbouring harmonics differ by many decibels, and as vibrato
    moves them over those each swells and fades by itself.

    Parameters
    ----------
    family : str
        ``"bowed"``, ``"winds"`` or ``"voice"``.
    rng : numpy.random.Generator
        Draws the instrument.
    rate_hz : int
        Sampling rate.
    """

    def __init__(self, family: str, rng: np.random.Generator, rate_hz: int = 16000) -> None:
        def draw(name: str) -> float:
            return float(rng.uniform(*_DRAWN[family][name]))

        self.family, self.rate_hz = family, rate_hz
        self.slope_db, self.attack_s, self.noise_db = draw("slope_db"), draw("rise_s"), draw("hiss_db")
        self.brightness_db = rng.uniform(1.5, 6) if family == "winds" else rng.uniform(0.5, 3)  # per octave
        self.vibrato_cents, self.vibrato_after_s = max(draw("cents"), 0), draw("wait_s")
        self.vibrato_hz = rng.uniform(4.5, 7)
        self.tremolo = rng.uniform(0, 0.2)
        self.release_s = rng.uniform(0.03, 0.15)
        self.glide_s = rng.uniform(0.02, 0.07) if rng.random() < 0.4 else 0.0
        self.even_db = -rng.uniform(10, 28) if family == "winds" and rng.random() < 0.35 else 0.0
        self.players = int(rng.choice([1, 1, 1, 2, 3])) if family != "winds" else 1
        self.bow_place = rng.uniform(0.06, 0.25)  # of the string's length
        self._body = _draw_body(rng, rate_hz) if family == "bowed" else None
        self.chiff_db = rng.uniform(-30, -8) if family == "winds" else -60.0
        # What the note passes through at its beginning and at its end: only a voice moves.
        begin = self._draw_resonances(rng)
        self._resonances = (begin, self._draw_resonances(rng) if family == "voice" else begin)

    def _draw_resonances(self, rng: np.random.Generator) -> list[tuple[float, float, float]]:
        """Return (frequency in Hz, width in octaves, height in dB)."""
        if self.family == "voice":
            size = rng.uniform(0.9, 1.2)
            f_hz = [rng.uniform(280, 850), rng.uniform(750, 2300), rng.uniform(2300, 3200), *rng.uniform(3200, 4300, 2)]
            return [(hz * size, rng.uniform(0.12, 0.3), rng.uniform(14, 28)) for hz in f_hz[: int(rng.integers(3, 6))]]
        count = int(rng.integers(1, 5))
        return [(150 * 2 ** rng.uniform(0, 5), rng.uniform(0.1, 0.6), rng.uniform(-6, 12)) for _ in range(count)]

    def play(self, part: Performance, rng: np.random.Generator) -> NDArray[np.float32]:
        """Play one performance; mono at ``rate_hz``."""
        loudness_db = rng.uniform(15, 30)
        sound = np.zeros(int((part.end_s.max(initial=0) + 1) * self.rate_hz), np.float32)
        hiss = self._draw_hiss(rng)
        before_s, before_pitch = -1.0, 0
        for start_s, end_s, pitch, velocity in zip(
            part.start_s, part.end_s, part.pitch_midi, part.velocity, strict=True
        ):
            legato = self.glide_s > 0 and abs(start_s - before_s) < 0.06 and abs(pitch - before_pitch) <= 7
            from_steps = float(before_pitch - pitch) if legato else 0.0
            tone = self._note(float(end_s - start_s), int(pitch), velocity / 127, from_steps, hiss, rng)
            first = int(start_s * self.rate_hz)
            room = sound[first : first + len(tone)]
            room += np.float32(10 ** (loudness_db * (velocity / 127 - 1) / 20)) * tone[: len(room)]
            before_s, before_pitch = float(end_s), int(pitch)
        if self._body is not None:
            sound = convolve(sound, self._body)
        return sound

    def _note(
        self,
        length_s: float,
        pitch: int,
        force: float,
        from_steps: float,
        hiss: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        n = int((length_s + self.release_s) * self.rate_hz)
        t = np.arange(n, dtype=np.float32) / np.float32(self.rate_hz)
        # A quarter of a sine rises at once: the note is heard when it is written, however slow the attack.
        attack_s = min(self.attack_s * rng.uniform(0.7, 1.3), 0.6 * length_s)
        envelope = np.sin(np.float32(np.pi / 2) * np.minimum(t / np.float32(attack_s), 1))
        envelope *= np.clip((length_s + self.release_s - t) / self.release_s, 0, 1).astype(np.float32) ** 2
        envelope *= 1 + np.float32(rng.uniform(-0.35, 0.35)) * np.clip(t / np.float32(length_s), 0, 1)
        tone = np.zeros(n, np.float32)
        share = np.clip(t / np.float32(max(length_s, 0.1)), 0, 1) ** np.float32(rng.uniform(0.5, 2))
        first, last = (self._cycle(pitch, force * rng.uniform(0.9, 1.1), where) for where in self._resonances)
        for _ in range(self.players):
            swing = np.sin(np.float32(2 * np.pi * self.vibrato_hz * rng.uniform(0.93, 1.07)) * t + rng.uniform(0, 6.3))
            swing *= np.clip((t - np.float32(self.vibrato_after_s)) / np.float32(0.3), 0, 1)
            knots_s = np.arange(0, n / self.rate_hz + 0.3, 0.15)
            drift = np.interp(t, knots_s, rng.normal(0, 3, len(knots_s)))
            cents = self.vibrato_cents * swing + drift + (rng.normal(0, 7) if self.players > 1 else 0)
            if from_steps:
                cents = cents + 100 * from_steps * np.exp(-t / (self.glide_s / 2))
            hz = 440 * 2 ** ((pitch - 69) / 12) * np.exp2(cents / 1200)
            place = np.cumsum(hz * (_TABLE / self.rate_hz)) + rng.uniform(0, _TABLE / 5)  # players begin together
            index = place.astype(np.int64) & (_TABLE - 1)
            wave = first[index] + share * (last[index] - first[index]) if first is not last else first[index]
            tone += wave * (1 + np.float32(self.tremolo) * swing.astype(np.float32))
        breath = np.take(hiss, np.arange(n) + int(rng.integers(len(hiss))), mode="wrap")
        burst = np.exp(-t / np.float32(0.02)) * np.float32(10 ** (self.chiff_db / 20))
        tone = tone / np.sqrt(self.players) + breath * (np.float32(10 ** (self.noise_db / 20)) + burst)
        return np.asarray(envelope * tone, np.float32)

    def _cycle(self, pitch: int, force: float, resonances: list[tuple[float, float, float]]) -> NDArray[np.float32]:
        """Return one period of the wave, of unit power."""
        f0_hz = 440 * 2 ** ((pitch - 69) / 12)
        n = np.arange(1, max(int(0.46 * self.rate_hz / f0_hz), 1) + 1)[:200]
        octave = np.log2(n * f0_hz)
        level_db = -np.log2(n) * (self.slope_db + self.brightness_db * (1 - 2 * force))
        for hz, width, height_db in resonances:
            level_db = level_db + height_db * np.exp(-0.5 * ((octave - np.log2(hz)) / width) ** 2)
        level_db[(n % 2 == 0) & (n <= 8)] += self.even_db
        if self.family == "bowed":
            level_db += 20 * np.log10(np.maximum(np.abs(np.sin(np.pi * n * self.bow_place)), 0.1))
        spectrum = np.zeros(_TABLE // 2 + 1, complex)
        phase = np.random.default_rng(pitch).uniform(0, 2 * np.pi, len(n))  # the same in both waves that are mixed
        spectrum[n] = 10 ** (level_db / 20) * np.exp(1j * phase)
        cycle = np.fft.irfft(spectrum, _TABLE)
        return np.asarray(cycle / (np.sqrt(np.mean(cycle**2)) + 1e-12), np.float32)

    def _draw_hiss(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return noise of unit power through the first resonances: breath, or the bow on the string."""
        size = 1 << 17
        hz = np.fft.rfftfreq(size, 1 / self.rate_hz)
        octave = np.log2(np.maximum(hz, 20))
        db = -3.0 * np.abs(octave - rng.uniform(9.5, 12))
        for at_hz, width, height_db in self._resonances[0]:
            db += 0.6 * height_db * np.exp(-0.5 * ((octave - np.log2(at_hz)) / width) ** 2)
        noise = np.fft.irfft(10 ** (db / 20) * np.exp(2j * np.pi * rng.random(len(hz))), size)
        return np.asarray(noise / noise.std(), np.float32)


def _draw_body(rng: np.random.Generator, rate_hz: int) -> NDArray[np.float32]:
    """Return the response to an impulse of the body of a violin, a bass or something between, of unit power."""
    lowest_hz = 280 * 2 ** rng.uniform(-2, 0.2)
    hz = lowest_hz * (0.45 * rate_hz / lowest_hz) ** np.sort(rng.random(int(rng.integers(20, 50))))
    hz[0] = lowest_hz  # of the air inside
    gain = 10 ** (rng.normal(0, rng.uniform(3, 7), len(hz)) / 20) * rng.choice([-1, 1], len(hz))
    above = np.log2(hz / (2500 * (lowest_hz / 280) ** 0.5))  # octaves above the bridge's own resonance
    gain *= 10 ** (-rng.uniform(3, 12) * np.maximum(above, 0) / 20)
    t = np.arange(int(0.15 * rate_hz)) / rate_hz
    fall_s = np.minimum(rng.uniform(8, 30, len(hz)) / (np.pi * hz), 0.03)  # quality factor over pi times frequency
    modes = (gain / fall_s) @ (np.exp(-t / fall_s[:, None]) * np.sin(2 * np.pi * hz[:, None] * t))
    modes /= np.sqrt(np.sum(modes**2))
    modes[0] += rng.uniform(0, 0.5)  # what the string itself radiates
    return np.asarray(modes, np.float32)
