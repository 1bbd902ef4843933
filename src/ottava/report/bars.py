"""Bars on a page: letters, arcs from each bar to the one it is made of, the melody, and what each bar says that is
new.
"""

from __future__ import annotations

from html import escape
from string import Template

import numpy as np
from numpy.typing import NDArray

from ottava.report.section import Section, asset
from ottava.results import Bars, Curves, Labels, Notes, Result

__all__ = ["section"]

_BAR = 26  # widths and heights in units of the drawing
_ARCS, _LETTERS, _ROLL, _CURVE = 120, 22, 110, 64
_RELATIONS = {
    "exact": "equals",
    "transposed": "is moved from",
    "varied": "varies",
    "contour": "goes up and down as",
}


def section(bars: Bars, result: Result) -> Section:
    """Return what a page shows of bars.

    Parameters
    ----------
    bars : Bars
        Of the result.
    result : Result
        Its labels, notes and curves are drawn along.
    """
    labels = result.payloads.get("form")
    words = labels.label.tolist() if isinstance(labels, Labels) else [str(i + 1) for i in range(len(bars))]
    kinds = result.payloads.get("changes")
    notes = next((payload for payload in result.payloads.values() if isinstance(payload, Notes)), Notes.empty())
    curves = next((payload for payload in result.payloads.values() if isinstance(payload, Curves)), None)
    changed = kinds.label.tolist() if isinstance(kinds, Labels) else [""] * len(bars)
    html = Template(asset("bars.html")).substitute(
        drawing=_draw(bars, words, changed, notes),
        attention=_draw_attention(curves, words) if curves is not None else "",
        rows="\n".join(_row(i, bars, words, changed) for i in range(len(bars))),
    )
    return Section(_sentence(bars, words), html, {})


def _sentence(bars: Bars, words: list[str]) -> str:
    letters = {word.partition("'")[0] for word in words} - {"-", "?"}
    repeats = int((bars.leans_on > 0).sum())
    made = f"{repeats} of them made of earlier ones" if repeats else "none of them made of an earlier one"
    return f"{len(bars)} bars, {made}; {len(letters)} different ideas."


def _draw(bars: Bars, words: list[str], changed: list[str], notes: Notes) -> str:
    n = len(bars)
    width, height = n * _BAR, _ARCS + _LETTERS + _ROLL + _CURVE
    parts = [
        f'<svg class="bars" viewBox="0 0 {width} {height + 16}" width="{width}" height="{height + 16}" role="img" '
        f'aria-label="Form of {n} bars">'
    ]
    top = _ARCS + _LETTERS
    for i in range(n):
        shade = " shaded" if i % 2 else ""
        mark = f" {changed[i]}" if changed[i] in ("edited", "follows", "new") else ""
        parts.append(
            f'<rect class="bar{shade}{mark}" x="{i * _BAR}" y="{_ARCS}" width="{_BAR}" height="{height - _ARCS}">'
            f"<title>{escape(_tell(i, bars, words, changed))}</title></rect>"
        )
        parts.append(f'<text class="letter" x="{(i + 0.5) * _BAR}" y="{_ARCS + 15}">{escape(words[i])}</text>')
        if i % 4 == 0:
            parts.append(f'<text class="number" x="{(i + 0.5) * _BAR}" y="{height + 12}">{i + 1}</text>')
    most = max(float(bars.nats.max(initial=0)), 1.0)
    for i, nats in enumerate(bars.nats.tolist()):
        tall = nats / most * (_CURVE - 6)
        parts.append(
            f'<rect class="nats" x="{i * _BAR + 4}" y="{height - tall:.1f}" width="{_BAR - 8}" height="{tall:.1f}"/>'
        )
    parts += _arcs(bars)
    parts += _roll(bars, notes, top)
    return "".join([*parts, "</svg>"])


def _arcs(bars: Bars) -> list[str]:
    drawn = []
    longest = (np.arange(1, len(bars) + 1) - bars.leans_on)[bars.leans_on > 0].max(initial=1)
    for i in np.flatnonzero(bars.leans_on > 0).tolist():
        j = int(bars.leans_on[i]) - 1
        begin, end = (j + 0.5) * _BAR, (i + 0.5) * _BAR
        # Heights grow with the root of the width; the curve goes three quarters of the way to its control points.
        high = _ARCS - 4 - (_ARCS - 12) / 0.75 * np.sqrt((i - j) / max(int(longest), 1))
        kind = str(bars.relation[i])
        drawn.append(
            f'<path class="arc {kind}" opacity="{0.25 + 0.75 * float(bars.confidence[i]):.2f}" '
            f'd="M{begin:.0f} {_ARCS - 4}C{begin:.0f} {high:.0f} {end:.0f} {high:.0f} {end:.0f} {_ARCS - 4}"/>'
        )
    return drawn


def _roll(bars: Bars, notes: Notes, top: int) -> list[str]:
    if not len(notes):
        return []
    edges = np.append(bars.start_s, bars.end_s[-1:])
    low, high = int(notes.pitch_midi.min()) - 1, int(notes.pitch_midi.max()) + 1
    place = np.arange(len(edges)) * float(_BAR)
    start, end = (np.interp(at, edges, place) for at in (notes.start_s, notes.end_s))
    thick = max(2.0, min(5.0, _ROLL / (high - low)))
    y = top + 4 + (_ROLL - 8 - thick) * (high - notes.pitch_midi.astype(float)) / (high - low)
    return [
        f'<rect class="note" x="{a:.1f}" y="{h:.1f}" width="{max(b - a - 0.8, 1):.1f}" height="{thick:.1f}" rx="1"/>'
        for a, b, h in zip(start, end, y, strict=True)
    ]


def _draw_attention(curves: Curves, words: list[str]) -> str:
    panels = []
    if "leans" in curves.values:
        panels.append(("Where the decoder points", curves.values["leans"]))
    heads = curves.values.get("attention")
    if heads is not None:
        panels += [(f"Encoder, head {k + 1}", heads[:, k]) for k in range(heads.shape[1])]
    drawn = "".join(f"<figure>{_matrix(values)}<figcaption>{title}</figcaption></figure>" for title, values in panels)
    head = '<h3>Attention</h3><p class="faint">Rows look at columns; bar 1 is above, and left.</p>'
    return f'{head}<div class="heads">{drawn}</div>'


def _matrix(values: NDArray[np.float32]) -> str:
    n = len(values)
    cells = [
        f'<rect x="{j}" y="{i}" width="1" height="1" opacity="{min(float(values[i, j]), 1):.2f}"/>'
        for i, j in np.argwhere(values >= 0.05).tolist()
    ]
    return f'<svg class="matrix" viewBox="0 0 {n} {n}" role="img" aria-label="Attention">{"".join(cells)}</svg>'


def _tell(i: int, bars: Bars, words: list[str], changed: list[str]) -> str:
    text = f"Bar {i + 1}, {words[i]}: {float(bars.nats[i]):.1f} nats"
    if bars.refused[i]:
        return f"Bar {i + 1} does not count: {bars.refused[i]}"
    if bars.leans_on[i]:
        offset = int(bars.offset[i])
        moved = f" by {offset:+d}" if bars.relation[i] == "transposed" else ""
        text += f"; {_RELATIONS[str(bars.relation[i])]} bar {int(bars.leans_on[i])}{moved}"
    return text + (f"; {changed[i]}" if changed[i] else "")


def _row(i: int, bars: Bars, words: list[str], changed: list[str]) -> str:
    cells = (
        str(i + 1),
        words[i],
        f"{float(bars.nats[i]):.1f}",
        f"{_RELATIONS[str(bars.relation[i])]} {int(bars.leans_on[i])}" if bars.leans_on[i] else "",
        f"{int(bars.offset[i]):+d}" if bars.leans_on[i] else "",
        f"{float(bars.confidence[i]):.2f}",
        str(bars.refused[i]) or changed[i],
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
