"""Weights and cards that are damaged, missing or another's: named, with what was found and what was expected."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ottava.errors import MissingError, ModelError, UsageError
from ottava.runtime.cards import parse_card, read_card
from ottava.runtime.load import load
from ottava.runtime.session import Session, default_threads
from ottava.runtime.weights import find_weights
from ottava.spec import Spec, find_spec

SPEC = find_spec("transcription")


@pytest.fixture
def copied(tmp_path, monkeypatch) -> tuple[Spec, Path]:
    """A system of the same spec, whose folder may be tampered with."""
    folder = tmp_path / "borrowed"
    folder.mkdir()
    for name in (SPEC.weights, SPEC.card):
        shutil.copy(str(SPEC.folder / name), folder / name)
    monkeypatch.setattr(Spec, "folder", property(lambda self: folder))
    return dataclasses.replace(SPEC), folder


def test_untouched_weights_are_found(copied):
    spec, folder = copied
    weights = find_weights(spec)
    assert weights.path == folder / spec.weights
    assert weights.model == f"transcription@{read_card(spec).sha256[:12]}"


@pytest.mark.parametrize("damage", ["one byte", "truncated", "empty"])
def test_changed_weights_are_refused(copied, damage):
    spec, folder = copied
    path = folder / spec.weights
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"one byte": bytes(data), "truncated": bytes(data[:1000]), "empty": b""}[damage])
    with pytest.raises(ModelError, match="not the ones its card describes") as caught:
        find_weights(spec)
    assert caught.value.path == str(path)
    assert read_card(spec).sha256[:12] in str(caught.value.expected)


def test_weights_replaced_while_running_are_noticed(copied):
    spec, folder = copied
    find_weights(spec)
    (folder / spec.weights).write_bytes(b"something else")
    with pytest.raises(ModelError):
        find_weights(spec)


def test_missing_weights(copied, tmp_path):
    spec, folder = copied
    (folder / spec.weights).unlink()
    with pytest.raises(MissingError, match=r"weights\.onnx.*install ottava again"):
        find_weights(spec)
    with pytest.raises(MissingError, match=r"mine\.onnx"):
        find_weights(spec, tmp_path / "mine.onnx")
    with pytest.raises(MissingError):
        find_weights(spec, tmp_path)  # a folder


def test_weights_of_the_user_need_no_card(copied, tmp_path):
    spec, folder = copied
    shutil.move(folder / spec.weights, tmp_path / "mine.onnx")
    (folder / spec.card).unlink()
    weights = find_weights(spec, tmp_path / "mine.onnx")
    assert Session(weights, spec, 1).threads == 1


@pytest.mark.parametrize("content", [b"", b"no network", bytes(5000)])
def test_what_is_no_graph_is_refused(tmp_path, content):
    path = tmp_path / "mine.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load("transcription", weights=path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "structure"},
        {"inputs": SPEC.inputs | {"levels": ("batch", 2, "frames", 288)}},
        {"inputs": SPEC.inputs | {"features": ("batch", 2, "frames", 200)}},
        {"inputs": SPEC.inputs | {"features": ("batch", 2, "frames")}},
        {"outputs": {"onset": ("batch", "frames", 88)}},
    ],
    ids=["name", "input's name", "input's size", "input's rank", "outputs"],
)
def test_a_graph_that_is_not_the_specs_is_refused(change):
    weights = find_weights(SPEC)
    with pytest.raises(ModelError) as caught:
        Session(weights, dataclasses.replace(SPEC, **change))
    assert caught.value.path == str(weights.path)
    assert caught.value.found
    assert caught.value.expected


def test_arrays_that_do_not_fit_are_refused():
    session = Session(find_weights(SPEC), SPEC, threads=1)
    with pytest.raises(ModelError, match=r"found levels; expected embedded, features"):
        session.run({"levels": np.zeros((1, 2, 9, 288), np.float32)})
    with pytest.raises(ModelError, match=r"features float32 \(1, 2, 9, 100\)"):
        session.run_part({"features": np.zeros((1, 2, 9, 100), np.float32)})
    with pytest.raises(ModelError, match="float64"):
        session.run_part({"features": np.zeros((1, 2, 9, 288))})


def test_a_part_says_what_the_whole_graph_says_of_its_inputs():
    session = Session(find_weights(SPEC), SPEC, threads=1)
    rng = np.random.default_rng(0)
    halves = [
        {"features": rng.random((1, 2, 9, 288), np.float32)},
        {"embedded": rng.random((1, 32, 9, 99), np.float32)},
    ]
    whole = session.run(halves[0] | halves[1])
    assert whole.keys() == SPEC.outputs.keys()
    first, second = (session.run_part(half) for half in halves)
    for name, values in whole.items():
        np.testing.assert_array_equal((first if name == "embedding" else second)[name], values)
    with pytest.raises(ModelError, match="expected embedded, features"):
        session.run_part({"levels": np.zeros((1, 2, 9, 288), np.float32)})


def test_threads():
    assert 1 <= default_threads() <= min(4, os.cpu_count() or 1)
    with pytest.raises(UsageError, match="threads is 0"):
        load("transcription", threads=0)


def test_unknown_system():
    with pytest.raises(UsageError, match="no-such-system"):
        load("no-such-system")


CARD = """+++
name = "made-up"
version = "1.0"
licence = "Apache-2.0"
sha256 = "{sha256}"
bytes = 12
parameters = 3
inputs = {{ features = ["batch", 2, "frames", 288] }}
outputs = {{ onset = ["batch", "frames", 88] }}

[[trained_on]]
name = "A set"
licence = "CC0-1.0"
url = "https://example.org/set"
+++
# Made-up

<!-- numbers:begin -->
| data | F |
<!-- numbers:end -->
"""


def test_card_is_read():
    card = parse_card(CARD.format(sha256="0123456789abcdef" * 4))
    assert (card.name, card.version, card.bytes, card.parameters) == ("made-up", "1.0", 12, 3)
    assert card.inputs == {"features": ("batch", 2, "frames", 288)}
    assert card.outputs == {"onset": ("batch", "frames", 88)}
    assert [(s.name, s.licence, s.url) for s in card.trained_on] == [("A set", "CC0-1.0", "https://example.org/set")]
    assert card.numbers == "| data | F |"
    assert card.body.startswith("# Made-up")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("+++\nname", "name", "has no head"),
        ('version = "1.0"', "version = ", "is no TOML"),
        ('licence = "Apache-2.0"\n', "", "licence missing"),
        ("bytes = 12", 'bytes = "12"', "bytes missing or of the wrong kind"),
        ("parameters = 3", "parameters = 3\nmood = 1", "mood unknown"),
        ("0123456789abcdef0123", "x", "is no checksum"),
        ('url = "https://example.org/set"\n', "", "trained_on is not complete"),
    ],
)
def test_cards_with_faults_say_which(tmp_path, old, new, said):
    text = CARD.format(sha256="0123456789abcdef" * 4)
    assert text.count(old) >= 1
    path = tmp_path / "card.md"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ModelError, match=said) as caught:
        read_card(path)
    assert caught.value.path == str(path)


def test_missing_card(tmp_path):
    with pytest.raises(ModelError, match="no readable model card"):
        read_card(tmp_path / "card.md")
