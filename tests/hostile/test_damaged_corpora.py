"""Corpora with files missing, exchanged or damaged: three faults, three messages, and never a traceback."""

from __future__ import annotations

import hashlib
import json

import pytest

from ottava.corpora import NAMES, Corpus, find_corpus, open_corpus, validate
from ottava.corpora.rendered import Recipe, make_item
from ottava.errors import InputError, UsageError
from replicas import midi


def damage(path, content=b"\x00not this\xff"):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_whole(name, replica):
    check = validate(name, replica(name))
    assert check.complete
    assert check.files > 0
    assert not check.missing
    assert not check.damaged


# Collections of single files have no list but the folder: what is gone is known to a file of checksums only.
SINGLE_FILES = ("lieder", "openewld", "pop909", "nottingham", "pairs")


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(SINGLE_FILES)))
def test_every_needed_file_is_missed(name, replica):
    folder = replica(name)
    corpus = open_corpus(name, folder)
    item = list(corpus.items())[-1]
    for path in corpus.files(item):
        content = path.read_bytes()
        path.unlink()
        check = validate(name, folder)
        assert path in check.missing
        assert not check.damaged
        assert f"{path}: missing" in list(check.lines())
        path.write_bytes(content)
    assert validate(name, folder).complete


@pytest.mark.parametrize("name", NAMES)
def test_every_damaged_file_is_named(name, replica):
    folder = replica(name)
    corpus = open_corpus(name, folder)
    item = next(corpus.items())
    for path in corpus.files(item):
        for content in (b"", b"\x00not this\xff"):
            original = path.read_bytes()
            damage(path, content)
            check = validate(name, folder)
            assert [file for file, _ in check.damaged] == [path]
            assert "cannot be read" in dict(check.damaged)[path]
            assert not check.missing
            path.write_bytes(original)


def test_three_faults_have_three_messages(replica):
    folder = replica("maestro")
    sums = folder.parent / "SHA256SUMS"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums.write_text("".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder)}\n" for p in files))
    assert validate("maestro", folder, sums).verified == len(files)
    other = next(folder.rglob("*test*.midi"))
    other.write_bytes(next(folder.rglob("*train*.midi")).read_bytes() + b"\x00")
    gone = next(folder.rglob("*train*.wav"))
    gone.unlink()
    check = validate("maestro", folder, sums)
    assert check.missing == (gone,)
    ((path, reason),) = check.damaged
    assert path == other
    assert reason.startswith("checksum differs; found sha256 ")
    broken = damage(next(folder.rglob("*validation*.wav")))
    reasons = dict(validate("maestro", folder).damaged)
    assert reasons[broken].startswith("cannot be read: ")
    *_, summary = check.lines()
    assert summary == f"maestro: {len(files)} files, {len(files) - 1} compared with a checksum, 1 missing, 1 damaged"


def test_an_index_of_mirdata_counts_as_checksums(replica):
    folder = replica("guitarset")
    path = next(folder.glob("annotation/*.jams"))
    right = hashlib.md5(path.read_bytes()).hexdigest()
    index = folder.parent / "guitarset_index.json"
    for digest, damaged in ((right, 0), ("0" * 32, 1)):
        entry = {"jams": [f"annotation/{path.name}", digest], "audio_hex": ["audio_hex/none.wav", "0" * 32]}
        index.write_text(json.dumps({"version": "1.1.0", "tracks": {path.stem: entry}}))
        check = validate("guitarset", folder, index)
        assert (check.verified, len(check.damaged)) == (1, damaged)
        assert not check.missing, "recordings that Ottava does not use may be absent"


def test_a_file_of_the_list_alone_is_missed_too(replica):
    folder = replica("nottingham")
    sums = folder / "MD5SUMS"
    sums.write_text(f"{'0' * 32}  nottingham/MIDI/jigs999.mid\n")
    assert [path.name for path in validate("nottingham", folder, sums).missing] == ["jigs999.mid"]


@pytest.mark.parametrize("content", [b"hello world\n", b"\xff\xfe\xff", b"0123  short.mid\n"])
def test_a_file_of_checksums_that_is_none(replica, tmp_path, content):
    sums = damage(tmp_path / "sums", content)
    with pytest.raises(InputError, match="sums: damaged"):
        validate("nottingham", replica("nottingham"), sums)
    with pytest.raises(InputError, match="index of mirdata"):
        validate("nottingham", replica("nottingham"), damage(tmp_path / "sums.json", b"[1, 2]"))


def test_archives_by_their_published_checksum(tmp_path, monkeypatch):
    path = damage(tmp_path / "musicnet.tar.gz")
    ((_, reason),) = validate("musicnet", path).damaged
    assert reason.startswith("checksum differs; found md5 ")
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(find_corpus("musicnet"), "archives", {"musicnet.tar.gz": f"md5:{digest}"})
    assert validate("musicnet", path).complete
    with pytest.raises(InputError, match=r"expected musicnet\.tar\.gz"):
        validate("musicnet", damage(tmp_path / "other.zip"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "pairs"])
def test_another_folder_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="this is not"):
        open_corpus(name, tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="found nothing; expected a folder"):
        open_corpus("maestro", tmp_path / "none")
    with pytest.raises(InputError, match="found a file"):
        open_corpus("maestro", damage(tmp_path / "file"))
    with pytest.raises(UsageError, match="no corpus 'maestros'; expected one of maestro"):
        open_corpus("maestros", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_truth_of_a_damaged_file_names_it(name, replica):
    corpus: Corpus = open_corpus(name, replica(name))
    item = next(corpus.items())
    path = next(path for path in corpus.files(item)[::-1] if path != item.audio)
    for content in (
        b"",
        b"\x00not this\xff",
        b"a,b\n1,2\n",
        b"[]",
        b'{"annotations": [{"namespace": "note_midi"}]}',
    ):
        damage(path, content)
        with pytest.raises(InputError) as caught:
            item.truth()
        assert str(path) == caught.value.path
    path.unlink()
    with pytest.raises(InputError) as caught:
        item.truth()
    assert str(path) == caught.value.path


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("musicnet", ",60,", ",sixty,", "'sixty' in column note, line 2"),
        ("musicnet", ",60,", ",200,", "200"),
        ("musicnet", "22050,44100,1,", "22050,44100,500,", "instrument 500"),
        ("musicnet", "22050,44100", "44100,22050", None),
        ("maps", "\t60", "", "line 2 is cut short"),
        ("maps", "OnsetTime", "Start", "columns Start"),
        ("guitarset", '"value": 60.18', '"pitch": 60', "KeyError: 'value'"),
        ("slakh", "program_num: 0", "program_num: x", "ValueError"),
        ("slakh", "stems:", "stems: [", "Error"),
    ],
)
def test_wrong_values_are_told(name, old, new, found, replica):
    corpus = open_corpus(name, replica(name))
    item = next(item for item in corpus.items())
    path = next(path for path in item.files if path != item.audio)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError) as caught:
        item.truth()
    assert caught.value.path == str(path)
    assert found is None or found in str(caught.value)


def test_a_damaged_table_of_contents(replica):
    folder = replica("maestro")
    damage(folder / "maestro-v3.0.0.csv", b"canonical_composer,split\nx,train\n")
    with pytest.raises(InputError, match="expected canonical_composer, canonical_title"):
        validate("maestro", folder)


def test_a_damaged_score_is_passed_over_when_music_is_made_of_them(tmp_path):
    notes = [(0.1 * i, 0.1 * i + 0.1, 60 + i % 12, 80) for i in range(150)]
    for number in range(24):
        midi(tmp_path / f"POP909/{number:03}/{number:03}.mid", notes, name="PIANO")
    paths = [item.truth_path for item in open_corpus("pop909", tmp_path).items("train")]
    for path in paths[::2]:
        damage(path)
    recipe = Recipe(scores=(tmp_path,), kinds={"piano": 1.0}, length_s=5, recorded=False)
    with pytest.warns(UserWarning, match=r"\.mid: .*; drawing another"):
        made = [make_item(recipe, 0, index) for index in range(3)]
    assert all(len(played) for _, played, _ in made)
    assert {about["piece"] for _, _, about in made} - {"made-up"}
