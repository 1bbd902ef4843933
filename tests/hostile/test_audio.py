"""Sound files that go wrong: each is decoded as far as it goes, or refused with the reason."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import soundfile
import zoo

from ottava.errors import InputError, MissingError, UsageError
from ottava.io.audio import load_audio, stream_audio


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    return zoo.make(tmp_path_factory.mktemp("zoo"))


REFUSED = {
    "zero.wav": "is empty; found 0 bytes",
    "zero.mp3": "is empty; found 0 bytes",
    "one_byte.wav": "looks like text",
    "image.mp3": "found what looks like a PNG image; expected wav, flac",
    "page.wav": "found what looks like text; expected wav, flac",
    "noise.mp3": "cannot be decoded; found unknown contents; expected wav, flac",
    "noise.wav": "cannot be decoded; found unknown contents; expected wav, flac",
    "one_hertz.wav": "sampling rate that no sound has; found 1 Hz; expected 1000 to 10000000 Hz",
    "headerless.raw": "cannot be decoded; found unknown contents",
    "only_header.wav": "cannot be decoded; found no sound after its header; expected 4.00 s",
    "only_header.mp3": "cannot be decoded",
    "only_header.flac": "cannot be decoded; found",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_file_and_reason(animals, name):
    with pytest.raises(InputError, match=re.escape(REFUSED[name])) as caught:
        load_audio(animals[name])
    assert str(animals[name]) in str(caught.value)
    assert caught.value.found


# What is there of the 4 (Ogg: 20) seconds, within what a codec's frames allow, and the warning.
CUT = {
    "cut.wav": (2.0, 0.001, r"end is missing: 2.00 s found of the 4.00 s"),
    "cut.mp3": (2.0, 0.1, r"end is missing: (1.9|2.0)\d s found of the 4.00 s"),
    "cut.flac": (2.0, 0.1, r"damaged: (1.9|2.0)\d s found of the 4.00 s"),
    "cut.ogg": (10.0, 4.0, r"end is missing: \d+.\d\d s found"),
    "claims_a_gigabyte.wav": (1.0, 0.001, r"end is missing: 1.00 s found of the 11337.87 s"),
}


@pytest.mark.parametrize("name", CUT)
def test_cut_off_gives_what_is_there_and_says_so(animals, name):
    length_s, tolerance_s, warning = CUT[name]
    audio = load_audio(animals[name])
    assert abs(audio.duration_s - length_s) <= tolerance_s
    assert len(audio.warnings) == 1
    assert re.search(warning, audio.warnings[0])
    rms = np.sqrt(np.mean(audio.samples.astype(float) ** 2))
    assert abs(rms - 0.5 / np.sqrt(2)) < 0.01  # and it is the tone


def test_sound_behind_a_small_hole_is_found_again(animals):
    audio = load_audio(animals["holed.mp3"])
    assert 3.7 < audio.duration_s <= 4.0
    tail = audio.samples[-16000:].astype(float)
    assert abs(np.sqrt(np.mean(tail**2)) - 0.5 / np.sqrt(2)) < 0.01


def test_sound_before_a_large_hole(animals):
    audio = load_audio(animals["large_hole.mp3"])
    assert 1.9 < audio.duration_s <= 4.0
    assert "s found of the 4.00 s" in audio.warnings[0]


def test_joined_files_are_not_cut_in_silence(animals):
    audio = load_audio(animals["joined.mp3"])
    assert len(audio.samples) == 4 * 16000
    assert audio.warnings == ("it is several MP3 files joined: only the first, 4.00 s, is read",)


WHOLE = {
    "from_a_pipe.wav": 1.0,
    "big_tag.mp3": 4.0,
    "big_chunk.wav": 4.0,
    "no_samples.wav": 0.0,
    "one_sample.wav": 1 / 44100,
    "click.wav": 0.05,
    "silence.flac": 1.0,
    "8_bit.wav": 4.0,
    "96_khz.flac": 4.0,
    "6_channels.wav": 4.0,
    "wav_named.mp3": 4.0,
    "mp3_named.wav": 4.0,
    "no_suffix": 4.0,
    "größe 音 [live].wav": 4.0,
}


@pytest.mark.parametrize("name", WHOLE)
def test_odd_but_whole(animals, name):
    audio = load_audio(animals[name], rate_hz=16000)
    assert abs(len(audio.samples) - WHOLE[name] * 16000) <= 1
    assert audio.warnings == ()
    assert audio.samples.dtype == np.float32
    assert not audio.samples.flags.writeable
    assert audio.source == str(animals[name])


def test_every_animal_is_tested(animals):
    alone = {"holed.mp3", "large_hole.mp3", "joined.mp3", "nan.wav", "inf.wav"}
    assert set(animals) == {*REFUSED, *CUT, *WHOLE, *alone}


@pytest.mark.parametrize(("name", "found"), [("nan.wav", "nan at 3.000 s"), ("inf.wav", "inf at 2.000 s")])
def test_samples_that_are_no_numbers(animals, name, found):
    with pytest.raises(InputError, match=f"not a finite number; found {found}"):
        load_audio(animals[name])
    with stream_audio(animals[name], block_s=0.5) as blocks, pytest.raises(InputError, match=found):
        list(blocks)


def test_places_that_are_no_files(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.wav: there is no such file"):
        load_audio(tmp_path / "nowhere.wav")
    with pytest.raises(InputError, match="is a folder; expected a file"):
        load_audio(tmp_path)
    with pytest.raises(InputError, match="cannot be opened"):
        load_audio("nul\0byte.wav")
    with pytest.raises(InputError, match="there is no such file"):
        load_audio("")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match="not a regular file"):
        load_audio(tmp_path / "pipe.wav")


@pytest.mark.skipif(os.name == "nt", reason="permissions work differently on Windows")
def test_unreadable_file(tmp_path):
    path = tmp_path / "secret.wav"
    path.write_bytes(zoo.wav_with_sizes(100, 100))
    path.chmod(0)
    # The administrator may read everything, so somebody else has to try.
    reader = os.fork()
    if reader == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                for parent in (tmp_path, *tmp_path.parents):
                    if parent.owner() == "root" and str(parent) != "/":
                        parent.chmod(parent.stat().st_mode | 0o011)
                os.setuid(65534)
            load_audio(path)
        except InputError as error:
            code = 0 if "cannot be opened; found Permission denied" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 0


@pytest.mark.parametrize(
    "source",
    [
        (np.zeros((2, 44100)), 44100),
        (np.zeros((2, 2, 2)), 44100),
        (np.array(["a"]), 44100),
        (np.zeros(3, complex), 44100),
        (np.zeros((3, 0)), 44100),
        (np.zeros(3), 0),
        (np.zeros(3), np.nan),
        (np.zeros(3), 1),
        (np.zeros(3), 2**31),
        (np.array([0.0, np.nan]), 16000),
    ],
)
def test_arrays_that_are_no_sound(source):
    with pytest.raises(InputError, match="found"):
        load_audio(source)


@pytest.mark.parametrize("source", [5, None, b"abc", (), (np.zeros(3),), [1.0], io.StringIO("text")])
def test_things_that_are_no_source(source):
    with pytest.raises(UsageError):
        load_audio(source)


@pytest.mark.parametrize("options", [{"rate_hz": 0}, {"rate_hz": 0.5}, {"block_s": 0}, {"block_s": np.inf}])
def test_options_that_make_no_sense(options):
    with pytest.raises(UsageError, match="makes no sense"):
        stream_audio((np.zeros(3), 16000), **options)


def test_file_objects(animals):
    for name in ("cut.wav", "cut.flac"):
        data = animals[name].read_bytes()
        file = io.BytesIO(data)
        audio, same = load_audio(file), load_audio(animals[name])
        assert np.array_equal(audio.samples, same.samples)
        assert audio.warnings == same.warnings
        assert not file.closed
    with pytest.raises(InputError, match="is empty"):
        load_audio(io.BytesIO())


def test_decoder_of_mp3_does_not_speak(animals, capfd):
    for name in ("noise.mp3", "holed.mp3", "cut.mp3", "image.mp3", "only_header.mp3"):
        try:
            load_audio(animals[name])
        except InputError:
            continue
    assert capfd.readouterr() == ("", "")


def test_words_of_others_are_passed_on(animals, capfd):
    with stream_audio(animals["holed.mp3"]) as blocks:
        decoding = blocks._decoding.blocks
        next(decoding)
        os.write(2, b"from outside\n")
        from ottava.io.mpg123 import hushed

        with hushed():
            os.write(2, b"Note: Trying to resync...\nfrom a neighbour\n")
        list(decoding)
    assert capfd.readouterr().err == "from outside\nfrom a neighbour\n"


def media(path, codec, format):
    """Write one second of the zoo's tone with PyAV."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    tone = zoo.tone(48000, 1.0)
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=48000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        for piece in av.AudioResampler(format=stream.format.name, layout="stereo", rate=48000).resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "format"),
    [("a.m4a", "aac", "mp4"), ("a.mkv", "flac", "matroska"), ("a.aac", "aac", "adts")],
)
def test_sound_of_videos(tmp_path, name, codec, format):
    path = media(tmp_path / name, codec, format)
    audio = load_audio(path)
    assert abs(audio.duration_s - 1.0) < 0.1
    spectrum = np.abs(np.fft.rfft(audio.samples[2000:14000] * np.hanning(12000)))
    assert abs(np.argmax(spectrum) * 16000 / 12000 - 440) < 2
    assert abs(np.abs(audio.samples[2000:14000]).max() - 0.5) < 0.12
    with stream_audio(path, block_s=0.25) as blocks:
        assert np.array_equal(np.concatenate(list(blocks)), audio.samples)
    with path.open("rb") as file:
        assert np.array_equal(load_audio(file).samples, audio.samples)


def test_video_cut_off(tmp_path):
    path = media(tmp_path / "a.m4a", "aac", "mp4")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"a.m4a: cannot be decoded; found .*an MP4 file"):
        load_audio(path)


def test_video_without_the_extra(tmp_path, monkeypatch):
    path = media(tmp_path / "a.m4a", "aac", "mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        MissingError, match=r"a.m4a: reading an MP4 file needs PyAV; expected pip install 'ottava\[video\]'"
    ):
        load_audio(path)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("format", ["wav", "mp3"])
def test_three_hours_in_bounded_memory(tmp_path, format):
    hours = 3
    path = tmp_path / f"long.{format}"
    if format == "wav":
        # Zeros that are never written: a sparse file of 8-bit samples.
        soundfile.write(path, np.zeros(1, np.int16), 8000, subtype="PCM_U8")
        head = bytearray(path.read_bytes()[:44])
        head[4:8], head[40:44] = (int(n).to_bytes(4, "little") for n in (hours * 28800000 + 36, hours * 28800000))
        with path.open("wb") as file:
            file.write(head)
            file.truncate(44 + hours * 28800000)
    else:
        # Frames of MP3 stand alone, so a minute of them can be repeated; the first only claims a length.
        one = zoo.encode(np.zeros(8000 * 60, np.float32), 8000, "MP3")
        path.write_bytes(one[288:] * (hours * 60))
    script = textwrap.dedent(
        """
        import re, sys
        from ottava.io.audio import stream_audio
        count = 0
        with stream_audio(sys.argv[1], rate_hz=8000) as blocks:
            for block in blocks:
                count += len(block)
        # Not getrusage: what that counts outlives exec, and so may be the memory of the test's own process.
        peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
        print(count / 8000, peak / 1024)
        """
    )
    run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    length_s, peak_mb = map(float, run.stdout.split())
    assert length_s == pytest.approx(hours * 3600, rel=0.01)
    assert peak_mb < 150
    assert run.stderr == ""
