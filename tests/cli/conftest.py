"""The command line as a user meets it: a process with arguments, two streams and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tunes import write_tune


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    return write_tune(tmp_path / "tune.wav")


@pytest.fixture
def environment() -> dict[str, str]:
    """A small terminal's environment: one thread, UTF-8, no colours."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "PYTHONWARNINGS")}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8", "COLUMNS": "100", "NO_COLOR": "1"}


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``ottava`` in an empty folder."""

    def run(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ottava", *map(str, arguments)],
            **{"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 120} | more,
        )

    return run
