"""Results to files: one function for each format, from a result to bytes, and one door that writes them.

===============  ==================================================================================
``.mid .midi``   notes, one track for each instrument, drums on channel 10; or the file that a verb made
``.csv``         notes, bars or a flow map's units, one row each, with a header
``.json``        the whole result, as :meth:`ottava.results.Result.from_dict` reads it
``.npz``         curves, or a flow map's units and links, as NumPy arrays by name
``.musicxml``    notes on a grid of sixteenths, one part for each instrument, for notation programs
``.mxl``         the same, compressed
===============  ==================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ottava.errors import OutputError
from ottava.exporters.musicxml import to_musicxml
from ottava.exporters.mxl import to_mxl
from ottava.exporters.tables import to_csv, to_json, to_midi, to_npz
from ottava.io.files import atomic_write, check_output
from ottava.results import Result

__all__ = ["FORMATS", "render", "save"]

FORMATS: dict[str, Callable[[Result], bytes]] = {
    ".mid": to_midi,
    ".midi": to_midi,
    ".csv": to_csv,
    ".json": to_json,
    ".npz": to_npz,
    ".musicxml": to_musicxml,
    ".mxl": to_mxl,
}
"""Functions from a result to the bytes of a file, by lower-case suffix."""


def render(result: Result, suffix: str) -> bytes:
    """Return a result in the format that a suffix names.

    Parameters
    ----------
    result : ottava.results.Result
        What a verb returned.
    suffix : str
        A key of :data:`FORMATS`, in any case.

    Raises
    ------
    ottava.errors.OutputError
        If the suffix is unknown, or the result lacks what the format holds.
    """
    return _find(suffix)(result)


def save(result: Result, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write a result in the format that the suffix of ``path`` names, entirely or not at all.

    Parameters
    ----------
    result : ottava.results.Result
        What a verb returned.
    path : path-like
        File to write.
    force : bool
        Overwrite an existing file.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ottava.errors.OutputError
        As :func:`render`; and if the file exists and ``force`` is not set, or cannot be written.
    """
    path = Path(path)
    try:
        function = _find(path.suffix)
        check_output(path, force=force)
        data = function(result)
    except OutputError as error:
        if error.path is not None:
            raise
        raise OutputError(error.message, path=path, found=error.found, expected=error.expected) from error
    with atomic_write(path, force=force) as file:
        file.write(data)
    return path


def _find(suffix: str) -> Callable[[Result], bytes]:
    function = FORMATS.get(suffix.lower())
    if function is None:
        raise OutputError("no such format", found=f"suffix {suffix!r}", expected=f"one of {', '.join(FORMATS)}, .html")
    return function
