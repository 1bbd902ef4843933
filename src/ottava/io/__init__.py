"""Bytes in, validated arrays out, and safely back: sound files, MIDI files, and files as such.

Everything from outside passes through this room once. What cannot be used raises
:class:`ottava.errors.InputError` with the file, what was found and what was expected; what can be used in
part is used, and says so in ``warnings``.
"""
