"""Keep the MP3 decoder from talking to the terminal."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import IO

__all__ = ["hushed"]

_ITS_OWN = re.compile(rb"(Note|Warning): |\[\S*mpg123\S*\] ")

_lock = Lock()
_depth = 0
_terminal = -1
_caught: IO[bytes] | None = None


@contextmanager
def hushed() -> Iterator[None]:
    """Hold back what libmpg123 says on standard error.

    The library inside libsndfile prints notes on every oddity of an MP3 file straight to file descriptor 2,
    and offers no way to turn that off; what matters of it we find out ourselves. So the descriptor points to
    a temporary file meanwhile. What others wrote there in that time is passed on when the last user leaves.
    """
    global _depth, _terminal
    with _lock:
        if _depth == 0:
            _terminal = _divert()
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and _terminal >= 0:
                _restore()


def _divert() -> int:
    global _caught
    try:
        terminal = os.dup(2)
    except OSError:  # a program without a standard error has nothing to keep quiet
        return -1
    if _caught is None:
        _caught = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- kept: one for each block would cost time
    os.dup2(_caught.fileno(), 2)
    return terminal


def _restore() -> None:
    assert _caught is not None
    os.dup2(_terminal, 2)
    os.close(_terminal)
    if _caught.tell():
        _caught.seek(0)
        lines = _caught.read().splitlines(keepends=True)
        _caught.seek(0)
        _caught.truncate()
        if foreign := b"".join(line for line in lines if line.strip() and not _ITS_OWN.match(line)):
            os.write(2, foreign)
