"""Write the numbers of ``results/*.csv`` into README.md and the docs.

    python benchmarks/readme.py           # write
    python benchmarks/readme.py --check   # exit with 1 where a text says other than the results

A block stands between ``<!-- numbers:NAME:begin -->`` and ``<!-- numbers:NAME:end -->`` and holds the table of
``results/NAME.csv``: ``accuracy_...``, ``speed``, ``structure_...``, ``thresholds`` or ``upbeat``. Needs nothing but
Python.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, median, stdev

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"<!-- numbers:(\w+):(begin|end) -->")
ACCURACY = {
    "note_f": "note F",
    "note_offset_f": "note with offset F",
    "frame_f": "frame F",
    "note_family_f": "note and family F",
}
SPEED = {
    "wall": "time",
    "rtf": "share of the sound's length",
    "peak": "peak memory",
    "long_wall": "time, {hours:g} h of sound",
    "long_peak": "peak memory, {hours:g} h of sound",
    "import": "`import ottava`",
    "help": "`ottava --help`",
    "install": "installed size",
}
THRESHOLDS = ("onset", "frame", "offset", "min_note_s", "note_f", "note_offset_f")
DRUM_THRESHOLDS = ("drum", "drum_f")
VARIED = ("transposed", "varied", "contour")
SOURCES = {
    "openewld": "OpenEWLD, standards",
    "pop909": "POP909, pop songs",
    "music21": "Ryan's and O'Neill's, folk tunes",
    "ryansMammoth": "Ryan's Mammoth Collection",
    "oneills1850": "O'Neill's Music of Ireland",
    "nottingham": "Nottingham, folk tunes, never trained on",
    "made": "made up by rule",
}

Row = dict[str, str]


class TableError(Exception):
    """Marks or results that nothing can be written from."""


def fill(text: str, results: Path) -> str:
    """Return a text with its blocks written anew."""
    marks = list(MARK.finditer(text))
    parts, place = [], 0
    for begin, end in zip(marks[::2], [*marks[1::2], None], strict=False):
        if end is None or (begin[2], end[2]) != ("begin", "end") or begin[1] != end[1]:
            raise TableError(f"{begin[0]} has no end, or is one without a beginning")
        parts += [text[place : begin.end()], "\n", block(begin[1], results)]
        place = end.start()
    return "".join([*parts, text[place:]])


def block(name: str, results: Path) -> str:
    """Return the Markdown of one table of results."""
    render = RENDER.get(name.partition("_")[0])
    path = results / f"{name}.csv"
    if render is None:
        raise TableError(f"numbers:{name}: no such kind of table; one of {', '.join(RENDER)}")
    if not path.is_file():
        raise TableError(f"numbers:{name}: {path} is missing")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise TableError(f"numbers:{name}: {path} has no rows")
    commits = ", ".join(dict.fromkeys(row["commit"] for row in rows))
    machines = "; ".join(dict.fromkeys(row["machine"] for row in rows))
    return f"{render(rows)} Measured at commit {commits} on {machines}.\n"


def accuracy(rows: Sequence[Row]) -> str:
    by_system = _group(rows, "system")
    files = [[row["file"] for row in of_system] for of_system in by_system.values()]
    if any(names != files[0] for names in files):
        raise TableError("the systems were not scored on the same files")
    columns = [name for name in ACCURACY if any(row.get(name) for row in rows)]
    drums = any(float(row.get("drum_true") or 0) for row in rows)
    lines = [["", *(ACCURACY[name] for name in columns), *(["drum hit F"] if drums else [])]]
    errors = [0.0]
    for of_system in by_system.values():
        values = [[float(row[name]) for row in of_system if row[name]] for name in columns]
        cells = [f"{fmean(v):.3f}" if v else "–" for v in values]
        errors += [stdev(v) / len(v) ** 0.5 for v in values if len(v) > 1]
        lines.append([_label(of_system[0]), *cells, *([_hits(of_system)] if drums else [])])
    text = f"{_table(lines)}\nMeans over {len(files[0])} files, with standard errors up to {max(errors):.3f}"
    return f"{text}; drums over all hits of all files." if drums else f"{text}."


def _hits(rows: Sequence[Row]) -> str:
    """Return F over all hits of all files."""
    right, true, found = (sum(float(row[f"drum_{n}"] or 0) for row in rows) for n in ("right", "true", "found"))
    return f"{2 * right / (true + found):.3f}" if any(row["drum_found"] for row in rows) else "–"


def speed(rows: Sequence[Row]) -> str:
    by_system = _group(rows, "system")
    runs = [row for row in rows if row["measure"] == "wall"]
    lines = [["", *(_label(of_system[0]) for of_system in by_system.values())]]
    for measure, title in SPEED.items():
        found = [[row for row in of_system if row["measure"] == measure] for of_system in by_system.values()]
        if any(found):
            one = next(row for of_system in found for row in of_system)
            hours = float(one["sound_s"] or 0) / 3600
            lines.append([title.format(hours=hours), *map(_spread, found)])
    sound_s, repeats = float(runs[0]["sound_s"]), len([row for row in runs if row["system"] == runs[0]["system"]])
    return (
        f"{_table(lines)}\nWhole processes on {sound_s:.0f} s of sound, {runs[0]['threads']} threads, taking turns: "
        f"median of {repeats} (least to greatest)."
    )


def thresholds(rows: Sequence[Row]) -> str:
    chosen = rows[-1]
    # A table that has both is of a time when both were chosen at once; those of drums have one of their own.
    columns = [name for name in THRESHOLDS if chosen[name]] or [name for name in DRUM_THRESHOLDS if chosen[name]]
    return f"{_table([columns, [f'{float(chosen[name]):.4g}' for name in columns]])}\n{chosen['items']} items."


def structure(rows: Sequence[Row]) -> str:
    if "way" in rows[0]:
        return _edits(rows)
    return _form(rows) if "equal_f" in rows[0] else _quickness(rows)


def _edits(rows: Sequence[Row]) -> str:
    head = ["", "copies that follow", "varied bars, symbols", "by copying", "gain (95 % interval)", "changed elsewhere"]
    lines = [head]
    for source, of_source in _group(rows, "source").items():
        by_way = _group(of_source, "way")
        network, copy = by_way["network"], by_way["copy"]
        gains = [
            mine - theirs
            for mine, theirs in zip(_by_tune(network), _by_tune(copy), strict=True)
            if mine is not None and theirs is not None
        ]
        low, high = _interval(gains)
        lines.append(
            [
                SOURCES[source],
                f"{_weighted(network, ('exact',), 'whole'):.3f} of {_count(network, ('exact',))}",
                f"{_weighted(network, VARIED, 'symbols'):.3f} of {_count(network, VARIED)} bars",
                f"{_weighted(copy, VARIED, 'symbols'):.3f}",
                f"{fmean(gains):+.3f} ({low:+.3f} to {high:+.3f})",
                f"{fmean(float(row['elsewhere']) for row in network if row['elsewhere'] != 'nan'):.4f}",
            ]
        )
    return f"{_table(lines)}\nGains are means over tunes."


def _by_tune(rows: Sequence[Row]) -> list[float | None]:
    """Return of each tune the share of symbols of varied bars that are as they should be."""
    return [
        _weighted(of_tune, VARIED, "symbols") if _count(of_tune, VARIED) else None
        for of_tune in _group(rows, "tune").values()
    ]


def _count(rows: Sequence[Row], relations: Sequence[str]) -> int:
    return sum(int(row[f"{name}_n"]) for row in rows for name in relations)


def _weighted(rows: Sequence[Row], relations: Sequence[str], what: str) -> float:
    total = sum(
        float(row[f"{name}_{what}"]) * int(row[f"{name}_n"])
        for row in rows
        for name in relations
        if int(row[f"{name}_n"])
    )
    return total / max(_count(rows, relations), 1)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    rng = random.Random(0)
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(2000))
    return means[49], means[1949]


def _form(rows: Sequence[Row]) -> str:
    head = [
        "",
        "tunes",
        "equal bars F (looked up)",
        "how sure the network is of them",
        "varied bars F",
        "by similarity F",
    ]
    lines = [head]
    for source, of_source in _group(rows, "source").items():
        cells = [
            f"{fmean(float(row[name]) for row in of_source if row[name] != 'nan'):.3f}"
            for name in ("equal_f", "equal_confidence", "varied_f", "similarity_f")
        ]
        lines.append([SOURCES[source], str(len(of_source)), *cells])
    return f"{_table(lines)}\nMeans over tunes."


def _quickness(rows: Sequence[Row]) -> str:
    whats = dict.fromkeys(row["what"] for row in rows)
    lines = [[f"{rows[0]['bars']} bars of MIDI", *(f"to {what}" for what in whats)]]
    for parts, of_parts in _group(rows, "parts").items():
        lines.append(["1 part" if parts == "1" else f"{parts} parts", *(f"{row['median_s']} s" for row in of_parts)])
    return f"{_table(lines)}\nWhole calls after loading, {rows[0]['threads']} threads."


def upbeat(rows: Sequence[Row]) -> str:
    lines = [["", "begins with", "tunes", "right"]]
    lines += [[SOURCES.get(r["source"], r["source"]), r["begins_with"], r["tunes"], r["right"]] for r in rows]
    return f"{_table(lines)}\nTunes of the validation and test splits."


RENDER = {"accuracy": accuracy, "speed": speed, "structure": structure, "thresholds": thresholds, "upbeat": upbeat}


def _group(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups


def _label(row: Row) -> str:
    """Return a system's name with its version, as in ``basic-pitch 0.4.0``."""
    versions = dict(item.split("=") for item in row["versions"].split())
    return f"{row['system']} {versions[row['system']]}"


def _spread(rows: Sequence[Row]) -> str:
    if not rows:
        return "–"
    values = [float(row["value"]) for row in rows]
    low, middle, high = (f"{value:.3g}" for value in (min(values), median(values), max(values)))
    unit = f" {rows[0]['unit']}".rstrip()
    return f"{middle}{unit}" + (f" ({low}–{high})" if low != high else "")


def _table(lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(lines[0]) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (lines[0], rule, *lines[1:]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="texts; README.md and docs/**/*.md by default")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results", help="folder of tables")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something would change")
    options = parser.parse_args()
    stale = []
    for path in options.files or [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        text = path.read_text(encoding="utf-8")
        try:
            filled = fill(text, options.results)
        except TableError as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
        if filled != text:
            stale.append(path)
            if not options.check:
                path.write_text(filled, encoding="utf-8")
    for path in stale:
        print(f"{path}: {'says other than the results; run benchmarks/readme.py' if options.check else 'written'}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
