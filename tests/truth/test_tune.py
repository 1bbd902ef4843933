"""The melody of a score: which part, where its bars begin, and why a score is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ottava.errors import InputError, UsageError
from ottava.symbolic.bars import HOLD, ONSET, REST
from ottava.symbolic.score import Part, Score, read_abc, read_score
from ottava.symbolic.tune import find_melody, find_tune

TEMPO = ((0.0, 120.0),)


def part(name, start, pitch, length=1.0, drums=False):
    start = np.array(start, float)
    n = np.ones(len(start), np.int16)
    return Part(name, 0, drums, start, n * length, np.array(pitch, np.int16), n * 64)


def test_the_part_that_is_named_or_sings_or_leads():
    chords = part("", np.repeat(np.arange(4.0), 3), [72, 64, 60] * 4)
    tune = part("", np.arange(4.0), [74, 76, 77, 79])
    low = part("", np.arange(4.0), [40, 41, 43, 45])
    drums = part("lead", [0.0], [38], drums=True)
    assert find_melody(Score((low, drums, tune, chords), TEMPO)) == (
        2,
        "part 3 has the highest single notes most of the time",
    )
    voice = part("Voice", np.arange(4.0), [60, 62, 64, 65])
    assert find_melody(Score((tune, voice), TEMPO)) == (1, "part 2 (Voice) sings")
    named = part("MELODY", np.arange(4.0), [50, 52, 53, 55])
    assert find_melody(Score((tune, voice, named), TEMPO)) == (2, "part 3 (MELODY) is named as the melody")
    assert find_melody(Score((low, drums), TEMPO))[0] == 0
    for parts, found in (((drums,), "only drums"), ((), "no notes")):
        with pytest.raises(InputError, match=f"has no melody; found {found}"):
            find_melody(Score(parts, TEMPO))


def test_bars_of_any_meter():
    tune = find_tune(Score((part("", [0, 1, 3], [60, 62, 64]),), TEMPO, ((0.0, 3, 4),)))
    assert tune.symbols.shape == (2, 12)
    assert tune.meter == (3, 4)
    assert tune.symbols[0].tolist() == [62, 1, 1, 1, 64, 1, 1, 1, REST, REST, REST, REST]
    assert tune.symbols[1, 0] == 64 + ONSET
    seven = find_tune(Score((part("", [0.0], [60]),), TEMPO, ((0.0, 7, 8),)))
    assert seven.symbols.shape == (1, 14)


def test_an_upbeat_is_a_bar_of_its_own():
    tune = find_tune(Score((part("", [0, 1, 2], [60, 62, 64]),), TEMPO, upbeat_q=1.0))
    assert tune.edges_q.tolist() == [-3, 1, 5]
    assert tune.symbols[0].tolist() == [REST] * 12 + [62, HOLD, HOLD, HOLD]
    assert tune.symbols[1, 0] == 62 + ONSET


@pytest.mark.parametrize(
    ("meters", "message"),
    [
        (((0.0, 5, 32),), "has bars that do not fit a grid; found 5/32"),
        (((0.0, 40, 4),), "has bars that do not fit a grid; found 40/4"),
        (((0.0, 4, 0),), "has bars that do not fit a grid; found 4/0"),
    ],
)
def test_meters_that_are_refused(meters, message):
    with pytest.raises(InputError, match=message):
        find_tune(Score((part("", [0.0], [60]),), TEMPO, meters))


def test_bars_of_another_length_stand_in_their_places_and_do_not_count():
    meters = ((0.0, 4, 4), (8.0, 3, 4), (11.0, 4, 4))
    tune = find_tune(Score((part("", np.arange(15.0), np.arange(60, 75)),), TEMPO, meters))
    assert tune.meter == (4, 4)
    assert tune.edges_q.tolist() == [0, 4, 8, 11, 15]
    assert tune.refused == ("", "", "3 quarter notes long, not 4", "")
    assert (tune.symbols[3, ::4] - ONSET).tolist() == [71, 72, 73, 74]
    assert tune.note_steps.tolist() == [*range(0, 44, 4), *range(48, 64, 4)]


def test_grace_notes_alone_are_no_melody():
    with pytest.raises(InputError, match="has no melody; found only grace notes"):
        find_tune(Score((part("", [0.0, 1.0], [60, 62], 0.0),), TEMPO))


def test_bars_off_the_grid_do_not_count():
    triplets = np.concatenate([np.arange(4.0), 4 + np.arange(12) / 3, 8 + np.arange(4.0)])
    tune = find_tune(Score((part("", triplets, np.full(20, 60), 0.3),), TEMPO, bars_q=(0.0, 4.0, 8.0, 12.0)))
    assert tune.refused == ("", "most notes lie off the grid of sixteenths", "")
    with pytest.raises(InputError, match="no bar that could be read; found most notes lie off"):
        find_tune(Score((part("", np.arange(12) / 3, np.full(12, 60), 0.3),), TEMPO, bars_q=(0.0, 4.0)))


def test_a_tune_that_lies_behind_the_grid_is_moved_to_it():
    tune = find_tune(Score((part("", np.arange(8.0) + 0.11, np.full(8, 60)),), TEMPO))
    assert tune.refused == ("", "")
    assert tune.symbols[0, ::4].tolist() == [62] * 4
    assert tune.edges_q.tolist() == pytest.approx([0.11, 4.11, 8.11])


def test_written_bars_count_before_the_meter():
    # A bar that is parted by a repeat sign is one; a last one that is short is whole.
    score = Score((part("", np.arange(11.0), np.full(11, 60)),), TEMPO, bars_q=(0.0, 4.0, 7.0, 8.0, 11.0))
    tune = find_tune(score)
    assert tune.edges_q.tolist() == [0, 4, 8, 12]
    assert tune.refused == ("", "", "")


WALTZ = [(0, 2), (2, 1), (3, 3), (6, 2), (8, 1), (9, 3)] * 2


def test_the_upbeat_of_a_file_that_does_not_tell():
    start = np.concatenate([np.array([a for a, _ in WALTZ[:6]]) + 12 * k for k in range(4)]).astype(float)
    length = np.array([b for _, b in WALTZ[:6]] * 4, float)
    pitch = np.tile([67, 65, 64, 62, 64, 60], 4)
    whole = Part("", 0, False, start, length, pitch.astype(np.int16), np.full(24, 64, np.int16))
    assert find_tune(Score((whole,), TEMPO, ((0.0, 3, 4),))).edges_q[0] == 0
    late = Part("", 0, False, start[1:] - 2, length[1:], pitch[1:].astype(np.int16), np.full(23, 64, np.int16))
    tune = find_tune(Score((late,), TEMPO, ((0.0, 3, 4),)))
    assert tune.guessed_upbeat_q == 1
    assert tune.edges_q[:2].tolist() == [-2, 1]
    as_asked = find_tune(Score((late,), TEMPO, ((0.0, 3, 4),)), upbeat_q=0)
    assert as_asked.edges_q[0] == 0
    with pytest.raises(UsageError, match=r"an upbeat of 3 quarter notes; expected 0 or more, less than 3"):
        find_tune(Score((late,), TEMPO, ((0.0, 3, 4),)), upbeat_q=3)


ABC = """X:1
T:Two Bars and a Bit
M:4/4
L:1/4
Q:1/4=100
K:G
D|GABc|d2-d^c|[M:3/4]BAG|[M:4/4]F4|]

X:2
T:Other
M:3/4
L:1/8
K:Am
c2 (3BAG E2|
"""


def test_abc(tmp_path):
    pytest.importorskip("music21", reason="needs ottava[score]")
    path = tmp_path / "tune.abc"
    path.write_text(ABC)
    score = read_score(path)
    assert score.tempos == ((0.0, 100.0),)
    assert score.upbeat_q == 1
    (melody,) = score.parts
    assert melody.pitch_midi.tolist() == [62, 67, 69, 71, 72, 74, 73, 71, 69, 67, 66]
    assert melody.duration_q.tolist() == [1, 1, 1, 1, 1, 3, 1, 1, 1, 1, 4]
    tune = find_tune(score)
    assert tune.edges_q.tolist() == [-3, 1, 5, 9, 12, 16]
    assert tune.refused == ("", "", "", "3 quarter notes long, not 4", "")
    titles = [title for title, _ in read_abc(ABC)]
    assert titles == ["Two Bars and a Bit", "Other"]


@pytest.mark.parametrize(
    ("text", "message"), [("", "no line K:"), ("X:1\nT:x\nM:4/4\n", "no line K:"), ("not music at all", "no line K:")]
)
def test_what_is_no_abc(tmp_path, text, message):
    pytest.importorskip("music21", reason="needs ottava[score]")
    path = tmp_path / "tune.abc"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_score(path)
    assert caught.value.path == str(path)


def test_a_part_that_is_asked_for():
    score = Score((part("", [0.0], [60]), part("", [0.0], [72])), TEMPO)
    assert find_tune(score, 0).symbols[0, 0] == 60 + ONSET
    with pytest.raises(UsageError, match="there is no part 3; found 2 parts"):
        find_tune(score, 2)


def test_meter_and_upbeat_of_musicxml(tmp_path):
    notes = "".join(
        f"<note><pitch><step>{step}</step><octave>4</octave></pitch><duration>1</duration><type>quarter</type></note>"
        for step in "CDE"
    )
    path = tmp_path / "waltz.musicxml"
    path.write_text(
        '<score-partwise version="3.1"><part-list><score-part id="P1"><part-name>x</part-name></score-part></part-list>'
        '<part id="P1"><measure number="0" implicit="yes"><attributes><divisions>1</divisions><time><beats>3</beats>'
        "<beat-type>4</beat-type></time></attributes><note><pitch><step>G</step><octave>4</octave></pitch>"
        "<duration>1</duration><type>quarter</type></note></measure>"
        f'<measure number="1">{notes}</measure></part></score-partwise>'
    )
    score = read_score(path)
    assert score.meters == ((0.0, 3, 4),)
    assert score.upbeat_q == 1
    tune = find_tune(score)
    assert tune.edges_q.tolist() == [-2, 1, 4]
    assert (tune.symbols[:, ::4] - ONSET).tolist() == [[-2, -2, 67], [60, 62, 64]]


def test_bars_of_one_beat_are_no_bars():
    """As programs write them that know no meter; the tune is Frère Jacques, from the third beat of a bar on."""
    pitch = [60, 62, 64, 60, 60, 62, 64, 60, 64, 65, 67, 64, 65, 67]
    length = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 2]
    start = np.cumsum([0, *length[:-1]]).astype(float)
    twice = np.concatenate([start, start + 16])
    tune = find_tune(Score((part("", twice, pitch * 2, 1.0),), TEMPO, ((0.0, 1, 4),)))
    assert tune.meter == (4, 4)
    assert not tune.meter_told
    assert tune.symbols.shape[1] == 16
    assert tune.edges_q[0] in (0.0, -1.0, -2.0, -3.0)
    asked = find_tune(Score((part("", twice, pitch * 2, 1.0),), TEMPO), meter=(2, 4), upbeat_q=0)
    assert asked.meter == (2, 4)
    assert asked.symbols.shape == (16, 8)
    with pytest.raises(InputError, match="do not fit a grid; found 5/32"):
        find_tune(Score((part("", twice, pitch * 2, 1.0),), TEMPO), meter=(5, 32))
