"""Measure time, memory and size of Ottava and basic-pitch: whole processes, same files, same threads, one run.

    python benchmarks/speed.py FILES --light-env .venv-light --env .venv-basic-pitch

Ottava runs from a fresh environment with the light install, made anew from this source tree. The two take turns,
after one run each to warm up. Long measurements (a sound of three hours) come with ``--long``. Writes every single
measurement to ``results/speed.csv``, with the load of the machine before it:

``wall``    seconds from starting the program to its end, for all files together; MIDI is written
``rtf``     the same as a share of the sound's length
``peak``    greatest resident memory of the process, MB (10^6 bytes)
``import``  ``import ottava`` in a running interpreter, ms
``help``    ``ottava --help``, whole process, s
``install`` disk blocks of everything in site-packages but pip, setuptools and wheel, compiled bytecode
            included, MB; of basic-pitch without the TensorFlow that it asks for
``long_*``  ``wall``, ``rtf`` and ``peak`` for the sound of ``--long`` hours
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ottava.io.files import atomic_write
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance
from peers import BasicPitch, installed_versions, make_environment

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
Command = Callable[[Path], list[str]]
"""From the folder to write into to the program with its arguments."""


def limit(threads: int) -> None:
    """Restrict this process and those it starts to a number of cores.

    Within them each program divides its threads as it does for its users: no ``OMP_NUM_THREADS`` and the like are set.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < threads:
        raise SystemExit(f"{threads} threads on {len(cores)} cores")
    os.sched_setaffinity(0, cores[:threads])
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ.pop(f"{name}_NUM_THREADS", None)
    if (os.cpu_count() or 0) > threads:
        # onnxruntime counts the machine's cores, and basic-pitch has no option to tell it otherwise.
        print(f"more than {threads} cores: basic-pitch starts more threads than they can run", file=sys.stderr)


def measure(command: Sequence[str | Path]) -> tuple[float, float]:
    """Run a program and return its wall time in seconds and its peak memory in MB."""
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        # Of this child alone. What the fork shared with us counts as well, so we stay smaller than any of them.
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{command[0]} failed:\n{log.read().decode(errors='replace')[-2000:]}")
    return wall_s, usage.ru_maxrss * 1024 / 1e6


def measure_files(command: Command, n_files: int) -> tuple[float, float]:
    """Run a transcriber into a fresh folder, and see that it wrote its files."""
    with tempfile.TemporaryDirectory() as out:
        found = measure(command(Path(out)))
        if (written := len(list(Path(out).glob("*.mid")))) != n_files:
            raise SystemExit(f"{command(Path(out))[0]} wrote {written} files for {n_files}")
    return found


def measure_import(python: Path) -> float:
    """Return how long ``import ottava`` takes in a fresh interpreter, in milliseconds."""
    code = "import time; t = time.perf_counter(); import ottava; print(time.perf_counter() - t)"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout) * 1e3


def measure_size(env: Path) -> float:
    """Return the size on disk of the packages in an environment, in MB."""
    (packages,) = env.glob("lib/python*/site-packages")
    house = ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack", "distutils-precedence")
    parts = [part for part in packages.iterdir() if part.name.split("-")[0].removesuffix(".pth") not in house]
    files = [file for part in parts for file in (part.rglob("*") if part.is_dir() else [part])]
    return sum(file.lstat().st_blocks * 512 for file in files) / 1e6


def probe(python: Path, sounds: Sequence[Path]) -> float:
    """Return the length of all sounds in seconds. Another process imports what it takes."""
    code = "import sys, soundfile; print(sum(soundfile.info(file).duration for file in sys.argv[1:]))"
    done = subprocess.run([python, "-c", code, *sounds], check=True, capture_output=True, text=True)
    return float(done.stdout)


def make_long(python: Path, sound: Path, target: Path, hours: float) -> None:
    """Write a sound over and over into one file, block by block."""
    code = """
import sys, soundfile
sound, target, hours = sys.argv[1], sys.argv[2], float(sys.argv[3])
info = soundfile.info(sound)
left = int(hours * 3600 * info.samplerate)
with soundfile.SoundFile(target, "w", info.samplerate, info.channels, "PCM_16") as out:
    while left:
        for block in soundfile.blocks(sound, 1 << 20, dtype="float32"):
            out.write(block[:left])
            left -= min(left, len(block))
"""
    subprocess.run([python, "-c", code, sound, target, str(hours)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="sounds")
    parser.add_argument("--light-env", type=Path, default=Path(".venv-light"), help="made anew for ottava")
    parser.add_argument("--keep-env", action="store_true", help="use the light environment as it is")
    parser.add_argument("--env", type=Path, default=Path(".venv-basic-pitch"), help="environment of basic-pitch")
    parser.add_argument("--weights", type=Path, help="ONNX file in place of the bundled one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--long", type=float, default=0, metavar="HOURS", help="also a sound this long; takes minutes")
    parser.add_argument("--out", type=Path, default=RESULTS / "speed.csv", help="table to write")
    options = parser.parse_args()
    limit(options.threads)
    peer = BasicPitch(options.env.absolute())
    peer.make()
    light = options.light_env.absolute()
    if not options.keep_env:
        make_environment(light, [str(ROOT)])
    python, ottava = light / "bin/python", light / "bin/ottava"
    weights = ["--weights", options.weights.absolute()] if options.weights else []
    ours = installed_versions(light, "ottava", "numpy", "onnxruntime", "soundfile", "soxr")
    about = {
        system: {**provenance(), "versions": versions}
        for system, versions in (("ottava", ours), (peer.name, peer.versions()))
    }
    rows: list[dict[str, Any]] = []

    def note(measure: str, system: str, value: float, unit: str, sound_s: float | str = "") -> None:
        load = round(os.getloadavg()[0], 2)
        row = {"measure": measure, "system": system, "value": f"{value:.6g}", "unit": unit}
        rows.append(row | {"sound_s": sound_s, "threads": options.threads, "load": load} | about[system])

    def note_run(prefix: str, system: str, run: tuple[float, float], sound_s: float) -> None:
        note(f"{prefix}wall", system, run[0], "s", sound_s)
        note(f"{prefix}rtf", system, run[0] / sound_s, "", sound_s)
        note(f"{prefix}peak", system, run[1], "MB", sound_s)
        print(f"{prefix}{system}: {run[0]:.2f} s, {run[1]:.0f} MB", flush=True)

    note("install", "ottava", measure_size(light), "MB")
    note("install", peer.name, measure_size(peer.env), "MB")
    with tempfile.TemporaryDirectory() as folder:
        sounds = [Path(folder) / f"{i:05}{file.suffix}" for i, file in enumerate(options.files)]
        for sound, file in zip(sounds, options.files, strict=True):
            sound.symlink_to(file.resolve(strict=True))
        sound_s = round(probe(python, sounds), 3)
        transcribe = [ottava, "transcribe", "--format", "mid", "--threads", str(options.threads), *weights]
        commands: dict[str, Command] = {
            "ottava": lambda out: [*map(str, transcribe), "--out", str(out), *map(str, sounds)],
            peer.name: lambda out: peer.command(sounds, out),
        }
        for repeat in range(-1, options.repeats):
            for system, command in commands.items():
                run = measure_files(command, len(sounds))
                if repeat >= 0:
                    note_run("", system, run, sound_s)
        for repeat in range(-1, max(options.repeats, 5)):
            import_ms, help_s = measure_import(python), measure([ottava, "--help"])[0]
            if repeat >= 0:
                note("import", "ottava", import_ms, "ms")
                note("help", "ottava", help_s, "s")
        if options.long:
            long = Path(folder) / "long.flac"
            make_long(python, sounds[0], long, options.long)
            run = measure_files(lambda out: [*map(str, transcribe), "--out", str(out), str(long)], 1)
            note_run("long_", "ottava", run, options.long * 3600)
    for key in dict.fromkeys((row["measure"], row["system"]) for row in rows):
        values = [float(row["value"]) for row in rows if (row["measure"], row["system"]) == key]
        print(f"{key[0]:10} {key[1]:12} median {statistics.median(values):9.4g}  ", end="")
        print(f"{min(values):.4g} to {max(values):.4g}, {len(values)} runs")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(options.out, force=True) as file:
        file.write(render_csv(rows).encode())
    print(options.out)


if __name__ == "__main__":
    main()
