"""The melody of a score: which part, where its bars begin, and why a score is refused."""

from __future__ import annotations

import time

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


@pytest.mark.parametrize(
    ("melody", "others"),
    [
        ("Melody", ["Lead Synth", "Voice"]),
        ("MÉLODIE 1", ["Solo"]),
        ("Cantus", ["Lead Vocals"]),
        ("Lead Vocals", ["Lead Guitar", "Voice"]),
        ("solo_violin", ["Soprano"]),
        ("Voice", ["Detuned Pad", "Pleading Strings", "Melodica", "Melodic Tom", "Soloist's Chair"]),
    ],
)
def test_names_are_whole_words_and_have_ranks(melody, others):
    mine = part(melody, [0.0, 1.0], [60, 62])
    rest = [part(name, np.arange(8.0), np.full(8, 80)) for name in others]
    for at in range(len(rest) + 1):
        assert find_melody(Score((*rest[:at], mine, *rest[at:]), TEMPO))[0] == at
    # Of two that are called the same, the one with more notes.
    longer = part(melody, np.arange(3.0), [60, 62, 64])
    assert find_melody(Score((mine, longer, *rest), TEMPO))[0] == 1


def count_leads(parts, index):
    """Return for how many quarters a part alone has the highest note, step by step."""
    alone = 0
    for step in range(400):
        sounding = [
            [
                int(p)
                for a, d, p in zip(part.start_q, part.duration_q, part.pitch_midi, strict=True)
                if int(4 * a) <= step < max(int(4 * (a + d)), 1)
            ]
            for part in parts
        ]
        others = max((p for i, pitches in enumerate(sounding) if i != index for p in pitches), default=0)
        alone += len(sounding[index]) == 1 and sounding[index][0] > others
    return alone / 4


def test_the_part_that_leads_is_counted_step_by_step():
    rng = np.random.default_rng(0)
    for _ in range(20):
        parts = [
            Part(
                "",
                0,
                False,
                np.sort(rng.integers(0, 200, n)) / 12,
                rng.integers(0, 40, n) / 12,
                rng.integers(0, 12, n).astype(np.int16),
                np.full(n, 64, np.int16),
            )
            for n in rng.integers(1, 20, 4)
        ]
        leads = [count_leads(parts, i) for i in range(4)]
        assert find_melody(Score(tuple(parts), TEMPO))[0] == int(np.argmax(leads))


def test_a_part_that_leads_is_found_soon_among_many():
    parts = tuple(part("", np.arange(1500) / 2, 40 + np.arange(1500) % (i + 2), 0.5) for i in range(24))
    began = time.perf_counter()
    find_melody(Score(parts, TEMPO))
    assert (
        time.perf_counter() - began < 2
    )  # 0.1 s where nothing else runs; 6 s if each part is looked at for each other


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


def test_what_a_long_bar_has_too_much_does_not_go_into_the_next():
    """4/4 with one bar of 5/4, whose fifth beat has a high note and a half one."""
    four = [60, 62, 64, 65]
    start = np.concatenate([np.arange(4.0), 4 + np.arange(4.0), [8.0, 8.5], 9 + np.arange(8.0)])
    pitch = [*four, *four, 90, 91, *four, *four]
    tune = find_tune(Score((part("", start, pitch, 0.5),), TEMPO, bars_q=(0.0, 4.0, 9.0, 13.0, 17.0)))
    assert tune.refused == ("", "5 quarter notes long, not 4", "", "")
    for bar in (1, 2, 3):
        assert tune.symbols[bar].tolist() == tune.symbols[0].tolist()
    assert tune.note_steps[8:10].tolist() == [-1, -1]
    assert tune.note_steps[10] == 32
    assert tune.left_out == 0
    # A note that begins the next bar a little too early is the next bar's; one that is held through the bar is cut.
    start[10] -= 0.05
    length = np.full(18, 0.5)
    length[7] = 3.0
    early = Part("", 0, False, start, length, np.array(pitch, np.int16), np.full(18, 64, np.int16))
    tune = find_tune(Score((early,), TEMPO, bars_q=(0.0, 4.0, 9.0, 13.0, 17.0)))
    assert tune.symbols[2].tolist() == tune.symbols[0].tolist()
    assert tune.symbols[1, -4:].tolist() == [67, HOLD, HOLD, HOLD]


def test_steps_lie_where_their_notes_do():
    meters = ((0.0, 4, 4), (4.0, 3, 4), (7.0, 4, 4), (11.0, 5, 4), (16.0, 4, 4))
    start = np.arange(20.0)
    tune = find_tune(Score((part("", start, np.arange(60, 80)),), TEMPO, meters))
    assert [bool(reason) for reason in tune.refused] == [False, True, False, True, False]
    placed = tune.note_steps >= 0
    assert start[~placed].tolist() == [15]
    assert tune.quarters(tune.note_steps[placed]).tolist() == start[placed].tolist()
    assert tune.quarters([28, 30, 32, 80, 81]).tolist() == [7, 7, 7, 20, 20.25]  # a short bar's end; the tune's


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


VOICES = """X:1
T:Duet
M:3/4
L:1/4
V:T1 name="Upper Voice"
V:B clef=bass
K:D
V:T1
F|ABc|
V:B
z|D3|
[V:T1] d2f|a3|]
[V:B] F3|D3|]
"""


def test_voices_of_abc_take_turns():
    pytest.importorskip("music21", reason="needs ottava[score]")
    ((_, score),) = read_abc(VOICES)
    assert [part.name for part in score] == ["Upper Voice", "B"]
    upper, lower = score
    assert upper.pitch_midi.tolist() == [66, 69, 71, 73, 74, 78, 81]
    assert upper.start_q.tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert lower.pitch_midi.tolist() == [62, 66, 62]
    assert lower.start_q.tolist() == [1, 4, 7]
    assert score.upbeat_q == 1
    assert score.bars_q == (0, 1, 4, 7, 10)
    assert find_melody(score)[1] == "part 1 (Upper Voice) sings"


def test_a_single_voice_of_abc_reads_as_without_it():
    pytest.importorskip("music21", reason="needs ottava[score]")
    (_, plain), _ = read_abc(ABC)
    first = ABC[: ABC.index("X:2")]
    for text in (first.replace("K:G", "V:1\nK:G"), first.replace("K:G\n", 'V:1 name=""\nK:G\nV:1\n')):
        ((_, voiced),) = read_abc(text)
        assert [row.tolist() for row in (voiced.parts[0].start_q, voiced.parts[0].pitch_midi)] == [
            row.tolist() for row in (plain.parts[0].start_q, plain.parts[0].pitch_midi)
        ]
        assert (voiced.bars_q, voiced.meters, voiced.tempos) == (plain.bars_q, plain.meters, plain.tempos)


@pytest.mark.parametrize("last", ["F:http://x/tune.abc", "%http://www.x.net/tune.abc", "W:/etc/hosts"])
def test_abc_is_never_taken_for_an_address(last):
    pytest.importorskip("music21", reason="needs ottava[score]")
    ((_, score),) = read_abc(f"X:1\nT:Link\nM:4/4\nL:1/4\nK:C\ncdef|gabc'|\n{last}")
    assert score.parts[0].pitch_midi.tolist() == [72, 74, 76, 77, 79, 81, 83, 84]


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
