"""Real tunes, as they come with the packages that read them: through bars, through MIDI, and changed there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ottava.io.rewrite import NoteChange, rewrite_notes
from ottava.symbolic.bars import from_bars, to_bars
from ottava.symbolic.score import read_abc, read_score
from ottava.symbolic.tune import find_tune
from ottava.symbolic.write import TICKS_PER_QUARTER, write_score


def folder_of(package):
    """Return where a package lies, or None; nothing is imported."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


MUSIC21, PARTITURA = folder_of("music21"), folder_of("partitura")
CORPUS = MUSIC21 / "corpus" if MUSIC21 else Path("absent")
TUNES = [
    *sorted(CORPUS.glob("ryansMammoth/*.abc"))[::30],  # reels, jigs, hornpipes
    *(sorted(CORPUS.glob("bach/bwv*.mxl"))[::150] if PARTITURA else []),  # four voices
]
FILES = sorted(path for folder in (MUSIC21, PARTITURA) if folder for path in folder.rglob("*.mid"))
needs_tunes = pytest.mark.skipif(not TUNES, reason="no tunes here: they come with ottava[score]")
needs_files = pytest.mark.skipif(not FILES, reason="no MIDI files here: they come with ottava[score]")


@pytest.fixture(scope="module")
def scores():
    found = []
    for path in TUNES:
        if path.suffix == ".abc":
            found += [score for _, score in read_abc(path.read_text(encoding="utf-8", errors="replace"), path)]
        else:
            found.append(read_score(path))
    return found


@needs_tunes
def test_tunes_through_bars(scores):
    assert len(scores) > 30
    for score in scores:
        tune = find_tune(score)
        line = from_bars(tune.symbols)
        assert (to_bars(line, tune.symbols.shape[1], len(tune)) == tune.symbols).all()
        # A note that is on the grid lies where it is written, and each step of the line is some note's.
        part = score.parts[tune.part]
        placed = tune.note_steps >= 0
        assert np.abs(tune.quarters(tune.note_steps[placed]) - part.start_q[placed]).max() <= 0.125 + 1e-6
        assert set(line.start.tolist()) <= set(tune.note_steps.tolist())


def rows_of(part):
    """Return a part's notes in ticks; grace notes have no length."""
    start = np.rint(part.start_q * TICKS_PER_QUARTER).astype(int)
    end = np.rint((part.start_q + part.duration_q) * TICKS_PER_QUARTER).astype(int)
    rows = zip(start.tolist(), end.tolist(), part.pitch_midi.tolist(), part.velocity.tolist(), strict=True)
    return sorted(row for row in rows if row[0] < row[1])


@needs_tunes
def test_tunes_through_midi_and_changed_there(scores, tmp_path):
    path = tmp_path / "tune.mid"
    for score in scores:
        data = write_score(score)
        path.write_bytes(data)
        again = read_score(path)
        assert again.lost == 0
        assert [rows_of(part) for part in again] == [rows_of(part) for part in score]
        tune = find_tune(score)
        rows = rows_of(score.parts[tune.part])
        places = [(start, pitch) for start, _, pitch, _ in rows]
        assert rewrite_notes(data, places, [], []) == data
        # Every third note becomes another, and is put back.
        changed = [NoteChange(*row) for row in rows[::3]]
        other = [note._replace(pitch=(note.pitch + 1) % 128, velocity=7) for note in changed]
        there = rewrite_notes(data, places, changed, other)
        path.write_bytes(there)
        assert sum((part.velocity == 7).sum() for part in read_score(path)) == len(changed)
        now = [(start, pitch) for start, _, pitch, _ in rows_of(read_score(path).parts[tune.part])]
        path.write_bytes(rewrite_notes(there, now, other, changed))
        assert [rows_of(part) for part in read_score(path)] == [rows_of(part) for part in score]


@needs_files
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_midi_files_stay_byte_for_byte_where_nothing_changes(path):
    score, data = read_score(path), path.read_bytes()
    ticks = int.from_bytes(data[12:14], "big")
    assert score.lost == 0
    for part in score:
        places = zip(np.rint(part.start_q * ticks).astype(int).tolist(), part.pitch_midi.tolist(), strict=True)
        assert rewrite_notes(data, places, [], []) == data
