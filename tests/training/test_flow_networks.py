"""Flow through torch modules and ONNX graphs: the same layers, the same information, and nothing left behind."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch
from made_modules import Convolutions, Sequences, images, words
from torch import nn
from torch.nn import functional as F

from ottava.errors import InputError, MissingError, UsageError
from ottava.systems.flow.activations import as_feed, collect
from ottava.systems.flow.graph import OnnxNetwork
from ottava.systems.flow.information import pairwise_information
from ottava.systems.flow.measure import find_network, information_flow


def export(module, data, path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}}
        torch.onnx.export(module.eval(), torch.from_numpy(data[:2]), path, dynamo=False, **(names | options))
    return path


@pytest.fixture
def convolutions():
    torch.manual_seed(0)
    return Convolutions()


def test_layers_of_a_torch_module(convolutions):
    network = find_network(convolutions, images())
    assert {layer.name: layer.sources for layer in network.layers} == {
        "x": (),
        "a": ("x",),
        "b": ("a",),
        "c": ("a", "b"),
        "out": ("c",),
    }
    assert list(network.outputs.values()) == [("out",)]


def test_layers_of_sequences():
    network = find_network(Sequences(), words())
    assert {layer.name: (layer.kind, layer.sources) for layer in network.layers} == {
        "words": ("input", ()),
        "words 2": ("embedding", ("words",)),
        "rnn": ("recurrent", ("words 2",)),
        "attention": ("attention", ("rnn",)),
        "out": ("dense", ("rnn", "attention")),
    }


def test_activations_are_those_that_hooks_see(convolutions):
    network, data = find_network(convolutions, images()), images()
    found = collect(network, as_feed(network, data), batch=16).values
    seen = {}
    handles = [
        convolutions.norm.register_forward_hook(lambda *a: seen.update(a=F.relu(a[2]).mean((2, 3)))),
        convolutions.c.register_forward_hook(lambda *a: seen.update(c=F.gelu(a[2]).mean((2, 3)))),
        convolutions.out.register_forward_hook(lambda *a: seen.update(out=a[2])),
    ]
    with torch.no_grad():
        convolutions.eval()(torch.from_numpy(data))
    for handle in handles:
        handle.remove()
    for name, values in seen.items():
        np.testing.assert_allclose(found[name], values.numpy(), atol=1e-5)


@pytest.mark.parametrize(("module", "data"), [(Convolutions, images()), (Sequences, words())])
def test_torch_and_onnx_say_the_same(module, data, tmp_path):
    torch.manual_seed(1)
    network = module()
    direct = information_flow(network, data, estimator="gaussian-copula")
    exported = information_flow(export(network, data, tmp_path / "net.onnx"), data, estimator="gaussian-copula")
    assert direct.outputs[0].split("/")[0] == exported.outputs[0].split("/")[0]
    if module is Convolutions:
        assert len(direct.edges) == len(exported.edges)
        pairs = zip(direct.edges.values(), exported.edges.values(), strict=True)
    else:  # attention is one layer to torch, and several to ONNX
        heard, said = (next(name for name in flow.layers if "rnn" in name) for flow in (direct, exported))
        pairs = zip(
            (direct.edges["words 2", heard], direct.edges[heard, "out"]),
            (exported.edges["words/Gather", said], exported.edges[said, exported.outputs[0]]),
            strict=True,
        )
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_nothing_is_left_on_the_module(convolutions):
    convolutions.train()
    convolutions.norm.eval()
    before = copy.deepcopy(convolutions.state_dict())
    information_flow(convolutions, images())
    broken = images()
    with pytest.raises(InputError, match="cannot run on this"):
        information_flow(convolutions, broken[:, :, :2, :2])
    assert convolutions.training
    assert convolutions.a.training
    assert not convolutions.norm.training
    for part in convolutions.modules():
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
        assert not part._backward_hooks
    for name, value in convolutions.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None and parameter.requires_grad for parameter in convolutions.parameters())


def test_recurrent_samples_are_found_wherever_they_lie(tmp_path):
    """ONNX has them in the third axis, and without batch_first torch in the second."""

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.LSTM(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.rnn(x.transpose(0, 1))[0][-1])

    torch.manual_seed(0)
    data = np.random.default_rng(0).normal(size=(50, 5, 3)).astype(np.float32)
    module = Recurrent()
    flow = information_flow(module, data, rate=None)
    assert flow.layers == {"x": 15, "rnn": 4, "out": 2}
    exported = information_flow(export(module, data, tmp_path / "rnn.onnx"), data, rate=None)
    for one, other in zip(flow.edges.values(), exported.edges.values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_graph_of_one_sample_at_a_time(convolutions, tmp_path):
    free = export(convolutions, images(), tmp_path / "free.onnx")
    fixed = export(convolutions, images()[:1], tmp_path / "fixed.onnx", dynamic_axes={})
    flows = [information_flow(path, images(30)) for path in (free, fixed)]
    assert flows[0].edges.keys() == flows[1].edges.keys()
    for name, values in flows[0].edges.items():
        np.testing.assert_allclose(flows[1].edges[name], values, atol=1e-4)


def test_batches_do_not_matter(convolutions):
    flows = [information_flow(convolutions, images(), batch=batch) for batch in (1, 7, 80)]
    assert flows[0] == flows[1] == flows[2]


@pytest.mark.parametrize(("pool", "units"), [("mean", 6), ("max", 6), ("each", 6 * 36)])
def test_pools(convolutions, pool, units):
    assert information_flow(convolutions, images(), pool=pool).layers["a"] == units


def test_a_large_input_is_averaged_over_blocks(convolutions):
    network, data = find_network(convolutions, images()), images()
    found = collect(network, as_feed(network, data), most_inputs=9)
    assert found.shapes["x"] == (1, 3, 3)
    np.testing.assert_allclose(
        found.values["x"].reshape(-1, 3, 3), data.reshape(-1, 3, 2, 3, 2).mean((2, 4)), atol=1e-6
    )


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = self.a(x)
        if len(x) > 2:
            h = h.relu()
        return self.b(h)


class Choosing(Deciding):
    """Runs one of two layers of the same kind."""

    def forward(self, x):
        return self.b(x) if x[:, 0].sum() > 0 else self.b2(x)

    def __init__(self) -> None:
        super().__init__()
        self.b2 = nn.Linear(4, 2)


@pytest.mark.parametrize("module", [Deciding, Choosing])
def test_control_flow_is_found_out(module):
    with pytest.raises(InputError, match="control flow"):
        information_flow(module(), np.random.default_rng(0).normal(size=(40, 4)), batch=8)


class Written(nn.Module):
    """What is written into parts of a tensor, and its transposes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 3), nn.Linear(4, 2), nn.Linear(5, 2)

    def forward(self, x):
        h = torch.zeros(len(x), 5)
        h[:, :3] = F.threshold_(input=self.a(x), threshold=0, value=0)
        h[:, 3:].add_(self.b(x))
        return (self.out.weight @ h.T).mT + self.out.bias


def test_what_is_written_into_is_followed():
    torch.manual_seed(0)
    module, data = Written(), np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    flow = information_flow(module, data, rate=None, estimator="gaussian-copula")
    assert set(flow.edges) == {("x", "a"), ("x", "b"), ("a", "out"), ("b", "out")}
    assert flow.outputs == ("out",)
    said = module(torch.from_numpy(data)).detach().numpy()
    heard = module.b(torch.from_numpy(data)).detach().numpy()
    nats = pairwise_information(heard, said, estimator="gaussian-copula")
    np.testing.assert_allclose(flow.edges["b", "out"], nats, atol=1e-5)


def test_outputs_that_cannot_be_followed_are_refused():
    class Outside(nn.Linear):
        def forward(self, x):
            return torch.from_numpy(super().forward(x).numpy() * 2)

    with pytest.raises(InputError, match="followed back"):
        information_flow(Outside(4, 2), np.random.default_rng(0).normal(size=(40, 4)))


def test_positions_before_samples_in_one_axis():
    """As in torch's own attention when it is exported."""

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.out = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            h = self.a(x.transpose(0, 1).reshape(-1, 3))
            return self.out(h.reshape(5, -1, 4).mean(0))

    torch.manual_seed(0)
    data = np.random.default_rng(0).normal(size=(50, 5, 3)).astype(np.float32)
    module = Flat()
    found = collect(find_network(module, data), as_feed(find_network(module, data), data), batch=16).values["a"]
    np.testing.assert_allclose(found, module.a(torch.from_numpy(data)).mean(1).detach().numpy(), atol=1e-5)


def test_weights_in_files_beside_a_graph(convolutions, tmp_path):
    import onnx

    graph = onnx.load(export(convolutions, images(), tmp_path / "whole.onnx"))
    onnx.save(graph, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    assert (tmp_path / "net.data").stat().st_size > 1000
    assert information_flow(tmp_path / "net.onnx", images()) == information_flow(tmp_path / "whole.onnx", images())


def test_large_values_are_asked_for_in_smaller_batches(convolutions, monkeypatch):
    from ottava.systems.flow import activations

    monkeypatch.setattr(activations, "_MOST_BYTES", 4 * 3 * (36 + 6 * 36 * 2 + 5 * 36 + 4))
    network, asked = find_network(convolutions, images()), []
    run = network.run
    monkeypatch.setattr(network, "run", lambda values, feed: asked.append(len(feed["x"])) or run(values, feed))
    found = collect(network, as_feed(network, images()))
    assert max(asked[2:]) <= 3
    assert sum(asked[2:]) == 80
    monkeypatch.undo()
    for name, values in collect(network, as_feed(network, images())).values.items():
        np.testing.assert_allclose(found.values[name], values, atol=1e-5)


def test_long_names_are_cut_and_stay_apart():
    parts = nn.ModuleDict({"a" * 130 + end: nn.Linear(4, 4) for end in "xy"})

    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = parts

        def forward(self, x):
            for part in self.parts.values():
                x = part(x).relu()
            return x

    flow = information_flow(Long(), np.random.default_rng(0).normal(size=(40, 4)))
    assert [name[-1] for name in flow.layers] == ["x", "x", "y"]
    assert len(flow.edges) == 2


def test_control_flow_in_a_graph_is_named(tmp_path):
    from onnx import TensorProto, helper, save

    def value(name, kind=TensorProto.FLOAT, shape=("n", 4)):
        return helper.make_tensor_value_info(name, kind, shape)

    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "branch", [], [value("z")])
    node = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=branch, else_branch=branch)
    inputs = [value("x"), value("c", TensorProto.BOOL, ())]
    less = helper.make_node("Identity", ["c"], ["c2"])
    save(helper.make_model(helper.make_graph([less, node], "g", inputs, [value("y")])), tmp_path / "if.onnx")
    with pytest.raises(InputError, match="control flow") as caught:
        OnnxNetwork(tmp_path / "if.onnx")
    assert "choice" in str(caught.value.found)


def test_bad_networks_are_refused(tmp_path):
    with pytest.raises(MissingError):
        OnnxNetwork(tmp_path / "none.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(InputError, match="no ONNX graph"):
        OnnxNetwork(tmp_path / "broken.onnx")
    with pytest.raises(InputError, match="no layer that is known"):
        information_flow(nn.Flatten(), images())
    with pytest.raises(InputError, match="no network"):
        information_flow(object(), images())


def test_bad_data_is_refused(convolutions):
    data = images()
    data[3, 0, 1, 1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        information_flow(convolutions, data)
    with pytest.raises(InputError, match="too few samples"):
        information_flow(convolutions, images(1))
    with pytest.raises(InputError, match="cannot run on this"):
        information_flow(convolutions, images().reshape(80, 36))
    with pytest.raises(UsageError):
        information_flow(convolutions, images(), pool="median")


def test_activations_that_are_not_finite_name_their_layer(convolutions):
    with torch.no_grad():
        convolutions.b.weight[0] = np.inf
    with pytest.raises(InputError, match="layer b has values that are not finite"):
        information_flow(convolutions, images())
