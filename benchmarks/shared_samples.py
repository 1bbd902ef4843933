"""Do SoundFonts share recordings? What a network is judged by must not be among what it learned from.

    python benchmarks/shared_samples.py TimGM6mb.sf2 --in FluidR3_GM.sf2 GeneralUser-v1.47.sf2

Of every sample of the first SoundFont a window around its attack is looked for at every place of all samples of the
others, by normalised correlation, so that cuts, gains and signs do not hide a copy; resampling does. Short windows of
plain waveforms correlate highly without being copies: a pair is listed from 0.98 on, and has to be looked at. Writes
the pairs to ``results/shared_samples.csv``, in which those of other SoundFonts stay.
"""

from __future__ import annotations

import argparse
import csv
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.errors import InputError, OttavaError
from ottava.io.files import atomic_write
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance

RESULTS = Path(__file__).parent / "results"
WINDOW, BLOCK = 512, 1 << 18
SHORTEST = 600  # values of a sample that is looked at
LISTED = 0.98


@dataclass(frozen=True)
class Sample:
    """A recording in a SoundFont."""

    name: str
    values: NDArray[np.float32]


def read_samples(path: Path) -> list[Sample]:
    """Return the samples of a SoundFont."""
    data = path.read_bytes()
    pcm, headers = (_chunk(data, name, path) for name in (b"smpl", b"shdr"))
    values = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2")
    samples = []
    for at in range(0, len(headers) - 46, 46):  # the last one marks the end
        name = headers[at : at + 20].split(b"\0")[0].decode("latin-1").strip()
        begin, end = struct.unpack_from("<2I", headers, at + 20)
        if end - begin > SHORTEST:
            samples.append(Sample(name, values[begin:end].astype(np.float32)))
    return samples


def _chunk(data: bytes, name: bytes, path: Path) -> bytes:
    at = data.find(name)
    if data[8:12] != b"sfbk" or at < 0:
        raise InputError("this is not a SoundFont", path=path, expected=f"RIFF sfbk with {name.decode()}")
    (size,) = struct.unpack_from("<I", data, at + 4)
    return data[at + 8 : at + 8 + size]


class Haystack:
    """All samples of a SoundFont one after the other, as spectra of overlapping blocks."""

    def __init__(self, samples: list[Sample]) -> None:
        self.names = [sample.name for sample in samples]
        gap = np.zeros(WINDOW, np.float32)
        joined = np.concatenate([part for s in samples for part in (s.values / (np.abs(s.values).max() + 1e-9), gap)])
        self.begins = np.cumsum([0, *(len(s.values) + WINDOW for s in samples[:-1])])
        self.blocks = list(self._blocks(joined))

    @staticmethod
    def _blocks(joined: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.complex64], NDArray[np.float32]]]:
        for first in range(0, len(joined), BLOCK - WINDOW):
            block = joined[first : first + BLOCK]
            block = np.pad(block, (0, BLOCK - len(block)))
            total = np.concatenate([[0], np.cumsum(block.astype(np.float64) ** 2)])
            power = np.maximum(total[WINDOW:] - total[:-WINDOW], 1e-3)  # silence correlates with nothing
            yield np.fft.rfft(block).astype(np.complex64), np.sqrt(power).astype(np.float32)

    def find(self, window: NDArray[np.float32]) -> tuple[float, str]:
        """Return the highest correlation of a window with any place, and whose it is."""
        window = window - window.mean()
        needle = np.conj(np.fft.rfft(window / (np.linalg.norm(window) + 1e-9), BLOCK)).astype(np.complex64)
        best, place = 0.0, 0
        for i, (spectrum, norm) in enumerate(self.blocks):
            correlation = np.abs(np.fft.irfft(spectrum * needle, BLOCK)[: len(norm)]) / norm
            at = int(correlation.argmax())
            if correlation[at] > best:
                best, place = float(correlation[at]), i * (BLOCK - WINDOW) + at
        return best, self.names[int(np.searchsorted(self.begins, place, side="right")) - 1]


def attack(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a window around the loudest moment of a sample's beginning."""
    power = np.convolve(np.square(values[:8000]), np.ones(64), "same")
    first = max(min(int(power.argmax()) - 64, len(values) - WINDOW), 0)
    return values[first : first + WINDOW]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("font", type=Path, help="the SoundFont to judge by")
    parser.add_argument("--in", type=Path, nargs="+", required=True, dest="others", help="those to learn from")
    parser.add_argument("--out", type=Path, default=RESULTS / "shared_samples.csv")
    options = parser.parse_args()
    samples = read_samples(options.font)
    rows = read_csv(options.out)
    for other in options.others:
        haystack = Haystack(read_samples(other))
        found = [(*haystack.find(attack(sample.values)), sample.name) for sample in samples]
        listed = sorted((row for row in found if row[0] >= LISTED), reverse=True)
        pair = {"font": options.font.name, "other": other.name}
        rows = [row for row in rows if {"font": row["font"], "other": row["other"]} != pair]
        for correlation, there, here in listed:
            rows.append(pair | {"sample": here, "like": there, "correlation": f"{correlation:.4f}"} | provenance())
        print(f"{other.name}: {len(listed)} of {len(samples)} samples at {LISTED} or more", flush=True)
        if rows:
            with atomic_write(options.out, force=True) as file:
                file.write(render_csv(rows).encode())


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Return the rows of an earlier run, none if there was none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    try:
        main()
    except OttavaError as error:
        raise SystemExit(str(error)) from error
