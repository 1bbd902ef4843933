"""A verb over many inputs: plan all files, then run, write and report. One failure never stops the rest."""

from __future__ import annotations

import json as json_format
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

from ottava.cli import WORKER
from ottava.cli.terminal import Terminal
from ottava.errors import InputError, OttavaError, OutputError, UsageError
from ottava.results import Result
from ottava.spec import Verb

__all__ = ["find_files", "run"]


@dataclass(frozen=True, slots=True)
class Job:
    """One input and the files to write for it."""

    source: Path
    outputs: tuple[Path, ...]


Outcome = Result | Exception
Function = Callable[..., Iterable[Outcome]]


def run(
    verb: Verb,
    function: Function,
    inputs: Sequence[str],
    options: Mapping[str, Any],
    *,
    example: bool = False,
    out: Path | None = None,
    format: str | None = None,
    json: bool = False,
    force: bool = False,
    skip_existing: bool = False,
    quiet: bool = False,
    jobs: int = 1,
) -> int:
    """Run a verb over inputs and return the exit code.

    Parameters
    ----------
    verb : Verb
        What is run.
    function : callable
        The function behind it: a list of paths and the verb's options to results and errors, in order.
    inputs : sequence of str
        Files, folders and patterns.
    options : dict
        Options of the verb.
    example, out, format, json, force, skip_existing, quiet, jobs
        As the command line explains them.
    """
    if force and skip_existing:
        raise UsageError("--force and --skip-existing exclude each other")
    if jobs < 1:
        raise UsageError(f"--jobs is {jobs}", expected="1 or more")
    is_pipeline = verb.function.startswith("ottava.pipelines")
    example = example or (is_pipeline and not inputs)
    if example:
        from ottava.runtime.examples import find_example

        inputs = (*inputs, str(find_example(verb.accepts[0])))
    if not inputs:
        raise UsageError(f"{verb.name} needs an input", expected="files, folders or patterns, or --example")
    formats = _formats(format, out)
    if not formats and not (json and out is None):
        formats = list(verb.formats)
    if example:
        out = out or Path.cwd()  # not beside the example, which lies inside the package
    planned = _plan(find_files(inputs, verb.accepts), out, formats, verb.stem)
    ready, failures = _check(planned, force=force, skip_existing=skip_existing)
    skipped = len(planned) - len(ready) - len(failures)
    if "npz" in formats and "curves" in options:
        options = {**options, "curves": True}
    terminal = Terminal(total=len(ready), quiet=quiet)
    with terminal:
        for job, outcome in _outcomes(function, ready, options, jobs):
            error = _deliver(job, outcome, json, force) if isinstance(outcome, Result) else outcome
            if error is not None:
                failures.append(_located(error, job.source))
            terminal.advance(job.source, job.outputs, outcome if error is None else None)
    terminal.summary(len(planned), failures, skipped)
    codes = {error.exit_code if isinstance(error, OttavaError) else 1 for error in failures}
    return 0 if not codes else codes.pop() if len(codes) == 1 else 1


def _known_formats() -> list[str]:
    from ottava.exporters import FORMATS

    return [suffix.lstrip(".") for suffix in FORMATS] + ["html"]


def _is_file(out: Path | None) -> bool:
    return out is not None and not out.is_dir() and out.suffix[1:].lower() in _known_formats()


def _formats(format: str | None, out: Path | None) -> list[str]:
    if out is not None and _is_file(out):
        if format:
            raise UsageError(f"--format {format} and --out {out} both name a format", expected="one of them")
        return [out.suffix[1:].lower()]
    formats = list(dict.fromkeys(part.strip().lstrip(".").lower() for part in (format or "").split(",") if part))
    if unknown := [part for part in formats if part not in _known_formats()]:
        raise UsageError(f"format {', '.join(unknown)} is unknown", expected=", ".join(_known_formats()))
    return formats


def find_files(inputs: Sequence[str], accepts: tuple[str, ...]) -> dict[Path, Path]:
    """Return the files, each with its folder below the one given. Missing ones are in, to fail in turn."""
    from ottava.io.files import expand_inputs

    folders = [Path(given) for given in inputs if Path(given).is_dir()]
    files = expand_inputs(inputs, [suffix for kind in accepts for suffix in _suffixes(kind)])
    return {
        file: next((file.relative_to(f).parent for f in folders if file.is_relative_to(f)), Path()) for file in files
    }


def _suffixes(kind: str) -> tuple[str, ...]:
    if kind == "audio":
        from ottava.io.audio import SUFFIXES

        return tuple(SUFFIXES)
    if kind == "score":
        from ottava.symbolic.score import SUFFIXES as WRITTEN

        return WRITTEN
    return {"samples": (".npy", ".npz"), "image": (".png", ".jpg", ".jpeg"), "text": (".txt",)}[kind]


def _plan(found: Mapping[Path, Path], out: Path | None, formats: Sequence[str], stem: str) -> list[Job]:
    """Name the files to write: beside the input, or under ``out`` in the folders below the one given."""
    if out is not None and _is_file(out):
        if len(found) > 1:
            raise UsageError(f"--out {out} is one file for {len(found)} inputs", expected="a folder")
        return [Job(source, (out,)) for source in found]
    bases = {source: (source.parent if out is None else out / below) / source.stem for source, below in found.items()}
    # song.wav beside song.mp3: both keep their suffix, song.wav.mid and song.mp3.mid.
    shared = Counter(bases.values())
    bases = {source: base if shared[base] == 1 else base.with_name(source.name) for source, base in bases.items()}
    jobs = [
        Job(source, tuple(base.with_name(f"{base.name}{stem}.{format}") for format in formats))
        for source, base in bases.items()
    ]
    targets = Counter(path for job in jobs for path in job.outputs)
    if doubled := [path for path, count in targets.items() if count > 1 or path in found]:
        raise UsageError(
            f"{doubled[0]} would be written by several inputs, or over one",
            expected="inputs of different names",
        )
    return jobs


def _check(planned: Sequence[Job], *, force: bool, skip_existing: bool) -> tuple[list[Job], list[Exception]]:
    """Return the jobs to do and what forbids others, before anything is computed."""
    from ottava.io.files import check_output

    ready: list[Job] = []
    failures: list[Exception] = []
    for job in planned:
        missing = tuple(path for path in job.outputs if not (skip_existing and path.exists()))
        if job.outputs and not missing:
            continue
        try:
            for path in missing:
                path.parent.mkdir(parents=True, exist_ok=True)
                check_output(path, force=force)
        except (OttavaError, OSError) as error:
            failures.append(_located(error, job.source))
        else:
            ready.append(Job(job.source, missing))
    return ready, failures


def _outcomes(
    function: Function, jobs: Sequence[Job], options: Mapping[str, Any], workers: int
) -> Iterator[tuple[Job, Outcome]]:
    """Run jobs, several at a time if asked to, and yield what comes of each as it comes.

    Workers are threads: the network and NumPy let go of the interpreter while they compute. They write
    nothing, so that the process may leave at any time.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from zip(jobs, _serial(function, [job.source for job in jobs], options), strict=True)
        return
    if options.get("threads", 0) is None:
        from ottava.runtime.session import default_threads

        options = {**options, "threads": max(1, default_threads() // workers)}
    queue: Queue[tuple[Job, Outcome] | BaseException | None] = Queue(maxsize=workers)

    def work(share: Sequence[Job]) -> None:
        try:
            for pair in zip(share, _serial(function, [job.source for job in share], options), strict=True):
                queue.put(pair)
            queue.put(None)
        except BaseException as error:
            queue.put(error)

    for i in range(workers):
        threading.Thread(target=work, args=(jobs[i::workers],), name=WORKER, daemon=True).start()
    while workers:
        match queue.get():
            case None:
                workers -= 1
            case BaseException() as error:
                raise error
            case pair:
                yield pair


def _serial(function: Function, sources: Sequence[Path], options: Mapping[str, Any]) -> Iterator[Outcome]:
    """Yield the outcome of each source. What a verb raises for all (usage, no weights) is raised here too."""
    done = 0
    while done < len(sources):
        try:
            for outcome in function(list(sources[done:]), **options):
                yield outcome
                done += 1
        except OttavaError:
            raise
        except Exception as error:  # a defect of ours met by one input: the others still have their turn
            if _follows_interrupt(error):
                raise KeyboardInterrupt from error
            yield error
            done += 1


def _follows_interrupt(error: BaseException | None) -> bool:
    """Tell whether an error came while clearing up after Ctrl-C."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _deliver(job: Job, result: Result, json: bool, force: bool) -> Exception | None:
    """Write the files of one result, then its line; return what prevented it."""
    try:
        for path in job.outputs:
            result.save(path, force=force)
    except (OttavaError, OSError) as error:
        return error
    if json:
        # ASCII, so that neither the terminal's encoding nor odd bytes in a file name can break the line.
        sys.stdout.write(json_format.dumps(result.to_dict()) + "\n")
        sys.stdout.flush()
    return None


def _located(error: Exception, source: Path) -> Exception:
    """Return an error that names its input; unexpected ones also say their kind."""
    if isinstance(error, OttavaError):
        if error.path:
            return error
        return type(error)(error.message, path=source, found=error.found, expected=error.expected)
    if isinstance(error, OSError) and error.filename is not None:
        return OutputError(error.strerror or str(error), path=error.filename)
    return InputError(f"{type(error).__name__}: {error}", path=source)
