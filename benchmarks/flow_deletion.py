"""Measure whether explanations name what matters: what is said when the parts that they name are taken away.

    python benchmarks/flow_deletion.py [--notes 12] [--bars 12] [--tunes TUNES]

For notes of the example recording, and bars of the example tune (with ``--tunes``, of test tunes): parts of the input
are faded out or exchanged in the order of each explanation. The mean of what is then left of the answer, as a share of
what was, after 1, 2, 3, 4, 6 ... parts up to a quarter of them, says how early those that matter are named: lower is
better. Beside flow stand:

* the information of each part with the answer itself, without a network between;
* *occlusion*, the change when a part goes alone;
* chance.

Writes ``results/flow_deletion.csv``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.tunes import load_tunes
from ottava.io.files import atomic_write
from ottava.runtime.examples import find_example
from ottava.runtime.load import load
from ottava.runtime.questions import Question
from ottava.spec import find_spec, resolve
from ottava.symbolic.bars import from_bars
from ottava.symbolic.score import Part, Score
from ottava.systems.flow.graph import OnnxNetwork
from ottava.systems.flow.information import pairwise_information
from ottava.systems.flow.local import _ask, _signs, explain_one
from ottava.systems.flow.variants import Variants
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance

RESULTS = Path(__file__).parent / "results/flow_deletion.csv"
VARIANTS = 600


class Chosen(Variants):
    """Variants of which it is told what each keeps."""

    def __init__(self, question: Question, kept: dict[str, NDArray[np.bool_]]) -> None:
        count = len(next(iter(kept.values())))
        super().__init__(question.inputs, count, parts=question.parts)
        self._kept = {name: kept[name].reshape(count, *self.shapes[name]) for name in self._kept}


def worths(network: OnnxNetwork, question: Question, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return what each explanation says of each part, all inputs' one after the other."""
    flow = explain_one(network, question, variants=VARIANTS, seed=seed)
    names = list(question.inputs)
    made = Variants(question.inputs, VARIANTS, parts=question.parts, seed=seed)
    said = _ask(network, question, made, 32)[:, None]
    masks = np.concatenate([made.masks(slice(0, VARIANTS))[name] for name in names], axis=1)
    direct = (pairwise_information(masks, said, estimator="gaussian-copula") * _signs(masks, said))[:, 0]
    n = masks.shape[1]
    alone = ~np.eye(n, dtype=bool)
    occluded = answer(network, question, names, np.concatenate([np.ones((1, n), bool), alone]))
    return {
        "flow": np.concatenate([flow.attribution_of(name).ravel() for name in names]),
        "information, direct": direct,
        "occlusion": occluded[0] - occluded[1:],
        "chance": np.random.default_rng(seed).random(n),
    }


def answer(network: OnnxNetwork, question: Question, names: list[str], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return what is said when only some parts are kept, (rows,)."""
    sizes = [int(np.prod(shape)) for shape in Variants(question.inputs, 1, parts=question.parts).shapes.values()]
    parts = np.split(kept, np.cumsum(sizes)[:-1], axis=1)
    return _ask(network, question, Chosen(question, dict(zip(names, parts, strict=True))), 32)


def deletion(network: OnnxNetwork, question: Question, worth: NDArray[np.float64]) -> float:
    """Return the mean of what is left of the answer while up to a quarter of all parts go."""
    names, n = list(question.inputs), len(worth)
    order = np.argsort(-worth, kind="stable")
    counts = np.unique(np.geomspace(1, max(n // 4, 2), 16).round().astype(int))
    kept = np.ones(
        (len(counts) + 2, n), bool
    )  # all is left in the first: several numbers are compared with those there
    for row, count in enumerate(counts, start=1):
        kept[row, order[:count]] = False
    kept[-1] = False  # nothing is left
    said = answer(network, question, names, kept)
    return float(((said[1:-1] - said[-1]) / (said[0] - said[-1])).mean())


def questions(given: argparse.Namespace) -> Iterator[tuple[str, OnnxNetwork, Question]]:
    sources: dict[str, list[Any]] = {"transcription": [find_example("audio")], "structure": [find_example("score")]}
    if given.tunes:
        sources["structure"] = list(test_tunes(given.tunes))
    rng = np.random.default_rng(0)
    for system, files in sources.items():
        spec, model = find_spec(system), load(system)
        network = OnnxNetwork(model.session.weights.path, joins=spec.joins)
        ask = resolve(spec.ask)
        count = given.notes if system == "transcription" else given.bars
        for k in range(count):
            source = files[k % len(files)]
            found = model(source)
            total = len(found.notes) if system == "transcription" else len(found.bars)
            yield system, network, ask(model, source, int(rng.integers(1 if total < 5 else 5, total + 1)))


def test_tunes(folder: Path) -> Iterator[Score]:
    for tune in load_tunes(folder / "pop909.npz"):
        if tune.split == "test" and tune.symbols.shape[1] == 16:
            start, end, pitch = from_bars(tune.symbols)
            velocity = np.full(len(pitch), 80, np.int16)
            part = Part("Melody", 0, False, start / 4, (end - start) / 4, pitch.astype(np.int16), velocity)
            yield Score((part,), ((0.0, 120.0),))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, default=12)
    parser.add_argument("--bars", type=int, default=12)
    parser.add_argument("--tunes", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows = []
    where = provenance()
    for number, (system, network, question) in enumerate(questions(given)):
        for name, worth in worths(network, question, seed=number).items():
            left = deletion(network, question, worth)
            rows.append({"system": system, "question": question.text, "method": name, "left": round(left, 4)} | where)
        print({row["method"]: row["left"] for row in rows[-4:]}, question.text, flush=True)
    with atomic_write(given.out, force=True) as file:
        file.write(render_csv(rows).encode())


if __name__ == "__main__":
    main()
