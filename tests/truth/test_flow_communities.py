"""Communities and betweenness of graphs that were planted."""

from __future__ import annotations

import numpy as np
import pytest

from ottava.errors import UsageError
from ottava.systems.flow.communities import betweenness, find_communities
from ottava.systems.flow.measure import map_flow


def planted(blocks=3, width=4, inside=1.0, between=0.05):
    """Layers x, a, y of ``blocks`` groups each, whose links tell more inside of groups."""
    group = np.arange(blocks * width) // width
    nats = np.where(group[:, None] == group, inside, between)
    sizes = dict.fromkeys(("x", "a", "y"), blocks * width)
    return map_flow(sizes, {("x", "a"): nats, ("a", "y"): nats}, ("y",)), group


def test_planted_groups_are_found():
    flow, group = planted()
    found = find_communities(flow)
    assert len(found) == 3
    assert found.modularity > 0.4
    for layer in ("x", "a", "y"):
        numbers = [found.number_of((layer, unit)) for unit in range(12)]
        assert len(set(zip(numbers, group.tolist(), strict=True))) == 3


def test_the_papers_gamma_divides():
    """Smaller ones give more communities: it is the reciprocal of a resolution."""
    flow, _ = planted(between=0.4)
    counts = [len(find_communities(flow, gamma=gamma)) for gamma in (4.0, 1.0, 0.05)]
    assert counts[0] <= counts[1] <= counts[2]
    assert counts[0] < counts[2]


def test_communities_of_links_part_them_all():
    flow, _ = planted(between=0.0)
    found = find_communities(flow, of="links")
    links = [link for community in found.members for link in community]
    assert len(links) == len(set(links)) == 2 * 3 * 16
    for community in found.members:
        assert len({unit // 4 for link in community for _, unit in link}) == 1
    assert found.number_of((("x", 3), ("a", 0))) == found.number_of((("a", 0), ("y", 1)))  # from the one that is read


def test_units_without_links_are_alone_and_between_nothing():
    nats = np.ones((3, 3))
    nats[:, 1] = 0
    flow = map_flow({"x": 3, "a": 3, "y": 2}, {("x", "a"): nats, ("a", "y"): nats.T[:, :2]}, ("y",))
    assert [("a", 1)] in find_communities(flow).members
    values = betweenness(flow)
    assert values[3:6].tolist() == [3, 0, 3]  # of each layer, six ways over two live units
    empty = map_flow({"x": 2, "y": 1}, {("x", "y"): np.zeros((2, 1))}, ("y",))
    assert len(find_communities(empty)) == 3
    assert not betweenness(empty).any()


def test_weighted_ways_take_the_links_with_most_information():
    edges = {("x", "a"): [[5.0, 0.1]], ("a", "y"): [[5.0], [0.1]]}
    flow = map_flow({"x": 1, "a": 2, "y": 1}, {k: np.array(v) for k, v in edges.items()}, ("y",))
    assert betweenness(flow).tolist() == [0, 0.5, 0.5, 0]
    assert betweenness(flow, weighted=True).tolist() == [0, 1, 0, 0]


def test_ten_thousand_links():
    rng = np.random.default_rng(0)
    sizes = {"x": 100, "a": 60, "b": 60, "y": 10}
    pairs = (("x", "a"), ("a", "b"), ("b", "y"))
    flow = map_flow(sizes, {(a, b): rng.exponential(size=(sizes[a], sizes[b])) for a, b in pairs}, ("y",))
    assert sum(nats.size for nats in flow.edges.values()) > 10_000
    units, links = (find_communities(flow, of=of, starts=1) for of in ("units", "links"))
    assert sum(map(len, units.members)) == 230
    assert sum(map(len, links.members)) == 10_200
    assert np.isfinite(betweenness(flow)).all()


def test_bad_options_are_refused():
    flow, _ = planted()
    for options in ({"gamma": 0}, {"starts": 0}, {"of": "layers"}, {"least": -1.0}):
        with pytest.raises(UsageError):
            find_communities(flow, **options)
    with pytest.raises(UsageError, match="in no community"):
        find_communities(flow).number_of(("x", 99))
