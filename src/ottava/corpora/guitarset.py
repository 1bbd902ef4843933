"""GuitarSet: 360 half-minute excerpts of acoustic guitar, six players, notes from a pickup on every string.

``annotation/ID.jams`` and ``audio_mono-mic/ID_mic.wav`` (or ``audio_mono-pickup_mix/ID_mix.wav``), one folder
for each archive. The ID says player, style and progression, tempo, key, and comping or solo:
``00_BN1-129-Eb_comp``. The set has no official split. All players play the same lead sheets, so the split is
by progression, as in MT3: the third one of each style is for testing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from ottava.corpora.corpus import Corpus, Item, notes_from, read_text
from ottava.errors import InputError
from ottava.results import Notes

__all__ = ["GuitarSet"]


class GuitarSet(Corpus):
    """GuitarSet 1.1.0: the microphone's recordings if they are there, else the pickup's mix."""

    name = "guitarset"
    title = "GuitarSet"
    version = "1.1.0"
    url = "https://zenodo.org/records/3371780"
    licence = "CC BY 4.0"
    citation = "Xi, Bittner, Pauwels, Ye, Bello: GuitarSet: A Dataset for Guitar Transcription. ISMIR 2018."
    splits = ("train", "test")
    official_split = False
    weights_may_ship = True
    velocities = False
    archives: ClassVar[Mapping[str, str]] = {
        "annotation.zip": "md5:b39b78e63d3446f2e54ddb7a54df9b10",
        "audio_mono-mic.zip": "md5:275966d6610ac34999b58426beb119c3",
        "audio_mono-pickup_mix.zip": "md5:aecce79f425a44e2055e46f680e10f6a",
    }
    mirdata_index = "guitarset_index_1.1.0.json"
    marks = ("annotation",)

    def _list(self) -> Iterator[Item]:
        microphone = self.root / "audio_mono-mic"
        folder, ending = (microphone, "mic") if microphone.is_dir() else (self.root / "audio_mono-pickup_mix", "mix")
        names = {path.stem for path in (self.root / "annotation").glob("*.jams")}
        names |= {path.stem.removesuffix(f"_{ending}") for path in folder.glob(f"*_{ending}.wav")}
        for name in sorted(names):
            piece = name.partition("_")[2].partition("-")[0]
            split = "test" if piece.endswith("3") else "train"
            path, audio = self.root / "annotation" / f"{name}.jams", folder / f"{name}_{ending}.wav"
            yield self._item(name, split, path, partial(_read_jams, path), piece=piece, audio=audio)


def _read_jams(path: Path) -> Notes:
    try:
        annotations = json.loads(read_text(path))["annotations"]
        strings = [part["data"] for part in annotations if part["namespace"] == "note_midi"]
        rows = [(note["time"], note["time"] + note["duration"], note["value"]) for data in strings for note in data]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError("damaged", path=path, found=f"{type(error).__name__}: {error}", expected="JAMS") from error
    if not strings:
        raise InputError("damaged", path=path, found="no note_midi annotation", expected="one for each string")
    start_s, end_s, pitch = zip(*rows, strict=True) if rows else ((), (), ())
    return notes_from(path, start_s, end_s, pitch, "plucked")
