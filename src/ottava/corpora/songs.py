"""Songs made up by rule, whose form is known: which bar is made of which motif, and how.

A :class:`Song` is a list of motifs and a plan. Every bar is one of the motifs, as it is or varied; so the song that has
another motif in one place can be written down, and compared with what a model makes of the same change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ottava.corpora.tunes import TuneItem
from ottava.symbolic.bars import HOLD, ONSET

__all__ = ["VARIATIONS", "Motif", "Song", "make_song", "make_songs"]

VARIATIONS: tuple[str, ...] = ("exact", "transposed", "sequence", "ornamented")
"""As it is; every pitch moved by the same semitones; by the same degrees of the scale; one long note with a turn."""

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 5, 7, 9, 10))
_FORMS = ("AABA", "AABB", "ABAB", "ABAC", "AABBCC", "ABACA")
_PHRASES = (("a", "b", "a", "c"), ("a", "a", "b", "c"), ("a", "b", "c", "d"), ("a", "b", "a", "b"))


@dataclass(frozen=True)
class Motif:
    """One bar of music in degrees of a scale.

    Parameters
    ----------
    lengths : tuple of int
        Steps of the notes; they fill the bar.
    degrees : tuple of int
        Degree of the scale of each note, 0 is the keynote.
    """

    lengths: tuple[int, ...]
    degrees: tuple[int, ...]


@dataclass(frozen=True)
class Song:
    """Motifs, and a plan that says what each bar is.

    Parameters
    ----------
    motifs : tuple of Motif
        The material.
    plan : tuple of (int, str, int)
        Of each bar: which motif, one of :data:`VARIATIONS`, and by how much it is moved.
    keynote : int
        MIDI pitch.
    scale : tuple of int
        Semitones of its seven degrees.
    """

    motifs: tuple[Motif, ...]
    plan: tuple[tuple[int, str, int], ...]
    keynote: int
    scale: tuple[int, ...]

    def symbols(self) -> NDArray[np.int16]:
        """Write the song as symbols, shape (bars, steps)."""
        return np.stack([self._bar(*entry) for entry in self.plan])

    def replace_motif(self, which: int, motif: Motif) -> Song:
        """Return the same song with another motif in one place."""
        return replace(self, motifs=(*self.motifs[:which], motif, *self.motifs[which + 1 :]))

    def _bar(self, which: int, variation: str, amount: int) -> NDArray[np.int16]:
        motif = self.motifs[which]
        lengths, degrees = list(motif.lengths), list(motif.degrees)
        if variation == "sequence":
            degrees = [degree + amount for degree in degrees]
        if variation == "ornamented":
            longest = int(np.argmax(lengths))
            half = lengths[longest] // 2
            if half:
                lengths[longest : longest + 1] = [lengths[longest] - half, half]
                degrees.insert(longest + 1, degrees[longest] + amount)
        pitches = [self.keynote + 12 * (d // 7) + self.scale[d % 7] for d in degrees]
        if variation == "transposed":
            pitches = [pitch + amount for pitch in pitches]
        bar = np.full(sum(lengths), HOLD, np.int16)
        bar[np.cumsum([0, *lengths[:-1]])] = np.array(pitches) + ONSET
        return bar


def make_motif(steps: int, rng: np.random.Generator) -> Motif:
    """Make up a bar: three notes or more, mostly by step."""
    lengths: list[int] = []
    while len(lengths) < 3:
        lengths, left = [], steps
        while left:
            choices = [length for length in (1, 2, 2, 2, 4, 4, 6, 8) if length <= left and (left - length) % 2 == 0]
            lengths.append(int(rng.choice(choices or [left])))
            left -= lengths[-1]
    degrees = [int(rng.integers(-2, 6))]
    for _ in lengths[1:]:
        degrees.append(int(np.clip(degrees[-1] + rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, 4]), -4, 9)))
    return Motif(tuple(lengths), tuple(degrees))


def make_song(rng: np.random.Generator, steps: int = 16) -> Song:
    """Make up a song of sections of four bars, in which some bars are varied when they come again.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws everything.
    steps : int
        Steps to the bar, even and at least 6.
    """
    motifs: list[Motif] = []
    sections: dict[str, list[int]] = {}
    plan: list[tuple[int, str, int]] = []
    for section in str(rng.choice(_FORMS)):
        if section not in sections:
            letters: dict[str, int] = {}
            for letter in _PHRASES[int(rng.integers(len(_PHRASES)))]:
                if letter not in letters:
                    letters[letter] = len(motifs)
                    while True:
                        motif = make_motif(steps, rng)
                        if motif not in motifs:
                            break
                    motifs.append(motif)
                sections.setdefault(section, []).append(letters[letter])
        for which in sections[section]:
            heard = any(entry[0] == which for entry in plan)
            if heard and rng.random() < 0.4:
                variation = str(rng.choice(VARIATIONS[1:]))
                moves = {"transposed": (-5, -2, 2, 3, 5), "sequence": (-2, -1, 1, 2), "ornamented": (-1, 1)}[variation]
                plan.append((which, variation, int(rng.choice(moves))))
            else:
                plan.append((which, "exact", 0))
    return Song(tuple(motifs), tuple(plan), int(rng.integers(55, 70)), _SCALES[int(rng.integers(len(_SCALES)))])


def make_songs(count: int, seed: int = 0) -> list[TuneItem]:
    """Make up songs in 4/4, 3/4 and 2/4, as items; the same seed makes the same."""
    items = []
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        beats = int(rng.choice([4, 4, 3, 2]))
        items.append(TuneItem(f"made/{seed}.{i}", f"made-{seed}-{i}", (beats, 4), make_song(rng, 4 * beats).symbols()))
    return items
