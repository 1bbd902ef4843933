"""Sums over paths against listing them, and layers found in graphs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from ottava.errors import InputError, UsageError
from ottava.systems.flow.layers import Step, find_layers
from ottava.systems.flow.measure import map_flow
from ottava.systems.flow.paths import attribute, best_paths, share_through, sum_paths

SIZES = {"x": 5, "a": 4, "b": 3, "c": 2}
LINKS = {
    "chain": [("x", "a"), ("a", "b"), ("b", "c")],
    "residual": [("x", "a"), ("x", "b"), ("a", "b"), ("a", "c"), ("b", "c")],
    "branches": [("x", "a"), ("x", "b"), ("a", "c"), ("b", "c")],
}
GRAPH = pytest.mark.parametrize("kind", LINKS)


def random_edges(kind, seed=0):
    rng = np.random.default_rng(seed)
    return {(a, b): rng.exponential(size=(SIZES[a], SIZES[b])) for a, b in LINKS[kind]}


def random_map(kind, seed=0):
    return map_flow(SIZES, random_edges(kind, seed), ("c",))


def list_paths(edges, start, end):
    """All paths from any unit of a layer to any of another, as (units, weight)."""
    chains = [[start]]
    complete = []
    while chains:
        chain = chains.pop()
        if chain[-1] == end:
            complete.append(chain)
        chains += [[*chain, b] for a, b in edges if a == chain[-1]]
    for chain in complete:
        for units in product(*(range(SIZES[name]) for name in chain)):
            steps = zip(chain, chain[1:], units, units[1:], strict=False)
            yield tuple(zip(chain, units, strict=True)), np.prod([edges[a, b][i, j] for a, b, i, j in steps])


@GRAPH
def test_a_product_of_matrices_is_the_sum_over_paths(kind):
    edges = random_edges(kind)
    listed = np.zeros((SIZES["x"], SIZES["c"]))
    for units, weight in list_paths(edges, "x", "c"):
        listed[units[0][1], units[-1][1]] += weight
    np.testing.assert_allclose(sum_paths(SIZES, edges, "x")["c"], listed, rtol=1e-10, atol=1e-10)


@GRAPH
def test_best_paths_are_the_best_of_all(kind):
    flow = random_map(kind, 1)
    every = sorted(
        ((weight, units) for units, weight in list_paths(flow.edges, "x", "c") if units[-1][1] == 1), reverse=True
    )
    found = best_paths(flow, 1, count=12)
    assert [path.units for path in found] == [units for _, units in every[:12]]
    np.testing.assert_allclose([path.weight for path in found], [weight for weight, _ in every[:12]], rtol=1e-5)


def test_paths_without_information_are_none():
    flow = random_map("chain")
    edges = {ends: np.zeros_like(values) for ends, values in flow.edges.items()}
    assert best_paths(replace(flow, edges=edges), 0) == []


@GRAPH
def test_shares_are_passed_on_and_none_is_lost(kind):
    edges = random_edges(kind)
    shares = share_through(SIZES, edges, ["c"])
    assert shares["c"].sum() == pytest.approx(1)
    assert shares["x"].sum() == pytest.approx(1)
    passed = sum_paths(SIZES, edges, "x", normalize="unit")["c"]
    np.testing.assert_allclose(passed.mean(1), shares["x"])
    np.testing.assert_allclose(passed.sum(0), 1)


def test_scaling_a_layer_keeps_the_order_of_attributions():
    flow = random_map("chain", 2)
    plain, scaled = (attribute(flow, normalize=how)["x"] for how in ("none", "layer"))
    np.testing.assert_array_equal(np.argsort(plain, 0), np.argsort(scaled, 0))


def test_attributions_have_the_shape_of_the_input():
    flow = random_map("chain")
    shaped = replace(flow, shapes={"x": (1, 5)})
    assert attribute(shaped)["x"].shape == (1, 5, 2)
    np.testing.assert_array_equal(attribute(shaped)["x"][0], attribute(flow)["x"])
    assert attribute(flow, output="b")["x"].shape == (5, 3)


def test_several_outputs_must_be_chosen_from():
    flow = random_map("branches")
    two = replace(flow, outputs=("b", "c"))
    with pytest.raises(UsageError, match="several outputs"):
        attribute(two)
    with pytest.raises(UsageError, match="unknown"):
        attribute(two, output="nowhere")
    with pytest.raises(UsageError, match="no unit 9"):
        best_paths(flow, 9)


def step(kind, name, inputs, output, axes=()):
    return Step(kind, name, tuple(inputs.split()), (output,), axes or ((-1,) if kind == "dense" else ()))


def test_a_layer_ends_behind_its_activation_whatever_that_is_made_of():
    """A Gelu of five operations, of which two read the layer's output."""
    steps = [
        step("dense", "first", "x", "a"),
        step("elementwise", "Add", "a", "b"),
        step("elementwise", "Div", "b", "c"),
        step("elementwise", "Erf", "c", "d"),
        step("elementwise", "Mul", "b d", "e"),
        step("dense", "second", "e", "y"),
    ]
    layers, ends = find_layers(steps, ["x"], ["y"])
    assert [(layer.name, layer.value, layer.sources) for layer in layers] == [
        ("x", "x", ()),
        ("first", "e", ("x",)),
        ("second", "y", ("first",)),
    ]
    assert ends == {"y": ("second",)}


def test_residuals_concatenations_and_gates_are_followed():
    steps = [
        step("dense", "a", "x", "a"),
        step("dense", "b", "a", "b"),
        step("elementwise", "Add", "a b", "s"),
        step("elementwise", "Relu", "s", "r"),
        step("dense", "c", "r", "c"),
        step("way", "Concat", "c x", "t"),
        step("dense", "d", "t", "d"),
    ]
    layers, ends = find_layers(steps, ["x"], ["d"])
    assert {layer.name: layer.sources for layer in layers} == {
        "x": (), "a": ("x",), "b": ("a",), "c": ("a", "b"), "d": ("x", "c"),
    }  # fmt: skip
    assert ends == {"d": ("d",)}


def test_softmax_is_no_part_of_a_layer():
    steps = [step("dense", "logits", "x", "l"), step("way", "Softmax", "l", "p")]
    layers, ends = find_layers(steps, ["x"], ["p"])
    assert layers[-1].value == "l"
    assert ends == {"p": ("logits",)}


def test_layers_of_one_name_are_numbered():
    steps = [step("dense", "MatMul", "x", "a"), step("dense", "MatMul", "a", "b")]
    assert [layer.name for layer in find_layers(steps, ["x"], ["b"])[0]] == ["x", "MatMul", "MatMul 2"]


def test_a_network_without_layers_is_refused():
    with pytest.raises(InputError, match="no layer that is known") as caught:
        find_layers([step("way", "TopK", "x", "y")], ["x"], ["y"])
    assert "TopK" in str(caught.value.found)
