"""Commands out of verbs.

A command takes files, folders and globs, the options of its verb (from the verb's signature, explained by the
verb's docstring), and the options that all verbs have, which are those of :func:`_common` below.
``ottava.cli.verbs:transcribe`` is made when it is first asked for.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from ottava.cli import batch
from ottava.errors import UsageError
from ottava.pipelines import VERBS
from ottava.spec import Verb, find_spec, iter_networks, iter_specs, resolve

__all__ = ["command", "find_verb"]

_FIND, _FILES, _RUNNING = (
    Group(title, sort_key=i) for i, title in enumerate(("What to find", "Files", "Running"), start=1)
)


def _flag(group: Group, help: str, *names: str) -> Parameter:
    return Parameter(names or None, group=group, help=help, negative="", show_default=False)


def _common(
    *inputs: Annotated[str, Parameter(help="Files, folders (with all below) and patterns such as '*.flac'.")],
    example: Annotated[bool, _flag(_FILES, "Use the example that comes with Ottava.")] = False,
    out: Annotated[
        Path | None,
        Parameter(
            ("--out", "-o"),
            group=_FILES,
            help="File (its suffix names the format) or folder; beside the input when not given.",
        ),
    ] = None,
    format: Annotated[
        str | None, Parameter(group=_FILES, help="What to write: mid,csv,json,html,musicxml,npz.")
    ] = None,
    json: Annotated[bool, _flag(_FILES, "Print results to stdout, one line of JSON for each input.")] = False,
    force: Annotated[bool, _flag(_FILES, "Overwrite what exists.")] = False,
    skip_existing: Annotated[bool, _flag(_FILES, "Leave out what exists.")] = False,
    jobs: Annotated[int, Parameter(("--jobs", "-j"), group=_RUNNING, help="Inputs to work on at a time.")] = 1,
    threads: Annotated[
        int | None,
        Parameter(group=_RUNNING, help="Threads of the network; the cores, at most 4, shared among the jobs."),
    ] = None,
    weights: Annotated[
        Path | None, Parameter(group=_RUNNING, help="Weights to use in place of the bundled ones.")
    ] = None,
    quiet: Annotated[bool, _flag(_RUNNING, "Only tell what failed.", "--quiet", "-q")] = False,
) -> None:
    """Have the options that every verb has. Only the signature is used."""


_MODEL = {"threads", "weights"}  # of the common options, those that the verb's function takes
_COMMON = inspect.signature(_common, eval_str=True).parameters


def command(verb: Verb) -> Callable[..., int]:
    """Return the command of a verb.

    Its options are the keyword parameters of the verb's function; a sequence is one word with commas.
    """
    function = resolve(verb.function)
    rest = list(inspect.signature(function, eval_str=True).parameters.values())[1:]  # the first is the source
    own = {p.name: p for p in rest if p.name not in _COMMON}
    known = {p.name for p in rest}
    lists = {name for name, p in own.items() if _is_sequence(p.annotation)}

    def run(*inputs: str, **given: Any) -> int:
        options, shown = {name: given[name] for name in own if name in given}, verb
        if verb.leads and inputs and inputs[0] in _networks():
            options[verb.leads], inputs = inputs[0], inputs[1:]
            accepted = [kind for known in find_spec(options[verb.leads]).verbs[:1] for kind in known.accepts]
            shown = replace(verb, accepts=tuple(accepted) or verb.accepts)
        if "data" in own and (data := options.pop("data", None)) is not None:
            if inputs:
                raise UsageError("data are read in place of inputs", found=" ".join(inputs), expected="one of them")
            inputs = (str(data),)
        options |= {name: tuple(options[name].split(",")) for name in lists & options.keys() if options[name]}
        return batch.run(
            shown,
            function,
            inputs,
            options | {name: given[name] for name in _MODEL & known & given.keys()},
            **{name: given[name] for name in _COMMON if name in given and name not in _MODEL},
        )

    parameters = [_COMMON["inputs"], *(_option(p, p.name in lists) for p in own.values())]
    parameters += [p for p in _COMMON.values() if p.name != "inputs"]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__ = verb.name
    run.__doc__ = _plain(inspect.getdoc(function) or verb.summary)
    return run


def find_verb(name: str) -> Verb:
    """Return the verb of a pipeline or a system."""
    verbs = {verb.name: verb for verb in (*VERBS, *(verb for spec in iter_specs() for verb in spec.verbs))}
    if name not in verbs:
        raise UsageError(f"there is no verb {name!r}", expected="one of " + ", ".join(verbs))
    return verbs[name]


def __getattr__(name: str) -> Callable[..., int]:
    try:
        return command(find_verb(name))
    except UsageError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def _networks() -> set[str]:
    return {spec.name for spec in (*iter_specs(), *iter_networks())}


def _option(parameter: inspect.Parameter, is_list: bool) -> inspect.Parameter:
    annotation, default = parameter.annotation, parameter.default
    if is_list:
        annotation, default = str | None, ",".join(default) if default else None
    return parameter.replace(
        kind=inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[annotation, Parameter(group=_FIND)],
        default=default,
    )


def _is_sequence(annotation: Any) -> bool:
    origins = (typing.get_origin(kind) for kind in (annotation, *typing.get_args(annotation)))
    return any(isinstance(origin, type) and issubclass(origin, Iterable) for origin in origins)


def _plain(text: str) -> str:
    """Take the marks of reStructuredText off: a terminal shows plain text."""
    text = re.sub(r":[a-z]+:`~?([^`]+)`", r"\1", text)
    return text.replace("``", "")
