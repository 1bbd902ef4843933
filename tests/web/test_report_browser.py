"""The page in a real browser, opened from ``file://``."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from chromium import NEEDED, press, settle, until
from made_song import make_result

from ottava.report import page, sound
from ottava.results import Notes, Result

pytestmark = NEEDED

# Columns (in CSS pixels) where a canvas of the roll has a colour, and how many pixels have it.
FIND = """([layer, name, near]) => {
  const canvas = document.querySelector("#roll ." + layer);
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const want = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = { count: 0, left: Infinity, right: -1, top: Infinity };
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] < 255 || want.some((v, k) => Math.abs(v - data[i + k]) > near)) continue;
    const x = (i / 4) % width;
    found.count++;
    found.left = Math.min(found.left, x);
    found.right = Math.max(found.right, x);
    found.top = Math.min(found.top, Math.floor(i / 4 / width));
  }
  return found;
}"""


def _clock(tab: Any) -> float:
    minutes, seconds = tab.locator("#now").text_content().split(":")
    return 60 * int(minutes) + float(seconds)


def _find(tab: Any, name: str, layer: str = "base", near: int = 3) -> dict[str, int]:
    return tab.evaluate(FIND, [layer, name, near])


def _one_note(duration_s: float = 8.0, **more: Any) -> Result:
    """E4 from 2 s to 3 s at full velocity, so that it is drawn in the plain colour of keys; no recording."""
    return make_result(Notes([2], [3], [64], [127], [0.75], ["keys"]), "one.wav", duration_s, **more)


def test_plays_from_file(visit: Callable[..., Any], song: Result) -> None:
    tab = visit(song)
    before = _find(tab, "playhead", "overlay")["left"]
    tab.keyboard.press("Space")
    until(tab, "document.getElementById('audio').currentTime > 0.6")
    assert tab.get_attribute("#play", "aria-label") == "Pause"
    tab.keyboard.press("Space")
    settle(tab)
    assert tab.get_attribute("#play", "aria-label") == "Play"
    heard = tab.evaluate("document.getElementById('audio').currentTime")
    assert _clock(tab) == pytest.approx(heard, abs=0.11)
    assert _find(tab, "playhead", "overlay")["left"] > before + 10
    assert tab.evaluate("document.getElementById('audio').error") is None


def test_the_sound_inside_is_in_step(browser: Any, song: Result, tmp_path: Path) -> None:
    samples = np.zeros(8 * 16_000, np.float32)
    samples[5 * 16_000 : 5 * 16_000 + 1600] = 0.8 * np.sin(np.arange(1600) / 4)
    soundfile.write(tmp_path / "tone.wav", samples, 16_000)
    html = page(replace(song, source=str(tmp_path / "tone.wav"), duration_s=8.0))
    encoded = re.search(r'<audio[^>]* src="data:audio/ogg;base64,([^"]+)"', html)
    assert encoded
    tab = browser.new_page()
    onset_s, length_s = tab.evaluate(
        """async (text) => {
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const sound = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes.buffer);
          const onset = sound.getChannelData(0).findIndex((v) => Math.abs(v) > 0.3);
          return [onset / sound.sampleRate, sound.duration];
        }""",
        encoded[1],
    )
    tab.close()
    assert onset_s == pytest.approx(5, abs=0.002)
    assert length_s == pytest.approx(8, abs=0.01)


def test_keyboard(visit: Callable[..., Any], song: Result) -> None:
    tab = visit(song)
    at = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Shift+ArrowRight", "End", "Home"):
        press(tab, key)
        at.append(_clock(tab))
    assert at == [2, 4, 2, 12, 24.5, 0]
    tab.focus("#overview")
    press(tab, "ArrowRight")
    assert tab.get_attribute("#overview", "aria-valuenow") == "2"
    assert tab.get_attribute("#overview", "aria-valuetext") == "0:02 of 0:24"
    tab.focus("#mix")
    press(tab, "ArrowRight")
    assert (tab.input_value("#mix"), _clock(tab)) == ("5", 2)  # the slider's key is the slider's


def test_everything_is_reached_by_tab_and_shows_focus(visit: Callable[..., Any], song: Result) -> None:
    tab = visit(song)
    order = []
    for _ in range(30):
        tab.keyboard.press("Tab")
        order.append(
            tab.evaluate("""() => {
              const e = document.activeElement;
              if (e === document.body) return null;
              const name = e.getAttribute("aria-label") || e.textContent.trim();
              return [e.id || e.className || e.tagName, name, getComputedStyle(e).outlineStyle !== "none"];
            }""")
        )
    seen = [entry for entry in order if entry]
    assert all(name and outlined for _, name, outlined in seen), seen
    ids = [key for key, *_ in seen]
    wanted = ["theme", "play", "overview", "mix", "speed", "follow", "zoom-out", "zoom-in"]
    assert [key for key in ids if key in wanted][: len(wanted)] == wanted


def test_playhead_zoom_and_note_agree(visit: Callable[..., Any]) -> None:
    tab = visit(_one_note())
    press(tab, "ArrowRight")
    note, head = _find(tab, "keys"), _find(tab, "playhead", "overlay")
    scale = note["right"] - note["left"] + 2  # px for its one second; notes leave a pixel free
    assert (head["left"] + head["right"] + 1) / 2 == pytest.approx(note["left"], abs=1.5)
    press(tab, "+")
    wider = _find(tab, "keys")
    assert wider["right"] - wider["left"] + 2 == pytest.approx(1.5 * scale, abs=2)
    assert wider["left"] == pytest.approx(note["left"], abs=2)  # the playhead's place stays
    press(tab, "-")
    assert _find(tab, "keys") == note


def test_click_seeks_and_hover_tells(visit: Callable[..., Any]) -> None:
    tab = visit(_one_note())
    box, note = tab.locator("#roll").bounding_box(), _find(tab, "keys")
    x, y = box["x"] + (note["left"] + note["right"]) / 2, box["y"] + note["top"] + 3
    tab.mouse.move(x, y)
    settle(tab)
    tip = tab.inner_text("#tip")
    for part in ("E4", "Keys", "0:02.00", "1.00 s long", "velocity 127", "confidence 0.75"):
        assert part in tip
    tab.mouse.click(x, y)
    settle(tab)
    assert _clock(tab) == pytest.approx(2.5, abs=0.15)
    tab.mouse.move(x, y + 60)
    settle(tab)
    assert not tab.is_visible("#tip")


def test_drag_moves_the_view_and_does_not_seek(visit: Callable[..., Any]) -> None:
    tab = visit(_one_note(duration_s=120.0))
    box, note = tab.locator("#roll").bounding_box(), _find(tab, "keys")
    tab.mouse.move(box["x"] + 600, box["y"] + 200)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 570, box["y"] + 200, steps=6)
    tab.mouse.up()
    settle(tab)
    assert _find(tab, "keys")["left"] == pytest.approx(note["left"] - 30, abs=2)
    assert _clock(tab) == 0


def test_touch_tells_on_a_phone(visit: Callable[..., Any]) -> None:
    tab = visit(_one_note(), width=360, has_touch=True, is_mobile=True)
    tab.locator("#roll").scroll_into_view_if_needed()
    box, note = tab.locator("#roll").bounding_box(), _find(tab, "keys")
    ratio = tab.evaluate("devicePixelRatio")
    tab.touchscreen.tap(box["x"] + note["left"] / ratio + 4, box["y"] + note["top"] / ratio + 2)
    settle(tab)
    assert "E4" in tab.inner_text("#tip")
    assert _clock(tab) == pytest.approx(2.0, abs=0.2)


def test_chips_mute_and_solo(visit: Callable[..., Any], song: Result) -> None:
    n = song.notes
    loud = Notes(n.start_s, n.end_s, n.pitch_midi, np.full(len(n), 127), n.confidence, n.instrument)
    tab = visit(replace(song, payloads={"notes": loud}))
    tab.click("#list summary")
    counts = {name: _find(tab, name)["count"] for name in ("keys", "bass", "drums")}
    assert min(counts.values()) > 200
    tab.click("[data-instrument=bass] .chip-show")
    settle(tab)
    assert tab.get_attribute("[data-instrument=bass] .chip-show", "aria-pressed") == "false"
    assert _find(tab, "bass")["count"] == 0
    assert _find(tab, "keys")["count"] == counts["keys"]
    assert tab.inner_text("#range") == f"1–100 of {len(song.notes) - 48}"
    tab.click("[data-instrument=bass] .chip-show")
    tab.click("[data-instrument=drums] .chip-solo")
    settle(tab)
    assert _find(tab, "drums")["count"] == counts["drums"]
    assert _find(tab, "bass")["count"] == _find(tab, "keys")["count"] == 0
    tab.click("[data-instrument=drums] .chip-solo")
    settle(tab)
    assert {name: _find(tab, name)["count"] for name in counts} == counts


def test_list_of_notes(visit: Callable[..., Any], song: Result) -> None:
    tab = visit(song)
    assert tab.locator("#rows tr").count() == 0  # made when it is opened
    tab.click("#list summary")
    tab.wait_for_selector("#rows tr")
    cells = tab.locator("#rows tr").first.locator("td").all_inner_texts()
    first = next(song.notes.rows())
    name = {33: ["A1", "Bass"], 57: ["A3", "Keys"]}[first["pitch_midi"]]  # both begin with the chord's root
    assert cells[2:5] == [*name, str(first["velocity"])]
    tab.click("#later")
    assert tab.inner_text("#range") == f"101–200 of {len(song.notes)}"
    tab.locator("#rows button").first.click()
    settle(tab)
    assert _clock(tab) == pytest.approx(song.notes.start_s[100], abs=0.11)


def test_downloads_are_the_notes(visit: Callable[..., Any], song: Result) -> None:
    import symusic

    tab = visit(song)
    files = {}
    for link in tab.locator(".downloads a").all():
        with tab.expect_download() as download:
            link.click()
        files[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    assert set(files) == {f"Evening walk.{suffix}" for suffix in ("mid", "csv", "json", "mxl")}

    score = symusic.Score.from_midi(files["Evening walk.mid"]).to("second")
    notes = sorted((n.time, n.pitch, n.velocity, t.is_drum) for t in score.tracks for n in t.notes)
    truth = sorted(
        (r["start_s"], r["pitch_midi"], r["velocity"], r["instrument"] == "drums") for r in song.notes.rows()
    )
    assert len(notes) == len(truth)
    for k in (1, 2, 3):
        assert sorted(n[k] for n in notes) == sorted(n[k] for n in truth)
    assert np.allclose([n[0] for n in notes], [n[0] for n in truth], atol=2e-3)
    assert Result.from_dict(json.loads(files["Evening walk.json"])) == song
    assert len(files["Evening walk.csv"].decode().strip().splitlines()) == len(song.notes) + 1
    with zipfile.ZipFile(io.BytesIO(files["Evening walk.mxl"])) as archive:
        container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
        rootfile = container.find("rootfiles/rootfile")
        assert rootfile is not None
        sheet = ElementTree.fromstring(archive.read(rootfile.attrib["full-path"]))
    assert len(sheet.findall("part")) == len(song.notes.instruments())


def test_hostile_names_are_inert(visit: Callable[..., Any], song: Result) -> None:
    own = "document.title='owned'"
    evil = f'<img src=x onerror="{own}"></script><script>{own}</script>.wav'
    tab = visit(replace(song, source=evil, warnings=(evil,), settings={evil: evil}))
    assert tab.locator("img").count() == 0
    assert tab.locator("script").count() == 2
    assert tab.title() != "owned"
    assert "onerror" in tab.inner_text(".warnings")


@pytest.mark.parametrize("kind", ["song", "empty", "drums", "hostile"])
def test_phone_has_no_sideways_scroll(visit: Callable[..., Any], song: Result, kind: str) -> None:
    long = "Ganz_langer_Dateiname_ohne_Leerzeichen" * 8
    result = {
        "song": song,
        "empty": replace(song, payloads={"notes": Notes.empty()}),
        "drums": replace(song, payloads={"notes": song.notes.of("drums")}),
        "hostile": replace(song, source=long + ".wav", warnings=(long,), settings={long: long}),
    }[kind]
    tab = visit(result, width=360)
    for summary in tab.locator("summary").all():
        summary.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_empty_state(visit: Callable[..., Any], song: Result) -> None:
    tab = visit(replace(song, payloads={"notes": Notes.empty()}))
    assert tab.is_visible("text=Nothing to transcribe")
    assert tab.locator("#roll").count() == 0
    assert not tab.is_visible("#mix-box")
    press(tab, "ArrowRight")
    assert _clock(tab) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_themes(visit: Callable[..., Any], song: Result, scheme: str) -> None:
    tab = visit(song, color_scheme=scheme)
    base = """document.querySelector("#roll .base")"""
    corner = f"""() => [...{base}.getContext("2d").getImageData(2, 2, 1, 1).data]"""
    first = tab.evaluate(corner)
    tab.click("#theme")
    settle(tab)
    second = tab.evaluate(corner)
    assert [sum(first[:3]) > 384, sum(second[:3]) > 384] == [scheme == "light", scheme == "dark"]


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_reduced_motion_turns_pages(visit: Callable[..., Any], motion: str) -> None:
    tab = visit(_one_note(duration_s=120.0), reduced_motion=motion)
    press(tab, *["ArrowRight"] * 5)
    tab.keyboard.press("Space")
    tab.wait_for_timeout(200)
    shot = """() => document.querySelector("#roll .base").toDataURL()"""
    first = tab.evaluate(shot)
    tab.wait_for_timeout(500)
    assert (tab.evaluate(shot) == first) == (motion == "reduce")


def test_hear_the_notes(visit: Callable[..., Any], song: Result) -> None:
    tab = visit(song)
    assert tab.evaluate("typeof window.meter") == "undefined"  # nothing is made before it is wanted
    tab.focus("#mix")
    tab.keyboard.press("End")
    tab.focus("#overview")
    tab.keyboard.press("Space")
    until(tab, "window.level() > 0.01")
    assert tab.evaluate("document.getElementById('audio').muted")
    first = song.notes[(song.notes.start_s < 1) & (song.notes.instrument != "drums")]
    expected = {round(440 * 2 ** ((p - 69) / 12)) for p in first.pitch_midi.tolist()}
    assert expected <= {round(f) for f in tab.evaluate("window.tones")}
    for chip in tab.locator(".chip-show").all():
        chip.click()
    tab.wait_for_timeout(300)
    assert tab.evaluate("window.level()") < 1e-3
    tab.locator(".chip-show").first.click()
    until(tab, "window.level() > 0.01")
    tab.click("#play")
    tab.wait_for_timeout(300)
    assert tab.evaluate("window.level()") < 1e-3


def test_without_recording_the_notes_play_and_stop_at_the_end(visit: Callable[..., Any]) -> None:
    tab = visit(_one_note(duration_s=3.2))
    assert tab.is_visible("text=The recording is not inside this page.")
    press(tab, "ArrowRight", "Space")
    until(tab, "window.level() > 0.01")
    until(tab, "document.getElementById('play').getAttribute('aria-label') === 'Play'")
    assert _clock(tab) == 3.2
    assert [round(f) for f in tab.evaluate("window.tones")] == [330]  # E4


def test_a_long_recording_is_chosen_by_hand(
    visit: Callable[..., Any], song: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound, "LONGEST_S", 20.0)
    tab = visit(song)
    assert "too long for this page" in tab.inner_text("#absence")
    tab.set_input_files("#attach", song.source)
    until(tab, "document.getElementById('audio').readyState > 0")
    assert not tab.is_visible("#absence")
    tab.keyboard.press("Space")
    until(tab, "document.getElementById('audio').currentTime > 0.3")


def test_a_file_that_is_no_recording_is_refused(visit: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "noise.mp3").write_bytes(b"\x89PNG" * 400)
    tab = visit(_one_note())
    tab.set_input_files("#attach", tmp_path / "noise.mp3")
    tab.wait_for_selector("text=This browser cannot play that recording.", timeout=5000)
    press(tab, "ArrowRight")
    assert _clock(tab) == 2


def test_twenty_thousand_notes(visit: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    start_s = np.sort(rng.uniform(0, 600, 20_000))
    families = rng.choice(["keys", "plucked", "bass", "bowed", "winds", "voice"], 20_000)
    end_s, pitches = start_s + rng.uniform(0.05, 0.5, 20_000), rng.integers(30, 100, 20_000)
    notes = Notes(start_s, end_s, pitches, [90] * 20_000, [0.9] * 20_000, families)
    tab = visit(make_result(notes, "big.wav", 600.0))
    assert re.match("20\u202f000 notes", tab.inner_text(".summary"))
    press(tab, "Shift+ArrowRight")
    tab.evaluate("window.drawn = 0")
    press(tab, "+")
    shown = 20_000 / 600 * 25  # at most this many in the 20 s in view; waveform and grid are drawn as well
    assert 300 < tab.evaluate("window.drawn") < 2 * shown + 2000
    tab.click("#list summary")
    tab.wait_for_selector("#rows tr")
    assert tab.locator("#rows tr").count() == 100
    with tab.expect_download() as download:
        tab.click("text=JSON")
    assert len(json.loads(Path(download.value.path()).read_bytes())["notes"]["start_s"]) == 20_000
