"""Our own networks made smaller by information flow, and by what it has to be compared with.

    python benchmarks/claims/flow_prune.py structure --checkpoint RUN/last.ckpt [--data tunes=TUNES] [--steps 2000]

For each measure of worth and each share of the multiply-adds: validation right after pruning, and after training on,
as many steps for all, with the checkpoint's own loss and data and the rate given here. The network that was not pruned
is trained on likewise. A run is in ``results/claims_flow_prune.csv`` whole or not at all; what is there is not run
again.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer, seed_everything
from structure_arms import merge_row, read_rows

from ottava.systems.flow.train.command import Subject, open_subject, prune_subject
from ottava.training.provenance import provenance

MEASURES = ("none", "weighted-flow", "flow", "magnitude", "taylor", "activation", "random")
KEY = ("system", "by", "share", "steps", "seed")
RESULTS = Path(__file__).parents[1] / "results/claims_flow_prune.csv"


def tune(subject: Subject, steps: int, seed: int, rate: float) -> None:
    """Train on."""
    seed_everything(seed, verbose=False)
    subject.task.hparams.learning_rate = rate
    subject.task.train()
    trainer = Trainer(
        accelerator="cpu", max_steps=steps, gradient_clip_val=1.0, limit_val_batches=0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(subject.task, datamodule=subject.data)
    subject.task.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--by", action="append", choices=MEASURES)
    parser.add_argument("--share", action="append", type=float)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, help="folder for the weights of each run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for by in given.by or MEASURES:
        for share in [0.0] if by == "none" else given.share or [0.3]:
            key = (given.system, by, f"{share:g}", str(given.steps), str(given.seed))
            if key in {tuple(row[k] for k in KEY) for row in read_rows(given.out)}:
                continue
            subject = open_subject(given.system, given.checkpoint, given.data)
            row: dict[str, Any] = dict(zip(KEY, key, strict=True))
            if by != "none":
                pruned = prune_subject(subject, share, by, seed=given.seed)
                row |= {"saved": round(pruned.saved, 4), "multiply_adds": pruned.multiply_adds}
            row["parameters"] = sum(p.numel() for p in subject.task.network.parameters())
            row |= {f"pruned {name}": round(value, 5) for name, value in subject.validate().items()}
            began = time.perf_counter()
            if given.steps:
                tune(subject, given.steps, given.seed, given.rate)
                row |= {f"tuned {name}": round(value, 5) for name, value in subject.validate().items()}
            row["train_s"] = round(time.perf_counter() - began, 1)
            if given.weights:
                given.weights.mkdir(parents=True, exist_ok=True)
                subject.task.save_weights(given.weights / f"{given.system}_{by}_{share:g}.safetensors")
            merge_row(given.out, row | provenance(), KEY)
            print({k: v for k, v in row.items() if "valid" not in k or "free" in k or "loss" in k}, flush=True)


if __name__ == "__main__":
    main()
