"""MAESTRO v3: 199 hours of piano competition recordings with the keyboard's own MIDI.

``maestro-v3.0.0/`` holds ``maestro-v3.0.0.csv`` and a folder a year. The split keeps each composition on one
side. The distribution comes with and without audio (``maestro-v3.0.0-midi.zip``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

from ottava.corpora.corpus import Corpus, Item, read_table

__all__ = ["Maestro"]


class Maestro(Corpus):
    """MAESTRO v3.0.0. Truth holds notes as long as the sustain pedal does, as published results have it."""

    name = "maestro"
    title = "MAESTRO v3.0.0"
    version = "3.0.0"
    url = "https://magenta.tensorflow.org/datasets/maestro"
    licence = "CC BY-NC-SA 4.0"
    citation = (
        "Hawthorne, Stasyuk, Roberts, Simon, Huang, Dieleman, Elsen, Engel, Eck: Enabling Factorized Piano "
        "Music Modeling and Generation with the MAESTRO Dataset. ICLR 2019."
    )
    archives: ClassVar[Mapping[str, str]] = {
        "maestro-v3.0.0.zip": "sha256:6680fea5be2339ea15091a249fbd70e49551246ddbd5ca50f1b2352c08c95291",
        "maestro-v3.0.0-midi.zip": "sha256:70470ee253295c8d2c71e6d9d4a815189e35c89624b76d22fce5a019d5dde12c",
    }
    marks = ("maestro-v3.0.0.csv",)

    def _list(self) -> Iterator[Item]:
        from ottava.io.midi import read_midi

        columns = ("canonical_composer", "canonical_title", "split", "midi_filename", "audio_filename")
        with_audio = any(self.root.glob("*/*.wav"))
        for row in read_table(self.root / self.marks[0], columns):
            midi = self.root / row["midi_filename"]
            yield self._item(
                midi.stem,
                row["split"],
                midi,
                partial(read_midi, midi, pedal=True),
                piece=f"{row['canonical_composer']}: {row['canonical_title']}",
                audio=self.root / row["audio_filename"] if with_audio else None,
            )
