"""Scores against numbers worked by hand, and against mir_eval on random material."""

from __future__ import annotations

import builtins
import math

import mir_eval
import numpy as np
import pytest

from ottava.errors import MissingError, UsageError
from ottava.metrics.transcription import average_precision, count, evaluate, frames, mean, pool, score
from ottava.results import FAMILIES, Notes


def notes(*rows, instrument="keys"):
    """Make notes from rows (start, end, pitch[, velocity[, instrument]])."""
    full = [(*row, *(64, instrument)[len(row) - 3 :]) for row in rows]
    start, end, pitch, velocity, instruments = zip(*full, strict=True)
    return Notes(start, end, pitch, velocity, np.ones(len(rows)), instruments)


def random_notes(rng, n, *, like=None):
    """Draw notes; `like` gives most of them a true counterpart nearby."""
    start = np.sort(rng.uniform(0, 20, n))
    length = rng.uniform(0.05, 1.5, n)
    pitch, velocity = rng.integers(40, 80, n), rng.integers(20, 120, n)
    instrument = rng.choice(FAMILIES, n)
    if like is not None:
        keep = rng.random(n) < 0.8
        start[keep] = np.maximum(0, like.start_s[:n][keep] + rng.normal(0, 0.03, keep.sum()))
        length[keep] = (like.end_s - like.start_s)[:n][keep] * rng.uniform(0.7, 1.3, keep.sum())
        pitch[keep], instrument[keep] = like.pitch_midi[:n][keep], like.instrument[:n][keep]
        velocity[keep] = np.clip(like.velocity[:n][keep] * 0.7 + rng.normal(0, 8, keep.sum()), 1, 127)
    return Notes(start, start + length, pitch, velocity, np.ones(n), instrument)


def as_mir_eval(record):
    intervals = np.column_stack((record.start_s, record.end_s))
    return intervals, mir_eval.util.midi_to_hz(record.pitch_midi.astype(float))


def test_notes_by_hand():
    truth = notes((0.0, 1.0, 60), (1.0, 2.0, 62), (2.0, 3.0, 64), (3.0, 4.0, 65))
    estimate = notes(
        (0.05, 1.19, 60),  # onset just inside 50 ms, end inside 20 %: right with and without end
        (1.0, 1.5, 62),  # end half a second early: right without end only
        (2.051, 3.0, 64),  # onset too late
        (3.0, 4.0, 66),  # a semitone off
        (3.0, 4.0, 77),
    )
    scores = evaluate(truth, estimate)
    assert scores["note_p"] == pytest.approx(2 / 5)
    assert scores["note_r"] == pytest.approx(2 / 4)
    assert scores["note_f"] == pytest.approx(4 / 9)
    assert scores["note_offset_f"] == pytest.approx(2 / 9)


def test_a_note_matches_once():
    truth = notes((0.0, 1.0, 60))
    scores = evaluate(truth, notes((0.0, 0.5, 60), (0.01, 1.0, 60)))
    assert scores["note_p"] == 0.5
    assert scores["note_r"] == 1.0


def test_matching_is_maximal_not_greedy():
    # The first estimate is nearest to the second truth; taking that pair would leave the other two alone.
    truth = notes((1.00, 2, 60), (1.04, 2, 60))
    assert evaluate(truth, notes((1.03, 2, 60), (1.08, 2, 60)))["note_f"] == 1.0


def test_short_notes_may_end_50_ms_off_long_ones_a_fifth():
    assert evaluate(notes((0, 0.1, 60)), notes((0, 0.15, 60)))["note_offset_f"] == 1
    assert evaluate(notes((0, 0.1, 60)), notes((0, 0.16, 60)))["note_offset_f"] == 0
    assert evaluate(notes((0, 2.0, 60)), notes((0, 2.39, 60)))["note_offset_f"] == 1


def test_velocity_by_hand():
    truth = notes((0, 1, 60, 20), (1, 2, 60, 40), (2, 3, 60, 60), (3, 4, 60, 100))
    softer = notes((0, 1, 60, 10), (1, 2, 60, 20), (2, 3, 60, 30), (3, 4, 60, 50))
    assert evaluate(truth, softer)["note_velocity_f"] == 1.0, "a common scale is forgiven"
    # True velocities scale to 0, .25, .5, 1; a flat estimate fits their mean, .4375: near .5 only.
    flat = notes(*((i, i + 1, 60, 64) for i in range(4)))
    assert evaluate(truth, flat)["note_velocity_f"] == pytest.approx(1 / 4)


def test_family_must_agree():
    truth = notes((0, 1, 60, 64, "keys"), (1, 2, 62, 64, "bowed"), (2, 3, 64, 64, "bowed"))
    estimate = notes((0, 1, 60, 64, "keys"), (1, 2, 62, 64, "keys"), (2, 3, 64, 64, "bowed"))
    scores = evaluate(truth, estimate)
    assert scores["note_f"] == 1
    assert scores["note_family_f"] == pytest.approx(2 / 3)
    assert (scores["note_keys_p"], scores["note_keys_r"]) == (0.5, 1.0)
    assert scores["note_bowed_r"] == 0.5
    assert math.isnan(scores["note_voice_f"])


def test_drums_by_class_and_apart_from_notes():
    truth = notes((0, 0.1, 36), (1, 1.1, 38), (1, 1.1, 42), (2, 2.1, 49), instrument="drums")
    estimate = notes((0.05, 0.1, 35), (1, 1.1, 36), (1, 1.1, 46), (2.06, 2.1, 49), instrument="drums")
    scores = evaluate(truth, estimate)
    assert scores["drum_kick_p"] == 0.5, "either bass drum key is a kick; the one at 1 s is not in the truth"
    assert scores["drum_snare_r"] == 0
    assert scores["drum_hi-hat_f"] == 1
    assert scores["drum_cymbals_f"] == 0, "60 ms off"
    assert scores["drum_f"] == pytest.approx(2 * 2 / (4 + 4))
    assert math.isnan(scores["note_f"])
    assert math.isnan(scores["frame_f"])


def test_frames_by_hand():
    # One second together, then the truth goes on alone for one, then the estimate alone for two.
    truth, estimate = notes((0, 2, 60)), notes((0, 1, 60), (2, 4, 72))
    scores = evaluate(truth, estimate)
    assert scores["frame_p"] == pytest.approx(1 / 3)
    assert scores["frame_r"] == pytest.approx(1 / 2)
    assert scores["frame_f"] == pytest.approx(2 / 5)
    assert scores["frame_accuracy"] == pytest.approx(1 / 4)
    assert scores["frame_error"] == pytest.approx((1 + 2) / 2)


def test_frames_include_the_start_and_not_the_end():
    roll = frames(notes((0.1, 0.3, 60)), [0.0, 0.1, 0.2, 0.3])
    assert roll[:, 60].tolist() == [False, True, True, False]
    assert roll.sum() == 2


def test_empty_sides():
    some, none = notes((0, 1, 60)), Notes.empty()
    assert evaluate(some, none)["note_f"] == 0
    assert evaluate(none, some)["note_f"] == 0
    assert evaluate(some, none)["frame_f"] == 0
    assert evaluate(some, none)["frame_error"] == 1
    assert all(math.isnan(value) for value in evaluate(none, none).values())


def test_mean_and_pool_differ_as_they_should():
    perfect, poor = notes((0, 1, 60)), notes(*((i, i + 1, 60) for i in range(9)))
    counts = [count(perfect, perfect), count(poor, perfect)]
    assert mean(map(score, counts))["note_r"] == pytest.approx((1 + 1 / 9) / 2)
    assert score(pool(counts))["note_r"] == pytest.approx(2 / 10)
    assert mean([{"a": 1.0}, {"a": math.nan}])["a"] == 1.0
    assert math.isnan(mean([{"a": math.nan}])["a"])
    for function in (mean, pool):
        with pytest.raises(UsageError):
            function([])


def test_average_precision_by_hand():
    # Sorted: right, wrong, right, wrong. Recall rises by 1/2 at precision 1 and at precision 2/3.
    assert average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert average_precision([[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]]) == 1.0
    # A tie is one step: half of all cells are right, in whatever order they stand.
    assert average_precision([1, 0, 0, 1], [0.5] * 4) == average_precision([0, 1, 1, 0], [0.5] * 4) == 0.5
    assert math.isnan(average_precision([0, 0], [0.1, 0.2]))


def test_average_precision_against_a_slow_loop():
    rng = np.random.default_rng(5)
    truth, posteriors = rng.random((30, 10)) < 0.2, rng.integers(0, 20, (30, 10)) / 20
    area, recall = 0.0, 0.0
    for threshold in sorted(set(posteriors.ravel()), reverse=True):
        chosen = posteriors >= threshold
        right = (chosen & truth).sum()
        area += (right / truth.sum() - recall) * right / chosen.sum()
        recall = right / truth.sum()
    assert average_precision(truth, posteriors) == pytest.approx(area, abs=1e-12)


def test_average_precision_refuses_nonsense():
    with pytest.raises(UsageError, match="shapes"):
        average_precision([[1, 0]], [1, 0])
    with pytest.raises(UsageError, match="finite"):
        average_precision([1, 0], [float("nan"), 0])


@pytest.mark.parametrize("seed", range(5))
def test_mir_eval_agrees_on_notes(seed):
    rng = np.random.default_rng(seed)
    truth = random_notes(rng, 150)
    estimate = random_notes(rng, 140, like=truth)
    scores, pair = evaluate(truth, estimate), (*as_mir_eval(truth), *as_mir_eval(estimate))
    referee = mir_eval.transcription.precision_recall_f1_overlap
    assert 0.3 < scores["note_f"] < 0.95, "the case is not trivial"
    expected = referee(*pair, offset_ratio=None)[:3]
    assert [scores[f"note_{k}"] for k in "prf"] == pytest.approx(expected, abs=1e-12)
    assert [scores[f"note_offset_{k}"] for k in "prf"] == pytest.approx(referee(*pair)[:3], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_mir_eval_agrees_on_velocities(seed):
    rng = np.random.default_rng(100 + seed)
    truth = random_notes(rng, 120)
    estimate = random_notes(rng, 120, like=truth)
    (intervals, hz), (intervals_2, hz_2) = as_mir_eval(truth), as_mir_eval(estimate)
    scores = evaluate(truth, estimate)
    for name, ratio in (("note_velocity", None), ("note_offset_velocity", 0.2)):
        expected = mir_eval.transcription_velocity.precision_recall_f1_overlap(
            intervals, hz, truth.velocity, intervals_2, hz_2, estimate.velocity, offset_ratio=ratio
        )[:3]
        assert 0 < scores[f"{name}_f"] < 0.95
        assert [scores[f"{name}_{k}"] for k in "prf"] == pytest.approx(expected, abs=1e-12)


def test_mir_eval_agrees_on_frames():
    rng = np.random.default_rng(8)
    truth = random_notes(rng, 60)
    estimate = random_notes(rng, 60, like=truth)
    times = np.arange(int(np.ceil(max(truth.end_s.max(), estimate.end_s.max()) / 0.01))) * 0.01
    hz = mir_eval.util.midi_to_hz(np.arange(128.0))
    lists = [[hz[row] for row in frames(record, times)] for record in (truth, estimate)]
    expected = mir_eval.multipitch.evaluate(times, lists[0], times, lists[1])
    scores = evaluate(truth, estimate)
    assert scores["frame_p"] == pytest.approx(expected["Precision"], abs=1e-12)
    assert scores["frame_r"] == pytest.approx(expected["Recall"], abs=1e-12)
    assert scores["frame_accuracy"] == pytest.approx(expected["Accuracy"], abs=1e-12)
    assert scores["frame_error"] == pytest.approx(expected["Total Error"], abs=1e-12)


def test_mir_eval_agrees_on_one_empty_side():
    truth = notes((0, 1, 60))
    with pytest.warns(UserWarning, match="empty"):
        expected = mir_eval.transcription.precision_recall_f1_overlap(
            *as_mir_eval(truth), np.empty((0, 2)), np.empty(0)
        )
    assert evaluate(truth, Notes.empty())["note_f"] == expected[2] == 0


def test_tolerance_must_be_positive():
    with pytest.raises(UsageError, match="onset_tolerance_s"):
        evaluate(Notes.empty(), Notes.empty(), onset_tolerance_s=0)


def test_without_mir_eval_the_message_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def blocked(name, *rest):
        if name.startswith("mir_eval"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(MissingError, match=r"ottava\[train\]"):
        evaluate(Notes.empty(), Notes.empty())
