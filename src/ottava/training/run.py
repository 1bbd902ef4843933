"""One training run: Lightning's command line in a thin form, and the folder it writes."""

from __future__ import annotations

import json
import logging
import warnings
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError
from jsonargparse.typing import PositiveInt
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.trainer import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

import ottava
from ottava.errors import OutputError, TrainingError, UsageError
from ottava.io.files import atomic_write
from ottava.spec import Spec, find_spec, resolve
from ottava.training.callbacks import (
    AtomicCheckpoints,
    FiniteLoss,
    ProgressBar,
    ResumePoint,
    StepSeeds,
    load_checkpoint,
)
from ottava.training.provenance import provenance

__all__ = ["train"]


def train(system: str, args: list[str]) -> Path:
    """Train a system and return the run folder.

    Parameters
    ----------
    system : str
        Name of the system.
    args : list of str
        Lightning's options (``--config``, ``--trainer.max_steps``, ``--model.*``, ``--data.*``) and the
        floor's (``--run``, ``--resume``, ``--checkpoint_steps``, ``--ema_decay``, ``--monitor``,
        ``--monitor_mode``).

    Raises
    ------
    ottava.errors.UsageError
        If an option or a key of the configuration is unknown or has an impossible value.
    ottava.errors.OutputError
        If the run folder holds a run already and ``--resume`` does not say to continue it.
    ottava.errors.TrainingError
        If training had to stop.
    KeyboardInterrupt
        If it was interrupted. ``--resume auto`` continues from the last checkpoint.
    """
    spec = find_spec(system)
    args = [_shipped_config(spec, value, before) for before, value in zip(["", *args], args, strict=False)]
    with _quiet_lightning():
        try:
            cli = _CommandLine(spec, args)
            checkpoint = cli.open_folder()
            cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=checkpoint, weights_only=True)
        except ArgumentError as error:
            raise UsageError(str(error).strip()) from error
        except MisconfigurationException as error:
            raise UsageError(f"Lightning refuses this configuration: {error}") from error
        except SystemExit as stop:
            # Lightning turns Ctrl-C into exit code 1. SIGTERM comes as a SystemExit with a code of its own.
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
    return cli.folder


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Leave the terminal to the progress bar, and to warnings that a user can do something about."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec")  # Lightning behind torch
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _shipped_config(spec: Spec, value: str, option: str) -> str:
    """Replace the name of a configuration that the system ships by its path."""
    name = value.removeprefix("--config=")
    if (option not in ("--config", "-c") and name == value) or Path(name).is_file():
        return value
    shipped = {Path(f.name).stem: f for f in (spec.folder / "train").iterdir() if f.name.endswith(".yaml")}
    if name not in shipped:
        raise UsageError(
            "there is no such configuration",
            path=name,
            expected=f"a file, or one of {', '.join(sorted(shipped))}",
        )
    return value.removesuffix(name) + str(shipped[name])


def _chosen(spec: Spec, args: list[str]) -> dict[str, str]:
    """Return the dotted paths of the task and the data module: the configuration's, or else the spec's."""
    chosen = {"task": spec.task, "datamodule": spec.data}
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    for path in parser.parse_known_args(args)[0].config:
        try:
            given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UsageError("the configuration cannot be read", path=path, found=str(error)) from error
        chosen |= {key: given[key] for key in chosen if isinstance(given, dict) and key in given}
    for key, target in chosen.items():
        if target is None:
            raise UsageError(f"{spec.name} has nothing to train: its spec names no {key}")
    return {key: str(target) for key, target in chosen.items()}


def _resolved(key: str, target: str) -> Any:
    try:
        return resolve(target)
    except (AttributeError, ModuleNotFoundError, ValueError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != target.partition(":")[0]:
            raise  # it is there, and something that it imports is not
        raise UsageError(f"there is no such {key}", found=target, expected="package.module:Class") from error


class _CommandLine(LightningCLI):
    """Lightning's command line with the floor's options and callbacks."""

    def __init__(self, spec: Spec, args: list[str]) -> None:
        self.spec = spec
        self.chosen = _chosen(spec, args)
        super().__init__(
            *(_resolved(key, target) for key, target in self.chosen.items()),
            save_config_callback=None,  # `open_folder` saves it, into the run folder itself
            seed_everything_default=0,
            trainer_defaults={"enable_model_summary": False},  # it goes to stdout
            parser_kwargs={"prog": f"ottava train {spec.name}", "exit_on_error": False},
            args=args,
            run=False,
            auto_configure_optimizers=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        add = parser.add_argument
        for key, target in self.chosen.items():  # a configuration may name another than the spec's
            add(f"--{key}", default=target, choices=[target], help="Set by the configuration file.")
        add("--run", default=f"runs/{self.spec.name}", help="Run folder.")
        add("--resume", default="never", help="never, auto (from last.ckpt if there), or a checkpoint.")
        add("--checkpoint_steps", type=PositiveInt, default=500, help="Steps from one last.ckpt to the next.")
        add("--ema_decay", type=float | None, default=None, help="Average the weights, for instance 0.999.")
        add("--monitor", type=str | None, default=None, help="Validation metric that best.ckpt is chosen by.")
        add("--monitor_mode", default="min", choices=["min", "max"], help="Whether it should fall or rise.")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)  # Lightning's own warns whenever the program has arguments

    @property
    def folder(self) -> Path:
        return Path(self.config.run)

    def instantiate_trainer(self, **_: Any) -> Trainer:
        config, given = self.config, self.config_init.trainer
        self.config_text = self.parser.dump(config, skip_unset=False)
        lasting = {k: v for k, v in yaml.safe_load(self.config_text).items() if k not in ("run", "resume")}
        record = {"system": self.spec.name, "version": ottava.__version__, "config": yaml.safe_dump(lasting)}
        callbacks = [StepSeeds(int(config.seed_everything)), FiniteLoss()]
        if given.enable_progress_bar is not False:
            callbacks.append(ProgressBar())
        if config.ema_decay is not None:
            callbacks.append(EMAWeightAveraging(decay=config.ema_decay))
        callbacks += given.callbacks or []
        if config.monitor is not None:
            best = {"filename": "best", "enable_version_counter": False, "save_on_train_epoch_end": False}
            callbacks.append(
                ModelCheckpoint(str(self.folder), monitor=config.monitor, mode=config.monitor_mode, **best)
            )
        callbacks.append(ResumePoint(self.folder, config.checkpoint_steps, record))
        logger = given.logger
        if logger is None:
            csv = CSVLogger(self.folder, name="logs")  # a resumed run logs into a folder of its own beside it
            logger = [csv, TensorBoardLogger(self.folder, name="logs", version=csv.version)]
        return super().instantiate_trainer(
            default_root_dir=str(self.folder),
            callbacks=callbacks,
            logger=logger,
            plugins=[*_listed(given.plugins), AtomicCheckpoints()],
        )

    def open_folder(self) -> Path | None:
        """Make the run folder, save how it was made, and return the checkpoint to continue from."""
        folder, resume = self.folder, self.config.resume
        last = folder / "last.ckpt"
        checkpoint = {"never": None, "auto": last if last.is_file() else None}.get(resume, Path(resume))
        if checkpoint is not None:
            _check_same_model(checkpoint, self.config_text)
        if not self.trainer.is_global_zero:
            return checkpoint
        saved = folder / "config.yaml"
        if resume == "never" and saved.exists():
            raise OutputError("a run is here already", path=folder, expected="--resume auto, or another --run")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError("the run folder cannot be made", path=folder, found=str(error)) from error
        for part in folder.glob(".*.part"):  # left by a run that was killed while it wrote
            part.unlink()
        with atomic_write(saved, force=True) as file:
            file.write(self.config_text.encode())
        with atomic_write(folder / "environment.json", force=True) as file:
            file.write(json.dumps(provenance(), indent=2).encode())
        return checkpoint


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value is not None else []


def _check_same_model(checkpoint: Path, config_text: str) -> None:
    record = load_checkpoint(checkpoint).get("ottava")
    if record is None:
        raise TrainingError("this checkpoint is of no run of Ottava", path=checkpoint)
    old, new = yaml.safe_load(record["config"]), yaml.safe_load(config_text)
    before, now = ({"task": config["task"]} | config["model"] for config in (old, new))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        raise UsageError(
            "the run to resume has another model",
            path=checkpoint,
            found=", ".join(f"{key}: {before.get(key)}" for key in changed),
            expected=", ".join(f"{key}: {now.get(key)}" for key in changed),
        )
