"""What can be asked of a network: why it says one thing of one input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ottava.errors import UsageError

__all__ = ["Axis", "Question", "pick_item"]


@dataclass(frozen=True, slots=True)
class Axis:
    """What the places along one axis of an input are.

    Parameters
    ----------
    name : str
        Like ``"time_s"`` or ``"pitch_midi"``.
    start : float
        Where the first place begins.
    step : float
        From each place to the next.
    """

    name: str
    start: float = 0.0
    step: float = 1.0


@dataclass(frozen=True)
class Question:
    """One thing that a network says of one input.

    Parameters
    ----------
    text : str
        What it is, for people: ``"note 12: C4 at 3.20 s"``.
    inputs : dict of str to ndarray
        Inputs of the network by name, one sample each along the first axis; no more than what the answer depends on.
    output : str
        Name of the output.
    index : tuple of int
        Its place in one sample of the output; where axes are left, all along them is asked about together.
    axes : dict of str to tuple of Axis
        Of each input, what its axes are, without that of samples.
    parts : dict of str to tuple of int
        In how many parts the axes of an input are best cut, when it is looked for what in it matters.
    found : dict
        Plain data about it, for the result's settings.
    """

    text: str
    inputs: Mapping[str, NDArray[Any]]
    output: str
    index: tuple[int, ...]
    axes: Mapping[str, tuple[Axis, ...]] = field(default_factory=dict)
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)


def pick_item(item: int | None, count: int, default: int, kind: str) -> int:
    """Return the place of what is asked about, from 0 on.

    Parameters
    ----------
    item : int or None
        Its number, from 1 on; ``default``, a place, is taken when not given.
    count : int
        How many there are.
    default : int
        Place.
    kind : str
        What they are, in the singular.

    Raises
    ------
    ottava.errors.UsageError
        If there is no such one.
    """
    if item is None:
        return default
    if not 1 <= item <= count:
        raise UsageError(f"there is no {kind} {item}", expected=f"1 to {count}" if count else f"no {kind} was found")
    return item - 1
