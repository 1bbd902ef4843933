"""Stems: is each heard alone, and does a mix hold just those that were drawn?"""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("symusic")

from instruments import Sines, played, soundfont
from ottava.corpora.rendered import Recipe, Stems, casting, load_item, load_stems, make_rendered
from ottava.corpora.rendered.fonts import SoundFont
from ottava.corpora.rendered.performance import DRUMS, Performance
from ottava.corpora.rendered.stems import plan_takes, record_stems
from ottava.errors import InputError, UsageError
from ottava.results import FAMILIES
from ottava.signal.logfreq import LogFrequency

RATE = 16000
FEATURES = LogFrequency()


@pytest.fixture
def sines(monkeypatch):
    monkeypatch.setattr(casting, "open_instruments", lambda path, without: Sines(range(128)))
    monkeypatch.setattr(casting, "_STRING_SHARE", 0)
    monkeypatch.setattr(casting, "_TONE_SHARES", {})


def stems_of(planned, part, seed=0, length_s=5.0):
    return record_stems(
        planned,
        np.array(part),
        np.random.default_rng(seed),
        sources=casting.Sources([Path("a")]),
        length_s=length_s,
        tune=1.0,
        varied=False,
        recorded=False,
    )


def test_every_part_gets_its_takes_and_no_range_is_left():
    rng = np.random.default_rng(1)
    parts = [played([60, 64, 67]), played([36, 48, 55, 72])]
    planned, part = plan_takes(parts, [Performance(*(np.array([x]) for x in (0.5, 0.6, 36, 90)), DRUMS)], 4, rng)
    assert len(planned) == len(part)
    assert {int(p) for p, (family, _) in zip(part, planned, strict=True) if family == "drums"} == {part.max()}
    assert max(np.bincount(part)) == 4
    for family, performance in planned:
        if family == "bass":
            assert performance.pitch_midi.max() <= 60


def test_each_stem_is_heard_alone(sines):
    planned = [("bowed", played([60, 64], program=42)), ("winds", played([67], program=71, begin_s=2.4))]
    stems, names = stems_of(planned, [0, 1])
    assert names == ["a:42", "a:71"]
    assert stems.features.shape == (2, 2, FEATURES.features(np.zeros(5 * RATE, np.float32)).shape[1], 288)
    assert [rows[:, 2].tolist() for rows in stems.notes] == [[60, 64], [67]]
    assert [int(rows[0, 4]) for rows in stems.notes] == [FAMILIES.index("bowed"), FAMILIES.index("winds")]
    levels = stems.features.astype(float) / 255
    early, late = (round(t / FEATURES.frame_s) for t in (0.6, 2.6))
    assert levels[0, 0, early].argmax() == pytest.approx(3 * (60 - 21) + 1, abs=1)
    assert levels[1, 0, late].argmax() == pytest.approx(3 * (67 - 21) + 1, abs=1)
    assert levels[0, 0, early].max() > levels[1, 0, early].max() + 0.3
    assert levels[0, 0, early].max() == pytest.approx(levels[1, 0, late].max(), abs=0.05)  # equally loud


def test_stems_are_written_resumed_and_read(sines, tmp_path):
    scores = Recipe(soundfonts=(Path("a"),), length_s=5)
    assert make_rendered(tmp_path, scores, count=1, form="stems") == 1
    assert make_rendered(tmp_path, scores, count=1, form="stems") == 0
    (path,) = (tmp_path / "train").glob("*.npz")
    stems, about = load_stems(path)
    assert about["kind"] == "stems"
    assert len(stems.features) == len(stems.part) == len(stems.notes) == len(about["sources"])
    assert all(len(rows) for rows in stems.notes)
    with pytest.raises(InputError, match="another form"):
        load_item(path)


def test_a_mix_is_no_stems(tmp_path):
    arrays = {"features": np.zeros((2, 4, 288), np.uint8), "notes": np.zeros((0, 5), np.float32)}
    np.savez(tmp_path / "a.npz", about=np.array(json.dumps({"kind": "piano"})), **arrays)
    with pytest.raises(InputError, match="another form"):
        load_stems(tmp_path / "a.npz")


def test_stems_without_instruments_are_refused(tmp_path):
    with pytest.raises(UsageError, match="stems need instruments"):
        make_rendered(tmp_path, Recipe(kinds={"piano": 1.0}), count=1, form="stems")


def test_programs_can_be_forbidden(tmp_path):
    path = tmp_path / "a.sf2"
    path.write_bytes(soundfont((80, 90)))
    assert SoundFont(path).keys(3)
    assert not SoundFont(path, frozenset({3})).keys(3)
    assert not SoundFont(path, frozenset({DRUMS})).keys(DRUMS)
    with pytest.raises(UsageError, match="font 'b'"):
        Recipe(soundfonts=(path,), without=(("b", frozenset({1})),))


def test_one_run_has_room_for_fifteen_instruments_and_one_kit():
    runs = []

    class Counting(Sines):
        def _render(self, midi):
            runs.append(midi)
            return super()._render(midi)

    parts = [played([50 + i], length_s=0.2, program=i) for i in range(20)]
    parts += [played([36], length_s=0.2, program=DRUMS) for _ in range(3)]
    sounds = Counting(range(128)).play_apart(parts, [16000.0] * 23)
    assert len(runs) == 3
    for part, sound in zip(parts, sounds, strict=True):
        cut = sound[int(0.42 * 16000) : int(0.58 * 16000)]
        hz = np.argmax(np.abs(np.fft.rfft(cut * np.hanning(len(cut)), 1 << 15))) * 16000 / (1 << 15)
        assert hz == pytest.approx(440 * 2 ** ((part.pitch_midi[0] - 69) / 12), rel=0.03)


def made_stems():
    """Two parts of two takes each, and a beat of one: one tone a stem, in a bin of its own."""
    levels = np.zeros((5, 2, 50, 288), np.uint8)
    notes = []
    for stem in range(5):
        levels[stem, :, 20:30, 10 * stem] = 200
        family = 6 if stem == 4 else stem
        notes.append(np.array([[20 * FEATURES.frame_s, 30 * FEATURES.frame_s, 40 + stem, 64, family]], np.float32))
    return Stems(levels, np.array([0, 0, 1, 1, 2]), notes)


def test_a_mix_holds_one_take_of_each_part_and_its_notes():
    pytest.importorskip("lightning", reason="needs ottava[train]")
    from ottava.systems.transcription.train.mixing import mix_stems

    stems, seen = made_stems(), set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        levels, notes = mix_stems(stems, rng, first_frame=10, n_frames=30, frame_s=FEATURES.frame_s)
        heard = frozenset(np.flatnonzero(levels[0, 15, :50:10] > 0.3).tolist())
        assert heard == {int(p) - 40 for p in notes[:, 2]}
        assert len(heard & {0, 1}) <= 1
        assert len(heard & {2, 3}) <= 1
        assert heard & {0, 1, 2, 3}
        assert notes[:, 0].tolist() == pytest.approx([10 * FEATURES.frame_s] * len(notes))
        assert levels.shape == (2, 30, 288)
        assert levels[:, :10].max() == 0
        seen.add(heard)
    assert len(seen) > 8


def test_an_instrument_of_the_same_family_may_double_another():
    pytest.importorskip("lightning", reason="needs ottava[train]")
    from ottava.systems.transcription.train.mixing import mix_stems

    stems = made_stems()
    for notes in stems.notes[:2]:
        notes[:, 4] = 0
    together = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        levels, notes = mix_stems(stems, rng, first_frame=0, n_frames=50, frame_s=FEATURES.frame_s)
        heard = frozenset(np.flatnonzero(levels[0, 25, :50:10] > 0.2).tolist())
        assert heard == {int(p) - 40 for p in notes[:, 2]}
        assert len(heard & {2, 3}) <= 1  # of two families
        together += {0, 1} <= heard
    assert 15 < together < 80


def test_drums_come_as_often_as_asked():
    pytest.importorskip("lightning", reason="needs ottava[train]")
    from ottava.systems.transcription.train.mixing import mix_stems

    stems = made_stems()
    rng = np.random.default_rng(0)
    both = [
        mix_stems(stems, rng, first_frame=0, n_frames=50, frame_s=FEATURES.frame_s, drum_share=share)[1]
        for share in [0.0] * 10 + [1.0] * 10
    ]
    assert [bool((notes[:, 4] == 6).any()) for notes in both] == [False] * 10 + [True] * 10


def test_stretched_levels_keep_the_loudest_and_nothing_stays_nothing():
    pytest.importorskip("lightning", reason="needs ottava[train]")
    from ottava.systems.transcription.train.mixing import _stretched

    levels = np.array([[0, 50, 150, 200]], np.uint8)
    db = 10 * np.log10(np.maximum(_stretched(levels, np.random.default_rng(0)), 1e-9))
    assert db[0, 3] == pytest.approx(200 * 100 / 255, abs=0.01)
    assert db[0, 0] == -90
    assert (db[0, 3] - db[0, 1]) / (db[0, 3] - db[0, 2]) == pytest.approx(3, abs=0.01)  # in decibels all by one factor


def test_a_room_answers_later_and_dies_away_highs_sooner():
    pytest.importorskip("lightning", reason="needs ottava[train]")
    from ottava.systems.transcription.train.mixing import _tail

    stroke = np.zeros((2, 80, 288), np.float32)
    stroke[:, 10] = 1
    for seed in range(8):
        tail = _tail(stroke, np.random.default_rng(seed), FEATURES.frame_s)
        assert not tail[:, :11].any()
        assert (np.diff(tail[:, 11:], axis=1) <= 0).all()
        assert (tail[:, 14, -1] / tail[:, 11, -1] < tail[:, 14, 0] / tail[:, 11, 0]).all()
