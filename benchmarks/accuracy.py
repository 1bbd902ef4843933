"""Score Ottava and its peers on the same files.

    python benchmarks/accuracy.py --data FOLDER --name real_piano --env .venv-basic-pitch

The folder holds sound files with their notes beside them (:mod:`ottava.corpora.pairs`). Writes one row for
each file and system, with every score of :mod:`ottava.metrics.transcription`, to ``results/accuracy_NAME.csv``.
Cells are empty where there is nothing to compare, or where a system makes no attempt: basic-pitch knows neither
instrument families nor drums. Pitched notes of all instruments count in ``note``, drum hits never.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ottava.corpora.pairs import Pairs
from ottava.errors import OttavaError
from ottava.io.files import atomic_write
from ottava.metrics.transcription import count, mean, pool, score
from ottava.results import DRUM_CLASSES, FAMILIES, Notes
from ottava.systems.transcription.run import Transcriber
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance
from peers import BasicPitch

RESULTS = Path(__file__).parent / "results"
PRINTED = ("note_f", "note_offset_f", "note_velocity_f", "frame_f", "note_family_f")
_LABELLED = {"note_family", "drum"} | {f"note_{f}" for f in FAMILIES} | {f"drum_{d}" for d in DRUM_CLASSES}
"""Scores that need labels of instruments: the name without ``_p``, ``_r`` or ``_f``."""


def run_ottava(weights: Path | None) -> tuple[Callable[[Sequence[Path]], Iterable[Notes]], dict[str, str]]:
    model = Transcriber(weights)

    def transcribe(files: Sequence[Path]) -> Iterator[Notes]:
        for file in files:
            notes = model(file).notes
            assert isinstance(notes, Notes)
            yield notes

    return transcribe, {"model": model.model, **provenance()}


def run_basic_pitch(env: Path) -> tuple[Callable[[Sequence[Path]], Iterable[Notes]], dict[str, str]]:
    peer = BasicPitch(env)
    peer.make()
    return peer.transcribe, {"model": "icassp_2022/nmp.onnx", **provenance(), "versions": peer.versions()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of sounds and notes")
    parser.add_argument("--name", help="name of the data in results; the folder's by default")
    parser.add_argument("--systems", default="ottava,basic-pitch", help="with commas between")
    parser.add_argument("--weights", type=Path, help="ONNX file in place of the bundled one")
    parser.add_argument("--env", type=Path, default=Path(".venv-basic-pitch"), help="environment of basic-pitch")
    parser.add_argument("--limit", type=int, help="only the first files")
    parser.add_argument("--out", type=Path, help="table to write; results/accuracy_NAME.csv by default")
    options = parser.parse_args()
    name = options.name or options.data.resolve().name
    out = options.out or RESULTS / f"accuracy_{name}.csv"
    items = list(Pairs(options.data).items("test"))[: options.limit]
    files = [item.audio for item in items if item.audio is not None]
    if not files:
        parser.error(f"no pairs of sounds and notes in {options.data}")
    truths = [item.truth() for item in items]
    rows: list[dict[str, Any]] = []
    for system in options.systems.split(","):
        if system not in ("ottava", "basic-pitch"):
            parser.error(f"system {system} is unknown; ottava, basic-pitch")
        labels = system == "ottava"
        transcribe, about = run_ottava(options.weights) if labels else run_basic_pitch(options.env)
        counts, scores = [], []
        for item, truth, notes in zip(items, truths, transcribe(files), strict=True):
            counts.append(count(truth, notes))
            found = score(counts[-1])
            drums = dict(zip(("drum_right", "drum_true", "drum_found"), counts[-1]["drum"], strict=True))
            if not labels:
                found |= {key: math.nan for key in found if key.rpartition("_")[0] in _LABELLED}
                drums = {}
            scores.append(found)
            cells = {key: "" if math.isnan(value) else f"{value:.5f}" for key, value in found.items()}
            rows.append({"data": name, "file": item.id, "system": system, **cells, **drums, **about})
            print(f"{system:12} {item.id[-40:]:40} note_f {found['note_f']:.3f}", flush=True)
        means = mean(scores)
        shown = "  ".join(f"{key} {means[key]:.3f}" for key in PRINTED if not math.isnan(means[key]))
        pooled = f"all drum hits {score(pool(counts))['drum_f']:.3f}" if labels else ""
        print(f"{system:12} mean over {len(scores)} files: {shown}  {pooled}\n", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out, force=True) as file:
        file.write(render_csv(rows).encode())
    print(out)


if __name__ == "__main__":
    try:
        main()
    except OttavaError as error:
        raise SystemExit(str(error)) from error
