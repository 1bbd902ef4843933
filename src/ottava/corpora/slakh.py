"""Slakh2100-redux: 1,710 pieces of the Lakh MIDI collection played by sampled instruments.

``slakh2100_flac_redux/{train,validation,test,omitted}/TrackNNNNN/`` holds ``mix.flac``, ``metadata.yaml``,
``stems/SNN.flac`` and ``MIDI/SNN.mid``. *Redux* moved duplicates to ``omitted``, which is left out here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ottava.corpora.corpus import Corpus, Item, read_text
from ottava.errors import InputError, MissingError
from ottava.results import Notes

__all__ = ["Slakh"]


class Slakh(Corpus):
    """Slakh2100-redux: mixes, with notes from the MIDI of every stem that was rendered.

    Instruments come from the metadata, not from ``all_src.mid``. Stems of no family, sound effects say, are
    heard in the mix but have no truth.
    """

    name = "slakh"
    title = "Slakh2100-redux"
    version = "2100-redux"
    url = "https://zenodo.org/records/4599666"
    licence = "CC BY 4.0"
    citation = (
        "Manilow, Wichern, Seetharaman, Le Roux: Cutting Music Source Separation Some Slakh: A Dataset to "
        "Study the Impact of Training Data Quality and Quantity. WASPAA 2019."
    )
    weights_may_ship = True
    archives: ClassVar[Mapping[str, str]] = {"slakh2100_flac_redux.tar.gz": "md5:f4b71b6c45ac9b506f59788456b3f0c4"}
    mirdata_index = "slakh_index_2100-redux.json"
    marks = ("train", "test", "t*/Track*")

    def _list(self) -> Iterator[Item]:
        for split in self.splits:
            for folder in sorted((self.root / split).glob("Track*")):
                about, mix = folder / "metadata.yaml", folder / "mix.flac"
                read = partial(_read_stems, folder)
                yield self._item(folder.name, split, folder / "MIDI", read, audio=mix, files=(about,))

    def files(self, item: Item) -> tuple[Path, ...]:
        """Return mix, metadata and the MIDI files that the truth is made of.

        Raises
        ------
        ottava.errors.InputError
            If the metadata is missing or damaged.
        """
        return (*item.files, *(path for path, _ in _stems(item.truth_path.parent)))


def _stems(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield MIDI file and instrument of the rendered stems of a track."""
    from ottava.symbolic.instruments import family_of_program

    try:
        import yaml
    except ImportError as error:
        raise MissingError("reading Slakh needs PyYAML", expected="pip install 'ottava[train]'") from error
    path = folder / "metadata.yaml"
    try:
        stems: dict[str, dict[str, Any]] = yaml.safe_load(read_text(path))["stems"]
        for name, about in sorted(stems.items()):
            if about["audio_rendered"] and about["midi_saved"]:
                instrument = "drums" if about["is_drum"] else family_of_program(int(about["program_num"]))
                if instrument is not None:
                    yield folder / "MIDI" / f"{name}.mid", instrument
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError("damaged", path=path, found=f"{type(error).__name__}: {error}") from error


def _read_stems(folder: Path) -> Notes:
    from ottava.io.midi import read_midi

    columns: list[list[Any]] = [[] for _ in Notes._dtypes]
    for path, instrument in _stems(folder):
        notes = read_midi(path)
        row = (notes.start_s, notes.end_s, notes.pitch_midi, notes.velocity, notes.confidence)
        for column, values in zip(columns, (*row, np.full(len(notes), instrument)), strict=True):
            column.append(values)
    if not columns[0]:
        return Notes.empty()
    return Notes(*(np.concatenate(column) for column in columns)).sorted()
