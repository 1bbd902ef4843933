"""A verb over a list of sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ottava.errors import OttavaError
from ottava.results import Result

__all__ = ["run_each"]


def run_each(
    call: Callable[..., Result], sources: Iterable[Any], options: Mapping[str, Any]
) -> Iterator[Result | OttavaError]:
    """Yield the result of each source, in order; in the place of one that could not be used, the error.

    Parameters
    ----------
    call : callable
        A source and the options to a result: a model that is held warm.
    sources : iterable
        What the verb accepts.
    options : dict
        Keyword arguments of the call.
    """
    for source in sources:
        try:
            yield call(source, **options)
        except OttavaError as error:
            yield error
