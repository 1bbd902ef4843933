"""MIDI files to notes and back.

Reading follows the tempo map in 64-bit seconds. Writing uses a tempo of 120 and 500 ticks to the quarter
note, so that a tick is exactly one millisecond. What :class:`ottava.results.Notes` has no column for (tempo,
meter, controllers, names of tracks) is not read.
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ottava.errors import InputError
from ottava.io.files import open_input
from ottava.io.general_midi import family_of_program, program_of_family
from ottava.results import Notes

__all__ = ["TICK_S", "read_midi", "separate", "write_midi"]

TICK_S = 0.001
"""Length of a tick in files that :func:`write_midi` writes, in seconds."""

_TICKS_PER_QUARTER = 500
_DEFAULT_TEMPO_US = 500_000  # microseconds to the quarter note until a file says otherwise: 120 a minute
_NOMINAL_S = 0.01  # of notes without length, which drum machines write
_SUSTAIN = 64


def read_midi(source: str | os.PathLike[str] | BinaryIO, *, pedal: bool = False, other: str | None = None) -> Notes:
    """Read the notes of a MIDI file.

    Parameters
    ----------
    source : path-like or binary file object
        A Standard MIDI File of format 0 or 1.
    pedal : bool
        Let notes sound on while the sustain pedal is down, until the same key is struck again.
    other : str or None
        Instrument of the programs that have no family, such as timpani. By default their notes are left out.

    Returns
    -------
    ottava.results.Notes
        Sorted, with confidence 1. Families are those of the General MIDI programs; channel 10 is ``"drums"``.
        Notes of no length last 10 ms; notes that are never released are left out. Empty if there are none.

    Raises
    ------
    ottava.errors.InputError
        If the file cannot be opened or is damaged.
    """
    import symusic

    name = source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", "MIDI data")
    if isinstance(source, (str, os.PathLike)):
        with open_input(source) as file:
            data = file.read()
    else:
        data = source.read()
    if data[:4] != b"MThd":
        raise InputError("is no MIDI file", path=name, found=f"{data[:4]!r} at its start", expected="b'MThd'")
    try:
        score = symusic.Score.from_midi(data)
    except Exception as error:  # the parser raises RuntimeError and others for the same kinds of damage
        raise InputError("is a damaged MIDI file", path=name, found=str(error)) from error
    marks = [(mark.time, mark.mspq) for mark in score.tempos]
    if score.tpq <= 0 or any(tempo <= 0 for _, tempo in marks):
        raise InputError("is a damaged MIDI file", path=name, found="a tempo or time base of zero")

    columns = []
    for track in score.tracks:
        instrument = "drums" if track.is_drum else family_of_program(track.program) or other
        notes = track.notes.numpy()
        if instrument is None or not len(notes["time"]):
            continue
        start = notes["time"].astype(np.int64)
        end = start + notes["duration"]
        if pedal and not track.is_drum:
            end = _sustained(start, end, notes["pitch"], track.controls)
        start_s = _seconds(start, marks, score.tpq)
        end_s = _seconds(end, marks, score.tpq)
        end_s = np.where(end_s > start_s, end_s, start_s + _NOMINAL_S)
        count = len(start)
        columns.append((start_s, end_s, notes["pitch"], notes["velocity"], np.ones(count), np.full(count, instrument)))
    if not columns:
        return Notes.empty()
    try:
        return Notes(*(np.concatenate(column) for column in zip(*columns, strict=True))).sorted()
    except InputError as error:
        raise InputError(error.message, path=name, found=error.found, expected=error.expected) from error


def write_midi(notes: Notes) -> bytes:
    """Return notes as a MIDI file.

    One track for each instrument, with the General MIDI program of the family; drums on channel 10. Times are
    rounded to milliseconds, and a note lasts at least one. Where notes overlap on one key of one instrument,
    which MIDI cannot say, the earlier ends when the later begins; of notes that begin together, the longest
    stays.

    Parameters
    ----------
    notes : ottava.results.Notes
        May be empty.

    Returns
    -------
    bytes
        A Standard MIDI File, format 1.
    """
    from symusic import Note, Score, Tempo, Track

    score = Score(_TICKS_PER_QUARTER)
    score.tempos.append(Tempo(0, mspq=_DEFAULT_TEMPO_US))
    for instrument in notes.instruments():
        part = notes.of(instrument)
        start = np.rint(part.start_s / TICK_S).astype(np.int64)
        end = np.maximum(np.rint(part.end_s / TICK_S).astype(np.int64), start + 1)
        order, end = separate(start, end, part.pitch_midi)
        drums = instrument == "drums"
        track = Track(instrument, 0 if drums else program_of_family(instrument), drums)
        rows = zip(start[order], end, part.pitch_midi[order], part.velocity[order], strict=True)
        for first, last, pitch, velocity in sorted(tuple(map(int, row)) for row in rows):
            track.notes.append(Note(first, last - first, pitch, velocity))
        score.tracks.append(track)
    data: bytes = score.dumps_midi()
    return data


def separate(
    start: NDArray[np.int64], end: NDArray[np.int64], key: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Make the notes of one instrument playable: no key sounds twice at a time.

    Parameters
    ----------
    start, end : numpy.ndarray of int, shape (n,)
        In any unit of a grid, ``start < end``.
    key : numpy.ndarray of int, shape (n,)
        Pitch or percussion key.

    Returns
    -------
    kept : numpy.ndarray of int, shape (m,)
        Positions of the notes that stay, by key and start: of those that begin together on a key, the
        longest.
    end : numpy.ndarray of int, shape (m,)
        Their ends, not beyond the next start on the same key.
    """
    order = np.lexsort((-end, start, key))
    repeated = (np.diff(key[order]) == 0) & (np.diff(start[order]) == 0)
    order = order[np.concatenate((np.ones(min(len(order), 1), dtype=bool), ~repeated))]
    end = end[order]
    same = np.diff(key[order]) == 0
    end[:-1][same] = np.minimum(end[:-1], start[order][1:])[same]
    return order, end


def _seconds(ticks: NDArray[np.int64], marks: list[tuple[int, int]], per_quarter: int) -> NDArray[np.float64]:
    # The reader's own conversion has 32 bits, that is 1 ms after three hours.
    at, tempo_us = np.array(sorted([(0, _DEFAULT_TEMPO_US), *marks], key=lambda mark: mark[0])).T
    begins_us = np.concatenate(([0], np.cumsum(np.diff(at) * tempo_us[:-1])))
    which = np.searchsorted(at, ticks, side="right") - 1
    seconds: NDArray[np.float64] = (begins_us[which] + (ticks - at[which]) * tempo_us[which]) / (per_quarter * 1e6)
    return seconds


def _sustained(
    start: NDArray[np.int64], end: NDArray[np.int64], pitch: NDArray[np.int8], controls: Any
) -> NDArray[np.int64]:
    """Return the ends of notes under the sustain pedal of their track."""
    events = controls.numpy()
    mine = events["number"] == _SUSTAIN
    if not mine.any():
        return end
    time, down = events["time"][mine].astype(np.int64), events["value"][mine] >= 64
    order = np.argsort(time, kind="stable")
    time, down = time[order], down[order]
    # The last word: a pedal that is never lifted holds until the last note of the track has ended.
    last = int(max(end.max(), time[-1]))
    released = np.where(down, last, time)
    lifted = np.minimum.accumulate(released[::-1])[::-1]  # when the pedal is next up, from each event on
    state = np.searchsorted(time, end, side="right") - 1
    held = (state >= 0) & down[state]
    sounding = np.where(held, lifted[state], end)

    order = np.lexsort((start, pitch))
    following = np.full(len(start), np.iinfo(np.int64).max)
    same = np.diff(pitch[order]) == 0
    following[order[:-1][same]] = start[order][1:][same]
    held_end: NDArray[np.int64] = np.maximum(end, np.minimum(sounding, following))
    return held_end
