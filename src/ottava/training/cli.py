"""The commands ``train``, ``evaluate`` and ``export``. Data goes to stdout, what happens to stderr."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from ottava.errors import MissingError, UsageError

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, expected=self.format_usage().removeprefix("usage: ").strip())


def _parser() -> _Parser:
    parser = _Parser(prog="ottava", description="Train, evaluate and export a system. Needs ottava[train].")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    train = commands.add_parser(
        "train",
        help="train a system",
        usage="ottava train SYSTEM --config debug|paper|FILE [--run DIR] [--resume auto] [options]",
        epilog="All options: ottava train SYSTEM --help",
    )
    train.add_argument("system")  # the rest is Lightning's to parse

    evaluate = commands.add_parser("evaluate", help="score a system on folders of inputs with their truth")
    evaluate.add_argument("system")
    evaluate.add_argument("--data", action="append", required=True, metavar="DIR", help="may be given repeatedly")
    evaluate.add_argument("--weights", metavar="ONNX", help="instead of the bundled ones")
    evaluate.add_argument("--out", metavar="CSV", help="table to write; stdout by default")
    evaluate.add_argument("--card", metavar="MD", help="model card to fill with the table's means")
    evaluate.add_argument("--force", action="store_true", help="overwrite the table")

    export = commands.add_parser("export", help="write a checkpoint as ONNX, if it says the same there")
    export.add_argument("system")
    export.add_argument("--checkpoint", required=True, metavar="PATH", help="a checkpoint or a run folder")
    export.add_argument("--out", required=True, metavar="ONNX")
    export.add_argument("--card", metavar="MD", help="model card that is to describe the file")
    export.add_argument("--force", action="store_true", help="overwrite")
    return parser


def main(argv: list[str]) -> int:
    """Run ``train``, ``evaluate`` or ``export``.

    Parameters
    ----------
    argv : list of str
        The command and its arguments, without the program's name.

    Returns
    -------
    int
        0. Whatever goes wrong is raised, as an error that carries its exit code.

    Raises
    ------
    ottava.errors.UsageError
        If the arguments make no sense.
    ottava.errors.MissingError
        If the extra ``[train]`` is not installed.
    ottava.errors.TrainingError
        If training, evaluation or export had to stop.
    """
    try:
        is_run = argv[:1] == ["train"] and argv[1:2] and not argv[1].startswith("-")
        arguments = _parser().parse_args(argv[:2] if is_run else argv)
        if is_run:
            from ottava.training.run import train

            _say(f"The run is in {train(arguments.system, argv[2:])}")
            return 0
        if arguments.command == "export":
            from ottava.training.export import export

            done = export(
                arguments.system, arguments.checkpoint, arguments.out, card=arguments.card, force=arguments.force
            )
            _say(f"{done.path}: {done.n_bytes / 2**20:.2f} MiB, sha256 {done.sha256}")
            _say(f"Agrees with torch in {done.cases} cases, largest difference {done.max_difference:.1e}")
            return 0
        from ottava.training.evaluate import evaluate, render_csv

        rows = evaluate(
            arguments.system,
            arguments.data,
            weights=arguments.weights,
            out=arguments.out,
            card=arguments.card,
            force=arguments.force,
            on_row=lambda row: _say(f"{row['data']}/{row.get('file', '')}"),
        )
        if arguments.out is None:
            sys.stdout.write(render_csv(rows))
        return 0
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "ottava":
            raise
        raise MissingError(
            f"this needs the extra [train]: no module named {error.name}",
            expected="pip install 'ottava[train]'",
        ) from error
    except SystemExit as stop:  # argparse and Lightning leave so after --help
        if not stop.code:
            return 0
        raise


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
