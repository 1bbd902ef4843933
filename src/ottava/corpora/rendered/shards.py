"""Shards of a rendered corpus on disk: arrays, and where they come from."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava.errors import InputError
from ottava.io.files import atomic_write

__all__ = ["load_about", "load_item", "open_shard", "save_shard"]


def save_shard(path: Path, about: dict[str, object], **arrays: NDArray[Any]) -> None:
    """Write a shard whole or not at all."""
    packed = io.BytesIO()
    np.savez(packed, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
    with atomic_write(path) as file:
        file.write(packed.getbuffer())


def load_item(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32], dict[str, object]]:
    """Load a shard: features, notes and where it comes from, as in :mod:`ottava.corpora.rendered`."""
    with open_shard(path, "features") as (shard, about):
        return shard["features"], shard["notes"], about


def load_about(path: Path) -> dict[str, object]:
    """Load only where a shard comes from."""
    with open_shard(path) as (_, about):
        return about


@contextmanager
def open_shard(path: Path, form: str | None = None) -> Iterator[tuple[Any, dict[str, object]]]:
    """Give a shard's arrays, each read when it is asked for, and where it comes from.

    Raises
    ------
    ottava.errors.InputError
        If it is damaged, or of another form than asked for.
    """
    try:
        with np.load(path, allow_pickle=False) as shard:
            about: dict[str, object] = json.loads(str(shard["about"]))
            found = "stems" if "part" in shard else "features"
            if form and found != form:
                raise InputError("this shard has another form", path=path, found=found, expected=form)
            yield shard, about
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError("this shard is damaged", path=path, expected="features, notes, about") from error
