"""The flow of information on a page: which parts of the input carried what is explained, and through which units."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import product
from string import Template

import numpy as np
from numpy.typing import NDArray

from ottava.report.section import Section, asset
from ottava.results import FlowMap, Labels, Result

__all__ = ["section"]

_MOST_UNITS, _MOST_LINKS, _MOST_PANELS = 16, 400, 8
_COLUMN, _ROW, _TOP = 118, 24, 44  # in units of the drawing
_COLOURS = 8  # of communities, in the style sheet

_SIGNED = (
    '<span class="key for">For</span> and <span class="key against">against</span>: the share of the information that '
    "goes through each part of the input, by whether what is said rises or falls with it."
)
_PLAIN = "The share of the information on its way to the outputs that goes through each part of the input."

Unit = tuple[str, int]


def section(flow: FlowMap, result: Result) -> Section:
    """Return what a page shows of a flow map.

    Parameters
    ----------
    flow : FlowMap
        Of the result.
    result : Result
        Its settings say what is explained; labels called ``communities``, one for each unit, colour them.
    """
    question = str(result.settings.get("question", ""))
    labels = result.payloads.get("communities")
    groups = labels.label.tolist() if isinstance(labels, Labels) else None
    drawing, links = _draw(flow, groups)
    html = Template(asset("flow.html")).substitute(
        key=_SIGNED if question else _PLAIN,
        colours="Units of one colour belong together." if groups else "",
        what=f"What carried {escape(question)}" if question else "What carries the outputs",
        panels="".join(_panels(flow, layer) for layer in flow.inputs),
        parts="".join(f"<li>{escape(line)}</li>" for line in _strongest(flow)),
        drawing=drawing,
    )
    return Section(_sentence(flow, question), html, {"links": links})


def _sentence(flow: FlowMap, question: str) -> str:
    said = f"Why {question}: " if question else ""
    shares = [(float(flow.of(layer).sum()), layer) for layer in flow.inputs]
    told = sum(share for share, _ in shares)
    from_each = ", ".join(f"{share:.0%} from {layer}" for share, layer in sorted(shares, reverse=True))
    lost = "" if told > 0.995 else f"; {1 - told:.0%} could not be traced"
    return f"{said}{from_each}{lost}. {len(flow)} units in {len(flow.layers)} layers."


def _place(flow: FlowMap, layer: str, index: Sequence[int]) -> str:
    """Return where a part of an input lies, by what its axes are."""
    axes = flow.axes.get(layer)
    if axes is None:
        return f"{layer} [{', '.join(map(str, index))}]"
    sizes = flow.shapes[layer]
    words = []
    for (name, start, step), i, size in zip(axes, index, sizes, strict=True):
        if size == 1:
            continue
        words.append(f"{name.replace('_', ' ')} {_span(start, step, i, i + 1)}")
    return f"{layer}: {', '.join(words)}"


def _span(start: float, step: float, first: int, end: int) -> str:
    """Return from where to where some places along an axis lie; whole numbers are counted, the last one too."""
    begin, until = start + first * step, start + end * step
    if float(start).is_integer() and float(step).is_integer():
        return f"{begin:.0f}" if until - begin == 1 else f"{begin:.0f} to {until - 1:.0f}"
    return f"{begin:.2f} to {until:.2f}"


def _strongest(flow: FlowMap, count: int = 8) -> list[str]:
    found = []
    for layer in flow.inputs:
        values = np.atleast_1d(flow.attribution_of(layer))
        for flat in np.argsort(-np.abs(values), axis=None)[:count]:
            index = np.unravel_index(flat, values.shape)
            found.append((float(values[index]), layer, [int(i) for i in index]))
    best = sorted(found, key=lambda entry: -abs(entry[0]))[:count]
    return [
        f"{_place(flow, layer, index)}: {abs(value):.1%}{' against' if value < 0 else ''}"
        for value, layer, index in best
        if value
    ]


def _panels(flow: FlowMap, layer: str) -> str:
    values = flow.attribution_of(layer)
    axes = flow.axes.get(layer, ())
    axes = tuple(axis for axis, size in zip(axes, values.shape, strict=False) if size > 1)
    values = np.atleast_1d(values.squeeze())
    names = tuple(axis[0] for axis in axes) or ("",) * values.ndim
    if values.ndim == 1:
        return _figure(values[None], layer, ("", names[-1]), axes)
    leading = list(product(*map(range, values.shape[:-2])))[:_MOST_PANELS]
    largest = float(np.abs(values).max()) or 1.0
    return "".join(
        _figure(values[index], " ".join([layer, *map(str, index)]), names[-2:], axes[-2:], largest) for index in leading
    )


def _figure(
    values: NDArray[np.float64],
    title: str,
    names: Sequence[str],
    axes: Sequence[tuple[str, float, float]],
    largest: float = 0.0,
) -> str:
    """Return a map in colours: rows upwards for pitch, else downwards; time runs to the right."""
    rows, columns = names
    way = "downwards"
    if columns.startswith("pitch"):
        values, rows, columns, axes, way = values.T[::-1], columns, rows, axes[::-1], "upwards"
    largest = largest or float(np.abs(values).max()) or 1.0
    height, width = values.shape
    cells = "".join(
        f'<rect class="{"for" if values[i, j] > 0 else "against"}" x="{j}" y="{i}" width="1" height="1" '
        f'opacity="{min(abs(values[i, j]) / largest, 1) ** 0.5:.2f}"/>'
        for i, j in np.argwhere(np.abs(values) >= 0.002 * largest).tolist()
    )
    # Places of known axes may be of any shape; those of an image are square.
    cell = min(30.0, 520 / width, 420 / height)
    wide, tall = round(cell * width), round(cell * height)
    if axes:
        wide, tall = 520, max(90, min(420, 420 * height // width))
    sizes = values.shape[-len(axes) :] if axes else ()
    ends = [_span(start, step, 0, n) for (_, start, step), n in zip(axes, sizes, strict=True)]
    told = [f"{columns} {ends[-1]}, across"] if columns and ends else []
    told += [f"{rows} {ends[0]}, {way}"] if rows and len(ends) == 2 else []
    caption = escape(": ".join([title, *["; ".join(told).replace("_", " ")][: len(told)]]))
    box = f'viewBox="0 0 {width} {height}" preserveAspectRatio="none" width="{wide}" height="{tall}"'
    drawing = f'<svg class="heat" {box} role="img" aria-label="{escape(title)}">{cells}</svg>'
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


def _draw(flow: FlowMap, groups: list[str] | None) -> tuple[str, list[list[int]]]:
    """Return the layered graph, and its links as pairs of the numbers of the units drawn."""
    shown: dict[Unit, tuple[int, int]] = {}
    parts: list[str] = []
    for column, layer in enumerate(flow.layers):
        values = flow.information[flow.layer == layer]
        units = np.sort(np.argsort(-values, kind="stable")[:_MOST_UNITS])
        x = 60 + column * _COLUMN
        name = f"{escape(_short(layer))}<title>{escape(layer)}</title>"
        parts.append(f'<text class="layer" x="{x}" y="{_TOP - 18}">{name}</text>')
        for row, unit in enumerate(units.tolist()):
            shown[layer, unit] = (x, _TOP + row * _ROW)
        if len(values) > len(units):
            parts.append(f'<text x="{x}" y="{_TOP + len(units) * _ROW}">of {len(values)}</text>')
    width = x + 60
    height = max(y for _, y in shown.values()) + _ROW + 12
    links = _links(flow, shown)
    most = max((share for _, _, share in links), default=1.0)
    number = {unit: i for i, unit in enumerate(shown)}
    drawn = []
    for one, other, share in links:
        (x1, y1), (x2, y2) = shown[one], shown[other]
        middle = (x1 + x2) / 2
        drawn.append(
            f'<path data-ends="{number[one]} {number[other]}" stroke-width="{0.5 + 4.5 * share / most:.1f}" '
            f'd="M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"/>'
        )
    order = {unit: i for i, unit in enumerate(zip(flow.layer.tolist(), flow.unit.tolist(), strict=True))}
    largest = max((float(flow.information[order[unit]]) for unit in shown), default=1.0) or 1.0
    for unit, (x, y) in shown.items():
        at = order[unit]
        radius = 2.5 + 8 * (float(flow.information[at]) / largest) ** 0.5
        kind = f"group{int(groups[at]) % _COLOURS}" if groups else _sign(float(flow.attribution[at]))
        parts.append(
            f'<circle class="{kind}" tabindex="0" data-unit="{number[unit]}" cx="{x}" cy="{y}" r="{radius:.1f}">'
            f"<title>{escape(unit[0])} {unit[1]}: {flow.information[at]:.2%}</title></circle>"
        )
    return (
        f'<svg class="graph" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="Layers, units and links"><g class="links">{"".join(drawn)}</g>{"".join(parts)}</svg>',
        [[number[one], number[other]] for one, other, _ in links],
    )


def _sign(value: float) -> str:
    return "none" if value == 0 else "for" if value > 0 else "against"


def _short(layer: str) -> str:
    name = layer.removesuffix("/Conv").removesuffix("/MatMul").removesuffix("/Gemm")
    return name if len(name) <= 17 else f"…{name[-16:]}"


def _links(flow: FlowMap, shown: dict[Unit, tuple[int, int]]) -> list[tuple[Unit, Unit, float]]:
    """Return the links between units that are shown which pass on most: their ends, and the share."""
    total: dict[str, NDArray[np.float64]] = {}
    for (_, reader), nats in flow.edges.items():
        total[reader] = total.get(reader, 0) + nats.sum(0, dtype=np.float64)
    found = []
    for (source, reader), nats in flow.edges.items():
        rows = [unit for layer, unit in shown if layer == source]
        columns = [unit for layer, unit in shown if layer == reader]
        into = flow.information[flow.layer == reader][columns]
        all_into = np.maximum(total[reader][columns], 1e-12)
        shares = nats[np.ix_(rows, columns)] * (into / all_into)
        found += [
            ((source, rows[i]), (reader, columns[j]), float(shares[i, j])) for i, j in np.argwhere(shares > 0).tolist()
        ]
    return sorted(found, key=lambda link: -link[2])[:_MOST_LINKS]
