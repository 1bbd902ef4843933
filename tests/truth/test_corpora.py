"""Loaders against replicas of the distributed layouts, whose every note is known, and against mirdata."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ottava.corpora import NAMES, find_corpus, open_corpus, validate
from ottava.corpora.corpus import hashed_split
from ottava.errors import UsageError
from replicas import NOTES, REPLICAS

SPLITS = {
    "maestro": {"train": 1, "validation": 1, "test": 1},
    "musicnet": {"train": 2, "test": 1},
    "guitarset": {"train": 1, "test": 1},
    "slakh": {"train": 1, "validation": 1, "test": 1},
    "maps": {"train": 1, "test": 2},
    "groove": {"train": 1, "validation": 1, "test": 1},
    "pairs": {"test": 2},
}


def rows(notes):
    return [
        (round(s, 4), round(e, 4), int(p), int(v))
        for s, e, p, v in zip(notes.start_s, notes.end_s, notes.pitch_midi, notes.velocity, strict=True)
    ]


def test_every_corpus_has_a_replica():
    assert set(REPLICAS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_furniture(name, replica):
    kind = find_corpus(name)
    assert kind.name == name
    assert kind.licence
    assert name == "pairs" or (kind.citation and kind.version and kind.url.startswith("https://"))
    corpus = open_corpus(name, replica(name))
    items = list(corpus.items())
    assert len({item.id for item in items}) == len(items) > 0
    assert [i.id for i in items] == [i.id for i in corpus.items()], "the order is fixed"
    assert {item.split for item in items} <= set(kind.splits)
    for item in items:
        assert item.licence == kind.licence
        assert len(item.truth()) > 0
        assert all(path.exists() for path in corpus.files(item))
    with pytest.raises(UsageError, match="no split"):
        corpus.items("valid")


@pytest.mark.parametrize("name", NAMES)
def test_a_piece_is_on_one_side_of_the_split(name, replica):
    sides = {}
    for item in open_corpus(name, replica(name)).items():
        sides.setdefault(item.piece, set()).add(item.split)
    assert all(len(splits) == 1 for splits in sides.values())


@pytest.mark.parametrize("name", SPLITS)
def test_splits(name, replica):
    corpus = open_corpus(name, replica(name))
    assert {split: len(list(corpus.items(split))) for split in corpus.splits} == SPLITS[name]


@pytest.mark.parametrize("name", ["musicnet", "guitarset", "maps"])
def test_annotations_without_velocity(name, replica):
    corpus = open_corpus(name, replica(name))
    assert not corpus.velocities
    for item in corpus.items():
        expected = [(start, end, pitch, 64) for start, end, pitch, _ in NOTES]
        np.testing.assert_allclose(rows(item.truth()), expected, atol=1e-4)  # MusicNet counts whole samples
        assert item.audio is not None
        assert item.audio.suffix == ".wav"


@pytest.mark.parametrize("name", ["pop909", "nottingham", "pairs"])
def test_notes_with_velocity(name, replica):
    for item in open_corpus(name, replica(name)).items():
        assert rows(item.truth()) == list(NOTES)
        assert item.truth().instruments() == ("keys",)


def test_maestro_holds_notes_as_long_as_the_pedal(replica):
    (item,) = open_corpus("maestro", replica("maestro")).items("test")
    # The pedal goes down at 0.7 s, under the first note, and up at 1.5 s: it ends there and not at 1 s.
    assert rows(item.truth()) == [(0.5, 1.5, 60, 80), (1.0, 2.0, 64, 50)]
    assert item.piece == "Fryderyk Chopin: Ballade No. 1"
    assert item.audio.name == "MIDI-Unprocessed_test_wav--1.wav"


def test_maestro_without_its_sound(replica):
    folder = replica("maestro")
    for path in folder.rglob("*.wav"):
        path.unlink()
    assert all(item.audio is None for item in open_corpus("maestro", folder).items())
    assert validate("maestro", folder).complete


def test_musicnet_counts_programs_from_one(replica):
    families = {item.id: item.truth().instruments() for item in open_corpus("musicnet", replica("musicnet")).items()}
    assert families == {"1727": ("keys",), "2186": ("bowed",), "2303": ("winds",)}


def test_guitarset_splits_by_progression(replica):
    corpus = open_corpus("guitarset", replica("guitarset"))
    assert [item.piece for item in corpus.items("train")] == ["BN1"]
    assert [item.piece for item in corpus.items("test")] == ["BN3"]


def test_slakh_takes_instruments_from_its_metadata(replica):
    for item in open_corpus("slakh", replica("slakh")).items():
        truth = item.truth()
        assert {name: len(truth.of(name)) for name in truth.instruments()} == {
            "keys": 2,
            "bass": 2,
            "drums": 2,
        }
        assert rows(truth.of("bass")) == list(NOTES)
        assert set(truth.of("drums").pitch_midi) == {36}
        assert item.audio.name == "mix.flac"


def test_maps_trains_on_no_piece_that_it_tests(replica):
    corpus = open_corpus("maps", replica("maps"))
    assert [item.id for item in corpus.items("train")] == ["MAPS_MUS-alb_se3_AkPnBcht"]
    assert {item.piece for item in corpus.items("test")} == {"chpn-p4", "bor_ps6"}


def test_groove_speaks_general_midi(replica):
    for item in open_corpus("groove", replica("groove")).items():
        truth = item.truth()
        assert truth.instruments() == ("drums",)
        assert sorted(zip(truth.start_s.round(4), truth.pitch_midi, strict=True)) == [
            (0.5, 36), (0.5, 42), (1.0, 46), (1.5, 43)
        ]  # fmt: skip
        assert item.audio is None, "the distribution without sound"


@pytest.mark.parametrize("name", ["lieder", "openewld"])
def test_scores_sound_as_written(name, replica):
    for item in open_corpus(name, replica(name)).items():
        truth = item.truth()
        # Upbeat of a second; a tied note of four quarters at 60 and two at 120; two quarters at 120.
        assert rows(truth.of("voice")) == [(0, 1, 67, 64), (1, 6, 72, 64), (6, 7, 74, 64)]
        assert rows(truth.of("keys")) == [(1, 5, 48, 64), (1, 5, 52, 64)]


def test_lieder_know_singers_by_any_name(replica):
    folder = replica("lieder")
    from replicas import MUSICXML

    path = folder / "scores/A/_/B/lc1.mxl"
    path.parent.mkdir(parents=True)
    for name, family in (("Mignon", "voice"), ("Oboe", "winds")):
        path.write_text(MUSICXML.replace("Singstimme\nVoice", name))
        item = next(item for item in open_corpus("lieder", folder).items() if item.id == "lc1")
        assert family in item.truth().instruments()


def test_pairs_go_by_name(replica):
    assert [item.id for item in open_corpus("pairs", replica("pairs")).items()] == ["a", "deeper/b"]


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_around_is_as_good(name, replica, tmp_path):
    folder = replica(name)
    inner = open_corpus(name, folder)
    assert [item.id for item in open_corpus(name, inner.root).items()] == [item.id for item in inner.items()]


def test_hashed_split_is_stable_and_near_its_shares():
    # SHA-256 of "lc4985014", first eight hexadecimal digits, modulo 100, by another road.
    place = int.from_bytes(hashlib.sha256(b"lc4985014").digest()[:4], "big") % 100
    assert hashed_split("lc4985014") == ("train" if place < 90 else "validation" if place < 94 else "test")
    shares = [hashed_split(f"piece {i}") for i in range(5000)]
    assert abs(shares.count("train") / 5000 - 0.90) < 0.02
    assert abs(shares.count("validation") / 5000 - 0.04) < 0.01


def test_opening_reads_no_music(replica, monkeypatch):
    folder = replica("lieder")
    monkeypatch.setattr("ottava.symbolic.score.read_score", lambda path: pytest.fail(f"{path} was read"))
    assert len(list(open_corpus("lieder", folder).items())) == 2


def test_mirdata_reads_the_same_guitar_notes(replica):
    guitarset = pytest.importorskip("mirdata.datasets.guitarset", reason="mirdata is not installed")
    for item in open_corpus("guitarset", replica("guitarset")).items():
        strings = [guitarset.load_notes(str(item.truth_path), string) for string in range(6)]
        intervals = np.concatenate([data.intervals for data in strings if data is not None])
        pitches = np.concatenate([data.pitches for data in strings if data is not None])
        order = np.argsort(intervals[:, 0])
        truth = item.truth()
        np.testing.assert_allclose(intervals[order, 0], truth.start_s)
        np.testing.assert_allclose(intervals[order, 1], truth.end_s)
        np.testing.assert_array_equal(np.rint(pitches[order]), truth.pitch_midi)


def test_mirdata_reads_the_same_slakh_notes(replica):
    io = pytest.importorskip("mirdata.io", reason="mirdata is not installed")
    item = next(open_corpus("slakh", replica("slakh")).items("train"))
    path = str(item.truth_path / "S02.mid")
    theirs = io.load_notes_from_midi(path, io.load_midi(path))
    ours = item.truth().of("bass")
    np.testing.assert_allclose(theirs.intervals, np.column_stack((ours.start_s, ours.end_s)), atol=1e-6)
    np.testing.assert_array_equal(theirs.pitches, ours.pitch_midi)
