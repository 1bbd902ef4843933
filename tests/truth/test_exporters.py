"""Files that exporters write, as other readers read them."""

from __future__ import annotations

import csv
import io
import json
import os
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from ottava.errors import OutputError
from ottava.exporters import FORMATS, render
from ottava.exporters.musicxml import estimate_grid, to_musicxml
from ottava.results import Curves, FlowMap, Notes, Result


def result(**payloads):
    return Result("transcription", "transcription@0", "Für Elise\x07.mp3", payloads, version="0.1.0")


def notes(*rows):
    """Make notes from (instrument, pitch, start and end in sixteenths at 120)."""
    names, pitch, start, end = zip(*rows, strict=True)
    count = len(rows)
    return Notes(np.array(start) / 8, np.array(end) / 8, pitch, [80] * count, [1] * count, names)


MUSIC = notes(
    ("keys", 60, 0, 16),  # held under what follows, over the bar
    ("keys", 64, 0, 4),
    ("keys", 64, 4, 8),  # struck again: no tie
    ("keys", 67, 4, 6),
    ("keys", 60, 16, 21),  # five sixteenths: a quarter tied to a sixteenth
    ("keys", 66, 30, 37),  # over the bar line
    ("bass", 36, 3, 40),
    ("drums", 36, 0, 3),
    ("drums", 42, 2, 3),
    ("drums", 38, 17, 18),
)


def test_csv():
    rows = list(csv.DictReader(io.StringIO(render(result(notes=MUSIC), ".csv").decode())))
    assert len(rows) == len(MUSIC)
    assert rows[1] == {
        "start_s": "0.000000",
        "end_s": "0.500000",
        "pitch_midi": "64",
        "velocity": "80",
        "confidence": "1.0000",
        "instrument": "keys",
    }


def test_json_is_strict():
    data = json.loads(render(result(notes=MUSIC), ".json"))
    assert data["source"] == "Für Elise\x07.mp3"
    assert data["notes"]["pitch_midi"] == MUSIC.pitch_midi.tolist()
    broken = result(x=Curves([0.0], {"onset": [np.nan]}))
    with pytest.raises(OutputError, match="JSON cannot say"):
        render(broken, ".json")


def test_npz():
    curves = Curves([0.0, 0.1], {"onset": [[1, 2], [3, 4]], "frame": [5, 6]})
    with np.load(io.BytesIO(render(result(notes=MUSIC, curves=curves), ".npz"))) as file:
        assert sorted(file.files) == ["frame", "onset", "times_s"]
        assert file["onset"].tolist() == [[1, 2], [3, 4]]
        assert file["times_s"].tolist() == [0.0, 0.1]


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_result_gives_the_same_bytes(suffix):
    made = result(notes=MUSIC, curves=Curves([0.0], {"onset": [0.5]}))
    assert render(made, suffix) == render(made, suffix.upper())


@pytest.mark.parametrize("suffix", sorted(FORMATS.keys() - {".npz"}))
def test_silence_makes_a_file(suffix):
    assert render(result(notes=Notes.empty()), suffix)


# The schema of MusicXML imports two others from the network. This is all that it uses of them.
IMPORTED = {
    "xml": """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
        targetNamespace="http://www.w3.org/XML/1998/namespace">
        <xs:attribute name="lang" type="xs:language"/><xs:attribute name="space" type="xs:NCName"/>
        </xs:schema>""",
    "xlink": """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
        targetNamespace="http://www.w3.org/1999/xlink">
        <xs:attribute name="actuate" type="xs:NMTOKEN"/><xs:attribute name="href" type="xs:anyURI"/>
        <xs:attribute name="role" type="xs:token"/><xs:attribute name="show" type="xs:NMTOKEN"/>
        <xs:attribute name="title" type="xs:token"/><xs:attribute name="type" type="xs:NMTOKEN"/>
        </xs:schema>""",
}


@pytest.fixture(scope="module")
def read_score(tmp_path_factory):
    """Return a function that checks a score against the schema of MusicXML and reads it with partitura."""
    partitura = pytest.importorskip("partitura", reason="partitura (the [score] extra) is not installed")
    from lxml import etree

    class Imports(etree.Resolver):
        def resolve(self, url, public_id, context):
            name = os.path.basename(url).removesuffix(".xsd")
            return self.resolve_string(IMPORTED[name], context) if name in IMPORTED else None

    parser = etree.XMLParser()
    parser.resolvers.add(Imports())
    path = os.path.join(os.path.dirname(partitura.__file__), "assets", "musicxml.xsd")
    schema = etree.XMLSchema(etree.parse(path, parser))
    folder = tmp_path_factory.mktemp("scores")

    def read(data):
        schema.assertValid(etree.fromstring(data))
        (folder / "score.musicxml").write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it passes over metronome marks
            return partitura.load_musicxml(folder / "score.musicxml")

    return read


def sixteenths(part):
    """Return (start, end, pitch) of a part's notes with ties joined, in sixteenths."""
    return sorted((round(note.start.t), round(note.end_tied.t), note.midi_pitch) for note in part.notes_tied)


def test_musicxml_says_what_was_played(read_score):
    score = read_score(to_musicxml(result(notes=MUSIC), tempo_bpm=120))
    keys, bass, drums = score.parts
    assert [part.part_name for part in score.parts] == ["keys", "bass", "drums"]
    assert sixteenths(keys) == [
        (0, 4, 64),
        (0, 16, 60),
        (4, 6, 67),
        (4, 8, 64),
        (16, 21, 60),
        (30, 37, 66),
    ]
    assert sixteenths(bass) == [(3, 40, 36)]
    unpitched = [note for note in drums.iter_all() if type(note).__name__ == "UnpitchedNote"]
    hits = sorted((round(note.start.t), note.step, note.octave) for note in unpitched)
    assert hits == [(0, "F", 4), (2, "G", 5), (17, "C", 5)]


def test_bars_of_musicxml_are_full_and_symbols_true():
    root = ElementTree.fromstring(to_musicxml(result(notes=MUSIC), tempo_bpm=120))
    lengths = {"whole": 16, "half": 8, "quarter": 4, "eighth": 2, "16th": 1}
    for part in root.iter("part"):
        bars = part.findall("measure")
        assert len(bars) == 3
        for bar in bars:
            assert sum(int(n.findtext("duration")) for n in bar.iter("note") if n.find("chord") is None) == 16
            for note in bar.iter("note"):
                dotted = 1.5 if note.find("dot") is not None else 1
                assert int(note.findtext("duration")) == lengths[note.findtext("type")] * dotted
                assert [t.get("type") for t in note.findall("tie")] == [
                    t.get("type") for t in note.findall("notations/tied")
                ]


def test_hits_together_are_a_chord():
    """Read by hand, since partitura stumbles over chords without pitch."""
    data = to_musicxml(
        result(notes=notes(("drums", 36, 4, 5), ("drums", 42, 4, 9), ("drums", 49, 4, 5))), tempo_bpm=120
    )
    written = ElementTree.fromstring(data).findall("part/measure/note")
    hits = [note for note in written if note.find("unpitched") is not None]
    assert [hit.find("chord") is not None for hit in hits] == [False, True, True]
    assert [hit.findtext("duration") for hit in hits] == ["1"] * 3
    assert written.index(hits[0]) == 1  # after a rest of a quarter
    assert written[0].find("rest") is not None
    assert written[0].findtext("duration") == "4"


def test_musicxml_of_silence(read_score):
    score = read_score(to_musicxml(result(notes=Notes.empty())))
    assert sixteenths(score.parts[0]) == []


def test_musicxml_of_random_music(read_score):
    """Whatever is played, joined ties give back every note, cut where its key is struck again."""
    random = np.random.default_rng(4)
    start = random.integers(0, 150, 120)
    rows = [
        ("keys", int(p), int(s), int(s + n))
        for p, s, n in zip(random.integers(20, 110, 120), start, random.integers(1, 40, 120), strict=True)
    ]
    expected = {}
    for _, pitch, begin, _ in rows:
        ends = [e for _, p, s, e in rows if (p, s) == (pitch, begin)]
        next_s = [s for _, p, s, _ in rows if p == pitch and s > begin]
        expected[begin, pitch] = min([max(ends), *next_s])
    score = read_score(to_musicxml(result(notes=notes(*rows)), tempo_bpm=120))
    assert {(s, p): e for s, e, p in sixteenths(score.parts[0])} == expected


@pytest.mark.parametrize("tempo_bpm", [64.0, 90.3, 120.0, 143.7, 172.0])
def test_grid_of_music_played_by_a_person(tempo_bpm):
    """Onsets on a grid, mostly on beats, 8 ms off here and there: rounding has to find the grid again."""
    random = np.random.default_rng(5)
    beats = np.arange(120)
    slots = np.sort(
        np.concatenate([beats * 4, beats[random.random(120) < 0.5] * 4 + 2, beats[random.random(120) < 0.2] * 4 + 1])
    )
    onset_s = 1.234 + slots * 15 / tempo_bpm + random.normal(0, 0.008, len(slots))
    found_bpm, offset_s = estimate_grid(onset_s)
    # Half and double tempo write the same music with other note values.
    ratio = found_bpm / tempo_bpm
    assert min(abs(ratio / r - 1) for r in (0.5, 1, 2)) < 0.001
    off = (onset_s - offset_s) / (15 / found_bpm)
    assert np.mean(np.abs(off - np.rint(off)) < 0.25) > 0.95
    assert estimate_grid(onset_s[:1]) == (120.0, 0.0)


def test_score_begins_before_music_that_does_not_begin_on_a_beat(read_score):
    # Beats at 0.4, 0.9, ..., and a note before the first of them.
    onset_s = np.concatenate([[0.025], 0.4 + np.arange(40) * 0.5])
    made = Notes(onset_s, onset_s + 0.125, [60] * 41, [80] * 41, [1] * 41, ["keys"] * 41)
    found = sixteenths(read_score(to_musicxml(result(notes=made))).parts[0])
    starts = [start for start, _, _ in found]
    assert np.diff(starts).tolist() == [3] + [4] * 39
    assert starts[1] % 4 == 0


def test_a_flow_map_as_a_table_and_as_arrays(tmp_path):
    flow = FlowMap(
        ["x"] * 4 + ["a/b"] * 2, [0, 1, 2, 3, 0, 1], [0.25] * 4 + [0.5, 0.5], [0.25, -0.25, 0.25, 0, 0.5, 0.5],
        {("x", "a/b"): np.arange(8).reshape(4, 2)}, {"x": (2, 2)}, {}, ("a/b",),
    )  # fmt: skip
    result = Result("flow", "net@0", "x.npy", {"flow": flow})
    lines = result.save(tmp_path / "f.csv").read_text().splitlines()
    assert lines[:3] == ["layer,unit,information,attribution", "x,0,0.25,0.25", "x,1,0.25,-0.25"]
    assert len(lines) == 7
    with np.load(result.save(tmp_path / "f.npz")) as arrays:
        assert sorted(arrays.files) == ["a.b", "x", "x -> a.b"]
        assert arrays["x"].shape == (2, 2)
        np.testing.assert_array_equal(arrays["x -> a.b"], flow.edges["x", "a/b"])
    with pytest.raises(OutputError):
        result.save(tmp_path / "f.mid")
