"""Puts the made-up system in the house. Run as a script, it is the command line with that system in it."""

import sys
from pathlib import Path

import ottava.systems


def register() -> None:
    """Put the system in the house."""
    ottava.systems.__path__.append(str(Path(__file__).parent / "systems"))
    ottava.systems.NAMES += ("tiny",)


def unregister() -> None:
    """Take it out again."""
    ottava.systems.__path__.pop()
    ottava.systems.NAMES = ottava.systems.NAMES[:-1]


if __name__ == "__main__":
    from ottava.errors import OttavaError
    from ottava.training.cli import main

    register()
    try:
        sys.exit(main(sys.argv[1:]))
    except OttavaError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
