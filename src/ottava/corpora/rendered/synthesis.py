"""Sound sources: folders of samples, and strings that exist nowhere (random additive models).

Every source is called with performances and returns mono sound. Real pianos differ more from each other than two
SoundFonts do; the additive models fill the space between and around the sampled ones: inharmonicity, unisons out
of tune, double decay, the hammer's place on the string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ottava.corpora.rendered.performance import Performance
from ottava.errors import InputError

__all__ = ["ModelledString", "SampledInstrument"]

_NOTE = re.compile(r"^([A-G])(#|s|b)?(-?\d)(?:v(\d+))?$")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def _pitch_of(stem: str) -> tuple[int, int] | None:
    """Return (MIDI pitch, velocity layer) of a sample's file name: ``D#4v7``, ``Ds4``, ``C2``."""
    match = _NOTE.match(stem)
    if not match:
        return None
    letter, sign, octave, layer = match.groups()
    return _STEPS[letter] + {"#": 1, "s": 1, "b": -1, None: 0}[sign] + 12 * (int(octave) + 1), int(layer or 1)


@dataclass
class SampledInstrument:
    """Samples in folders, one file for each recorded pitch and layer, named like ``D#4v7.ogg`` or ``Ds4.wav``.

    Pitches between recorded ones are played by resampling the nearest. Layers are chosen by velocity.

    Parameters
    ----------
    folders : sequence of pathlib.Path
        Folders with sound files, searched recursively.
    rate_hz : int
        Rate at which the samples are kept.
    longest_s : float
        Samples are cut (with a fade) at this length.
    """

    folders: Sequence[Path]
    rate_hz: int = 16000
    longest_s: float = 12.0
    _files: dict[int, dict[int, Path]] = field(default_factory=dict, repr=False)
    _cache: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for folder in self.folders:
            for path in sorted(Path(folder).rglob("*")):
                if path.suffix.lower() in {".ogg", ".wav", ".flac", ".mp3"} and (named := _pitch_of(path.stem)):
                    self._files.setdefault(named[1], {})[named[0]] = path
        if not self._files:
            raise InputError(
                "no samples here", path=Path(self.folders[0]), expected="files named like D#4v7.ogg or C2.wav"
            )

    def keys(self) -> frozenset[int]:
        """Return the pitches that it can play: those recorded, those between, and a few beyond."""
        recorded = [pitch for layer in self._files.values() for pitch in layer]
        return frozenset(range(min(recorded) - 3, max(recorded) + 4))

    def play(
        self,
        part: Performance,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Play one performance at ``rate_hz`` with a randomly drawn touch: damping, layer response, unevenness."""
        layers = sorted(self._files)
        response = rng.uniform(0.7, 1.4)
        release_s = rng.uniform(0.04, 0.35)
        loudness = rng.uniform(20, 40)  # decibels between the softest and the loudest stroke
        uneven = rng.normal(0, rng.uniform(0, 2.0), 128)
        sound = np.zeros(int((part.end_s.max(initial=0) + 3) * self.rate_hz), np.float32)
        for start_s, end_s, pitch, velocity in zip(
            part.start_s, part.end_s, part.pitch_midi, part.velocity, strict=True
        ):
            force = (velocity / 127) ** response
            layer = layers[min(int(force * len(layers)), len(layers) - 1)]
            sample = self._sample(int(pitch), layer)
            held = int((end_s - start_s) * self.rate_hz)
            tone = _damp(sample, held, int(release_s * self.rate_hz))
            gain = 10 ** ((loudness * (velocity / 127 - 1) + uneven[pitch]) / 20)
            first = int(start_s * self.rate_hz)
            sound[first : first + len(tone)] += gain * tone[: len(sound) - first]
        return sound

    def _sample(self, pitch: int, layer: int) -> NDArray[np.float32]:
        if (pitch, layer) not in self._cache:
            recorded = self._files[layer]
            root = min(recorded, key=lambda other: abs(other - pitch))
            sound, rate_hz = soundfile.read(recorded[root], dtype="float32", always_2d=True)
            mono = sound[: int(self.longest_s * rate_hz)].mean(1)
            # Playing it faster by the interval, and at our rate, is one resampling.
            tone = soxr.resample(mono, rate_hz * 2 ** ((pitch - root) / 12), self.rate_hz, quality="MQ")
            tone = np.asarray(tone, np.float32)
            # Silence before the stroke would put every onset late.
            loud = np.flatnonzero(np.abs(tone) > 0.02 * np.abs(tone).max(initial=1e-9))
            tone = tone[max(int(loud[0]) - int(0.002 * self.rate_hz), 0) :].copy()
            # Layers are normalised so that velocity alone sets the level.
            tone /= np.sqrt(np.mean(np.square(tone[: self.rate_hz // 2]))) * 12 + 1e-9
            fade = min(len(tone), self.rate_hz // 4)
            tone[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
            self._cache[pitch, layer] = tone
        return self._cache[pitch, layer]


def _damp(tone: NDArray[np.float32], held: int, release: int) -> NDArray[np.float32]:
    """Return the tone with the damper falling after ``held`` samples, dying away within about ``release``."""
    if held >= len(tone):
        return tone
    tail = tone[held : held + 2 * release]
    fall = np.exp(-np.arange(len(tail), dtype=np.float32) * np.float32(3.5 / max(release, 1)))
    return np.concatenate([tone[:held], tail * fall])


class ModelledString:
    """A struck or plucked string instrument drawn at random: 88 pitches of decaying, slightly stretched partials.

    Per partial ``n`` of a string with inharmonicity ``B``: frequency ``n f0 sqrt(1 + B n^2)``; level from the
    place of the stroke (a comb) and a spectral slope; a fast and a slow decay; two or three strings a little out
    of tune with each other. The louder the stroke, the flatter the slope.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the instrument.
    rate_hz : int
        Sampling rate.
    family : str
        ``"keys"``, or ``"plucked"`` or ``"bass"``, whose notes have one string each, a softer stroke and a shorter
        life.
    """

    def __init__(self, rng: np.random.Generator, rate_hz: int = 16000, *, family: str = "keys") -> None:
        self.rate_hz = rate_hz
        self._seed = int(rng.integers(2**63))
        self.inharmonicity = 10 ** rng.uniform(-4.3, -3.3)  # at middle C
        self.stroke_place = rng.uniform(0.08, 0.35)
        self.slope_db = rng.uniform(3.0, 10.0)  # per octave of partials, for a medium stroke
        self.brightness_db = rng.uniform(1.0, 6.0)  # by which force flattens the slope
        self.half_life_s = 10 ** rng.uniform(-0.35, 0.45)  # of the slow decay at middle C
        self.damping = rng.uniform(0.3, 1.0)  # how much faster high partials die
        self.fast_share = rng.uniform(0.0, 0.85)
        self.unison_cents = rng.uniform(0.0, 3.0)
        self.knock = 10 ** rng.uniform(-2.3, -0.8)
        self.stretch_cents = rng.uniform(0.0, 25.0)  # at the ends of the keyboard
        self.formant_db = rng.normal(0, rng.uniform(0, 6), 40)  # the body, on a log-frequency grid
        self.longest_s = 7.0
        self.strings = 2
        if family != "keys":
            self.strings, self.longest_s = 1, 3.0
            self.knock *= 0.3
            self.half_life_s *= 0.5
            self.inharmonicity *= 0.5
            self.slope_db += 3.0 if family == "bass" else 0.0
        self._cache: dict[tuple[int, bool], NDArray[np.float32]] = {}

    def play(self, part: Performance, rng: np.random.Generator) -> NDArray[np.float32]:
        """Play one performance; mono at ``rate_hz``."""
        release_s = rng.uniform(0.04, 0.35)
        loudness = rng.uniform(20, 40)
        uneven = rng.normal(0, rng.uniform(0, 2.0), 128)
        sound = np.zeros(int((part.end_s.max(initial=0) + 3) * self.rate_hz), np.float32)
        for start_s, end_s, pitch, velocity in zip(
            part.start_s, part.end_s, part.pitch_midi, part.velocity, strict=True
        ):
            force = np.float32(velocity / 127)
            held = int((end_s - start_s) * self.rate_hz)
            release = int(release_s * self.rate_hz)
            tone = (1 - force) * _damp(self._tone(int(pitch), False), held, release)
            tone += force * _damp(self._tone(int(pitch), True), held, release)
            gain = 10 ** ((loudness * (velocity / 127 - 1) + uneven[pitch]) / 20)
            first = int(start_s * self.rate_hz)
            sound[first : first + len(tone)] += gain * tone[: len(sound) - first]
        return sound

    def _tone(self, pitch: int, hard: bool) -> NDArray[np.float32]:
        if (pitch, hard) not in self._cache:
            self._cache[pitch, hard] = self._make_tone(pitch, hard)
        return self._cache[pitch, hard]

    def _make_tone(self, pitch: int, hard: bool) -> NDArray[np.float32]:
        rng = np.random.default_rng((self._seed, pitch))  # the same string whatever was played before
        away = (pitch - 60) / 44
        cents = self.stretch_cents * away * abs(away) + rng.normal(0, 2.0)
        f0_hz = 440 * 2 ** ((pitch - 69) / 12 + cents / 1200)
        bend = self.inharmonicity * 2 ** ((pitch - 60) / 10 if pitch > 60 else (60 - pitch) / 40)
        n = np.arange(1, 41)
        f_hz = n * f0_hz * np.sqrt(1 + bend * n**2)
        n, f_hz = n[f_hz < 0.48 * self.rate_hz], f_hz[f_hz < 0.48 * self.rate_hz]
        slope_db = self.slope_db + (-self.brightness_db if hard else self.brightness_db)
        level_db = -np.log2(n) * slope_db + np.interp(np.log2(f_hz / 25), np.linspace(0, 8.4, 40), self.formant_db)
        level = 10 ** (level_db / 20) * np.abs(np.sin(np.pi * n * self.stroke_place)) ** 0.7
        level *= 10 ** (rng.normal(0, 2.5, len(n)) / 20)
        if pitch < 45:  # short soundboards hardly carry the lowest fundamentals
            level[: max(1, (45 - pitch) // 5)] *= 0.35
        audible = level > 1e-3 * level.max()
        n, f_hz, level = n[audible], f_hz[audible], level[audible]
        half_life_s = self.half_life_s * 2 ** (-(pitch - 60) / 14) * (f_hz / f0_hz) ** -self.damping
        length = int(min(max(half_life_s.max() * 9, 0.3), self.longest_s) * self.rate_hz)
        t = np.arange(length, dtype=np.float32) / np.float32(self.rate_hz)
        tone = np.zeros(length, np.float32)
        strings = 1 if pitch < 40 else self.strings
        for level_n, hz, life in zip(level, f_hz, half_life_s, strict=True):
            slow = np.exp2(-t / np.float32(life))
            envelope = (1 - self.fast_share) * slow + self.fast_share * slow**4
            wave = np.zeros(length, np.float32)
            for _ in range(strings):
                apart = 2 ** (rng.normal(0, self.unison_cents) / 1200)
                phase = np.float32(rng.uniform(0, 2 * np.pi))
                wave += np.sin(np.float32(2 * np.pi * hz * apart) * t + phase)
            tone += np.float32(level_n / strings) * envelope * wave
        tone /= np.sqrt(np.mean(np.square(tone[: self.rate_hz // 2]))) * 12 + 1e-9
        click = rng.normal(0, 1, min(length, int(0.03 * self.rate_hz))).astype(np.float32)
        click = np.convolve(click, np.hanning(9) / 4, "same").astype(np.float32)
        click *= np.exp(-np.arange(len(click)) / (0.006 * self.rate_hz)).astype(np.float32)
        tone[: len(click)] += np.float32(self.knock * (1 if hard else 0.4)) * click
        attack = max(int(rng.uniform(0.0005, 0.004) * self.rate_hz), 1)
        tone[:attack] *= np.linspace(0, 1, attack, dtype=np.float32)
        return tone
