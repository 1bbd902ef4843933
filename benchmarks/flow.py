"""Measure how long the information of all pairs takes, and how much memory, beside one pair at a time.

    python benchmarks/flow.py

* 784 x 32 columns, 2000 samples: each estimator here, and scikit-learn (``mutual_info_regression``, nearest neighbours,
  one pair after the other, as in the paper) on ``--pairs`` of them, from which all are reckoned up.
* 16 thousand to 4 million links between two layers, and the whole flow map of a network of 2 million links: time and
  peak memory, each in a process of its own.

Writes ``results/flow_speed.csv`` and a picture of the second, ``docs/images/flow_speed.png``. Needs scikit-learn and
matplotlib.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ottava.io.files import atomic_write
from ottava.systems.flow.estimators import ESTIMATORS
from ottava.systems.flow.information import pairwise_information
from ottava.systems.flow.measure import information_flow
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results/flow_speed.csv"
PICTURE = ROOT / "docs/images/flow_speed.png"
SAMPLES, INPUTS, UNITS = 2000, 784, 32
SIDES = (128, 256, 512, 1000, 2000)


def layer(columns: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return columns of which a third are rectified."""
    values = np.random.default_rng(seed).normal(size=(SAMPLES, columns)).astype(np.float32)
    values[:, ::3] = np.maximum(values[:, ::3], 0)
    return values


def pairs(repeat: int, looped: int) -> list[dict[str, Any]]:
    """Time all pairs of 784 x 32 columns."""
    x, y = layer(INPUTS), layer(UNITS, 1)
    rows = []
    for name in ("binned", "gaussian-copula", "ksg"):
        if name == "ksg":  # 40 ms a pair too, several pairs at a time: a part is enough
            seconds = [_time(name, x[:, :32], y) * INPUTS / 32]
        else:
            seconds = [_time(name, x, y) for _ in range(repeat)]
        row = {"what": "784 x 32", "method": name, "links": INPUTS * UNITS, "seconds": round(median(seconds), 4)}
        rows.append(row | ({"measured_pairs": 32 * UNITS} if name == "ksg" else {}))
    from sklearn.feature_selection import mutual_info_regression

    rng = np.random.default_rng(2)
    began = time.perf_counter()
    for i, j in zip(rng.integers(0, INPUTS, looped), rng.integers(0, UNITS, looped), strict=True):
        mutual_info_regression(x[:, [i]], y[:, j], n_neighbors=5, random_state=0)
    each = (time.perf_counter() - began) / looped
    rows.append(
        {
            "what": "784 x 32",
            "method": "scikit-learn, one pair at a time",
            "links": INPUTS * UNITS,
            "seconds": round(each * INPUTS * UNITS, 1),
            "measured_pairs": looped,
        }
    )
    for row in rows:
        row["times"] = round(each * INPUTS * UNITS / row["seconds"], 1)
    return rows


def _time(name: str, x: Any, y: Any) -> float:
    began = time.perf_counter()
    pairwise_information(x, y, estimator=name)
    return time.perf_counter() - began


def grow() -> list[dict[str, Any]]:
    """Time layers of growing width, and a network, each in a process of its own."""
    rows = []
    for name in ("binned", "gaussian-copula"):
        for what, side in (*(("two layers", side) for side in SIDES), ("network", 1000)):
            done = subprocess.run(
                [sys.executable, __file__, "--one", name, str(side), what], capture_output=True, text=True, check=True
            )
            seconds, megabytes = map(float, done.stdout.split())
            rows.append(
                {
                    "what": what,
                    "method": name,
                    "links": side * side * (1 + (what == "network")),
                    "seconds": round(seconds, 3),
                    "peak_mb": round(megabytes),
                }
            )
            print(rows[-1], flush=True)
    return rows


def one(name: str, side: int, what: str) -> None:
    """Print the seconds for two layers, or a network of three, and the process's peak memory in MB."""
    x = layer(side)
    if what == "network":
        from torch import manual_seed, nn

        manual_seed(0)
        network = nn.Sequential(nn.Linear(side, side), nn.ReLU(), nn.Linear(side, side))
        began = time.perf_counter()
        information_flow(network, x, estimator=name)
        seconds = time.perf_counter() - began
    else:
        seconds = _time(name, x, layer(side, 1))
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def draw(rows: list[dict[str, str]]) -> None:
    """Draw time and memory over links."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name in ("binned", "gaussian-copula"):
        chosen = [row for row in rows if row["what"] == "two layers" and row["method"] == name]
        links = [int(row["links"]) for row in chosen]
        axes[0].plot(links, [float(row["seconds"]) for row in chosen], "o-", label=name)
        axes[1].plot(links, [float(row["peak_mb"]) for row in chosen], "o-", label=name)
    for axis, title in zip(axes, ("seconds", "peak memory, MB"), strict=True):
        axis.set(xscale="log", xlabel="links", title=title, ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].set(yscale="log", ylim=(0.05, None))
    axes[0].legend(frameon=False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--one", nargs=3, metavar=("ESTIMATOR", "SIDE", "WHAT"), help=argparse.SUPPRESS)
    parser.add_argument("--draw", action="store_true", help="only draw what is in the table")
    given = parser.parse_args()
    if given.one:
        assert given.one[0] in ESTIMATORS
        one(given.one[0], int(given.one[1]), given.one[2])
        return
    if not given.draw:
        load = os.getloadavg()[0]
        rows = [*pairs(given.repeat, given.pairs), *grow()]
        columns = ("what", "method", "links", "seconds", "times", "measured_pairs", "peak_mb")
        where = provenance()
        table = [{k: row.get(k, "") for k in columns} | {"load": round(load, 2)} | where for row in rows]
        with atomic_write(RESULTS, force=True) as file:
            file.write(render_csv(table).encode())
    with RESULTS.open(newline="") as file:
        draw(list(csv.DictReader(file)))


if __name__ == "__main__":
    main()
