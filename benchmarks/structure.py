"""What the shipped structure model does with tunes that it has not learned from, beside what needs no network.

    python benchmarks/structure.py --tunes TUNES
    python benchmarks/structure.py                # only the speed

``TUNES`` is the folder that ``ottava data tunes`` wrote; the test split is used. Writes three tables:

``results/structure_edits.csv``
    Bars are replaced by bars of other tunes, and what is made of them is to follow. A row for each change: how many
    bars of each relation follow, and of their symbols, how many. *copy* puts the new bar wherever the old one stood,
    and touches nothing else; *shapes* does so at transposed bars too. In songs made up by rule what should follow is
    known from the rule; in tunes it is worked out step by step (:mod:`ottava.systems.structure.relations`), as in
    training.
``results/structure_form.csv``
    A row for each tune: F of pairs of bars that are said to be equal, which is looked up, and how much of the network
    points at them; F of bars that are said to be made of an earlier one without being equal to any, by the network and
    by a *similarity* of symbols above a threshold.
``results/structure_speed.csv``
    Seconds for a MIDI file of 100 bars, of one part and of eight, from reading it to the result, after loading.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.songs import Song, make_motif, make_song
from ottava.corpora.tunes import TuneItem, load_tunes
from ottava.io.files import atomic_write
from ottava.results import RELATIONS
from ottava.symbolic.bars import ONSET, STEPS_PER_QUARTER, from_bars
from ottava.symbolic.score import Part, Score
from ottava.symbolic.tune import Tune
from ottava.symbolic.write import write_score
from ottava.systems.structure.change import change
from ottava.systems.structure.form import name_bars
from ottava.systems.structure.lines import find_reference, join_bars, split_bars
from ottava.systems.structure.relations import find_relations
from ottava.systems.structure.run import Melody, StructureModel, lean
from ottava.systems.structure.train.data import TuneWindows
from ottava.systems.structure.train.measure import relate_to_changed
from ottava.systems.structure.vary import _Vary
from ottava.training.evaluate import render_csv
from ottava.training.provenance import provenance

RESULTS = Path(__file__).parent / "results"
MOST_BARS = 64
CHANGES = 3
SONGS = 150
SIMILAR = 0.6
"""Threshold of the similarity; of 0.4, 0.5, 0.6, 0.7 and 0.8 the best on made-up songs other than those tested."""

Symbols = NDArray[np.int16]


def melody_of(symbols: Symbols, meter: tuple[int, int] = (4, 4)) -> Melody:
    n = len(symbols)
    edges = np.arange(n + 1) * symbols.shape[1] / 4
    tune = Tune(symbols, meter, 0, "", edges, ("",) * n, 0.0, np.zeros(0, np.int64))
    reference = find_reference(symbols)
    return Melody(Score((), ((0.0, 120.0),)), tune, reference, *split_bars(symbols, reference))


def copy_bars(symbols: Symbols, at: int, new: NDArray[np.int16], shapes: bool) -> Symbols:
    """Return the tune that looking for equal bars, or for equal shapes, gives."""
    varied = symbols.copy()
    old = symbols[at]
    varied[at] = new
    for i in range(at + 1, len(symbols)):
        if (symbols[i] == old).all():
            varied[i] = new
        elif shapes and ((symbols[i] >= ONSET) == (old >= ONSET)).all() and (old >= ONSET).sum() >= 3:
            up = (symbols[i] - old)[old >= ONSET]
            if (np.minimum(symbols[i], ONSET) == np.minimum(old, ONSET)).all() and len(set(up.tolist())) == 1:
                varied[i] = np.where(new >= ONSET, new + up[0], new)
    return varied


def change_tunes(tunes: list[TuneItem]) -> Iterator[tuple[str, Symbols, int, Symbols, NDArray[np.int64]]]:
    """Yield name, tune, changed bar, the tune that should come of it, and relations of bars that follow (0: none)."""
    for seed in range(CHANGES):
        windows = TuneWindows(tunes, 1, (MOST_BARS,), seed=seed, vary=False)
        for i, tune in enumerate(windows.tunes):
            n, steps = min(len(tune.symbols), MOST_BARS), tune.symbols.shape[1]
            batch = {name: value.numpy() for name, value in windows[i].items()}
            reference = find_reference(tune.symbols[:n])
            after = join_bars(batch["new_rhythm"][0, :n], batch["new_line"][0, :n], reference, steps)
            yield tune.id, tune.symbols[:n], int(batch["changed"].argmax()), after, relate_to_changed(batch)[0, :n]


def change_songs() -> Iterator[tuple[str, Symbols, int, Symbols, NDArray[np.int64]]]:
    """Yield the same for made-up songs, whose rule says what should come of it."""
    kinds = {"exact": 1, "transposed": 2, "ornamented": 3, "sequence": 4}
    for seed in range(SONGS):
        rng = np.random.default_rng((7, seed))
        song = make_song(rng, (16, 12, 8)[seed % 3])
        which = int(rng.choice([entry[0] for entry in song.plan]))
        at = next(i for i, entry in enumerate(song.plan) if entry[0] == which)
        new = song.replace_motif(which, make_motif((16, 12, 8)[seed % 3], rng))
        follows = [kinds[v] if w == which and i > at else 0 for i, (w, v, _) in enumerate(song.plan)]
        yield f"made/{seed}", song.symbols(), at, new.symbols(), np.array(follows)


def judge_edits(
    model: StructureModel, source: str, changes: Iterator[tuple[str, Symbols, int, Symbols, NDArray[np.int64]]]
) -> Iterator[dict[str, Any]]:
    for name, before, at, wanted, kinds in changes:
        if not kinds.any() or (before[at] == wanted[at]).all():
            continue
        ways: dict[str, Callable[[], Symbols]] = {
            "network": lambda b=before, a=at, w=wanted: change(model, melody_of(b), {a: w[a]}).symbols,
            "copy": lambda b=before, a=at, w=wanted: copy_bars(b, a, w[a], shapes=False),
            "shapes": lambda b=before, a=at, w=wanted: copy_bars(b, a, w[a], shapes=True),
        }
        for way, make in ways.items():
            after = make()
            row: dict[str, Any] = {"source": source, "tune": name, "bar": at + 1, "way": way}
            for number, relation in enumerate(RELATIONS[1:], start=1):
                mine = kinds == number
                right = after[mine] == wanted[mine]
                row |= {f"{relation}_n": int(mine.sum())}
                row |= {f"{relation}_whole": _share(right.all(1)), f"{relation}_symbols": _share(right.ravel())}
            others = (kinds == 0) & (np.arange(len(before)) > at)
            row["elsewhere"] = _share((after[others] != before[others]).ravel())
            yield row


def _share(values: NDArray[np.bool_]) -> float:
    return round(float(values.mean()), 4) if len(values) else float("nan")


def pairs(labels: list[Any]) -> set[tuple[int, int]]:
    return {(i, j) for i in range(len(labels)) for j in range(i) if labels[i] == labels[j]}


def f_score(found: set[Any], truth: set[Any]) -> float:
    return 2 * len(found & truth) / (len(found) + len(truth)) if found or truth else float("nan")


def judge_form(model: StructureModel, source: str, name: str, symbols: Symbols, made: set[int]) -> dict[str, Any]:
    """Return a row. ``made`` are the bars that are made of an earlier one without being equal to any."""
    melody = melody_of(symbols)
    codes = model.encode(melody.rhythm, melody.line)
    written = model.decode(codes.mean[None], melody.rhythm[None], melody.line[None])
    leans = lean(melody, written["pointer"][0])
    sounding = [i for i in range(len(symbols)) if (symbols[i] >= ONSET).any()]
    labels = name_bars(symbols, leans.source.tolist())
    equal_truth = pairs([symbols[i].tobytes() for i in sounding])
    equal_found = pairs([labels[i] for i in sounding])
    first = {i for i in sounding if not any((symbols[i] == symbols[j]).all() for j in range(i))}
    similar = {i for i in first if any(_similarity(symbols[i], symbols[j]) >= SIMILAR for j in range(i))}
    exact = [i for i in sounding if i not in first]
    equal_leans = [float(leans.confidence[i]) for i in exact]
    return {
        "source": source,
        "tune": name,
        "bars": len(symbols),
        "equal_f": f_score(equal_found, equal_truth),
        "equal_confidence": float(np.mean(equal_leans)) if equal_leans else float("nan"),
        "varied_n": len(made),
        "varied_f": f_score({i for i in first if leans.source[i] >= 0}, made),
        "similarity_f": f_score(similar, made),
    }


def _similarity(a: Symbols, b: Symbols) -> float:
    return float((a == b).mean()) if (b >= ONSET).any() else 0.0


def varied_by_rule(song: Song) -> set[int]:
    seen: set[int] = set()
    contents: set[bytes] = set()
    made = set()
    for i, ((which, _, _), bar) in enumerate(zip(song.plan, song.symbols(), strict=True)):
        if which in seen and bar.tobytes() not in contents:
            made.add(i)
        seen.add(which)
        contents.add(bar.tobytes())
    return made


def varied_by_steps(symbols: Symbols) -> set[int]:
    kinds = find_relations(*split_bars(symbols, find_reference(symbols))).kind
    return {int(i) for i in np.flatnonzero(kinds > 1)}


def write_song(path: Path, n_bars: int, n_parts: int) -> None:
    """Write a made-up song as MIDI; parts but the first go with it, lower."""
    rng = np.random.default_rng(0)
    symbols = np.concatenate([make_song(rng).symbols() for _ in range(n_bars // 16 + 1)])[:n_bars]
    start, end, pitch = from_bars(symbols)
    start_q, duration_q = start / STEPS_PER_QUARTER, (end - start) / STEPS_PER_QUARTER
    loud = np.full(len(pitch), 64, np.int16)
    parts = [Part("", 0, False, start_q, duration_q, np.maximum(pitch - 4 * k, 0), loud) for k in range(n_parts)]
    path.write_bytes(write_score(Score(tuple(parts), ((0.0, 120.0),))))


def measure_speed(model: StructureModel) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "song.mid")
        for n_parts in (1, 8):
            write_song(path, 100, n_parts)
            busy = round(os.getloadavg()[0], 2)
            for what, run in (
                ("analyse", lambda: model(path)),
                ("vary", lambda: _Vary(model)(path, notes=["C5:4", "E5:4", "G5:8"])),
            ):
                bars = len(run().bars)
                times = []
                for _ in range(9):
                    began = time.perf_counter()
                    run()
                    times.append(time.perf_counter() - began)
                yield {
                    "what": what,
                    "bars": bars,
                    "parts": n_parts,
                    "threads": model.session.threads,
                    "median_s": round(float(np.median(times)), 4),
                    "load": busy,
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tunes", type=Path)
    parser.add_argument("--weights", type=Path)
    given = parser.parse_args()
    model = StructureModel(given.weights)
    tables = {"speed": list(measure_speed(model))}
    if given.tunes is not None:
        edits, form = judge_tunes(model, given.tunes)
        report(edits, form)
        tables |= {"edits": edits, "form": form}
    columns = provenance()
    for name, rows in tables.items():
        with atomic_write(RESULTS / f"structure_{name}.csv", force=True) as file:
            file.write(render_csv([row | columns for row in rows]).encode())


def judge_tunes(model: StructureModel, folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    edits: list[dict[str, Any]] = []
    form: list[dict[str, Any]] = []
    for source in ("openewld", "pop909", "music21", "nottingham"):
        path = folder / f"{source}.npz"
        if not path.is_file():
            print(f"no {path}: left out")
            continue
        tunes = [tune for tune in load_tunes(path) if tune.split == "test" and tune.symbols.shape[1] <= 16]
        edits += judge_edits(model, source, change_tunes(tunes))
        form += [judge_form(model, source, t.id, t.symbols, varied_by_steps(t.symbols)) for t in tunes]
    edits += judge_edits(model, "made", change_songs())
    for seed in range(SONGS):
        song = make_song(np.random.default_rng((8, seed)), (16, 12, 8)[seed % 3])
        form.append(judge_form(model, "made", f"made/{seed}", song.symbols(), varied_by_rule(song)))
    return edits, form


def report(edits: list[dict[str, Any]], form: list[dict[str, Any]]) -> None:
    for source in dict.fromkeys(row["source"] for row in edits):
        for way in ("network", "copy", "shapes"):
            rows = [row for row in edits if row["source"] == source and row["way"] == way]
            words = [f"elsewhere {np.nanmean([row['elsewhere'] for row in rows]):.3f}"]
            for relation in RELATIONS[1:]:
                total = sum(row[f"{relation}_n"] for row in rows)
                for what in ("whole", "symbols"):
                    mine = [(row[f"{relation}_{what}"], row[f"{relation}_n"]) for row in rows if row[f"{relation}_n"]]
                    if mine:
                        words.append(f"{relation} {what} {sum(a * n for a, n in mine) / total:.3f} ({total})")
            print(source, way, ", ".join(words))
    for source in dict.fromkeys(row["source"] for row in form):
        rows = [row for row in form if row["source"] == source]
        means = {
            k: np.nanmean([row[k] for row in rows]) for k in ("equal_f", "equal_confidence", "varied_f", "similarity_f")
        }
        print(source, {k: round(float(v), 3) for k, v in means.items()})


if __name__ == "__main__":
    main()
