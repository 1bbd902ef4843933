"""Make the example tune of the package: Beethoven's Ode to Joy with a bass, 16 bars.

python benchmarks/example_tune.py --out src/ottava/examples/ode_to_joy.mid
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ottava.io.files import atomic_write
from ottava.symbolic.score import Part, Score
from ottava.symbolic.write import write_score

LINE = [
    *("E4 E4 F4 G4", "G4 F4 E4 D4", "C4 C4 D4 E4", "E4:1.5 D4:0.5 D4:2"),
    *("E4 E4 F4 G4", "G4 F4 E4 D4", "C4 C4 D4 E4", "D4:1.5 C4:0.5 C4:2"),
    *("D4 D4 E4 C4", "D4 E4:0.5 F4:0.5 E4 C4", "D4 E4:0.5 F4:0.5 E4 D4", "C4 D4 G3:2"),
    *("E4 E4 F4 G4", "G4 F4 E4 D4", "C4 C4 D4 E4", "D4:1.5 C4:0.5 C4:2"),
]
BASS = "C3 G2 C3 G2 C3 G2 C3 C3 G2 C3 G2 G2 C3 G2 C3 C3"
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7}


def make_part(name: str, program: int, words: list[str], usual_q: float, velocity: int) -> Part:
    pitches, lengths = [], []
    for word in words:
        pitch, _, length = word.partition(":")
        pitches.append(SEMITONES[pitch[0]] + 12 * (int(pitch[1:]) + 1))
        lengths.append(float(length or usual_q))
    start = np.cumsum([0.0, *lengths[:-1]])
    n = len(pitches)
    return Part(
        name, program, False, start, np.array(lengths), np.array(pitches, np.int16), np.full(n, velocity, np.int16)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    melody = make_part("Melody", 73, " ".join(LINE).split(), 1.0, 88)
    bass = make_part("Bass", 32, BASS.split(), 4.0, 64)
    with atomic_write(out, force=True) as file:
        file.write(write_score(Score((melody, bass), ((0.0, 116.0),))))


if __name__ == "__main__":
    main()
