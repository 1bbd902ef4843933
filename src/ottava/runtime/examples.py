"""What comes with Ottava to try it on: a recording and a tune."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ottava.errors import MissingError, UsageError

__all__ = ["find_example"]

_FILES = {"audio": "wiegenlied.ogg", "score": "ode_to_joy.mid"}


def find_example(kind: str = "audio") -> Path:
    """Return the example of a kind of input.

    Parameters
    ----------
    kind : str
        ``"audio"`` or ``"score"``.

    Raises
    ------
    ottava.errors.MissingError
        If the installation lacks it.
    ottava.errors.UsageError
        If there is none of that kind.
    """
    if kind not in _FILES:
        raise UsageError(f"there is no example of {kind}", expected=" or ".join(_FILES))
    path = Path(str(resources.files("ottava") / "examples" / _FILES[kind]))
    if not path.is_file():
        raise MissingError("the example is missing", path=path, expected="a file; install ottava again")
    return path
