"""Form of songs whose form is known, changes whose outcome is known, and what stays in the file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ottava.corpora.songs import Motif, make_song
from ottava.results import Result
from ottava.runtime.examples import find_example
from ottava.runtime.load import load
from ottava.symbolic.bars import from_bars, snap, to_bars
from ottava.symbolic.score import Part, Score, read_score
from ottava.symbolic.write import write_score
from ottava.systems.structure.form import name_bars
from ottava.systems.structure.run import find_line
from ottava.systems.structure.vary import parse_notes, vary


@pytest.fixture(scope="module")
def model():
    return load("structure", threads=1)


def score_of(symbols, meter=(4, 4)):
    start, end, pitch = from_bars(symbols)
    n = len(start)
    part = Part("Melody", 0, False, start / 4, (end - start) / 4, pitch, np.full(n, 70, np.int16))
    return Score((part,), ((0.0, 120.0),), ((0.0, *meter),), bars_q=tuple(np.arange(len(symbols) + 1) * meter[0] * 1.0))


def test_letters_and_strokes():
    a, b, c, rest = np.full(4, 62), np.full(4, 63), np.array([62, 1, 62, 62]), np.zeros(4)
    symbols = np.stack([a, b, rest, a, c, b + 1, b + 2, b + 3, c, a]).astype(np.int16)
    leans = [-1, -1, -1, 0, 0, 1, 5, 1, 4, 0]
    assert name_bars(symbols, leans) == ["A", "B", "-", "A", "A'", "B'", "B''", "B'3", "A'", "A"]
    assert name_bars(symbols, leans, ["", "", "", "why", *[""] * 6])[3] == "?"
    many = np.arange(30)[:, None].repeat(2, 1).astype(np.int16) + 40
    assert name_bars(many, [-1] * 30)[24:] == ["Y", "Z", "AA", "AB", "AC", "AD"]


METERS = ((4, 4), (3, 4), (2, 4))


def made_songs(count):
    """Yield songs made up by rule, each with its meter."""
    for seed in range(count):
        yield make_song(np.random.default_rng(seed), (16, 12, 8)[seed % 3]), METERS[seed % 3]


def test_bars_have_one_label_where_they_are_equal_and_only_there(model):
    """That is looked up, whatever the network says."""
    for song, meter in made_songs(10):
        symbols = song.symbols()
        label = model(score_of(symbols, meter)).form.label
        sounding = np.flatnonzero((symbols >= 2).any(1))
        alike = (symbols[sounding, None] == symbols[sounding]).all(-1)
        np.testing.assert_array_equal(label[sounding, None] == label[sounding], alike)


def test_the_network_itself_points_at_bars_that_are_equal(model):
    found = []
    for song, meter in made_songs(40):
        melody = find_line(score_of(song.symbols(), meter))
        codes = model.encode(melody.rhythm, melody.line)
        pointer = model.decode(codes.mean[None], melody.rhythm[None], melody.line[None])["pointer"][0]
        symbols = melody.tune.symbols
        for i in range(len(symbols)):
            equal = np.flatnonzero((symbols[:i] == symbols[i]).all(1))
            if len(equal):
                found.append((pointer[i].argmax() - 1 in equal, pointer[i, equal + 1].sum()))
    right, probability = np.mean(found, axis=0)
    assert len(found) > 200
    assert right >= 0.95
    assert probability >= 0.9


def test_transposed_bars_have_the_letter_of_what_they_are_made_of(model):
    made = hits = 0
    for song, meter in made_songs(40):
        letters = [label.partition("'")[0] for label in model(score_of(song.symbols(), meter)).form.label]
        first: dict[int, str] = {}
        for (which, variation, _), letter in zip(song.plan, letters, strict=True):
            if variation == "transposed":
                made, hits = made + 1, hits + (letter == first.get(which))
            first.setdefault(which, letter)
    assert made > 40
    assert hits / made >= 0.6


def test_repeats_store_less_than_what_is_new(model):
    repeats, new = [], []
    for seed in range(20):
        song = make_song(np.random.default_rng(seed))
        result = model(score_of(song.symbols()))
        seen = set()
        for i, bar in enumerate(song.symbols()):
            if i >= 4:
                (repeats if bar.tobytes() in seen else new).append(float(result.bars.nats[i]))
            seen.add(bar.tobytes())
    assert np.median(repeats) < 0.7 * np.median(new)


def test_copies_follow_a_change(model):
    """The song with another motif is known: every bar made of it as it is has to become the new one."""
    right = total = spoilt = others = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        song = make_song(rng)
        which = next(w for w in range(len(song.motifs)) if sum(p[:2] == (w, "exact") for p in song.plan) > 1)
        new = song.replace_motif(which, Motif((4, 4, 2, 2, 4), tuple(rng.integers(-2, 7, 5).tolist())))
        at = song.plan.index((which, "exact", 0))
        path_symbols, wanted = song.symbols(), new.symbols()
        words = [f"{int(b) - 2}:{n}" for b, n in zip(wanted[at][wanted[at] >= 2], (4, 4, 2, 2, 4), strict=True)]
        result = vary(score_of(path_symbols), bar=str(at + 1), notes=words)
        kinds = result.changes.label.tolist()
        assert kinds[at] == "edited"
        notes = result.notes  # a quarter note lasts half a second
        after = to_bars(snap(2 * notes.start_s, 2 * notes.end_s, notes.pitch_midi), 16, len(wanted))
        for i, (motif, variation, _) in enumerate(song.plan):
            if motif == which and variation == "exact" and i > at:
                total, right = total + 1, right + bool((after[i] == wanted[i]).all())
            elif motif != which:
                others, spoilt = others + 1, spoilt + (kinds[i] != "same")
    assert total > 30
    assert right / total >= 0.9
    assert spoilt / others <= 0.05


def test_a_change_keeps_all_else_in_the_file(tmp_path):
    example = find_example("score")
    result = vary(example, bar="1", notes=["G4:4", "E4:4", "C4:4", "r:4"])
    path = result.save(tmp_path / "varied.mid")
    before, after = read_score(example), read_score(path)
    assert after.tempos == before.tempos
    assert after.meters == before.meters
    assert [part.name for part in after] == ["Melody", "Bass"]
    for name in ("start_q", "duration_q", "pitch_midi", "velocity"):
        np.testing.assert_array_equal(getattr(after.parts[1], name), getattr(before.parts[1], name))
    assert after.parts[0].pitch_midi[:3].tolist() == [67, 64, 60]
    kinds = result.changes.label.tolist()
    assert kinds[0] == "edited"
    assert kinds[4] == kinds[12] == "follows"
    melody = after.parts[0]
    for bar in (4, 12):
        inside = (melody.start_q >= 4 * bar) & (melody.start_q < 4 * bar + 4)
        assert melody.pitch_midi[inside].tolist() == [67, 64, 60]
    same = [i for i, kind in enumerate(kinds) if kind == "same"]
    assert len(same) >= 10
    for bar in same:
        notes = [
            [
                (s, d, p)
                for s, d, p in zip(x.start_q, x.duration_q, x.pitch_midi, strict=True)
                if 4 * bar <= s < 4 * bar + 4
            ]
            for x in (before.parts[0], melody)
        ]
        assert notes[0] == notes[1]


def test_what_is_not_midi_becomes_midi(tmp_path):
    score = read_score(find_example("score"))
    result = vary(score, bar="2", notes=["C5:16"])
    path = result.save(tmp_path / "varied.mid")
    after = read_score(path)
    assert len(after) == 2
    np.testing.assert_array_equal(after.parts[1].pitch_midi, score.parts[1].pitch_midi)
    assert after.parts[0].pitch_midi[4] == 72


def test_new_bars_from_another_tune_and_drawn_ones(tmp_path):
    example, other = find_example("score"), tmp_path / "other.mid"
    other.write_bytes(write_score(score_of(make_song(np.random.default_rng(3)).symbols()[:8])))
    symbols = find_line(other).tune.symbols
    taken = vary(example, bar="1-2", from_=f"{other}:3-4")
    start, _, pitch = from_bars(symbols[2:4])
    n = len(start)
    assert taken.notes.pitch_midi[:n].tolist() == pitch.tolist()
    drawn = vary(example, bar="3", seed=5)
    assert vary(example, bar="3", seed=5) == drawn
    assert drawn.changes.label[2] == "edited"
    assert [name.split("@")[0] for name in drawn.model.split(", ")] == ["structure", "structure.prior"]
    assert taken.model.startswith("structure@")
    assert "prior" not in taken.model
    assert any(vary(example, bar="3", seed=seed).notes != drawn.notes for seed in range(3))
    longer = vary(example, extend=4, seed=1)
    assert len(longer.bars) == 20
    assert longer.changes.label.tolist() == ["same"] * 16 + ["new"] * 4
    between = vary(example, toward=other, amount=0.5)
    assert len(between.form) == len(symbols)
    near = vary(example, toward=other, amount=0.0)
    original = read_score(example).parts[0].pitch_midi
    assert np.mean(near.notes.pitch_midi[:10] == original[:10]) > 0.5
    assert Result.from_dict(json.loads(json.dumps(longer.to_dict()))) == longer


def test_notes_in_words():
    assert parse_notes(["C4:2", "c#4:1", "Bb3:1", "r:2", "60:2"], 8).tolist() == [62, 1, 63, 60, 0, 0, 62, 1]
