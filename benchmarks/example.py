"""Make the example sound of the package: Brahms's Wiegenlied for clarinet, piano and double bass.

    python benchmarks/example.py --score lc5701612.mxl --soundfont FluidR3_GM.sf2 --piano FOLDER... --out wiegenlied.ogg

The score is from OpenScore Lieder (CC0) and in the test split of the rendered corpus, so no model has learned from it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from ottava.corpora.rendered.arrangement import split_by_register
from ottava.corpora.rendered.fonts import SoundFont
from ottava.corpora.rendered.performance import humanise, press_pedal
from ottava.corpora.rendered.recording import add_room
from ottava.corpora.rendered.synthesis import SampledInstrument
from ottava.symbolic.score import read_score

RATE_HZ = 32000
LENGTH_S = 34.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--score", type=Path, required=True)
    parser.add_argument("--soundfont", type=Path, required=True)
    parser.add_argument("--piano", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()

    rng = np.random.default_rng(5)
    voice, piano = humanise(list(read_score(given.score).parts)[:2], rng, bpm=84)
    voice, piano = (part.window(0, LENGTH_S) for part in (voice, piano))
    bass = split_by_register(piano)[0]
    bass = replace(bass, pitch_midi=bass.pitch_midi - np.where(bass.pitch_midi >= 40, 12, 0), program=32)
    clarinet = replace(voice, velocity=np.clip(voice.velocity + 15, 1, 120), program=71)
    players = SoundFont(given.soundfont).play([clarinet, bass], rate_hz=RATE_HZ, volumes=[110, 90])
    keys = SampledInstrument(given.piano, rate_hz=RATE_HZ).play(press_pedal(piano, rng, period_s=1.4), rng)
    mix = np.zeros(int((LENGTH_S + 1.5) * RATE_HZ), np.float32)
    for sound, level in ((players, 1.0), (keys, 0.8)):
        sound = sound[: len(mix)]
        mix[: len(sound)] += level * sound / np.sqrt(np.mean(sound**2))
    mix = add_room(mix, rng, rate_hz=RATE_HZ)
    mix[-RATE_HZ:] *= np.linspace(1, 0, RATE_HZ, dtype=np.float32)
    mix *= 0.8 / np.abs(mix).max()
    with soundfile.SoundFile(given.out, "w", RATE_HZ, 1, "VORBIS", format="OGG", compression_level=0.6) as file:
        for i in range(0, len(mix), 1 << 15):
            file.write(mix[i : i + (1 << 15)])


if __name__ == "__main__":
    main()
