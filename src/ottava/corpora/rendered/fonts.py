"""Instruments that read MIDI: SoundFonts here, GUS patches in :mod:`ottava.corpora.rendered.patches`."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ottava.corpora.rendered.performance import DRUMS, Performance
from ottava.corpora.rendered.sf2 import keys_of_presets, read_font
from ottava.errors import InputError, MissingError

__all__ = ["MidiInstruments", "SoundFont", "to_midi"]

_TICKS = 480
_TAIL_S = 3.0
_CHANNELS = 15  # of MIDI, beside the one for drums


def to_midi(parts: Sequence[Performance], *, volumes: Sequence[int] | None = None) -> bytes:
    """Write performances as a MIDI file at 120 beats a minute, one track and one channel each."""
    import symusic

    score = symusic.Score(_TICKS)
    score.tempos.append(symusic.Tempo(0, 120.0))
    for i, part in enumerate(parts):
        drums = part.program < 0
        program = DRUMS - part.program if drums else part.program
        track = symusic.Track(name=str(i), program=program, is_drum=drums)
        start = np.rint(part.start_s * 2 * _TICKS).astype(np.int32)
        end = np.maximum(np.rint(part.end_s * 2 * _TICKS).astype(np.int32), start + 1)
        track.notes = symusic.Note.from_numpy(
            start, end - start, part.pitch_midi.astype(np.int8), part.velocity.astype(np.int8)
        )
        if volumes is not None:
            track.controls.append(symusic.ControlChange(0, 7, int(volumes[i])))
        score.tracks.append(track)
    midi: bytes = score.dumps_midi()
    return midi


class MidiInstruments(ABC):
    """A set of instruments, and sometimes drum kits, played by a synthesiser that reads MIDI."""

    @abstractmethod
    def keys(self, program: int) -> frozenset[int]:
        """Return the keys, 0-127, that sound with a program (or a kit, if negative); empty if there is none."""

    @abstractmethod
    def _render(self, midi: bytes) -> tuple[NDArray[np.float32], int]:
        """Return what a MIDI file sounds like, shape (n, 2), and its rate."""

    def play(
        self, parts: Sequence[Performance], *, rate_hz: float, volumes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Render performances together; the sound is mono at ``rate_hz``."""
        sound, rendered_hz = self._render(to_midi(parts, volumes=volumes))
        return np.asarray(soxr.resample(sound.mean(1), rendered_hz, rate_hz, quality="MQ"), np.float32)

    def play_apart(self, parts: Sequence[Performance], rates_hz: Sequence[float]) -> list[NDArray[np.float32]]:
        """Render performances so that each can be heard alone, mono, each at a rate of its own.

        Few runs play all, one after the other, because loading a large SoundFont takes longer than playing it. MIDI
        has room for 15 instruments and one drum kit at a time.
        """
        drums = [i for i, part in enumerate(parts) if part.program < 0]
        pitched = [i for i, part in enumerate(parts) if part.program >= 0]
        if len(drums) > 1 or len(pitched) > _CHANNELS:
            sounds: dict[int, NDArray[np.float32]] = {}
            while drums or pitched:
                now = drums[:1] + pitched[:_CHANNELS]
                drums, pitched = drums[1:], pitched[_CHANNELS:]
                played = self.play_apart([parts[i] for i in now], [rates_hz[i] for i in now])
                sounds |= dict(zip(now, played, strict=True))
            return [sounds[i] for i in range(len(parts))]
        ends_s = [float(part.end_s.max(initial=0)) + _TAIL_S for part in parts]
        begin_s = np.concatenate([[0.0], np.cumsum(ends_s)])
        moved = [
            replace(part, start_s=part.start_s + at, end_s=part.end_s + at)
            for part, at in zip(parts, begin_s[:-1], strict=True)
        ]
        sound, rendered_hz = self._render(to_midi(moved))
        bounds = (begin_s * rendered_hz).astype(int)
        return [
            np.asarray(soxr.resample(sound[a:b].mean(1), rendered_hz, rate_hz, quality="MQ"), np.float32)
            for a, b, rate_hz in zip(bounds[:-1], bounds[1:], rates_hz, strict=True)
        ]


@dataclass(frozen=True)
class SoundFont(MidiInstruments):
    """A SoundFont file, played by midirenderer.

    Parameters
    ----------
    path : pathlib.Path
        An ``.sf2`` file.
    without : frozenset of int
        Programs (negative ones are kits, see :data:`.performance.DRUMS`) that are taken for missing.
    """

    path: Path
    without: frozenset[int] = frozenset()

    def keys(self, program: int) -> frozenset[int]:
        """Return the keys of a preset of bank 0, or of a drum kit, for which the standard kit stands in."""
        presets = _presets(self.path)
        if program in self.without:
            return frozenset()
        if program >= 0:
            return presets.get((0, program), frozenset())
        return presets.get((128, DRUMS - program), presets.get((128, 0), frozenset()))

    def _render(self, midi: bytes) -> tuple[NDArray[np.float32], int]:
        try:
            import midirenderer
        except ImportError as error:
            raise MissingError(
                "rendering with a SoundFont needs midirenderer", expected='pip install "ottava[train]"'
            ) from error
        wave = midirenderer.render_wave_from(_font_bytes(self.path), midi)
        sound, rendered_hz = soundfile.read(io.BytesIO(wave), dtype="float32", always_2d=True)
        return np.asarray(sound, np.float32), int(rendered_hz)


@lru_cache(maxsize=16)
def _font_bytes(path: Path) -> bytes:
    """Read a SoundFont once: a process renders thousands of pieces with the same few files."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError("this SoundFont cannot be read", path=path) from error


@lru_cache(maxsize=16)
def _presets(path: Path) -> dict[tuple[int, int], frozenset[int]]:
    return keys_of_presets(read_font(_font_bytes(path), path))
