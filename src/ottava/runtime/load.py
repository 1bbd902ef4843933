"""Holding a model warm."""

from __future__ import annotations

import os
from typing import Any

from ottava.spec import find_spec, resolve

__all__ = ["load"]


def load(
    name: str = "transcription", *, weights: str | os.PathLike[str] | None = None, threads: int | None = None
) -> Any:
    """Load the model of a system once, for many inputs.

    Parameters
    ----------
    name : str
        Name of the system.
    weights : path-like or None
        Weights to use in place of the bundled ones.
    threads : int or None
        Threads of the network; as many as the machine has cores, but at most 4, when not given.

    Returns
    -------
    object
        The system's model, to be called with a source and the options of its verb.

    Raises
    ------
    ottava.errors.UsageError
        If there is no system of that name.
    ottava.errors.MissingError, ottava.errors.ModelError
        If the weights are missing or not usable.

    Examples
    --------
    >>> model = ottava.load("transcription")  # doctest: +SKIP
    >>> results = [model(path) for path in paths]  # doctest: +SKIP
    """
    return resolve(find_spec(name).model)(weights=weights, threads=threads)
