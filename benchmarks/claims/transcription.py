"""Does a pre-stacked U-Net help? Every arm at the same number of steps, on the same clips, for several seeds.

    python benchmarks/claims/transcription.py --data rendered --seeds 0 1 2
    python benchmarks/claims/transcription.py --data rendered --arms 'resnet/*' --seeds 0

``--data`` is a corpus as ``ottava data make`` writes it: folders ``train``, ``validation`` and ``test``,
split by piece. Thresholds are chosen on ``validation``, scores are of ``test``. An arm and seed whose rows are in
the table already are skipped, so the script can be stopped at any time and started again.
``transcription_table.py`` turns the table into ``docs/claims.md``, and ``transcription_picture.py`` draws what one
U-Net makes of the first seconds of a test item, which is kept beside the table.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import io
import math
import multiprocessing
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transcription_arms import BINS, NOTES, Arm, Stack, arms
from transcription_shards import FEATURES, load_clips, write_made
from transcription_table import read_rows, write_rows

from ottava.io.files import atomic_write
from ottava.metrics.transcription import average_precision, evaluate
from ottava.results import FAMILIES, Notes
from ottava.systems.transcription.train.budget import count_multiply_adds, count_parameters
from ottava.systems.transcription.train.paper import Linear, PreStack, transcription_loss
from ottava.systems.transcription.train.paper_data import Clip, Crops
from ottava.systems.transcription.train.paper_decode import frame_notes
from ottava.training.provenance import provenance

FRAMES = 128
"""Labelled frames of a training clip, 3 s. Each network gets its own context around them."""
BATCH = 2
"""Clips in a batch. At equal work 900 steps of two learn far more than 300 of six: shallow/C scores 0.45 for 0.15."""

LEARNING_RATE, WARM_UP, CLIP = 2e-3, 20, 3.0
THRESHOLDS = np.arange(0.05, 0.96, 0.05)
HARMONICS = {2: 36, 3: 57}
"""Bins from a fundamental to its harmonics."""
PICTURED, PICTURED_FRAMES = "shallow/U+C plain", 250
"""The arm whose first seed is drawn, and for how long (6 s)."""


Batches = Iterable[tuple[Tensor, Tensor]]
Splits = tuple[list[Clip], list[Clip], list[Clip]]


def batches(clips: list[Clip], context: int, size: int, steps: int, seed: int) -> Batches:
    """Yield features and labels; the labelled frames depend on the seed alone, not on the network."""
    crops = Crops(clips, FRAMES + context - 1, 0, 3, seed)
    margin = context // 2
    for step in range(steps):
        items = [crops[step * size + i] for i in range(size)]
        labels = torch.stack([item["labels"] for item in items])[..., margin : margin + FRAMES]
        yield torch.stack([item["features"] for item in items]), labels


def fit(net: nn.Module, context: int, loss: Any, data: Batches, steps: int) -> None:
    """Minimise ``loss(X, labels)``: Adam, a short rise of the learning rate, then half a cosine down to zero."""
    net.train()
    free = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(free, LEARNING_RATE)

    def factor(step: int) -> float:
        return min((step + 1) / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * step / steps))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for X, labels in data:
        optimizer.zero_grad()
        value = loss(X, labels)
        if not torch.isfinite(value):
            raise SystemExit(f"the loss is {value.item()}")
        value.backward()
        nn.utils.clip_grad_norm_(free, CLIP)
        optimizer.step()
        schedule.step()


def train(arm: Arm, stack: Stack, clips: list[Clip], seed: int, steps: int) -> None:
    """Train an arm."""

    def drawn() -> Batches:
        return batches(clips, stack.context, BATCH, steps, seed)

    def distance(Z: Tensor, X: Tensor) -> Tensor:
        margin = (X.shape[-1] - Z.shape[-1]) // 2
        return nn.functional.mse_loss(Z, X[..., margin : X.shape[-1] - margin])

    def bce(X: Tensor, labels: Tensor) -> Tensor:
        if arm.schedule == "frozen":
            stack.transforms.eval()  # the statistics of its normalisation stay, too
        return transcription_loss(stack.valid(X), labels if arm.families else labels.amax(1))

    def bce_and_distance(X: Tensor, labels: Tensor) -> Tensor:
        Z = stack.transforms(X)
        return transcription_loss(stack.transcriber(Z), labels.amax(1)) + distance(Z, X)

    if arm.schedule == "frozen":  # as many steps again: the autoencoder's are not C's
        fit(stack.transforms, stack.context, lambda X, _: distance(stack.transforms(X), X), drawn(), steps)
        stack.transforms.requires_grad_(False)
    fit(stack, stack.context, bce_and_distance if arm.schedule == "reconstruction" else bce, drawn(), steps)


@torch.no_grad()
def posterior(stack: Stack, clip: Clip, families: bool) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return truth and posterior of a recording, shape (families or 1, notes, frames)."""
    X, labels = clip.cut(0, clip.levels.shape[1])
    found = torch.sigmoid(stack(torch.from_numpy(X)[None]))[0].numpy()
    return (labels, found) if families else (labels.any(0, keepdims=True), found[None])


def best_threshold(scored: list[tuple[NDArray[np.bool_], NDArray[np.float32]]]) -> float:
    """Return the threshold of the best frame F over recordings together."""

    def f(threshold: float) -> float:
        right = sum(int((t & (p >= threshold)).sum()) for t, p in scored)
        both = sum(int(t.sum() + (p >= threshold).sum()) for t, p in scored)
        return 2 * right / max(both, 1)

    return float(max(THRESHOLDS, key=f))


def score(stack: Stack, arm: Arm, valid: list[Clip], test: list[Clip]) -> list[dict[str, Any]]:
    """Return one row for each test item, and the one of all together."""
    stack.eval()
    threshold = best_threshold([posterior(stack, clip, arm.families) for clip in valid])
    rows, scored = [], []
    for clip in test:
        truth, found = posterior(stack, clip, arm.families)
        scored.append((truth, found))
        names = FAMILIES if arm.families else ("keys",)
        parts = [
            frame_notes(p.T, clip.frame_s, threshold=threshold, instrument=name)
            for name, p in zip(names, found, strict=True)
        ]
        columns = {name: np.concatenate([getattr(n, name) for n in parts]) for name in vars(parts[0])}
        notes = evaluate(clip.notes, Notes(**columns))
        rows.append({"item": clip.name, "ap": average_precision(truth, found)} | _f(truth, found, threshold))
        rows[-1] |= {"note_f": notes["note_f"]} | ({"note_family_f": notes["note_family_f"]} if arm.families else {})
    truth, found = (np.concatenate(arrays, axis=2) for arrays in zip(*scored, strict=True))
    pooled = {"item": "pooled", "ap": average_precision(truth, found), "threshold": round(threshold, 2)}
    if arm.families:
        each = zip(FAMILIES, truth, found, strict=True)
        pooled |= {f"ap_{name}": average_precision(t, p) for name, t, p in each}
    return [*rows, pooled | _f(truth, found, threshold)]


def _f(truth: NDArray[np.bool_], found: NDArray[np.float32], threshold: float) -> dict[str, float]:
    both = int(truth.sum() + (found >= threshold).sum())
    return {"frame_f": 2 * int((truth & (found >= threshold)).sum()) / max(both, 1)}


@torch.no_grad()
def contrast(transforms: nn.Module, clip: Clip) -> dict[str, float]:
    """Return how far sounding fundamentals stand above their harmonics, in standard deviations of all of Z.

    Harmonics that are near the fundamental of another sounding note are left out: that energy is wanted.
    """
    X, labels = clip.cut(0, clip.levels.shape[1])
    Z = transforms(torch.from_numpy(X)[None])[0, 0].numpy()
    margin = (X.shape[2] - Z.shape[1]) // 2
    sounding = labels.any(0)[:, margin : X.shape[2] - margin]
    found = {}
    for harmonic, shift in HARMONICS.items():
        pitch, frame = np.nonzero(sounding)
        above = np.pad(sounding, ((0, 40), (0, 0)))
        semitones = round(shift / 3)
        free = ~np.any([above[pitch + semitones + near, frame] for near in (-1, 0, 1)], axis=0)
        bins = 3 * pitch + 1
        use = free & (bins + shift < BINS)
        if use.any():
            gap = Z[bins[use], frame[use]] - Z[bins[use] + shift, frame[use]]
            found[f"contrast_{harmonic}"] = float(gap.mean() / Z.std())
    return found


@torch.no_grad()
def keep_picture(transforms: nn.Module, clip: Clip, path: Path) -> None:
    """Write what goes into the U-Net and what comes out, and the notes that sound, for the busiest few seconds."""
    X, labels = clip.cut(0, clip.levels.shape[1])
    Z = transforms(torch.from_numpy(X)[None])[0, 0].numpy()
    margin = (X.shape[2] - Z.shape[1]) // 2
    X, sounding = X[0, :, margin : X.shape[2] - margin], labels.any(0)[:, margin : X.shape[2] - margin]
    busy = np.convolve(sounding.sum(0), np.ones(PICTURED_FRAMES), "valid")
    span = slice(int(busy.argmax()), int(busy.argmax()) + PICTURED_FRAMES)
    packed = io.BytesIO()
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"X": X[:, span].astype(np.float16), "Z": Z[:, span].astype(np.float16), "sounding": sounding[:, span]}
    np.savez_compressed(packed, frame_s=clip.frame_s, item=clip.name, **arrays)
    with atomic_write(path, force=True) as file:
        file.write(packed.getbuffer())


def read_transformed(arm: Arm, stack: PreStack, splits: Splits, seed: int, steps: int) -> dict[str, dict[str, float]]:
    """Return, for each test item, what a linear probe of one frame of Z reads, and the contrast of Z."""
    clips, valid, test = splits
    stack.transforms.requires_grad_(False).eval()
    torch.manual_seed(seed)
    probe = PreStack(list(stack.transforms), Linear(BINS, NOTES, context=1))

    def bce(X: Tensor, labels: Tensor) -> Tensor:
        probe.transforms.eval()
        return transcription_loss(probe.valid(X), labels.amax(1))

    fit(probe, probe.context, bce, batches(clips, probe.context, BATCH, steps, seed), steps)
    rows = {row["item"]: {"probe_ap": row["ap"]} for row in score(probe, arm, valid, test)}
    for clip in test:
        rows[clip.name] |= contrast(stack.transforms, clip)
    return rows


def cost(stack: Stack) -> dict[str, float]:
    """Return seconds of work for each second of sound, and the memory that 20 s take beyond the loaded network."""
    torch.set_num_threads(1)
    X = torch.rand(1, 1, BINS, round(20 / FEATURES.frame_s))
    with torch.no_grad():
        stack(X[..., :64])
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before_mb = _peak_mb()
        times = []
        for _ in range(3):
            start = time.perf_counter()
            stack(X)
            times.append(time.perf_counter() - start)
    return {"real_time_factor": round(min(times) / 20, 5), "peak_mb": round(_peak_mb() - before_mb, 1)}


def _peak_mb() -> float:
    # Not `resource.getrusage`: its peak is inherited from the parent process.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def measured_cost(stack: Stack) -> dict[str, float]:
    """Run :func:`cost` in a process of its own, whose memory nothing else has touched."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(cost, stack.eval().requires_grad_(False)).result()


def run(arm: Arm, splits: Splits, seed: int, steps: int, picture: Path | None = None) -> list[dict[str, Any]]:
    """Train and score one arm with one seed, and return its rows; write a picture of Z if a path is given."""
    clips, valid, test = splits
    torch.manual_seed(seed)
    stack = arm.build()
    begin = time.perf_counter()
    train(arm, stack, clips, seed, steps)
    elapsed_s = time.perf_counter() - begin
    rows = score(stack, arm, valid, test)
    if arm.probe:
        assert isinstance(stack, PreStack)
        if picture:
            keep_picture(stack.transforms, test[0], picture)
        seen = read_transformed(arm, stack, splits, seed, steps)
        rows = [row | seen[row["item"]] for row in rows]
    if arm.name.startswith("probe of X"):
        rows = [row | {"probe_ap": row["ap"]} for row in rows]
        rows[:-1] = [r | contrast(nn.Identity(), c) for r, c in zip(rows[:-1], test, strict=True)]
    # What is the same for all items stands in the last row alone.
    rows[-1] |= {
        "parameters": sum(p.numel() for p in stack.parameters()),
        "multiply_adds": count_multiply_adds(stack, BINS),
        "context_frames": stack.context,
        "train_s": round(elapsed_s, 1),
    }
    rows[-1] |= measured_cost(stack) | provenance()
    return [row | {"arm": arm.name, "seed": seed, "steps": steps} for row in rows]


def estimate(chosen: list[Arm], seeds: int, steps: int, items: int) -> None:
    """Print how large each arm is and how long it will take."""
    total = 0.0
    print(f"{'arm':32} {'parameters':>10} {'MAC/frame':>10} {'context':>7} {'s/step':>7} {'minutes':>7}")
    for arm in chosen:
        torch.manual_seed(0)
        stack = arm.build()
        X = torch.rand(BATCH, 1, BINS, FRAMES + stack.context - 1)
        labels = torch.zeros(BATCH, len(FAMILIES), NOTES, FRAMES)
        times: list[float] = []
        fit(stack, stack.context, partial(_timed_loss, times, stack, arm), [(X, labels)] * 4, 4)
        step_s = float(min(np.diff(times))) + 0.002 * BATCH  # and cutting the clips
        begin = time.process_time()
        with torch.no_grad():
            stack.eval()(torch.rand(1, 1, BINS, 500))
        item_s = (time.process_time() - begin) * 5 + 0.3
        runs = 2 if arm.schedule == "frozen" else 1
        seconds = runs * step_s * steps + items * item_s + 10
        if arm.probe:
            seconds += 0.5 * step_s * steps + items * item_s
        total += seconds
        print(
            f"{arm.name:32} {count_parameters(stack):10,} {count_multiply_adds(stack, BINS):10,} "
            f"{stack.context:7} {step_s:7.2f} {seconds / 60:7.1f}"
        )
    print(f"{len(chosen)} arms, {seeds} seeds, {steps} steps: {total * seeds / 3600:.1f} core hours")


def _timed_loss(times: list[float], stack: Stack, arm: Arm, X: Tensor, labels: Tensor) -> Tensor:
    times.append(time.process_time())  # seconds of this process: other work on the machine does not count
    return transcription_loss(stack.valid(X), labels if arm.families else labels.amax(1))


def main() -> None:
    """Run what is asked for and not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="rendered corpus; made-up tones if not given (for a trial)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results/claims_transcription.csv")
    parser.add_argument("--arms", nargs="+", default=["*"], help="names or patterns; see --estimate")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--budget-steps", type=int, default=900)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--items", nargs=3, type=int, default=[400, 6, 20], help="of train, validation, test at most")
    parser.add_argument("--estimate", action="store_true", help="print sizes and times, train nothing")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    chosen = [arm for arm in arms() if any(fnmatch.fnmatchcase(arm.name, p) for p in options.arms)]
    if not chosen:
        parser.error(f"no such arm; there are {', '.join(arm.name for arm in arms())}")
    if options.estimate:
        estimate(chosen, len(options.seeds), options.budget_steps, sum(options.items[1:]))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = options.data
        if folder is None:
            folder = Path(made) / "made"
            write_made(folder)
        limits = zip(("train", "validation", "test"), options.items, strict=True)
        splits = tuple(load_clips(folder / split, limit) for split, limit in limits)
    data = hashlib.sha256(b"".join(c.levels.tobytes() for split in splits for c in split)).hexdigest()[:12]
    rows = read_rows(options.out)
    done = {(r["data"], r["arm"], r["seed"], r["steps"]) for r in rows if r["item"] == "pooled"}
    for seed in options.seeds:  # seed by seed: a run that is stopped has whole comparisons
        for arm in chosen:
            if (data, arm.name, str(seed), str(options.budget_steps)) in done:
                print(f"{arm.name}, seed {seed}: done already")
                continue
            begin = time.perf_counter()
            picture = options.out.with_suffix(".npz") if (arm.name, seed) == (PICTURED, options.seeds[0]) else None
            new = run(arm, splits, seed, options.budget_steps, picture)  # type: ignore[arg-type]
            rows += [row | {"data": data} for row in new]
            write_rows(options.out, rows)
            pooled, elapsed = new[-1], time.perf_counter() - begin
            print(f"{arm.name}, seed {seed}: AP {pooled['ap']:.4f}, F {pooled['frame_f']:.4f}, {elapsed:.0f} s")


if __name__ == "__main__":
    main()
