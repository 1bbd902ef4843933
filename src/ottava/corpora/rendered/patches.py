"""Instruments made of GUS patches, listed in a configuration of TiMidity++ and played by its program."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ottava.corpora.rendered.fonts import MidiInstruments
from ottava.corpora.rendered.performance import DRUMS
from ottava.errors import InputError, MissingError

__all__ = ["PatchSet"]

_LINE = re.compile(r"^\s*(\d+)\s+(?!%)(\S+)")
_SECTION = re.compile(r"^\s*(bank|drumset)\s+(\d+)")


@dataclass(frozen=True)
class PatchSet(MidiInstruments):
    """A set of GUS patches, played by ``timidity``.

    What the configuration lacks is not played at all, though the program would take it from its own settings:
    :meth:`keys` tells.

    Parameters
    ----------
    path : pathlib.Path
        A ``.cfg`` file that names patches in its banks and drum sets.
    without : frozenset of int
        Programs that are taken for missing, as in :class:`.fonts.SoundFont`.
    """

    path: Path
    without: frozenset[int] = frozenset()

    def keys(self, program: int) -> frozenset[int]:
        """Return all keys for a program of bank 0 that is there, and the listed keys for a drum set."""
        if program in self.without:
            return frozenset()
        listed = _listed(self.path)
        if program >= 0:
            return frozenset(range(128)) if program in listed.get(("bank", 0), ()) else frozenset()
        return listed.get(("drumset", DRUMS - program), frozenset())

    def _render(self, midi: bytes) -> tuple[NDArray[np.float32], int]:
        _listed(self.path)
        with tempfile.TemporaryDirectory() as folder:
            score, wave = Path(folder) / "score.mid", Path(folder) / "sound.wav"
            score.write_bytes(midi)
            # Without --preserve-silence the sound begins with the first note, whenever that is.
            command = ["timidity", "-c", str(self.path.resolve()), "-Ow", "-o", str(wave), "-s", "32000"]
            command += ["--preserve-silence", "-EFreverb=0", "-EFchorus=0", str(score)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError as error:
                raise MissingError(
                    "playing patches needs the program timidity", path=self.path, expected="apt install timidity"
                ) from error
            if done.returncode or not wave.exists():
                raise InputError(
                    "timidity does not play this configuration",
                    path=self.path,
                    found=(done.stderr.strip().splitlines() or ["no sound"])[0],
                )
            sound, rate_hz = soundfile.read(wave, dtype="float32", always_2d=True)
        return np.asarray(sound, np.float32), int(rate_hz)


@lru_cache(maxsize=8)
def _listed(path: Path) -> dict[tuple[str, int], frozenset[int]]:
    """Return the programs of each bank and the keys of each drum set."""
    listed: dict[tuple[str, int], set[int]] = {}
    section = ("bank", 0)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError("this configuration of TiMidity cannot be read", path=path) from error
    for line in text.splitlines():
        if match := _SECTION.match(line):
            section = (match[1], int(match[2]))
        elif match := _LINE.match(line):
            listed.setdefault(section, set()).add(int(match[1]))
    if not listed.get(("bank", 0)):
        raise InputError("this configuration of TiMidity has no patches", path=path, expected="lines such as: 0 p.pat")
    return {name: frozenset(numbers) for name, numbers in listed.items()}
