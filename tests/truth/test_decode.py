"""Decoding against posteriors worked out by hand and against a slow reading of the rules."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottava.errors import UsageError
from ottava.results import DRUM_CLASSES, FAMILIES
from ottava.systems.transcription.decode import Thresholds, decode, decode_stream
from ottava.systems.transcription.families.naming import AHEAD, BEHIND, GROUP, HEARD, Naming, Roll, hear

FRAME_S = 0.024


def silence(n):
    shapes = {"onset": 88, "frame": 88, "offset": 88, "velocity": 88, "drum_onset": 5, "drum_velocity": 5}
    return {k: np.zeros((n, size), np.float32) for k, size in shapes.items()} | {
        "features": np.zeros((n, 1, 288), np.float32)
    }


class Listener:
    """Names the player whose number, in tenths, :func:`play` has written after the onset, and keys a little.

    It finds an onset as likely as that is high, but for pitches it was told about.
    """

    width = len(FAMILIES) + 1

    def __init__(self, likely=None):
        self.likely = likely or {}

    def describe(self, levels, frame, pitch, heard):
        family = np.rint(levels[0, np.minimum(frame + 1, levels.shape[1] - 1), 3 * pitch] * 10).astype(int)
        sure = [self.likely.get((int(f), int(p) + 21), h) for f, p, h in zip(frame, pitch, heard[:, 2], strict=True)]
        return np.column_stack([np.eye(len(FAMILIES))[family % len(FAMILIES)], sure]).astype(np.float32)

    def compare(self, described, pitch, time_s):
        keys = np.float32([name == "keys" for name in FAMILIES] + [0])
        return described * np.float32([0.7] * len(FAMILIES) + [1]) + 0.3 * keys


def play(posteriors, begin, end, pitch, family="keys", velocity=0.5, height=1.0):
    """Draw the posteriors of one note whose times, in frames, need not be whole."""
    p = pitch - 21
    for t in range(len(posteriors["onset"])):
        rise = height * max(0.0, 1 - abs(t - begin) / 1.5)
        if rise:
            posteriors["onset"][t, p] = max(posteriors["onset"][t, p], rise)
            posteriors["velocity"][t, p] = velocity
        posteriors["offset"][t, p] = max(posteriors["offset"][t, p], height * max(0.0, 1 - abs(t - end) / 1.5))
        if round(begin) <= t < round(end):
            posteriors["frame"][t, p] = height
            posteriors["features"][t, 0, 3 * p] = FAMILIES.index(family) / 10
    return posteriors


def test_silence_has_no_notes():
    assert len(decode(silence(100), frame_s=FRAME_S)) == 0
    assert len(decode(silence(0), frame_s=FRAME_S)) == 0
    assert len(decode_stream([], frame_s=FRAME_S)) == 0


@pytest.mark.parametrize("begin", [10.0, 10.2, 10.4, 10.5, 10.75, 0.0])
def test_one_note_comes_back_finer_than_a_frame(begin):
    notes = decode(play(silence(80), begin, 40.0, 60, "winds", 0.63), frame_s=FRAME_S, naming=Listener())
    assert len(notes) == 1
    # The first frame has no left neighbour to place it by.
    assert notes.start_s[0] == pytest.approx(begin * FRAME_S, abs=1e-6 if begin >= 1 else FRAME_S / 2)
    assert notes.end_s[0] == pytest.approx(40 * FRAME_S, abs=FRAME_S)
    assert (notes.pitch_midi[0], notes.velocity[0], notes.instrument[0]) == (60, 80, "winds")


def test_a_repeated_note_ends_where_the_next_begins():
    posteriors = play(play(silence(80), 10, 30, 48), 30, 50, 48)
    posteriors["frame"][10:50, 48 - 21] = 1
    posteriors["offset"][:] = 0
    notes = decode(posteriors, frame_s=FRAME_S)
    assert notes.start_s.tolist() == pytest.approx([10 * FRAME_S, 30 * FRAME_S])
    assert notes.end_s.tolist() == pytest.approx([30 * FRAME_S, 50 * FRAME_S])


def test_an_offset_ends_a_note_that_goes_on_sounding():
    posteriors = play(silence(80), 10, 25, 48)
    posteriors["frame"][10:70, 48 - 21] = 1
    assert decode(posteriors, frame_s=FRAME_S).end_s[0] == pytest.approx(25 * FRAME_S)
    assert decode(posteriors, frame_s=FRAME_S, thresholds=Thresholds(offset=1.0, frame=0.5)).end_s[0] <= 70 * FRAME_S


def test_thresholds_decide():
    posteriors = play(play(silence(80), 10, 30, 60, height=0.9), 10, 30, 70, height=0.4)
    assert decode(posteriors, frame_s=FRAME_S, thresholds=Thresholds(onset=0.5)).pitch_midi.tolist() == [60]
    assert decode(posteriors, frame_s=FRAME_S, thresholds=Thresholds(onset=0.3)).pitch_midi.tolist() == [60, 70]
    assert len(decode(posteriors, frame_s=FRAME_S, thresholds=Thresholds(min_note_s=1.0))) == 0


def test_only_the_wanted_instruments_are_given():
    posteriors = play(silence(80), 10, 30, 60, "bowed")
    posteriors["drum_onset"][20, DRUM_CLASSES.index("snare")] = 0.9
    everything = decode(posteriors, frame_s=FRAME_S, naming=Listener())
    assert everything.instrument.tolist() == ["bowed", "drums"]
    assert everything.pitch_midi.tolist() == [60, 38]
    few = decode(posteriors, frame_s=FRAME_S, instruments=["keys", "voice"], naming=Listener())
    assert few.instrument.tolist() == ["keys"]
    assert decode(posteriors, frame_s=FRAME_S, instruments=["drums"]).instrument.tolist() == ["drums"]
    with pytest.raises(UsageError, match="kazoo"):
        decode(posteriors, frame_s=FRAME_S, instruments=["kazoo"])


@pytest.mark.parametrize(("threshold", "sure"), [(0.4, 0.8), (0.2, 0.4), (0.85, 0.85)])
def test_weak_hits_count_only_near_sure_ones(threshold, sure):
    snare, weak = DRUM_CLASSES.index("snare"), threshold + 0.01
    posteriors = silence(1000)
    for frame, height in ((20, weak), (291, weak), (500, sure), (708, weak), (990, weak)):
        posteriors["drum_onset"][frame, snare] = height
    limits = Thresholds(drum=threshold)
    found = decode(posteriors, frame_s=FRAME_S, thresholds=limits).start_s / FRAME_S
    kept = [20, 291, 500, 708, 990] if weak >= sure else [500, 708]  # 5 s are 208.3 frames
    assert found.tolist() == pytest.approx(kept, abs=0.5)
    posteriors["drum_onset"][500, snare] = 0
    assert len(decode(posteriors, frame_s=FRAME_S, thresholds=limits)) == (4 if weak >= sure else 0)


@pytest.mark.parametrize("begin", [20.0, 20.25, 20.4, 20.5, 20.75])
def test_a_hit_of_full_height_is_sure_wherever_it_lies_between_frames(begin):
    posteriors = silence(60)
    for t in range(60):
        posteriors["drum_onset"][t, 0] = max(0.0, 1 - abs(t - begin) / 1.5)
    assert decode(posteriors, frame_s=FRAME_S).start_s.tolist() == pytest.approx([begin * FRAME_S], abs=1e-4)


@pytest.mark.parametrize("options", [{"onset": 0.0}, {"frame": 1.5}, {"drum": -1}, {"min_note_s": -0.1}])
def test_thresholds_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match="out of range"):
        Thresholds(**options)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 90), max_size=6))
def test_it_makes_no_difference_how_posteriors_are_cut(seed, cuts):
    rng = np.random.default_rng(seed)
    posteriors = {k: rng.random(v.shape).astype(np.float32) ** 3 for k, v in silence(90).items()}
    posteriors["onset"][:, 60:] = 0  # of some notes every patch is looked at
    whole = decode(posteriors, frame_s=FRAME_S, naming=Crowd())
    edges = sorted({0, 90, *cuts})
    pieces = [{k: v[a:b] for k, v in posteriors.items()} for a, b in itertools.pairwise(edges)]
    assert np.sum(whole.instrument != "drums") > GROUP
    assert len(set(whole.instrument)) == 7
    assert decode_stream(pieces, frame_s=FRAME_S, naming=Crowd()) == whole


class Crowd:
    """Names players by all that the network is given, the others of the group too."""

    width = 2

    def describe(self, levels, frame, pitch, heard):
        around = [levels[:, max(at - BEHIND, 0) : at + AHEAD].sum(dtype=np.float64) for at in frame]
        said = np.array(around) * 7.3 + pitch
        return np.column_stack([said, heard.sum(1, dtype=np.float64)]).astype(np.float32).reshape(-1, 2)

    def compare(self, described, pitch, time_s):
        assert 1 <= len(described) == len(pitch) <= GROUP
        said = described[:, 0] + 1000 * time_s + pitch.sum() + 1000 * (time_s.sum() - time_s[0])
        likely = np.eye(len(FAMILIES) + 1, dtype=np.float32)[np.rint(said).astype(int) % len(FAMILIES)]
        likely[:, -1] = np.rint(said + described[:, 1]).astype(int) % 9 > 0
        return likely


def test_what_is_no_note_leaves_no_trace():
    posteriors = play(play(silence(80), 10, 50, 60), 30, 50, 67, height=0.4)
    posteriors["onset"][25, 60 - 21] = 0.9  # in the middle of the first
    naming = Listener({(25, 60): 0.1, (30, 67): 0.2})
    found = decode(posteriors, frame_s=FRAME_S, naming=naming)
    assert found.pitch_midi.tolist() == [60]
    assert found.end_s[0] == pytest.approx(50 * FRAME_S, abs=0.6 * FRAME_S)
    assert decode(posteriors, frame_s=FRAME_S).pitch_midi.tolist() == [60, 60, 67]  # by the posterior alone


def test_a_faint_onset_can_be_a_sure_note():
    posteriors = play(play(silence(60), 10, 40, 60, height=0.2), 20, 40, 70, height=0.1)
    posteriors["frame"][:] *= 4
    found = decode(posteriors, frame_s=FRAME_S, naming=Listener({(10, 60): 0.9, (20, 70): 0.9}))
    assert found.pitch_midi.tolist() == [60]  # the other is too faint to be asked about
    assert found.confidence.tolist() == pytest.approx([0.9])
    only = decode(posteriors, frame_s=FRAME_S, naming=Listener({(10, 60): 0.9}), instruments=["keys"])
    assert only.pitch_midi.tolist() == [60]  # whether it is a note is asked even where who plays it is known


def test_what_is_heard_of_an_onset():
    onset, sounding = np.zeros((30, 88), np.float32), np.zeros((30, 88), np.float32)
    onset[9, 40], onset[10, 40], onset[11, 40], onset[10, 52], sounding[12, 40] = 0.3, 0.8, 0.2, 0.5, 0.7
    heard = hear(onset, sounding, np.array([10, 0, 29]), np.array([40, 0, 87]))
    assert heard.shape == (3, HEARD)
    assert heard[0, :5].tolist() == pytest.approx([0, 0.3, 0.8, 0.2, 0])
    assert heard[0, 5:10].tolist() == pytest.approx([0, 0, 0.7, 0, 0])
    assert heard[0, 10:].tolist() == pytest.approx([0, 0, 0, 0, 0, 0.5, 0, 0])
    assert not heard[1:].any()


def test_descriptions_do_not_depend_on_what_is_described_together():
    naming, rng = Naming(threads=1), np.random.default_rng(0)
    levels = rng.random((2, 600, 288)).astype(np.float32)
    frame, pitch = np.array([255, 0, 256, 599, 511, 40]), np.array([87, 0, 30, 40, 50, 60])
    together = naming.describe(levels, frame, pitch)
    assert together.std(axis=0).max() > 0
    for number, (at, key) in enumerate(zip(frame, pitch, strict=True)):
        first = max(at - BEHIND, 0)
        alone = naming.describe(levels[:, first : at + AHEAD], np.array([at - first]), np.array([key]))
        np.testing.assert_allclose(alone[0], together[number], atol=1e-4)
    assert naming.describe(levels, frame[:0], pitch[:0]).shape == (0, naming.width)


@pytest.mark.parametrize(
    "pieces", [[GROUP + 36], [1] * (GROUP + 36), [31, 1, GROUP - 32, 36], [GROUP, 0, 36], [2 * GROUP + 3, GROUP]]
)
def test_the_roll_keeps_groups_and_order(pieces):
    sizes = []

    class Echo:
        width = 1

        def describe(self, levels, frame, pitch, heard):
            return pitch[:, None].astype(np.float32)

        def compare(self, described, pitch, time_s):
            np.testing.assert_array_equal(described[:, 0], pitch)
            np.testing.assert_array_equal(time_s, pitch * 0.1)
            sizes.append(len(pitch))
            return np.repeat(pitch[:, None], len(FAMILIES) + 1, 1).astype(np.float32)

    roll, n = Roll(Echo()), 0
    for size in pieces:
        pitch = np.arange(n, n + size)
        roll.add(np.zeros((1, 2, 288), np.float32), pitch, pitch, pitch * 0.1)
        n += size
    assert roll.finish()[:, 0].tolist() == list(range(n))
    assert sizes == [GROUP] * (n // GROUP) + [n % GROUP] * (n % GROUP > 0)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(2, 20),  # quarters of a frame to wait
            st.integers(8, 60),
            st.integers(21, 108),
            st.sampled_from(FAMILIES),
            st.integers(1, 127),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_what_is_drawn_is_read_back(rows):
    posteriors, begin, expected, last = silence(600), 3.0, [], {}
    for wait, length, pitch, family, velocity in rows:
        begin += wait / 4
        if begin < last.get(pitch, 0) + 4:
            continue
        play(posteriors, begin, begin + length, pitch, family, velocity / 127)
        last[pitch] = begin + length
        expected.append((begin * FRAME_S, (begin + length) * FRAME_S, pitch, family, velocity))
    notes = decode(posteriors, frame_s=FRAME_S, naming=Listener())
    expected.sort(key=lambda row: (row[0], row[2]))
    assert notes.start_s.tolist() == pytest.approx([row[0] for row in expected], abs=1e-6)
    assert notes.end_s.tolist() == pytest.approx([row[1] for row in expected], abs=FRAME_S)
    assert notes.pitch_midi.tolist() == [row[2] for row in expected]
    assert notes.instrument.tolist() == [row[3] for row in expected]
    assert notes.velocity.tolist() == [row[4] for row in expected]
