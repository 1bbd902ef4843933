"""Modules as strangers write them: frozen, parametrised, named like their inputs, writing into what they read."""

from __future__ import annotations

import copy

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch
from torch import nn
from torch.nn import functional as F

from ottava.errors import InputError, UsageError
from ottava.systems.flow import FlowAttribution, information_flow, prune, pruning_curve
from ottava.systems.flow.train.prune import prune_units
from ottava.systems.flow.train.scores import unit_scores


def samples(n=120, width=6):
    return np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)


class Parts(nn.Module):
    """Parts of given names, one after the other, with rectifiers between."""

    def __init__(self, *parts) -> None:
        super().__init__()
        for name, part in parts:
            self.add_module(name, part)
        self.order = [name for name, _ in parts]

    def forward(self, x):
        for name in self.order[:-1]:
            x = F.relu(getattr(self, name)(x))
        return getattr(self, self.order[-1])(x)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("last", ["x", "out", "a" * 120])
def test_the_last_layer_keeps_its_units_whatever_it_is_called(last):
    net = Parts(("first", nn.Linear(6, 10)), (last, nn.Linear(10, 5)))
    pruned = prune(net, samples(), 0.3)
    assert pruned.model(torch.from_numpy(samples())).shape == (120, 5)
    assert list(pruned.removed) == ["first"]


def test_the_last_layer_keeps_its_units_if_it_is_used_before():
    layer = nn.Linear(6, 6)
    net = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 6), nn.Tanh(), layer, nn.Tanh(), layer)
    pruned = prune(net, samples(), 0.2)
    assert list(pruned.removed) == ["0"]
    assert pruned.model(torch.from_numpy(samples())).shape == (120, 6)


def test_a_constant_input_is_no_dead_unit_of_a_layer_of_its_name():
    net = Parts(("x", nn.Linear(6, 6)), ("out", nn.Linear(6, 3)))
    data = samples()
    data[:, 4] = 2
    with torch.no_grad():
        net.x.weight[1] = 0
    assert prune(net, data, 0.1, by="magnitude", keep=["out"]).removed["x"][0] == 1
    assert 4 not in prune(net, data, 0.1, by="random", keep=["out"], seed=3).removed["x"]


def test_what_is_to_be_kept_is_kept():
    net = nn.Sequential(
        nn.Conv1d(3, 8, 1), nn.ReLU(), nn.Conv1d(8, 8, 3, padding=1, groups=8), nn.ReLU(), nn.Conv1d(8, 8, 1),
        nn.Flatten(), nn.Linear(48, 3),
    )  # fmt: skip
    data = np.random.default_rng(0).normal(size=(80, 3, 6)).astype(np.float32)
    assert prune(net, data, 0.1, keep=["2", "6"]).model[0].weight.shape[0] == 8
    free = prune(net, data, 0.4, by="random")
    width = free.model[2].weight.shape[0]
    assert free.model[0].weight.shape[0] == width < 8
    assert len(free.removed["0"]) == len(free.removed["2"]) == 8 - width  # all that made them are told
    with pytest.raises(UsageError, match="keep names no part"):
        prune(net, data, 0.3, keep=["classifier"])


def test_data_are_only_read():
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    data = samples()
    data.flags.writeable = False
    before = data.copy()
    information_flow(net, data)
    prune(net, data, 0.2)
    FlowAttribution(net, data).attribute(torch.from_numpy(before[:2].copy()), target=1)
    np.testing.assert_array_equal(data, before)


def test_measuring_changes_leaves_norms_and_chance_alone():
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)).train()
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    x = torch.from_numpy(samples())
    pruned = prune(net, samples(), 0.2, by="taylor", loss=lambda m: m(x).square().mean())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert all(part.training for part in (*net.modules(), *pruned.model.modules()))


@pytest.mark.parametrize("by", ["magnitude", "taylor"])
def test_frozen_layers_are_pruned_and_stay_frozen(by):
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.from_numpy(samples())
    options = {"by": by, "loss": lambda m: m(x).square().mean()}
    free = prune(net, samples(), 0.4, **options)
    net[0].requires_grad_(False)
    frozen = prune(net, samples(), 0.4, **options)
    assert frozen.removed == free.removed
    assert [p.requires_grad for p in frozen.model.parameters()] == [p.requires_grad for p in net.parameters()]
    assert [p.requires_grad for p in net.parameters()] == [False] * 2 + [True] * 4
    net.requires_grad_(False)
    assert prune(net, samples(), 0.4, **options).removed == free.removed


def test_a_loss_of_something_else_is_refused():
    net, other = (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2))
    for loss in (lambda m: other(torch.ones(1, 6)).sum(), lambda m: torch.ones(())):
        with pytest.raises(UsageError, match="does not depend on the module"):
            prune(net, samples(), 0.3, by="taylor", loss=loss)


@pytest.mark.parametrize("wrap", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_what_a_parametrised_layer_reads_stays(wrap):
    net = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), wrap(nn.Linear(8, 3)))
    pruned = prune(net, samples(), 0.2, by="magnitude")
    assert list(pruned.removed) == ["0"]
    assert pruned.model(torch.from_numpy(samples())).shape == (120, 3)
    with pytest.raises(InputError, match="no layer's units"):
        prune(nn.Sequential(*net[2:]), samples(width=9), 0.2, by="magnitude")


def test_a_forward_that_checks_sizes_is_named():
    class Checking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.out = nn.Linear(6, 8), nn.Linear(8, 2)

        def forward(self, x):
            h = F.relu(self.a(x))
            assert h.shape[1] == 8
            return self.out(h)

    with pytest.raises(InputError, match="cannot run without"):
        prune(Checking(), samples(), 0.3)


def test_shares_come_in_any_order():
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    rows = pruning_curve(net, samples(), lambda m: 0.0, shares=(0.999, 0.5, 0.2), measures=("magnitude",))
    assert [row["share"] for row in rows] == [0.0, 0.5, 0.2]


def test_all_links_into_a_layer_are_weighed_or_none():
    """Beside a concatenation, whose weights are not told apart, a sum would count by another measure."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(6, 4), nn.Linear(6, 4)
            self.out = nn.Linear(8, 3)

        def forward(self, x):
            return self.out(F.relu(self.a(x)) + torch.cat([F.relu(self.b(x)), F.relu(self.c(x))], 1))

    net = Mixed()
    with torch.no_grad():
        net.out.weight[:] *= 100
    sizes = {name: np.ones(6) for name in "abc"} | {"out": np.ones(8)}
    flow = information_flow(net, samples(), rate=None)
    plain, weighed = (unit_scores(net, by, flow=flow, inputs=sizes) for by in ("flow", "weighted-flow"))
    for name in "abc":
        torch.testing.assert_close(weighed[name], plain[name])


def test_other_kinds_of_numbers_and_compiled_modules():
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    flow = information_flow(net, samples(), rate=None)
    assert information_flow(torch.compile(net), samples(), rate=None) == flow
    half = information_flow(copy.deepcopy(net).bfloat16(), samples(), rate=None)
    assert half.layers == flow.layers
    assert np.corrcoef(half.edges["input", "0"].ravel(), flow.edges["input", "0"].ravel())[0, 1] > 0.9


def test_too_few_samples_are_found_out_at_once():
    with pytest.raises(InputError, match="too few samples"):
        FlowAttribution(nn.Sequential(nn.Linear(6, 2)), samples(2))


def test_a_kept_layer_of_no_weights_is_a_part_too():
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.from_numpy(samples())
    assert prune_units(net, x, unit_scores(net, "magnitude"), 0.2, keep=["2"]).model(x).shape == (120, 3)
