"""What maps of networks say: of all samples, of one, of communities, and in the place of other attributors."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch
from made_modules import Convolutions, images
from torch import nn

from ottava.errors import InputError, UsageError
from ottava.systems.flow.communities import betweenness, find_communities
from ottava.systems.flow.information import pairwise_information
from ottava.systems.flow.measure import information_flow, map_flow
from ottava.systems.flow.paths import attribute
from ottava.systems.flow.points import SIGNS, attribute_samples


@pytest.fixture
def convolutions():
    torch.manual_seed(0)
    return Convolutions()


def test_a_dead_unit_has_no_links_and_is_alone(convolutions):
    with torch.no_grad():
        convolutions.norm.weight[2] = 0
        convolutions.norm.bias[2] = -1
    flow = information_flow(convolutions, images(200))
    assert not flow.edges["x", "a"][:, 2].any()
    assert not flow.edges["a", "c"][2].any()
    assert flow.of("a")[2] == 0
    found = find_communities(flow)
    assert [("a", 2)] in found.members
    assert betweenness(flow)[flow.layer.tolist().index("a") + 2] == 0


def test_redundancies(convolutions):
    plain, paper, mrmr = (
        information_flow(convolutions, images(), rate=None, redundancy=how, beta=0.1)
        for how in ("none", "paper", "mrmr")
    )
    assert (mrmr.edges["a", "b"] <= plain.edges["a", "b"]).all()
    assert (mrmr.edges["a", "b"] < plain.edges["a", "b"]).any()
    # As printed, the first term is the same for all links into a unit.
    first = information_flow(convolutions, images(), rate=None, redundancy="paper", beta=0.0).edges["a", "b"]
    np.testing.assert_allclose(first, first[:1].repeat(6, 0))
    assert (paper.edges["a", "b"] <= first).all()


def test_how_it_was_measured_stays_with_the_map(convolutions):
    flow = information_flow(convolutions, images(), estimator="ksg", screen=0.5, seed=3)
    assert flow.measured["estimator"] == "ksg"
    assert flow.measured["samples"] == 80
    assert flow.measured["seed"] == 3
    assert type(flow).from_dict(flow.to_dict()) == flow


def test_the_input_that_decides_is_found():
    """Of ten inputs one matters: the flow to the output comes from there."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 1))
    data = np.random.default_rng(1).normal(size=(600, 10)).astype(np.float32)
    with torch.no_grad():
        net[0].weight.mul_(0.02)
        net[0].weight[:, 4] = torch.linspace(-1, 1, 8)
    (attributions,) = attribute(information_flow(net, data)).values()
    assert attributions[:, 0].argmax() == 4
    assert attributions[4, 0] > 10 * np.delete(attributions[:, 0], 4).max()


def test_communities_are_those_that_were_built():
    """Two networks side by side that share nothing."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    with torch.no_grad():
        for layer, rows, columns in ((net[0], 3, 2), (net[2], 1, 3)):
            layer.weight[:rows, columns:] = 0
            layer.weight[rows:, :columns] = 0
    data = np.random.default_rng(1).normal(size=(600, 4)).astype(np.float32)
    flow = information_flow(net, data)
    first, hidden, last = flow.layers
    halves = [
        {(first, i) for i in a} | {(hidden, i) for i in b} | {(last, c)}
        for a, b, c in (((0, 1), (0, 1, 2), 0), ((2, 3), (3, 4, 5), 1))
    ]
    units = find_communities(flow, least=0.05)  # a link of chance may stay
    assert sum(map(len, units.members)) == 12
    assert all(any(set(community) <= half for half in halves) for community in units.members)
    links = find_communities(flow, of="links", least=0.05)
    assert sum(map(len, links.members)) == sum(int((nats > 0.05).sum()) for nats in flow.edges.values())
    for community in links.members:
        assert any({unit for link in community for unit in link} <= half for half in halves)
    assert len(find_communities(flow, gamma=0.2)) >= len(units)


def test_betweenness_of_complete_layers():
    """As in the paper's figure: 4 inputs and 3 outputs over 3 hidden units give each of them 12 / 3."""
    edges = {("x", "h"): np.ones((4, 3)), ("h", "y"): np.ones((3, 3))}
    flow = map_flow({"x": 4, "h": 3, "y": 3}, edges, ("y",))
    assert betweenness(flow).tolist() == [0] * 4 + [4] * 3 + [0] * 3


def test_maps_of_samples_average_to_the_map_of_all():
    """With one layer there is nothing to multiply: the mean over samples is the information itself."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 3))
    data = np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32)
    (maps,) = attribute_samples(net, data, np.arange(80), normalize="none").values()
    assert maps.shape == (80, 5, 3)
    said = net(torch.from_numpy(data)).detach().numpy()
    nats = pairwise_information(data, said, estimator="gaussian-copula", clip=False)
    np.testing.assert_allclose(maps.mean(0), nats, atol=1e-5)


def test_maps_do_not_depend_on_how_many_are_made_at_a_time(convolutions, monkeypatch):
    from ottava.systems.flow import points

    whole = attribute_samples(convolutions, images(), np.arange(9))["x"]
    monkeypatch.setattr(points, "_MOST_BYTES", 1)
    np.testing.assert_array_equal(attribute_samples(convolutions, images(), np.arange(9))["x"], whole)


def test_maps_of_samples_have_signs_and_the_inputs_shape(convolutions):
    data = images()
    maps = {how: attribute_samples(convolutions, data, [0, 7], signs=how)["x"] for how in SIGNS}
    assert all(values.shape == (2, 1, 6, 6, 4) for values in maps.values())
    assert maps["signed"].min() < 0 < maps["signed"].max()
    assert maps["absolute"].min() >= 0
    assert maps["positive"].min() >= 0
    with pytest.raises(UsageError):
        attribute_samples(convolutions, data, [0], signs="some")
    with pytest.raises(UsageError, match="no such sample"):
        attribute_samples(convolutions, data, [99])


def test_an_attributor_has_the_call_of_captums(convolutions):
    from ottava.systems.flow.train.attributor import FlowAttribution

    attributor = FlowAttribution(convolutions, images(60))
    inputs = torch.from_numpy(images(70)[60:])
    found = attributor.attribute(inputs, target=2)
    assert found.shape == inputs.shape
    assert found.dtype == inputs.dtype
    torch.testing.assert_close(found[3:4], attributor.attribute(inputs, target=[2] * 10)[3:4])
    assert not torch.equal(found, attributor.attribute(inputs, target=torch.tensor([0])))
    alone = torch.cat([attributor.attribute(inputs[i : i + 1], target=2) for i in range(10)])
    torch.testing.assert_close(found, alone)
    with pytest.raises(UsageError, match="several classes"):
        attributor.attribute(inputs)
    with pytest.raises(UsageError, match="target does not fit"):
        attributor.attribute(inputs, target=9)
    with pytest.raises(InputError, match="unlike the data"):
        attributor.attribute(inputs[..., :3], target=0)


def test_an_attributor_of_several_inputs_and_ends():
    from ottava.systems.flow.train.attributor import FlowAttribution

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.first, self.second = (nn.Linear(*s) for s in ((3, 4), (2, 4), (8, 2), (4, 3)))

        def forward(self, x, y):
            h = torch.tanh(self.a(x))
            return self.first(torch.cat([h, torch.tanh(self.b(y))], 1)), self.second(h)

    rng = np.random.default_rng(0)
    data = tuple(rng.normal(size=(60, n)).astype(np.float32) for n in (3, 2))
    with pytest.raises(UsageError, match="several outputs"):
        FlowAttribution(Two(), data)
    with pytest.raises(InputError, match="takes fewer tensors"):
        FlowAttribution(Two(), (*data, data[0]))
    inputs = tuple(torch.from_numpy(part[:4]) for part in data)
    of_x, of_y = FlowAttribution(Two(), data, output="first").attribute(inputs, target=1)
    assert of_x.shape == (4, 3)
    assert of_y.shape == (4, 2)
    assert of_y.any()
    of_x, of_y = FlowAttribution(Two(), data, output="second").attribute(inputs, target=1)
    assert of_x.any()
    assert not of_y.any()


def test_maps_of_blocks_are_shared_among_their_values():
    from ottava.systems.flow.train.attributor import _finer

    maps = np.arange(6.0).reshape(1, 2, 3)
    finer = _finer(maps, (1, 5, 6))
    assert finer.shape == (1, 5, 6)
    assert finer.sum() == pytest.approx(maps.sum())
