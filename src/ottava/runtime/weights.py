"""Finding weights and making sure that they are the ones the card speaks of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ottava.errors import MissingError, ModelError
from ottava.io.files import sha256
from ottava.runtime.cards import read_card
from ottava.spec import Spec

__all__ = ["Weights", "find_weights"]


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights.

    Parameters
    ----------
    path : pathlib.Path
        An ONNX graph.
    sha256 : str
        Its checksum, 64 hexadecimal digits.
    system : str
        Name of the system that it is for.
    """

    path: Path
    sha256: str
    system: str

    @property
    def model(self) -> str:
        """Name for :attr:`ottava.results.Result.model`: the system and 12 digits of the checksum."""
        return f"{self.system}@{self.sha256[:12]}"


def find_weights(spec: Spec, path: str | os.PathLike[str] | None = None) -> Weights:
    """Return the weights of a system, verified.

    Bundled weights must have the checksum that their card states. A file that the user names has no card; the
    checksum only goes into the name of the model. A file is read for this once in a process.

    Parameters
    ----------
    spec : Spec
        The system.
    path : path-like or None
        A file to use in place of the bundled one.

    Raises
    ------
    ottava.errors.MissingError
        If there is no such file.
    ottava.errors.ModelError
        If the bundled file is not the one that the card describes.
    """
    bundled = path is None
    file = Path(str(spec.folder / spec.weights)) if path is None else Path(path)
    try:
        status = file.stat()
        found = _sha256(file, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise MissingError(
            f"the weights of {spec.name} are missing" if bundled else "these weights cannot be read",
            path=file,
            found=error.strerror,
            expected="the file that comes with the package; install ottava again" if bundled else "an ONNX file",
        ) from error
    if bundled and found != (expected := read_card(spec).sha256):
        raise ModelError(
            f"the weights of {spec.name} are not the ones its card describes",
            path=file,
            found=f"sha256 {found[:12]}..., {status.st_size} bytes",
            expected=f"sha256 {expected[:12]}...",
        )
    return Weights(file, found, spec.name)


@lru_cache(maxsize=32)
def _sha256(path: Path, mtime_ns: int, size: int) -> str:
    # Time and size are only there to make a changed file a new entry.
    return sha256(path)
