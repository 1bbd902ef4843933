"""What several kinds of tests share. Its being here also lets them import the modules beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from replicas import REPLICAS


@pytest.fixture
def replica(tmp_path) -> Callable[[str], Path]:
    """Write a tiny corpus in the layout in which the real one is distributed, and return its folder."""

    def write(name: str) -> Path:
        folder = tmp_path / name
        REPLICAS[name](folder)
        return folder

    return write
