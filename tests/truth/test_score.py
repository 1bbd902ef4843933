"""Scores against notation whose onsets, lengths and seconds are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ottava.errors import InputError
from ottava.symbolic.score import read_score
from replicas import MUSICXML, midi, mxl


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.mxl"
    mxl(path)
    return read_score(path)


def test_parts_in_quarters(song):
    voice, piano = song
    assert voice.name == "Singstimme Voice"
    assert (voice.program, voice.instrument) == (68, "voice")
    assert (piano.program, piano.instrument) == (0, "keys")
    # Upbeat from 0; the grace note lasts 0; the tie joins six quarters.
    assert voice.start_q.tolist() == [0, 1, 1, 7]
    assert voice.pitch_midi.tolist() == [67, 71, 72, 74]
    assert voice.duration_q.tolist() == [1, 0, 6, 2]
    assert piano.start_q.tolist() == [1, 1]
    assert piano.pitch_midi.tolist() == [48, 52]


def test_tempo_marks(song):
    assert song.tempos == ((0.0, 60.0), (5.0, 120.0))
    np.testing.assert_allclose(song.seconds([0, 1, 5, 6, 9]), [0, 1, 5, 5.5, 7])


def test_plain_xml_reads_like_compressed(tmp_path, song):
    path = tmp_path / "song.musicxml"
    path.write_text(MUSICXML, encoding="utf-8")
    assert read_score(path).notes() == song.notes()


@pytest.mark.parametrize(
    ("name", "sings"),
    [
        ("Gesang", True),
        ("Mezzo-soprano", True),
        ("Ténor", True),
        ("Chœur", False),
        ("Alto", True),
        ("Alto Saxophone", False),
        ("Tenor Banjo", False),
        ("Viola", False),
        ("Cantabile", False),
        ("", False),
    ],
)
def test_voices_by_name(tmp_path, name, sings):
    path = tmp_path / "song.xml"
    path.write_text(MUSICXML.replace("Singstimme\nVoice", name), encoding="utf-8")
    assert read_score(path).parts[0].sings is sings


@pytest.mark.parametrize("quarter_s", [0.25, 1.0])  # quicker and slower than the default
def test_midi(tmp_path, quarter_s):
    path = tmp_path / "a.mid"
    notes = [(2, 4, 60, 80), (8, 9, 62, 81)]
    midi(
        path,
        [(s * quarter_s, e * quarter_s, *note) for s, e, *note in notes],
        name="MELODY",
        program=40,
        quarter_s=quarter_s,
    )
    score = read_score(path)
    (part,) = score.parts
    assert (part.name, part.program, part.drums, part.instrument) == ("MELODY", 40, False, "bowed")
    assert part.start_q.tolist() == [2, 8]
    assert part.duration_q.tolist() == [2, 1]
    assert part.velocity.tolist() == [80, 81]
    assert score.tempos == ((0.0, 60 / quarter_s),)
    np.testing.assert_allclose(score.notes().start_s, [2 * quarter_s, 8 * quarter_s])


def test_midi_without_tempo_is_at_120_until_the_first_mark(tmp_path):
    import symusic

    source = symusic.Score(480)
    track = symusic.Track("", 0, False)
    track.notes.append(symusic.Note(480 * 4, 480, 60, 64))
    source.tracks.append(track)
    source.tempos.append(symusic.Tempo(480 * 2, 60.0))
    source.dump_midi(tmp_path / "a.mid")
    # Two quarters at 120 (the standard's default), then two at 60.
    np.testing.assert_allclose(read_score(tmp_path / "a.mid").notes().start_s, [1 + 2])


def test_of_marks_at_one_position_the_last_counts(tmp_path):
    import symusic

    source = symusic.Score(480)
    track = symusic.Track("", 0, False)
    track.notes.append(symusic.Note(0, 480, 60, 64))
    source.tracks.append(track)
    for numerator, qpm in ((4, 90.0), (3, 60.0)):
        source.time_signatures.append(symusic.TimeSignature(0, numerator, 4))
        source.tempos.append(symusic.Tempo(0, qpm))
    source.dump_midi(tmp_path / "a.mid")
    score = read_score(tmp_path / "a.mid")
    assert score.meters == ((0.0, 3, 4),)
    assert score.tempos == ((0.0, 60.0),)


def test_notes_that_never_end_are_counted(tmp_path):
    def read(*events):
        track = b"".join(events) + b"\x00\xff\x2f\x00"
        data = b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk" + len(track).to_bytes(4, "big") + track
        (tmp_path / "a.mid").write_bytes(data)
        return read_score(tmp_path / "a.mid")

    whole = b"\x00\x90\x3c\x40\x60\x90\x3c\x00"  # ends by velocity 0
    no_length = b"\x00\x90\x40\x40\x00\x80\x40\x40"
    endless = b"\x00\x90\x43\x40"
    for events, lost in (((whole,), 0), ((whole, no_length), 0), ((no_length,), 0), ((endless, whole, endless), 2)):
        score = read(*events)
        assert score.lost == lost
        assert len(score.parts[0]) == len(events) - lost


def test_no_notes_is_an_empty_score(tmp_path):
    midi(tmp_path / "a.mid", [])
    score = read_score(tmp_path / "a.mid")
    assert len(score) == 0
    assert len(score.notes()) == 0


@pytest.mark.parametrize("suffix", [".mid", ".mxl", ".musicxml", ".xml"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04junk", b"<score-partwise>"])
def test_damaged_scores(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.\w+: damaged"):
        read_score(path)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_score(tmp_path / "a.mid")
    with pytest.raises(InputError, match=r"found \.pdf; expected \.mxl"):
        read_score(tmp_path / "a.pdf")
