"""Corpora: music with its truth, in the folders in which it is distributed.

>>> from ottava.corpora import open_corpus
>>> maestro = open_corpus("maestro", "data/maestro-v3.0.0")  # doctest: +SKIP
>>> for item in maestro.items("test"):  # doctest: +SKIP
...     print(item.id, item.audio, item.truth())

Nothing is ever downloaded: a corpus is a folder that somebody has. Listing its items reads the corpus's own
table or folder, and no music; ``item.truth()`` reads one file. Each corpus knows its licence, citation and
split, and :func:`validate` tells what of it is missing, and what is damaged.

The field's collection of loaders, mirdata, covers four of these sets: GuitarSet 1.1.0, Slakh2100-redux,
Groove 1.0.0, and MAESTRO in version 2 only. Its lists of checksums are used by :func:`validate` where they
are installed; its readers go through a dozen large packages and leave drums out, so reading is done here, and
the tests hold it against mirdata's.
"""

from __future__ import annotations

import os

from ottava.corpora.checks import Check, validate
from ottava.corpora.corpus import Corpus, Item
from ottava.corpora.names import NAMES, find_corpus

__all__ = ["NAMES", "Check", "Corpus", "Item", "find_corpus", "open_corpus", "validate"]


def open_corpus(name: str, path: str | os.PathLike[str]) -> Corpus:
    """Open a corpus that lies in a folder.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.
    path : path-like
        The folder that its archive unpacks to, or the folder around it.

    Raises
    ------
    ottava.errors.UsageError
        If there is no corpus of that name.
    ottava.errors.InputError
        If the folder does not hold it.
    """
    return find_corpus(name)(path)
