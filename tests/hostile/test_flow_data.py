"""Graphs and samples that a map of information cannot be made of, or that are easily taken for others."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import ottava
from made_graphs import save, value
from ottava.errors import InputError, UsageError
from ottava.systems.flow import information_flow
from ottava.systems.flow.graph import OnnxNetwork


@pytest.fixture
def dense(tmp_path):
    weights = {"w": np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)}
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], name="only")]
    return save(tmp_path / "dense.onnx", nodes, weights, [value("x", ("n", 3))], value("y", ("n", 2)))


@pytest.fixture
def embedding(tmp_path):
    weights = {"w": np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)}
    nodes = [helper.make_node("Gather", ["w", "x"], ["y"], name="table")]
    return save(
        tmp_path / "table.onnx", nodes, weights, [value("x", ("n", 3), TensorProto.INT64)], value("y", ("n", 3, 2))
    )


def samples(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (samples(5, 3), "too few samples"),
        (samples(1, 3), "too few samples"),
        (samples(0, 3), "differ in samples"),
        (np.float32(1), "differ in samples"),
        (np.full((20, 3), np.nan), "not finite"),
        (np.ones((20, 3)), "no input varies"),
        (samples(20, 4), "cannot run on this"),
        (samples(20, 3, 1), "cannot run on this"),
        (np.full((20, 3), "a"), "no real numbers"),
        ({"z": samples(20, 3)}, "not the network's inputs"),
        ({"x": samples(20, 3), "z": samples(20, 3)}, "not the network's inputs"),
    ],
)
def test_samples_that_tell_nothing(dense, data, said):
    with pytest.raises(InputError, match=said):
        information_flow(dense, data)


def test_one_column_may_be_constant(dense):
    data = samples(200, 3)
    data[:, 1] = 7
    flow = information_flow(dense, data)
    assert not flow.edges["x", "only"][1].any()
    assert flow.edges["x", "only"][[0, 2]].any()


def test_the_layer_that_overflows_is_named(dense):
    with pytest.raises(InputError, match="layer only has values that are not finite"):
        information_flow(dense, np.sign(samples(20, 3)) * np.float32(3e38))


def test_the_reason_is_onnxruntimes(embedding):
    with pytest.raises(InputError, match="cannot run on this") as caught:
        information_flow(embedding, np.arange(60).reshape(20, 3))
    assert "out of data bounds" in str(caught.value.found)


def test_whole_numbers_are_not_made_by_cutting(embedding):
    symbols = np.random.default_rng(0).integers(0, 10, (40, 3))
    assert information_flow(embedding, symbols.astype(float)) == information_flow(embedding, symbols)
    with pytest.raises(InputError, match="input x takes int64") as caught:
        information_flow(embedding, symbols + 0.25)
    assert caught.value.found == str(symbols[0, 0] + 0.25)


def test_a_graph_without_layers(tmp_path):
    path = save(
        tmp_path / "add.onnx", [helper.make_node("Add", ["x", "x"], ["y"])], {}, [value("x", (4,))], value("y", (4,))
    )
    with pytest.raises(InputError, match="no layer that is known") as caught:
        OnnxNetwork(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("batch", ["n", 1])
def test_last_states_of_a_recurrent_layer(tmp_path, batch):
    """Its units are the hidden ones, also where the sequence is not asked for and samples come one at a time."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(1, 20, size)).astype(np.float32) for name, size in (("w", 3), ("r", 5))}
    weights["axes"] = np.array([0], np.int64)
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "w", "r"], ["", "h"], hidden_size=5, name="lstm"),
        helper.make_node("Squeeze", ["h", "axes"], ["y"]),
    ]
    path = save(tmp_path / "lstm.onnx", nodes, weights, [value("x", (batch, 4, 3))], value("y", (batch, 5)))
    flow = information_flow(path, samples(60, 4, 3), rate=None)
    assert flow.layers == {"x": 12, "lstm": 5}
    assert len(np.unique(flow.edges["x", "lstm"], axis=1).T) == 5


@pytest.mark.parametrize("options", [{"batch": 0}, {"most_inputs": 0}, {"pool": "median"}, {"rate": 1.5}])
def test_settings_out_of_range(dense, options):
    with pytest.raises(UsageError):
        information_flow(dense, samples(40, 3), **options)


def test_what_goes_with_a_model_only_and_what_never_does(dense, tmp_path):
    np.save(tmp_path / "x.npy", samples(40, 3))
    (tmp_path / "huge.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000, 3), }".ljust(117)
        + b"\n"
    )
    for arguments, said in (
        ({"data": samples(40, 3)}, "data are for a model"),
        ({"source": tmp_path / "x.npy"}, "samples are for a model"),
        ({"data": samples(40, 3), "model": dense, "weights": tmp_path / "none.onnx"}, "excludes"),
    ):
        with pytest.raises(UsageError, match=said):
            ottava.explain(**arguments)
    with pytest.raises(InputError, match="cannot be read"):
        ottava.explain(tmp_path / "huge.npy", model=dense)
    nested = samples(40, 3)
    assert ottava.explain(data=nested.tolist(), model=dense).flow == ottava.explain(data=nested, model=dense).flow
