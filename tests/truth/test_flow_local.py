"""Why a network says one thing of one input: what was planted is found, with its sign."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import ottava
from made_graphs import save
from ottava.errors import InputError, MissingError, UsageError
from ottava.runtime.examples import find_example
from ottava.runtime.questions import Axis, Question, pick_item
from ottava.systems.flow.graph import OnnxNetwork
from ottava.systems.flow.local import TARGET, explain_one
from ottava.systems.flow.paths import keep_links
from ottava.systems.flow.variants import Variants

SHAPE = (1, 6, 8)


@pytest.fixture
def planted(tmp_path):
    """A picture's network that looks at two places only: (1, 2) speaks for output 1, (4, 5) against it."""
    rng = np.random.default_rng(0)
    first = np.zeros((48, 5), np.float32)
    first[1 * 8 + 2], first[4 * 8 + 5] = rng.uniform(0.5, 1, 5), -rng.uniform(0.3, 0.6, 5)
    second = np.abs(rng.normal(size=(5, 3))).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w1"], ["a"], name="first"),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "w2"], ["y"], name="second"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", *SHAPE))]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 3))
    return save(tmp_path / "planted.onnx", nodes, {"w1": first, "w2": second}, inputs, output)


def question(**options):
    picture = np.random.default_rng(1).uniform(1, 2, (1, *SHAPE)).astype(np.float32)
    axes = {"x": (Axis("channel"), Axis("time_s", 0.5, 0.25), Axis("pitch_midi", 60, 1))}
    return Question(**({"text": "it", "inputs": {"x": picture}, "output": "y", "index": (1,), "axes": axes} | options))


def test_what_was_planted_is_found_with_its_sign(planted):
    flow = explain_one(OnnxNetwork(planted), question())
    found = flow.attribution_of("x")[0]
    assert np.unravel_index(found.argmax(), found.shape) == (1, 2)
    assert np.unravel_index(found.argmin(), found.shape) == (4, 5)
    rest = np.abs(found)
    assert rest[1, 2] + rest[4, 5] > 0.9 * rest.sum()
    assert list(flow.layers) == ["x", "first", "second", TARGET]
    assert flow.of(TARGET).tolist() == [1.0]
    assert flow.axes["x"] == (("channel", 0.0, 1.0), ("time_s", 0.5, 0.25), ("pitch_midi", 60.0, 1.0))


@pytest.mark.parametrize("estimator", ["binned", "ksg"])
def test_other_estimators_find_it_too(planted, estimator):
    flow = explain_one(OnnxNetwork(planted), question(), estimator=estimator, variants=300)
    assert set(np.argsort(-flow.of("x"), axis=None)[:2]) == {1 * 8 + 2, 4 * 8 + 5}


def test_an_answer_without_an_index_is_how_near_all_of_it_stays(planted):
    found = explain_one(OnnxNetwork(planted), question(index=())).of("x")[0]
    assert set(np.argsort(-found, axis=None)[:2]) == {1 * 8 + 2, 4 * 8 + 5}


def test_symbols_are_exchanged_and_found(tmp_path):
    """Of six bars of three symbols the network reads the second one of bar 4."""
    table = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    weights = np.zeros((6 * 3 * 4, 2), np.float32)
    weights[(4 * 3 + 1) * 4 : (4 * 3 + 2) * 4] = 1
    nodes = [
        helper.make_node("Gather", ["table", "words"], ["e"], name="embedding"),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"], name="out"),
    ]
    inputs = [helper.make_tensor_value_info("words", TensorProto.INT64, ("n", 6, 3))]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 2))
    path = save(tmp_path / "words.onnx", nodes, {"table": table, "w": weights}, inputs, output)
    words = np.arange(18).reshape(1, 6, 3) % 10
    flow = explain_one(OnnxNetwork(path), question(inputs={"words": words}, index=(0,), axes={}))
    found = flow.of("words")
    assert np.unravel_index(found.argmax(), found.shape) == (4, 1)
    # Positions are weighed by what half of the variants show, so a little of the others comes in, too.
    assert found[4, 1] > 0.7 * found.sum()
    assert np.sort(found, axis=None)[-2] < 0.1 * found.sum()


def test_variants_begin_with_the_sample_and_tell_what_changed():
    inputs = {"x": np.random.default_rng(0).uniform(1, 2, (1, 6, 8)), "w": np.arange(24).reshape(1, 6, 4) // 4 % 2}
    made = Variants(inputs, 50, 0.6)
    for name, array in made.feed(slice(0, 1)).items():
        np.testing.assert_array_equal(array, inputs[name])
    rows = slice(10, 30)
    masks, fed = made.masks(rows), made.feed(rows)
    assert masks["x"].shape == (20, 48)
    np.testing.assert_array_equal(masks["x"].reshape(20, 6, 8) > 0, fed["x"] == inputs["x"])
    # Of two kinds of bars that alternate, every other exchange changes nothing.
    np.testing.assert_array_equal(masks["w"].reshape(20, 6, 4) > 0, fed["w"] == inputs["w"])
    assert masks["w"].mean() > 0.7
    again = Variants(inputs, 50, 0.6).feed(slice(20, 25))
    np.testing.assert_array_equal(again["x"], fed["x"][10:15])


def test_symbols_of_one_bar_are_exchanged_within_it():
    made = Variants({"bars": np.array([[[1, 2, 3, 4]]])}, 200, seed=1)
    variants = made.feed(slice(0, 200))["bars"]
    assert set(variants.ravel()) == {1, 2, 3, 4}
    assert (variants != variants[:1]).any((0, 1)).all()


def test_many_values_are_cut_into_parts():
    made = Variants({"x": np.ones((1, 2, 33, 288), np.float32)}, 4, most_parts=600)
    assert made.shapes["x"][0] == 1
    assert np.prod(made.shapes["x"]) <= 600
    assert made.masks(slice(0, 4))["x"].shape == (4, np.prod(made.shapes["x"]))


def test_what_nothing_changes_cannot_be_explained(planted):
    flat = question(inputs={"x": np.ones((1, *SHAPE), np.float32)})
    with pytest.raises(InputError, match="nothing in the input changes"):
        explain_one(OnnxNetwork(planted), flat)


def test_bad_questions_are_refused(planted):
    network = OnnxNetwork(planted)
    with pytest.raises(InputError, match="no output z"):
        explain_one(network, question(output="z"))
    for options in ({"variants": 8}, {"keep": 1.0}, {"estimator": "mine"}):
        with pytest.raises(UsageError):
            explain_one(network, question(), **options)
    with pytest.raises(UsageError, match="no note 9"):
        pick_item(9, 3, 0, "note")
    with pytest.raises(UsageError, match="no note 1"):
        pick_item(1, 0, 0, "note")


def test_a_map_keeps_its_strongest_links(planted):
    flow = explain_one(OnnxNetwork(planted), question(), rate=None)
    kept = keep_links(flow, 12)
    assert sum(int((nats > 0).sum()) for nats in kept.edges.values()) <= 12
    assert kept.edges["second", TARGET].any()
    assert kept.measured["links"] == f"12 of {sum(int((nats > 0).sum()) for nats in flow.edges.values())}"
    assert keep_links(flow, 10**6) is flow
    np.testing.assert_array_equal(kept.information, flow.information)


def test_a_bar_comes_from_itself_and_from_earlier_ones():
    result = ottava.explain(find_example("score"), system="structure", item=9, threads=1)
    assert result.settings["question"] == "the code of bar 9"
    line = result.flow.of("line")
    assert line.shape == (9, 16)
    assert line[8].sum() == max(line.sum(1))
    assert result.flow.of("rhythm").sum() + line.sum() == pytest.approx(1, abs=0.05)


def test_the_first_bar_can_be_explained():
    flow = ottava.explain(find_example("score"), system="structure", item=1, variants=100).flow
    assert flow.of("line").any()


def test_a_note_comes_from_where_it_sounds():
    result = ottava.explain(find_example("audio"), system="transcription", item=5, variants=600, threads=2)
    found, settings = result.flow.of("features")[0], result.settings
    (_, start, step), (_, low, semitones) = result.flow.axes["features"][1:]
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert abs(start + (row + 0.5) * step - settings["start_s"]) < 0.1
    above = low + (column + 0.5) * semitones - settings["pitch_midi"]
    assert min(abs(above - partial) for partial in (0, 12, 19, 24, 28, 31)) < semitones


def test_what_cannot_be_asked_is_refused(tmp_path, planted):
    score = find_example("score")
    with pytest.raises(UsageError, match="cannot be asked"):
        ottava.explain(score, system="transcription.families")
    with pytest.raises(UsageError, match="no bar 99"):
        ottava.explain(score, item=99)
    with pytest.raises(UsageError, match="excludes"):
        ottava.explain(score, model=planted, item=1)
    with pytest.raises(UsageError, match="source, or data"):
        ottava.explain(model=planted)
    with pytest.raises(MissingError, match="no such network"):
        ottava.explain(data=np.ones((20, *SHAPE)), model=tmp_path / "none.onnx")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="cannot be read"):
        ottava.explain(tmp_path / "bad.npy", model=planted)
    with pytest.raises(InputError, match="cannot run on this"):
        ottava.explain(data=np.eye(20, 3), model=planted)
    with pytest.raises(InputError, match="not the network's inputs"):
        ottava.explain(data={"z": np.ones((20, *SHAPE))}, model=planted)


def test_a_network_of_ones_own(planted, tmp_path):
    data = np.random.default_rng(2).normal(size=(300, *SHAPE)).astype(np.float32)
    np.save(tmp_path / "x.npy", data)
    result = ottava.explain(tmp_path / "x.npy", model=planted)
    assert result.settings["samples"] == 300
    assert result.model.startswith("planted.onnx@")
    found = result.flow.of("x")[0]
    assert set(np.argsort(-found, axis=None)[:2]) == {1 * 8 + 2, 4 * 8 + 5}
    assert ottava.explain(data=data, model=planted).flow == result.flow
