"""The verb on sounds that are hardly music, and on music that it must get right."""

import numpy as np
import pytest
import soxr

import ottava
from ottava.corpora.rendered.performance import Performance
from ottava.corpora.rendered.synthesis import ModelledString
from ottava.errors import InputError, UsageError
from ottava.metrics.transcription import evaluate
from ottava.results import Notes

RATE = 16000


@pytest.fixture(scope="module")
def model():
    return ottava.load("transcription", threads=1)


def tone(seconds, hz=220.0, rate=RATE):
    t = np.arange(int(seconds * rate)) / rate
    return sum(np.sin(2 * np.pi * n * hz * t) / n for n in range(1, 6)) * np.exp(-2 * t) * 0.2


@pytest.mark.parametrize("seconds", [0.0, 1 / RATE, 0.05, 1.0, 40.0])
def test_silence_has_no_notes(model, seconds):
    result = model((np.zeros(round(seconds * RATE)), RATE))
    assert len(result.notes) == 0
    assert result.duration_s == pytest.approx(seconds, abs=1e-4)


@pytest.mark.parametrize("level", [1.0, -1.0, 0.5])
def test_a_constant_is_silence_but_for_its_ends(model, level):
    assert len(model((np.full(5 * RATE, level), RATE)).notes) <= 4


def test_clicks_are_no_tones(model):
    clicks = np.zeros(10 * RATE)
    clicks[RATE // 2 :: RATE] = 0.9
    notes = model((clicks, RATE)).notes
    assert (notes.instrument == "drums").all() or len(notes[notes.instrument != "drums"]) <= 10


@pytest.mark.parametrize("seconds", [0.001, 0.05, 0.3])
def test_short_sounds_give_valid_notes(model, seconds):
    result = model((tone(seconds), RATE))
    assert (result.notes.end_s <= seconds + 1e-9).all()


@pytest.mark.parametrize(
    "sound",
    [
        np.sign(tone(3.0)),
        np.random.default_rng(0).uniform(-1, 1, 3 * RATE),
        tone(3.0) * 1e-6,
        tone(3.0) * 100,
        np.stack([tone(3.0)] * 6, axis=1),
    ],
    ids=["square", "noise", "faint", "far above full scale", "six channels"],
)
def test_odd_levels_and_channels_give_a_result(model, sound):
    result = model((sound, RATE))
    assert result.duration_s == pytest.approx(3.0)
    assert Notes.from_dict(result.notes.to_dict()) == result.notes


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused_with_their_time(model, bad):
    sound = tone(3.0)
    sound[2 * RATE] = bad
    with pytest.raises(InputError, match=r"2\.0"):
        model((sound, RATE))


def test_unknown_options_are_refused(model):
    with pytest.raises(UsageError, match="kazoo"):
        model((tone(1.0), RATE), instruments=["kazoo"])
    with pytest.raises(UsageError, match="onset threshold"):
        model((tone(1.0), RATE), onset_threshold=0)


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 96000])
def test_a_simple_tune_is_written_down_at_any_rate(model, rate):
    rng = np.random.default_rng(4)
    pitches = np.array([60, 64, 67, 72, 71, 67, 62, 65, 69, 74, 72, 69, 59, 62, 67, 71, 48, 55, 64, 72])
    start = 0.5 + 0.4 * np.arange(len(pitches))
    played = Performance(start, start + 0.35, pitches, np.full(len(pitches), 80))
    sound = ModelledString(rng, RATE).play(played, rng)
    sound = soxr.resample(sound / np.abs(sound).max() * 0.5, RATE, rate)
    truth = Notes(start, start + 0.35, pitches, played.velocity, np.ones(20), ["keys"] * 20)
    assert evaluate(truth, model((sound, rate)).notes)["note_f"] > 0.8


def test_a_list_gives_errors_in_their_places(tmp_path):
    (tmp_path / "no.wav").write_bytes(b"")
    results = list(ottava.transcribe([(tone(1.0), RATE), tmp_path / "no.wav", (tone(1.0), RATE)]))
    assert isinstance(results[1], InputError)
    assert results[0].notes == results[2].notes
