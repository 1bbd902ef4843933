"""The one shape of all corpora: a :class:`Corpus` lists items, and an :class:`Item` reads its truth."""

from __future__ import annotations

import csv
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ottava.errors import InputError, UsageError
from ottava.results import Notes

__all__ = [
    "UNKNOWN_VELOCITY",
    "Corpus",
    "Item",
    "hashed_split",
    "notes_from",
    "numbers",
    "read_table",
    "read_text",
]

UNKNOWN_VELOCITY = 64
"""Velocity written into truth that has none; the corpus then says ``velocities = False``."""


@dataclass(frozen=True)
class Item:
    """One piece of music and its truth. Making one touches no file.

    Parameters
    ----------
    id : str
        Unique in the corpus.
    split : str
        One of the corpus's splits.
    piece : str
        Which composition it is: what may not stand on both sides of a split.
    audio : Path or None
        The sound, where the distribution has it.
    truth_path : Path
        File (or folder of files) that the truth is read from; scores and MIDI can be rendered from it.
    licence : str
        Licence of this item.
    files : tuple of Path
        Files that the item needs, as far as listing it tells; :meth:`Corpus.files` has all.
    """

    id: str
    split: str
    piece: str
    audio: Path | None
    truth_path: Path
    licence: str
    files: tuple[Path, ...]
    _read: Callable[[], Notes] = field(repr=False, compare=False)

    def truth(self) -> Notes:
        """Read the true notes.

        Raises
        ------
        ottava.errors.InputError
            If a file is missing or damaged, with its path.
        """
        return self._read()


class Corpus(ABC):
    """A data set in the folder in which it is distributed.

    Parameters
    ----------
    path : path-like
        The folder that its archive unpacks to, or the folder around it.

    Attributes
    ----------
    name, title, version, url, licence, citation : str
        Who it is and what may be done with it.
    splits : tuple of str
        Names of its splits.
    official_split : bool
        Whether its authors made the split. Otherwise it is ours, by piece.
    weights_may_ship : bool
        Whether the licence lets weights trained on it be given to everybody.
    velocities : bool
        Whether its truth knows velocities.
    archives : mapping of str to str
        Published checksum of each archive, ``"md5:..."`` or ``"sha256:..."``.
    mirdata_index : str or None
        File name of mirdata's list of checksums.

    Raises
    ------
    ottava.errors.InputError
        If the folder does not hold the corpus.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    url: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    splits: ClassVar[tuple[str, ...]] = ("train", "validation", "test")
    official_split: ClassVar[bool] = True
    weights_may_ship: ClassVar[bool] = False
    velocities: ClassVar[bool] = True
    archives: ClassVar[Mapping[str, str]] = {}
    mirdata_index: ClassVar[str | None] = None
    marks: ClassVar[tuple[str, ...]] = ()
    """Files or folders (globs), all of which tell the root of the corpus."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.root = self._find_root()

    def items(self, split: str | None = None) -> Iterator[Item]:
        """Yield the items of a split, or all, in a fixed order.

        Raises
        ------
        ottava.errors.UsageError
            If there is no such split.
        ottava.errors.InputError
            If the corpus's table is missing or damaged.
        """
        if split is not None and split not in self.splits:
            raise UsageError(f"{self.name} has no split {split!r}", expected="one of " + ", ".join(self.splits))
        return (item for item in self._list() if split in (None, item.split))

    def files(self, item: Item) -> tuple[Path, ...]:
        """Return all files that an item needs, also those that only its metadata names.

        Raises
        ------
        ottava.errors.InputError
            If the metadata is missing or damaged.
        """
        return item.files

    @abstractmethod
    def _list(self) -> Iterator[Item]:
        """Yield all items."""

    def _find_root(self) -> Path:
        """Return the folder that has all marks: the given one, or one folder deeper."""
        if not self.path.is_dir():
            found = "a file" if self.path.exists() else "nothing"
            raise InputError(f"no folder of {self.title}", path=self.path, found=found, expected="a folder")
        inner = sorted(folder for folder in self.path.iterdir() if folder.is_dir())
        for folder in (self.path, *inner):
            if all(any(folder.glob(mark)) for mark in self.marks):
                return folder
        raise InputError(
            f"this is not {self.title}",
            path=self.path,
            expected=f"{' and '.join(self.marks)} here or one folder in",
        )

    def _item(
        self,
        name: str,
        split: str,
        truth_path: Path,
        read: Callable[[], Notes],
        *,
        piece: str | None = None,
        audio: Path | None = None,
        files: Iterable[Path] = (),
    ) -> Item:
        needed = (*([audio] if audio else []), *(files or (truth_path,)))
        return Item(name, split, piece or name, audio, truth_path, self.licence, needed, read)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r})"


def hashed_split(piece: str) -> str:
    """Return the split of a piece in corpora that come without: 90 of 100 train, 4 validation, 6 test.

    The place comes from a hash of the name, so it stays when pieces are added, and on every machine.
    """
    place = int(hashlib.sha256(piece.encode()).hexdigest()[:8], 16) % 100
    return "train" if place < 90 else "validation" if place < 94 else "test"


def notes_from(
    path: Path, start_s: ArrayLike, end_s: ArrayLike, pitch: ArrayLike, instrument: str | list[str]
) -> Notes:
    """Make truth from columns of an annotation without velocities.

    Pitches are rounded to the nearest key. Notes of no length, which annotations made by alignment have, are
    left out: nothing can be heard of them.

    Raises
    ------
    ottava.errors.InputError
        If the values are out of range, with the path.
    """
    start, end = np.asarray(start_s, dtype=np.float64), np.asarray(end_s, dtype=np.float64)
    keep = start != end
    instruments = np.broadcast_to(np.asarray(instrument, dtype=np.str_), start.shape)
    count = int(keep.sum())
    try:
        return Notes(
            start[keep],
            end[keep],
            np.rint(np.asarray(pitch, dtype=np.float64))[keep],
            np.full(count, UNKNOWN_VELOCITY),
            np.ones(count),
            instruments[keep],
        ).sorted()
    except InputError as error:
        raise InputError(error.message, path=path, found=error.found, expected=error.expected) from error


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file.

    Raises
    ------
    ottava.errors.InputError
        If it is missing, unreadable, or not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("missing", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise InputError("damaged", path=path, found=f"byte {error.start} that is no UTF-8 text") from error


def read_table(path: Path, columns: tuple[str, ...], *, delimiter: str = ",") -> list[dict[str, str]]:
    """Return the rows of a table with a header.

    Raises
    ------
    ottava.errors.InputError
        If it is missing or damaged, lacks a column, or a row is cut short.
    """
    rows = csv.DictReader(read_text(path).splitlines(), delimiter=delimiter, skipinitialspace=True)
    names = tuple(name.strip() for name in rows.fieldnames or ())
    rows.fieldnames = names
    if not set(columns) <= set(names):
        raise InputError(
            "damaged", path=path, found=f"columns {', '.join(names) or '(none)'}", expected=", ".join(columns)
        )
    table = []
    for row in rows:
        if any(row[name] is None for name in columns):
            raise InputError("damaged", path=path, found=f"line {rows.line_num} is cut short")
        table.append(row)
    return table


def numbers(path: Path, rows: list[dict[str, str]], column: str) -> list[float]:
    """Return one column of a table as numbers.

    Raises
    ------
    ottava.errors.InputError
        If a value is no number, with its line.
    """
    values = []
    for line, row in enumerate(rows, start=2):
        try:
            values.append(float(row[column]))
        except ValueError as error:
            raise InputError(
                "damaged",
                path=path,
                found=f"{row[column]!r} in column {column}, line {line}",
                expected="a number",
            ) from error
    return values
