"""The errors of Ottava: one root, a handful of kinds, each with its exit code.

Everything that Ottava raises on purpose derives from :class:`OttavaError`, so that a caller can catch one name.
A class says what kind of thing went wrong and carries the exit code of the command line; an instance says
*where* (the path or name at fault), *what was found* and *what was expected*, apart and together.
"""

from __future__ import annotations

import os
from typing import ClassVar

__all__ = [
    "OttavaError",
    "InputError",
    "OutputError",
    "UsageError",
    "MissingError",
    "ModelError",
    "TrainingError",
]


class OttavaError(Exception):
    """Root of all errors that Ottava raises on purpose.

    Parameters
    ----------
    message : str
        What went wrong, one sentence, without the path.
    path : path-like or None
        File or folder at fault.
    found : str or None
        What was there.
    expected : str or None
        What should have been there.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        found: str | None = None,
        expected: str | None = None,
    ) -> None:
        self.message = message
        self.path = os.fspath(path) if path is not None else None
        self.found = found
        self.expected = expected
        super().__init__(str(self))
        self.path = os.fspath(path) if path is not None else None  # ImportError has a path too, and clears it

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        if self.found:
            text += f"; found {self.found}"
        if self.expected:
            text += f"; expected {self.expected}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling, and errors cross process borders.
        return _rebuild, (type(self), self.message, self.path, self.found, self.expected)


def _rebuild(
    kind: type[OttavaError], message: str, path: str | None, found: str | None, expected: str | None
) -> OttavaError:
    return kind(message, path=path, found=found, expected=expected)


class InputError(OttavaError):
    """An input cannot be used: unreadable, damaged, of the wrong kind, or out of range."""


class OutputError(OttavaError):
    """An output cannot be written: it exists already, the disk is full, the format is unknown."""


class UsageError(OttavaError, ValueError):
    """The caller asked for something that makes no sense: an unknown verb, option or value."""

    exit_code = 2


class MissingError(OttavaError, ImportError):
    """A model or an optional extra is needed that is not installed."""

    exit_code = 3


class ModelError(OttavaError):
    """A model is there but not usable: wrong checksum, wrong inputs or outputs, no metadata."""

    exit_code = 3


class TrainingError(OttavaError):
    """Training, evaluation or export had to stop; what was found says why."""
