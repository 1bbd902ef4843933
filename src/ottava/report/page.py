"""The page around the payloads: header, player, downloads, and everything inlined into one file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path, PurePath
from string import Template
from typing import Any

from ottava import exporters
from ottava.errors import InputError
from ottava.io.audio import Audio
from ottava.io.files import atomic_write, check_output
from ottava.report import bars, flow, notes
from ottava.report.section import Section, asset, spoken_time
from ottava.report.sound import Sound, record
from ottava.results import Bars, Curves, FlowMap, Notes, Payload, Result

__all__ = ["RENDERERS", "page", "save"]

RENDERERS: dict[type[Payload], Callable[[Any, Result], Section]] = {
    Bars: bars.section,
    Notes: notes.section,
    FlowMap: flow.section,
}
"""How each payload type is shown: payload and result to a section. The others are not shown."""

_SCRIPTS = {True: ("theme.js", "player.js", "synth.js", "roll.js", "page.js"), False: ("theme.js", "flow.js")}
"""With a player, and without."""
_UNSCRIPTED = {
    True: "The player and the piano roll need JavaScript. The downloads above work without it.",
    False: "Without JavaScript, links are not shown by pointing at units.",
}
_KEYS = (
    '<p class="keys"><kbd>Space</kbd> play · <kbd>←</kbd> <kbd>→</kbd> 2 s, with <kbd>Shift</kbd> 10 s · <kbd>+</kbd> '
    "<kbd>−</kbd> zoom · <kbd>Home</kbd> <kbd>End</kbd></p>"
)
_DOWNLOADS = {
    ".mid": ("MIDI", "audio/midi"),
    ".mxl": ("MusicXML", "application/vnd.recordare.musicxml"),  # plain MusicXML would outweigh all the rest
    ".csv": ("CSV", "text/csv"),
    ".json": ("JSON", "application/json"),
}


def save(
    result: Result,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    audio: Audio | str | os.PathLike[str] | None = None,
) -> Path:
    """Write the page of a result.

    Parameters
    ----------
    result : Result
        What a verb returned.
    path : path-like
        The file to write, ``.html``.
    force : bool
        Overwrite an existing file.
    audio : Audio, path-like or None
        The recording; see :func:`page`.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ottava.errors.OutputError
        If the file exists and ``force`` is not set, or if writing fails. Nothing half-written stays behind.
    ottava.errors.InputError
        If ``audio`` is given and cannot be read.
    """
    check_output(path, force=force)
    text = page(result, audio)
    with atomic_write(path, force=force) as file:
        file.write(text.encode("utf-8"))
    return Path(path)


def page(result: Result, audio: Audio | str | os.PathLike[str] | None = None) -> str:
    """Return the page of a result as one HTML document.

    Parameters
    ----------
    result : Result
        What a verb returned.
    audio : Audio, path-like or None
        The recording. None takes ``result.source`` if that is still a file of the same length. A page without
        recording, or with one longer than 15 minutes, says so and lets its reader choose the file.

    Returns
    -------
    str
        HTML that needs nothing from outside.

    Raises
    ------
    ottava.errors.InputError
        If ``audio`` is given and cannot be read.
    """
    played = any(isinstance(payload, Notes) for payload in result.payloads.values())
    sound, absence = _find_sound(result, audio) if played else (None, "")
    duration_s = result.duration_s or (sound.duration_s if sound else 0.0)
    shown = replace(result, duration_s=duration_s)
    sections = [
        RENDERERS[type(payload)](payload, shown) for payload in result.payloads.values() if type(payload) in RENDERERS
    ]
    name = _legible(PurePath(result.source).name or result.source)
    data: dict[str, Any] = {"duration": duration_s, "peak": "", "loudness": ""}
    if sound:
        data |= {"peak": _base64(sound.peak.tobytes()), "loudness": _base64(sound.loudness.tobytes())}
    for section in sections:
        data |= section.data
    script = "\n".join(asset(part) for part in _SCRIPTS[played])
    style = asset("page.css")
    html = Template(asset("page.html")).substitute(
        # The hashes admit exactly this script and this style; markup smuggled in by a file name stays inert.
        policy="default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"media-src data: blob:; script-src 'sha256-{_hash(script)}'; style-src 'sha256-{_hash(style)}'",
        style=style,
        script=script,
        data=_json(data),
        name=escape(name),
        summary=escape(" ".join(section.summary for section in sections)),
        facts=_facts(result),
        warnings=_warnings(result),
        downloads=_downloads(result, name),
        player=_player(sound, absence) if played else "",
        unscripted=_UNSCRIPTED[played],
        keys=_KEYS if played else "",
        sections="\n".join(section.html for section in sections),
        about=_about(result),
        version=escape(result.version),
    )
    return _legible(html)


def _player(sound: Sound | None, absence: str) -> str:
    return Template(asset("player.html")).substitute(
        audio=f' src="data:audio/ogg;base64,{_base64(sound.encoded)}"' if sound and sound.encoded else "",
        absence=escape(absence),
    )


def _find_sound(result: Result, audio: Audio | str | os.PathLike[str] | None) -> tuple[Sound | None, str]:
    """Return the recording if there is one, and the sentence for its absence, empty if it is in the page."""
    absence = "The recording is not inside this page. Choose the file to listen along."
    if any(isinstance(payload, Bars) for payload in result.payloads.values()):
        absence = "This is written music: the page plays its notes. With a recording in the same time, choose the file."
    if isinstance(audio, Audio):
        sound = record((audio.samples, audio.rate_hz))
    elif audio is not None:
        sound = record(audio)
    else:
        try:
            if not Path(result.source).is_file():
                return None, absence
            sound = record(result.source)
        except (InputError, OSError, ValueError):  # a source may be any text, even one that is no path at all
            return None, absence
        if result.duration_s and abs(sound.duration_s - result.duration_s) > 0.5:
            return None, absence  # another file has taken the name since
    if not len(sound.peak):
        return None, absence
    if sound.encoded is None:
        length = spoken_time(sound.duration_s)
        return (
            sound,
            f"The recording is {length} long, too long for this page. Choose the file to listen along.",
        )
    return sound, ""


def _facts(result: Result) -> str:
    facts = [f"Model {result.model}", f"Ottava {result.version}" if result.version else ""]
    facts.append(f"in {spoken_time(result.elapsed_s)}" if result.elapsed_s else "")
    return " · ".join(escape(fact) for fact in facts if fact)


def _warnings(result: Result) -> str:
    if not result.warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in result.warnings)
    return f'<ul class="warnings" aria-label="Warnings">{items}</ul>'


def _about(result: Result) -> str:
    # The name of the file is the title; its folder is nobody's business on a page that is passed on.
    rows = {"system": result.system, "model": result.model, **result.settings}
    rows |= {key: PurePath(str(rows[key])).name for key in ("from", "toward") if rows.get(key)}
    return "\n".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(_plain(value))}</dd>" for key, value in rows.items()
    )


def _plain(value: Any) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value)) or "none"
    return str(value)


def _downloads(result: Result, name: str) -> str:
    kinds = {type(payload) for payload in result.payloads.values()}
    suffixes = tuple(_DOWNLOADS) if Notes in kinds else (".csv", ".json") if FlowMap in kinds else ()
    if not suffixes:
        return ""
    # Raw curves would make the page a hundred times larger; they belong in a file of their own (.npz).
    light = replace(result, payloads={n: p for n, p in result.payloads.items() if not isinstance(p, Curves)})
    stem = escape(PurePath(name).stem or "notes")
    links = []
    for suffix in suffixes:
        label, kind = _DOWNLOADS[suffix]
        content = exporters.render(light, suffix)
        links.append(
            f'<li><a class="button" download="{stem}{suffix}" href="data:{kind};base64,{_base64(content)}">'
            f"{label} <small>{_size(len(content))}</small></a></li>"
        )
    return f'<ul class="downloads" aria-label="Downloads">{"".join(links)}</ul>'


def _size(count: int) -> str:
    if count < 1e6:
        return f"{count / 1e3:.0f} kB" if count >= 1000 else f"{count} B"
    return f"{count / 1e6:.1f} MB"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _hash(text: str) -> str:
    return _base64(hashlib.sha256(text.encode("utf-8")).digest())


def _json(data: dict[str, Any]) -> str:
    """Return JSON that can stand inside a script element: no ``<`` that could close it or open a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _legible(text: str) -> str:
    """Replace what UTF-8 cannot carry: the escaped bytes of a file name in another encoding, and controls."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\ufffd", text)
