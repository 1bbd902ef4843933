"""Other instruments of the same kind, out of the samples of a SoundFont.

There are few SoundFonts that may be used, and a network comes to know each instrument of theirs. What differs between
two SoundFonts is not only the instrument that was recorded: small ones spread one recording over the whole keyboard,
leave its slow beginning out and repeat a few periods of it for ever, and all shape the same samples by envelopes,
filters and vibrato of their own. Each of these is drawn at random here, for each instrument.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered.performance import DRUMS
from ottava.corpora.rendered.sf2 import (
    Font,
    Generator,
    Instrument,
    Sample,
    Zone,
    key_range,
    read_font,
    signed,
    write_font,
)
from ottava.errors import InputError
from ottava.io.files import atomic_write, check_output, open_input

__all__ = ["alter", "alter_file"]

_SUSTAINED = frozenset((*range(16, 24), *range(40, 45), *range(48, 55), *range(56, 96)))
"""Programs whose notes last as long as they are held."""
_ONE_SAMPLE = 0.65  # share of instruments that play all keys with one of their samples
_SHORT_LOOP = 0.6  # of those
_BEGINS_LATER = 0.6  # share of sustained instruments that begin somewhere in their samples
_LEAST_LOOP = 1024  # samples, by repetition
_LOWEST_HZ = 8.176  # where cents begin in the standard (section 8.1.2)
_MOVES = (
    Generator.START,
    Generator.END,
    Generator.LOOP_START,
    Generator.LOOP_END,
    Generator.START_COARSE,
    Generator.END_COARSE,
    Generator.LOOP_START_COARSE,
    Generator.LOOP_END_COARSE,
)


def alter(font: Font, rng: np.random.Generator, *, without: frozenset[int] = frozenset()) -> Font:
    """Return a font with the same presets, mono, whose instruments are others.

    Parameters
    ----------
    font : Font
        A General MIDI SoundFont; presets of banks 0 and 128 (drum kits) are kept.
    rng : numpy.random.Generator
        Source of all randomness.
    without : frozenset of int
        Programs to leave out; kits are negative, see :data:`ottava.corpora.rendered.performance.DRUMS`.

    Returns
    -------
    Font
        It has only the samples that it needs.
    """
    presets = [p for p in font.presets if p.bank in (0, 128) and _program(p.bank, p.program) not in without]
    played: dict[int, set[int]] = {}
    for preset in presets:
        for zone in preset.zones:
            played.setdefault(zone[Generator.INSTRUMENT], set()).add(_program(preset.bank, preset.program))
    kept = _Samples(font, rng)
    instruments: list[Instrument] = []
    place: dict[int, int] = {}
    for index, programs in sorted(played.items()):
        if zones := _mono(font, font.instruments[index]):
            place[index] = len(instruments)
            instruments.append(Instrument(font.instruments[index].name, _changed(zones, min(programs), rng, kept)))
    moved = [
        replace(
            preset,
            zones=tuple(
                {**_unpanned(zone), Generator.INSTRUMENT: place[zone[Generator.INSTRUMENT]]}
                for zone in preset.zones
                if zone[Generator.INSTRUMENT] in place
            ),
        )
        for preset in presets
    ]
    sound = np.concatenate([*kept.sounds, np.zeros(0, np.int16)])
    return Font([preset for preset in moved if preset.zones], instruments, kept.samples, sound)


def alter_file(
    path: Path, out: Path, *, seed: int = 0, without: frozenset[int] = frozenset(), force: bool = False
) -> None:
    """Write an altered copy of a SoundFont, see :func:`alter`.

    Raises
    ------
    ottava.errors.InputError
        If the file cannot be read, is no SoundFont, or has no samples.
    ottava.errors.OutputError
        If ``out`` exists and ``force`` is false, or cannot be written.
    """
    check_output(out, force=force)
    with open_input(path) as file:
        font = read_font(file.read(), path)
    altered = alter(font, np.random.default_rng(seed), without=without)
    if not altered.presets:
        raise InputError("no instruments are left of this SoundFont", path=path)
    with atomic_write(out, force=force) as file:
        file.write(write_font(altered))


@dataclass
class _Samples:
    """The samples of an altered font, each copied once."""

    font: Font
    rng: np.random.Generator
    samples: list[Sample] = field(default_factory=list)
    sounds: list[NDArray[np.int16]] = field(default_factory=list)
    _places: dict[tuple[object, ...], int] = field(default_factory=dict)
    _end: int = 0

    def keep(self, zone: Zone, *, short: bool, skip_s: float) -> int:
        """Copy the sample of a zone, with the zone's changes of its ends, and return its number.

        Its first ``skip_s`` seconds are left out, as far as they lie before its loop, or in its first third.
        """
        looped = zone.get(Generator.MODES, 0) & 1 == 1
        sample = self.font.samples[zone[Generator.SAMPLE]]
        start, end, loop_start, loop_end = (
            at + signed(zone.get(fine, 0)) + 32768 * signed(zone.get(coarse, 0))
            for at, fine, coarse in zip(
                (sample.start, sample.end, sample.loop_start, sample.loop_end), _MOVES[:4], _MOVES[4:], strict=True
            )
        )
        start = max(start, 0)
        end = min(max(end, loop_end), len(self.font.sound))
        key = (zone[Generator.SAMPLE], start, end, loop_start, loop_end, looped, short, skip_s)
        if key not in self._places:
            sound = self.font.sound[start:end]
            loop = (min(max(loop_start - start, 0), len(sound)), min(max(loop_end - start, 0), len(sound)))
            first = min(int(skip_s * sample.rate_hz), loop[0] if looped else len(sound) // 3)
            sound, loop = sound[first:], (max(loop[0] - first, 0), max(loop[1] - first, 0))
            if looped and short and (found := self._short_loop(sound, sample)):
                loop = found
            if looped and loop[0] < loop[1]:
                # A synthesiser that steps over the whole loop at high keys would read beyond the sample.
                more = -(-_LEAST_LOOP // (loop[1] - loop[0])) - 1
                sound = np.concatenate([sound[: loop[1]], *[sound[loop[0] : loop[1]]] * more])
                loop = (loop[0], len(sound))
            self._places[key] = len(self.samples)
            at = self._end
            self.samples.append(
                replace(
                    sample,
                    start=at,
                    end=at + len(sound),
                    loop_start=at + loop[0],
                    loop_end=at + loop[1],
                    kind=1,
                )
            )
            self.sounds.append(sound)
            self._end += len(sound)
        return self._places[key]

    def _short_loop(self, sound: NDArray[np.int16], sample: Sample) -> tuple[int, int] | None:
        """Return a loop of a few periods whose ends are alike, if there is one."""
        period = sample.rate_hz / (440 * 2 ** ((min(sample.pitch, 127) - 69) / 12))
        periods = int(self.rng.integers(1, 7)) if period * 8 < 0.05 * sample.rate_hz else 1
        first = int(min(self.rng.uniform(0.05, 0.5) * sample.rate_hz, max(len(sound) - period * 10, 0)))
        width = max(int(period), 16)
        wanted = sound[first : first + width].astype(float)
        best, loop = 0.08, None  # of the power of both
        for length in range(max(int(periods * period * 0.97), 8), int(periods * period * 1.03) + 2):
            other = sound[first + length : first + length + width].astype(float)
            if len(other) == width:
                power = np.square(wanted).sum() + np.square(other).sum() + 1
                if (unlike := float(np.square(wanted - other).sum() / power)) < best:
                    best, loop = unlike, (first, first + length)
        return loop


def _program(bank: int, program: int) -> int:
    return DRUMS - program if bank == 128 else program


def _unpanned(zone: Zone) -> Zone:
    return {k: v for k, v in zone.items() if k != Generator.PAN}


def _mono(font: Font, instrument: Instrument) -> list[Zone]:
    """Return the zones of an instrument without right sides of pairs, and without samples that are in no file."""
    usable = [zone for zone in instrument.zones if zone[Generator.SAMPLE] < len(font.samples)]
    usable = [zone for zone in usable if font.samples[zone[Generator.SAMPLE]].kind < 0x8000]
    left = [zone for zone in usable if not font.samples[zone[Generator.SAMPLE]].right]
    return left or usable


def _changed(zones: list[Zone], program: int, rng: np.random.Generator, kept: _Samples) -> tuple[Zone, ...]:
    """Return the zones of another instrument that plays a program (negative: a kit)."""
    pitched = program >= 0
    one = pitched and rng.random() < _ONE_SAMPLE
    short = one and rng.random() < _SHORT_LOOP
    if one:
        keys = [key_range(zone) for zone in zones]
        middle = [zone for zone, own in zip(zones, keys, strict=True) if 30 <= (own[0] + own[-1]) / 2 <= 90] or zones
        chosen = middle[int(rng.integers(len(middle)))]
        lowest, highest = min(own[0] for own in keys), max(own[-1] for own in keys)
        zones = [dict(zone) for zone in zones if _heard_with(zone, chosen)][:3]
        for zone in zones:
            zone[Generator.KEYS] = lowest + 256 * highest
            zone.pop(Generator.VELOCITIES, None)
    change = _draw_change(program, rng)
    skip_s = 0.0
    if program in _SUSTAINED and rng.random() < _BEGINS_LATER:
        skip_s = rng.uniform(0.03, 0.35)
        change[Generator.ATTACK] = _timecents(10 ** rng.uniform(-2.5, -1.3))
    done = []
    for zone in zones:
        sample = kept.keep(zone, short=short, skip_s=skip_s)
        new = {k: v for k, v in _unpanned(zone).items() if k not in _MOVES} | change
        if Generator.FILTER_CENTS in change:
            new[Generator.FILTER_CENTS] = min(zone.get(Generator.FILTER_CENTS, 13500), change[Generator.FILTER_CENTS])
        if Generator.SUSTAIN_CB in change:
            new[Generator.SUSTAIN_CB] = max(zone.get(Generator.SUSTAIN_CB, 0), change[Generator.SUSTAIN_CB])
        done.append({k: v & 0xFFFF for k, v in new.items()} | {int(Generator.SAMPLE): sample})
    return tuple(done)


def _heard_with(zone: Zone, other: Zone) -> bool:
    return all(zone.get(g) == other.get(g) for g in (Generator.KEYS, Generator.VELOCITIES))


def _draw_change(program: int, rng: np.random.Generator) -> Zone:
    """Draw parameters of an instrument: filter, envelope, vibrato, each now and then."""
    pitched, sustained = program >= 0, program in _SUSTAINED
    change: Zone = {}
    if rng.random() < 0.55:
        change[Generator.FILTER_CENTS] = _cents(2 ** rng.uniform(np.log2(700 if pitched else 3000), np.log2(9000)))
    if rng.random() < 0.2:
        change[Generator.RESONANCE_CB] = int(rng.uniform(0, 90))
    if not pitched:
        return change
    if rng.random() < 0.5:
        change[Generator.ATTACK] = _timecents(10 ** rng.uniform(-2.6, -1.1 if sustained else -1.9))
    if rng.random() < 0.6:
        change[Generator.RELEASE] = _timecents(10 ** rng.uniform(-1.5, -0.2))
    if sustained and rng.random() < 0.35:
        change[Generator.VIBRATO_CENTS] = int(rng.uniform(5, 40))
        change[Generator.VIBRATO_RATE] = _cents(rng.uniform(4.3, 6.8))
        change[Generator.VIBRATO_DELAY] = _timecents(rng.uniform(0.01, 0.5))
    if rng.random() < (0.4 if sustained else 0.5):
        change[Generator.DECAY] = _timecents(10 ** (rng.uniform(-0.7, 0.5) if sustained else rng.uniform(0, 1.1)))
        change[Generator.SUSTAIN_CB] = int(rng.uniform(20, 150)) if sustained else 1000
    return {int(k): v for k, v in change.items()}


def _cents(hz: float) -> int:
    return round(1200 * float(np.log2(hz / _LOWEST_HZ)))


def _timecents(seconds: float) -> int:
    return round(1200 * float(np.log2(seconds)))
