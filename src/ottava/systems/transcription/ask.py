"""Asking why a note was found."""

from __future__ import annotations

from typing import Any

import numpy as np

from ottava.io.audio import load_audio
from ottava.results import DRUM_CLASSES, Notes
from ottava.runtime.questions import Axis, Question, pick_item
from ottava.symbolic.instruments import key_of_drum_class
from ottava.systems.transcription.run import Transcriber

__all__ = ["ask"]

_AROUND = 16
"""Frames on either side of an onset that are looked at, 0.4 s."""
_PARTS = (1, 17, 36)
"""In how many parts windows, time and pitch are cut: 48 ms by 2.7 semitones, all windows together."""
_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")


def ask(model: Transcriber, source: Any, item: int | None = None) -> Question:
    """Return the question why a note was found.

    Parameters
    ----------
    model : Transcriber
        The model.
    source : path-like, file object, or (samples, rate_hz)
        See :func:`.run.transcribe`.
    item : int or None
        Number of the note, from 1 on, in the order of the result; the surest one when not given.

    Raises
    ------
    ottava.errors.InputError, ottava.errors.UsageError
        If the source cannot be read, or has no such note.
    """
    audio = load_audio(source, rate_hz=model.extractor.rate_hz)
    notes = model((audio.samples, audio.rate_hz)).payloads["notes"]
    assert isinstance(notes, Notes)
    at = pick_item(item, len(notes), int(notes.confidence.argmax()) if len(notes) else 0, "note")
    pick_item(at + 1, len(notes), at, "note")
    start_s, pitch, instrument = notes.start_s[at], int(notes.pitch_midi[at]), str(notes.instrument[at])
    drum = instrument == "drums"
    output = "drum_onset" if drum else "onset"
    if drum:
        unit = [key_of_drum_class(name) for name in DRUM_CLASSES].index(pitch)
        name = DRUM_CLASSES[unit]
    else:
        unit = pitch - model.extractor.low_midi
        name = f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"
    features = model.features(audio.samples)
    frame = min(round(start_s / model.extractor.frame_s), features.shape[1] - 1)
    first = max(0, frame - _AROUND)
    window = features[:, first : frame + _AROUND + 1]
    axes = (
        Axis("window"),
        Axis("time_s", (first - 0.5) * model.extractor.frame_s, model.extractor.frame_s),
        Axis(
            "pitch_midi",
            model.extractor.low_midi - 0.5 / model.extractor.bins_per_semitone,
            1 / model.extractor.bins_per_semitone,
        ),
    )
    return Question(
        text=f"note {at + 1}: {name} ({instrument}) at {start_s:.2f} s",
        inputs={"features": np.ascontiguousarray(window[None])},
        output=output,
        index=(frame - first, unit),
        axes={"features": axes},
        parts={"features": _PARTS},
        found={
            "note": at + 1,
            "start_s": float(start_s),
            "pitch_midi": pitch,
            "instrument": instrument,
            "confidence": float(notes.confidence[at]),
        },
    )
