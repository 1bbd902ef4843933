"""Inputs, outputs, streams and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tunes import write_tune

from ottava.cli.batch import _serial
from ottava.results import Result


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_one_file_is_written_beside_its_input(run, tune):
    done = run("transcribe", tune)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "tune.mid" in done.stderr
    assert listing(tune.parent) == ["tune.mid", "tune.wav"]
    assert tune.with_suffix(".mid").read_bytes()[:4] == b"MThd"


def test_json_alone_is_on_stdout_and_makes_the_same_result(run, tune):
    done = run("transcribe", tune, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    result = Result.from_dict(json.loads(done.stdout))
    assert result.system == "transcription"
    assert result.source == str(tune)
    assert result.duration_s == pytest.approx(2.0, abs=0.01)
    assert Result.from_dict(result.to_dict()) == result
    assert listing(tune.parent) == ["tune.wav"]


def test_several_inputs_give_a_line_each(run, tmp_path):
    for name in ("b.wav", "a.wav", "c.wav"):
        write_tune(tmp_path / name, 1.0)
    done = run("transcribe", "*.wav", "--json", "--quiet", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    sources = {json.loads(line)["source"] for line in done.stdout.splitlines()}
    assert sources == {"a.wav", "b.wav", "c.wav"}


def test_jobs_and_threads_change_nothing(run, tmp_path):
    for name in ("a.wav", "b.wav"):
        write_tune(tmp_path / name)
    for folder, options in (("one", ()), ("two", ("--jobs", "2")), ("three", ("--threads", "1"))):
        assert run("transcribe", "a.wav", "b.wav", "-o", folder, *options).returncode == 0
    for name in ("a.mid", "b.mid"):
        first, *others = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two", "three"))
        assert all(other == first for other in others)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_one_bad_file_does_not_stop_the_others(run, tmp_path, jobs):
    music = tmp_path / "music"
    write_tune(music / "a.wav", 1.0)
    write_tune(music / "deep" / "z.wav", 1.0)
    (music / "broken.mp3").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    (music / "notes.txt").write_text("not music")
    done = run("transcribe", "music", "gone.wav", "-o", "out", "--format", "mid,csv", "--jobs", jobs)
    assert done.returncode == 1
    assert listing(tmp_path / "out") == ["a.csv", "a.mid", "deep/z.csv", "deep/z.mid"]
    assert done.stdout == ""
    failed = done.stderr.split("2 of 4 failed:")[1]
    assert "broken.mp3" in failed
    assert "gone.wav" in failed
    assert "a.wav" not in failed


def test_what_exists_is_refused_before_anything_is_computed(run, tune):
    target = tune.with_suffix(".mid")
    target.write_text("mine")
    done = run("transcribe", tune)
    assert done.returncode == 1
    assert "tune.mid: exists already" in done.stderr
    assert target.read_text() == "mine"
    done = run("transcribe", tune, "--skip-existing")
    assert done.returncode == 0
    assert target.read_text() == "mine"
    done = run("transcribe", tune, "--force")
    assert done.returncode == 0
    assert target.read_bytes()[:4] == b"MThd"
    assert listing(tune.parent) == ["tune.mid", "tune.wav"]


def test_skipping_completes_what_is_there_in_part(run, tune):
    tune.with_suffix(".mid").write_text("mine")
    done = run("transcribe", tune, "--skip-existing", "--format", "mid,csv")
    assert done.returncode == 0, done.stderr
    assert listing(tune.parent) == ["tune.csv", "tune.mid", "tune.wav"]
    assert tune.with_suffix(".mid").read_text() == "mine"


def test_the_suffix_of_out_names_the_format(run, tune):
    assert run("transcribe", tune, "-o", "deep/notes.csv").returncode == 0
    assert (tune.parent / "deep" / "notes.csv").read_text().startswith("start_s,")


def test_inputs_of_one_stem_keep_apart(run, tmp_path):
    for name in ("song.wav", "song.flac"):
        write_tune(tmp_path / name, 1.0)
    assert run("transcribe", ".").returncode == 0
    assert listing(tmp_path) == ["song.flac", "song.flac.mid", "song.wav", "song.wav.mid"]


def test_options_of_the_verb_arrive(run, tune):
    done = run("transcribe", tune, "--json", "--instruments", "bass,voice", "--onset-threshold", "0.8")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert set(data["notes"]["instrument"]) <= {"bass", "voice"}
    assert list(data["settings"]["instruments"]) == ["bass", "voice"]
    assert data["settings"]["onset_threshold"] == 0.8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("transcribe",), "needs an input"),
        (("transcribe", "tune.wav", "--no-such-option"), "no-such-option"),
        (("transcribe", "tune.wav", "--threads", "many"), "threads"),
        (("transcribe", "tune.wav", "--threads", "0"), "threads"),
        (("transcribe", "tune.wav", "--jobs", "0"), "--jobs"),
        (("transcribe", "tune.wav", "--format", "doc"), "format doc is unknown"),
        (("transcribe", "tune.wav", "--force", "--skip-existing"), "exclude each other"),
        (("transcribe", "tune.wav", "--instruments", "kazoo"), "kazoo"),
        (("transcribe", "tune.wav", "other.wav", "-o", "one.mid"), "expected a folder"),
        (("transcribe", "tune.wav", "-o", "one.mid", "--format", "csv"), "both name a format"),
        (("models", "show", "no-such-model"), "no-such-model"),
        (("no-such-command",), "no-such-command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_usage_errors(run, tune, arguments, said):
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert listing(tune.parent) == ["tune.wav"]


def test_missing_and_wrong_weights_are_3(run, tune):
    done = run("transcribe", tune, "--weights", "gone.onnx")
    assert done.returncode == 3
    assert "gone.onnx" in done.stderr
    wrong = tune.parent / "wrong.onnx"
    wrong.write_bytes(b"no network")
    done = run("transcribe", tune, "--weights", wrong)
    assert done.returncode == 3
    assert "wrong.onnx" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_interrupting_leaves_no_half_file(tmp_path, environment, jobs):
    for i in range(20):
        write_tune(tmp_path / "in" / f"{i:02d}.wav", 10.0)
    process = subprocess.Popen(
        [sys.executable, "-m", "ottava", "transcribe", "in", "-o", "out", "--jobs", jobs],
        cwd=tmp_path,
        env=environment,
        # A job in the background of a shell ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, deadline = tmp_path / "out", time.monotonic() + 60
    while not any(out.glob("*.mid")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert time.monotonic() - begin < 10
    assert "Traceback" not in stderr
    assert stdout == ""
    written = list(out.iterdir())
    assert 0 < len(written) < 20
    for path in written:
        content = path.read_bytes()
        assert path.suffix == ".mid"
        assert content[:4] == b"MThd"
        assert content[-3:] == b"\xff\x2f\x00"  # end of track


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way on Windows")
def test_a_reader_that_leaves_is_no_disaster(tmp_path, environment):
    for i in range(3):
        write_tune(tmp_path / f"{i}.wav", 1.0)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "ottava", "transcribe", ".", "--json"],
        cwd=tmp_path,
        env=environment,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_json_of_the_example_writes_no_file(run, tmp_path):
    done = run("transcribe", "--example", "--json")
    assert done.returncode == 0, done.stderr
    assert len(Result.from_dict(json.loads(done.stdout)).notes) > 50
    assert not list(tmp_path.iterdir())


def test_what_goes_wrong_after_an_interrupt_is_still_an_interrupt():
    def function(sources):
        yield sources[0]
        try:
            raise KeyboardInterrupt
        finally:
            raise ValueError("cannot clear up")

    outcomes = _serial(function, [Path("a"), Path("b"), Path("c")], {})
    assert next(outcomes) == Path("a")
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
