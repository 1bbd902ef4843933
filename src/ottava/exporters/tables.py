"""The formats that hold a result's columns as they are: MIDI, CSV, JSON, NumPy."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, TypeVar

import numpy as np

from ottava.errors import OutputError
from ottava.results import Bars, Curves, FlowMap, Labels, MidiFile, Notes, Payload, Result

__all__ = ["only", "to_csv", "to_json", "to_midi", "to_npz"]

PayloadT = TypeVar("PayloadT", bound=Payload)


def only(result: Result, kind: type[PayloadT]) -> PayloadT:
    """Return the first payload of one type.

    Raises
    ------
    ottava.errors.OutputError
        If the result has none.
    """
    for payload in result.payloads.values():
        if isinstance(payload, kind):
            return payload
    raise OutputError(
        f"this result has no {kind.__name__.lower()} to write",
        found=", ".join(result.payloads) or "no payloads",
        expected="a result made with curves=True" if kind is Curves else None,
    )


def to_midi(result: Result) -> bytes:
    """Return the MIDI file that the result holds, or else one of its notes. See :func:`ottava.io.midi.write_midi`."""
    from ottava.io.midi import write_midi

    for payload in result.payloads.values():
        if isinstance(payload, MidiFile):
            return payload.data.tobytes()
    return write_midi(only(result, Notes))


def to_csv(result: Result) -> bytes:
    """Return bars, units of a flow map, or else notes, as a table in UTF-8, times in seconds to the microsecond."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    flow = next((payload for payload in result.payloads.values() if isinstance(payload, FlowMap)), None)
    if flow is not None:
        rows.writerow(flow._dtypes)
        for row in flow.rows():
            rows.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row.values()])
        return text.getvalue().encode()
    bars = next((payload for payload in result.payloads.values() if isinstance(payload, Bars)), None)
    if bars is not None:
        labels = result.payloads.get("form")
        words = labels.label.tolist() if isinstance(labels, Labels) else [""] * len(bars)
        rows.writerow(["bar", "label", *bars._dtypes])
        for number, (word, row) in enumerate(zip(words, bars.rows(), strict=True), start=1):
            numbers = {
                k: f"{v:.6f}" if k.endswith("_s") else f"{v:.4f}" for k, v in row.items() if isinstance(v, float)
            }
            rows.writerow([number, word, *(row | numbers).values()])
        return text.getvalue().encode()
    rows.writerow(["start_s", "end_s", "pitch_midi", "velocity", "confidence", "instrument"])
    for row in only(result, Notes).rows():
        start, end, pitch, velocity, confidence, instrument = row.values()
        rows.writerow([f"{start:.6f}", f"{end:.6f}", pitch, velocity, f"{confidence:.4f}", instrument])
    return text.getvalue().encode()


def to_json(result: Result) -> bytes:
    """Return the whole result as JSON in UTF-8, one line."""
    try:
        text = json.dumps(result.to_dict(), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise OutputError("this result holds what JSON cannot say", found=str(error)) from error
    # A path that is not valid Unicode has surrogates in it, which UTF-8 has no bytes for.
    return text.encode("utf-8", errors="backslashreplace") + b"\n"


def to_npz(result: Result) -> bytes:
    """Return curves as a NumPy archive, ``times_s`` and one array for each; or of a flow map an array for each layer's
    units, as they lie, and one for the links between two layers, ``"FIRST -> SECOND"``.
    """
    data = io.BytesIO()
    flow = next((payload for payload in result.payloads.values() if isinstance(payload, FlowMap)), None)
    if flow is not None:
        arrays: dict[str, Any] = {layer: flow.attribution_of(layer) for layer in flow.layers}
        arrays |= {f"{source} -> {reader}": nats for (source, reader), nats in flow.edges.items()}
        np.savez_compressed(data, **{name.replace("/", "."): values for name, values in arrays.items()})  # type: ignore[arg-type]
        return data.getvalue()
    curves = only(result, Curves)
    np.savez_compressed(data, times_s=curves.times_s, **curves.values)  # type: ignore[arg-type]
    return data.getvalue()
