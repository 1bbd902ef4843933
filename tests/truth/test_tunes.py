"""Tables of tunes out of small folders in the layout of the corpora."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from ottava.corpora.songs import make_song
from ottava.corpora.tunes import load_tunes, read_tunes, unpack_chords
from ottava.errors import InputError, UsageError
from ottava.symbolic.bars import HOLD, ONSET, from_bars
from ottava.symbolic.score import Part, Score
from ottava.symbolic.write import write_score


def part_of(symbols, name="MELODY", late_q=0.0):
    start, end, pitch = from_bars(symbols)
    return Part(name, 0, False, late_q + start / 4, (end - start) / 4, pitch, np.full(len(start), 70, np.int16))


@pytest.fixture
def symbols():
    return make_song(np.random.default_rng(1)).symbols()[:10]


@pytest.fixture
def pop909(tmp_path, symbols):
    """One song at 90 quarters a minute, whose first bar begins at 1 s; after six bars comes one of two beats."""
    folder = tmp_path / "POP909" / "001"
    folder.mkdir(parents=True)
    late_q = 1.5
    score = Score((part_of(symbols, late_q=late_q), part_of(symbols - 12 * (symbols > 1), "PIANO")), ((0.0, 90.0),))
    (folder / "001.mid").write_bytes(write_score(score))
    beat_s = 60 / 90
    rows = [f"{1 + k * beat_s:.6f} {float(k % 2 == 0)} {float(k % 4 == 0)}" for k in range(41)]
    (folder / "beat_midi.txt").write_text("\n".join(rows))
    (folder / "chord_midi.txt").write_text(f"0.0\t{1 + 6 * beat_s:.6f}\tC:maj\n{1 + 6 * beat_s:.6f}\t99.0\tA:min7/b3\n")
    return folder.parent


def test_pop909_goes_by_its_beats(pop909, symbols):
    (item,) = read_tunes("pop909", pop909)
    assert item.id == "pop909/001.0"
    assert item.meter == (4, 4)
    np.testing.assert_array_equal(item.symbols, symbols)
    chords = unpack_chords(item.chords)
    assert np.flatnonzero(chords[0, 0]).tolist() == [0, 12, 16, 19]
    assert np.flatnonzero(chords[1, 2]).tolist() == [9, 12, 16, 19, 21]
    assert (chords[1, 1] == chords[0, 0]).all()


def test_a_bar_of_two_beats_parts_the_song(pop909, symbols):
    table = pop909 / "001/beat_midi.txt"
    rows = [row.split() for row in table.read_text().splitlines()]
    for k, row in enumerate(rows):
        row[2] = str(float((k < 36 and k % 4 == 0) or k in (36, 38)))
    table.write_text("\n".join(map(" ".join, rows)))
    (item,) = read_tunes("pop909", pop909)
    np.testing.assert_array_equal(item.symbols, symbols[:9])


@pytest.mark.parametrize("name", ["beat_midi.txt", "chord_midi.txt"])
def test_missing_and_damaged_tables_are_named(pop909, name):
    table = pop909 / "001" / name
    table.write_text("no numbers\n")
    with pytest.raises(InputError, match=f"no table of {name[:4]}") as caught:
        list(read_tunes("pop909", pop909))
    assert caught.value.path == str(table)
    table.unlink()
    with pytest.raises(InputError, match=name):
        list(read_tunes("pop909", pop909))


def test_nottingham_is_read_as_midi(tmp_path, symbols):
    folder = tmp_path / "nottingham" / "MIDI"
    folder.mkdir(parents=True)
    for name, bars in (("reel.mid", symbols), ("short.mid", symbols[:5])):
        (folder / name).write_bytes(write_score(Score((part_of(bars, ""),), ((0.0, 120.0),))))
    (folder / "broken.mid").write_bytes(b"MThd")
    (item,) = read_tunes("nottingham", tmp_path / "nottingham")
    assert item.id == "nottingham/reel"
    assert item.chords is None
    assert len(item.symbols) in (9, 10)


def test_lead_sheets(tmp_path):
    pytest.importorskip("partitura", reason="needs ottava[score]")
    folder = tmp_path / "OpenEWLD/dataset/Anon/Scale"
    folder.mkdir(parents=True)
    note = "<note><pitch><step>{}</step><octave>4</octave></pitch><duration>1</duration><type>quarter</type></note>"
    meter = "<time><beats>3</beats><beat-type>4</beat-type></time>"
    head = f"<attributes><divisions>1</divisions>{meter}</attributes>"
    bar = "".join(note.format(step) for step in "CDE")
    measures = "".join(f'<measure number="{i + 1}">{"" if i else head}{bar}</measure>' for i in range(8))
    xml = (
        '<score-partwise version="3.1"><part-list><score-part id="P1"><part-name>x</part-name></score-part></part-list>'
        f'<part id="P1">{measures}</part></score-partwise>'
    )
    with zipfile.ZipFile(folder / "Scale.mxl", "w") as archive:
        archive.writestr("score.xml", xml)
    (item,) = read_tunes("openewld", tmp_path / "OpenEWLD")
    assert item.family == "scale"
    assert item.meter == (3, 4)
    assert item.symbols.shape == (8, 12)
    assert item.symbols[3, ::4].tolist() == [60 + ONSET, 62 + ONSET, 64 + ONSET]
    assert item.symbols[3, 1] == HOLD


def test_unknown_sources():
    with pytest.raises(UsageError, match="no tunes of 'charts'"):
        list(read_tunes("charts", "."))
    with pytest.raises(UsageError, match="and a folder"):
        list(read_tunes("pop909"))


def test_the_command_writes_a_file_for_each_source(pop909, tmp_path, symbols):
    from ottava.cli import main

    assert main(["data", "tunes", str(tmp_path / "out"), "--pop909", str(pop909)]) == 0
    (item,) = load_tunes(tmp_path / "out/pop909.npz")
    np.testing.assert_array_equal(item.symbols, symbols)
    assert main(["data", "tunes", str(tmp_path / "out"), "--pop909", str(pop909)]) == 1
