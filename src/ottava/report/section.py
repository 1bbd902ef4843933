"""What a renderer returns to the page, and the two things that all of them need."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

__all__ = ["Section", "asset", "spoken_time"]


@dataclass(frozen=True, slots=True)
class Section:
    """One payload on a page.

    Parameters
    ----------
    summary : str
        What was found, one sentence of plain text.
    html : str
        Markup, with everything from outside escaped.
    data : dict
        Plain data for the script.
    """

    summary: str
    html: str
    data: dict[str, Any]


def asset(name: str) -> str:
    """Return the text of a file in ``report/assets``."""
    return (resources.files("ottava.report") / "assets" / name).read_text("utf-8").replace("\r\n", "\n")


def spoken_time(seconds: float) -> str:
    """Return a length of time in words: ``"9.4 s"``, ``"3 min 4 s"``, ``"1 h 2 min"``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
