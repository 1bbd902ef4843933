"""Sources of sound for the rendered corpus: do they play what is written, and nothing in truth that is not heard?"""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from instruments import Sines, played, soundfont
from ottava.corpora.rendered import casting, make, timbre
from ottava.corpora.rendered.casting import open_drums, open_instruments, render_cast
from ottava.corpora.rendered.drumkits import DrumKit, key_of_name, near_key
from ottava.corpora.rendered.fonts import SoundFont
from ottava.corpora.rendered.organs import ModelledOrgan
from ottava.corpora.rendered.patches import PatchSet
from ottava.corpora.rendered.performance import DRUMS, Performance
from ottava.corpora.rendered.sf2 import keys_of_presets, read_font
from ottava.corpora.rendered.tones import ModelledTone
from ottava.errors import InputError, MissingError
from ottava.io.general_midi import drum_class_of_key, family_of_program

RATE = 16000


def onset_s(sound, near_s):
    """Return when the power first reaches a tenth of what it becomes."""
    first = int((near_s - 0.1) * RATE)
    power = np.convolve(np.square(sound[first : first + RATE // 3]), np.ones(40) / 40, "same")
    return (first + np.argmax(power > 0.1 * power.max())) / RATE


def hz_at(sound, time_s, length_s=0.3):
    """Return the strongest frequency in a span of time."""
    cut = sound[int(time_s * RATE) : int((time_s + length_s) * RATE)]
    spectrum = np.abs(np.fft.rfft(cut * np.hanning(len(cut)), 1 << 16))
    return np.argmax(spectrum) * RATE / (1 << 16)


def test_the_keys_of_a_soundfont_are_those_in_its_ranges(tmp_path):
    presets = keys_of_presets(read_font(soundfont((80, 90))))
    assert presets == {(0, 3): frozenset([*range(60, 66), *range(80, 91)]), (128, 0): frozenset(range(20, 66))}
    (tmp_path / "a.sf2").write_bytes(soundfont((80, 90)))
    font = open_instruments(tmp_path / "a.sf2")
    assert font.keys(3) == presets[0, 3]
    assert font.keys(4) == frozenset()
    assert font.keys(DRUMS - 8) == presets[128, 0]  # the standard kit stands in


def test_what_is_no_soundfont_is_named(tmp_path):
    (tmp_path / "a.sf2").write_bytes(b"RIFF\x04\x00\x00\x00WAVE")
    with pytest.raises(InputError, match=r"a\.sf2: this is not a SoundFont"):
        SoundFont(tmp_path / "a.sf2").keys(0)


@pytest.fixture
def patches(tmp_path):
    """Patches are files of the Gravis Ultrasound; this one is a decaying sine of 440 Hz."""
    t = np.arange(22050) / 22050
    data = (20000 * np.sin(2 * np.pi * 440 * t) * np.exp(-4 * t)).astype("<i2").tobytes()
    sample = struct.pack("<7sBIIIHIIIHB", b"a", 0, len(data), 0, len(data), 22050, 20000, 12000000, 440000, 0, 7)
    sample += bytes([63] * 6 + [246] * 6 + [0] * 6 + [1]) + struct.pack("<hH", 60, 1024) + bytes(36)
    header = b"GF1PATCH110\0ID#000002\0" + bytes(60) + struct.pack("<BBBHHI", 1, 14, 0, 1, 127, len(data)) + bytes(36)
    header += struct.pack("<H16sIB", 0, b"a", 0, 1) + bytes(40)
    header += struct.pack("<BBIB", 0, 0, len(data) + 96, 1) + bytes(40)
    (tmp_path / "a.pat").write_bytes(header + sample + data)
    path = tmp_path / "few.cfg"
    path.write_text(
        f"dir {tmp_path}\ndrumset 0\n36 a.pat\n42\ta.pat\nbank 0\n  # 7 a.pat\n 24 a.pat amp=100\n5 a.pat\n"
    )
    return path


def test_a_configuration_tells_its_programs_and_its_drums(patches):
    instruments = open_instruments(patches)
    assert [p for p in range(128) if instruments.keys(p)] == [5, 24]
    assert instruments.keys(DRUMS) == {36, 42}
    assert not instruments.keys(DRUMS - 8)
    fewer = open_instruments(patches, frozenset({5, DRUMS}))
    assert [p for p in range(128) if fewer.keys(p)] == [24]
    assert not fewer.keys(DRUMS)


@pytest.mark.skipif(not shutil.which("timidity"), reason="the program timidity is not installed")
def test_patches_are_played_when_it_is_written_even_after_silence(patches):
    part = played([69, 69, 81], begin_s=2.0, program=24)
    low = played([57, 57], begin_s=1.0, program=5)
    for sound in (
        PatchSet(patches).play([part], rate_hz=RATE),
        *PatchSet(patches).play_apart([low, part], [RATE] * 2)[1:],
    ):
        for start in part.start_s:
            assert onset_s(sound, start) == pytest.approx(start, abs=0.006)
        assert hz_at(sound, 2.05) == pytest.approx(440, rel=0.01)
        assert hz_at(sound, 3.65) == pytest.approx(880, rel=0.01)


@pytest.mark.skipif(not shutil.which("timidity"), reason="the program timidity is not installed")
def test_a_configuration_that_timidity_refuses_is_named(patches):
    patches.write_text(patches.read_text() + "rubbish\n")
    with pytest.raises(InputError, match=r"few\.cfg: timidity does not play.*found .*line 9"):
        PatchSet(patches).play([played([69], program=24)], rate_hz=RATE)


def test_patches_without_timidity_or_without_patches(patches, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingError, match="timidity"):
        PatchSet(patches).play([played([69], program=24)], rate_hz=RATE)
    other = patches.with_name("empty.cfg")
    other.write_text("# nothing\n")
    with pytest.raises(InputError, match=r"empty\.cfg: .*has no patches"):
        PatchSet(other).keys(0)


@pytest.fixture
def kit(tmp_path):
    """A kit of Hydrogen: sines of different frequencies, 30 ms late in their files; the snare in two layers."""
    drums = {"Deep Kick": ["kick 80"], "Snare Jazz": ["soft 300", "hard 450"], "Snare Roll": ["roll 3000"]}
    drums |= {"Closed HH": ["closed 5000"], "Open HH": ["open 6000"], "Tom Low": ["tom 120"], "Cowbell": ["bell 800"]}
    t = np.arange(22050) / 44100
    instruments = ""
    for name, layers in drums.items():
        listed = ""
        for i, layer in enumerate(layers):
            tone = np.sin(2 * np.pi * float(layer.split()[1]) * t) * np.exp(-9 * t) / 2
            soundfile.write(tmp_path / f"{layer}.wav", np.concatenate([np.zeros(1323), tone]), 44100)
            listed += f"<layer><filename>{layer}.wav</filename><max>{(i + 1) / len(layers)}</max></layer>"
        instruments += f"<instrument><name>{name}</name><volume>1</volume>{listed}</instrument>"
    text = f'<drumkit_info xmlns="http://www.hydrogen-music.org/drumkit"><i>{instruments}</i></drumkit_info>'
    (tmp_path / "drumkit.xml").write_text(text)
    return tmp_path


def test_a_drum_kit_plays_each_class_in_time(kit):
    part = Performance(
        np.arange(1, 6) * 0.7, np.arange(1, 6) * 0.7 + 0.1, np.array([36, 38, 44, 46, 48]), np.full(5, 100)
    )
    for seed in range(8):
        sound = open_drums(kit).play(part, np.random.default_rng(seed), rate_hz=RATE)
        for start, hz in zip(part.start_s, (80, 450, 5000, 6000, 120), strict=True):
            assert onset_s(sound, start) == pytest.approx(start, abs=0.006)
            assert abs(12 * np.log2(hz_at(sound, start, 0.2) / hz)) < 3.3  # tuned by three semitones at most


def test_soft_strokes_take_soft_layers(kit):
    part = Performance(np.array([0.5, 1.5]), np.array([0.6, 1.6]), np.array([38, 38]), np.array([40, 110]))
    sound = DrumKit(kit).play(part, np.random.default_rng(1), rate_hz=RATE)
    assert hz_at(sound, 1.5) / hz_at(sound, 0.5) == pytest.approx(1.5, rel=0.02)
    assert np.abs(sound[RATE : 2 * RATE]).max() > 1.5 * np.abs(sound[:RATE]).max()


def test_a_kit_has_the_keys_of_its_classes_and_no_others(kit):
    there = DrumKit(kit).keys()
    assert {drum_class_of_key(key) for key in there} == {"kick", "snare", "hi-hat", "toms"}
    assert near_key(57, frozenset({51, 49, 36})) == 49
    assert near_key(57, frozenset({36, 38})) is None
    assert near_key(54, frozenset({36, 38})) is None  # a tambourine is of no class


def test_names_of_drums():
    names = {'Kick (Tama 22")': 36, "BassDrum": 36, "Snare 2 Rimshot": 40, "Rim Click": 37, "Hi Hat Opened": 46}
    names |= {'Hi-Hat Pedal (14")': 44, "VariBreaks Hat 1 Cl": 42, "Floor Tom": 41, 'Tom Mid (13")': 47, "Tom Hi": 50}
    names |= {"Crash/Ride Bow": 49, "ride-cup": 53, "Splash": 55, "Tambourine": None, "Custom": None, "Click": None}
    assert {name: key_of_name(name) for name in names} == names


def test_a_kit_without_a_hi_hat_is_refused(kit):
    path = kit / "drumkit.xml"
    path.write_text(path.read_text().replace("HH", "bongo"))
    with pytest.raises(InputError, match=r"drumkit\.xml: this drum kit lacks drums; found no hi-hat"):
        DrumKit(kit).keys()


@pytest.mark.parametrize("family", ["bowed", "winds", "voice"])
def test_a_modelled_tone_plays_what_is_written_when_it_is_written(family):
    part = played([52, 57, 64, 69, 76], step_s=0.9, length_s=0.6)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        sound = ModelledTone(family, rng).play(part, rng)
        for start, pitch in zip(part.start_s, part.pitch_midi, strict=True):
            assert onset_s(sound, start) == pytest.approx(start, abs=0.04)
            partial = hz_at(sound, start + 0.1, 0.4) / (440 * 2 ** ((pitch - 69) / 12))
            assert partial == pytest.approx(round(partial), rel=0.04)  # the strongest is some harmonic
            assert round(partial) >= 1
        gap = sound[int(1.15 * RATE) : int(1.25 * RATE)]
        assert np.sqrt(np.mean(gap**2)) < 0.05 * np.sqrt(np.mean(sound[int(0.6 * RATE) : int(0.9 * RATE)] ** 2))


def test_a_modelled_organ_holds_what_is_written_from_when_it_is_written():
    part = played([40, 52, 64, 76], step_s=0.9, length_s=0.6)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        sound = ModelledOrgan(rng).play(part, rng)
        assert np.isfinite(sound).all()
        for start, pitch in zip(part.start_s, part.pitch_midi, strict=True):
            assert onset_s(sound, start) == pytest.approx(start, abs=0.04)
            partial = 2 * hz_at(sound, start + 0.1, 0.4) / (440 * 2 ** ((pitch - 69) / 12))
            assert partial == pytest.approx(round(partial), rel=0.04)  # the strongest, of the pitch or an octave below
            early, late = (np.std(sound[int((start + a) * RATE) : int((start + a + 0.2) * RATE)]) for a in (0.15, 0.38))
            assert 0.4 < late / early < 2.5
        gap = sound[int(1.2 * RATE) : int(1.3 * RATE)]
        assert np.std(gap) < 0.1 * np.std(sound[int(0.6 * RATE) : int(0.9 * RATE)])


def test_timbre_changes_but_not_the_time():
    click = np.zeros(2 * RATE, np.float32)
    click[RATE : RATE + 200] = np.hanning(200)
    for seed in range(6):
        for change in (timbre.colour, timbre.sway, timbre.double, timbre.saturate):
            changed = change(click, np.random.default_rng(seed), rate_hz=RATE)
            assert len(changed) == len(click)
            assert onset_s(changed, 1.0) == pytest.approx(onset_s(click, 1.0), abs=0.003)
            assert not np.array_equal(changed, click)


def test_colour_stays_within_8_db():
    noise = np.random.default_rng(0).normal(0, 1, 1 << 15).astype(np.float32)
    for seed in range(6):
        changed = timbre.colour(noise, np.random.default_rng(seed), rate_hz=RATE)
        ratio_db = 20 * np.log10(np.abs(np.fft.rfft(changed)) / np.abs(np.fft.rfft(noise)))
        assert np.abs(ratio_db).max() < 8.1
        assert np.ptp(ratio_db) > 1


def cast(planned, monkeypatch, seed, samples=(), varied=True, **sines):
    monkeypatch.setattr(casting, "open_instruments", lambda path, without: Sines(**sines))
    monkeypatch.setattr(casting, "_STRING_SHARE", 0)
    monkeypatch.setattr(casting, "_TONE_SHARES", {})
    return render_cast(
        planned,
        np.random.default_rng(seed),
        sources=casting.Sources([Path("a")], samples=samples),
        length_s=6,
        tune=1.0,
        rate_hz=RATE,
        varied=varied,
    )


def test_truth_has_what_the_source_has(monkeypatch):
    pytest.importorskip("symusic")
    planned = [("bowed", played([60, 72, 90, 64], program=48)), ("voice", played([60, 62], program=52))]
    planned.append(("drums", played([36, 38, 36], program=DRUMS - 8)))
    (bowed, drums), mix, sources = cast(planned, monkeypatch, 0)
    assert bowed[1].program == 42  # the string ensemble is not there, the cello is
    assert family_of_program(bowed[1].program) == "bowed"
    assert bowed[1].pitch_midi.tolist() == [60, 72, 64]
    assert drums[0] == "drums"
    assert drums[1].pitch_midi.tolist() == [36, 36]
    assert sources == ["a:42", "a"]
    assert mix.dtype == np.float32
    assert np.isfinite(mix).all()


def test_a_font_without_pianos_is_not_played_for_one(monkeypatch):
    pytest.importorskip("symusic")
    recipe = make.Recipe(soundfonts=(Path("a"),), kinds={"piano": 1})
    for programs, expected in (((42,), {"modelled string"}), ((3, 42), {"modelled string", "a:3"})):
        poor = Sines(programs=programs, keys=range(128))
        monkeypatch.setattr(casting, "open_instruments", lambda path, without, poor=poor: poor)
        draws = (np.random.default_rng(seed) for seed in range(8))
        assert {make._render_piano(recipe, played([60]), rng, 1.0)[1] for rng in draws} == expected


def test_recorded_tones_play_what_lies_in_their_reach(tmp_path, monkeypatch):
    pytest.importorskip("symusic")
    for name, pitch in (("C4", 60), ("G4", 67)):
        tone = 0.3 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * np.arange(3 * RATE) / RATE)
        soundfile.write(tmp_path / f"{name}.wav", tone, RATE)
    monkeypatch.setattr(casting, "_SAMPLED_SHARE", 1.0)
    parts = [("winds", played([62, 66, 40], program=73, step_s=1.0)), ("bowed", played([60], program=42))]
    (winds, bowed), _, sources = cast(parts, monkeypatch, 0, samples=[("winds", tmp_path)], varied=False)
    assert sources == [tmp_path.name, "a:42"]
    assert winds[1].pitch_midi.tolist() == [62, 66]
    assert bowed[1].pitch_midi.tolist() == [60]
    alone = cast(parts[:1], monkeypatch, 0, samples=[("winds", tmp_path)], varied=False)[1]
    for start, pitch in zip(winds[1].start_s, winds[1].pitch_midi, strict=True):
        assert hz_at(alone, start + 0.1) == pytest.approx(440 * 2 ** ((pitch - 69) / 12), rel=0.005)


def test_without_variation_instruments_sound_as_their_source_has_them(monkeypatch):
    pytest.importorskip("symusic")
    monkeypatch.setattr(casting, "_VARIED", 1.0)
    parts = [("bowed", played([64, 66, 69, 71], program=42, step_s=1.0))]
    plain = [cast(parts, monkeypatch, seed, varied=False)[1] for seed in range(3)]
    level = [sound / np.abs(sound).max() for sound in plain]
    np.testing.assert_allclose(level[1], level[0], atol=1e-5)
    np.testing.assert_allclose(level[2], level[0], atol=1e-5)
    changed = cast(parts, monkeypatch, 0)[1]
    assert np.abs(changed / np.abs(changed).max() - level[0]).max() > 0.05


def test_moved_formants_leave_pitch_and_time(monkeypatch):
    pytest.importorskip("symusic")
    part = played([64, 66, 69, 71], program=42, step_s=1.0)
    monkeypatch.setattr(casting, "_VARIED", 1.0)
    monkeypatch.setattr(casting, "vary", lambda sound, *_, **__: sound)
    rendered = []
    monkeypatch.setattr(
        Sines, "_render", lambda self, midi, inner=Sines._render: rendered.append(midi) or inner(self, midi)
    )
    for seed in range(4):
        _, mix, _ = cast([("bowed", part)], monkeypatch, seed)
        for start, pitch in zip(part.start_s, part.pitch_midi, strict=True):
            assert onset_s(mix, start) == pytest.approx(start, abs=0.006)
            assert hz_at(mix, start + 0.1) == pytest.approx(440 * 2 ** ((pitch - 69) / 12), rel=0.005)
    assert len(set(rendered)) > 1  # what the synthesiser played differed


def test_no_pitched_part_is_drowned(monkeypatch):
    pytest.importorskip("symusic")
    first, second = (
        played([60], begin_s=0.5, length_s=1.5, program=42),
        played([60], begin_s=3.0, length_s=1.5, program=71),
    )
    quiet = Performance(second.start_s, second.end_s, second.pitch_midi, second.velocity // 20, 71)
    apart_db = []
    for seed in range(12):
        _, mix, _ = cast([("bowed", first), ("winds", quiet)], monkeypatch, seed)
        rms = [np.sqrt(np.mean(mix[int(t * RATE) : int((t + 1) * RATE)] ** 2)) for t in (0.7, 3.2)]
        apart_db.append(20 * np.log10(rms[0] / rms[1]))
    assert np.abs(apart_db).max() < 15
    assert np.ptp(apart_db) > 4
