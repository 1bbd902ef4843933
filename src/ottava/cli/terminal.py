"""What a person sees while a verb runs: on stderr, and moving only where it can move."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ottava.results import Result

__all__ = ["Terminal"]


class Terminal:
    """Progress over inputs.

    Parameters
    ----------
    total : int
        Number of inputs.
    quiet : bool
        Say only what failed.
    """

    def __init__(self, total: int, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

        self._quiet = quiet
        self._console = Console(stderr=True)
        columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        hidden = quiet or not self._console.is_terminal
        self._progress = Progress(*columns, console=self._console, transient=True, disable=hidden)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, source: Path, outputs: Sequence[Path], outcome: Result | Exception | None) -> None:
        """Count one input, and tell what was found in it; :meth:`summary` tells what failed."""
        self._progress.advance(self._task)
        if self._quiet or not isinstance(outcome, Result):
            return
        written = f" -> {', '.join(str(path) for path in outputs)}" if outputs else ""
        payloads = ", ".join(repr(payload) for payload in outcome.payloads.values())
        self._say(f"{source}{written}: {payloads}, in {outcome.elapsed_s:.1f} s")
        for warning in outcome.warnings:
            self._say(f"{source}: {warning}")

    def summary(self, total: int, failures: Sequence[Exception], skipped: int) -> None:
        """Tell what was skipped and list what failed."""
        if skipped and not self._quiet:
            self._say(f"{skipped} left out, they exist")
        if failures and total > 1:
            print(f"ottava: {len(failures)} of {total} failed:", file=sys.stderr)
        for error in failures:
            print(f"ottava: {error}", file=sys.stderr)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
