"""The page of a result: what it says and carries."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_flow import make_flow

from ottava.errors import InputError, OutputError
from ottava.io.audio import load_audio
from ottava.report import page, save, sound
from ottava.report.section import asset, spoken_time
from ottava.results import Bars, Curves, Labels, Notes, Result


class _Elements(HTMLParser):
    """Every element with its attributes and its own text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("", {}, []))  # what follows is not its text

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1][2].append(data)

    def all(self, tag: str, **attributes: str) -> Iterator[tuple[dict[str, str | None], str]]:
        for name, given, text in self.found:
            if name == tag and all(given.get(k) == v for k, v in attributes.items()):
                yield given, "".join(text)

    def text(self, tag: str, **attributes: str) -> str:
        return next(self.all(tag, **attributes))[1]


def _data(html: str) -> dict[str, object]:
    return json.loads(_Elements(html).text("script", id="data"))


def test_says_what_was_found(song: Result) -> None:
    found = _Elements(page(replace(song, warnings=("Clipped.",))))
    assert found.text("h1") == "Evening walk.wav"
    assert found.text("p", **{"class": "summary"}) == (
        "196 notes (96 keys, 48 bass, 20 bowed strings, 32 voice) and 146 drum hits in 24.5 s of sound."
    )
    assert "transcription@0f3a9c21b7de" in found.text("p", **{"class": "facts"})
    assert "Clipped." in [text for _, text in found.all("li")]
    about = dict(zip((t for _, t in found.all("dt")), (t for _, t in found.all("dd")), strict=False))
    assert about["onset threshold"] == "0.5"
    assert str(Path(song.source).parent) not in "".join(text for *_, text in found.all("dd"))


def test_carries_the_notes_in_order_and_the_hits_in_rows(song: Result) -> None:
    shuffled = song.notes[np.random.default_rng(0).permutation(len(song.notes))]
    data = _data(page(replace(song, payloads={"notes": shuffled})))
    columns, names = data["notes"], [instrument["id"] for instrument in data["instruments"]]
    assert np.allclose(columns["start"], song.notes.start_s, atol=1e-4)
    assert columns["pitch"] == song.notes.pitch_midi.tolist()
    assert [names[i] for i in columns["instrument"]] == song.notes.instrument.tolist()
    kit = {36: "kick", 38: "snare", 42: "hi-hat", 49: "cymbals"} | dict.fromkeys((43, 45, 47, 48), "toms")
    for pitch, instrument, row in zip(columns["pitch"], columns["instrument"], columns["row"], strict=True):
        is_hit = names[instrument] == "drums"
        assert (row >= 0) == is_hit
        assert not is_hit or data["rows"][row] == kit[pitch]


def test_policy_admits_exactly_its_own_script_and_style(song: Result) -> None:
    html = page(song)
    found = _Elements(html)
    policy = next(given["content"] for given, _ in found.all("meta") if "http-equiv" in given)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag, text in (("script", found.text("script", type="module")), ("style", found.text("style"))):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_refers_to_nothing_outside(song: Result) -> None:
    for _, given, _ in _Elements(page(song)).found:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert (given.get(name) or "data:").startswith("data:"), given
    for name in ("page.css", "player.js", "synth.js", "roll.js", "page.js"):
        assert not re.search(r"https?://|url\(|import |fetch\(|</script", asset(name)), name


def test_text_from_outside_is_escaped(song: Result) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    everywhere = {
        "source": evil,
        "model": evil,
        "version": evil,
        "warnings": (evil,),
        "settings": {evil: [evil]},
    }
    found = _Elements(page(replace(song, **everywhere)))
    assert sum(tag == "script" for tag, *_ in found.found) == 2
    assert not any(tag == "img" for tag, *_ in found.found)
    assert evil in [text for _, text in found.all("li")]


def test_names_that_utf8_cannot_carry(song: Result) -> None:
    html = page(replace(song, source="f\udce9te\x00.wav"))
    assert _Elements(html).text("h1") == "f\ufffdte\ufffd.wav"
    html.encode("utf-8")


def test_sound_keeps_length_and_shape(song: Result) -> None:
    href = next(_Elements(page(song)).all("audio"))[0]["src"]
    assert href is not None
    head, _, text = href.partition(";base64,")
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(text)), dtype="float32")
    truth = load_audio(song.source, rate_hz=rate_hz).samples
    assert head == "data:audio/ogg"
    assert len(samples) == len(truth)
    assert np.corrcoef(samples, truth)[0, 1] > 0.98
    assert len(text) < 70_000 * song.duration_s / 8  # base64 of less than 70 kbit/s


@pytest.mark.parametrize("give", ["path", "audio"])
def test_sound_can_be_given(song: Result, give: str) -> None:
    given = song.source if give == "path" else load_audio(song.source, rate_hz=16_000)
    elements = _Elements(page(replace(song, source="elsewhere.wav"), given))
    assert (next(elements.all("audio"))[0]["src"] or "").startswith("data:audio/ogg")
    with pytest.raises(InputError):
        page(song, "no such file.wav")


def test_outline_of_a_sinusoid_and_silence(tmp_path: Path) -> None:
    t = np.arange(48_000) / 24_000
    samples = np.concatenate([0.5 * np.sin(2 * np.pi * 441 * t), 0 * t]).astype(np.float32)
    outline = sound.record((samples, 24_000))
    half = len(outline.peak) // 2
    assert outline.duration_s == 4
    assert np.all(outline.peak[: half - 1] >= 253)
    assert np.allclose(outline.loudness[: half - 1], 255 / np.sqrt(2), atol=2)
    assert not outline.peak[half + 1 :].any()


def test_a_long_or_empty_recording_stays_outside(song: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "LONGEST_S", 20.0)
    found = _Elements(page(song))
    assert "src" not in next(found.all("audio"))[0]
    assert "24.5 s long, too long for this page" in found.text("span", id="absence-text")
    assert _data(page(song))["peak"]
    silent = page(song, load_audio((np.zeros(0, np.float32), 16_000)))
    assert "not inside this page" in _Elements(silent).text("span", id="absence-text")


def test_a_source_that_is_gone_or_another_now(song: Result, tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    soundfile.write(other, np.zeros(8000), 8000)
    damaged = tmp_path / "damaged.wav"
    damaged.write_bytes(b"RIFF")
    for source in ("gone.wav", "", "x" * 5000, "a\0b", str(tmp_path), str(other), str(damaged)):
        html = page(replace(song, source=source))
        assert "not inside this page" in _Elements(html).text("span", id="absence-text"), source


def test_empty_result(song: Result) -> None:
    html = page(replace(song, payloads={"notes": Notes.empty()}))
    assert "No notes in 24.5 s of sound." in html
    assert "Nothing to transcribe" in html
    assert 'id="roll"' not in html


def test_curves_stay_out_of_the_page(song: Result) -> None:
    curves = Curves(np.arange(5), {"onset": np.zeros((5, 88))})
    html = page(replace(song, payloads={"notes": song.notes, "curves": curves}))
    links = {given["download"]: given["href"] for given, _ in _Elements(html).all("a")}
    text = base64.b64decode((links["Evening walk.json"] or "").partition(",")[2])
    assert Result.from_dict(json.loads(text)) == song


def test_save_never_overwrites_unasked(song: Result, tmp_path: Path) -> None:
    path = song.save(tmp_path / "song.html")
    written = path.read_bytes()
    assert written.startswith(b"<!doctype html>")
    assert written.endswith(b"</html>\n")
    with pytest.raises(OutputError):
        save(replace(song, payloads={}), path)
    assert path.read_bytes() == written
    save(replace(song, payloads={}), path, force=True)
    assert path.read_bytes() != written
    assert [p.name for p in tmp_path.iterdir()] == ["song.html"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (184.4, "3 min 4 s"), (3599.7, "1 h 0 min")],
)
def test_spoken_time(seconds: float, text: str) -> None:
    assert spoken_time(seconds) == text


def _linear(hex_colour: str) -> np.ndarray:
    c = np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    to_xyz = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    xyz = np.array(to_xyz) @ np.clip(linear, 0, 1) / [0.9505, 1, 1.0888]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes (2009), severity 1.
VISIONS = {
    "usual": np.eye(3),
    "protan": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deutan": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritan": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_stand_out_and_apart(theme: int) -> None:
    pairs = dict(re.findall(r"--([\w-]+): light-dark\((#\w{6}, #\w{6})\)", asset("page.css")))
    colours = {name: _linear(pair.split(", ")[theme]) for name, pair in pairs.items()}

    def contrast(a: str, b: str) -> float:
        dim, bright = sorted(float(colours[name] @ [0.2126, 0.7152, 0.0722]) + 0.05 for name in (a, b))
        return bright / dim

    families = ("keys", "plucked", "bass", "bowed", "winds", "voice")
    for name in (*families, "drums", "playhead"):
        assert contrast(name, "surface") >= 3, name  # WCAG 1.4.11
    for name, ground in itertools.product(("ink", "faint", "accent"), ("page", "surface")):
        assert contrast(name, ground) >= 4.5, name  # WCAG 1.4.3
    for vision, matrix in VISIONS.items():
        for a, b in itertools.combinations(families, 2):
            apart = np.linalg.norm(_lab(matrix @ colours[a]) - _lab(matrix @ colours[b]))
            assert apart > 15, (vision, a, b)  # 2.3 is just noticeable


def test_bars_are_drawn_with_arcs_letters_and_a_table() -> None:
    bars = Bars(
        np.arange(4.0), np.arange(1.0, 5), [9.5, 8, 1, 3], [0, 0, 1, 2], ["", "", "exact", "transposed"], [0, 0, 0, -2],
        [1, 0.9, 0.8, 0.7], ["", "3 beats <long>", "", ""],
    )  # fmt: skip
    notes = Notes([0.0, 1.0], [1.0, 2.0], [60, 64], [80, 80], [1, 1], ["voice"] * 2)
    matrix = np.tri(4, k=-1)
    curves = Curves(np.arange(4.0), {"leans": matrix, "attention": matrix[:, None]})
    result = Result(
        "structure", "structure@0", "tune.mid", {"form": Labels(["A", "B", "A", "B'"]), "bars": bars, "notes": notes},
        settings={"from": "/home/me/secret/other.mid:3"}, duration_s=4,
    )  # fmt: skip
    html = page(result)
    found = _Elements(html)
    assert "4 bars, 2 of them made of earlier ones; 2 different ideas." in html
    assert len(list(found.all("path", **{"class": "arc exact"}))) == 1
    assert len(list(found.all("path", **{"class": "arc transposed"}))) == 1
    assert len(list(found.all("rect", **{"class": "note"}))) == 2
    assert [text for _, text in found.all("text", **{"class": "letter"})] == ["A", "B", "A", "B'"]
    assert "is moved from bar 2 by -2" in html
    assert "3 beats &lt;long&gt;" in html
    assert "3 beats <long>" not in html
    assert "secret" not in html
    assert "Attention" not in html
    shown = page(replace(result, payloads={**result.payloads, "curves": curves}))
    assert shown.count('class="matrix"') == 2
    changed = page(
        replace(result, payloads={**result.payloads, "changes": Labels(["edited", "same", "follows", "same"])})
    )
    assert len(list(_Elements(changed).all("rect", **{"class": "bar edited"}))) == 1
    assert len(list(_Elements(changed).all("rect", **{"class": "bar follows"}))) == 1


def test_a_flow_map_is_drawn_with_maps_and_a_graph() -> None:
    html = page(make_flow())
    found = _Elements(html)
    assert "Why note &lt;3&gt;: C4 at 1.60 s: 50% from sound, 10% from &lt;word&gt;; 40% could not be traced" in html
    assert "<word>" not in html.replace("<!doctype html>", "")
    assert len(list(found.all("svg", **{"class": "heat"}))) == 2
    assert len(list(found.all("circle", tabindex="0"))) == 12
    assert len(list(found.all("circle", **{"class": "against"}))) == 3
    assert len(_data(html)["links"]) == len(list(found.all("path"))) - 1 == 5  # one more is the theme's sign
    assert "sound: time s 1.50 to 1.75, pitch midi 60: 40.0%" in html
    assert "sound: time s 1.50 to 1.75, pitch midi 61: 10.0% against" in html
    assert "sound: time s 1.50 to 2.00, across; pitch midi 60 to 62, upwards" in html
    assert [given["download"] for given, _ in found.all("a", **{"class": "button"})] == ["song.csv", "song.json"]
    assert 'id="audio"' not in html
    assert "Space" not in html


def test_communities_colour_the_units() -> None:
    html = page(make_flow(communities=Labels([str(i % 3) for i in range(12)])))
    for number in range(3):
        assert len(list(_Elements(html).all("circle", **{"class": f"group{number}"}))) == 4
