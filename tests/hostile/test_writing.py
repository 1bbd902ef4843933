"""Writing when the world is against it: all of the file, or none."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from ottava.errors import OutputError
from ottava.io.files import atomic_write, check_output, expand_inputs, sha256
from ottava.results import Curves, Notes, Result


def test_writes_with_the_usual_permissions(tmp_path):
    path = tmp_path / "new.bin"
    with atomic_write(path) as file:
        assert not path.exists()
        file.write(b"abc")
    (tmp_path / "other.bin").touch()
    assert path.read_bytes() == b"abc"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other.bin").stat().st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.bin", "other.bin"]


def test_never_overwrites_unless_told(tmp_path):
    path = tmp_path / "old.bin"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already"), atomic_write(path):
        pytest.fail("the body must not run")
    assert path.read_bytes() == b"old"
    with atomic_write(path, force=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_two_writers_of_one_name(tmp_path):
    path = tmp_path / "song.mid"
    with pytest.raises(OutputError, match="exists already"), atomic_write(path):
        path.write_bytes(b"first")  # somebody else was quicker
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
@pytest.mark.parametrize("before", [None, b"old"])
def test_interrupted_leaves_all_as_it_was(tmp_path, error, before):
    path = tmp_path / "x.bin"
    if before:
        path.write_bytes(before)

    def write_half():
        with atomic_write(path, force=True) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([before] if before else [])


def test_errors_of_the_body_about_other_files_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "x.bin"):
        (tmp_path / "missing.txt").read_bytes()
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="found a folder"):
        check_output(tmp_path, force=True)
    with pytest.raises(OutputError, match="no folder"):
        check_output(tmp_path / "none" / "x.mid")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="no folder"):
        check_output(tmp_path / "file" / "x.mid")
    with (
        pytest.raises(OutputError, match=r"cannot be written; found .+"),
        atomic_write(tmp_path / ("x" * 300)),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of files are a thing of POSIX")
def test_disk_refuses_in_the_middle(tmp_path):
    """The system refuses bytes past a limit just as a full disk does, at any write."""
    script = textwrap.dedent(
        """
        import resource, sys
        from ottava.errors import OutputError
        from ottava.io.files import atomic_write
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            with atomic_write(sys.argv[1], force=True) as file:
                for _ in range(100):
                    file.write(bytes(10_000))
        except OutputError as error:
            print(error)
        """
    )
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert run.stdout == f"{path}: cannot be written; found {os.strerror(errno.EFBIG)}\n"
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
def test_full_disk(tmp_path, monkeypatch):
    real = os.fsync
    full = os.open("/dev/full", os.O_WRONLY)

    def refuse(descriptor):
        os.write(full, b"x")  # raises the kernel's own ENOSPC
        real(descriptor)

    monkeypatch.setattr("os.fsync", refuse)
    with (
        pytest.raises(OutputError, match="No space left on device"),
        atomic_write(tmp_path / "x.bin") as file,
    ):
        file.write(b"x")
    os.close(full)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a tiny disk")
def test_disk_that_is_really_full(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        result = Result(
            "s",
            "m",
            "x.wav",
            {"curves": Curves(np.arange(99999), {"x": np.random.default_rng(0).random(99999)})},
        )
        with pytest.raises(OutputError, match=r"x.npz: cannot be written; found No space left on device"):
            result.save(tmp_path / "x.npz")
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_saving_a_result_is_all_or_nothing(tmp_path):
    result = Result("s", "m", "x.wav", {"notes": Notes.empty()})
    with pytest.raises(OutputError, match=r"x.docx: no such format; found suffix '.docx'; expected one of .mid, "):
        result.save(tmp_path / "x.docx")
    with pytest.raises(OutputError, match=r"x.npz: this result has no curves to write"):
        result.save(tmp_path / "x.npz")
    assert not list(tmp_path.iterdir())
    assert result.save(tmp_path / "x.MID") == tmp_path / "x.MID"
    with pytest.raises(OutputError, match="exists already"):
        result.save(tmp_path / "x.MID")


def test_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # The example of FIPS 180-2, B.1.
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in (
        "b.wav",
        "a.MP3",
        "notes.txt",
        "album/2.flac",
        "album/cd/1.mp3",
        ".hidden/x.wav",
        "._b.wav",
        "s [x].wav",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["."], ["a.MP3", "album/2.flac", "album/cd/1.mp3", "b.wav", "s [x].wav"]),
        (["album", "b.wav"], ["album/2.flac", "album/cd/1.mp3", "b.wav"]),
        (["b.wav", "./b.wav", "album/../b.wav"], ["b.wav"]),
        (["*.wav"], ["b.wav", "s [x].wav"]),
        (["**/*.mp3"], ["album/cd/1.mp3"]),
        (["al*"], ["album/2.flac", "album/cd/1.mp3"]),
        (["s [x].wav"], ["s [x].wav"]),
        (["notes.txt"], ["notes.txt"]),  # named outright
        (["missing.wav", "b.wav"], ["b.wav", "missing.wav"]),  # raises in its turn
        (["*.ogg"], ["*.ogg"]),
        (["empty"], ["empty"]),
        ([], []),
    ],
)
def test_expand_inputs(tree, inputs, expected):
    assert [path.as_posix() for path in expand_inputs(inputs, {".wav", ".mp3", ".flac"})] == expected


def test_folder_that_may_not_be_listed_is_not_passed_over(tree, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("cd"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    assert [path.as_posix() for path in expand_inputs(["album"], {".mp3", ".flac"})] == [
        "album/2.flac",
        "album/cd",
    ]
