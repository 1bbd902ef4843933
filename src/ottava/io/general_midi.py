"""The numbers of General MIDI and what they mean here: programs to families, percussion keys to drum classes.

A family is what a listener would call the instrument by its sound. Where the standard's own groups leave a
choice, it is made like this:

- Harpsichord, organs, accordions, bells and mallets are keys: struck or blown, but played from bars and keys.
  The harmonica (22) is blown by mouth, so winds.
- Pizzicato (45) stays with the bowed strings that play it; the harp (46) is plucked.
- Synthesiser leads, pads and pitched effects (80-103) are keys, because their notes have to be somewhere and
  they are played from a keyboard; the voice lead (85) is voice, and so are the choirs (52-54). Synthesised
  basses, strings and brass belong to what they imitate.
- Timpani (47), the orchestra hit (55), the unpitched percussion among the programs (113, 115-119) and sound
  effects (120-127) have no family.
"""

from __future__ import annotations

from ottava.errors import UsageError
from ottava.results import DRUM_CLASSES, FAMILIES, check_choice

__all__ = ["drum_class_of_key", "family_of_program", "key_of_drum_class", "program_of_family"]

# First program, last program, family. Programs count from 0, as in files; the printed standard, from 1.
_RANGES: tuple[tuple[int, int, str], ...] = (
    (0, 21, "keys"),  # pianos, chromatic percussion, organs, accordion
    (22, 22, "winds"),  # harmonica
    (23, 23, "keys"),  # tango accordion
    (24, 31, "plucked"),  # guitars
    (32, 39, "bass"),  # acoustic, electric and synthesised basses
    (40, 45, "bowed"),  # violin to contrabass, tremolo, pizzicato
    (46, 46, "plucked"),  # harp
    (48, 51, "bowed"),  # string ensembles
    (52, 54, "voice"),  # choirs, synthesised voice
    (56, 79, "winds"),  # brass, reeds, pipes
    (80, 84, "keys"),  # leads
    (85, 85, "voice"),  # voice lead
    (86, 103, "keys"),  # leads, pads, pitched effects
    (104, 107, "plucked"),  # sitar, banjo, shamisen, koto
    (108, 108, "keys"),  # kalimba
    (109, 109, "winds"),  # bagpipe
    (110, 110, "bowed"),  # fiddle
    (111, 111, "winds"),  # shanai
    (112, 112, "keys"),  # tinkle bell
    (114, 114, "keys"),  # steel drums
)
_FAMILY: dict[int, str] = {p: family for first, last, family in _RANGES for p in range(first, last + 1)}

# The most usual instrument of each family: grand piano, nylon guitar, fingered bass, string ensemble,
# clarinet, choir.
_PROGRAM = dict(zip(FAMILIES, (0, 24, 33, 48, 71, 52), strict=True))

# The first key of each class is the one that is written. Side stick and clap sound in place of the snare.
_KEYS: dict[str, tuple[int, ...]] = {
    "kick": (36, 35),
    "snare": (38, 37, 39, 40),
    "hi-hat": (42, 44, 46),
    "toms": (47, 41, 43, 45, 48, 50),
    "cymbals": (49, 51, 52, 53, 55, 57, 59),
}
_CLASS: dict[int, str] = {key: name for name in DRUM_CLASSES for key in _KEYS[name]}


def family_of_program(program: int) -> str | None:
    """Return the family of a General MIDI program.

    Parameters
    ----------
    program : int
        0-127.

    Returns
    -------
    str or None
        One of :data:`ottava.results.FAMILIES`; None for programs without a pitch or a family, such as
        timpani.

    Raises
    ------
    ottava.errors.UsageError
        If the number is not a program.

    Examples
    --------
    >>> family_of_program(40)
    'bowed'
    """
    return _FAMILY.get(_checked("program", program))


def program_of_family(family: str) -> int:
    """Return the General MIDI program, 0-127, that stands for a family.

    Raises
    ------
    ottava.errors.UsageError
        If there is no such family.

    Examples
    --------
    >>> program_of_family("bass")
    33
    """
    return _PROGRAM[check_choice("family", family, FAMILIES)]


def drum_class_of_key(key: int) -> str | None:
    """Return the drum class of a General MIDI percussion key.

    Parameters
    ----------
    key : int
        0-127.

    Returns
    -------
    str or None
        One of :data:`ottava.results.DRUM_CLASSES`; None for other percussion, such as the tambourine.

    Raises
    ------
    ottava.errors.UsageError
        If the number is not a key.
    """
    return _CLASS.get(_checked("key", key))


def key_of_drum_class(name: str) -> int:
    """Return the General MIDI percussion key that stands for a drum class.

    Raises
    ------
    ottava.errors.UsageError
        If there is no such class.
    """
    return _KEYS[check_choice("drum class", name, DRUM_CLASSES)][0]


def _checked(name: str, number: int) -> int:
    if not 0 <= number <= 127:
        raise UsageError(f"{name} {number} is out of range", expected="0 to 127")
    return int(number)
