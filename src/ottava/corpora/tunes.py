"""Tunes in bars: the melodies of OpenEWLD, POP909, Nottingham and music21's public-domain books, as one table.

Tunes that share many of their bars are one *family*: settings of one tune, or two spellings of its title. Families, not
tunes, are divided into training, validation and test.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec as find_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.corpus import hashed_split
from ottava.corpora.names import find_corpus
from ottava.errors import InputError, MissingError, UsageError
from ottava.io.files import atomic_write, check_output
from ottava.symbolic.bars import ONSET, Line, snap, to_bars
from ottava.symbolic.score import Score, read_abc, read_score
from ottava.symbolic.tune import find_tune

__all__ = [
    "BEATS",
    "BOOKS",
    "SOURCES",
    "TuneItem",
    "gather_tunes",
    "group_families",
    "load_tunes",
    "pack_chord",
    "read_tunes",
    "save_tunes",
    "unpack_chords",
]

BOOKS: tuple[str, ...] = ("ryansMammoth", "oneills1850")
"""Folders of music21's corpus: collections printed in 1883 and 1903. Their encoders let music21 distribute them."""
SOURCES: tuple[str, ...] = ("openewld", "pop909", "nottingham", "music21")
BEATS = 4
"""Chords to the bar."""
_LEAST_BARS = 8
_MOST_MOVED = 0.15
_SAME_FAMILY = 0.3


@dataclass(frozen=True, eq=False)
class TuneItem:
    """One melody.

    Parameters
    ----------
    id : str
        Unique, begins with the source's name.
    family : str
        What may not stand on both sides of a split.
    meter : tuple of int
        Numerator and denominator.
    symbols : ndarray of int16, shape (bars, steps)
        See :mod:`ottava.symbolic.bars`.
    chords : ndarray of int32, shape (bars, BEATS), or None
        Chord of each quarter of a bar, where the source tells: see :func:`pack_chord`.
    """

    id: str
    family: str
    meter: tuple[int, int]
    symbols: NDArray[np.int16]
    chords: NDArray[np.int32] | None = None

    @property
    def split(self) -> str:
        """``"train"``, ``"validation"`` or ``"test"``, by the family's name."""
        return hashed_split(self.family)


def read_tunes(source: str, folder: str | os.PathLike[str] | None = None) -> Iterator[TuneItem]:
    """Yield the melodies of a source that can be written in bars: eight bars or more, few notes off the grid.

    Parameters
    ----------
    source : str
        One of :data:`SOURCES`.
    folder : path-like or None
        Where it lies; music21's books come with its package.

    Raises
    ------
    ottava.errors.InputError
        If the folder does not hold it.
    ottava.errors.MissingError
        If a package that reads it is not installed.
    ottava.errors.UsageError
        If there is no such source.
    """
    if source == "music21":
        yield from _read_books()
    elif source == "pop909" and folder is not None:
        for item in find_corpus(source)(folder).items():
            yield from _by_beats(item.id, item.piece, item.truth_path)
    elif source in SOURCES and folder is not None:
        for item in find_corpus(source)(folder).items():
            try:
                score = read_score(item.truth_path)
                yield from _written(f"{source}/{item.id}", item.piece, score)
            except InputError:
                continue
    else:
        raise UsageError(f"no tunes of {source!r}", expected=" or ".join(SOURCES) + ", and a folder")


def pack_chord(root: int, chroma: Iterable[int]) -> int:
    """Return a chord as one number; 0 is none.

    Parameters
    ----------
    root : int
        Pitch class, 0 is C; -1 where there is no chord.
    chroma : iterable of int
        Pitch classes that sound.
    """
    return 0 if root < 0 else 1 + root + 12 * sum(1 << pitch_class for pitch_class in set(chroma))


def unpack_chords(chords: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return root and pitch classes of packed chords as 0 and 1, shape (..., 24)."""
    root = np.eye(12, dtype=np.float32)[np.maximum(chords - 1, 0) % 12]
    chroma = (np.maximum(chords - 1, 0)[..., None] // 12 >> np.arange(12) & 1).astype(np.float32)
    return np.concatenate([root, chroma], -1) * (chords > 0)[..., None]


def _written(name: str, piece: str, score: Score) -> Iterator[TuneItem]:
    tune = find_tune(score)
    if any(tune.refused):  # the longest stretch of good bars
        stops = [-1, *(i for i, reason in enumerate(tune.refused) if reason), len(tune)]
        begin, end = max(((a + 1, b) for a, b in itertools.pairwise(stops)), key=lambda span: span[1] - span[0])
        tune = replace(tune, symbols=tune.symbols[begin:end])
    symbols = tune.symbols[_sounding(tune.symbols)]
    if len(symbols) >= _LEAST_BARS and tune.moved < _MOST_MOVED:
        yield TuneItem(name, piece, tune.meter, symbols)


def _sounding(symbols: NDArray[np.int16]) -> slice:
    """Return where a tune is without silent bars at both ends."""
    sounding = np.flatnonzero((symbols >= ONSET).any(1))
    return slice(int(sounding[0]), int(sounding[-1]) + 1) if len(sounding) else slice(0, 0)


def _read_books() -> Iterator[TuneItem]:
    spec = find_module("music21")
    if spec is None or spec.origin is None:
        raise MissingError("these tunes come with music21", expected="pip install 'ottava[score]'")
    for book in BOOKS:
        for path in sorted((Path(spec.origin).parent / "corpus" / book).glob("*.abc")):
            text = path.read_text(encoding="utf-8", errors="replace")
            for i, tune in enumerate(re.split(r"^(?=X:)", text, flags=re.MULTILINE)[1:]):
                try:
                    for title, score in read_abc(tune, path):
                        yield from _written(f"{book}/{path.stem}.{i}", title.casefold(), score)
                except InputError:
                    continue


def _by_beats(name: str, piece: str, path: Path) -> Iterator[TuneItem]:
    """Yield the stretches of a song of POP909 in which every bar has four beats, by its own annotation of beats."""
    try:
        score = read_score(path)
        beats = np.loadtxt(path.with_name("beat_midi.txt"), ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError("no table of beats", path=path.with_name("beat_midi.txt"), found=str(error)) from error
    melody = next((part for part in score if part.name == "MELODY"), None)
    if melody is None:
        return
    end_q = melody.start_q + melody.duration_q
    quarters = np.arange(0, end_q.max() + 8, 0.25)
    beats_q = np.interp(beats[:, 0], score.seconds(quarters), quarters)
    downbeats = np.flatnonzero(beats[:, 2] > 0)
    regular = np.diff(downbeats) == 4
    for number, (begin, end) in enumerate(_runs(regular)):
        edges = beats_q[downbeats[begin : end + 1]]
        chosen = (melody.start_q >= edges[0] - 0.1) & (melody.start_q < edges[-1] - 0.1)
        bars = np.arange(len(edges)) * 4.0
        start = np.maximum(np.interp(melody.start_q[chosen], edges, bars), 0)
        stop = np.interp(np.minimum(end_q[chosen], edges[-1]), edges, bars)
        off = np.abs(4 * start - np.rint(4 * start)) > 0.2
        if end - begin < _LEAST_BARS or not chosen.any() or off.mean() >= _MOST_MOVED:
            continue
        line, last = snap(start, stop, melody.pitch_midi[chosen]), (end - begin) * 16
        inside = line.start < last
        line = Line(line.start[inside], np.minimum(line.end[inside], last), line.pitch_midi[inside])
        symbols = to_bars(line, 16, end - begin)
        sounding = _sounding(symbols)
        if len(symbols[sounding]) >= _LEAST_BARS:
            beats_s = beats[downbeats[begin] : downbeats[end], 0].reshape(-1, BEATS)[sounding]
            packed = _read_chords(path.with_name("chord_midi.txt"), beats_s)
            yield TuneItem(f"pop909/{name}.{number}", piece, (4, 4), symbols[sounding], packed)


def _read_chords(path: Path, at_s: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the chords that hold a moment after these times."""
    from mir_eval import chord

    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        starts = np.array([float(row[0]) for row in rows])
        coded = [chord.encode(row[2]) for row in rows]
    except (OSError, ValueError, IndexError, chord.InvalidChordException) as error:
        raise InputError("no table of chords", path=path, found=str(error)) from error
    packed = [pack_chord(int(root), ((root + np.flatnonzero(bits)) % 12).tolist()) for root, bits, _ in coded]
    which = np.searchsorted(starts, at_s + 0.05, side="right") - 1
    return np.where(which < 0, 0, np.array([*packed, 0], np.int32)[which])


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return begin and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def group_families(tunes: Iterable[TuneItem]) -> list[TuneItem]:
    """Give one family to tunes that share bars: 0.3 or more of the fewer pairs of neighbouring bars, up to
    transposition.

    Returns
    -------
    list of TuneItem
        The tunes in their order; a family is called after the first of its members' families by the alphabet.
    """
    items = list(tunes)
    pairs = [_bar_pairs(item.symbols) for item in items]
    holders: dict[bytes, list[int]] = defaultdict(list)
    for i, shapes in enumerate(pairs):
        for shape in shapes:
            holders[shape].append(i)
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for who in holders.values():
        for a in who if len(who) < 50 else ():  # what fifty tunes have is a commonplace
            for b in who:
                if a < b:
                    shared[a, b] += 1
    root = list(range(len(items)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    named: dict[str, int] = {}
    for i, item in enumerate(items):
        root[find(i)] = find(named.setdefault(item.family, i))
    for (a, b), count in shared.items():
        if count >= max(_SAME_FAMILY * min(len(pairs[a]), len(pairs[b])), 2):
            root[find(a)] = find(b)
    names: dict[int, str] = {}
    for i, item in enumerate(items):
        names[find(i)] = min(names.get(find(i), item.family), item.family)
    return [replace(item, family=names[find(i)]) for i, item in enumerate(items)]


def _bar_pairs(symbols: NDArray[np.int16]) -> set[bytes]:
    """Return the distinct pairs of neighbouring bars, from their first pitch on, with four notes or more."""
    found = set()
    for a, b in itertools.pairwise(symbols):
        both = np.concatenate([a, b])
        onsets = both[both >= ONSET]
        if len(onsets) >= 4:
            found.add(np.where(both >= ONSET, both - onsets[0] + 64, both).tobytes())
    return found


def gather_tunes(
    folders: Mapping[str, Path | None], out: str | os.PathLike[str], *, force: bool = False
) -> dict[str, int]:
    """Write the tunes of several sources, each into a file of its own, after grouping all of them into families.

    Parameters
    ----------
    folders : dict of str to Path or None
        Sources, and where each lies; see :func:`read_tunes`.
    out : path-like
        Folder of the files, ``SOURCE.npz``.
    force : bool
        Overwrite files.

    Returns
    -------
    dict of str to int
        Tunes of each source.

    Raises
    ------
    ottava.errors.OutputError
        If a file exists and ``force`` is not set. Nothing is written then.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for source in folders:
        check_output(out / f"{source}.npz", force=force)
    read = {source: list(read_tunes(source, folder)) for source, folder in folders.items()}
    grouped = iter(group_families(item for items in read.values() for item in items))
    return {
        source: save_tunes(itertools.islice(grouped, len(items)), out / f"{source}.npz", force=force)
        for source, items in read.items()
    }


def save_tunes(tunes: Iterable[TuneItem], path: str | os.PathLike[str], *, force: bool = False) -> int:
    """Write tunes as one ``.npz`` and return how many.

    Raises
    ------
    ottava.errors.OutputError
        If the file exists and ``force`` is not set, or cannot be written.
    """
    items = list(tunes)
    steps = np.array([item.symbols.shape[1] for item in items], np.int16)
    with atomic_write(path, force=force) as file:
        np.savez_compressed(
            file,
            id=np.array([item.id for item in items]),
            family=np.array([item.family for item in items]),
            meter=np.array([item.meter for item in items], np.int16).reshape(-1, 2),
            steps=steps,
            bars=np.array([len(item.symbols) for item in items], np.int32),
            symbols=np.concatenate([np.zeros(0, np.int16), *(item.symbols.ravel() for item in items)]),
            has_chords=np.array([item.chords is not None for item in items], bool),
            chords=np.concatenate(
                [np.zeros(0, np.int32), *(item.chords.ravel() for item in items if item.chords is not None)]
            ),
        )
    return len(items)


def load_tunes(path: str | os.PathLike[str]) -> list[TuneItem]:
    """Read what :func:`save_tunes` wrote.

    Raises
    ------
    ottava.errors.InputError
        If the file is missing or is another.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {
                name: file[name]
                for name in ("id", "family", "meter", "steps", "bars", "symbols", "has_chords", "chords")
            }
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "no table of tunes", path=path, found=str(error), expected="what ottava data tunes wrote"
        ) from error
    bars = columns["bars"].astype(int)
    ends = np.cumsum(columns["steps"].astype(int) * bars)
    chords = iter(np.split(columns["chords"], np.cumsum(BEATS * bars[columns["has_chords"]])[:-1]))
    return [
        TuneItem(
            str(columns["id"][i]),
            str(columns["family"][i]),
            (int(columns["meter"][i][0]), int(columns["meter"][i][1])),
            symbols.reshape(-1, columns["steps"][i]),
            next(chords).reshape(-1, BEATS) if columns["has_chords"][i] else None,
        )
        for i, symbols in enumerate(np.split(columns["symbols"], ends[:-1]) if len(ends) else [])
    ]
