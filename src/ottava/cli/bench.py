"""``ottava bench``: how fast, and in how much memory."""

from __future__ import annotations

import csv
import io
import os
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import ottava
from ottava.errors import UsageError

__all__ = ["bench"]


def bench(
    *inputs: Annotated[
        str, Parameter(help="Files, folders and patterns; the sound that comes with Ottava when not given.")
    ],
    verb: str = "transcribe",
    threads: int | None = None,
    repeat: int = 3,
    csv: Path | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Measure speed and memory of a verb on files.

    Each file is measured in a process of its own, after one run to warm up. Printed are the best time, its
    share of the sound's length (real-time factor), and the greatest memory of the whole process.

    Parameters
    ----------
    *inputs : str
        Files, folders and patterns; the sound that comes with Ottava when not given.
    verb : str
        What to measure.
    threads : int
        Threads of the network.
    repeat : int
        Runs on each file.
    csv : path
        Table to write, with machine and versions.
    force : bool
        Overwrite the table.
    """
    from rich.console import Console
    from rich.table import Table

    from ottava.cli.batch import find_files
    from ottava.cli.verbs import find_verb
    from ottava.io.files import atomic_write, check_output
    from ottava.runtime.session import default_threads

    if repeat < 1:
        raise UsageError(f"--repeat is {repeat}", expected="1 or more")
    if csv is not None:
        check_output(csv, force=force)
    found = find_verb(verb)
    threads = threads or default_threads()
    if not inputs:
        from ottava.runtime.examples import find_example

        inputs = (str(find_example(found.accepts[0])),)
    rows = []
    for path in find_files(inputs, found.accepts):
        # A new process each: the greatest memory of a process only ever grows.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            rows.append(pool.submit(_measure, found.function, str(path), threads, repeat).result())
    table = Table("file", "sound", "time", "real-time factor", "memory")
    for row in rows:
        table.add_row(
            Path(row["file"]).name,
            f"{row['duration_s']:.1f} s",
            f"{row['elapsed_s']:.2f} s",
            f"{row['real_time_factor']:.4f}",
            f"{row['peak_mb']:.0f} MB",
        )
    Console().print(table)
    if csv is not None:
        with atomic_write(csv, force=force) as file:
            file.write(_render(rows, verb, threads).encode())
    return 0


def _measure(function: str, path: str, threads: int, repeat: int) -> dict[str, Any]:
    from ottava.spec import resolve

    run = resolve(function)
    run(path, threads=threads)
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        result = run(path, threads=threads)
        times.append(time.perf_counter() - begin)
    factor = min(times) / result.duration_s if result.duration_s else float("nan")
    return {
        "file": path,
        "duration_s": round(result.duration_s, 3),
        "elapsed_s": round(min(times), 4),
        "real_time_factor": round(factor, 5),
        "peak_mb": round(peak_mb(), 1),
    }


def peak_mb() -> float:
    """Return this process's greatest resident memory in megabytes (10^6 bytes); NaN where nobody counts."""
    try:
        # Of this program alone; `getrusage` also remembers the process it was forked from.
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) * 1024 / 1e6
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _render(rows: list[dict[str, Any]], verb: str, threads: int) -> str:
    import numpy
    import onnxruntime

    about = {
        "verb": verb,
        "threads": threads,
        "cores": os.cpu_count(),
        "machine": platform.platform(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "onnxruntime": onnxruntime.__version__,
        "ottava": ottava.__version__,
    }
    text = io.StringIO()
    writer = csv.DictWriter(text, [*(rows[0] if rows else ()), *about], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | about for row in rows)
    return text.getvalue()
