"""Notes as MusicXML, for notation programs.

A first draft for human hands, not an engraving. Times are rounded to a grid of sixteenths at one tempo,
estimated from the onsets unless given; the meter is 4/4 and no key is set. Every instrument is one part with
one voice: wherever a note begins or ends, all that sounds is cut, and what goes on is tied, so that each
moment of polyphony is a chord of the right length. Drums are hits of a sixteenth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import NDArray

from ottava.exporters.tables import only
from ottava.io.midi import separate
from ottava.results import Notes, Result
from ottava.symbolic.instruments import program_of_family

__all__ = ["estimate_grid", "to_musicxml"]

_STEPS = ("C", "C", "D", "E", "E", "F", "F", "G", "A", "A", "B", "B")
_ALTERS = (
    0,
    1,
    0,
    -1,
    0,
    0,
    1,
    0,
    -1,
    0,
    -1,
    0,
)  # C sharp, E flat, F sharp, A flat, B flat: the usual spellings
_BAR = 16  # sixteenths
# Lengths that one symbol can write, in sixteenths: type and dots.
_SYMBOLS = {
    16: ("whole", 0),
    12: ("half", 1),
    8: ("half", 0),
    6: ("quarter", 1),
    4: ("quarter", 0),
    3: ("eighth", 1),
    2: ("eighth", 0),
    1: ("16th", 0),
}
# Where drums stand on the staff, by percussion key: step, octave, head. Unlisted ones stand in the middle.
_DRUM_PLACES = {
    **dict.fromkeys((35, 36), ("F", "4", "normal")),
    **dict.fromkeys((37, 38, 39, 40), ("C", "5", "normal")),
    **dict.fromkeys((42, 46), ("G", "5", "x")),
    44: ("D", "4", "x"),
    **dict.fromkeys((41, 43), ("A", "4", "normal")),
    **dict.fromkeys((45, 47), ("D", "5", "normal")),
    **dict.fromkeys((48, 50), ("E", "5", "normal")),
    **dict.fromkeys((51, 53, 59), ("F", "5", "x")),
    **dict.fromkeys((49, 52, 55, 57), ("A", "5", "x")),
}
_DOCTYPE = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC '
    b'"-//Recordare//DTD MusicXML 3.1 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">\n'
)


def estimate_grid(onset_s: NDArray[np.float64]) -> tuple[float, float]:
    """Estimate the tempo and the place of the beat from onsets alone, at a steady tempo.

    Each tempo is judged by how well the onsets agree on a phase at one, two and four pulses to the beat, and
    a mild preference for moderate tempos.

    Parameters
    ----------
    onset_s : numpy.ndarray of float, shape (n,)
        Onsets in seconds, in any order.

    Returns
    -------
    tempo_bpm : float
        60 to 180; 120 if there are fewer than two onsets.
    offset_s : float
        Time of a beat, at least 0 and less than a beat.
    """
    if len(onset_s) < 2:
        return 120.0, 0.0
    # The first two minutes: longer, and no tempo of a person is steady enough for phases to agree.
    onset_s = onset_s[onset_s < onset_s.min() + 120]
    coarse = np.arange(600, 1800) / 10
    best = coarse[np.argmax(_agreement(coarse, onset_s))]
    fine = best + np.arange(-10, 11) / 100
    tempo = round(float(fine[np.argmax(_agreement(fine, onset_s))]), 2)
    # The sixteenths agree best on where the grid lies, the beats on which of its lines is a beat.
    slot_s = 15 / tempo
    grid_s, beat_s = (_phase(onset_s, period_s) for period_s in (slot_s, 4 * slot_s))
    return tempo, float((grid_s + round((beat_s - grid_s) / slot_s) * slot_s) % (4 * slot_s))


def _phase(onset_s: NDArray[np.float64], period_s: float) -> float:
    return float(np.angle(np.exp(2j * np.pi * onset_s / period_s).mean()) / (2 * np.pi) * period_s)


def _agreement(tempos: NDArray[np.float64], onset_s: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.empty(len(tempos))
    for i, tempo in enumerate(tempos):  # one at a time: all at once would take memory by the gigabyte
        beat = np.exp(2j * np.pi * tempo / 60 * onset_s)
        found[i] = sum(abs((beat**pulses).mean()) for pulses in (1, 2, 4))
    weighted: NDArray[np.float64] = found * np.exp(-0.5 * (np.log2(tempos / 110) / 0.8) ** 2)
    return weighted


def to_musicxml(result: Result, tempo_bpm: float | None = None) -> bytes:
    """Return the notes as a MusicXML score.

    Parameters
    ----------
    result : ottava.results.Result
        With notes; may be empty.
    tempo_bpm : float or None
        Quarter notes in a minute, with the first beat at 0 s; by default both are estimated.

    Returns
    -------
    bytes
        UTF-8, MusicXML 3.1 partwise.
    """
    notes = only(result, Notes)
    if tempo_bpm is None:
        tempo_bpm, offset_s = estimate_grid(notes.start_s)
    else:
        offset_s = 0.0
    slot_s = 15 / tempo_bpm
    # Sound before the first beat needs a bar in front.
    if len(notes) and round((notes.start_s.min() - offset_s) / slot_s) < 0:
        offset_s -= _BAR * slot_s
    start = np.rint((notes.start_s - offset_s) / slot_s).astype(np.int64)
    end = np.maximum(np.rint((notes.end_s - offset_s) / slot_s).astype(np.int64), start + 1)
    end[notes.instrument == "drums"] = start[notes.instrument == "drums"] + 1
    bars = max(1, math.ceil(end.max(initial=0) / _BAR))

    score = Element("score-partwise", version="3.1")
    _text(SubElement(score, "work"), "work-title", Path(result.source).stem or "Untitled")
    _text(SubElement(SubElement(score, "identification"), "encoding"), "software", f"Ottava {result.version}")
    parts = SubElement(score, "part-list")
    for number, instrument in enumerate(notes.instruments() or ("keys",), start=1):
        mine = notes.instrument == instrument
        pitch = notes.pitch_midi[mine].astype(np.int64)
        kept, end_slot = separate(start[mine], end[mine], pitch)
        _list_part(parts, f"P{number}", instrument, sorted(set(pitch.tolist())))
        part = SubElement(score, "part", id=f"P{number}")
        _write_part(part, instrument, start[mine][kept], end_slot, pitch[kept], bars, tempo_bpm)
    ElementTree.indent(score)
    body: bytes = ElementTree.tostring(score, encoding="utf-8")
    return _DOCTYPE + body + b"\n"


def _list_part(parts: Element, name: str, instrument: str, pitches: list[int]) -> None:
    listed = SubElement(parts, "score-part", id=name)
    _text(listed, "part-name", instrument)
    if instrument != "drums":
        _text(SubElement(listed, "score-instrument", id=f"{name}-I1"), "instrument-name", instrument)
        sound = SubElement(listed, "midi-instrument", id=f"{name}-I1")
        _text(sound, "midi-program", program_of_family(instrument) + 1)
        return
    for key in pitches:
        _text(SubElement(listed, "score-instrument", id=f"{name}-I{key}"), "instrument-name", f"key {key}")
    for key in pitches:
        sound = SubElement(listed, "midi-instrument", id=f"{name}-I{key}")
        _text(sound, "midi-channel", 10)
        _text(sound, "midi-unpitched", key + 1)


def _write_part(
    part: Element,
    instrument: str,
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    pitch: NDArray[np.int64],
    bars: int,
    tempo_bpm: float,
) -> None:
    """Write the bars of one part. Notes go by their position, so that ties never join two of one pitch."""
    cuts = sorted({*start.tolist(), *end.tolist(), *range(0, bars * _BAR + 1, _BAR)})
    begins = np.argsort(start, kind="stable")
    sounding: list[int] = []
    following = 0
    measure = part
    for begin, stop in pairwise(cuts):
        if begin % _BAR == 0:
            measure = SubElement(part, "measure", number=str(begin // _BAR + 1))
            if begin == 0:
                _write_head(measure, instrument, pitch, tempo_bpm)
        sounding = [i for i in sounding if end[i] > begin]
        while following < len(begins) and start[begins[following]] == begin:
            sounding.append(int(begins[following]))
            following += 1
        chord = sorted(sounding, key=lambda i: pitch[i])
        for at, length in _symbols(begin, stop):
            if not chord:
                _write_length(SubElement(measure, "note"), length, rest=True)
            for place, i in enumerate(chord):
                ties = [kind for kind, tied in (("stop", start[i] < at), ("start", end[i] > at + length)) if tied]
                _write_note(measure, part.get("id", ""), int(pitch[i]), length, instrument, place > 0, ties)


def _symbols(begin: int, stop: int) -> Iterator[tuple[int, int]]:
    """Split a span within a bar into lengths that one symbol can write."""
    while begin < stop:
        length = next(length for length in _SYMBOLS if length <= stop - begin)
        yield begin, length
        begin += length


def _write_head(measure: Element, instrument: str, pitch: NDArray[np.int64], tempo_bpm: float) -> None:
    attributes = SubElement(measure, "attributes")
    _text(attributes, "divisions", 4)
    _text(SubElement(attributes, "key"), "fifths", 0)
    time = SubElement(attributes, "time")
    _text(time, "beats", 4)
    _text(time, "beat-type", 4)
    clef = SubElement(attributes, "clef")
    if instrument == "drums":
        _text(clef, "sign", "percussion")
    else:
        low = len(pitch) > 0 and float(np.median(pitch)) < 57
        _text(clef, "sign", "F" if low else "G")
        _text(clef, "line", 4 if low else 2)
    direction = SubElement(measure, "direction", placement="above")
    metronome = SubElement(SubElement(direction, "direction-type"), "metronome")
    _text(metronome, "beat-unit", "quarter")
    _text(metronome, "per-minute", f"{tempo_bpm:.4g}")
    SubElement(direction, "sound", tempo=f"{tempo_bpm:.6g}")


def _write_note(
    measure: Element, part: str, pitch: int, length: int, instrument: str, chord: bool, ties: list[str]
) -> None:
    note = SubElement(measure, "note")
    if chord:
        SubElement(note, "chord")
    head = "normal"
    if instrument == "drums":
        step, octave, head = _DRUM_PLACES.get(pitch, ("B", "4", "normal"))
        place = SubElement(note, "unpitched")
        _text(place, "display-step", step)
        _text(place, "display-octave", octave)
    else:
        place = SubElement(note, "pitch")
        _text(place, "step", _STEPS[pitch % 12])
        if alter := _ALTERS[pitch % 12]:
            _text(place, "alter", alter)
        _text(place, "octave", max(pitch // 12 - 1, 0))  # the format ends at 16 Hz
    _write_length(note, length, ties=ties, sound=f"{part}-I{pitch if instrument == 'drums' else 1}", head=head)


def _write_length(
    note: Element,
    length: int,
    *,
    rest: bool = False,
    ties: list[str] | None = None,
    sound: str = "",
    head: str = "normal",
) -> None:
    """Write what a note and a rest have in common, in the order that the format prescribes."""
    if rest:
        SubElement(note, "rest")
    _text(note, "duration", length)
    for kind in ties or ():
        SubElement(note, "tie", type=kind)
    if sound:
        SubElement(note, "instrument", id=sound)
    _text(note, "voice", 1)
    name, dots = _SYMBOLS[length]
    _text(note, "type", name)
    for _ in range(dots):
        SubElement(note, "dot")
    if head != "normal":
        _text(note, "notehead", head)
    if ties:
        notations = SubElement(note, "notations")
        for kind in ties:
            SubElement(notations, "tied", type=kind)


def _text(parent: Element, tag: str, value: object) -> None:
    # Characters that XML cannot hold may stand in a file's name.
    SubElement(parent, tag).text = "".join(c if c.isprintable() else "?" for c in str(value))
