"""Rendering a cast: which instrument of which source plays each part, what it sounds like, how loud it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from ottava.corpora.rendered.arrangement import PROGRAMS
from ottava.corpora.rendered.drumkits import DrumKit
from ottava.corpora.rendered.fonts import MidiInstruments, SoundFont
from ottava.corpora.rendered.organs import ModelledOrgan
from ottava.corpora.rendered.patches import PatchSet
from ottava.corpora.rendered.performance import DRUMS, Performance
from ottava.corpora.rendered.synthesis import ModelledString, SampledInstrument
from ottava.corpora.rendered.timbre import active_rms, vary
from ottava.corpora.rendered.tones import ModelledTone

__all__ = ["Sources", "open_drums", "open_instruments", "open_samples", "render_cast", "render_stems"]

_STRINGS, _STRING_SHARE = ("plucked", "bass", "keys"), 0.08
_TONE_SHARES = {"bowed": 0.20, "winds": 0.10, "voice": 0.10}
_ORGAN_SHARE = 0.08  # of keys
_SAMPLED_SHARE = 0.35  # of the parts of families of which there are sampled instruments
_VARIED = 0.6  # share of parts whose formants are moved, and of those whose timbre is changed
_SPREAD_DB = 14.0  # between the loudest pitched part and the softest
_STEM_RMS = 0.05  # of a stem that is heard alone, of a full scale of 1
_SILENT = 1e-6  # of a full scale of 1: the part is not there, in sound or in truth


def open_instruments(path: Path, without: frozenset[int] = frozenset()) -> MidiInstruments:
    """Return the instruments of a file: patches of a TiMidity configuration (``.cfg``), or a SoundFont, less some."""
    return PatchSet(path, without) if path.suffix.lower() == ".cfg" else SoundFont(path, without)


@lru_cache(maxsize=64)
def open_samples(folders: tuple[Path, ...]) -> SampledInstrument:
    """Return a sampled instrument; a process plays the same few over and over."""
    return SampledInstrument(folders)


def open_drums(path: Path, without: frozenset[int] = frozenset()) -> MidiInstruments | DrumKit:
    """Return the drums of a folder (a kit of Hydrogen) or of a file, see :func:`open_instruments`."""
    return DrumKit(path) if path.is_dir() else open_instruments(path, without)


@dataclass(frozen=True)
class Sources:
    """What parts are played from.

    Parameters
    ----------
    fonts, drum_fonts : sequence of pathlib.Path
        See :func:`open_instruments`, :func:`open_drums`; drums are played from either.
    samples : sequence of (str, pathlib.Path)
        Families, and sampled instruments of theirs.
    without : mapping of str to frozenset of int
        Programs that must not be used, by the font's file name without its suffix.
    """

    fonts: Sequence[Path]
    drum_fonts: Sequence[Path] = ()
    samples: Sequence[tuple[str, Path]] = ()
    without: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def instruments(self, path: Path) -> MidiInstruments:
        """Open a font without what must not be used."""
        return open_instruments(path, self.without.get(path.stem, frozenset()))

    def drums(self, path: Path) -> MidiInstruments | DrumKit:
        """Open a source of drums without what must not be used."""
        return open_drums(path, self.without.get(path.stem, frozenset()))


@dataclass
class _Stem:
    """One part, who plays it, and its sound once there is one."""

    family: str
    part: Performance
    source: MidiInstruments | DrumKit | SampledInstrument | ModelledString | ModelledTone | ModelledOrgan
    name: str
    steps: int = 0  # written lower by so many semitones, and played faster by as much
    place: int = 0  # in the plan
    sound: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def stretch(self) -> float:
        return float(2 ** (self.steps / 12))

    def written(self) -> Performance:
        """Return what a source that reads MIDI has to play so that, played faster, it is the part."""
        lower = self.steps if self.family != "drums" else 0
        return replace(
            self.part,
            start_s=self.part.start_s * self.stretch,
            end_s=self.part.end_s * self.stretch,
            pitch_midi=self.part.pitch_midi - lower,
        )


def render_cast(
    planned: Sequence[tuple[str, Performance]],
    rng: np.random.Generator,
    *,
    sources: Sources,
    length_s: float,
    tune: float,
    rate_hz: int,
    varied: bool = True,
) -> tuple[list[tuple[str, Performance]], NDArray[np.float32], list[str]]:
    """Render and mix an ensemble.

    Each pitched part is played from a SoundFont or patches, drawn for each or for all, or now and then by a model.
    Truth and sound agree: a part whose instrument a source lacks gets another of the same family, and what cannot be
    played is left out of both.

    Parameters
    ----------
    planned : sequence of (str, Performance)
        Family (or ``"drums"``) and what it plays.
    rng : numpy.random.Generator
        Source of all randomness.
    sources : Sources
        What the parts are played from.
    length_s : float
        Length of the mix before tuning.
    tune : float
        Factor on all pitches, and on the speed.
    rate_hz : int
        Sampling rate.
    varied : bool
        Let models play some parts, and change the timbre of others.

    Returns
    -------
    cast : list of (str, Performance)
        What is heard, in times before tuning.
    mix : ndarray of float32, shape (n,)
        Mono sound.
    names : list of str
        Where each part comes from.
    """
    change = _VARIED if varied else 0.0
    fonts = sources.fonts
    shared = fonts[int(rng.integers(len(fonts)))] if rng.random() < 0.4 else None
    stems = _play(planned, rng, sources, shared, change, tune=tune, rate_hz=rate_hz)
    mix = _balance(stems, rng, change, n=int(length_s * rate_hz) + 1, rate_hz=rate_hz)
    return [(s.family, s.part) for s in stems], mix, [s.name for s in stems]


def render_stems(
    planned: Sequence[tuple[str, Performance]],
    rng: np.random.Generator,
    *,
    sources: Sources,
    tune: float,
    rate_hz: int,
    varied: bool = True,
) -> list[tuple[int, Performance, NDArray[np.float32], str]]:
    """Render parts so that each can be heard alone, all about equally loud.

    Parameters
    ----------
    planned, rng, sources, tune, rate_hz, varied
        See :func:`render_cast`.

    Returns
    -------
    list of (int, Performance, ndarray, str)
        The part's place in ``planned``, what is heard of it in times before tuning, its mono sound, and where it
        comes from. Parts that nobody can play are left out.
    """
    change = _VARIED if varied else 0.0
    done = []
    for stem in _play(planned, rng, sources, None, change, tune=tune, rate_hz=rate_hz):
        sound = stem.sound
        if rng.random() < change:
            sound = vary(sound, stem.part.program if stem.family != "drums" else DRUMS, rng, rate_hz=rate_hz)
        loud = active_rms(sound, rate_hz=rate_hz)
        done.append((stem.place, stem.part, sound * np.float32(_STEM_RMS / max(loud, _SILENT)), stem.name))
    return done


def _play(
    planned: Sequence[tuple[str, Performance]],
    rng: np.random.Generator,
    sources: Sources,
    shared: Path | None,
    change: float,
    *,
    tune: float,
    rate_hz: int,
) -> list[_Stem]:
    """Cast all parts and fill in their sound; leave out what cannot be played or heard."""
    stems: list[_Stem] = []
    for place, (family, part) in enumerate(planned):
        stem = (
            _cast_drums(part, rng, sources, change)
            if family == "drums"
            else _cast_part(family, part, rng, sources, shared, change, rate_hz)
        )
        if stem is not None:
            stem.place = place
            stems.append(stem)
    _perform(stems, rng, tune=tune, rate_hz=rate_hz)
    return [s for s in stems if active_rms(s.sound, rate_hz=rate_hz) > _SILENT]


def _cast_part(
    family: str,
    part: Performance,
    rng: np.random.Generator,
    sources: Sources,
    shared: Path | None,
    change: float,
    rate_hz: int,
) -> _Stem | None:
    chance = rng.random()
    if change and family in _STRINGS and chance < _STRING_SHARE:
        return _Stem(family, part, ModelledString(rng, rate_hz, family=family), "modelled string")
    if change and family == "keys" and _STRING_SHARE <= chance < _STRING_SHARE + _ORGAN_SHARE:
        return _Stem(family, part, ModelledOrgan(rng, rate_hz), "modelled organ")
    if change and chance < _TONE_SHARES.get(family, 0.0):
        return _Stem(family, part, ModelledTone(family, rng, rate_hz), "modelled tone")
    sampled = [folder for name, folder in sources.samples if name == family]
    if sampled and rng.random() < _SAMPLED_SHARE:
        folder = sampled[int(rng.integers(len(sampled)))]
        instrument = open_samples((folder,))
        if len(heard := _only(part, instrument.keys())):
            return _Stem(family, heard, instrument, folder.name)
    order = [sources.fonts[i] for i in rng.permutation(len(sources.fonts))]
    for path in [shared, *order] if shared else order:
        font = sources.instruments(path)
        programs = [part.program, *rng.permutation(PROGRAMS[family]).tolist()]
        program = max(programs, key=lambda p: np.isin(part.pitch_midi, list(font.keys(p))).sum())
        keys = font.keys(program)
        heard = _only(replace(part, program=program), keys)
        if len(heard):
            stem = _Stem(family, heard, font, f"{path.stem}:{program}")
            if rng.random() < change:
                steps = int(rng.integers(-5, 6))
                if keys.issuperset((heard.pitch_midi - steps).tolist()):
                    stem.steps = steps
            return stem
    return None


def _cast_drums(part: Performance, rng: np.random.Generator, sources: Sources, change: float) -> _Stem | None:
    choices = (*sources.fonts, *sources.drum_fonts)
    for i in rng.permutation(len(choices)):
        source = sources.drums(choices[i])
        if isinstance(source, DrumKit):
            heard, name = _only(part, source.keys()), source.folder.name
        else:
            program = part.program if source.keys(part.program) else DRUMS
            heard, name = _only(replace(part, program=program), source.keys(program)), choices[i].stem
        if len(heard):
            varied = rng.random() < change and not isinstance(source, DrumKit)
            return _Stem("drums", heard, source, name, int(rng.integers(-3, 4)) if varied else 0)
    return None


def _only(part: Performance, keys: frozenset[int]) -> Performance:
    there = np.isin(part.pitch_midi, list(keys))
    return replace(
        part,
        start_s=part.start_s[there],
        end_s=part.end_s[there],
        pitch_midi=part.pitch_midi[there],
        velocity=part.velocity[there],
    )


def _perform(stems: list[_Stem], rng: np.random.Generator, *, tune: float, rate_hz: int) -> None:
    """Fill in the sound of every stem: all that one font plays in one run of its synthesiser."""
    by_font: dict[MidiInstruments, list[_Stem]] = {}
    for stem in stems:
        if isinstance(stem.source, MidiInstruments):
            by_font.setdefault(stem.source, []).append(stem)
        elif isinstance(stem.source, DrumKit):
            stem.sound = stem.source.play(stem.part, rng, rate_hz=rate_hz / tune)
        else:
            sound = soxr.resample(stem.source.play(stem.part, rng), rate_hz * tune, rate_hz, quality="MQ")
            stem.sound = np.asarray(sound, np.float32)
    for font, mine in by_font.items():
        sounds = font.play_apart([s.written() for s in mine], [rate_hz / (tune * s.stretch) for s in mine])
        for stem, sound in zip(mine, sounds, strict=True):
            stem.sound = sound


def _balance(
    stems: list[_Stem], rng: np.random.Generator, change: float, *, n: int, rate_hz: int
) -> NDArray[np.float32]:
    """Vary timbres and mix: pitched parts within 14 dB of each other while they play, drums about as loud as all."""
    pitched, drums = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for stem in stems:
        sound = stem.sound[:n]
        if rng.random() < change:
            sound = vary(sound, stem.part.program if stem.family != "drums" else DRUMS, rng, rate_hz=rate_hz)
        if stem.family == "drums":
            drums[: len(sound)] += sound
        else:
            gain_db = float(np.clip(rng.normal(0, 4), -_SPREAD_DB / 2, _SPREAD_DB / 2))
            pitched[: len(sound)] += sound * np.float32(10 ** (gain_db / 20) / active_rms(sound, rate_hz=rate_hz))
    loud = float(np.sqrt(np.mean(np.square(drums))))
    if loud > 0:
        beside = float(np.sqrt(np.mean(np.square(pitched)))) or 1.0
        pitched += drums * np.float32(beside / loud * 10 ** (np.clip(rng.normal(-2, 4), -10, 7) / 20))
    return pitched
