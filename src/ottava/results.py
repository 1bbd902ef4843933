"""The vocabulary of results: one envelope and a closed set of payload types.

Every verb returns a :class:`Result`: a frozen envelope that says what was listened to, by which model and with
which settings, around named payloads. A payload is a columnar record of read-only NumPy arrays with units in
the column names, validated when it is made. Truth in :mod:`ottava.corpora` uses the same payloads, so a metric
compares like with like. Empty is valid everywhere: silence has no notes.

The module is long because the set is closed: whoever asks what a result can hold finds all of it here.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ottava.errors import InputError, UsageError

__all__ = [
    "DRUM_CLASSES", "FAMILIES", "RELATIONS", "SCHEMA",
    "Bars", "Curves", "FlowMap", "Labels", "MidiFile", "Notes", "Payload", "Result",
]  # fmt: skip

SCHEMA = 1
"""Number of the JSON layout written by ``to_dict``. It grows when a reader of the old layout would fail."""

FAMILIES: tuple[str, ...] = ("keys", "plucked", "bass", "bowed", "winds", "voice")
"""Instrument families, in the order of the model's output: keys (piano, organ, mallets), plucked strings,
bass, bowed strings, winds and brass, voice."""

DRUM_CLASSES: tuple[str, ...] = ("kick", "snare", "hi-hat", "toms", "cymbals")
"""Drum classes, in the order of the model's output."""

RELATIONS: tuple[str, ...] = ("", "exact", "transposed", "varied", "contour")
"""How a bar is made of an earlier one: not at all; equal; the same shape higher or lower; most of it equal; the same
rhythm with the same ups and downs."""

_INSTRUMENTS = (*FAMILIES, "drums")


def _column(name: str, values: ArrayLike, dtype: Any, length: int | None) -> NDArray[Any]:
    array = np.array(values, dtype=dtype)  # always a copy: results never share memory with the caller
    if array.ndim != 1:
        raise InputError(f"column {name} has {array.ndim} dimensions", expected="1")
    if length is not None and len(array) != length:
        raise InputError(
            "columns differ in length", found=f"{len(array)} in {name}", expected=f"{length} as in the first"
        )
    array.flags.writeable = False
    return array


class Payload:
    """Base of the payload types: columns of equal length, slicing, equality, and a way to plain data and back.

    A subclass is a frozen dataclass whose fields are its columns, and lists their dtypes in ``_dtypes``.
    """

    _dtypes: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        length: int | None = None
        for name, dtype in self._dtypes.items():
            column = _column(name, getattr(self, name), dtype, length)
            length = len(column)
            object.__setattr__(self, name, column)
        self._validate()

    def _validate(self) -> None:
        """Check ranges. Called once, when the record is made."""

    def __len__(self) -> int:
        return len(getattr(self, next(iter(self._dtypes))))

    def __getitem__(self, index: slice | NDArray[Any] | list[int]) -> Self:
        """Return the rows picked by a slice, a mask or a list of positions, as a record of the same type."""
        if isinstance(index, (int, np.integer)):
            index = [int(index)]
        return type(self)(**{name: getattr(self, name)[index] for name in self._dtypes})

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self._dtypes)

    __hash__ = None  # type: ignore[assignment]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one plain dictionary for each row."""
        columns = {name: getattr(self, name).tolist() for name in self._dtypes}
        for i in range(len(self)):
            yield {name: values[i] for name, values in columns.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON: the type's name and one list for each column."""
        return {"type": type(self).__name__} | {n: getattr(self, n).tolist() for n in self._dtypes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make the record that ``to_dict`` described.

        Raises
        ------
        ottava.errors.InputError
            If columns are missing, unknown, or of unequal length.
        """
        given = {k: v for k, v in data.items() if k != "type"}
        if data.get("type", cls.__name__) != cls.__name__ or set(given) != set(cls._dtypes):
            raise InputError(
                f"this is no {cls.__name__} record",
                found=f"type {data.get('type')!r} with {', '.join(sorted(given)) or 'no columns'}",
                expected=", ".join(cls._dtypes),
            )
        return cls(**given)


@dataclass(frozen=True, eq=False, repr=False)
class Notes(Payload):
    """Notes of one or several instruments.

    Parameters
    ----------
    start_s, end_s : array_like of float, shape (n,)
        Begin and end in seconds, ``0 <= start_s < end_s``. Drum hits have a nominal length.
    pitch_midi : array_like of int, shape (n,)
        MIDI pitch, 0-127. For drums, the General MIDI percussion key (36 kick, 38 snare, ...).
    velocity : array_like of int, shape (n,)
        MIDI velocity, 1-127.
    confidence : array_like of float, shape (n,)
        From 0 to 1. Truth has confidence 1.
    instrument : array_like of str, shape (n,)
        One of :data:`FAMILIES` or ``"drums"``.
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    pitch_midi: NDArray[np.int16]
    velocity: NDArray[np.int16]
    confidence: NDArray[np.float32]
    instrument: NDArray[np.str_]

    _dtypes: ClassVar[Mapping[str, Any]] = {
        "start_s": np.float64,
        "end_s": np.float64,
        "pitch_midi": np.int16,
        "velocity": np.int16,
        "confidence": np.float32,
        "instrument": "U8",
    }

    if TYPE_CHECKING:  # attributes are arrays, arguments may be anything that becomes one

        def __init__(
            self,
            start_s: ArrayLike,
            end_s: ArrayLike,
            pitch_midi: ArrayLike,
            velocity: ArrayLike,
            confidence: ArrayLike,
            instrument: ArrayLike,
        ) -> None: ...

    @classmethod
    def empty(cls) -> Notes:
        """Return a record of no notes."""
        return cls([], [], [], [], [], [])

    def _validate(self) -> None:
        for name in ("start_s", "end_s", "confidence"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name} must be finite")
        if (self.start_s < 0).any() or (self.end_s <= self.start_s).any():
            raise InputError("times out of order", expected="0 <= start_s < end_s for every note")
        for name, low, high in (("pitch_midi", 0, 127), ("velocity", 1, 127), ("confidence", 0, 1)):
            column = getattr(self, name)
            if len(column) and (column.min() < low or column.max() > high):
                raise InputError(
                    f"{name} out of range",
                    found=f"{column.min()} to {column.max()}",
                    expected=f"{low} to {high}",
                )
        unknown = set(self.instrument.tolist()) - set(_INSTRUMENTS)
        if unknown:
            raise InputError("unknown instrument", found=", ".join(sorted(unknown)), expected=", ".join(_INSTRUMENTS))

    def sorted(self) -> Notes:
        """Return the notes in order of start, pitch, then instrument."""
        return self[np.lexsort((self.instrument, self.pitch_midi, self.start_s))]

    def instruments(self) -> tuple[str, ...]:
        """Return the instruments that occur, in the house's order."""
        present = set(self.instrument.tolist())
        return tuple(name for name in _INSTRUMENTS if name in present)

    def of(self, instrument: str) -> Notes:
        """Return the notes of one instrument."""
        return self[self.instrument == instrument]

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {int((self.instrument == name).sum())}" for name in self.instruments())
        end = f", {self.end_s.max():.1f} s" if len(self) else ""
        return f"Notes({len(self)}{': ' + parts if parts else ''}{end})"


@dataclass(frozen=True, eq=False, repr=False)
class Curves(Payload):
    """Raw posteriors on a regular clock, returned on request.

    Parameters
    ----------
    times_s : array_like of float, shape (t,)
        Time of each frame's centre in seconds, increasing.
    values : dict of str to array_like
        Named arrays whose first axis is time, length t.
    """

    times_s: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float32]]

    _dtypes: ClassVar[Mapping[str, Any]] = {"times_s": np.float64}

    def _validate(self) -> None:
        if (np.diff(self.times_s) <= 0).any():
            raise InputError("times_s must increase")
        checked = {}
        for name, values in self.values.items():
            array = np.array(values, dtype=np.float32)
            if array.ndim < 1 or len(array) != len(self):
                raise InputError(f"curve {name} has shape {array.shape}", expected=f"first axis of length {len(self)}")
            array.flags.writeable = False
            checked[name] = array
        object.__setattr__(self, "values", checked)

    def __getitem__(self, index: slice | NDArray[Any] | list[int]) -> Curves:
        return Curves(self.times_s[index], {name: v[index] for name, v in self.values.items()})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Curves):
            return NotImplemented
        return (
            np.array_equal(self.times_s, other.times_s)
            and self.values.keys() == other.values.keys()
            and all(np.array_equal(v, other.values[n]) for n, v in self.values.items())
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        return super().to_dict() | {"values": {name: v.tolist() for name, v in self.values.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Curves:
        """Make the record that ``to_dict`` described."""
        if set(data) - {"type"} != {"times_s", "values"}:
            raise InputError("this is no Curves record", expected="times_s, values")
        return cls(data["times_s"], dict(data["values"]))

    def __repr__(self) -> str:
        return f"Curves({len(self)} frames: {', '.join(self.values)})"


@dataclass(frozen=True, eq=False, repr=False)
class Bars(Payload):
    """Bars of a tune: what each says that is new, and which earlier bar it is made of.

    Parameters
    ----------
    start_s, end_s : array_like of float, shape (n,)
        Begin and end in seconds, in order; an upbeat may begin below 0.
    nats : array_like of float, shape (n,)
        Information that the bar adds to those before it, in nats; 0 or more.
    leans_on : array_like of int, shape (n,)
        Number of the earlier bar that it is made of, from 1 on; 0 if there is none.
    relation : array_like of str, shape (n,)
        One of :data:`RELATIONS`.
    offset : array_like of int, shape (n,)
        Semitones between the first notes of both, for a bar that leans on one.
    confidence : array_like of float, shape (n,)
        How sure the model is of where the bar comes from, or that it comes from none; from 0 to 1.
    refused : array_like of str, shape (n,)
        Why the bar could not be read; empty where it could.
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    nats: NDArray[np.float32]
    leans_on: NDArray[np.int32]
    relation: NDArray[np.str_]
    offset: NDArray[np.int16]
    confidence: NDArray[np.float32]
    refused: NDArray[np.str_]

    _dtypes: ClassVar[Mapping[str, Any]] = {
        "start_s": np.float64,
        "end_s": np.float64,
        "nats": np.float32,
        "leans_on": np.int32,
        "relation": "U10",
        "offset": np.int16,
        "confidence": np.float32,
        "refused": "U80",
    }

    if TYPE_CHECKING:

        def __init__(
            self,
            start_s: ArrayLike,
            end_s: ArrayLike,
            nats: ArrayLike,
            leans_on: ArrayLike,
            relation: ArrayLike,
            offset: ArrayLike,
            confidence: ArrayLike,
            refused: ArrayLike,
        ) -> None: ...

    def _validate(self) -> None:
        for name in ("start_s", "end_s", "nats", "confidence"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name} must be finite")
        if (self.end_s <= self.start_s).any() or (np.diff(self.start_s) <= 0).any():
            raise InputError("bars out of order", expected="start_s < end_s, and each after the one before")
        if (self.nats < 0).any() or (self.confidence < 0).any() or (self.confidence > 1).any():
            raise InputError("nats or confidence out of range", expected="nats of 0 or more, confidence from 0 to 1")
        if (self.leans_on < 0).any() or ((self.leans_on > 0) != (self.relation != "")).any():
            raise InputError("leans_on out of range", expected="a bar's number and its relation, or 0 and none")
        unknown = set(self.relation.tolist()) - set(RELATIONS)
        if unknown:
            raise InputError("unknown relation", found=", ".join(sorted(unknown)), expected=", ".join(RELATIONS))

    def __repr__(self) -> str:
        return f"Bars({len(self)}: {int((self.relation == '').sum())} new, {self.nats.sum():.0f} nats)"


@dataclass(frozen=True, eq=False, repr=False)
class Labels(Payload):
    """One word for each of several things, in their order. Its plain data is a list.

    Parameters
    ----------
    label : array_like of str, shape (n,)
        The words.
    """

    label: NDArray[np.str_]

    _dtypes: ClassVar[Mapping[str, Any]] = {"label": "U16"}

    if TYPE_CHECKING:

        def __init__(self, label: ArrayLike) -> None: ...

    def to_dict(self) -> list[str]:  # type: ignore[override]
        """Return the words as a list."""
        return [str(word) for word in self.label]

    @classmethod
    def from_dict(cls, data: Any) -> Labels:
        """Make the record of a list of words."""
        if not isinstance(data, list) or not all(isinstance(word, str) for word in data):
            raise InputError("these are no labels", found=type(data).__name__, expected="a list of words")
        return cls(data)

    def __repr__(self) -> str:
        return f"Labels({' '.join(self.label[:16].tolist())}{' ...' if len(self) > 16 else ''})"


@dataclass(frozen=True, eq=False, repr=False)
class MidiFile(Payload):
    """A MIDI file as it is to be written, with all that other payloads have no column for.

    Parameters
    ----------
    data : array_like of uint8, shape (n,)
        Its bytes.
    """

    data: NDArray[np.uint8]

    _dtypes: ClassVar[Mapping[str, Any]] = {"data": np.uint8}

    if TYPE_CHECKING:

        def __init__(self, data: ArrayLike) -> None: ...

    def _validate(self) -> None:
        if self.data[:4].tobytes() != b"MThd":
            raise InputError("is no MIDI file", found=repr(self.data[:4].tobytes()), expected="b'MThd'")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the bytes in base 64."""
        return {"type": "MidiFile", "data": base64.b64encode(self.data.tobytes()).decode("ascii")}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MidiFile:
        """Make the record that ``to_dict`` described."""
        try:
            content = base64.b64decode(data["data"], validate=True)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("this is no MidiFile record", found=str(error), expected="data in base 64") from error
        return cls(np.frombuffer(content, np.uint8))

    def __repr__(self) -> str:
        return f"MidiFile({len(self)} bytes)"


@dataclass(frozen=True, eq=False, repr=False)
class FlowMap(Payload):
    """How much the units of a network's layers tell of each other.

    Parameters
    ----------
    layer : array_like of str, shape (n,)
        Name of each unit's layer; units of a layer follow each other, and layers come in the network's order.
    unit : array_like of int, shape (n,)
        Number of the unit in its layer, from 0 on.
    information : array_like of float, shape (n,)
        Share of the information on its way to the outputs that goes through the unit: 0 or more, 1 for a layer through
        which all goes.
    attribution : array_like of float, shape (n,)
        The same with signs, where one thing that a network says is explained: above 0 for what speaks for it, below 0
        for what speaks against it. In a map of all that a network says it is the information.
    edges : dict of (str, str) to array_like, each of shape (units of the first, units of the second)
        Names of a layer and of one that reads it, to the information of their units in nats, 0 or more.
    shapes : dict of str to tuple of int
        How the units of a layer lie, where that is more than one axis: an image's rows and columns.
    axes : dict of str to tuple of (str, float, float)
        What these axes are, where it is known: name, where the first unit begins, and the step from each to the next.
    outputs : tuple of str
        Names of the layers that the network's outputs come from.
    measured : dict of str to str, int, float or None
        How: the estimator, the number of samples, the seed, and other settings.
    """

    layer: NDArray[np.str_]
    unit: NDArray[np.int32]
    information: NDArray[np.float64]
    attribution: NDArray[np.float64]
    edges: Mapping[tuple[str, str], NDArray[np.float32]]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    axes: Mapping[str, tuple[tuple[str, float, float], ...]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    measured: Mapping[str, str | int | float | None] = field(default_factory=dict)

    _dtypes: ClassVar[Mapping[str, Any]] = {
        "layer": "U120",
        "unit": np.int32,
        "information": np.float64,
        "attribution": np.float64,
    }

    if TYPE_CHECKING:

        def __init__(
            self,
            layer: ArrayLike,
            unit: ArrayLike,
            information: ArrayLike,
            attribution: ArrayLike,
            edges: Mapping[tuple[str, str], ArrayLike],
            shapes: Mapping[str, tuple[int, ...]] = ...,
            axes: Mapping[str, tuple[tuple[str, float, float], ...]] = ...,
            outputs: tuple[str, ...] = ...,
            measured: Mapping[str, str | int | float | None] = ...,
        ) -> None: ...

    @property
    def layers(self) -> dict[str, int]:
        """Number of units of each layer, by name, in order."""
        names, counts = np.unique(self.layer, return_counts=True)
        sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
        return {name: sizes[name] for name in dict.fromkeys(self.layer.tolist())}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the layers that read from no other."""
        readers = {reader for _, reader in self.edges}
        return tuple(name for name in self.layers if name not in readers)

    def of(self, layer: str) -> NDArray[np.float64]:
        """Return the information of a layer's units, as they lie."""
        return np.asarray(self.information[self.layer == layer].reshape(self.shapes.get(layer, -1)))

    def attribution_of(self, layer: str) -> NDArray[np.float64]:
        """Return the attribution to a layer's units, as they lie."""
        return np.asarray(self.attribution[self.layer == layer].reshape(self.shapes.get(layer, -1)))

    def _validate(self) -> None:
        sizes = self.layers
        expected = np.concatenate([np.arange(n) for n in sizes.values()]) if sizes else np.zeros(0)
        layers = np.repeat(list(sizes), list(sizes.values()))
        if not np.array_equal(self.unit, expected) or not np.array_equal(layers, self.layer):
            raise InputError("units out of order", expected="layer after layer, each with units from 0 on")
        if not np.isfinite(self.information).all() or (self.information < 0).any():
            raise InputError("information out of range", expected="finite, 0 or more")
        if not np.isfinite(self.attribution).all():
            raise InputError("attribution must be finite")
        checked = {}
        for (source, reader), values in self.edges.items():
            array = np.array(values, dtype=np.float32)
            if array.shape != (sizes.get(source), sizes.get(reader)):
                raise InputError(
                    f"edges from {source} to {reader} have shape {array.shape}",
                    expected=f"({sizes.get(source)}, {sizes.get(reader)})",
                )
            if not np.isfinite(array).all() or (array < 0).any():
                raise InputError(f"edges from {source} to {reader} out of range", expected="finite, 0 or more")
            array.flags.writeable = False
            checked[source, reader] = array
        object.__setattr__(self, "edges", checked)
        shapes = {name: tuple(shape) for name, shape in self.shapes.items()}
        axes = {name: tuple((str(n), float(a), float(b)) for n, a, b in each) for name, each in self.axes.items()}
        object.__setattr__(self, "shapes", shapes)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "outputs", tuple(self.outputs))
        unknown = {*self.outputs, *shapes, *axes} - sizes.keys()
        if unknown:
            raise InputError("unknown layer", found=", ".join(sorted(unknown)), expected=", ".join(sizes))
        for name, shape in shapes.items():
            if prod(shape) != sizes[name] or len(axes.get(name, shape)) != len(shape):
                raise InputError(f"{name} does not lie like this", found=str(shape), expected=f"{sizes[name]} units")

    def __getitem__(self, index: slice | NDArray[Any] | list[int]) -> FlowMap:
        raise UsageError("a flow map cannot be cut", expected="its columns, or its edges by name")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FlowMap):
            return NotImplemented
        return (
            super().__eq__(other)
            and all(getattr(self, k) == getattr(other, k) for k in ("shapes", "axes", "outputs", "measured"))
            and self.edges.keys() == other.edges.keys()
            and all(np.array_equal(values, other.edges[name]) for name, values in self.edges.items())
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON. Of links only those with information are listed."""
        edges = []
        for (source, reader), nats in self.edges.items():
            i, j = nats.nonzero()
            # The shortest decimals that are these numbers again.
            values = [float(str(value)) for value in nats[i, j]]
            edges.append({"from": source, "to": reader, "source": i.tolist(), "reader": j.tolist(), "nats": values})
        more = {
            "edges": edges,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "axes": {name: [list(axis) for axis in each] for name, each in self.axes.items()},
            "outputs": list(self.outputs),
            "measured": dict(self.measured),
        }
        return super().to_dict() | more

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FlowMap:
        """Make the record that ``to_dict`` described."""
        names = {*cls._dtypes, "edges", "shapes", "axes", "outputs", "measured"}
        if set(data) - {"type"} != names:
            raise InputError("this is no FlowMap record", expected=", ".join(sorted(names)))
        sizes = {name: data["layer"].count(name) for name in set(data["layer"])}
        edges = {}
        for edge in data["edges"]:
            nats = np.zeros((sizes.get(edge["from"], 0), sizes.get(edge["to"], 0)), np.float32)
            try:
                nats[edge["source"], edge["reader"]] = edge["nats"]
            except (IndexError, ValueError) as error:
                raise InputError("edges of a FlowMap record do not fit its units", found=str(error)) from error
            edges[edge["from"], edge["to"]] = nats
        columns = {name: data[name] for name in cls._dtypes}
        shapes = {name: tuple(shape) for name, shape in data["shapes"].items()}
        axes = {name: tuple((n, a, b) for n, a, b in each) for name, each in data["axes"].items()}
        outputs, measured = tuple(data["outputs"]), dict(data["measured"])
        return cls(**columns, edges=edges, shapes=shapes, axes=axes, outputs=outputs, measured=measured)

    def __repr__(self) -> str:
        links = sum(values.size for values in self.edges.values())
        return f"FlowMap({len(self)} units in {len(self.layers)} layers, {links} links)"


_PAYLOADS: dict[str, type[Payload]] = {
    "Notes": Notes,
    "Curves": Curves,
    "Bars": Bars,
    "MidiFile": MidiFile,
    "FlowMap": FlowMap,
}


def payload_from_dict(data: Any) -> Payload:
    """Make a payload of the type that ``data`` names; of labels, of their list."""
    if isinstance(data, list):
        return Labels.from_dict(data)
    kind = _PAYLOADS.get(str(data.get("type")))
    if kind is None:
        raise InputError("unknown payload type", found=repr(data.get("type")), expected=", ".join(sorted(_PAYLOADS)))
    return kind.from_dict(data)


@dataclass(frozen=True, repr=False)
class Result:
    """What a verb returns: payloads by name, and where they come from.

    Payloads are attributes: ``result.notes``.

    Parameters
    ----------
    system : str
        Name of the system.
    model : str
        Name of the model and the first 12 digits of the SHA-256 of its weights: ``"transcription@0f3a..."``; where
        parts have weights of their own, all of them, with commas between.
    source : str
        Path or description of the input.
    payloads : dict of str to Payload
        What was found, by name.
    settings : dict
        Values of all options, plain data.
    version : str
        Version of Ottava.
    duration_s : float
        Length of the input in seconds.
    elapsed_s : float
        Time the verb took, in seconds. Left out of comparisons.
    warnings : tuple of str
        What the user should know.
    """

    system: str
    model: str
    source: str
    payloads: Mapping[str, Payload]
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    duration_s: float = 0.0
    elapsed_s: float = field(default=0.0, compare=False)
    warnings: tuple[str, ...] = ()

    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Payload:
        # Only called when no field has that name. `payloads` itself may be missing while unpickling.
        payloads = self.__dict__.get("payloads", {})
        if name in payloads:
            found: Payload = payloads[name]
            return found
        raise AttributeError(f"this result has no {name!r}; it has {', '.join(payloads) or 'no payloads'}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON, with the number of its layout under ``"schema"``."""
        envelope = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "payloads"}
        envelope |= {"settings": dict(self.settings), "warnings": list(self.warnings)}
        return {"schema": SCHEMA} | envelope | {n: p.to_dict() for n, p in self.payloads.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """Make the result that ``to_dict`` described.

        Raises
        ------
        ottava.errors.InputError
            If the layout's number is unknown or fields are missing.
        """
        if data.get("schema") != SCHEMA:
            raise InputError(
                "unknown layout of a result", found=f"schema {data.get('schema')!r}", expected=f"schema {SCHEMA}"
            )
        names = {f.name for f in fields(cls)} - {"payloads"}
        missing = names - data.keys()
        if missing:
            raise InputError("a result lacks fields", found=f"no {', '.join(sorted(missing))}")
        envelope = {name: data[name] for name in names} | {"warnings": tuple(data["warnings"])}
        rest = {k: payload_from_dict(v) for k, v in data.items() if k not in names and k != "schema"}
        return cls(payloads=rest, **envelope)

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write the result in the format that the suffix names.

        Parameters
        ----------
        path : path-like
            ``.mid``, ``.csv``, ``.json``, ``.npz`` (curves), ``.musicxml``, ``.mxl``, or ``.html`` (page).
        force : bool
            Overwrite an existing file.

        Returns
        -------
        pathlib.Path
            The file written.

        Raises
        ------
        ottava.errors.OutputError
            If the file exists and ``force`` is not set, if the suffix is unknown, or if writing fails. Nothing
            half-written stays behind.
        """
        # Writers live upstairs; a result only knows the door, by name, so that this module imports nothing above.
        from importlib import import_module

        room = "ottava.report" if Path(path).suffix.lower() == ".html" else "ottava.exporters"
        written: Path = import_module(room).save(self, path, force=force)
        return written

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={payload!r}" for name, payload in self.payloads.items())
        return f"Result({self.system}, {Path(self.source).name!r}, {parts})"


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``choices``, else raise :class:`ottava.errors.UsageError`."""
    if value not in choices:
        raise UsageError(f"{name} {value!r} is unknown", expected="one of " + ", ".join(choices))
    return value
