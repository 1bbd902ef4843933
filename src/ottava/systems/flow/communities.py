"""Which units and links of a network belong together, and which units lie between the others.

Both are questions to the graph of links with information, answered by networkx. Section 2.1 of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.errors import MissingError, UsageError
from ottava.results import FlowMap, check_choice

__all__ = ["MEMBERS", "Communities", "betweenness", "find_communities"]

MEMBERS: tuple[str, ...] = ("units", "links")
"""What communities are of."""

Unit = tuple[str, int]


@dataclass(frozen=True)
class Communities:
    """A partition.

    Parameters
    ----------
    members : tuple of list
        The communities, largest first. Members are units, ``(layer, number)``, or links, pairs of a unit and one that
        reads it.
    modularity : float
        How much more of the information lies inside communities than in a random graph of the same units, from -1 to 1.
    """

    members: tuple[list[Any], ...]
    modularity: float

    def __len__(self) -> int:
        return len(self.members)

    def number_of(self, member: Any) -> int:
        """Return the number of the community of a unit or link, from 0 on."""
        for number, community in enumerate(self.members):
            if member in community:
                return number
        raise UsageError(f"{member!r} is in no community", expected="a unit or link of the map")


def find_communities(
    flow: FlowMap, *, gamma: float = 1.0, of: str = "units", least: float = 0.0, starts: int = 5, seed: int = 0
) -> Communities:
    """Return the communities of a map, by the modularity of the information of its links.

    Parameters
    ----------
    flow : FlowMap
        From :func:`.measure.information_flow`.
    gamma : float
        The paper's: it *divides* what a random graph would have, so smaller ones give more and smaller communities. It
        is the reciprocal of what is called resolution elsewhere. Above 0.
    of : {"units", "links"}
        Communities of units are the paper's. Those of links, of which its summary speaks, let a unit be in several:
        they are found in the graph in which each link is a node between its two units.
    least : float
        Links of no more nats than this are left out.
    starts : int
        The search depends on the order of units; of this many orders the best outcome counts. 1 or more.
    seed : int
        Of the orders.

    Returns
    -------
    Communities
        A unit without links is one by itself.

    Raises
    ------
    ottava.errors.UsageError
        If an option is out of range.
    ottava.errors.MissingError
        If the extra ``[explain]`` is not installed.
    """
    check_choice("of", of, MEMBERS)
    networkx = _networkx()
    if gamma <= 0 or starts < 1:
        raise UsageError("gamma or starts out of range", found=f"{gamma:g}, {starts}", expected="above 0; 1 or more")
    graph = _graph(flow, least)
    graph = _incidence(graph) if of == "links" else graph.to_undirected()
    if not graph.number_of_edges():
        alone = [[node] for node in graph.nodes if of == "units" or isinstance(node[0], tuple)]
        return Communities(tuple(alone), 0.0)
    best: tuple[float, list[set[Any]]] = (-np.inf, [])
    for start in range(starts):
        found = networkx.community.louvain_communities(graph, "nats", resolution=1 / gamma, seed=seed + start)
        score = networkx.community.modularity(graph, found, "nats", resolution=1 / gamma)
        if score > best[0]:
            best = score, found
    wanted = [[node for node in community if of == "units" or isinstance(node[0], tuple)] for community in best[1]]
    ordered = sorted((sorted(community) for community in wanted if community), key=lambda c: (-len(c), c))
    return Communities(tuple(ordered), float(best[0]))


def betweenness(flow: FlowMap, *, weighted: bool = False, least: float = 0.0) -> NDArray[np.float64]:
    """Return on how many shortest ways between other units each unit lies.

    Parameters
    ----------
    flow : FlowMap
        From :func:`.measure.information_flow`.
    weighted : bool
        Let a link be the shorter the more information it has, ``1 / nats``. Otherwise all are of length 1, as it seems
        the paper's figures have it.
    least : float
        Links of no more nats than this are left out.

    Returns
    -------
    ndarray of float64, shape (units,)
        In the order of the map's units: for each ordered pair of others, the share of their shortest ways.

    Raises
    ------
    ottava.errors.UsageError
        If ``least`` is negative.
    ottava.errors.MissingError
        If the extra ``[explain]`` is not installed.
    """
    networkx = _networkx()
    graph = _graph(flow, least)
    for _, _, link in graph.edges(data=True):
        link["length"] = 1 / link["nats"]
    found = networkx.betweenness_centrality(graph, normalized=False, weight="length" if weighted else None)
    return np.array([found[name, unit] for name, unit in zip(flow.layer.tolist(), flow.unit.tolist(), strict=True)])


def _networkx() -> Any:
    try:
        import networkx
    except ModuleNotFoundError as error:
        raise MissingError(
            "communities need the extra [explain]", found=str(error), expected='pip install "ottava[explain]"'
        ) from error
    return networkx


def _graph(flow: FlowMap, least: float) -> Any:
    if least < 0:
        raise UsageError(f"least is {least:g}", expected="0 or more")
    graph = _networkx().DiGraph()
    graph.add_nodes_from(zip(flow.layer.tolist(), flow.unit.tolist(), strict=True))
    for (source, reader), nats in flow.edges.items():
        for i, j in np.argwhere(nats > least).tolist():
            graph.add_edge((source, i), (reader, j), nats=float(nats[i, j]))
    return graph


def _incidence(graph: Any) -> Any:
    """Return the graph in which each link is a node, a pair of units, between its two units."""
    found = _networkx().Graph()
    for one, other, link in graph.edges(data=True):
        for end in (one, other):
            found.add_edge((one, other), end, nats=link["nats"])
    return found
