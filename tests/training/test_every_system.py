"""Every system's own debug configuration: it trains, learns one batch, resumes and exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import torch
from lightning.pytorch import Callback, Trainer

from ottava.spec import iter_networks, resolve
from ottava.training.cli import main
from ottava.training.run import _CommandLine, _shipped_config

TRAINABLE = [spec for spec in iter_networks() if spec.task is not None]


def test_there_are_systems_to_train() -> None:
    assert TRAINABLE


@pytest.fixture(scope="module", params=TRAINABLE, ids=lambda spec: spec.name)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("runs") / request.param.name
    assert main(["train", request.param.name, "--config=debug", f"--run={folder}", "--trainer.max_steps=4"]) == 0
    return request.param, folder


def last(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(folder / "last.ckpt", weights_only=True)
    return loaded


def test_resumed_equals_straight(finished: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, straight = finished
    # The schedule knows the length of the run, so a shorter one differs; stop this one as a kill would.
    train = ["train", spec.name, "--config=debug", f"--run={tmp_path}", "--trainer.max_steps=4"]
    with monkeypatch.context() as patch:
        patch.setattr(resolve(spec.task), "on_train_batch_start", stop_at_third)
        with pytest.raises(KilledError):
            main([*train, "--checkpoint_steps=2"])
    assert last(tmp_path)["global_step"] == 2
    assert main([*train, "--resume=auto"]) == 0
    one, other = last(straight), last(tmp_path)
    assert one["global_step"] == other["global_step"] == 4
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(value, other["state_dict"][name], rtol=0, atol=1e-5, msg=name)


def test_export_agrees(finished: tuple[Any, Path], tmp_path: Path) -> None:
    spec, folder = finished
    out = tmp_path / "weights.onnx"
    assert main(["export", spec.name, f"--checkpoint={folder}", f"--out={out}"]) == 0
    assert out.stat().st_size < 8 * 2**20


def test_one_batch_is_learnt_and_every_weight_takes_part(finished: tuple[Any, Path], tmp_path: Path) -> None:
    spec, _ = finished
    steps = 40
    options = [f"--trainer.max_steps={steps}", f"--run={tmp_path}"]
    config = _shipped_config(spec, "debug", "--config")
    line = _CommandLine(spec, ["--config", config, *options])
    seen = Losses()
    trainer = Trainer(
        accelerator="cpu", devices=1, max_steps=steps, overfit_batches=1, limit_val_batches=0, logger=False,
        callbacks=[seen], enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(line.model, datamodule=line.datamodule)
    assert min(seen.losses[-5:]) < 0.6 * seen.losses[0]
    assert seen.idle == set()


class KilledError(Exception):
    """What a kill is to a run."""


def stop_at_third(task: Any, *_: Any) -> None:
    if task.global_step == 3:
        raise KilledError


class Losses(Callback):
    """Keeps the losses, and the names of weights that no gradient has reached yet."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.idle: set[str] = set()

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.idle = {name for name, p in pl_module.named_parameters() if p.requires_grad}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        self.idle -= {n for n, p in pl_module.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(float(outputs["loss"]))
