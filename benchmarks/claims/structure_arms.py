"""Train the networks that the structure claims compare, and measure each.

    python benchmarks/claims/structure_arms.py --tunes TUNES [--seeds 3] [--steps 8000] [--only NAME]

All arms learn from the same beginnings of tunes in 4/4, in the same order, for the same number of steps, and start from
single-bar networks that were trained once for each seed. The paper's learning rates fall at its shares of the steps. A
run is in ``results/claims_structure.csv`` whole or not at all; what is there is not run again.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from structure_measures import (
    Coded,
    Symbols,
    attention_at_repeats,
    context_transfer,
    edits,
    interval,
    position_matched,
    ratio_interval,
    reconstruction,
    shuffle_bars,
    stored_at_repeats,
)
from torch import Tensor

from ottava.corpora.tunes import load_tunes
from ottava.io.files import atomic_write
from ottava.systems.structure.train.data import SHIPPED
from ottava.systems.structure.train.paper import BarVae, PaperVae, divergence, paper_loss
from ottava.systems.structure.train.paper_data import TRANSPOSITIONS, beginnings, to_paper
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance

RESULTS = Path(__file__).parents[1] / "results/claims_structure.csv"
BATCH = 16
KEY = ("arm", "seed", "steps")


@dataclass(frozen=True)
class Arm:
    """One network: masks of the encoder, of the codes, of the decoder, and whether the decoder sees bars before."""

    name: str
    masks: tuple[int, int, int] = (1, 1, 1)
    past: bool = True
    kl_weight: float = 1.0


ARMS = (
    Arm("m111"),
    Arm("m000", (0, 0, 0)),
    Arm("m121", (1, 2, 1)),
    Arm("m101", (1, 0, 1)),
    Arm("m111, no past", past=False),
    # Each bar by itself: what a VAE without a Transformer over bars has.
    Arm("bars alone", (2, 2, 2), past=False),
    *(Arm(f"m111, kl {k:g}", kl_weight=k) for k in (0.1, 0.3, 3.0)),
    *(Arm(f"bars alone, kl {k:g}", (2, 2, 2), past=False, kl_weight=k) for k in (0.1, 0.3, 3.0)),
)


class PaperCoder:
    """The paper's network as the measures see it."""

    def __init__(self, network: PaperVae) -> None:
        self.network = network.eval()

    @torch.no_grad()
    def encode(self, symbols: Symbols) -> Coded:
        given = torch.from_numpy(symbols)
        coded = self.network.encode(given)
        _, own = self.network.decode(coded.mean, given[:, :-1])
        attention = {f"encoder {k + 1}": w.numpy() for k, w in enumerate(coded.attention)}
        # The decoder's bar i holds the bar before it: looking at j there is looking at bar j - 1.
        for k, weights in enumerate(own):
            moved = torch.zeros_like(weights)
            moved[..., :-1] = weights[..., 1:]
            attention[f"decoder {k + 1}"] = moved.numpy()
        return Coded(coded.mean.numpy(), divergence(coded).sum(2).numpy(), attention)

    def write(self, codes: NDArray[np.float32], symbols: Symbols) -> Symbols:
        return self.network.write(torch.from_numpy(codes)).numpy()

    @torch.no_grad()
    def force(self, codes: NDArray[np.float32], symbols: Symbols) -> Symbols:
        logits, _ = self.network.decode(torch.from_numpy(codes), torch.from_numpy(symbols[:, :-1]))
        return logits.argmax(3).numpy()


def batches(tunes: NDArray[np.int16], steps: int, seed: int, single: bool) -> Iterator[Tensor]:
    """Yield batches in the same order for all arms of a seed."""
    rng = np.random.default_rng((seed, int(single)))
    for _ in range(steps):
        chosen = tunes[rng.integers(0, len(tunes), BATCH)]
        keys = rng.choice(TRANSPOSITIONS, BATCH)[:, None, None]
        symbols = to_paper(np.where(chosen >= 2, chosen + keys, chosen))
        yield torch.from_numpy(symbols.reshape(-1, 1, symbols.shape[2]) if single else symbols)


def fit(
    network: torch.nn.Module, tunes: NDArray[np.int16], steps: int, seed: int, kl_weight: float, rates: Any
) -> float:
    """Train, and return the seconds it took."""
    single = isinstance(network, BarVae)
    optimizer = torch.optim.Adam(network.parameters(), rates[0][1])
    began = time.perf_counter()
    torch.manual_seed(seed)
    for step, batch in enumerate(batches(tunes, steps, seed, single)):
        optimizer.param_groups[0]["lr"] = next(rate for share, rate in rates if step < share * steps)
        logits, coded = network(batch)
        loss = paper_loss(logits, batch, coded, kl_weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


# Shares of the steps are the paper's. The second stage's rates are higher than its 1e-4: there are far fewer steps.
RATES_BARS = ((12 / 18, 1e-3), (1.0, 1e-4))


def rates_tunes(highest: float) -> tuple[tuple[float, float], ...]:
    return (30 / 60, highest), (50 / 60, highest / 3), (1.0, highest / 30)


def judge(coder: PaperCoder, symbols: Symbols, seed: int) -> dict[str, Any]:
    """Return all measures of one network on tunes, and of its codes on tunes whose bars were shuffled."""
    coded = coder.encode(symbols)
    rng = np.random.default_rng(seed)
    row: dict[str, Any] = {f"{k}": float(v.mean()) for k, v in reconstruction(coder, symbols, coded).items()}
    row["gap"] = row["forced"] - row["free"]
    stored = stored_at_repeats(symbols, coded)
    row["repeat_ratio"] = position_matched(stored)
    row["repeat_ratio_low"], row["repeat_ratio_high"] = ratio_interval(stored, rng)
    for name, wanted in (("repeat", 1.0), ("new", 0.0)):
        row[f"nats_{name}"] = float(np.median([entry["nats"] for entry in stored if entry["repeat"] == wanted]))
    changed = edits(coder, symbols, coded, rng)
    for name in ("whole", "symbols", "elsewhere"):
        values = [entry[name] for entry in changed]
        row[f"follow_{name}"] = float(np.nanmean(values)) if changed else float("nan")
        row[f"follow_{name}_low"], row[f"follow_{name}_high"] = interval(values, rng)
    row["edited_tunes"] = len(changed)
    moved = context_transfer(coder, symbols, coded, rng)
    for name in ("to_form", "to_content", "first_bar"):
        row[f"transfer_{name}"] = float(np.mean([entry[name] for entry in moved]))
    for entry in attention_at_repeats(symbols, coded):
        key = f"{entry.pop('attention')}.{entry.pop('head') + 1}"
        row |= {f"{key} {name}": value for name, value in entry.items()}
    mixed, came_from = shuffle_bars(symbols, np.random.default_rng(99))
    of_mixed = coder.encode(mixed)
    # The same bars at the same places, among others: what they store there is no fault of theirs.
    apart = stored_at_repeats(symbols, Coded(coded.mean, np.take_along_axis(of_mixed.nats, came_from, 0), {}))
    row["shuffled_ratio"] = position_matched(apart)
    row["shuffled_ratio_low"], row["shuffled_ratio_high"] = ratio_interval(apart, rng)
    row |= {f"shuffled_{k}": float(v.mean()) for k, v in reconstruction(coder, mixed, of_mixed).items()}
    row["active"] = float(np.mean(coded.mean.var((0,)) > 0.01) * coded.mean.shape[2])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tunes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--bar-steps", type=int, default=15000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--only", action="append")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    items = [tune for source in SHIPPED for tune in load_tunes(given.tunes / f"{source}.npz")]
    train = beginnings([item for item in items if item.split == "train"])
    test = to_paper(beginnings([item for item in items if item.split != "train"]))
    done = {tuple(row[k] for k in KEY) for row in read_rows(given.out)}
    for seed in range(given.seeds):
        local: dict[str, Tensor] | None = None
        for arm in ARMS:
            if (arm.name, str(seed), str(given.steps)) in done or (given.only and arm.name not in given.only):
                continue
            if local is None:
                torch.manual_seed(seed)
                single = BarVae(given.width)
                fit(single, train, given.bar_steps, seed, 0.1, RATES_BARS)
                local = single.local.state_dict()
            torch.manual_seed(seed)
            network = PaperVae(arm.masks, arm.past, given.width)
            network.local.load_state_dict(local)
            seconds = fit(network, train, given.steps, seed, arm.kl_weight, rates_tunes(given.rate))
            row = {
                "arm": arm.name,
                "seed": seed,
                "steps": given.steps,
                "width": given.width,
                "parameters": sum(p.numel() for p in network.parameters()),
                "train_s": round(seconds, 1),
                "tunes": len(test),
            }
            row |= {
                k: round(v, 5) if isinstance(v, float) else v for k, v in judge(PaperCoder(network), test, 5).items()
            }
            merge_row(given.out, row | provenance())
            print(
                arm.name,
                seed,
                {k: row[k] for k in ("free", "gap", "nats", "repeat_ratio", "follow_whole", "train_s")},
                flush=True,
            )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table, none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def merge_row(path: Path, row: dict[str, Any], key: Sequence[str] = KEY) -> None:
    """Add a row to a table that several processes may write to; one of the same key is replaced."""
    with (Path(tempfile.gettempdir()) / f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = [old for old in read_rows(path) if any(old[k] != str(row[k]) for k in key)]
        text = render_csv([*others, row])
        with atomic_write(path, force=True) as file:
            file.write(text.encode())


if __name__ == "__main__":
    main()
