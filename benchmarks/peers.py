"""Other transcribers to measure against, each in an environment of its own and run as a process.

    python benchmarks/peers.py --env ENV song.wav ... -o NOTES

makes the environment unless it is there, and writes one table of notes (.tsv) for each file.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ottava.results import Notes


def make_environment(folder: Path, *installs: Sequence[str]) -> None:
    """Make a fresh virtual environment and run ``pip install`` in it, once for each list of arguments."""
    print(f"making {folder}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    for arguments in installs:
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *arguments], check=True, stdout=sys.stderr)


def installed_versions(folder: Path, *names: str) -> str:
    """Return ``name=version`` of packages in an environment and of its Python, with spaces between."""
    code = (
        "from importlib.metadata import version; import platform;"
        f"print(*(f'{{n}}={{version(n)}}' for n in {names}), f'python={{platform.python_version()}}')"
    )
    command = [str(folder / "bin/python"), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class BasicPitch:
    """basic-pitch 0.4.0 at its default parameters.

    It asks for a TensorFlow that bars NumPy 2 and Python 3.12. Its wheel carries the same network as ONNX,
    which is what runs here; what else it needs is named below.
    """

    env: Path
    name = "basic-pitch"

    _NEEDS = (
        "onnxruntime", "librosa", "pretty_midi", "mir_eval", "scikit-learn",
        "resampy==0.4.2",  # the newest that basic-pitch allows...
        "setuptools<81",  # ...which imports pkg_resources
    )  # fmt: skip

    def make(self) -> None:
        """Make the environment, unless it is there."""
        # basic-pitch itself comes last: its program stands for a complete environment.
        if not (self.env / "bin/basic-pitch").exists():
            make_environment(self.env, self._NEEDS, ["--no-deps", "basic-pitch==0.4.0"])

    def versions(self) -> str:
        """Return the versions that its numbers depend on."""
        return installed_versions(self.env, "basic-pitch", "numpy", "onnxruntime", "librosa")

    def command(self, files: Sequence[Path], out: Path) -> list[str]:
        """Return the command that writes ``STEM_basic_pitch.mid`` for each file into a folder that exists."""
        program = str(self.env / "bin/basic-pitch")
        return [program, "--model-serialization", "onnx", str(out), *map(str, files)]

    def transcribe(self, files: Sequence[Path]) -> list[Notes]:
        """Return the notes of each file. It knows no instruments: all are called keys."""
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            # Its outputs are named by stem alone, which two files may share.
            links = [work / f"{i:05}{file.suffix}" for i, file in enumerate(files)]
            for link, file in zip(links, files, strict=True):
                link.symlink_to(file.resolve())
            program, *arguments = self.command(links, work)
            done = subprocess.run(
                [program, "--save-note-events", *arguments], capture_output=True, text=True, check=False
            )
            tables = [work / f"{link.stem}_basic_pitch.csv" for link in links]
            # It exits with 0 when it fails.
            if missing := [file for file, table in zip(files, tables, strict=True) if not table.exists()]:
                said = (done.stdout + done.stderr)[-2000:]
                raise SystemExit(f"{self.name} failed on {missing[0]}:\n{said}")
            return [_read(table) for table in tables]


def _read(table: Path) -> Notes:
    with table.open(newline="") as file:
        rows = [[float(cell) for cell in row[:4]] for row in list(csv.reader(file))[1:]]
    start, end, pitch, velocity = zip(*rows, strict=True) if rows else ((), (), (), ())
    velocity = tuple(min(max(v, 1), 127) for v in velocity)
    confidence = [v / 127 for v in velocity]
    return Notes(start, end, pitch, velocity, confidence, ["keys"] * len(rows)).sorted()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="sound; none: only make the environment")
    parser.add_argument("--env", type=Path, default=Path(".venv-basic-pitch"), help="folder of the environment")
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="folder for the tables of notes")
    options = parser.parse_args()
    peer = BasicPitch(options.env)
    peer.make()
    print(peer.versions())
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.files:
        return
    for file, notes in zip(options.files, peer.transcribe(options.files), strict=True):
        target = options.out / f"{file.stem}.tsv"
        with target.open("w", newline="") as table:
            writer = csv.writer(table, delimiter="\t", lineterminator="\n")
            writer.writerow(("onset_s", "offset_s", "pitch_midi", "velocity"))
            for row in notes.rows():
                writer.writerow((f"{row['start_s']:.6f}", f"{row['end_s']:.6f}", row["pitch_midi"], row["velocity"]))
        print(f"{target}: {len(notes)} notes")


if __name__ == "__main__":
    main()
