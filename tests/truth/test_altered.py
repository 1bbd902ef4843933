"""Altered SoundFonts: the same programs and keys, in tune, and yet other instruments."""

import itertools

import numpy as np
import pytest

from instruments import played
from ottava.corpora.rendered.altered import alter, alter_file
from ottava.corpora.rendered.fonts import SoundFont
from ottava.corpora.rendered.performance import DRUMS
from ottava.corpora.rendered.sf2 import (
    Font,
    Generator,
    Instrument,
    Preset,
    Sample,
    keys_of_presets,
    read_font,
    write_font,
)
from ottava.errors import InputError, OutputError

RATE = 16000


def tone(pitch, partials, seconds=1.0):
    t = np.arange(int(seconds * RATE)) / RATE
    hz = 440 * 2 ** ((pitch - 69) / 12)
    wave = sum(np.sin(2 * np.pi * n * hz * t) / n for n in range(1, partials + 1))
    return np.int16(8000 * wave / np.abs(wave).max())


@pytest.fixture(scope="module")
def font():
    """A flute of two looped samples (one a pair), one of them cut by its zone, and a kit."""
    sounds = [tone(60, 3), tone(60, 3), tone(84, 5), tone(50, 1, 0.2)]
    at = np.cumsum([0, *map(len, sounds)])
    kinds = (4, 2, 1, 1)
    samples = [
        Sample(b"s", a, b, a + 1000, b - 1000, RATE, pitch, 0, kind)
        for (a, b), pitch, kind in zip(itertools.pairwise(at.tolist()), (60, 60, 84, 50), kinds, strict=True)
    ]
    keys, modes, sample = Generator.KEYS, Generator.MODES, Generator.SAMPLE
    low, high = 40 + 256 * 71, 72 + 256 * 96
    flute = (
        {keys: low, modes: 1, sample: 0, Generator.PAN: 65036},
        {keys: low, modes: 1, sample: 1, Generator.PAN: 500},
        {keys: high, modes: 1, sample: 2, Generator.START: 160, Generator.ATTACK: 60000},
    )
    kit = ({keys: 36 + 256 * 36, sample: 3},)
    presets = [
        Preset(b"flute", 73, 0, ({Generator.INSTRUMENT: 0},)),
        Preset(b"variation", 73, 8, ({Generator.INSTRUMENT: 0},)),
        Preset(b"kit", 0, 128, ({Generator.INSTRUMENT: 1},)),
    ]
    return Font(presets, [Instrument(b"f", flute), Instrument(b"k", kit)], samples, np.concatenate(sounds))


def test_what_is_written_is_read(font):
    again = read_font(write_font(font))
    assert list(again.presets) == list(font.presets)
    assert list(again.instruments) == list(font.instruments)
    for a, b in zip(again.samples, font.samples, strict=True):
        assert (a.name, a.rate_hz, a.pitch, a.kind) == (b.name, b.rate_hz, b.pitch, b.kind)
        assert a.loop_start - a.start == b.loop_start - b.start
        np.testing.assert_array_equal(again.sound[a.start : a.end], font.sound[b.start : b.end])


def test_programs_and_keys_stay_and_instruments_change(font):
    there = keys_of_presets(font)
    seen = set()
    for seed in range(8):
        altered = alter(font, np.random.default_rng(seed))
        assert keys_of_presets(altered) == {which: keys for which, keys in there.items() if which[0] != 8}
        data = write_font(altered)
        assert data == write_font(alter(font, np.random.default_rng(seed)))
        seen.add(data)
        for instrument in altered.instruments:
            for zone in instrument.zones:
                assert not {Generator.PAN, Generator.START} & zone.keys()
                sample = altered.samples[zone[Generator.SAMPLE]]
                assert 0 <= sample.start <= sample.loop_start <= sample.loop_end <= sample.end <= len(altered.sound)
    assert len(seen) == 8
    assert keys_of_presets(alter(font, np.random.default_rng(0), without=frozenset({73}))).keys() == {(128, 0)}
    assert keys_of_presets(alter(font, np.random.default_rng(0), without=frozenset({DRUMS}))).keys() == {(0, 73)}


def test_one_sample_over_all_keys_with_a_short_loop_is_in_tune(font, tmp_path):
    pytest.importorskip("midirenderer")
    short = 0
    for seed in range(12):
        path = tmp_path / f"{seed}.sf2"
        altered = alter(font, np.random.default_rng(seed))
        path.write_bytes(write_font(altered))
        loops = [s.loop_end - s.loop_start for s in altered.samples if s.pitch != 50]
        short += min(loops) < 1600
        part = played([45, 62, 74, 90], program=73)
        sound = SoundFont(path).play([part], rate_hz=RATE)
        for start_s, pitch in zip(part.start_s, part.pitch_midi, strict=True):
            cut = sound[int((start_s + 0.1) * RATE) : int((start_s + 0.45) * RATE)]
            spectrum = np.abs(np.fft.rfft(cut * np.hanning(len(cut)), 1 << 16))
            hz = np.argmax(spectrum[: 1 << 15]) * RATE / (1 << 16)
            steps = 12 * np.log2(hz / (440 * 2 ** ((pitch - 69) / 12)))
            partials = 12 * np.log2(np.arange(1, 6))
            assert np.abs(steps - partials).min() < 0.5, (seed, pitch, hz)
    assert short >= 3


def test_files_are_altered_whole_or_not_at_all(font, tmp_path):
    source, out = tmp_path / "a.sf2", tmp_path / "b.sf2"
    source.write_bytes(write_font(font))
    alter_file(source, out, seed=3)
    assert keys_of_presets(read_font(out.read_bytes())).keys() == {(0, 73), (128, 0)}
    with pytest.raises(OutputError, match=r"b\.sf2"):
        alter_file(source, out, seed=4)
    with pytest.raises(InputError, match=r"a\.sf2: no instruments are left"):
        alter_file(source, tmp_path / "c.sf2", without=frozenset({73, DRUMS}))
    (tmp_path / "d.sf2").write_bytes(b"RIFF\x04\x00\x00\x00WAVE")
    with pytest.raises(InputError, match=r"d\.sf2: this is not a SoundFont"):
        alter_file(tmp_path / "d.sf2", tmp_path / "c.sf2")
    assert not (tmp_path / "c.sf2").exists()
