"""The command line: the verbs, derived from their own signatures and docstrings, for many files at a time.

Data goes to stdout, and only data; progress and messages go to stderr. Exit codes:

====  ==========================================
0     all done
1     something failed; what is listed on stderr
2     usage
3     a model or an extra is missing or unusable
130   interrupted
====  ==========================================
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence

from ottava.errors import OttavaError

__all__ = ["WORKER", "main"]

WORKER = "ottava job"
"""Name of the threads that work on inputs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments without the program's name; those of the process when not given.

    Returns
    -------
    int
        The exit code.
    """
    # NumPy's threads spin while they wait, and take the cores from the network's. Read when NumPy is first imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code = _run(list(sys.argv[1:] if argv is None else argv))
    if any(thread.name == WORKER for thread in threading.enumerate()):
        # Stopped amid several jobs. What still computes writes nothing, and cannot be told to stop.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(argv: list[str]) -> int:
    try:
        from ottava.cli.app import run

        code = run(argv)
        sys.stdout.flush()
        return code
    except OttavaError as error:
        print(f"ottava: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ottava: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has left. What is buffered still goes somewhere, or Python complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
