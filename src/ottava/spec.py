"""What a system is, and how systems are found by name.

A :class:`Spec` is plain data. It names the system's verbs as dotted strings, so that listing systems, printing
help and importing :mod:`ottava` load no system, and so that the light install never meets torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module, resources
from importlib.resources.abc import Traversable
from typing import Any

from ottava.errors import UsageError

__all__ = ["Spec", "Verb", "find_spec", "iter_networks", "iter_specs", "resolve"]


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that a system does.

    Parameters
    ----------
    name : str
        Name in Python and on the command line.
    function : str
        Dotted path ``module:attribute`` of the function behind it.
    summary : str
        One line for help texts.
    accepts : tuple of str
        Kinds of input: ``"audio"``, ``"score"``, ``"image"``, ``"text"``.
    returns : tuple of str
        Names of the payload types in the :class:`ottava.results.Result`.
    formats : tuple of str
        Suffixes of the files that the command line writes when nothing else is asked for.
    stem : str
        What their names have after the input's, so that they are not its.
    leads : str
        Option that the first word on the command line gives, if it is the name of a system.
    """

    name: str
    function: str
    summary: str
    accepts: tuple[str, ...]
    returns: tuple[str, ...]
    formats: tuple[str, ...] = ("json",)
    stem: str = ""
    leads: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """A system: its name, paper, verbs and where its parts are.

    Parameters
    ----------
    name : str
        Name of the folder under ``ottava/systems``; of a part, with its system's name and a dot before it.
    title : str
        One line.
    paper : str
        Citation of the source.
    verbs : tuple of Verb
        What it does.
    model : str
        Dotted path ``module:attribute`` of the class that holds the model warm.
    task : str or None
        Dotted path of the LightningModule. Only ``ottava.training`` resolves it.
    data : str or None
        Dotted path of the LightningDataModule.
    weights : str
        File name of the bundled weights inside the system's folder; empty for a system without a network.
    card : str
        File name of the model card inside the system's folder.
    inputs, outputs : dict of str to tuple
        Named arrays of the exported graph, with their axes by name.
    parts : tuple of str
        Names of the folders inside the system's own that hold further networks which it uses. Each has a spec, weights
        and a card like a system, and is trained and exported as ``system.part``.
    joins : dict of str to str
        Inputs of the graph that get another input or an output, where several networks lie side by side in it and each
        reads what another writes.
    ask : str or None
        Dotted path of the function that turns what the system says of a source into a question about its network
        (:class:`ottava.runtime.questions.Question`): ``ask(model, source, item)``.
    """

    name: str
    title: str
    paper: str
    verbs: tuple[Verb, ...]
    model: str
    task: str | None = None
    data: str | None = None
    weights: str = "weights.onnx"
    card: str = "card.md"
    inputs: dict[str, tuple[str | int, ...]] = field(default_factory=dict)
    outputs: dict[str, tuple[str | int, ...]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    joins: dict[str, str] = field(default_factory=dict)
    ask: str | None = None

    @property
    def folder(self) -> Traversable:
        """Folder of the system inside the installed package."""
        return resources.files(f"ottava.systems.{self.name}")


def iter_specs() -> tuple[Spec, ...]:
    """Return the specs of all systems, in the house's order."""
    from ottava.systems import NAMES

    return tuple(find_spec(name) for name in NAMES)


def iter_networks() -> tuple[Spec, ...]:
    """Return the specs of all networks: each system that has one, followed by its parts."""
    return tuple(
        spec
        for system in iter_specs()
        for spec in (system, *(find_spec(f"{system.name}.{p}") for p in system.parts))
        if spec.weights
    )


def find_spec(name: str) -> Spec:
    """Return the spec of one system, or of a part of one.

    Parameters
    ----------
    name : str
        Name of the system, for instance ``"transcription"``, or ``"transcription.families"``.

    Raises
    ------
    ottava.errors.UsageError
        If there is no system or part of that name.
    """
    from ottava.systems import NAMES

    system, _, part = name.partition(".")
    if system not in NAMES:
        raise UsageError(f"there is no system {name!r}", expected="one of " + ", ".join(NAMES))
    spec: Spec = import_module(f"ottava.systems.{system}").SPEC
    if part:
        if part not in spec.parts:
            raise UsageError(f"{system} has no part {part!r}", expected=", ".join(spec.parts) or "no part")
        spec = import_module(f"ottava.systems.{name}").SPEC
    return spec


def resolve(target: str) -> Any:
    """Import ``module:attribute`` and return the attribute."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
