"""The melody of a score: which part, where its bars begin, and why a score is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ottava.errors import InputError, UsageError
from ottava.symbolic.bars import HOLD, ONSET, REST
from ottava.symbolic.score import Part, Score, read_score
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
    assert tune.start_q == -3
    assert tune.symbols[0].tolist() == [REST] * 12 + [62, HOLD, HOLD, HOLD]
    assert tune.symbols[1, 0] == 62 + ONSET


@pytest.mark.parametrize(
    ("meters", "message"),
    [
        (((0.0, 4, 4), (16.0, 3, 4)), "changes its meter; found 4/4, 3/4"),
        (((0.0, 5, 32),), "has bars that do not fit a grid; found 5/32"),
        (((0.0, 40, 4),), "has bars that do not fit a grid; found 40/4"),
        (((0.0, 4, 0),), "has bars that do not fit a grid; found 4/0"),
    ],
)
def test_meters_that_are_refused(meters, message):
    with pytest.raises(InputError, match=message):
        find_tune(Score((part("", [0.0], [60]),), TEMPO, meters))


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
    assert tune.start_q == -2
    assert (tune.symbols[:, ::4] - ONSET).tolist() == [[-2, -2, 67], [60, 62, 64]]
