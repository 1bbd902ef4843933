"""Explain as a user meets it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ottava.results import Result
from ottava.runtime.examples import find_example
from ottava.spec import find_spec


@pytest.fixture
def ode(tmp_path):
    return shutil.copy(find_example("score"), tmp_path / "ode.mid")


def test_a_page_beside_the_tune(run, ode, tmp_path):
    done = run("explain", "structure", "ode.mid", "--item", "9", "--variants", "100")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ode.explained.html", "ode.mid"]
    assert "What carried the code of bar 9" in (tmp_path / "ode.explained.html").read_text()


def test_the_system_is_known_by_the_file(run, ode):
    named = run("explain", "structure", "ode.mid", "--variants", "100", "--json")
    known = run("explain", "ode.mid", "--variants", "100", "--json", "--communities")
    assert named.returncode == known.returncode == 0, known.stderr
    one, other = (Result.from_dict(json.loads(done.stdout)) for done in (named, known))
    assert one.flow == other.flow
    assert one.settings["system"] == "structure"
    assert len(other.communities) == len(other.flow)


def test_a_network_of_ones_own(run, tmp_path):
    """Any ONNX file: here one of ours, read like a stranger's."""
    spec = find_spec("structure.prior")
    shutil.copy(str(spec.folder / spec.weights), tmp_path / "net.onnx")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", **{
        name: rng.normal(size=(40, *[size if isinstance(size, int) else 6 for size in axes[1:]])).astype(np.float32)
        for name, axes in spec.inputs.items()
    })  # fmt: skip
    done = run("explain", "--model", "net.onnx", "--data", "x.npz", "--json")
    assert done.returncode == 0, done.stderr
    result = Result.from_dict(json.loads(done.stdout))
    assert result.settings["samples"] == 40
    assert set(result.flow.inputs) == set(spec.inputs)
    assert any(nats.any() for nats in result.flow.edges.values())


def test_bad_input_is_named(run, ode, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"no graph at all")
    spec = find_spec("structure.prior")
    shutil.copy(str(spec.folder / spec.weights), tmp_path / "whole.onnx")
    np.save(tmp_path / "x.npy", np.ones((20, 4)))
    np.savez_compressed(tmp_path / "x.npz", x=np.ones((20, 4)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:-30])
    for arguments, code, said in (
        (("explain", "structure", "ode.mid", "--item", "99"), 2, "no bar 99"),
        (("explain", "structure", "none.mid"), 1, "none.mid"),
        (("explain", "--model", "net.onnx", "--data", "x.npy"), 1, "net.onnx"),
        (("explain", "--model", "whole.onnx", "--data", "cut.npz"), 1, "cut.npz"),
        (("explain", "--model", "nowhere.onnx", "--data", "x.npy"), 3, "nowhere.onnx"),
        (("explain", "structure.prior", "ode.mid"), 2, "cannot be asked"),
        (("explain", "x.npy"), 2, "samples are for a model"),
        (("explain", "x.npy", "--model", "whole.onnx", "--data", "x.npz"), 2, "in place of inputs"),
        (("explain",), 2, "needs an input"),
    ):
        done = run(*arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    files = ["cut.npz", "net.onnx", "ode.mid", "whole.onnx", "x.npy", "x.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
