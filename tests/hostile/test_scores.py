"""Scores of every bad kind: a reason each, with the file's name, and nothing written."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest

from ottava.errors import InputError, OttavaError
from ottava.runtime.load import load
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


def read(model, tmp_path, content):
    path = tmp_path / "tune.mid"
    path.write_bytes(content)
    return model(path)


def test_overlapping_notes_are_cut_and_told(model, tmp_path):
    result = read(model, tmp_path, midi(notes([(a, a + 200, p) for a, _, p in SCALE])))
    assert any("31 notes sound together with others" in text for text in result.warnings)
    assert (result.notes.end_s[:-1] <= result.notes.start_s[1:] + 1e-9).all()


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
        ({"extend": 5000}, "extend is 5000; found 8 bars; expected at most 1000 in all"),
        ({"part": 0}, "there is no part 0"),
        ({"part": 5}, "there is no part 5"),
        ({"upbeat": 9.0}, "an upbeat of 9.0 quarter notes"),
        ({"meter": "waltz"}, "meter 'waltz' is unreadable; expected like 3/4"),
        ({"meter": "0/4"}, "meter '0/4' is unreadable"),
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
