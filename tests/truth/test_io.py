"""Reading sound and MIDI, against sinusoids, arithmetic, and files put together by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import soxr

from ottava.errors import InputError, UsageError
from ottava.io.audio import SUFFIXES, Audio, load_audio, stream_audio
from ottava.io.midi import read_midi, write_midi
from ottava.results import DRUM_CLASSES, FAMILIES, Notes
from ottava.symbolic.instruments import (
    drum_class_of_key,
    family_of_program,
    key_of_drum_class,
    program_of_family,
)


def sine(rate_hz, frequency_hz=440.0, length_s=2.0, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(rate_hz * length_s)) / rate_hz)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000, 44099.5])
@pytest.mark.parametrize("frequency_hz", [55.0, 440.0, 3300.0])
def test_resampled_sinusoid_is_the_sinusoid_at_the_new_rate(rate_hz, frequency_hz):
    length = round(rate_hz * 2)
    source = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(length) / rate_hz)
    samples = load_audio((source, rate_hz)).samples
    assert abs(len(samples) - length / rate_hz * 16000) <= 1
    expected = sine(16000, frequency_hz)[: len(samples)]
    inner = slice(2000, -2000)  # the edges ring
    assert np.abs(samples[: len(expected)] - expected)[inner].max() < 1e-4


def test_what_the_new_rate_cannot_hold_is_gone():
    samples = load_audio((sine(44100, 10000.0), 44100)).samples
    assert np.abs(samples[2000:-2000]).max() < 1e-4


@pytest.mark.parametrize("from_hz", [8000, 16000, 22050, 44100])
@pytest.mark.parametrize("block_s", [1 / 16000, 0.0101, 1.0, 30.0])
def test_blocks_are_the_whole_exactly(from_hz, block_s):
    source = np.random.default_rng(1).normal(0, 0.1, (from_hz // 2 + 7, 2))
    whole = load_audio((source, from_hz))
    with stream_audio((source, from_hz), block_s=block_s) as stream:
        blocks = list(stream)
    assert np.array_equal(np.concatenate(blocks), whole.samples)
    assert {len(block) for block in blocks[:-1]} <= {round(block_s * 16000)}
    assert not any(block.flags.writeable for block in blocks)


def test_blocks_of_a_long_file_are_soxr_in_one_piece(tmp_path):
    source = np.random.default_rng(2).normal(0, 0.1, 44100 * 20).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", source, 44100, subtype="FLOAT")
    with stream_audio(tmp_path / "a.wav", block_s=0.7) as stream:
        assert stream.duration_s == 20.0
        samples = np.concatenate(list(stream))
    assert np.array_equal(samples, soxr.resample(source, 44100, 16000))


def test_channels_are_averaged(tmp_path):
    levels = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.8])
    source = sine(16000)[:, None] * levels
    soundfile.write(tmp_path / "six.wav", source, 16000, subtype="FLOAT")
    for given in (tmp_path / "six.wav", (source, 16000)):
        assert np.abs(load_audio(given).samples - 0.3 * sine(16000)).max() < 1e-6


LOSSLESS = {("a.wav", "PCM_U8"): 8, ("a.wav", "PCM_16"): 16, ("a.wav", "PCM_24"): 24, ("a.wav", "FLOAT"): 24}
LOSSLESS |= {("a.flac", "PCM_16"): 16, ("a.aiff", "PCM_16"): 16, ("a.caf", "PCM_24"): 24, ("a.w64", "PCM_16"): 16}


@pytest.mark.parametrize(("name", "subtype"), LOSSLESS)
def test_lossless_formats_give_the_samples_back(tmp_path, name, subtype):
    soundfile.write(tmp_path / name, sine(16000), 16000, subtype=subtype)
    audio = load_audio(tmp_path / name)
    assert audio.rate_hz == 16000
    assert np.abs(audio.samples - sine(16000)).max() <= 2.0 ** (1 - LOSSLESS[name, subtype])


@pytest.mark.parametrize(("name", "subtype"), [("a.mp3", None), ("a.ogg", "VORBIS"), ("a.opus", "OPUS")])
def test_lossy_formats_give_the_sound_back_in_its_place(tmp_path, name, subtype):
    envelope = np.repeat([0.0, 1.0, 0.0, 1.0], 24000)
    source = sine(48000) * envelope
    with soundfile.SoundFile(
        tmp_path / name, "w", 48000, 1, subtype, format="MP3" if name == "a.mp3" else "OGG"
    ) as file:
        for part in np.array_split(source, 50):
            file.write(part)
    # However it is cut into blocks inside, the decoder gives what it gives in one piece.
    assert np.array_equal(
        load_audio(tmp_path / name, rate_hz=48000).samples, soundfile.read(tmp_path / name, dtype="float32")[0]
    )
    samples = load_audio(tmp_path / name).samples
    assert abs(len(samples) - 32000) < 16000 * 0.01
    expected = (sine(16000) * np.repeat([0.0, 1.0, 0.0, 1.0], 8000))[: len(samples)]
    error = samples[: len(expected)] - expected
    assert np.sqrt(np.mean(error**2)) < 0.02  # an eighth of a period too late would be 0.19


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
        (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5]), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], np.float16), [-1, 0, 0.5]),
        (np.array([[-1, -1], [0, 0], [1, 0]]) * 1.0, [-1, 0, 0.5]),
    ],
)
def test_arrays_are_scaled_and_not_changed(array, expected):
    array.flags.writeable = False
    before = array.copy()
    samples = load_audio((array, 16000)).samples
    assert samples.dtype == np.float32
    assert np.array_equal(samples, np.array(expected, np.float32))
    assert np.array_equal(array, before)
    assert not np.shares_memory(samples, array)


@pytest.mark.parametrize("shape", [(0,), (0, 2)])
def test_no_sound_at_all(shape):
    audio = load_audio((np.zeros(shape), 44100))
    assert (audio.samples.shape, audio.samples.dtype, audio.duration_s) == ((0,), np.float32, 0.0)
    with stream_audio((np.zeros(shape), 44100)) as stream:
        assert list(stream) == []


def test_sound_read_before_is_a_source(tmp_path):
    audio = Audio(sine(44100).astype(np.float32), 44100, "song.mp3", ("its end is missing",))
    again = load_audio(audio)
    assert (again.source, again.warnings, again.duration_s) == ("song.mp3", ("its end is missing",), 2.0)


def test_suffixes_are_lower_case_and_unique():
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)


# Programs whose family nobody doubts, by their number in the file.
GENERAL_MIDI = {
    "keys": [0, 4, 6, 8, 11, 12, 16, 19, 21, 80, 88],
    "plucked": [24, 25, 27, 30, 46, 104, 105, 107],
    "bass": [32, 33, 36, 38],
    "bowed": [40, 41, 42, 43, 45, 48, 50, 110],
    "winds": [22, 56, 57, 58, 60, 61, 62, 65, 68, 70, 71, 73, 75, 109],
    "voice": [52, 53, 54, 85],
    None: [47, 55, 115, 116, 119, 120, 127],
}


@pytest.mark.parametrize("family", GENERAL_MIDI)
def test_families_of_programs(family):
    assert {family_of_program(program) for program in GENERAL_MIDI[family]} == {family}


# The General MIDI percussion map, from acoustic bass drum (35) to open triangle (81).
PERCUSSION = {
    "kick": [35, 36],
    "snare": [37, 38, 39, 40],
    "hi-hat": [42, 44, 46],
    "toms": [41, 43, 45, 47, 48, 50],
    "cymbals": [49, 51, 52, 53, 55, 57, 59],
}


def test_classes_of_percussion_keys():
    expected = {key: name for name, keys in PERCUSSION.items() for key in keys}
    assert {key: drum_class_of_key(key) for key in range(128)} == {key: expected.get(key) for key in range(128)}


def test_numbers_and_names_go_round():
    assert [family_of_program(program_of_family(name)) for name in FAMILIES] == list(FAMILIES)
    assert [drum_class_of_key(key_of_drum_class(name)) for name in DRUM_CLASSES] == list(DRUM_CLASSES)
    for call, wrong in (
        (family_of_program, 128),
        (drum_class_of_key, -1),
        (program_of_family, "drums"),
        (key_of_drum_class, "gong"),
    ):
        with pytest.raises(UsageError):
            call(wrong)


def vlq(number):
    data = bytes([number & 127])
    while number := number >> 7:
        data = bytes([128 | number & 127]) + data
    return data


def smf(*tracks, ticks_per_quarter=480):
    """Put a MIDI file together from tracks of (ticks since the last event, bytes of the event)."""
    data = b"MThd" + b"".join(
        n.to_bytes(k, "big") for n, k in ((6, 4), (1, 2), (len(tracks), 2), (ticks_per_quarter, 2))
    )
    for events in tracks:
        body = b"".join(vlq(delta) + bytes(event) for delta, event in events) + b"\x00\xff\x2f\x00"
        data += b"MTrk" + len(body).to_bytes(4, "big") + body
    return io.BytesIO(data)


def tempo(us_per_quarter):
    return [0xFF, 0x51, 3, *us_per_quarter.to_bytes(3, "big")]


def test_tempo_map():
    conductor = [(480, tempo(1_000_000)), (480, tempo(250_000))]  # 0.5 s, then 1 s, then 0.25 s for each quarter
    notes = [(0, [0x90, 60, 100]), (480, [0x80, 60, 0]), (240, [0x90, 62, 90]), (480, [0x80, 62, 0])]
    read = read_midi(smf(conductor, notes))
    assert read.start_s.tolist() == [0.0, 1.0]
    assert read.end_s.tolist() == [0.5, 1.625]
    assert read.pitch_midi.tolist() == [60, 62]
    assert read.velocity.tolist() == [100, 90]
    assert read.confidence.tolist() == [1, 1]


def test_hours_are_exact():
    day = 480 * 2 * 3600 * 3
    read = read_midi(smf([(day + 1, [0x90, 60, 100]), (1, [0x80, 60, 0])]))
    assert read.start_s[0] == pytest.approx(10800 + 1 / 960, abs=1e-9)


def test_programs_channels_and_what_has_no_family():
    events = [(0, [0xC0, 40]), (0, [0xC1, 47]), (0, [0x90, 60, 1]), (0, [0x91, 40, 2]), (0, [0x99, 38, 3])]
    events += [(48, [0x80, 60, 0]), (0, [0x81, 40, 0]), (0, [0x89, 38, 0])]
    assert read_midi(smf(events)).instrument.tolist() == ["drums", "bowed"]
    assert read_midi(smf(events), other="keys").instrument.tolist() == ["drums", "keys", "bowed"]


def test_sustain_pedal():
    events = [
        (0, [0xB0, 64, 127]),
        (0, [0x90, 60, 100]),
        (48, [0x80, 60, 0]),  # held by the pedal until struck again
        (48, [0x90, 60, 100]),
        (48, [0x80, 60, 0]),  # held until the pedal is up
        (0, [0x90, 64, 100]),
        (96, [0xB0, 64, 0]),
        (48, [0x80, 64, 0]),  # outlasts the pedal
    ]

    def ticks(read):
        return [(round(s * 960), round(e * 960)) for s, e in zip(read.start_s, read.end_s, strict=True)]

    assert ticks(read_midi(smf(events))) == [(0, 48), (96, 144), (144, 288)]
    assert ticks(read_midi(smf(events), pedal=True)) == [(0, 96), (96, 240), (144, 288)]
    never_lifted = [*events[:3], (480, [0x90, 64, 100]), (96, [0x80, 64, 0])]
    assert ticks(read_midi(smf(never_lifted), pedal=True)) == [(0, 624), (528, 624)]


def test_notes_without_length_and_files_without_notes():
    read = read_midi(smf([(0, [0x99, 36, 100]), (0, [0x89, 36, 0])]))
    assert (read.end_s - read.start_s).tolist() == [0.01]
    assert read_midi(smf([])) == Notes.empty()
    assert read_midi(smf()) == Notes.empty()
    assert read_midi(io.BytesIO(write_midi(Notes.empty()))) == Notes.empty()


def test_damaged_midi(tmp_path):
    whole = smf([(0, [0x90, 60, 100]), (48, [0x80, 60, 0])]).getvalue()
    path = tmp_path / "song.mid"
    for data, found in (
        (whole[:-6], "damaged MIDI"),
        (b"RIFF" + whole, "is no MIDI file; found b'RIFF'"),
        (b"", "is empty"),
        (smf([(0, tempo(0)), (0, [0x90, 60, 1]), (9, [0x80, 60, 0])]).getvalue(), "zero"),
        (smf([], ticks_per_quarter=0).getvalue(), "zero"),
        (smf([], ticks_per_quarter=0xE728).getvalue(), "damaged MIDI"),  # film frames instead of quarters
    ):
        path.write_bytes(data)
        with pytest.raises(InputError, match=found) as caught:
            read_midi(path)
        assert caught.value.path == str(path)
    with pytest.raises(InputError, match="there is no such file"):
        read_midi(tmp_path / "none.mid")


def test_written_midi_as_another_program_reads_it():
    mido = pytest.importorskip("mido", reason="mido (comes with pretty_midi) is not installed")
    pieces = [([i], [i + 0.5], [60 + i], [70 + i], [1], [name]) for i, name in enumerate((*FAMILIES, "drums"))]
    data = write_midi(Notes(*(np.concatenate(column) for column in zip(*pieces, strict=True))))
    file = mido.MidiFile(file=io.BytesIO(data))
    assert file.ticks_per_beat == 500
    found, now_s, programs = [], 0.0, {}
    for message in file:
        now_s += message.time
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            found.append((round(now_s, 6), message.note, message.velocity, message.channel))
    assert [row[:3] for row in found] == [(i, 60 + i, 70 + i) for i in range(7)]
    assert [programs[row[3]] for row in found[:6]] == [program_of_family(name) for name in FAMILIES]
    assert found[6][3] == 9  # channel 10, counted from 0
    assert [track.name for track in file.tracks] == [*FAMILIES, "drums"]
