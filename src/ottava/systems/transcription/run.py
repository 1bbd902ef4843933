"""The verb ``transcribe``, and the warm model behind it."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ottava import __version__
from ottava.io.audio import Source, stream_audio
from ottava.results import Curves, Notes, Payload, Result
from ottava.runtime.chunks import read_ahead, stream_in_chunks
from ottava.runtime.each import run_each
from ottava.runtime.session import Session
from ottava.runtime.weights import find_weights
from ottava.signal.logfreq import LogFrequency
from ottava.spec import find_spec
from ottava.systems.transcription.decode import Thresholds, decode_stream
from ottava.systems.transcription.families.naming import Naming

__all__ = ["Transcriber", "transcribe"]

CHUNK_FRAMES = 176
"""Frames of each run of either half of the network, about 4 s."""
_DEFAULT = Thresholds()


class Transcriber:
    """The transcription model, loaded once for many files.

    Each stage can be entered on its own: :meth:`features`, :meth:`posteriors`, and
    :func:`ottava.systems.transcription.decode.decode`.

    Parameters
    ----------
    weights : path-like or None
        An exported graph to use in place of the bundled one.
    threads : int or None
        Threads of the network; as many as there are cores, at most 4, when not given.

    Raises
    ------
    ottava.errors.MissingError, ottava.errors.ModelError
        If the weights are missing or not usable.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None, threads: int | None = None) -> None:
        spec = find_spec("transcription")
        self.session = Session(find_weights(spec, weights), spec, threads)
        parameters = json.loads(self.session.metadata["features"])
        self.margins_frames: tuple[int, int] = tuple(parameters.pop("margins_frames"))
        parameters["windows"] = tuple(parameters["windows"])
        self.extractor = LogFrequency(**parameters)

    @cached_property
    def naming(self) -> Naming:
        """The network for families; loaded when it is first needed, as it learns from what the other one finds."""
        return Naming(threads=1)

    @property
    def model(self) -> str:
        """Names of the models of notes and drums, and of families, with the beginnings of their checksums."""
        return f"{self.session.weights.model}, {self.naming.session.weights.model}"

    def features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's input for mono sound at 16 kHz, shape (2, frames, 288)."""
        return self.extractor.features(samples)

    def posteriors(self, source: Source) -> Curves:
        """Return the network's output for a whole file.

        Parameters
        ----------
        source : path-like, file object, or (samples, rate_hz)
            See :func:`ottava.io.audio.load_audio`.

        Returns
        -------
        Curves
            ``onset``, ``frame``, ``offset``, ``velocity`` (t, 88); ``drum_onset``, ``drum_velocity`` (t, 5). About
            60 kB for each second of sound.
        """
        with stream_audio(source, rate_hz=self.extractor.rate_hz) as blocks:
            kept: list[dict[str, NDArray[np.float32]]] = []
            deque(_keep(self.run_network(self.extractor.stream(blocks)), kept), maxlen=0)
        return self._gather(kept)

    def __call__(
        self,
        source: Source,
        *,
        onset_threshold: float = _DEFAULT.onset,
        frame_threshold: float = _DEFAULT.frame,
        offset_threshold: float = _DEFAULT.offset,
        drum_threshold: float = _DEFAULT.drum,
        min_note_s: float = _DEFAULT.min_note_s,
        instruments: Iterable[str] | None = None,
        curves: bool = False,
    ) -> Result:
        """Transcribe one source. Parameters, result and errors are those of :func:`transcribe`."""
        began = time.perf_counter()
        limits = Thresholds(onset_threshold, frame_threshold, offset_threshold, drum_threshold, min_note_s)
        wanted = None if instruments is None else tuple(instruments)
        kept: list[dict[str, NDArray[np.float32]]] = []
        n_samples = 0

        def counted(blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
            nonlocal n_samples
            for block in blocks:
                n_samples += len(block)
                yield block

        with (
            # Short blocks, so that the network soon has something to do.
            stream_audio(source, rate_hz=self.extractor.rate_hz, block_s=4.0) as blocks,
            closing(read_ahead(self.extractor.stream(counted(blocks)))) as features,
            # The next chunk is heard while the notes of one are named.
            closing(read_ahead(self.run_network(features), depth=1)) as chunks,
        ):
            notes = decode_stream(
                _keep(chunks, kept) if curves else chunks,
                frame_s=self.extractor.frame_s,
                thresholds=limits,
                instruments=wanted,
                naming=self.naming,
            )
        duration_s = n_samples / self.extractor.rate_hz
        payloads: dict[str, Payload] = {"notes": _clip(notes, duration_s)}
        if curves:
            payloads["curves"] = self._gather(kept)
        return Result(
            system="transcription",
            model=self.model,
            source=blocks.source,
            payloads=payloads,
            settings={
                "onset_threshold": onset_threshold,
                "frame_threshold": frame_threshold,
                "offset_threshold": offset_threshold,
                "drum_threshold": drum_threshold,
                "min_note_s": min_note_s,
                "instruments": None if wanted is None else list(wanted),
            },
            version=__version__,
            duration_s=duration_s,
            elapsed_s=time.perf_counter() - began,
            warnings=blocks.warnings,
        )

    def run_network(self, features: Iterable[NDArray[np.float32]]) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yield the network's outputs, (t, ...) each, and its features, (t, 2, 288), for consecutive pieces of them.

        Parameters
        ----------
        features : iterable of ndarray, shape (2, frames, 288)
            From :meth:`features`, of any lengths; the pieces that come out have others.
        """
        first, second = self.margins_frames
        heard: deque[NDArray[np.float32]] = deque()

        def embed(features: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            embedding = self.session.run_part({"features": features[None]})["embedding"][0]
            return {"embedding": embedding.transpose(1, 0, 2), "features": features.transpose(1, 0, 2)}

        def embeddings() -> Iterator[NDArray[np.float32]]:
            for chunk in stream_in_chunks(embed, features, chunk_frames=CHUNK_FRAMES, margin_frames=first):
                heard.append(chunk["features"])
                yield chunk["embedding"].transpose(1, 0, 2)

        def find(embedded: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            outputs = self.session.run_part({"embedded": embedded[None]})
            return {name: values[0] for name, values in outputs.items() if name != "embedding"}

        # Both halves are cut at the same frames: what the second finds belongs to the features that wait longest.
        for found in stream_in_chunks(find, embeddings(), chunk_frames=CHUNK_FRAMES, margin_frames=second):
            yield found | {"features": heard.popleft()}

    def _gather(self, chunks: list[dict[str, NDArray[np.float32]]]) -> Curves:
        outputs = find_spec("transcription").outputs.items()
        shapes = {name: [int(size) for size in axes[2:]] for name, axes in outputs if name != "embedding"}
        values = {
            name: np.concatenate([np.zeros((0, *shape), np.float32), *(c[name] for c in chunks)])
            for name, shape in shapes.items()
        }
        times_s = np.arange(len(values["onset"]), dtype=np.float64) * self.extractor.frame_s
        return Curves(times_s, values)


def _keep(
    chunks: Iterable[dict[str, NDArray[np.float32]]], kept: list[dict[str, NDArray[np.float32]]]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    for chunk in chunks:
        kept.append({name: values for name, values in chunk.items() if name != "features"})
        yield chunk


def _clip(notes: Notes, duration_s: float) -> Notes:
    """Cut notes at the end of the sound, which may lie inside the last frame."""
    notes = notes[notes.start_s < duration_s]
    return Notes(
        notes.start_s,
        np.minimum(notes.end_s, duration_s),
        notes.pitch_midi,
        notes.velocity,
        notes.confidence,
        notes.instrument,
    )


def transcribe(
    source: Any,
    *,
    onset_threshold: float = _DEFAULT.onset,
    frame_threshold: float = _DEFAULT.frame,
    offset_threshold: float = _DEFAULT.offset,
    drum_threshold: float = _DEFAULT.drum,
    min_note_s: float = _DEFAULT.min_note_s,
    instruments: Iterable[str] | None = None,
    curves: bool = False,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Any:
    """Turn sound into notes, labelled by instrument family, and drum hits.

    Parameters
    ----------
    source : path-like, file object, (samples, rate_hz), or a list of those
        Sound of any rate and number of channels.
    onset_threshold : float
        Least confidence of a note's beginning, above 0, at most 1. Lower finds more notes, and more wrong ones.
    frame_threshold : float
        Confidence below which a note has ended, above 0, at most 1.
    offset_threshold : float
        Least confidence of a release that ends a note, above 0, at most 1.
    drum_threshold : float
        Least confidence of a drum hit, above 0, at most 1.
    min_note_s : float
        Notes shorter than this are left out, in seconds.
    instruments : iterable of str or None
        The families that play, if known: of keys, plucked, bass, bowed, winds, voice, drums. Each note goes to the
        likeliest of them.
    curves : bool
        Also return the raw posteriors, as ``result.curves``.
    weights : path-like or None
        An exported graph to use in place of the bundled one.
    threads : int or None
        Threads of the network; as many as there are cores, at most 4, when not given.

    Returns
    -------
    Result or iterator of Result
        ``result.notes`` is a :class:`ottava.results.Notes`, empty for silence. For a list, an iterator in its order,
        in which an error stands in the place of a source that could not be used.

    Raises
    ------
    ottava.errors.InputError
        If the source cannot be read.
    ottava.errors.UsageError
        If a threshold is out of range or an instrument unknown.
    ottava.errors.MissingError, ottava.errors.ModelError
        If the weights are missing or not usable.

    See Also
    --------
    ottava.load : Hold the model for many calls.

    Examples
    --------
    >>> result = ottava.transcribe("song.mp3")  # doctest: +SKIP
    >>> result.save("song.mid")  # doctest: +SKIP
    """
    options: dict[str, Any] = {
        "onset_threshold": onset_threshold,
        "frame_threshold": frame_threshold,
        "offset_threshold": offset_threshold,
        "drum_threshold": drum_threshold,
        "min_note_s": min_note_s,
        "instruments": None if instruments is None else tuple(instruments),
        "curves": curves,
    }
    model = Transcriber(weights, threads)
    # A pair of samples and their rate is one source, not a list of two.
    if isinstance(source, list) or (isinstance(source, tuple) and not _is_samples(source)):
        return run_each(model, source, options)
    return model(source, **options)


def _is_samples(source: tuple[Any, ...]) -> bool:
    return len(source) == 2 and isinstance(source[0], np.ndarray)
