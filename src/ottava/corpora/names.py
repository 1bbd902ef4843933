"""The corpora by name. A new one is a module and a line here."""

from __future__ import annotations

from ottava.corpora.corpus import Corpus
from ottava.errors import UsageError
from ottava.spec import resolve

__all__ = ["NAMES", "find_corpus"]

_HOMES = {
    "maestro": "ottava.corpora.maestro:Maestro",
    "musicnet": "ottava.corpora.musicnet:MusicNet",
    "guitarset": "ottava.corpora.guitarset:GuitarSet",
    "slakh": "ottava.corpora.slakh:Slakh",
    "maps": "ottava.corpora.maps:Maps",
    "groove": "ottava.corpora.groove:Groove",
    "lieder": "ottava.corpora.scores:Lieder",
    "openewld": "ottava.corpora.scores:OpenEwld",
    "pop909": "ottava.corpora.scores:Pop909",
    "nottingham": "ottava.corpora.scores:Nottingham",
    "pairs": "ottava.corpora.pairs:Pairs",
}

NAMES: tuple[str, ...] = tuple(_HOMES)
"""Names of the corpora."""


def find_corpus(name: str) -> type[Corpus]:
    """Return the class of a corpus, which knows licence, citation and splits without any data.

    Raises
    ------
    ottava.errors.UsageError
        If there is no corpus of that name.
    """
    if name not in _HOMES:
        raise UsageError(f"there is no corpus {name!r}", expected="one of " + ", ".join(NAMES))
    found: type[Corpus] = resolve(_HOMES[name])
    return found
