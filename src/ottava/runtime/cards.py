"""Model cards: Markdown for people, with a TOML head for code and a block of numbers written by ``evaluate``.

::

    +++
    name = "transcription"
    licence = "Apache-2.0"
    ...
    [[trained_on]]
    name = "..."
    licence = "..."
    url = "..."
    +++
    # What it does ...
    <!-- numbers:begin -->
    | data | ... |
    <!-- numbers:end -->
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ottava.errors import ModelError
from ottava.spec import Spec

__all__ = ["Card", "Source", "parse_card", "read_card"]

_BEGIN, _END = "<!-- numbers:begin -->", "<!-- numbers:end -->"
_NUMBERS = re.compile(f"(?<={_BEGIN}\n).*?(?={_END})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """Something that a model was trained on.

    Parameters
    ----------
    name : str
        Name of the data set, piece collection or SoundFont.
    licence : str
        SPDX identifier, or the licence in words.
    url : str
        Where it is to be had.
    """

    name: str
    licence: str
    url: str


@dataclass(frozen=True, slots=True)
class Card:
    """What a model card says.

    Parameters
    ----------
    name, version, licence : str
        Of the model.
    sha256 : str
        Checksum of the weights, 64 hexadecimal digits.
    bytes : int
        Size of the weights.
    parameters : int
        Number of trained values.
    inputs, outputs : dict of str to tuple
        Named arrays of the graph, with their axes.
    trained_on : tuple of Source
        Everything that the weights have learned from.
    body : str
        The Markdown below the head.
    """

    name: str
    version: str
    licence: str
    sha256: str
    bytes: int
    parameters: int
    inputs: Mapping[str, tuple[str | int, ...]]
    outputs: Mapping[str, tuple[str | int, ...]]
    trained_on: tuple[Source, ...]
    body: str

    @property
    def numbers(self) -> str:
        """The block of measured numbers, Markdown; empty when nothing was measured."""
        found = _NUMBERS.search(self.body)
        return found[0].strip() if found else ""


def read_card(source: Spec | str | os.PathLike[str]) -> Card:
    """Read the card of a system, or a card in a file.

    Parameters
    ----------
    source : Spec or path-like
        The system whose bundled card is meant, or the file.

    Raises
    ------
    ottava.errors.ModelError
        If there is no card, its head is no TOML, or something in it is missing or of the wrong kind.
    """
    path = Path(str(source.folder / source.card)) if isinstance(source, Spec) else Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError("there is no readable model card", path=path, found=str(error)) from error
    return parse_card(text, path=path)


def parse_card(text: str, *, path: str | os.PathLike[str] | None = None) -> Card:
    """Make a card from its text. ``path`` is only for messages; errors as for :func:`read_card`."""
    head, body = _split(text, path)
    try:
        values = tomllib.loads(head)
    except tomllib.TOMLDecodeError as error:
        raise ModelError("the head of the model card is no TOML", path=path, found=str(error)) from error
    kinds = {"name": str, "version": str, "licence": str, "sha256": str, "bytes": int, "parameters": int}
    kinds |= {"inputs": dict, "outputs": dict, "trained_on": list}
    wrong = [key for key, kind in kinds.items() if not isinstance(values.get(key), kind)]
    if wrong or set(values) - set(kinds):
        raise ModelError(
            "the head of the model card is not complete",
            path=path,
            found=f"{', '.join(wrong) or 'nothing'} missing or of the wrong kind, "
            f"{', '.join(sorted(set(values) - set(kinds))) or 'nothing'} unknown",
            expected=", ".join(f"{key} ({kind.__name__})" for key, kind in kinds.items()),
        )
    if not re.fullmatch("[0-9a-f]{64}", values["sha256"]):
        raise ModelError(
            "sha256 is no checksum", path=path, found=repr(values["sha256"]), expected="64 hexadecimal digits"
        )
    try:
        trained_on = tuple(Source(**source) for source in values.pop("trained_on"))
    except TypeError as error:
        raise ModelError(
            "an entry of trained_on is not complete",
            path=path,
            found=str(error),
            expected="name, licence, url",
        ) from error
    for key in ("inputs", "outputs"):
        values[key] = {array: tuple(axes) for array, axes in values[key].items()}
    return Card(**values, trained_on=trained_on, body=body)


def _split(text: str, path: Any) -> tuple[str, str]:
    found = re.match(r"\+\+\+\n(.*?)^\+\+\+\n(.*)", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise ModelError("the model card has no head", path=path, expected="TOML between two lines +++ on top")
    return found[1], found[2]
