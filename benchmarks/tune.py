"""Choose the thresholds of decoding on the validation split of the rendered corpus.

    python benchmarks/tune.py --data CORPUS/validation [--weights WEIGHTS]

The posteriors of all items are computed once and kept. Then the thresholds climb, one after the other, step by
step on a grid, until no step of any one helps. What they maximise is ``note_f + note_offset_f``, averaged over
the items that have pitched notes; and for drums, which do not depend on the others, the F of all items' hits
together: so a hit heard in music without drums counts, and counts as one wrong hit, not as one wrong file.

Writes all settings that were tried to ``results/thresholds.csv``; the chosen one comes last. With ``--only drums`` the
others stay as they are and the table is ``results/thresholds_drums.csv``: the drums have a network, and may have a
validation set, of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.rendered import load_item
from ottava.errors import OttavaError
from ottava.io.files import atomic_write
from ottava.metrics.transcription import count, mean, pool, score
from ottava.results import DRUM_CLASSES, FAMILIES, Notes
from ottava.systems.transcription.decode import DRUM_SHARES, Thresholds, decode
from ottava.systems.transcription.families.naming import Naming
from ottava.systems.transcription.run import Transcriber
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance

RESULTS = Path(__file__).parent / "results"
_FINE = tuple(np.arange(1, 37) / 40)  # 0.025, 0.05, ... 0.9
_COARSE = tuple(np.arange(1, 21) / 20)  # 0.05, 0.1, ... 1; an offset of 1 is next to none
GRID: dict[str, tuple[float, ...]] = {
    "onset": _FINE,
    "offset": _COARSE,
    "frame": _COARSE,
    "min_note_s": (0.0, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12),
    "drum": _FINE,
}

Rate = Callable[[Thresholds], dict[str, float]]


@dataclass(frozen=True)
class Example:
    """Posteriors and truth of an item, with one family for all: who plays depends on no threshold."""

    posteriors: dict[str, NDArray[np.float32]]
    truth: Notes
    frame_s: float
    naming: Naming


class Remembered(Naming):
    """The network for families that answers what it was asked before: the onsets it judges depend on few thresholds."""

    def __init__(self, naming: Naming) -> None:
        self.width, self._naming = naming.width, naming
        self._said: dict[bytes, NDArray[np.float32]] = {}

    def describe(self, *asked: NDArray[Any]) -> NDArray[np.float32]:  # type: ignore[override]
        return self._once(self._naming.describe, *asked)

    def compare(self, *asked: NDArray[Any]) -> NDArray[np.float32]:  # type: ignore[override]
        return self._once(self._naming.compare, *asked)

    def _once(
        self, ask: Callable[..., NDArray[np.float32]], first: NDArray[Any], *others: NDArray[Any]
    ) -> NDArray[np.float32]:
        key = b"".join(array.tobytes() for array in others) + ask.__name__.encode()
        if key not in self._said:
            self._said[key] = ask(first, *others)
        return self._said[key]


def load(path: Path, model: Transcriber) -> Example:
    """Return a shard's truth and what the network makes of its features."""
    levels, rows, _ = load_item(path)
    chunks = list(model.run_network([np.divide(levels, 255, dtype=np.float32)]))
    posteriors = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    start, end, pitch, velocity, place = rows.astype(np.float64).T
    instrument = np.where(place == len(FAMILIES), "drums", FAMILIES[0])
    truth = Notes(start, end, pitch, velocity, np.ones(len(rows)), instrument).sorted()
    return Example(posteriors, truth, model.extractor.frame_s, Remembered(model.naming))


def rate_notes(examples: Sequence[Example], thresholds: Thresholds) -> dict[str, float]:
    """Score pitched notes."""
    scores = []
    for example in examples:
        counts = count(example.truth, _decode(example, thresholds, FAMILIES))
        if counts["note"][1]:
            scores.append(score(counts))
    means = mean(scores)
    goal = means["note_f"] + means["note_offset_f"]
    return {"goal": goal, "note_f": means["note_f"], "note_offset_f": means["note_offset_f"]}


def rate_drums(examples: Sequence[Example], thresholds: Thresholds) -> dict[str, float]:
    """Score drum hits."""
    counts = [count(example.truth.of("drums"), _decode(example, thresholds, ["drums"])) for example in examples]
    pooled = score(pool(counts))["drum_f"]
    return {"goal": pooled, "drum_f": pooled}


def rate_classes(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Return for each class of drums the height of a hit that is best for it alone, and its F there."""
    found = []
    for name in DRUM_CLASSES:
        share = DRUM_SHARES[name]
        scored = {}
        for height in GRID["drum"]:
            if height > share:  # the threshold would be above 1
                break
            limits = Thresholds(drum=height / share)
            counts = [count(example.truth.of("drums"), _decode(example, limits, ["drums"])) for example in examples]
            scored[height] = score(pool(counts))[f"drum_{name}_f"]
        best = max(scored, key=lambda height: scored[height])
        found.append({"class": name, "drum": best, "drum_f": round(scored[best], 5)})
    return found


def _decode(example: Example, thresholds: Thresholds, instruments: Sequence[str]) -> Notes:
    return decode(
        example.posteriors,
        frame_s=example.frame_s,
        thresholds=thresholds,
        instruments=instruments,
        naming=example.naming,
    )


def climb(rate: Rate, names: Sequence[str], start: Thresholds) -> Thresholds:
    """Return the thresholds from which no one or two steps of one of these lead higher."""
    best, before = start, None
    while best != before:
        before = best
        for name in names:
            for steps in (1, -1, 2, -2):
                while (there := _move(best, name, steps)) and rate(there)["goal"] > rate(best)["goal"]:
                    best = there
    return best


def _move(here: Thresholds, name: str, steps: int) -> Thresholds | None:
    now = getattr(here, name)
    ahead = sorted((float(v) for v in GRID[name] if (v - now) * steps > 1e-9), key=lambda v: abs(v - now))
    return replace(here, **{name: ahead[abs(steps) - 1]}) if len(ahead) >= abs(steps) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the validation split's shards")
    parser.add_argument("--weights", type=Path, help="ONNX file in place of the bundled one")
    parser.add_argument("--limit", type=int, help="only the first items; one takes about 4 MB a minute")
    parser.add_argument("--threads", type=int, help="threads of the network")
    parser.add_argument("--only", choices=["drums"], help="leave the thresholds of notes as they are")
    parser.add_argument("--out", type=Path, help="table to write")
    options = parser.parse_args()
    paths = sorted(options.data.glob("*.npz"))[: options.limit]
    if not paths:
        parser.error(f"no shards (*.npz) in {options.data}")
    model = Transcriber(options.weights, options.threads)
    examples = []
    for path in paths:
        examples.append(load(path, model))
        print(f"\r{len(examples)} of {len(paths)} items", end="", flush=True)
    print()
    about: dict[str, Any] = {"model": model.model, "items": len(examples), **provenance()}
    rows: list[dict[str, Any]] = []

    def shown(rate: Callable[[Sequence[Example], Thresholds], dict[str, float]]) -> Rate:
        @cache
        def rated(thresholds: Thresholds) -> dict[str, float]:
            scores = rate(examples, thresholds)
            rows.append(asdict(thresholds) | {k: round(v, 5) for k, v in scores.items() if k != "goal"})
            print("  ".join(f"{key} {value:g}" for key, value in rows[-1].items()), flush=True)
            return scores

        return rated

    best = Thresholds()
    if options.only != "drums":
        best = climb(shown(rate_notes), [name for name in GRID if name != "drum"], best)
    if any(len(example.truth.of("drums")) for example in examples):
        best = climb(shown(rate_drums), ["drum"], best)
        for row in rate_classes(examples):
            rows.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()))
    rated = ({} if options.only else rate_notes(examples, best)) | rate_drums(examples, best)
    chosen = {"drum": best.drum} if options.only else asdict(best)
    rows.append(chosen | {k: round(v, 5) for k, v in rated.items() if k != "goal"})
    print("chosen:", "  ".join(f"{key} {value:g}" for key, value in rows[-1].items()))
    out = options.out or RESULTS / ("thresholds_drums.csv" if options.only else "thresholds.csv")
    out.parent.mkdir(parents=True, exist_ok=True)
    columns = dict.fromkeys([*GRID, "class", "note_f", "note_offset_f", "drum_f"], "")
    with atomic_write(out, force=True) as file:
        file.write(render_csv([columns | row | about for row in rows]).encode())
    print(out)


if __name__ == "__main__":
    try:
        main()
    except OttavaError as error:
        raise SystemExit(str(error)) from error
