"""Naming players: what is learnt from, and what the network may and may not depend on."""

import json

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch

from ottava.corpora.rendered import Recipe, load_item, make_rendered
from ottava.errors import InputError
from ottava.results import FAMILIES
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.families.naming import BELOW, BINS, FRAMES, LEAD
from ottava.systems.transcription.families.train.data import NoteGroups
from ottava.systems.transcription.families.train.network import FamilyNetwork
from ottava.systems.transcription.families.train.task import FamilyTask
from ottava.systems.transcription.families.train.unisons import number_unisons

FRAME_S = LogFrequency().frame_s


def write(path, notes, levels=None, kind="ensemble"):
    levels = np.zeros((2, 400, 288), np.uint8) if levels is None else levels
    np.savez(path, features=levels, notes=np.array(notes, np.float32), about=np.array(json.dumps({"kind": kind})))


def test_unisons_are_one_note_of_both_and_drums_have_no_player(tmp_path):
    write(tmp_path / "a.npz", [
        [1.0, 2.0, 60, 64, FAMILIES.index("keys")],
        [1.04, 1.5, 60, 64, FAMILIES.index("winds")],
        [2.0, 2.5, 40, 64, FAMILIES.index("bass")],
        [2.0, 2.1, 38, 64, len(FAMILIES)],
        [2.5, 3.0, 110, 64, FAMILIES.index("winds")],
    ])  # fmt: skip
    group = NoteGroups(tmp_path, 3, augment=False)[0]
    assert group["pitch"].tolist() == [60 - 21, 40 - 21, 60 - 21]  # what there is, again
    assert group["time_s"][:2].tolist() == pytest.approx([1.0, 2.0], abs=FRAME_S / 2)
    target = group["target"].numpy()
    assert [FAMILIES[i] for i in np.flatnonzero(target[0])] == ["keys", "winds"]
    assert target[1].argmax() == FAMILIES.index("bass")
    np.testing.assert_array_equal(target[2], target[0])


def test_notes_are_numbered_in_their_order_and_unisons_once():
    frame = np.array([5, 4, 6, 9, 4, 5])
    pitch = np.array([10, 10, 10, 10, 8, 30])
    assert number_unisons(frame, pitch).tolist() == [1, 1, 1, 3, 0, 2]
    assert number_unisons(frame[:0], pitch[:0]).tolist() == []


def test_patches_show_the_note(tmp_path):
    levels = np.zeros((2, 400, 288), np.uint8)
    levels[:, 100:110, 3 * 30] = 200
    write(tmp_path / "a.npz", [[100 * FRAME_S, 110 * FRAME_S, 51, 64, 0]], levels)
    patch = NoteGroups(tmp_path, 1, augment=False)[0]["patches"][0]
    assert patch.shape == (2, FRAMES, BINS)
    assert patch[:, LEAD : LEAD + 10, BELOW].numpy() == pytest.approx(200 / 255)
    assert patch.sum() == pytest.approx(20 * 200 / 255, rel=1e-5)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    make_rendered(folder, Recipe(kinds={"piano": 1.0}, length_s=8), count=2)
    return folder / "train"


def test_a_group_is_a_function_of_its_number(corpus):
    groups = NoteGroups(corpus, 8, augment=True, seed=3)
    one, same, other = groups[1000], groups[1000], groups[1001]
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["patches"], other["patches"])
    for number in range(40):
        patches = groups[number]["patches"]
        assert 0 <= patches.min() <= patches.max() <= 1.1
        assert torch.isfinite(patches).all()


def test_no_group_is_empty_where_a_move_takes_all_notes_off_the_keyboard(tmp_path):
    write(tmp_path / "a.npz", [[1.0, 2.0, 21, 64, 2]], kind="stems of one")
    groups = NoteGroups(tmp_path, 4, augment=True)
    assert {len(groups[number]["pitch"]) for number in range(20)} == {4}


def test_damaged_shards_are_passed_over_and_empty_folders_named(corpus, tmp_path):
    for name in "acdefghi":
        (tmp_path / f"{name}.npz").write_bytes((corpus / "000-000000.npz").read_bytes())
    write(tmp_path / "b.npz", [[1, 2, 60, 64, 0]], kind="piano")
    groups = NoteGroups(tmp_path, 4, augment=True)
    (tmp_path / "b.npz").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="this shard is damaged"):
        drawn = [groups[number] for number in range(30)]
    assert len(drawn) == 30
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no shards here"):
        NoteGroups(empty, 4, augment=True)
    write(empty / "a.npz", [[1, 2, 38, 64, 6]], kind="drums")
    with pytest.raises(InputError, match="no shards of these kinds"):
        NoteGroups(empty, 4, augment=True)


def test_the_order_of_a_group_does_not_matter():
    torch.manual_seed(0)
    network = FamilyNetwork(widths=(4, 4, 8, 8), hidden=16, heads=2).eval()
    patches, pitch, time_s = torch.rand(1, 9, 2, FRAMES, BINS), torch.randint(88, (1, 9)), torch.rand(1, 9) * 4
    order = torch.randperm(9)
    with torch.no_grad():
        _, together = network(patches, pitch, time_s)
        _, shuffled = network(patches[:, order], pitch[:, order], time_s[:, order])
        alone, later = network(patches[:, :1], pitch[:, :1], time_s[:, :1] + 100)
        first, _ = network(patches, pitch, time_s)
    assert torch.allclose(together[:, order], shuffled, atol=1e-5)
    assert torch.allclose(alone[:, 0], first[:, 0], atol=1e-5)  # the first answer hears no neighbours
    assert not torch.allclose(later[:, 0], together[:, 0], atol=1e-3)  # the second does


def test_training_notes_lie_where_they_sound(corpus):
    """The loudest of the fundamental's bins rises at the onset, for most notes of real items."""
    groups, rises = NoteGroups(corpus, 500, augment=False), []
    for index, path in enumerate(sorted(corpus.glob("*.npz"))):
        assert len(load_item(path)[1])
        group = groups[index]
        band = group["patches"][:, 1, :, BELOW - 1 : BELOW + 2].amax(2)
        rises += (band[:, LEAD : LEAD + 3].amax(1) - band[:, 0] > 0.02).tolist()
    assert np.mean(rises) > 0.7


def test_the_halves_that_are_exported_say_what_the_network_says():
    task = FamilyTask(widths=[4, 4, 8, 8], hidden=16, heads=2).eval()
    example = task.example_inputs(20)
    with torch.no_grad():
        described, family = task.export_module()(*example.values())
        _, together = task.network(example["patches"], example["pitch"], example["time_s"])
    assert torch.allclose(described, example["described"], atol=1e-6)
    assert torch.allclose(family, torch.sigmoid(together), atol=1e-6)
