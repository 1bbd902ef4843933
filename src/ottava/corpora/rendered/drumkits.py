"""Drum kits made of samples, in the folders of the drum machine Hydrogen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ottava.corpora.rendered.performance import Performance
from ottava.errors import InputError
from ottava.symbolic.instruments import drum_class_of_key

__all__ = ["DrumKit", "key_of_name", "near_key"]

_KEPT_HZ = 24000
_LONGEST_S = 4.0
# The first expression found in a name tells the General MIDI key; None: a sound that is not of the five classes,
# or that plays more than one stroke.
_NAMES: tuple[tuple[str, int | None], ...] = (
    (r"roll|flam|tamb|conga|bongo|cajon|maraca|clave|block|agogo|cowbell|whistle|djembe|snap", None),
    (r"clap", 39),
    (r"\bside ?stick|\bstick|rim ?click", 37),
    (r"\bsnare.*rim|\brim ?shot", 40),
    (r"\bsnare", 38),
    (r"\bkick|bass ?drum|\bbd\b", 36),
    (r"(\bhi-? ?hat|\bhh\b|\bhat\b).*(pedal|foot|\bpd\b)|(pedal|foot).*(hat|hh)", 44),
    (r"(\bhi-? ?hat|\bhh\b|\bhat\b).*(open|\bop\b|free|swish|choke)|(open).*(hat|hh)|\bohh\b", 46),
    (r"\bhi-? ?hat|\bhh\b|\bhat\b|\bchh\b", 42),
    (r"\btom.*(low|floor)|(low|floor) tom", 41),
    (r"\btom.*mid|mid(dle)? tom", 47),
    (r"\btom.*(hi|\b1\b)|(high|hi) tom", 50),
    (r"\btom", 47),
    (r"\bride.*(bell|cup)|\bcrash.*bell", 53),
    (r"\bcrash", 49),
    (r"\bride", 51),
    (r"\bchina|\bchinese", 52),
    (r"\bsplash", 55),
    (r"\bcymbal", 57),
)
# How alike the keys of one class sound: where each lies on a line.
_PLACE = {36: 0.0, 35: 0.1, 38: 0.0, 40: 0.2, 37: 2.0, 39: 3.0, 42: 0.0, 44: 0.6, 46: 2.0, 41: 0.0, 43: 1.0, 45: 2.0}
_PLACE |= {47: 3.0, 48: 4.0, 50: 5.0, 49: 0.0, 57: 0.1, 55: 1.0, 52: 1.2, 51: 4.0, 59: 4.1, 53: 5.0}


def key_of_name(name: str) -> int | None:
    """Return the General MIDI percussion key that a drum's name stands for, or None.

    Examples
    --------
    >>> key_of_name("Sabian Hat Semi-Open"), key_of_name("Cowbell")
    (46, None)
    """
    return next((key for pattern, key in _NAMES if re.search(pattern, name.lower())), None)


def near_key(key: int, there: frozenset[int]) -> int | None:
    """Return the key among those there that sounds most like another, of the same drum class; or None."""
    wanted = drum_class_of_key(key)
    alike = [k for k in sorted(there) if wanted is not None and drum_class_of_key(k) == wanted]
    return min(alike, key=lambda k: abs(_PLACE[k] - _PLACE[key]), default=None)


@dataclass(frozen=True)
class _Drum:
    layers: tuple[tuple[float, Path], ...]  # highest velocity (0 to 1) and file, softest first
    volume: float


@dataclass(frozen=True)
class DrumKit:
    """A drum kit of Hydrogen, played with tuning, decay and balance drawn at random.

    Parameters
    ----------
    folder : pathlib.Path
        Folder with ``drumkit.xml`` and the samples that it names.

    Raises
    ------
    ottava.errors.InputError
        When played: if the folder has no kick, snare and hi-hat.
    """

    folder: Path

    def keys(self) -> frozenset[int]:
        """Return the General MIDI percussion keys for which the kit has a sound of the right class."""
        there = frozenset(_drums(self.folder))
        return frozenset(key for key in range(128) if near_key(key, there) is not None)

    def play(self, part: Performance, rng: np.random.Generator, *, rate_hz: float) -> NDArray[np.float32]:
        """Play hits; mono at ``rate_hz``. Hits of keys that the kit has not are left out, see :meth:`keys`."""
        drums = _drums(self.folder)
        there = frozenset(drums)
        kit_steps, spread_db = rng.uniform(-2.2, 2.2), rng.uniform(12, 32)
        chosen: dict[int, tuple[_Drum, float, float, float]] = {}
        for own in sorted(there):
            drum = drums[own][int(rng.integers(len(drums[own])))]
            steps = float(np.clip(kit_steps + rng.normal(0, 0.7), -3, 3))
            gain = max(drum.volume, 0.25) * 10 ** (rng.normal(0, 2.0) / 20)
            chosen[own] = (drum, steps, gain, float(rng.uniform(0.08, 0.6)) if rng.random() < 0.4 else np.inf)
        sound = np.zeros(int((part.end_s.max(initial=0) + _LONGEST_S) * rate_hz), np.float32)
        ready: dict[tuple[int, Path], NDArray[np.float32]] = {}
        hats = part.start_s[(part.pitch_midi == 42) | (part.pitch_midi == 44) | (part.pitch_midi == 46)]
        for start_s, pitch, velocity in zip(part.start_s, part.pitch_midi, part.velocity, strict=True):
            if (key := near_key(int(pitch), there)) is None:
                continue
            drum, steps, gain, decay_s = chosen[key]
            force = velocity / 127
            path = next((p for top, p in drum.layers if force <= top), drum.layers[-1][1])
            if (key, path) not in ready:
                ready[key, path] = _tuned(path, steps, decay_s, rate_hz)
            tone = ready[key, path]
            if key == 46:  # the next stroke on the hi-hat ends the open one
                after = hats[np.searchsorted(hats, start_s + 0.03) :][:1]
                held = int((after[0] - start_s) * rate_hz) if len(after) else len(tone)
                tone = tone[: held + 200].copy()
                tone[held:] *= np.linspace(1, 0, len(tone[held:]), dtype=np.float32)
            first = int(start_s * rate_hz)
            room = sound[first : first + len(tone)]
            room += np.float32(gain * 10 ** (spread_db * (force - 1) / 20)) * tone[: len(room)]
        return sound


def _tuned(path: Path, steps: float, decay_s: float, rate_hz: float) -> NDArray[np.float32]:
    """Return a sample some semitones higher and dying away sooner."""
    tone = np.asarray(soxr.resample(_sample(path), _KEPT_HZ * 2 ** (steps / 12), rate_hz, quality="MQ"), np.float32)
    tone = tone * np.exp(-np.arange(len(tone), dtype=np.float32) / np.float32(decay_s * rate_hz))
    fade = min(len(tone), int(0.05 * rate_hz))
    tone[len(tone) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return np.asarray(tone, np.float32)


@lru_cache(maxsize=256)
def _sample(path: Path) -> NDArray[np.float32]:
    """Return a sample that begins with its stroke and peaks at 1."""
    sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(sound[: int((_LONGEST_S + 1) * rate_hz)].mean(1), rate_hz, _KEPT_HZ, quality="MQ")
    mono = np.asarray(mono / (np.abs(mono).max(initial=1e-9)), np.float32)
    loud = np.flatnonzero(np.abs(mono) > 0.05)
    return mono[max(int(loud[0]) - int(0.001 * _KEPT_HZ), 0) :][: int(_LONGEST_S * _KEPT_HZ)] if len(loud) else mono


@lru_cache(maxsize=64)
def _drums(folder: Path) -> dict[int, tuple[_Drum, ...]]:
    """Read which drums a kit has for each key."""
    path = folder / "drumkit.xml"
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise InputError("this drum kit cannot be read", path=path, found=str(error)) from error
    found: dict[int, list[_Drum]] = {}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # some kits name the format's namespace
    for instrument in root.iter("instrument"):
        key = key_of_name(instrument.findtext("name") or "")
        layers = [
            (float(layer.findtext("max") or 1), folder / (layer.findtext("filename") or ""))
            for layer in (*instrument.iter("layer"), instrument)
        ]
        layers = sorted((top, file) for top, file in layers if file.is_file())
        if key is not None and layers:
            found.setdefault(key, []).append(_Drum(tuple(layers), float(instrument.findtext("volume") or 1)))
    if missing := {"kick", "snare", "hi-hat"} - {drum_class_of_key(key) for key in found}:
        raise InputError("this drum kit lacks drums", path=path, found="no " + ", no ".join(sorted(missing)))
    return {key: tuple(drums) for key, drums in found.items()}
