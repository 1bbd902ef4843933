"""Who plays what: piano alone, one instrument alone, or an ensemble with drums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ottava.corpora.rendered.performance import DRUMS, Performance

__all__ = ["PROGRAMS", "arrange_ensemble", "draw_kit", "draw_program", "into_range", "split_by_register"]

PROGRAMS: dict[str, tuple[int, ...]] = {
    "keys": (0, 0, 0, 1, 1, 2, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12, 13, 19, 19, 20, 21, 23),
    "plucked": (24, 24, 24, 25, 25, 25, 26, 26, 27, 27, 28, 29, 30, 46, 46, 104, 105, 106, 107),
    "bass": (32, 32, 33, 33, 34, 34, 35, 36, 37, 38, 39),
    "bowed": (40, 40, 41, 42, 42, 43, 44, 45, 48, 48, 49, 50, 51, 110),
    "winds": (56, 56, 57, 57, 58, 59, 60, 60, 61, 62, 64, 65, 66, 67, 68, 69, 70, 71, 71, 72, 73, 73, 74, 75, 79),
    "voice": (52, 52, 53, 53, 54),
}
"""General MIDI programs of each family; a repeated one is drawn more often.

Left out: tubular bells (14), which have no partial at the pitch that is written, and the organs 16 to 18, whose stops
sound an octave lower in most SoundFonts.
"""

_RANGES = {"bass": (26, 60), "voice": (40, 86), "bowed": (28, 103), "winds": (28, 98), "plucked": (36, 93)}
_KITS = (0, 0, 0, 0, 8, 16, 24, 25, 32, 40)


def draw_program(family: str, rng: np.random.Generator) -> int:
    """Draw a General MIDI program of a family."""
    return int(rng.choice(PROGRAMS[family]))


def draw_kit(rng: np.random.Generator) -> int:
    """Draw a drum kit, as a program of :class:`Performance`."""
    return DRUMS - int(rng.choice(_KITS))


def into_range(part: Performance, family: str) -> Performance:
    """Move a part by octaves so that it lies where the family plays, and drop what still sticks out."""
    if family not in _RANGES or not len(part):
        return part
    low, high = _RANGES[family]
    shift = 12 * round(((low + high) / 2 - float(np.median(part.pitch_midi))) / 12)
    inside_already = low <= np.quantile(part.pitch_midi, 0.1) and np.quantile(part.pitch_midi, 0.9) <= high
    pitch = part.pitch_midi + (0 if inside_already else shift)
    keep = (pitch >= low) & (pitch <= high)
    return Performance(part.start_s[keep], part.end_s[keep], pitch[keep], part.velocity[keep], part.program)


def split_by_register(part: Performance) -> tuple[Performance, Performance, Performance]:
    """Split a part into its lowest line, what lies between, and its highest line."""
    stroke = np.unique(np.round(part.start_s / 0.05), return_inverse=True)[1]
    low, high = np.full(stroke.max() + 1, 200), np.zeros(stroke.max() + 1, int)
    np.minimum.at(low, stroke, part.pitch_midi)
    np.maximum.at(high, stroke, part.pitch_midi)
    is_low = (part.pitch_midi == low[stroke]) & (part.pitch_midi < 60)
    is_high = (part.pitch_midi == high[stroke]) & ~is_low & (part.pitch_midi >= 55)
    pick = [is_low, ~is_low & ~is_high, is_high]
    low_line, middle, high_line = (
        replace(
            part,
            start_s=part.start_s[m],
            end_s=part.end_s[m],
            pitch_midi=part.pitch_midi[m],
            velocity=part.velocity[m],
        )
        for m in pick
    )
    return low_line, middle, high_line


def _family(rng: np.random.Generator, shares: dict[str, float]) -> str:
    names = list(shares)
    weights = np.array([shares[n] for n in names])
    return str(rng.choice(names, p=weights / weights.sum()))


def arrange_ensemble(
    parts: list[Performance], drums: Performance | None, rng: np.random.Generator
) -> list[tuple[str, Performance]]:
    """Give each part an instrument.

    Parameters
    ----------
    parts : list of Performance
        Parts of one piece, the accompaniment last.
    drums : Performance or None
        Drum track of the same tempo.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    list of (str, Performance)
        Family (or ``"drums"``) and what it plays, at most eight.
    """
    cast: list[tuple[str, Performance]] = []
    for part in parts[:-1][:4]:
        family = _family(rng, {"voice": 3, "winds": 3, "bowed": 2.5, "plucked": 1.5, "keys": 1})
        cast.append((family, part))
    last = parts[-1]
    if rng.random() < 0.5 and len(last):
        low, middle, high = split_by_register(last)
        cast.append((_family(rng, {"bass": 4, "bowed": 2, "winds": 1.5, "keys": 0.5}), low))
        cast.append((_family(rng, {"keys": 3, "plucked": 3, "bowed": 2.5, "winds": 1, "voice": 1}), middle))
        cast.append((_family(rng, {"winds": 3, "bowed": 2.5, "plucked": 1.5, "keys": 1, "voice": 1}), high))
    else:
        cast.append((_family(rng, {"keys": 5, "plucked": 3, "bowed": 1}), last))
        if rng.random() < 0.5 and len(last):
            cast.append(("bass", split_by_register(last)[0]))
    if len(cast) > 2 and rng.random() < 0.3:
        cast.pop(int(rng.integers(len(cast))))
    done = [
        (family, replace(moved, program=draw_program(family, rng)))
        for family, part in cast
        if len(moved := into_range(part, family))
    ]
    if drums is not None and len(drums):
        done.append(("drums", replace(drums, program=draw_kit(rng))))
    return done
