"""Notes on a page: a sentence, a piano roll with a drum lane, chips to mute and solo, and a table."""

from __future__ import annotations

from html import escape
from string import Template
from typing import Any

import numpy as np

from ottava.report.section import Section, asset, spoken_time
from ottava.results import DRUM_CLASSES, Notes, Result
from ottava.symbolic.instruments import drum_class_of_key

__all__ = ["section"]

_LABELS = {
    "keys": "Keys",
    "plucked": "Plucked strings",
    "bass": "Bass",
    "bowed": "Bowed strings",
    "winds": "Winds and brass",
    "voice": "Voice",
    "drums": "Drums",
}

_CHIP = Template("""\
<li class="chip" data-instrument="$id">
<button type="button" class="chip-show" aria-pressed="true" title="Show and hear, or mute">\
<span class="swatch"></span>$label <small>$count</small></button>\
<button type="button" class="chip-solo" aria-pressed="false" aria-label="solo $label" title="Only this one">\
solo</button></li>""")


def section(notes: Notes, result: Result) -> Section:
    """Return what a page shows of notes.

    Parameters
    ----------
    notes : Notes
        In any order.
    result : Result
        Where they stand; the length of its source is told.
    """
    notes, duration_s = notes.sorted(), result.duration_s
    instruments = [{"id": name, "label": _LABELS[name], "count": _count(notes, name)} for name in notes.instruments()]
    if not len(notes):
        return Section(f"No notes in {spoken_time(duration_s)} of sound.", asset("notes_empty.html"), _data(notes, []))
    chips = "\n".join(
        _CHIP.substitute({k: escape(str(v)) for k, v in instrument.items()}) for instrument in instruments
    )
    html = Template(asset("notes.html")).substitute(chips=chips, count=len(notes))
    return Section(_sentence(notes, duration_s), html, _data(notes, instruments))


def _sentence(notes: Notes, duration_s: float) -> str:
    drums = _count(notes, "drums")
    pitched = len(notes) - drums
    families = [f"{_count(notes, n):_} {_LABELS[n].lower()}" for n in notes.instruments() if n != "drums"]
    found = []
    if pitched:
        found.append(f"{pitched:_} note{'s' * (pitched != 1)} ({', '.join(families)})")
    if drums:
        found.append(f"{drums:_} drum hit{'s' * (drums != 1)}")
    return f"{' and '.join(found)} in {spoken_time(duration_s)} of sound.".replace("_", "\u202f")


def _count(notes: Notes, instrument: str) -> int:
    return int((notes.instrument == instrument).sum())


def _data(notes: Notes, instruments: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the columns that the script draws, by start; a drum hit has a row of the lane, a note has -1."""
    position = {instrument["id"]: i for i, instrument in enumerate(instruments)}
    rows = [
        _row(key) if name == "drums" else -1
        for key, name in zip(notes.pitch_midi.tolist(), notes.instrument.tolist(), strict=True)
    ]
    return {
        "instruments": instruments,
        "rows": [*DRUM_CLASSES, *(["other"] if len(DRUM_CLASSES) in rows else [])],
        "notes": {
            "start": np.round(notes.start_s, 4).tolist(),
            "end": np.round(notes.end_s, 4).tolist(),
            "pitch": notes.pitch_midi.tolist(),
            "velocity": notes.velocity.tolist(),
            "confidence": np.round(notes.confidence.astype(np.float64), 3).tolist(),
            "instrument": [position[name] for name in notes.instrument.tolist()],
            "row": rows,
        },
    }


def _row(key: int) -> int:
    """Return the row of a percussion key in the drum lane; keys outside the drum classes share the last."""
    name = drum_class_of_key(key)
    return DRUM_CLASSES.index(name) if name in DRUM_CLASSES else len(DRUM_CLASSES)
