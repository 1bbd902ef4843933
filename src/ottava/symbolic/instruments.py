"""Instruments by number and by name.

The tables are General MIDI's and live with the reader of its files, one floor down; music above the files
asks for them here.
"""

from ottava.io.general_midi import (
    drum_class_of_key,
    family_of_program,
    key_of_drum_class,
    program_of_family,
)

__all__ = ["drum_class_of_key", "family_of_program", "key_of_drum_class", "program_of_family"]
