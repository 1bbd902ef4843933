"""What the parts of the shipped structure network are good for: each left out, at the same budget.

    python benchmarks/claims/structure_ablations.py --tunes TUNES [--seeds 2] [--steps 1500] [--only NAME]

All arms learn from the same batches with the same settings but for the one that their name tells, and are measured on
the test split, the first 64 bars of each tune, changed once. A run is in ``results/claims_structure_ablations.csv``
whole or not at all; what is there is not run again, so that several of these may share the work (``--only``).
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from structure_arms import KEY, merge_row, read_rows

from ottava.corpora.tunes import load_tunes
from ottava.systems.structure.train.data import SHIPPED, StructureData, TuneWindows
from ottava.systems.structure.train.evaluate import MOST_BARS
from ottava.systems.structure.train.measure import measure
from ottava.systems.structure.train.task import StructureTask
from ottava.training.provenance import provenance

RESULTS = Path(__file__).parents[1] / "results/claims_structure_ablations.csv"
MEASURES = (
    "free",
    "forced",
    "stored",
    "follow_exact",
    "follow_transposed",
    "follow_varied",
    "follow_symbols",
    "collateral",
)


@dataclass(frozen=True)
class Arm:
    """Settings of the task that differ, and what it learns from."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = SHIPPED


ARMS = (
    Arm("as shipped"),
    Arm("rhythm and pitch codes apart", {"apart": True}),
    Arm("no pointing", {"pointing": False}),
    Arm("encoder not told likeness", {"likeness": False}),
    Arm("no changed windows", {"change": 0.0}),
    Arm("not shown what to take", {"teach": 0.0}),
    Arm("POP909 alone", {}, ("pop909",)),
    Arm("POP909 alone, chords told", {"chords": True}, ("pop909",)),
)


def fit(arm: Arm, tunes: Path, steps: int, seed: int) -> tuple[StructureTask, float]:
    """Train one arm, and return the seconds it took."""
    L.seed_everything(seed)
    task = StructureTask(beta=0.08, decay_share=0.6, **arm.settings)
    data = StructureData(str(tunes), list(arm.sources), made_share=0.6, workers=0, seed=seed)
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    began = time.perf_counter()
    trainer.fit(task, data)
    return task.eval(), time.perf_counter() - began


@torch.no_grad()
def judge(task: StructureTask, path: Path) -> dict[str, float]:
    """Return the means of all measures over the test tunes of one source."""
    tunes = [tune for tune in load_tunes(path) if tune.split == "test"]
    windows = TuneWindows(tunes, 8 * MOST_BARS, (MOST_BARS,), seed=1, vary=False)
    found: dict[str, list[tuple[float, int]]] = {}
    for i in range(-(-len(windows.tunes) // 8)):
        batch = windows[i]
        encode, decode = (partial(f, chords=batch["chords"]) for f in (task._encode, task._decode))
        for name, value in measure(encode, decode, {k: v.numpy() for k, v in batch.items()}).items():
            found.setdefault(name, []).append(value)
    means = {}
    for name, values in found.items():
        total = sum(count for _, count in values)
        means[name] = sum(value * count for value, count in values) / total if total else np.nan
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tunes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--only", action="append")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for seed in range(given.seeds):
        for arm in ARMS:
            if given.only and arm.name not in given.only:
                continue
            if (arm.name, str(seed), str(given.steps)) in {tuple(row[k] for k in KEY) for row in read_rows(given.out)}:
                continue
            task, seconds = fit(arm, given.tunes, given.steps, seed)
            row: dict[str, Any] = {"arm": arm.name, "seed": seed, "steps": given.steps, "train_s": round(seconds, 1)}
            row["parameters"] = sum(p.numel() for p in task.network.parameters())
            for source in ("openewld", "pop909"):
                means = judge(task, given.tunes / f"{source}.npz")
                row |= {f"{source}_{name}": round(means[name], 5) for name in MEASURES}
            merge_row(given.out, row | provenance())
            print(
                {k: v for k, v in row.items() if k in ("arm", "seed", "pop909_free", "pop909_follow_varied")},
                flush=True,
            )


if __name__ == "__main__":
    main()
