"""The rendered corpus: scores played by made-up musicians on many instruments in made-up rooms.

MIDI or MusicXML → humanised performance (tempo, timing, velocity, articulation, pedal) → random orchestration →
SoundFonts, patches, samples or random models, timbres varied part by part → room, equaliser, noise, gain, codec →
features and notes.

A corpus is a folder of shards, one ``.npz`` an item:

``features``
    uint8, shape (channels, frames, bins): levels of :class:`ottava.signal.logfreq.LogFrequency` times 255.
``notes``
    float32, shape (n, 5): start_s, end_s, pitch_midi, velocity, instrument (place in
    :data:`ottava.results.FAMILIES`; 6 for drums, whose pitch is the General MIDI percussion key).
``about``
    JSON text: piece, split, kind, sources of sound, seed, version.

In a corpus of stems, parts lie apart (:mod:`ottava.corpora.rendered.stems`): ``features`` has shape (stems, channels,
frames, bins), ``part`` (stems,) tells which stems are takes of the same part, and ``counts`` (stems,) how many of the
rows of ``notes`` are each one's.

Item ``i`` of seed ``s`` is the same for ever: each draws from its own generator, and an interrupted run goes on where
it stopped. A note ends when its key is released, whether or not the pedal holds the sound on. Pieces, not items, are
split into train, validation and test.
"""

from ottava.corpora.rendered.make import DEFAULT_KINDS, Recipe, make_item, make_rendered
from ottava.corpora.rendered.shards import load_about, load_item
from ottava.corpora.rendered.stems import Stems, load_stems

__all__ = [
    "DEFAULT_KINDS",
    "Recipe",
    "Stems",
    "load_about",
    "load_item",
    "load_stems",
    "make_item",
    "make_rendered",
]
