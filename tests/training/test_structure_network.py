"""The shipped network of structure: who sees whom, what its parts say together, windows and changes, the prior."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch

from ottava.corpora.songs import make_songs
from ottava.corpora.tunes import (
    TuneItem,
    gather_tunes,
    group_families,
    load_tunes,
    pack_chord,
    save_tunes,
    unpack_chords,
)
from ottava.errors import InputError, OutputError, TrainingError
from ottava.systems.structure.decode import mix, write_bars
from ottava.systems.structure.lines import (
    NO_PITCH,
    OUTSIDE,
    PITCHES,
    RHYTHMS,
    STEPS,
    find_reference,
    settle,
    split_bars,
)
from ottava.systems.structure.prior.train.network import PriorNetwork
from ottava.systems.structure.prior.train.task import hidden_nats
from ottava.systems.structure.relations import find_relations
from ottava.systems.structure.train.data import TuneWindows, change_bar
from ottava.systems.structure.train.measure import equal_symbols, measure, relate_to_changed, rewrite_given
from ottava.systems.structure.train.network import (
    CHORD_FEATURES,
    StructureNetwork,
    Written,
    target_probabilities,
    write_forced,
)
from ottava.systems.structure.train.task import StructureTask


@pytest.fixture(scope="module", params=[{}, {"apart": True}, {"pointing": False}, {"likeness": False}])
def network(request):
    torch.manual_seed(0)
    return StructureNetwork(width=32, heads=2, layers=2, hidden=48, **request.param).eval()


@pytest.fixture(scope="module")
def bars():
    songs = [song.symbols for song in make_songs(12) if song.symbols.shape[1] == 16][:3]
    pairs = [split_bars(symbols[:10], find_reference(symbols)) for symbols in songs]
    return tuple(torch.from_numpy(np.stack([pair[k] for pair in pairs])) for k in (0, 1))


def touched(before, after):
    return [bool((before[:, i] != after[:, i]).any()) for i in range(before.shape[1])]


@torch.no_grad()
def test_codes_see_no_later_bar_bit_for_bit(network, bars):
    """The paper's claim of causality, for bars of any number: C1 of the comparisons in docs/claims.md."""
    rhythm, line = bars
    mean, log_variance, attention = network.encode(rhythm, line)
    other = line.clone()
    other[:, 4] = (other[:, 4] + 3).clamp(1, PITCHES - 1)
    for one, two in zip((mean, log_variance), network.encode(rhythm, other)[:2], strict=True):
        assert touched(one, two)[:5] == [False] * 4 + [True]
    assert all((layer.triu(1) == 0).all() for layer in attention)
    shorter = network.encode(rhythm[:, :6], line[:, :6])[0]
    torch.testing.assert_close(shorter, mean[:, :6], rtol=0, atol=1e-5)


@torch.no_grad()
def test_bars_are_written_from_no_later_code_and_no_later_bar(network, bars):
    rhythm, line = bars
    codes = torch.randn(3, 10, 32, generator=torch.Generator().manual_seed(1))
    written = network.decode(codes, rhythm, line)
    other_codes, other_line = codes.clone(), line.clone()
    other_codes[:, 5] += 1
    other_line[:, 5] = (other_line[:, 5] + 2).clamp(1, PITCHES - 1)
    by_code = network.decode(other_codes, rhythm, line)
    by_past = network.decode(codes, rhythm, other_line)
    for name in ("rhythm", "line"):
        assert touched(getattr(written, name), getattr(by_code, name))[:6] == [False] * 5 + [True]
        # A bar does not see itself, only those before it.
        assert touched(getattr(written, name), getattr(by_past, name))[:7] == [False] * 6 + [True]
    assert (written.pointer[:, :, 1:].triu() == 0).all()
    torch.testing.assert_close(written.pointer.sum(2), torch.ones(3, 10))


@torch.no_grad()
def test_probabilities_of_the_truth_are_those_that_writing_uses(network, bars):
    rhythm, line = bars
    codes = torch.randn(3, 10, 32, generator=torch.Generator().manual_seed(1))
    written = network.decode(codes, rhythm, line)
    of_rhythm, of_line = target_probabilities(written, rhythm, line)
    arrays = {name: value.numpy() for name, value in zip(Written._fields, written, strict=True)}
    pair = (rhythm.numpy(), line.numpy())
    for i in range(10):
        all_rhythm, all_line = mix(arrays, pair, i)
        assert all_rhythm.shape[2] == RHYTHMS
        assert all_line.shape[2] == PITCHES
        np.testing.assert_allclose(all_rhythm.sum(2), 1, atol=1e-5)
        assert (all_line.sum(2) <= 1 + 1e-5).all()  # offsets may lead out of reach
        got = np.take_along_axis(all_rhythm, pair[0][:, i, :, None], 2)[..., 0]
        np.testing.assert_allclose(of_rhythm[:, i].numpy(), got, atol=1e-5)
        got = np.take_along_axis(all_line, pair[1][:, i, :, None], 2)[..., 0]
        np.testing.assert_allclose(of_line[:, i].numpy(), got, atol=1e-5)


@torch.no_grad()
def test_writing_all_bars_at_once_is_writing_each_after_the_true_ones(network, bars):
    rhythm, line = bars
    codes = torch.randn(3, 10, 32, generator=torch.Generator().manual_seed(2))
    written = network.decode(codes, rhythm, line)

    def decode(given, past_rhythm, past_line):
        found = network.decode(*map(torch.from_numpy, (given, past_rhythm, past_line)))
        return {name: value.numpy() for name, value in zip(Written._fields, found, strict=True)}

    expected = rewrite_given(decode, codes.numpy(), (rhythm.numpy(), line.numpy()))
    found = write_forced(written, rhythm, line)
    np.testing.assert_array_equal(found[0].numpy(), expected[0])
    onsets = expected[0] == 2
    np.testing.assert_array_equal(found[1].numpy()[onsets], expected[1][onsets])
    np.testing.assert_array_equal(found[1].numpy(), settle(found[0].numpy(), found[1].numpy()))


def test_writing_given_bars_and_its_own(bars):
    """A decoder that copies the bar before: what is given stays, and goes on."""
    rhythm, line = (x.numpy() for x in bars)

    def decoder(codes, past_rhythm, past_line):
        batch, n, _ = codes.shape
        pointer = np.zeros((batch, n, n + 1), np.float32)
        pointer[:, np.arange(n), np.arange(n)] = 1  # bar i points at bar i - 1, the first at none
        offset = np.full((batch, n, STEPS, 25), -1e9, np.float32)
        offset[..., 13] = 0  # a semitone up
        return {
            "rhythm": np.log(np.full((batch, n, STEPS, RHYTHMS), 1 / RHYTHMS, np.float32)),
            "line": np.log(np.full((batch, n, STEPS, PITCHES), 1 / PITCHES, np.float32)),
            "copies": np.ones((batch, n, STEPS, 2), np.float32),
            "offset": offset,
            "pointer": pointer,
        }

    given = np.zeros((3, 10), bool)
    given[:, 0] = given[1, 4] = True
    steps = np.full(3, 16)
    (written_rhythm, written_line), leans = write_bars(
        decoder, np.zeros((3, 10, 4), np.float32), steps, ((rhythm, line), given)
    )
    np.testing.assert_array_equal(written_rhythm[1, 4], rhythm[1, 4])
    np.testing.assert_array_equal(written_line[1, 4], line[1, 4])
    for k in range(3):
        for i in range(1, 10):
            if not given[k, i]:
                np.testing.assert_array_equal(written_rhythm[k, i], written_rhythm[k, i - 1])
                np.testing.assert_array_equal(written_line[k, i], written_line[k, i - 1] + 1)
    assert leans[0, 3].argmax() == 2


def test_a_change_goes_on_through_all_that_is_made_of_it():
    a = np.array([62, 1, 1, 1] * 4)
    symbols = np.stack([a, a + 2 * (a > 1), a[::-1], a, np.where(a > 1, a + 5, a)]).astype(np.int16)
    symbols[2] = [62, 64, 66, 67] * 4
    bars = split_bars(symbols, 60)
    relations = find_relations(*bars)
    assert relations.source.tolist() == [-1, 0, -1, 0, 3]
    new = split_bars(np.array([[70, 1, 72, 1, 74, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]]), 60)
    changed, follows = change_bar(bars, relations, 0, (new[0][0], new[1][0]))
    assert follows.tolist() == [False, True, False, True, True]
    np.testing.assert_array_equal(changed[0][3], new[0][0])
    np.testing.assert_array_equal(changed[1][3], new[1][0])
    np.testing.assert_array_equal(changed[1][1], new[1][0] + 2)
    np.testing.assert_array_equal(changed[1][4], new[1][0] + 5)
    np.testing.assert_array_equal(changed[0][2], bars[0][2])
    columns = {"source": relations.source, "kind": relations.kind, "follows": follows.astype(int)}
    # The last is a moved copy of an equal bar; had it been equal to a moved one, it would be moved as well.
    assert relate_to_changed({name: value[None] for name, value in columns.items()}).tolist() == [[0, 2, 0, 1, 2]]
    columns |= {"source": np.array([-1, 0, -1, 1, 3]), "kind": np.array([0, 2, 0, 1, 1])}
    assert relate_to_changed({name: value[None] for name, value in columns.items()}).tolist() == [[0, 2, 0, 2, 2]]


def test_windows_are_functions_of_their_number():
    songs = make_songs(20, seed=4)
    windows = [TuneWindows(songs, 64, (8, 16), seed=3) for _ in range(2)]
    for i in (0, 7):
        one, other = (w[i] for w in windows)
        assert all(torch.equal(one[name], other[name]) for name in one)
    batch = windows[0][1]
    count, n = batch["real"].shape
    assert count * n == 64
    assert batch["rhythm"].shape == batch["new_line"].shape == (count, n, STEPS)
    assert (batch["changed"].sum(1) == 1).all()
    before = np.arange(n) < batch["changed"].numpy().argmax(1)[:, None]
    same = (batch["rhythm"] == batch["new_rhythm"]).all(2) & (batch["line"] == batch["new_line"]).all(2)
    assert same.numpy()[before].all()
    assert not (same & batch["changed"]).all(1).any()
    inside = torch.arange(STEPS) < batch["steps"][:, None, None]
    assert ((batch["rhythm"] == OUTSIDE) == ~(inside & (batch["real"] > 0)[..., None])).all()


def test_measures_of_a_perfect_memory(bars):
    """A decoder that knows the truth by heart scores 1, and one that writes rests does not."""
    songs = [song for song in make_songs(40) if song.symbols.shape[1] == 16]
    batch = {name: value.numpy() for name, value in TuneWindows(songs, 64, (16,), vary=False)[0].items()}
    codes = np.zeros((4, 16, 2), np.float32)
    codes[..., 0] = np.arange(4)[:, None]
    pairs = {0.0: (batch["rhythm"], batch["line"]), 1.0: (batch["new_rhythm"], batch["new_line"])}

    def encode(rhythm, line):
        which = 0.0 if np.array_equal(line, batch["line"]) else 1.0
        coded = codes.copy()
        coded[..., 1] = which
        return coded, np.zeros_like(coded)

    def decode(given, rhythm, line):
        n = given.shape[1]
        changed = given[:, :, 1].max(1) > 0  # once the changed code is in, what follows is the changed tune
        out_rhythm = np.where(changed[:, None, None], pairs[1.0][0][:, :n], pairs[0.0][0][:, :n])
        out_line = np.where(changed[:, None, None], pairs[1.0][1][:, :n], pairs[0.0][1][:, :n])
        pointer = np.zeros((4, n, n + 1), np.float32)
        pointer[:, :, 0] = 1
        return {
            "rhythm": np.log(np.eye(RHYTHMS, dtype=np.float32)[out_rhythm] + 1e-9),
            "line": np.log(np.eye(PITCHES, dtype=np.float32)[out_line] + 1e-9),
            "copies": np.zeros((4, n, STEPS, 2), np.float32),
            "offset": np.zeros((4, n, STEPS, 25), np.float32),
            "pointer": pointer,
        }

    found = measure(encode, decode, batch)
    assert found["free"][0] == found["forced"][0] == 1
    assert found["follow_exact"][1] > 0
    assert found["follow_exact"][0] == 1
    assert found["collateral"][0] == 0
    wrong = rewrite_given(
        lambda *given: decode(*given) | {"rhythm": np.zeros((4, 16, STEPS, RHYTHMS))}, codes, pairs[0.0]
    )
    assert equal_symbols(wrong, pairs[0.0]).mean() < 0.7


def test_tables_of_tunes_and_families(tmp_path):
    songs = make_songs(6, seed=9)
    moved = TuneItem(
        "x/copy",
        "another title",
        songs[0].meter,
        np.where(songs[0].symbols > 1, songs[0].symbols + 2, songs[0].symbols),
    )
    same_title = TuneItem("x/other", songs[1].family, songs[2].meter, songs[2].symbols[::-1].copy())
    grouped = group_families([*songs, moved, same_title])
    assert grouped[0].family == grouped[6].family == min(songs[0].family, "another title")
    assert grouped[7].family == grouped[1].family
    assert len({item.family for item in grouped[:6]}) == 6
    assert save_tunes(grouped, tmp_path / "a.npz") == 8
    again = load_tunes(tmp_path / "a.npz")
    assert [item.id for item in again] == [item.id for item in grouped]
    for one, other in zip(again, grouped, strict=True):
        assert (one.family, one.meter, one.split) == (other.family, other.meter, other.split)
        np.testing.assert_array_equal(one.symbols, other.symbols)
    with pytest.raises(OutputError, match="exists"):
        save_tunes(grouped, tmp_path / "a.npz")
    (tmp_path / "bad.npz").write_bytes(b"no table")
    for name in ("bad.npz", "gone.npz"):
        with pytest.raises(InputError, match="no table of tunes") as caught:
            load_tunes(tmp_path / name)
        assert caught.value.path == str(tmp_path / name)
    with pytest.raises(InputError, match="no folder of OpenEWLD"):
        gather_tunes({"openewld": tmp_path / "nothing"}, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_chords_through_numbers_and_windows(tmp_path):
    chords = np.array([[0, pack_chord(9, [9, 0, 4]), pack_chord(-1, []), pack_chord(11, [11, 3, 6, 9])]] * 8, np.int32)
    features = unpack_chords(chords)
    assert features.shape == (8, 4, 24)
    assert np.flatnonzero(features[0, 1]).tolist() == [9, 12, 16, 21]
    assert not features[0, 0].any()
    assert not features[0, 2].any()
    symbols = np.full((8, 16), 1, np.int16)
    symbols[:, 0] = 62 + 9  # the reference, A
    items = [TuneItem("a", "a", (4, 4), symbols, chords), TuneItem("b", "b", (4, 4), symbols)]
    save_tunes(items, tmp_path / "a.npz")
    with_chords, without = load_tunes(tmp_path / "a.npz")
    np.testing.assert_array_equal(with_chords.chords, chords)
    assert without.chords is None
    windows = TuneWindows([with_chords, without], 16, (8,), vary=False)[0]["chords"].numpy()
    assert windows.shape == (2, 8, CHORD_FEATURES)
    assert not windows[1].any()
    # Counted from A, the minor chord on A has its root at 0 and sounds at 0, 3 and 7.
    assert np.flatnonzero(windows[0, 0].reshape(4, 24)[1]).tolist() == [0, 12, 15, 19]


@torch.no_grad()
def test_chords_are_a_condition_of_codes_and_of_what_is_written(bars):
    torch.manual_seed(0)
    network = StructureNetwork(width=32, heads=2, layers=1, hidden=48, chords=True).eval()
    chords = torch.zeros(3, 10, CHORD_FEATURES)
    other = chords.clone()
    other[:, 6, 3] = 1
    codes = torch.randn(3, 10, 32, generator=torch.Generator().manual_seed(1))
    one, two = (network.encode(*bars, c)[0] for c in (chords, other))
    assert touched(one, two)[:7] == [False] * 6 + [True]
    one, two = (network.decode(codes, *bars, c).line for c in (chords, other))
    assert touched(one, two)[:7] == [False] * 6 + [True]


@torch.no_grad()
def test_the_prior_sees_only_what_is_known():
    torch.manual_seed(0)
    network = PriorNetwork(width=32, heads=2, layers=2).eval()
    codes = torch.randn(2, 9, 32)
    known = torch.ones(2, 9)
    known[:, 4] = 0
    weight, mean, deviation = network(codes, known)
    other = codes.clone()
    other[:, 4] += 5
    for one, two in zip((weight, mean, deviation), network(other, known), strict=True):
        assert torch.equal(one, two)
    other[:, 6] += 1
    assert not torch.equal(network(other, known)[1][:, 4], mean[:, 4])
    torch.testing.assert_close(weight.sum(2), torch.ones(2, 9))


def test_nats_of_hidden_codes_are_those_of_torchs_own_mixture():
    torch.manual_seed(0)
    weight, mean = torch.rand(2, 3, 4).softmax(2), torch.randn(2, 3, 4, 5)
    deviation, drawn = 0.3 * torch.randn(2, 3, 4, 5), torch.randn(2, 3, 5)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(weight),
        torch.distributions.Independent(torch.distributions.Normal(mean, deviation.exp()), 1),
    )
    torch.testing.assert_close(hidden_nats(drawn, weight, mean, deviation), -mixture.log_prob(drawn))
    assert NO_PITCH == 0


def test_a_network_that_is_told_chords_is_not_exported():
    with pytest.raises(TrainingError, match="told chords"):
        StructureTask(width=16, heads=2, code=4, layers=1, hidden=16, chords=True).export_module()
