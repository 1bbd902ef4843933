"""The torch floor on a made-up system: runs, resumes, stops, exports, evaluates."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning", reason="needs ottava[train]")

import onnx
import onnxruntime
import tiny
import torch
import yaml

from ottava.errors import InputError, OutputError, TrainingError, UsageError
from ottava.spec import find_spec
from ottava.training.cli import main
from ottava.training.export import export_task, load_task
from ottava.training.order import Order

tiny.register()
SPEC = find_spec("tiny")
tiny.unregister()


@pytest.fixture(scope="module", autouse=True)
def made_up_system() -> Iterator[None]:
    """Have the made-up system in the house while these tests run, and for no others."""
    tiny.register()
    yield
    tiny.unregister()


def run(folder: Path, *options: str, config: str = "debug") -> Path:
    assert main(["train", "tiny", "--config", config, "--run", str(folder), *options]) == 0
    return folder


def _hear_interrupts() -> None:
    # A job in the background of a shell ignores SIGINT, and so would its children.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def process(*args: str) -> subprocess.Popen[str]:
    command = [sys.executable, tiny.__file__, *args]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=_hear_interrupts,
    )


def checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(folder / f"{name}.ckpt", weights_only=True)
    return loaded


def assert_same_state(one: Path, other: Path) -> None:
    a, b = checkpoint(one), checkpoint(other)
    assert a["global_step"] == b["global_step"]
    for part in ("state_dict", "current_model_state"):  # the averaged weights and those being trained
        for name, value in a[part].items():
            # Not bit by bit: where arrays happen to lie in memory decides how sums are vectorised.
            torch.testing.assert_close(value, b[part][name], rtol=0, atol=1e-5, msg=f"{part} {name}")
    assert a["lr_schedulers"] == b["lr_schedulers"]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "straight")


def test_run_folder_says_how_it_was_made(straight: Path) -> None:
    config = yaml.safe_load((straight / "config.yaml").read_text())
    assert config["trainer"]["max_steps"] == 12
    assert config["model"]["lr"] == 0.01  # a default, resolved
    assert (
        f"torch={torch.__version__.split('+')[0]}"
        in json.loads((straight / "environment.json").read_text())["versions"]
    )
    with open(straight / "logs/version_0/metrics.csv") as file:
        assert [row["step"] for row in csv.DictReader(file) if row["loss"]] == [str(i) for i in range(12)]
    assert list(straight.glob("logs/version_0/events.out.tfevents.*"))
    assert checkpoint(straight)["global_step"] == 12
    assert checkpoint(straight, "best")["global_step"] in (6, 12)
    assert checkpoint(straight)["ottava"]["system"] == "tiny"


def test_kept_weights_are_the_average(straight: Path) -> None:
    saved = checkpoint(straight)
    name = "network.out.weight"
    assert not torch.equal(saved["state_dict"][name], saved["current_model_state"][name])


def test_resumed_equals_straight(straight: Path, tmp_path: Path) -> None:
    run(tmp_path, "--trainer.max_steps=7")
    assert checkpoint(tmp_path)["global_step"] == 7
    run(tmp_path, "--resume=auto")
    assert_same_state(tmp_path, straight)


def test_resumed_after_kill_equals_straight(straight: Path, tmp_path: Path) -> None:
    slow = process("train", "tiny", "--config=debug", "--run", str(tmp_path), "--data.pause_s=0.05")
    deadline = time.monotonic() + 60
    while not (tmp_path / "last.ckpt").exists() and time.monotonic() < deadline and slow.poll() is None:
        time.sleep(0.01)
    slow.kill()
    slow.communicate()
    assert slow.returncode == -signal.SIGKILL
    assert checkpoint(tmp_path)["global_step"] == 5  # killed between two saves
    run(tmp_path, "--resume=auto")
    assert_same_state(tmp_path, straight)


def test_two_processes_share_the_batches(straight: Path, tmp_path: Path) -> None:
    options = ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.batch_size=2", "--model.dropout=0"]
    both = process("train", "tiny", "--config=debug", "--run", str(tmp_path / "two"), *options)
    run(tmp_path / "one", "--model.dropout=0")
    _, err = both.communicate(timeout=120)
    assert both.returncode == 0, err
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    assert one["global_step"] == two["global_step"] == 12
    for name, value in one["state_dict"].items():  # the mean over two halves is the mean over the batch
        torch.testing.assert_close(two["state_dict"][name], value, rtol=1e-4, atol=1e-5)


def test_interrupt_is_130_and_resumable(tmp_path: Path) -> None:
    slow = process("train", "tiny", "--config=debug", "--run", str(tmp_path), "--data.pause_s=0.05")
    while not (tmp_path / "last.ckpt").exists() and slow.poll() is None:
        time.sleep(0.01)
    slow.send_signal(signal.SIGINT)
    _, err = slow.communicate(timeout=60)
    assert slow.returncode in (130, -signal.SIGINT), err
    assert checkpoint(tmp_path)["global_step"] >= 5


def test_a_run_is_not_overwritten(straight: Path) -> None:
    before = (straight / "last.ckpt").read_bytes()
    with pytest.raises(OutputError, match="a run is here already"):
        run(straight)
    with pytest.raises(UsageError, match=r"another model.*width: 8.*width: 9"):
        run(straight, "--resume=auto", "--model.width=9")
    assert (straight / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize("bad", ["--model.wdith=9", "--trainer.max_stepz=3", "--trainer.max_steps=many", "--x"])
def test_unknown_options_fail(tmp_path: Path, bad: str) -> None:
    with pytest.raises(UsageError, match=r"wdith|max_stepz|max_steps|--x"):
        run(tmp_path / "run", bad)
    assert not (tmp_path / "run").exists()


def test_unknown_configuration_keys_fail(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("model:\n  width: 8\n  depth: 3\n")
    with pytest.raises(UsageError, match="depth"):
        run(tmp_path / "run", config=str(config))
    with pytest.raises(UsageError, match="one of debug"):
        run(tmp_path / "run", config="papper")
    config.write_text("model: [\n")
    with pytest.raises(UsageError):
        run(tmp_path / "run", config=str(config))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_stops_when_not_finite(tmp_path: Path, what: str) -> None:
    with pytest.raises(TrainingError, match=f"{what} is not finite at step 8"):
        run(tmp_path, f"--model.fails={what}", "--model.fails_at=8")
    saved = checkpoint(tmp_path)
    assert saved["global_step"] == 5
    assert all(torch.isfinite(value).all() for value in saved["state_dict"].values())


def test_configuration_names_another_task(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    text = "task: ottava.systems.tiny.train.task:{}\ntrainer: {{max_steps: 2, accelerator: cpu, devices: 1}}\n"
    config.write_text(text.format("WideTask"))
    run(tmp_path / "run", "--trainer.enable_progress_bar=false", config=str(config))
    saved = checkpoint(tmp_path / "run")
    assert saved["state_dict"]["network.out.weight"].shape[1] == 32
    out = tmp_path / "weights.onnx"
    assert main(["export", "tiny", "--checkpoint", str(tmp_path / "run"), "--out", str(out)]) == 0
    assert [x.name for x in onnxruntime.InferenceSession(out).get_outputs()] == ["rise", "level"]
    with pytest.raises(UsageError, match=r"another model.*task"):
        run(tmp_path / "run", "--resume=auto")
    config.write_text(text.format("NoTask"))
    with pytest.raises(UsageError, match="no such task"):
        run(tmp_path / "other", config=str(config))


def test_damaged_checkpoint(straight: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes((straight / "last.ckpt").read_bytes()[:3000])
    with pytest.raises(TrainingError, match=r"damaged\.ckpt"):
        main(["export", "tiny", "--checkpoint", str(damaged), "--out", str(tmp_path / "w.onnx")])
    with pytest.raises(TrainingError, match="no such checkpoint"):
        main(["export", "tiny", "--checkpoint", str(tmp_path), "--out", str(tmp_path / "w.onnx")])
    assert not (tmp_path / "w.onnx").exists()
    with pytest.raises(TrainingError, match=r"damaged\.ckpt"):
        run(tmp_path / "run", f"--resume={damaged}")
    torch.save({"state_dict": {}}, damaged)
    with pytest.raises(TrainingError, match="of no run of Ottava"):
        run(tmp_path / "run", f"--resume={damaged}")
    assert not (tmp_path / "run").exists()


def test_one_batch_is_learnt_and_every_weight_takes_part() -> None:
    from ottava.systems.tiny.train.data import Bursts  # type: ignore[import-not-found]
    from ottava.systems.tiny.train.task import TinyTask  # type: ignore[import-not-found]

    torch.manual_seed(0)
    task = TinyTask(dropout=0.0, lr=3e-2)
    task.log = lambda *a, **k: None
    batch = tuple(torch.stack(column) for column in zip(*(Bursts(1)[n] for n in range(4)), strict=True))
    optimizer = task.configure_optimizers()["optimizer"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(task), "global_step", 0)
        for _ in range(200):
            loss = task.training_step(batch, 0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss < 0.02
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in task.parameters())


def test_order_is_shared_and_resumable() -> None:
    class At:
        accumulate_grad_batches = 1

        def __init__(self, step: int, rank: int, world: int) -> None:
            self.global_step, self.global_rank, self.world_size = step, rank, world

    def first(count: int, step: int = 0, rank: int = 0, world: int = 1) -> list[int]:
        numbers = iter(Order(10, 2, At(step, rank, world), seed=1))  # type: ignore[arg-type]
        return [next(numbers) for _ in range(count)]

    whole = first(40)
    assert sorted(whole[:10]) == sorted(whole[10:20]) == list(range(10))
    assert whole[:10] != whole[10:20] != list(range(10))
    assert first(20, step=10) == whole[20:]
    assert first(20, rank=0, world=2) == whole[0::2]
    assert first(10, step=5, rank=1, world=2) == whole[21::2]


def test_export_speaks_the_spec(straight: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights.onnx"
    assert main(["export", "tiny", "--checkpoint", str(straight), "--out", str(out)]) == 0
    session = onnxruntime.InferenceSession(out)
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("features", [1, "frames", 4])]
    assert [(x.name, x.shape) for x in session.get_outputs()] == [
        ("onset", [1, "frames", 3]),
        ("level", [1, "frames"]),
    ]
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["system"] == "tiny"
    assert json.loads(metadata["features"]) == {"rate_hz": 10, "bands": 4}
    assert len(metadata["config_sha256"]) == 64
    # The averaged weights are what ships: the convolution, worked by hand from the checkpoint.
    weights = {n: v.double().numpy() for n, v in checkpoint(straight, "best")["state_dict"].items()}
    features = np.random.default_rng(0).random((1, 5, 4), dtype=np.float32)
    padded = np.pad(features[0], ((1, 1), (0, 0)))
    hidden = [
        np.maximum(
            0,
            np.einsum("oik,ki->o", weights["network.conv.weight"], padded[t : t + 3]) + weights["network.conv.bias"],
        )
        for t in range(5)
    ]
    level = np.array(hidden) @ weights["network.out.weight"][3, :, 0] + weights["network.out.bias"][3]
    np.testing.assert_allclose(session.run(["level"], {"features": features})[0][0], level, atol=1e-5)
    with pytest.raises(OutputError):
        main(["export", "tiny", "--checkpoint", str(straight), "--out", str(out)])
    first = out.read_bytes()
    main(["export", "tiny", "--checkpoint", str(straight), "--out", str(out), "--force"])
    assert out.read_bytes() == first
    onnx.checker.check_model(onnx.load(out), full_check=True)


def test_export_that_disagrees_leaves_nothing(straight: Path, tmp_path: Path) -> None:
    task = load_task(SPEC, straight / "last.ckpt")
    task.fails = "export"
    with pytest.raises(TrainingError, match=r"silence of 1 frames: onset differs.*noise of 1001 frames") as caught:
        export_task(SPEC, task, tmp_path / "weights.onnx")
    assert "12 failures in 15 cases" in str(caught.value)  # all lengths but the traced one
    assert list(tmp_path.iterdir()) == []


def test_export_of_what_cannot_be_traced(straight: Path, tmp_path: Path) -> None:
    task = load_task(SPEC, straight / "last.ckpt")
    with pytest.raises(TrainingError, match=r"cannot be traced.*output names"):
        export_task(replace(SPEC, outputs=SPEC.outputs | {"more": (1, "frames")}), task, tmp_path / "weights.onnx")
    with pytest.raises(TrainingError, match="Linear cannot be exported; found no export_module"):
        export_task(SPEC, torch.nn.Linear(1, 1), tmp_path / "weights.onnx")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_export_compares_what_is_decoded(straight: Path, tmp_path: Path) -> None:
    task = load_task(SPEC, straight / "last.ckpt")
    decode, calls = task.decode_outputs, iter(range(100))
    task.decode_outputs = lambda outputs: decode(outputs)[: next(calls)]  # another payload at every call
    with pytest.raises(TrainingError, match="decoded payloads differ"):
        export_task(SPEC, task, tmp_path / "weights.onnx")
    assert list(tmp_path.iterdir()) == []


def test_evaluate_fills_table_and_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, values in {"easy": [0.5, 1.0], "hard": [0.25, float("nan")]}.items():
        (tmp_path / name).mkdir()
        for i, value in enumerate(values):
            (tmp_path / name / f"{i}.txt").write_text(str(value))
    (tmp_path / "empty").mkdir()
    easy, hard, card, out = (str(tmp_path / name) for name in ("easy", "hard", "card.md", "results.csv"))
    Path(card).write_text("# Tiny\n<!-- numbers:begin -->\nold\n<!-- numbers:end -->\nrest\n")
    assert main(["evaluate", "tiny", "--data", easy, "--data", hard, "--out", out, "--card", card]) == 0
    with open(out) as file:
        rows = list(csv.DictReader(file))
    assert [(r["data"], r["file"], r["note_f"], r["weights"]) for r in rows] == [
        ("easy", "0.txt", "0.5", "bundled"),
        ("easy", "1.txt", "1.0", "bundled"),
        ("hard", "0.txt", "0.25", "bundled"),
        ("hard", "1.txt", "nan", "bundled"),
    ]
    assert all(row["machine"] and "ottava=" in row["versions"] and row["commit"] for row in rows)
    text = Path(card).read_text()
    assert text.startswith("# Tiny\n<!-- numbers:begin -->\n| mean over files | easy (2 files) | hard (2 files) |\n")
    assert "\n| note_f | 0.750 | 0.250 |\n\n" in text  # the only numbers there are
    assert text.endswith("<!-- numbers:end -->\nrest\n")
    assert "old" not in text

    with pytest.raises(OutputError):
        main(["evaluate", "tiny", "--data", easy, "--out", out])
    with pytest.raises(TrainingError, match="nothing to score"):
        main(["evaluate", "tiny", "--data", str(tmp_path / "empty")])
    with pytest.raises(InputError, match="no such folder"):
        main(["evaluate", "tiny", "--data", str(tmp_path / "nowhere")])
    capsys.readouterr()
    main(["evaluate", "tiny", "--data", hard])
    assert capsys.readouterr().out.startswith("data,file,note_f,weights,machine,versions,commit\nhard,0.txt,0.25,")


@pytest.mark.parametrize("argv", [[], ["train"], ["export", "tiny"], ["evaluate", "tiny", "--data", "x", "--y"]])
def test_usage(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        main(argv)


def test_unknown_system() -> None:
    with pytest.raises(UsageError, match="no system 'tuba'"):
        main(["train", "tuba", "--config", "debug"])
