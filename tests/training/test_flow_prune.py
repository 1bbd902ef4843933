"""Pruning: what is worth nothing goes without loss, what is removed is gone for real."""

from __future__ import annotations

import copy

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch
from torch import nn
from torch.nn import functional as F

from ottava.errors import InputError, UsageError
from ottava.systems.flow.information import pairwise_information
from ottava.systems.flow.measure import information_flow
from ottava.systems.flow.train.prune import (
    count_multiply_adds,
    measure_inputs,
    prune,
    prune_links,
    prune_units,
    pruning_curve,
)
from ottava.systems.flow.train.scores import MEASURES, link_scores, measure_links, prunable_layers, unit_scores


class Net(nn.Module):
    """A residual and a concatenation on the way to a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.b, self.c = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(16, 12, 1)
        self.out = nn.Linear(12 * 4, 3)

    def forward(self, x):
        h = F.relu(self.norm(self.a(x)))
        k = F.relu(self.b(h))
        h = F.relu(self.c(torch.cat([h + k, k], 1)))
        return self.out(F.max_pool2d(h, 3).flatten(1))


def images(n=200):
    return np.random.default_rng(0).normal(size=(n, 1, 6, 6)).astype(np.float32)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


def silence(net, units=(1, 4, 5)):
    """Let some units of the last convolution always say the same, and some nothing."""
    with torch.no_grad():
        net.c.weight[list(units)] = 0
        net.c.bias[list(units)] = torch.tensor([0.7, -1.0, 0.3])
    return net


def loss(net):
    return F.cross_entropy(net(torch.from_numpy(images())), torch.arange(200) % 3)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_scores_every_layer(net, measure):
    options = {"inputs": measure_inputs(net, lambda m: m(torch.from_numpy(images()))).size, "loss": loss}
    links = link_scores(net, measure, information=measure_links(net, images()), **options)
    units = unit_scores(net, measure, flow=information_flow(net, images()), **options)
    for name, layer in prunable_layers(net).items():
        assert links[name].shape == layer.weight.shape[:2]
        assert units[name].shape == layer.weight.shape[:1]
        assert units[name].mean().item() == pytest.approx(1, abs=1e-4)  # so that layers can be compared
        assert (links[name] >= 0).all()


def test_information_of_links_is_that_of_what_comes_in(net):
    """The input of c is a sum beside one of its parts: each input is taken as it comes."""
    found = measure_links(net, images(), estimator="gaussian-copula")
    with torch.no_grad():
        h = F.relu(net.norm(net.a(torch.from_numpy(images()))))
        k = F.relu(net.b(h))
        x = torch.cat([h + k, k], 1)
        y = F.relu(net.c(x))
    expected = pairwise_information(x.mean((2, 3)).numpy(), y.mean((2, 3)).numpy(), estimator="gaussian-copula")
    np.testing.assert_allclose(found["c"], expected.T, atol=1e-3)
    assert found["out"].shape == (3, 48)


def test_taylor_is_how_the_loss_changes(net):
    """To first order: of a link of a convolution all taps together, of a unit all its links."""
    links, units = link_scores(net, "taylor", loss=loss), unit_scores(net, "taylor", loss=loss)
    loss(net).backward()
    for name, layer in prunable_layers(net).items():
        change = (layer.weight * layer.weight.grad).detach().flatten(1).sum(1).abs()
        torch.testing.assert_close(units[name], change / change.mean())
    torch.testing.assert_close(links["out"], (net.out.weight * net.out.weight.grad).abs().detach())
    torch.testing.assert_close(links["a"], (net.a.weight * net.a.weight.grad).sum((2, 3)).abs().detach())


def test_weights_count_behind_a_flatten(net):
    """Each channel of c comes into out at four places."""
    with torch.no_grad():
        net.out.weight[:, 4 * 3 : 4 * 4] = 0
    options = {"inputs": measure_inputs(net, lambda m: m(torch.from_numpy(images()))).size}
    flow = information_flow(net, images(), rate=None)
    assert unit_scores(net, "flow", flow=flow, **options)["c"][3] > 0
    assert unit_scores(net, "weighted-flow", flow=flow, **options)["c"][3] == 0


def test_layers_that_a_map_does_not_have_are_left_out():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.utils.parametrizations.weight_norm(nn.Linear(8, 3)))
    data = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    flow = information_flow(net, data)
    assert list(flow.layers) == ["input", "0", "2"]
    assert list(unit_scores(net, "flow", flow=flow)) == ["0"]


def test_a_layer_called_as_the_input_is_called_is_told_apart_from_it():
    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x, self.out = nn.Linear(5, 7), nn.Linear(7, 2)

        def forward(self, x):
            return self.out(F.relu(self.x(x)))

    data = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    torch.manual_seed(0)
    net = Same()
    flow = information_flow(net, data)
    assert unit_scores(net, "flow", flow=flow)["x"].shape == (7,)
    assert measure_links(net, data)["x"].shape == (7, 5)


def test_a_layer_that_is_used_twice(net):
    twice = nn.Sequential(layer := nn.Linear(6, 6), nn.Tanh(), layer, nn.Tanh(), nn.Linear(6, 2))
    data = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    found = measure_links(twice, data, estimator="gaussian-copula", batch=32)["0"]
    said = torch.tanh(layer(torch.from_numpy(data))).detach().numpy()
    np.testing.assert_allclose(found, pairwise_information(data, said, estimator="gaussian-copula").T, atol=1e-6)


def test_words_can_be_read():
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.a, self.out = nn.Embedding(9, 6), nn.Linear(6, 12), nn.Linear(12, 3)

        def forward(self, words):
            return self.out(F.relu(self.a(self.words(words).mean(1))))

    torch.manual_seed(0)
    data = np.random.default_rng(0).integers(0, 9, (80, 5))
    assert prune(Words(), data, 0.3).saved >= 0.3
    assert (prune(Words(), data, 0.5, structured=False).model.a.weight == 0).any()


def test_inputs_are_measured_and_nothing_is_left(net):
    before = copy.deepcopy(net.state_dict())
    found = measure_inputs(net, lambda m: m(torch.from_numpy(images())))
    with torch.no_grad():
        h = F.relu(net.norm(net.a(torch.from_numpy(images()))))
    np.testing.assert_allclose(found.mean["b"], h.mean((0, 2, 3)).numpy(), atol=1e-5)
    np.testing.assert_allclose(found.size["b"], h.square().mean((0, 2, 3)).sqrt().numpy(), atol=1e-5)
    assert all(not part._forward_pre_hooks for part in net.modules())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_links_of_dead_units_go_without_loss(net):
    with torch.no_grad():
        net.b.weight[2], net.b.bias[2] = 0, -3
    x = torch.from_numpy(images())
    flow = information_flow(net, images())
    assert flow.of("b")[2] == 0
    dead = [2]
    information = measure_links(net, images())
    assert not information["b"][2].any()
    pruned = prune_links(net, link_scores(net, "flow", information=information), 0.0, dead={"b": dead})
    assert not pruned.b.weight[2].any()
    assert pruned.b.bias[2] == 0
    torch.testing.assert_close(pruned(x), net(x))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_links_goes_that_is_worth_least(net, share):
    scores = {name: values for name, values in link_scores(net, "magnitude").items() if name in ("b", "out")}
    pruned = prune_links(net, scores, share)
    gone = torch.cat([(~prunable_layers(pruned)[n].weight.flatten(2).any(2) if n == "b" else pruned.out.weight == 0)
                      .flatten() for n in scores])  # fmt: skip
    every = torch.cat([values.flatten() for values in scores.values()])
    assert int(gone.sum()) == round(share * len(every))
    if 0 < share < 1:
        assert every[gone].max() <= every[~gone].min()
    assert torch.equal(pruned.a.weight, net.a.weight)


def test_units_are_removed_for_real(net):
    x = torch.from_numpy(images())
    scores = unit_scores(net, "magnitude")
    before = count_multiply_adds(net, x)
    assert before == 200 * (36 * (9 * 8 + 9 * 64 + 16 * 12) + 48 * 3)
    pruned = prune_units(net, x, scores, 0.4, keep=["out"])
    assert pruned.multiply_adds_before == before
    assert pruned.multiply_adds == count_multiply_adds(pruned.model, x)
    assert 0.4 <= pruned.saved < 0.6
    assert pruned.model(x).shape == (200, 3)
    assert sum(p.numel() for p in pruned.model.parameters()) < sum(p.numel() for p in net.parameters())
    for name, units in pruned.removed.items():
        assert prunable_layers(pruned.model)[name].weight.shape[0] == len(scores[name]) - len(units)
    # The residual ties a and b: both lose the same channels.
    assert pruned.model.a.weight.shape[0] == pruned.model.b.weight.shape[0] == pruned.model.norm.num_features


def test_what_always_says_the_same_goes_without_loss(net):
    silence(net)
    x = torch.from_numpy(images())
    flow = information_flow(net, images(), rate=None, estimator="gaussian-copula")
    assert np.flatnonzero(flow.of("c") == 0).tolist() == [1, 4, 5]
    inputs = measure_inputs(net, lambda m: m(x))
    scores = unit_scores(net, "flow", flow=flow)
    pruned = prune_units(net, x, {"c": scores["c"]}, 0.05, keep=["out"], inputs=inputs)
    assert set(pruned.removed["c"]) <= {1, 4, 5}
    torch.testing.assert_close(pruned.model(x), net(x), atol=1e-5, rtol=1e-5)


def test_all_in_one_call(net):
    tuned = []
    pruned = prune(net, images(), 0.3, tune=tuned.append)
    assert tuned == [pruned.model]
    assert 0.3 <= pruned.saved < 0.5
    assert pruned.model.out.weight.shape[0] == 3
    links = prune(net, images(), 0.5, structured=False, by="magnitude")
    assert links.saved == 0
    weights = torch.cat([layer.weight.flatten(2).norm(dim=2).flatten() if layer.weight.ndim > 2 else
                         layer.weight.abs().flatten() for layer in prunable_layers(links.model).values()])  # fmt: skip
    assert float((weights == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    for by, options in (("taylor", {"loss": loss}), ("activation", {}), ("random", {})):
        assert prune(net, images(), 0.2, by=by, **options).saved >= 0.2


@pytest.mark.parametrize("by", ["flow", "magnitude"])
def test_links_that_carry_nothing_go_first_and_cost_nothing(net, by):
    """Of channels that always say 0, also behind a norm that would let them speak if their own weights were 0."""
    with torch.no_grad():
        net.c.weight[2], net.c.bias[2] = 0, -3
        net.a.bias[5], net.norm.running_mean[5], net.norm.bias[5] = -5, -5, -10
        net.b.weight[5], net.b.bias[5] = 0, -1
    x = torch.from_numpy(images())
    pruned = prune(net, images(), 0.0, structured=False, by=by)
    assert not pruned.model.out.weight[:, 8:12].any()
    assert not pruned.model.b.weight[:, 5].any()
    gone = sum(int((layer.weight == 0).sum()) for layer in prunable_layers(pruned.model).values())
    was = sum(int((layer.weight == 0).sum()) for layer in prunable_layers(net).values())
    assert gone - was == 3 * 4 + 7 * 9 + 11 * 2
    torch.testing.assert_close(pruned.model(x), net(x), atol=1e-6, rtol=1e-6)


def test_nothing_goes_where_nothing_is_to_go(net):
    pruned = prune(net, images(), 0.0, structured=False)
    assert all(torch.equal(a, b) for a, b in zip(pruned.model.parameters(), net.parameters(), strict=True))


@pytest.mark.parametrize("by", ["random", "magnitude", "weighted-flow"])
def test_units_that_always_say_the_same_go_first(net, by):
    silence(net)
    pruned = prune(net, images(), 0.05, by=by, keep=["a", "b", "out"])
    assert set(pruned.removed["c"]) <= {1, 4, 5}
    x = torch.from_numpy(images())
    torch.testing.assert_close(pruned.model(x), net(x), atol=1e-5, rtol=1e-5)


def test_modes_of_parts_stay(net):
    net.train()
    net.norm.eval()
    pruned = prune_units(net, torch.from_numpy(images()), unit_scores(net, "magnitude"), 0.2, keep=["out"]).model
    assert pruned.training
    assert pruned.a.training
    assert not pruned.norm.training


def test_a_curve_falls_with_what_is_gone(net):
    x = torch.from_numpy(images())
    truth = net(x).detach()
    rows = pruning_curve(net, images(), lambda m: -(m(x) - truth).square().mean().item(), shares=(0.2, 0.6, 0.99))
    assert rows[0] == {"by": "", "share": 0.0, "saved": 0.0, "value": 0.0}
    assert [row["share"] for row in rows[1:]] == [0.2, 0.6] * 4
    for early, late in zip(rows[1::2], rows[2::2], strict=True):
        assert early["saved"] < late["saved"]
        assert late["value"] < early["value"] < 0
    each = prune(net, images(), 0.6, by="flow")
    assert each.saved == next(row["saved"] for row in rows if row["by"] == "flow" and row["share"] == 0.6)
    broken = images()
    broken[3, 0, 1, 1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        pruning_curve(net, broken, lambda m: 0.0)


def test_the_given_module_stays_as_it_was(net):
    before = copy.deepcopy(net.state_dict())
    prune_units(net, torch.from_numpy(images()), unit_scores(net, "random"), 0.2, keep=["out"])
    prune_links(net, link_scores(net, "random"), 0.5)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.a.weight.shape == (8, 1, 3, 3)


def test_a_forward_that_relies_on_sizes_is_named():
    class Sized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.out(F.relu(self.b(F.relu(self.a(x)).reshape(-1, 2, 4).flatten(1))))

    data = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    torch.manual_seed(0)
    with pytest.raises(InputError, match="cannot run without") as caught:
        prune(Sized(), data, 0.5)
    assert "relies on, of" in str(caught.value.expected)
    assert prune(Sized(), data, 0.3, keep=["a", "out"]).model.a.weight.shape == (8, 6)


def test_what_cannot_be_pruned_is_refused(net):
    x, scores = torch.from_numpy(images()), unit_scores(net, "magnitude")
    with pytest.raises(InputError, match="so much cannot be removed"):
        prune_units(net, x, scores, 0.999, keep=["out"])
    with pytest.raises(InputError, match="no layer's units"):
        prune_units(net, x, {}, 0.3)
    for share in (0.0, 1.0):
        with pytest.raises(UsageError):
            prune_units(net, x, scores, share)
    with pytest.raises(UsageError):
        prune_links(net, link_scores(net, "magnitude"), 1.5)
    with pytest.raises(UsageError, match="no such layer"):
        prune_links(net, {"nowhere": torch.ones(2, 2)}, 0.5)
    for measure in ("flow", "taylor", "activation", "luck"):
        with pytest.raises(UsageError):
            link_scores(net, measure)
