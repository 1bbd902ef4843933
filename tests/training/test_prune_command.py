"""``ottava prune``: a checkpoint of our own becomes smaller, trains on, and is exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch

from ottava.cli.app import run
from ottava.errors import InputError, OutputError, TrainingError, UsageError
from ottava.spec import find_spec, resolve
from ottava.systems.flow.train.command import main
from ottava.training.cli import main as train
from ottava.training.export import load_task
from ottava.training.networks import load_network


@pytest.fixture(scope="module", params=["structure", "transcription"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("runs") / request.param
    assert train(["train", request.param, "--config=debug", f"--run={folder}"]) == 0
    return request.param, folder / "last.ckpt"


def size(network: Any) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_a_smaller_network_trains_on_and_is_exported(trained, tmp_path, capsys):
    system, checkpoint = trained
    out = tmp_path / "pruned.safetensors"
    assert run(["prune", system, "--checkpoint", str(checkpoint), "--out", str(out), "--share", "0.1"]) == 0
    said = capsys.readouterr().err
    assert "multiply-adds are gone, worth measured by weighted-flow" in said
    assert "valid/" in said
    card = (tmp_path / "pruned.md").read_text()
    assert "multiply-adds are gone, worth measured by weighted-flow" in card
    assert "| valid/" in card
    folder = tmp_path / "run"
    options = [f"--model.initial_weights={out}", "--trainer.max_steps=2", f"--run={folder}"]
    assert train(["train", system, "--config=debug", *options]) == 0
    whole, smaller = (load_task(find_spec(system), path) for path in (checkpoint, folder / "last.ckpt"))
    assert size(smaller.network) < size(whole.network)
    assert smaller.pruned
    assert not whole.pruned
    assert train(["export", system, f"--checkpoint={folder}", f"--out={tmp_path / 'weights.onnx'}"]) == 0
    # And once more: what was pruned can be pruned.
    again = tmp_path / "again.safetensors"
    options = ["--checkpoint", str(folder / "last.ckpt"), "--out", str(again), "--share", "0.1", "--by", "magnitude"]
    assert main(["prune", system, *options]) == 0
    assert load_network(smaller.network, again)
    assert size(smaller.network) < size(load_task(find_spec(system), folder / "last.ckpt").network)


def test_weights_are_taken_to_be_of_the_shipped_settings(tmp_path):
    task = resolve(find_spec("structure").task)()
    task.save_weights(tmp_path / "whole.safetensors")
    options = ["--checkpoint", str(tmp_path / "whole.safetensors"), "--out", str(tmp_path / "smaller.safetensors")]
    made = ["--data", "tunes=made", "--data", "bars_in_batch=64", "--data", "lengths=[16]", "--data", "workers=0"]
    assert main(["prune", "structure", *options, *made, "--by", "magnitude", "--share", "0.2"]) == 0
    before = size(task.network)
    assert load_network(task.network, tmp_path / "smaller.safetensors")
    assert size(task.network) < before


def test_by_gradients(trained, tmp_path):
    system, checkpoint = trained
    before = torch.load(checkpoint, weights_only=True)["state_dict"]
    options = ["--checkpoint", str(checkpoint), "--out", str(tmp_path / "p.safetensors"), "--by", "taylor"]
    assert main(["prune", system, *options, "--share", "0.05"]) == 0
    after = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_bad_arguments_write_nothing(trained, tmp_path):
    system, checkpoint = trained
    out = tmp_path / "pruned.safetensors"
    for options, error in (
        (["--checkpoint", str(tmp_path / "none.ckpt"), "--out", str(out)], TrainingError),
        (["--checkpoint", str(checkpoint), "--out", str(out), "--share", "1.5"], UsageError),
        (["--checkpoint", str(checkpoint), "--out", str(out), "--share", "0.99"], InputError),
        (["--checkpoint", str(checkpoint), "--out", str(out), "--by", "luck"], UsageError),
        (["--checkpoint", str(checkpoint), "--out", str(out), "--data", "tunes"], UsageError),
        (["--checkpoint", str(checkpoint), "--out", str(out), "--data", "nothing=1"], UsageError),
        (["--out", str(out)], UsageError),
    ):
        with pytest.raises(error):
            main(["prune", system, *options])
    assert not out.exists()
    out.write_bytes(b"mine")
    with pytest.raises(OutputError):
        main(["prune", system, "--checkpoint", str(checkpoint), "--out", str(out)])
    assert out.read_bytes() == b"mine"


def test_weights_of_another_size_are_refused_unless_they_say_that_they_are_pruned(trained, tmp_path):
    from ottava.training.networks import save_network

    system, checkpoint = trained
    task = load_task(find_spec(system), checkpoint)
    smaller = torch.nn.Sequential(torch.nn.Linear(4, 2))
    larger = torch.nn.Sequential(torch.nn.Linear(4, 3))
    save_network(smaller, tmp_path / "plain.safetensors")
    with pytest.raises(InputError):
        load_network(larger, tmp_path / "plain.safetensors")
    save_network(smaller, tmp_path / "pruned.safetensors", pruned=True)
    assert load_network(larger, tmp_path / "pruned.safetensors")
    assert larger[0].out_features == 2
    with pytest.raises(InputError):
        load_network(task.network, tmp_path / "pruned.safetensors")


def test_a_part_that_cannot_be_pruned_says_so(tmp_path):
    folder = tmp_path / "run"
    assert train(["train", "structure.prior", "--config=debug", f"--run={folder}"]) == 0
    options = ["--checkpoint", str(folder / "last.ckpt"), "--out", str(tmp_path / "p.safetensors")]
    with pytest.raises(UsageError, match="cannot be pruned"):
        main(["prune", "structure.prior", *options])
