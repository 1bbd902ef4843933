"""MIDI files of which some notes change: every other byte stays."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from ottava.errors import InputError
from ottava.io.rewrite import NoteChange, count_beginnings, rewrite_notes
from ottava.symbolic.score import Part, Score, read_score
from ottava.symbolic.write import write_score

few = settings(max_examples=40, deadline=None)
NAME = b"\x00\xff\x03\x04Tune"
COPYRIGHT = b"\x00\xff\x02\x05(c) X"
TEMPO = b"\x00\xff\x51\x03\x07\xa1\x20"
SYSEX = b"\x00\xf0\x05\x7e\x7f\x09\x01\xf7"
END = b"\x00\xff\x2f\x00"


def chunk(kind, content):
    return kind + struct.pack(">I", len(content)) + content


def file_of(*tracks):
    return chunk(b"MThd", struct.pack(">HHH", 1, len(tracks), 96)) + b"".join(chunk(b"MTrk", t) for t in tracks)


def tracks_of(data):
    found, at = [], 14
    while at < len(data):
        (length,) = struct.unpack(">I", data[at + 4 : at + 8])
        found.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    return found


# Running status, a note that ends by velocity 0, a controller between, another channel in the same track.
TUNE = (
    NAME + SYSEX + b"\x00\x90\x3c\x40" + b"\x60\x3c\x00" + b"\x00\x3e\x41" + b"\x00\xb0\x40\x7f" + b"\x00\x91\x30\x20"
    b"\x60\x90\x3e\x00" + b"\x00\x81\x30\x00" + b"\x00\x90\x40\x42" + b"\x60\x80\x40\x00" + END
)
FIRST = COPYRIGHT + TEMPO + b"\x00\xff\x58\x04\x04\x02\x18\x08" + b"\x00\xff\x7f\x03\x00\x01\x02" + END
PART = [(0, 60), (96, 62), (192, 64)]


def notes_of(data, channel=0):
    score = symusic.Score.from_midi(data)
    rows = [(n.time, n.time + n.duration, n.pitch, n.velocity) for t in score.tracks for n in t.notes]
    return sorted(rows)


def test_only_the_notes_asked_for_change():
    data = file_of(FIRST, TUNE)
    done = rewrite_notes(
        data, PART, [NoteChange(96, 0, 62)], [NoteChange(96, 144, 70, 99), NoteChange(400, 480, 71, 50)]
    )
    assert notes_of(done) == sorted(
        [(0, 96, 60, 64), (96, 144, 70, 99), (96, 192, 48, 32), (192, 288, 64, 66), (400, 480, 71, 50)]
    )
    first, tune = tracks_of(done)
    assert first == FIRST
    assert NAME in tune
    assert SYSEX in tune
    assert b"\xb0\x40\x7f" in tune
    assert tune.endswith(b"\xff\x2f\x00")


REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("after", [b"", b"xyz", b"XFIH\x00\x00\x00\x01x", b"after the last chunk"])
def test_nothing_changed_is_the_same_file(after):
    data = file_of(FIRST, TUNE) + after
    assert rewrite_notes(data, PART, [], []) == data


def test_nothing_changed_is_the_same_file_whatever_is_in_it():
    found = sorted(path for path in REPOSITORY.rglob("*.mid") if ".venv" not in path.parts)
    for path in found:
        data = path.read_bytes()
        for track in symusic.Score.from_midi(data).tracks:
            if len(track.notes):
                assert rewrite_notes(data, [(n.time, n.pitch) for n in track.notes], [], []) == data
    assert found


def test_a_status_is_left_out_only_where_it_may_be():
    # The event before it goes: a text, or an event with another status, is now in front.
    text = b"\x00\xff\x01\x01x"
    tune = b"\x00\x90\x3c\x40\x60\x80\x3c\x40" + text + b"\x00\x90\x3e\x40\x00\x40\x40\x60\x80\x3e\x40\x00\x40\x40"
    done = rewrite_notes(file_of(tune + END), [(0, 60), (96, 62), (96, 64)], [NoteChange(96, 0, 62)], [])
    rest = b"\x00\x90\x3c\x40\x60\x80\x3c\x40" + text + b"\x00\x90\x40\x40\x60\x80\x40\x40"
    assert done == file_of(rest + END)


def test_the_part_that_differs_least_is_the_one():
    chords = b"".join(
        b"\x00\x90" + bytes((p, 64)) + b"\x00\x30\x40\x60\x80" + bytes((p, 64)) + b"\x00\x30\x40" for p in (60, 62, 64)
    )
    tune = b"".join(b"\x00\x91" + bytes((p, 64)) + b"\x60\x81" + bytes((p, 64)) for p in (60, 62, 64))
    change = [NoteChange(96, 0, 62)], [NoteChange(96, 192, 70)]
    first, second = tracks_of(rewrite_notes(file_of(chords + END, tune + END), PART, *change))
    assert first == chords + END
    assert b"\x91\x46" in second
    # Two programs on one channel are two parts; together they differ from either.
    both = b"\x00\xc1\x05" + tune + b"\x00\xc1\x06" + tune + END
    first, second = tracks_of(rewrite_notes(file_of(both, chords + END), PART, *change))
    assert second == chords + END
    assert b"\x91\x46" in first


@pytest.mark.parametrize("twin", [0, 1, 2])
def test_of_parts_with_the_same_notes_the_one_meant(twin):
    tune = b"".join(b"\x00\x90" + bytes((p, 64)) + b"\x60\x80" + bytes((p, 64)) for p in (60, 62, 64)) + END
    names = [b"\x00\xff\x03\x01" + name for name in (b"a", b"b", b"c")]
    data = file_of(FIRST, *(name + tune for name in names))
    done = rewrite_notes(data, PART, [NoteChange(0, 0, 60)], [NoteChange(0, 48, 72)], twin=twin)
    _, *tracks = tracks_of(done)
    assert [name + tune != track for name, track in zip(names, tracks, strict=True)] == [i == twin for i in range(3)]


def test_of_notes_on_one_key_the_first_to_begin_ends_first():
    tune = b"\x00\x90\x3c\x40\x10\x3c\x41\x10\x3c\x00\x10\x3c\x00" + END
    done = rewrite_notes(file_of(tune), [(0, 60), (16, 60)], [NoteChange(16, 0, 60)], [])
    assert notes_of(done) == [(0, 32, 60, 64)]


def test_beginnings_are_counted_up_to_the_end_of_a_track():
    # A note that never ends, one of velocity 0, which is an end, and one after the track's end.
    tune = b"\x00\x90\x3c\x40\x00\x90\x3e\x40\x10\x3e\x00\x00\xf2\x01\x02\x00\xf6" + END + b"\x00\x90\x40\x40"
    assert count_beginnings(file_of(tune)) == 2
    assert rewrite_notes(file_of(tune), [(0, 62)], [], []) == file_of(tune)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF", "is no MIDI file"),
        (file_of(FIRST, TUNE[:9]), "breaks off|are not in this MIDI file"),
        (file_of(FIRST, b"\x00\x3c\x40" + END), "breaks off"),
        (file_of(FIRST), "are not in this MIDI file"),
    ],
)
def test_damaged_files_are_named(data, message):
    with pytest.raises(InputError, match=message):
        rewrite_notes(data, PART, [], [])


def test_a_note_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no pitch 99 at tick 0"):
        rewrite_notes(file_of(FIRST, TUNE), PART, [NoteChange(0, 0, 99)], [])


@st.composite
def scores(draw):
    parts = []
    for k in range(draw(st.integers(1, 3))):
        n = draw(st.integers(1, 8))
        # One note after the other: MIDI cannot say that one key sounds twice at a time.
        lengths = np.array(draw(st.lists(st.integers(1, 960), min_size=n, max_size=n)))
        start = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        pitch = draw(st.lists(st.integers(0, 127), min_size=n, max_size=n))
        loud = draw(st.lists(st.integers(1, 127), min_size=n, max_size=n))
        columns = (start / 480, lengths / 480, np.array(pitch, np.int16), np.array(loud, np.int16))
        parts.append(Part(f"part {k}", draw(st.integers(0, 127)), False, *columns))
    tempo = draw(st.integers(30, 240))
    meter = draw(st.sampled_from([(4, 4), (3, 4), (7, 8)]))
    return Score(tuple(parts), ((0.0, float(tempo)),), ((0.0, *meter),))


@few
@given(scores())
def test_scores_through_midi(tmp_path_factory, score):
    path = tmp_path_factory.mktemp("midi") / "a.mid"
    path.write_bytes(write_score(score))
    again = read_score(path)
    assert again.meters == score.meters
    assert again.tempos[0][1] == pytest.approx(score.tempos[0][1], abs=0.01)
    assert [part.name for part in again] == [part.name for part in score]
    for one, other in zip(again, score, strict=True):
        assert one.program == other.program
        for name in ("start_q", "duration_q", "pitch_midi", "velocity"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-9, err_msg=name)
