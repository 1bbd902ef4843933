"""Scores of every bad kind: a reason each, with the file's name, and nothing written."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from ottava.errors import InputError, OttavaError
from ottava.runtime.load import load
from ottava.symbolic.score import read_score
from ottava.symbolic.tune import find_tune
from ottava.systems.structure.run import MOST_BARS
from ottava.systems.structure.vary import vary

END = b"\x00\xff\x2f\x00"
METER = "00ff5804{:02x}{:02x}1808"


def number(value):
    parts = [value & 127]
    while value := value >> 7:
        parts.append(value & 127 | 128)
    return bytes(reversed(parts))


def chunk(kind, content):
    return kind + struct.pack(">I", len(content)) + content


def midi(*tracks, ticks=96):
    head = chunk(b"MThd", struct.pack(">HHH", 1, len(tracks), ticks))
    return head + b"".join(chunk(b"MTrk", track + END) for track in tracks)


def meter(beats, power):
    return bytes.fromhex(METER.format(beats, power))


def notes(rows, channel=0):
    events = sorted([(a, 1, p) for a, _, p in rows] + [(b, 0, p) for _, b, p in rows])
    out, now = b"", 0
    for tick, on, pitch in events:
        out += number(tick - now) + bytes((0x90 | channel, pitch, 64 if on else 0))
        now = tick
    return out


SCALE = [(96 * i, 96 * i + 90, 60 + i % 7) for i in range(32)]
BOMB = "".join('<!ENTITY a{} "{}">'.format(i, f"&a{i - 1};" * 10) for i in range(1, 12))
ENTITY = '<?xml version="1.0"?><!DOCTYPE x [{}]><score-partwise>{}</score-partwise>'
BAD = {
    "empty.mid": (b"", "damaged MIDI"),
    "not.mid": (b"RIFF" + bytes(40), "damaged MIDI"),
    "cut.mid": (midi(notes(SCALE))[:60], "damaged MIDI"),
    "silent.mid": (midi(b""), "has no melody; found no notes"),
    "drums.mid": (midi(notes(SCALE, 9)), "has no melody; found only drums"),
    "endless.mid": (midi(b"\x00\x90\x3c\x40\x60\x90\x3e\x40"), "found 2 notes that begin and never end"),
    "tempo.mid": (midi(b"\x00\xff\x51\x03\x00\x00\x00" + notes(SCALE)), "a tempo or time base of zero"),
    "base.mid": (midi(notes(SCALE), ticks=0), "a tempo or time base of zero"),
    "smpte.mid": (midi(notes(SCALE), ticks=0xE728), "damaged MIDI"),
    "long.mid": (midi(notes([(384 * i, 384 * i + 90, 60) for i in range(10_000)])), "found 10000 bars"),
    "far.mid": (midi(notes([(0, 96, 60), (2**27, 2**27 + 96, 60)])), "found 349526 bars"),
    "five.mid": (midi(meter(5, 2) + notes(SCALE)), "bars that are too long; found 5/4"),
    "none.mid": (midi(meter(0, 2) + notes(SCALE)), "do not fit a grid; found 0/4"),
    "performed.mid": (
        midi(notes([(96 * i + 8 + 8 * (i % 2), 96 * i + 50, 60) for i in range(30)])),
        "no bar that could",
    ),
    "cut.musicxml": (b"<score-partwise><part>", "damaged MusicXML"),
    "empty.musicxml": (b"", "damaged MusicXML"),
    "page.xml": (b"<html></html>", "damaged MusicXML"),
    "silent.musicxml": (b'<score-partwise version="3.1"><part-list/></score-partwise>', "found no notes"),
    "bomb.musicxml": (ENTITY.format(f'<!ENTITY a0 "aaaaaaaaaa">{BOMB}', "&a11;").encode(), "damaged MusicXML"),
    "thief.musicxml": (ENTITY.format('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;").encode(), "damaged MusicXML"),
    "tune.txt": (b"X:1\nK:C\nC4|", "this is no score"),
}


@pytest.fixture(scope="module")
def model():
    return load("structure", threads=1)


@pytest.mark.parametrize("name", BAD)
def test_bad_scores_are_named_with_a_reason(model, tmp_path, name):
    if name.endswith("xml"):
        pytest.importorskip("partitura", reason="needs ottava[score]")
    content, message = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        model(path)
    assert caught.value.path == os.fspath(path)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("tracks", [(0, 1), (1, 0)])
@pytest.mark.parametrize("tune", ["short", "long"])
def test_what_lies_far_off_takes_no_memory(tmp_path, tracks, tune):
    """The longest pause that a file can have, in ticks of a quarter note, in the melody or beside it."""
    near = notes([(i, i + 1, 60 + i % 7) for i in range(32)])
    far = notes([(0, 2**28 - 2, 90)] if tune == "long" else [(0, 1, 30), (2**28 - 2, 2**28 - 1, 30)])
    meters = meter(4, 2) + number(2**28 - 1) + meter(3, 2)[1:]
    path = tmp_path / "tune.mid"
    path.write_bytes(midi(meters, *((near, far)[i] for i in tracks), ticks=1))
    tracemalloc.start()
    try:
        score = read_score(path)
        if tune == "short":
            assert len(find_tune(score, most_bars=MOST_BARS)) == 8
        else:
            with pytest.raises(InputError, match="found 67108864 bars; expected at most 1000"):
                find_tune(score, most_bars=MOST_BARS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10e6


def test_a_compressed_score_is_not_unpacked_without_end(tmp_path):
    pytest.importorskip("partitura", reason="needs ottava[score]")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("score.xml", b"<!--" + bytes(2**26) + b"-->")
    path = tmp_path / "bomb.mxl"
    path.write_bytes(packed.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="damaged MusicXML: a score of 67108871 bytes, more than 67108864"):
            read_score(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60e6  # of which most is partitura, where it is not loaded yet


def read(model, tmp_path, content):
    path = tmp_path / "tune.mid"
    path.write_bytes(content)
    return model(path)


def test_overlapping_notes_are_cut_and_told(model, tmp_path):
    result = read(model, tmp_path, midi(notes([(a, a + 200, p) for a, _, p in SCALE])))
    assert any("31 notes sound together with others" in text for text in result.warnings)
    assert (result.notes.end_s[:-1] <= result.notes.start_s[1:] + 1e-9).all()


def test_notes_that_never_end_are_told(model, tmp_path):
    endless = b"".join(b"\x00" + bytes((0x91, pitch, 64)) for pitch in range(40, 56))
    result = read(model, tmp_path, midi(notes(SCALE), endless))
    assert "16 notes begin and never end, and were left out." in result.warnings
    assert not any("never end" in text for text in read(model, tmp_path, midi(notes(SCALE))).warnings)


def test_notes_in_bars_of_another_length_keep_their_times(model, tmp_path):
    changing = meter(4, 2) + number(384) + meter(3, 2)[1:] + number(288) + meter(4, 2)[1:]
    for rows in (SCALE, [(96 * i + 24, 96 * i + 90, 60 + i % 7) for i in range(32)]):
        result = read(model, tmp_path, midi(changing, notes(rows)))
        assert result.bars.refused[1] == "3 quarter notes long, not 4"
        np.testing.assert_allclose(result.notes.start_s, [start / 192 for start, *_ in rows])


def test_bars_of_other_meters_are_told(model, tmp_path):
    changing = meter(4, 2) + number(384) + meter(3, 2)[1:] + number(288) + meter(4, 2)[1:]
    result = read(model, tmp_path, midi(changing, notes(SCALE)))
    assert result.form.label[1] == "?"
    assert result.bars.refused[1] == "3 quarter notes long, not 4"
    assert result.bars.nats[1] == 0
    assert any("Bars that do not count: 2 (3 quarter notes long, not 4)" in text for text in result.warnings)
    seven = read(model, tmp_path, midi(meter(7, 3) + notes(SCALE)))
    assert any("has not learned bars of 7/8" in text for text in seven.warnings)
    assert len(seven.bars) == 10


def test_the_longest_tune_is_read(model, tmp_path):
    result = read(model, tmp_path, midi(notes([(384 * i, 384 * i + 384, 60 + i % 5) for i in range(MOST_BARS)])))
    assert len(result.bars) == MOST_BARS
    assert np.isfinite(result.bars.nats).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bar": "99"}, "bar 99 is not in the tune; expected 1 to 8"),
        ({"bar": "0"}, "bar 0 is not in the tune"),
        ({"bar": "3-2"}, "bar 3-2 is not in the tune"),
        ({"bar": "x"}, "bar 'x' is unreadable"),
        ({"notes": ["C4:4"]}, "the notes do not fill the bar; found 4 steps; expected 16"),
        ({"notes": ["H4:16"]}, "note 'H4:16' is unreadable"),
        ({"notes": ["C4"]}, "note 'C4' is unreadable"),
        ({"notes": ["C4:16"], "bar": "1-2"}, "notes are of one bar; found 2 bars"),
        ({"notes": ["C4:16"], "from_": "a.mid:1"}, "from and notes exclude each other"),
        ({"from_": "a.mid"}, "from 'a.mid' is unreadable"),
        ({"from_": "gone.mid:1"}, "gone.mid: cannot be read"),
        ({"from_": "{tune}:1-2"}, "as many bars are needed as are replaced; found 2; expected 1"),
        ({"toward": "{tune}", "amount": 1.5}, "amount is 1.5"),
        ({"extend": -1}, "extend is -1"),
        ({"extend": 4, "toward": "{tune}"}, "toward and extend exclude each other"),
        ({"extend": 4, "notes": ["C4:16"]}, "notes and extend exclude each other"),
        ({"extend": 4, "from_": "{tune}:1"}, "from and extend exclude each other"),
        ({"extend": 4, "bar": "1"}, "bar means nothing with extend"),
        ({"toward": "{tune}", "bar": "1"}, "bar means nothing with toward"),
        ({"toward": "{tune}", "seed": 0}, "seed means nothing with toward"),
        ({"notes": ["C4:16"], "seed": 1}, "seed means nothing with notes"),
        ({"from_": "{tune}:1", "seed": 1}, "seed means nothing with from"),
        ({"amount": 0.5}, "amount means nothing without toward"),
        ({"bar": "2", "amount": 0.0}, "amount means nothing without toward"),
        ({"extend": 4, "amount": 0.5}, "amount means nothing without toward"),
        ({"bar": ""}, "bar '' is unreadable"),
        ({"notes": ["²:16"]}, "note '²:16' is unreadable"),
        ({"notes": ["C4:²"]}, "note 'C4:²' is unreadable"),
        ({"extend": 5000}, "extend is 5000; found 8 bars; expected at most 1000 in all"),
        ({"part": 0}, "there is no part 0"),
        ({"part": 5}, "there is no part 5"),
        ({"upbeat": 9.0}, "an upbeat of 9.0 quarter notes"),
        ({"meter": "waltz"}, "meter 'waltz' is unreadable; expected like 3/4"),
        ({"meter": "0/4"}, "meter '0/4' is unreadable"),
        ({"meter": "²/4"}, "meter '²/4' is unreadable; expected like 3/4"),
        ({"meter": "4/④"}, "meter '4/④' is unreadable"),
        ({"meter": "5/4"}, "bars that are too long; found 5/4"),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, message):
    path = tmp_path / "tune.mid"
    path.write_bytes(midi(notes(SCALE)))
    given = {k: v.format(tune=path) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises(OttavaError, match=message):
        vary(path, **given)


def test_bars_of_another_length_cannot_be_taken(tmp_path):
    tune, waltz = tmp_path / "tune.mid", tmp_path / "waltz.mid"
    tune.write_bytes(midi(notes(SCALE)))
    waltz.write_bytes(midi(meter(3, 2) + notes(SCALE)))
    for options in ({"from_": f"{waltz}:1"}, {"toward": waltz}):
        with pytest.raises(OttavaError, match="have different lengths; found 12 sixteenth notes; expected 16"):
            vary(tune, **options)


CHANGING = meter(4, 2) + number(384) + meter(3, 2)[1:] + number(288) + meter(4, 2)[1:]
"""Its second bar is of 3/4."""


def test_bars_that_do_not_count_are_not_taken_from_another_tune(tmp_path):
    tune, other = tmp_path / "tune.mid", tmp_path / "other.mid"
    tune.write_bytes(midi(notes(SCALE)))
    other.write_bytes(midi(CHANGING, notes(SCALE)))
    for bars, mine in (("2", "3"), ("1-2", "3-4")):
        with pytest.raises(InputError, match="bar 2 does not count; found 3 quarter notes long, not 4") as caught:
            vary(tune, bar=mine, from_=f"{other}:{bars}")
        assert caught.value.path == os.fspath(other)
    assert vary(tune, bar="3", from_=f"{other}:3").changes.label[2] == "edited"


def test_how_another_tune_was_read_is_told(tmp_path):
    tune, other = tmp_path / "tune.mid", tmp_path / "other.mid"
    tune.write_bytes(midi(notes(SCALE)))
    other.write_bytes(midi(CHANGING, notes(SCALE), notes([(a, b, p - 24) for a, b, p in SCALE])))
    for options in ({"bar": "3", "from_": f"{other}:3"}, {"toward": other}):
        said = vary(tune, **options).warnings
        assert "other.mid: The melody: part 1 has the highest single notes most of the time." in said
        assert "other.mid: Bars that do not count: 2 (3 quarter notes long, not 4)." in said
        assert not any(text.startswith("The melody") for text in said)


def test_bars_that_do_not_count_stay_on_the_way_to_another_tune(tmp_path):
    tune, other = tmp_path / "tune.mid", tmp_path / "other.mid"
    tune.write_bytes(midi(CHANGING, notes(SCALE)))
    other.write_bytes(midi(notes([(a, b, p + 5) for a, b, p in SCALE])))
    result = vary(tune, toward=other, amount=1.0)
    assert result.changes.label[1] == "same"
    assert result.form.label[1] == "?"
    result.save(tmp_path / "new.mid")
    part = read_score(tmp_path / "new.mid").parts[0]
    inside = (part.start_q >= 4) & (part.start_q < 7)
    assert part.pitch_midi[inside].tolist() == [p for _, _, p in SCALE[4:7]]
    # Nor is there anything to go to.
    back = vary(other, toward=tune, amount=1.0)
    assert back.changes.label[1] == "same"
    assert back.changes.label[0] != "same"


def test_a_tune_goes_on_in_its_own_meter(tmp_path):
    five = meter(4, 2) + number(384 * 7) + meter(5, 2)[1:]
    tune = tmp_path / "tune.mid"
    tune.write_bytes(midi(five, notes([*SCALE, (384 * 7 + 384, 384 * 7 + 470, 70)])))
    result = vary(tune, extend=2, seed=1)
    assert result.bars.refused[7] == "5 quarter notes long, not 4"
    assert (result.bars.end_s - result.bars.start_s).tolist() == pytest.approx([2] * 7 + [2.5, 2, 2])


def test_new_notes_stand_where_they_should_around_a_bar_of_another_length(tmp_path):
    tune = tmp_path / "tune.mid"
    # The first bar's last note is held into the second, which is shorter, for an eighth.
    tune.write_bytes(midi(CHANGING, notes([*SCALE[:3], (288, 432, 63), *SCALE[5:]])))
    for bar, words, start, end in (
        ("1", ["r:4", "C6:8", "D6:4"], [1, 3], [3, 4.5]),
        ("3", ["C6:4", "r:8", "D6:4"], [7, 10], [8, 11]),
    ):
        vary(tune, bar=bar, notes=words).save(tmp_path / "new.mid", force=True)
        part = read_score(tmp_path / "new.mid").parts[0]
        new = np.flatnonzero(part.pitch_midi >= 84)[:2]
        assert part.start_q[new].tolist() == start
        assert (part.start_q + part.duration_q)[new].tolist() == end


@pytest.mark.parametrize("tracks", [("Flute", "Melody"), ("Melody", "Flute"), ("Flute", "Oboe", "Melody")])
def test_what_doubles_the_melody_stays(tmp_path, tracks):
    parts = {name: b"\x00\xff\x03" + bytes((len(name),)) + name.encode() + notes(SCALE) for name in tracks}
    path = tmp_path / "tune.mid"
    path.write_bytes(midi(meter(4, 2), *parts.values()))
    result = vary(path, bar="1", notes=["C6:16"])
    result.save(tmp_path / "new.mid")
    written = (tmp_path / "new.mid").read_bytes()
    for name, track in parts.items():
        assert (chunk(b"MTrk", track + END) in written) == (name != "Melody")
    changed = {part.name: 84 in part.pitch_midi for part in read_score(tmp_path / "new.mid")}
    assert changed == {name: name == "Melody" for name in tracks}


def test_parts_of_one_track_are_told_apart(tmp_path):
    """Channels that take turns in one track, with the same notes, and another track that has them too."""
    rows = sorted((a, b, p, channel) for a, b, p in SCALE for channel in (7, 2, 4))
    events = sorted([(a, 1, p, c) for a, _, p, c in rows] + [(b, 0, p, c) for _, b, p, c in rows])
    track, now = b"\x00\xc4\x05\x00\xc7\x00", 0
    for tick, on, pitch, channel in events:
        track += number(tick - now) + bytes((0x90 | channel, pitch, 64 if on else 0))
        now = tick
    path = tmp_path / "tune.mid"
    path.write_bytes(midi(track, notes(SCALE, 1)))
    for part in (1, 2, 3, 4):
        vary(path, part=part, bar="1", notes=["C6:16"]).save(tmp_path / "new.mid", force=True)
        changed = [84 in each.pitch_midi for each in read_score(tmp_path / "new.mid")]
        assert changed == [i + 1 == part for i in range(4)]
