"""The rendered corpus: does the sound agree with its notes, and is it the same every time?"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ottava.corpora.pairs import Pairs
from ottava.corpora.rendered import Recipe, load_item, make_item, make_rendered, recording
from ottava.corpora.rendered.arrangement import PROGRAMS, arrange_ensemble, split_by_register
from ottava.corpora.rendered.fonts import to_midi
from ottava.corpora.rendered.performance import Performance, humanise, press_pedal
from ottava.corpora.rendered.pieces import made_up_piece
from ottava.corpora.rendered.synthesis import ModelledString, SampledInstrument
from ottava.errors import InputError, UsageError
from ottava.io.general_midi import family_of_program
from ottava.signal.logfreq import LogFrequency

RATE = 16000


def scale(pitches=(45, 52, 57, 60, 64, 69, 76, 81), step_s=0.8, length_s=0.5, velocity=80):
    n = len(pitches)
    start = 0.4 + step_s * np.arange(n)
    return Performance(start, start + length_s, np.array(pitches), np.full(n, velocity))


def onset_s(sound, near_s):
    """Return when the power first reaches a tenth of what it becomes."""
    first = int((near_s - 0.1) * RATE)
    power = np.convolve(np.square(sound[first : first + RATE // 3]), np.ones(40) / 40, "same")
    return (first + np.argmax(power > 0.1 * power.max())) / RATE


def pitch_at(sound, time_s):
    """Return the lowest MIDI pitch whose bin stands out at a time."""
    features = LogFrequency().features(sound.astype(np.float32))[0, int(time_s / 0.024)]
    peaks = [
        b for b in range(1, 287) if features[b] >= features[b - 1 : b + 2].max() and features[b] > features.max() - 0.25
    ]
    return 21 + (peaks[0] - 1) / 3


@pytest.fixture
def samples(tmp_path):
    """Sampled pianos are folders of named files; this one has three decaying tones at 44.1 kHz, each late by 50 ms."""
    t = np.arange(44100 * 2) / 44100
    for name, pitch in (("A2v1", 45), ("A3v1", 57), ("A4v1", 69), ("A3v2", 57)):
        hz = 440 * 2 ** ((pitch - 69) / 12)
        tone = sum(np.sin(2 * np.pi * n * hz * t) / n for n in (1, 2, 3)) * np.exp(-3 * t) / 4
        soundfile.write(tmp_path / f"{name}.wav", np.concatenate([np.zeros(2205), tone]), 44100)
    return tmp_path


def test_a_sampled_instrument_plays_what_is_written_when_it_is_written(samples):
    part = scale()
    sound = SampledInstrument([samples]).play(part, np.random.default_rng(0))
    for start, pitch in zip(part.start_s, part.pitch_midi, strict=True):
        assert onset_s(sound, start) == pytest.approx(start, abs=0.008)
        assert pitch_at(sound, start + 0.2) == pytest.approx(pitch, abs=0.34)


def test_a_modelled_string_plays_what_is_written_when_it_is_written():
    for seed in range(2):
        rng = np.random.default_rng(seed)
        part = scale(pitches=(52, 57, 60, 64, 69, 76))
        sound = ModelledString(rng).play(part, rng)
        for start in part.start_s:
            assert onset_s(sound, start) == pytest.approx(start, abs=0.008)


def test_the_damper_ends_a_note(samples):
    part = scale(pitches=(57,), length_s=0.3)
    sound = SampledInstrument([samples]).play(part, np.random.default_rng(0))
    rms = [np.sqrt(np.mean(sound[int(t * RATE) : int((t + 0.05) * RATE)] ** 2)) for t in (0.6, 1.5)]
    assert rms[1] < 0.05 * rms[0]


def test_a_folder_without_samples_is_refused(tmp_path):
    with pytest.raises(InputError, match="no samples"):
        SampledInstrument([tmp_path])


def test_midi_for_the_synthesiser_has_the_notes_and_the_kit():
    symusic = pytest.importorskip("symusic")
    part = scale()
    drums = Performance(part.start_s, part.end_s, np.full(8, 38), part.velocity, -1 - 8)
    score = symusic.Score.from_midi(to_midi([part, drums], volumes=[100, 90])).to("second")
    keys, kit = sorted(score.tracks, key=lambda track: track.is_drum)
    assert np.allclose([n.start for n in keys.notes], part.start_s, atol=0.002)
    assert [n.pitch for n in keys.notes] == part.pitch_midi.tolist()
    assert kit.is_drum
    assert kit.program == 8


def test_a_performance_can_be_played():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        (played,) = humanise(made_up_piece(rng), rng, bpm=70)
        for version in (played, press_pedal(played, rng, period_s=1.0)):
            assert (version.end_s > version.start_s).all()
            assert (np.diff(version.start_s) >= 0).all()
            assert ((version.velocity >= 1) & (version.velocity <= 127)).all()
            for pitch in np.unique(version.pitch_midi):
                mine = version.pitch_midi == pitch
                assert (version.end_s[mine][:-1] <= version.start_s[mine][1:]).all()
        assert len(played) > 20


def test_the_pedal_only_lengthens():
    rng = np.random.default_rng(0)
    (played,) = humanise(made_up_piece(rng), rng, bpm=70)
    held = press_pedal(played, rng, period_s=1.5)
    assert np.array_equal(held.start_s, played.start_s)
    assert (held.end_s >= played.end_s - 1e-9).all()
    assert (held.end_s > played.end_s + 0.05).mean() > 0.2


def test_programs_belong_to_their_families():
    for family, programs in PROGRAMS.items():
        assert {family_of_program(p) for p in programs} == {family}


def test_registers_share_the_notes_out():
    rng = np.random.default_rng(3)
    (played,) = humanise(made_up_piece(rng), rng, bpm=70)
    parts = split_by_register(played)
    assert sorted(t for p in parts for t in p.start_s) == sorted(played.start_s)
    assert arrange_ensemble([played, played], None, rng)


@pytest.mark.parametrize("stage", [recording.add_room, recording.equalise, recording.add_noise, recording.pass_codec])
def test_a_recording_does_not_move_the_sound_in_time(stage):
    click = np.zeros(RATE * 2, np.float32)
    click[RATE : RATE + 200] = np.hanning(200)
    for seed in range(4):
        changed = stage(click, np.random.default_rng(seed), rate_hz=RATE)
        assert len(changed) == len(click)
        assert abs(int(np.abs(changed).argmax()) - (RATE + 100)) < 0.008 * RATE


RECIPE = Recipe(split="train", kinds={"piano": 1.0}, length_s=6)


def test_an_item_is_the_same_every_time_and_others_differ():
    sound, notes, about = make_item(RECIPE, 0, 3)
    again, same, _ = make_item(RECIPE, 0, 3)
    other, _, _ = make_item(RECIPE, 0, 4)
    assert np.array_equal(sound, again)
    assert np.array_equal(notes, same)
    assert not np.array_equal(sound[: len(other)], other[: len(sound)])
    assert about["kind"] == "piano"
    assert np.abs(sound).max() <= 1


def test_a_corpus_is_resumed_and_loads(tmp_path):
    seen = []
    assert make_rendered(tmp_path, RECIPE, count=2, progress=lambda *n: seen.append(n)) == 2
    assert seen == [(1, 2), (2, 2)]
    first = tmp_path / "train" / "000-000000.npz"
    before = first.read_bytes()
    (tmp_path / "train" / "000-000001.npz").unlink()
    assert make_rendered(tmp_path, RECIPE, count=2) == 1
    assert first.read_bytes() == before
    features, notes, about = load_item(first)
    assert features.shape[0] == 2
    assert features.shape[2] == 288
    assert features.dtype == np.uint8
    assert notes.shape[1] == 5
    assert json.dumps(about)


def test_a_damaged_shard_is_named(tmp_path):
    shard = tmp_path / "000-000000.npz"
    shard.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(InputError, match="this shard is damaged"):
        load_item(shard)


def test_sound_and_truth_go_together(tmp_path):
    make_rendered(tmp_path, RECIPE, count=1, form="sound")
    (item,) = Pairs(tmp_path).items("test")
    _, notes, _ = make_item(RECIPE, 0, 0)
    truth = item.truth()
    assert np.allclose(np.sort(truth.start_s), np.sort(notes[:, 0]), atol=1e-4)
    assert soundfile.info(item.audio).samplerate == RATE


@pytest.mark.parametrize("wrong", [{"split": "dev"}, {"kinds": {"ensemble": 1.0}}, {"length_s": 1.0}])
def test_recipes_that_cannot_be_are_refused(wrong):
    with pytest.raises(UsageError):
        Recipe(**({"kinds": {"piano": 1.0}} | wrong))


def test_a_folder_without_scores_is_refused(tmp_path):
    with pytest.raises(InputError, match="no scores"):
        make_item(Recipe((tmp_path,), kinds={"piano": 1.0}), 0, 0)


def test_unrecorded_sound_is_what_the_instruments_gave():
    recipe = Recipe(kinds={"piano": 1.0}, length_s=5)
    dry, notes, _ = make_item(replace(recipe, recorded=False), 0, 0)
    wet, same, _ = make_item(recipe, 0, 0)
    np.testing.assert_array_equal(notes, same)
    assert np.abs(dry).max() == pytest.approx(0.7)
    before = int(0.9 * notes[0, 0] * 16000)
    assert np.abs(dry[:before]).max() < 1e-4 < np.abs(wet[:before]).max()  # no noise, no room


def test_samples_need_a_family_that_there_is():
    with pytest.raises(UsageError, match="kazoo"):
        Recipe(kinds={"piano": 1.0}, samples=(("kazoo", Path("a")),))
