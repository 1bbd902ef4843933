"""Files as such: all-or-nothing writing, checksums, and what a list of inputs stands for."""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ottava.errors import InputError, OutputError

__all__ = ["atomic_write", "check_output", "expand_inputs", "open_input", "sha256"]

PathLike = str | os.PathLike[str]


def open_input(path: PathLike) -> BinaryIO:
    """Open a file for reading bytes.

    Raises
    ------
    ottava.errors.InputError
        If it is missing, empty, not a regular file, or may not be read.
    """
    try:
        # Asked before opening: opening a pipe that nobody writes to would wait forever.
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise InputError("is a folder", path=path, expected="a file")
        if not stat.S_ISREG(status.st_mode):
            raise InputError("is not a regular file", path=path, expected="a file that can be read twice")
        if not status.st_size:
            raise InputError("is empty", path=path, found="0 bytes")
        return open(path, "rb")
    except FileNotFoundError as error:
        raise InputError("there is no such file", path=path) from error
    except (OSError, ValueError) as error:
        raise InputError("cannot be opened", path=path, found=getattr(error, "strerror", str(error))) from error


def check_output(path: PathLike, *, force: bool = False) -> Path:
    """Check that ``path`` can be written, before anything is computed for it.

    Parameters
    ----------
    path : path-like
        File to be written.
    force : bool
        Whether an existing file may be replaced.

    Returns
    -------
    pathlib.Path
        The same path.

    Raises
    ------
    ottava.errors.OutputError
        If the file exists and ``force`` is not set, or if its folder is missing or not writable.
    """
    path = Path(path)
    if os.path.isdir(path):  # unlike Path.is_dir, has no errors of its own
        raise OutputError("cannot be written", path=path, found="a folder", expected="a file name")
    if os.path.lexists(path) and not force:
        raise _exists(path)
    if not os.path.isdir(path.parent):
        raise OutputError("cannot be written", path=path, found=f"no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise OutputError("cannot be written", path=path, found=f"folder {path.parent} is not writable")
    return path


@contextmanager
def atomic_write(path: PathLike, *, force: bool = False) -> Iterator[BinaryIO]:
    """Write a file entirely or not at all.

    The bytes go to a hidden file in the same folder, which takes the name ``path`` once all of it is on the
    disk. Whatever interrupts this (an error, Ctrl-C, a full disk) leaves neither a part of the new file nor a
    dent in the old one.

    Parameters
    ----------
    path : path-like
        File to be written.
    force : bool
        Replace an existing file.

    Yields
    ------
    file object
        Open for writing bytes.

    Raises
    ------
    ottava.errors.OutputError
        As :func:`check_output`, before the body runs; if the disk refuses; and if the file came to exist
        while the body ran and ``force`` is not set.

    Examples
    --------
    >>> with atomic_write("song.mid") as file:  # doctest: +SKIP
    ...     file.write(b"MThd...")
    """
    path = check_output(path, force=force)
    part = path.with_name(f".ottava-{secrets.token_hex(6)}.part")
    try:
        # Not tempfile, whose files are private: a new file gets the permissions that any new file gets.
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _rename(part, path, force)
    except OSError as error:
        # An error about some other file is the body's own, and none of ours to rephrase.
        if error.filename not in (None, str(part)):
            raise
        raise OutputError("cannot be written", path=path, found=error.strerror or str(error)) from error
    finally:
        part.unlink(missing_ok=True)


def _rename(part: Path, path: Path, force: bool) -> None:
    if not force:
        # Two inputs of one stem may race for the same name: a link, unlike a rename, fails if it is taken.
        try:
            os.link(part, path)
            return
        except FileExistsError as error:
            raise _exists(path) from error
        except OSError:
            # A file system without links: check once more and rename.
            if os.path.lexists(path):
                raise _exists(path) from None
    os.replace(part, path)


def _exists(path: Path) -> OutputError:
    return OutputError("exists already", path=path, expected="a new name, or leave to overwrite (force)")


def sha256(path: PathLike) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expand_inputs(inputs: Iterable[PathLike], suffixes: Iterable[str]) -> list[Path]:
    """Return the files that a list of files, folders and glob patterns stands for.

    A folder stands for the files below it that have one of the suffixes, hidden ones left out; a pattern for
    its matches, ``**`` included; a file for itself, whatever its suffix. What stands for nothing (a missing
    file, an empty folder, a pattern without matches, a folder that may not be listed) is returned as it is:
    opening it raises in its turn, with the reason, and stops no other input.

    Parameters
    ----------
    inputs : iterable of path-like
        Files, folders and patterns.
    suffixes : iterable of str
        Lower-case suffixes with their dot, for instance ``{".wav", ".mp3"}``. Case of file names is ignored.

    Returns
    -------
    list of pathlib.Path
        Sorted, each file once.
    """
    suffixes = frozenset(suffixes)
    found: dict[str, Path] = {}
    for entry in inputs:
        path = Path(entry)
        if not os.path.lexists(path) and glob.has_magic(os.fspath(entry)):
            matches = [Path(match) for match in glob.glob(os.fspath(entry), recursive=True)]
            files = [file for match in matches for file in _below(match, suffixes)] or [path]
        else:
            files = list(_below(path, suffixes)) or [path]
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    return sorted(found.values())


def _below(path: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    if not os.path.isdir(path):
        yield path
        return
    denied: list[Path] = []
    for folder, subfolders, names in os.walk(path, onerror=lambda error: denied.append(Path(error.filename))):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            # The dot also keeps out the "._song.mp3" companions that some systems leave on shared disks.
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes:
                yield Path(folder, name)
    yield from denied
