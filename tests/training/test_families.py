"""Naming players: what is learnt from, and what the network may and may not depend on."""

import json

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch

from ottava.corpora.rendered import Recipe, load_item, make_rendered
from ottava.errors import InputError, UsageError
from ottava.results import FAMILIES
from ottava.signal.logfreq import LogFrequency
from ottava.systems.transcription.decode import FAINT
from ottava.systems.transcription.families.naming import AHEAD, BEHIND, FRAMES, HEARD
from ottava.systems.transcription.families.train.data import NoteGroups
from ottava.systems.transcription.families.train.found import Found, find_all, label
from ottava.systems.transcription.families.train.network import FamilyNetwork, _Halve
from ottava.systems.transcription.families.train.task import FamilyTask, _loss
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
    target = group["target"].numpy()[:, :-1]
    assert [FAMILIES[i] for i in np.flatnonzero(target[0])] == ["keys", "winds"]
    assert target[1].argmax() == FAMILIES.index("bass")
    np.testing.assert_array_equal(target[2], target[0])


def test_notes_are_numbered_in_their_order_and_unisons_once():
    frame = np.array([5, 4, 6, 9, 4, 5])
    pitch = np.array([10, 10, 10, 10, 8, 30])
    assert number_unisons(frame, pitch).tolist() == [1, 1, 1, 3, 0, 2]
    assert number_unisons(frame[:0], pitch[:0]).tolist() == []


def small():
    """A network of which every weight matters, also those that training begins with at zero."""
    torch.manual_seed(0)
    network = FamilyNetwork(widths=(4, 4, 4), sound=16, hidden=16, heads=2).eval()
    torch.nn.init.normal_(network.heard[2].weight)
    for layer in network.layers:
        torch.nn.init.normal_(layer.interval.weight)
    return network


def unheard(*shape):
    """What is given of onsets that are known to be true."""
    return torch.zeros(*shape, HEARD)


def test_a_description_hears_what_is_around_the_onset_and_no_more():
    network, frame, pitch = small(), torch.tensor([[60]]), torch.tensor([[30]])
    levels = torch.rand(1, 2, 120, 288)
    for at, heard in ((60 - BEHIND - 1, False), (60 - BEHIND, True), (60 + AHEAD - 1, True), (60 + AHEAD, False)):
        other = levels.clone()
        other[:, :, at] = 0
        with torch.no_grad():
            known = frame, pitch, unheard(1, 1)
            same = torch.equal(network.describe(levels, *known), network.describe(other, *known))
        assert same != heard, at


@pytest.mark.parametrize(("pitch", "elsewhere"), [(87, slice(0, 180)), (0, slice(180, 288))])
def test_what_lies_beyond_the_bins_is_silent(pitch, elsewhere):
    network, frame, pitch = small(), torch.tensor([[20]]), torch.tensor([[pitch]])
    silent = torch.zeros(1, 2, 60, 288)
    levels = silent.clone()
    levels[..., elsewhere] = torch.rand_like(levels[..., elsewhere])
    with torch.no_grad():
        described = network.describe(levels, frame, pitch, unheard(1, 1))
        assert torch.allclose(described, network.describe(silent, frame, pitch, unheard(1, 1)), atol=1e-6)


def test_halving_is_a_convolution():
    torch.manual_seed(0)
    half = _Halve(5, 7).eval()
    half.norm.running_mean.normal_()
    x = torch.randn(3, 8, 5)
    weight = half.weigh.weight.detach().unflatten(1, (3, 5)).transpose(1, 2)
    convolved = torch.nn.functional.conv1d(x.transpose(1, 2), weight, stride=2, padding=1)
    with torch.no_grad():
        expected = torch.relu(half.norm(convolved)).transpose(1, 2)
        assert torch.allclose(half(x), expected, atol=1e-5)


def test_a_note_and_its_transposition_look_alike():
    network = small()
    torch.nn.init.zeros_(network.pitch.weight)
    levels = torch.zeros(1, 2, 60, 288)
    levels[:, :, :, 100:160] = torch.rand(1, 2, 60, 60)
    with torch.no_grad():
        here = network.describe(levels, torch.tensor([[20]]), torch.tensor([[36]]), unheard(1, 1))
        there = network.describe(levels.roll(21, dims=3), torch.tensor([[20]]), torch.tensor([[43]]), unheard(1, 1))
        elsewhere = network.describe(levels, torch.tensor([[20]]), torch.tensor([[43]]), unheard(1, 1))
    assert torch.allclose(here, there, atol=1e-5)
    assert not torch.allclose(here, elsewhere, atol=1e-4)


def test_found_onsets_are_notes_once_and_unisons_of_all_who_play():
    keys, winds, bass = (FAMILIES.index(name) for name in ("keys", "winds", "bass"))
    notes = np.float32([
        [1.0, 2, 60, 64, keys], [1.02, 2, 60, 64, winds], [2.0, 3, 50, 64, bass], [3.0, 3.1, 38, 64, len(FAMILIES)],
    ])  # fmt: skip
    position = np.array([1.03, 0.98, 2.04, 2.2, 3.0, 2.02]) / FRAME_S
    heard = np.zeros((6, HEARD), np.float32)
    heard[:, 2] = [0.3, 0.9, 0.4, 0.9, 0.9, 0.6]
    pitch = np.array([60, 60, 50, 50, 38, 50]) - 21
    target = label(Found(position, np.rint(position).astype(int), pitch, heard), notes, FRAME_S)
    assert target[:, -1].tolist() == [1, 1, 0, 0, 0, 1]  # drums are nobody's, and of two for one note the surer counts
    players = [[FAMILIES[i] for i in np.flatnonzero(row[:-1])] for row in target]
    assert players == [["keys", "winds"], ["keys", "winds"], [], [], [], ["bass"]]


def test_onsets_are_found_once_and_kept(corpus):
    paths = sorted(corpus.glob("*.npz"))
    found = find_all(paths)[paths[0]]
    _, notes, _ = load_item(paths[0])
    target = label(found, notes, FRAME_S)
    assert target[:, -1].sum() > 0.5 * len(notes)  # what ships finds most of it
    assert (np.diff(found.frame) >= 0).all()
    kept = corpus / "found" / paths[0].name
    written = kept.stat().st_mtime_ns
    again = find_all(paths)[paths[0]]
    assert kept.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.heard, found.heard)
    part = found.window(10, 50)
    assert 0 < len(part.frame) < len(found.frame)
    assert 0 <= part.frame.min() <= part.frame.max() < 50
    np.testing.assert_allclose(part.position, part.frame, atol=0.5)


def test_groups_of_found_onsets(corpus):
    groups = NoteGroups(corpus, 40, 200, augment=True, found=True)
    drawn = [groups[number] for number in range(20)]
    target, heard = (torch.cat([group[name] for group in drawn]) for name in ("target", "heard"))
    assert set(target[:, -1].tolist()) == {0.0, 1.0}
    assert (target[:, :-1].amax(1) == target[:, -1]).all()
    assert (heard[:, 2] >= FAINT).all()
    true = NoteGroups(corpus, 40, 200, augment=True)[0]
    assert set(true["target"][:, -1].tolist()) == {-1.0}
    assert not true["heard"].any()


def test_who_plays_is_asked_where_somebody_does():
    logits = torch.randn(4, 7, requires_grad=True)
    target = torch.tensor([[1.0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0], [0, 1.0, 1, 0, 0, 0, -1], [0] * 7])
    _loss(logits, target).backward()
    asked = logits.grad != 0
    assert asked.tolist() == [[True] * 7, [False] * 6 + [True], [True] * 6 + [False], [False] * 6 + [True]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    make_rendered(folder, Recipe(kinds={"piano": 1.0}, length_s=8), count=2)
    return folder / "train"


def test_a_group_is_a_function_of_its_number(corpus):
    groups = NoteGroups(corpus, 8, augment=True, seed=3)
    one, same, other = groups[1000], groups[1000], groups[1001]
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["levels"], other["levels"])
    for number in range(40):
        group = groups[number]
        assert group["levels"].shape == one["levels"].shape  # or they could not be one batch
        assert 0 <= group["levels"].min() <= group["levels"].max() <= 1.1
        assert torch.isfinite(group["levels"]).all()
        assert 0 <= group["frame"].min() <= group["frame"].max() < group["levels"].shape[1] - FRAMES // 2 + 2


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
    network, levels = small(), torch.rand(1, 2, 90, 288)
    frame, pitch, time_s = torch.randint(90, (1, 9)), torch.randint(88, (1, 9)), torch.rand(1, 9) * 4
    order, heard = torch.randperm(9), torch.rand(1, 9, HEARD)
    with torch.no_grad():
        first, together = network(levels, frame, pitch, time_s, heard)
        _, shuffled = network(levels, frame[:, order], pitch[:, order], time_s[:, order], heard[:, order])
        alone, later = network(levels, frame[:, :1], pitch[:, :1], time_s[:, :1] + 100, heard[:, :1])
    assert torch.allclose(together[:, order], shuffled, atol=1e-5)
    assert torch.allclose(alone[:, 0], first[:, 0], atol=1e-5)  # the first answer hears no neighbours
    assert not torch.allclose(later[:, 0], together[:, 0], atol=1e-3)  # the second does


@pytest.mark.parametrize("moved", ["pitch", "time_s"])
def test_how_near_notes_are_matters(moved):
    network, described = small(), torch.rand(1, 3, 16)
    near = {"pitch": torch.tensor([[40, 40, 40]]), "time_s": torch.zeros(1, 3)}
    with torch.no_grad():
        one = network.compare(described, **near)
        other = network.compare(described, **near | {moved: torch.tensor([[40, 40, 45]]).to(near[moved].dtype)})
    assert not torch.allclose(one[0, 0], other[0, 0], atol=1e-4)


def test_training_notes_lie_where_they_sound(corpus):
    """The loudest of the fundamental's bins rises at the onset, for most notes of real items."""
    groups, rises = NoteGroups(corpus, 500, augment=False), []
    for index, path in enumerate(sorted(corpus.glob("*.npz"))):
        assert len(load_item(path)[1])
        group = groups[index]
        for frame, pitch in zip(group["frame"], group["pitch"], strict=True):
            band = group["levels"][1, :, max(3 * pitch - 1, 0) : 3 * pitch + 2].amax(1)
            rises.append(bool(band[frame : frame + 3].amax() - band[max(frame - 3, 0)] > 0.02))
    assert np.mean(rises) > 0.7


def test_the_halves_that_are_exported_say_what_the_network_says():
    task = FamilyTask(widths=[4, 4, 4], sound=16, hidden=16, heads=2).eval()
    example = task.example_inputs(20)
    with torch.no_grad():
        described, likely = task.export_module()(*example.values())
        names = ("levels", "frame", "pitch", "time_s", "heard")
        _, together = task.network(*(example[name] for name in names))
    assert torch.allclose(described, example["described"], atol=1e-6)
    assert torch.allclose(likely, torch.sigmoid(together), atol=1e-6)


def test_attention_can_be_trained_alone():
    task = FamilyTask(widths=[4, 4, 4], sound=16, hidden=16, heads=2, only="together").train()
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    optimiser = torch.optim.AdamW(task.parameters(), lr=0.1, weight_decay=0.1)
    frame, pitch = torch.randint(60, (2, 5)), torch.randint(88, (2, 5))
    outputs = task.network(torch.rand(2, 2, 60, 288), frame, pitch, frame * 0.024, torch.rand(2, 5, HEARD))
    sum(output.sum() for output in outputs).backward()
    optimiser.step()
    changed = {name for name, value in task.network.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} == {"layers", "together"}
    with pytest.raises(UsageError, match="alone"):
        FamilyTask(only="alone")
