"""The tree of commands. Each is named by a string and imported when it is called: help is instant."""

from __future__ import annotations

from cyclopts import App, Group

import ottava
from ottava.errors import MissingError
from ottava.pipelines import VERBS
from ottava.spec import iter_specs, resolve

__all__ = ["build", "run"]

_HOUSE = {
    "models": ("ottava.cli.models:app", "List the models, or show the card of one."),
    "data": ("ottava.cli.data:app", "List data sets, or make one."),
    "bench": ("ottava.cli.bench:bench", "Measure speed and memory on files."),
    "doctor": ("ottava.cli.doctor:doctor", "Check the installation and the models."),
}
_TRAINING = {
    "train": "Train a system (needs ottava[train]).",
    "evaluate": "Score a system on data with truth.",
    "export": "Turn a checkpoint into weights to ship (needs ottava[train]).",
    "prune": "Make a smaller network out of a checkpoint (needs ottava[train]).",
}
_MAINS = {"prune": "ottava.systems.flow.train.command:main"}


def build() -> App:
    """Return the command line, with nothing behind its commands imported yet."""
    app = App(
        name="ottava",
        help="Listen to music on a laptop CPU: notes per instrument, drums, and a page worth looking at.\n\n"
        "Try: ottava listen song.mp3. A command explains itself: ottava COMMAND --help",
        help_format="plaintext",
        version=ottava.__version__,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    verbs = [*VERBS, *(verb for spec in iter_specs() for verb in spec.verbs)]
    titles = ("Verbs", "House", "Training")
    groups = {title: Group(title, sort_key=i) for i, title in enumerate(titles)}
    for i, verb in enumerate(verbs):
        target = f"ottava.cli.verbs:{verb.name}"
        app.command(target, name=verb.name, help=verb.summary, group=groups["Verbs"], sort_key=i)
    for i, (name, (target, summary)) in enumerate(_HOUSE.items()):
        app.command(target, name=name, help=summary, group=groups["House"], sort_key=i)
    for i, (name, summary) in enumerate(_TRAINING.items()):
        # Only listed here; `run` hands these over with their arguments untouched.
        app.command("ottava.training.cli:main", name=name, help=summary, group=groups["Training"], sort_key=i)
    app["--help"].group = app["--version"].group = Group("Options", sort_key=len(titles))
    return app


def run(argv: list[str]) -> int:
    """Run one command and return its exit code. Errors of Ottava are raised."""
    if argv and argv[0] in _TRAINING:
        try:
            main = resolve(_MAINS.get(argv[0], "ottava.training.cli:main"))
        except ImportError as error:
            raise MissingError(
                f"{argv[0]} needs the extra [train]", found=str(error), expected='pip install "ottava[train]"'
            ) from error
        return int(main(argv) or 0)
    return int(build()(argv) or 0)
