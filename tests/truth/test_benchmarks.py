"""The texts say what the results say: ``benchmarks/readme.py`` as a process, on tables worked out by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/readme.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not in this distribution")

ABOUT = "machine,versions,commit"
OURS = '"Chip, 2 cores, Linux",ottava=0.1.0 numpy=2.4.6,abc123'
PEER = '"Chip, 2 cores, Linux",basic-pitch=0.4.0 numpy=2.4.6,abc123'
ACCURACY = f"""\
file,system,note_f,note_offset_f,frame_f,note_family_f,drum_f,{ABOUT}
a,ottava,0.8,0.4,0.7,0.6,,{OURS}
b,ottava,0.9,0.5,0.8,0.8,,{OURS}
a,basic-pitch,0.5,0.25,0.6,,,{PEER}
b,basic-pitch,0.75,0.25,0.6,,,{PEER}
"""
SPEED = f"""\
measure,system,value,unit,sound_s,threads,load,{ABOUT}
wall,ottava,2.5,s,60,2,0.1,{OURS}
wall,basic-pitch,6,s,60,2,0.1,{PEER}
wall,ottava,2,s,60,2,0.1,{OURS}
wall,basic-pitch,6,s,60,2,0.1,{PEER}
wall,ottava,2.25,s,60,2,0.1,{OURS}
wall,basic-pitch,6,s,60,2,0.1,{PEER}
long_peak,ottava,300.4,MB,10800,2,0.1,{OURS}
help,ottava,0.25,s,,2,0.1,{OURS}
"""
PAGE = """\
# Music

<!-- numbers:accuracy_piano:begin -->
| old | numbers |
<!-- numbers:accuracy_piano:end -->

Text between.

<!-- numbers:speed:begin --><!-- numbers:speed:end -->
The end.
"""
WRITTEN = """\
# Music

<!-- numbers:accuracy_piano:begin -->
|  | note F | note with offset F | frame F | note and family F |
| --- | ---: | ---: | ---: | ---: |
| ottava 0.1.0 | 0.850 | 0.450 | 0.750 | 0.700 |
| basic-pitch 0.4.0 | 0.625 | 0.250 | 0.600 | – |

Means over 2 files, with standard errors up to 0.125. Measured at commit abc123 on Chip, 2 cores, Linux.
<!-- numbers:accuracy_piano:end -->

Text between.

<!-- numbers:speed:begin -->
|  | ottava 0.1.0 | basic-pitch 0.4.0 |
| --- | ---: | ---: |
| time | 2.25 s (2–2.5) | 6 s |
| peak memory, 3 h of sound | 300 MB | – |
| `ottava --help` | 0.25 s | – |

Whole processes on 60 s of sound, 2 threads, taking turns: median of 3 (least to greatest). \
Measured at commit abc123 on Chip, 2 cores, Linux.
<!-- numbers:speed:end -->
The end.
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "accuracy_piano.csv").write_text(ACCURACY)
    (tmp_path / "speed.csv").write_text(SPEED)
    file = tmp_path / "page.md"
    file.write_text(PAGE)
    return file


def run(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(SCRIPT), str(page), "--results", str(page.parent), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_blocks_are_written_and_the_rest_stays(page: Path) -> None:
    done = run(page)
    assert (done.returncode, done.stderr) == (0, "")
    assert page.read_text(encoding="utf-8") == WRITTEN


def test_writing_twice_changes_nothing_more(page: Path) -> None:
    run(page)
    modified = page.stat().st_mtime_ns
    assert run(page).stdout == ""
    assert page.stat().st_mtime_ns == modified


def test_check_tells_stale_from_fresh_and_writes_nothing(page: Path) -> None:
    stale = run(page, "--check")
    assert stale.returncode == 1
    assert str(page) in stale.stdout
    assert page.read_text() == PAGE
    run(page)
    assert run(page, "--check").returncode == 0
    page.write_text(page.read_text(encoding="utf-8").replace("0.850", "0.950"), encoding="utf-8")
    assert run(page, "--check").returncode == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("speed:begin", "pace:begin", "no end"),
        ("<!-- numbers:speed:end -->", "", "no end"),
        ("accuracy_piano", "accuracy_organ", "accuracy_organ.csv is missing"),
        ("accuracy_piano", "beauty", "no such kind"),
    ],
)
def test_wrong_marks_are_told_and_nothing_is_written(page: Path, old: str, new: str, said: str) -> None:
    broken = PAGE.replace(old, new)
    page.write_text(broken)
    for option in ((), ("--check",)):
        done = run(page, *option)
        assert done.returncode == 1
        assert said in done.stderr
    assert page.read_text() == broken


def test_systems_must_have_heard_the_same_files(page: Path) -> None:
    table = page.parent / "accuracy_piano.csv"
    table.write_text(ACCURACY.replace("b,basic-pitch", "c,basic-pitch"))
    done = run(page)
    assert done.returncode == 1
    assert "same files" in done.stderr


def test_drum_hits_are_counted_over_all_files(tmp_path):
    head = f"file,system,note_f,drum_right,drum_true,drum_found,{ABOUT}"
    (tmp_path / "accuracy_piano.csv").write_text(
        f"{head}\na,ottava,0.5,8,10,10,{OURS}\nb,ottava,0.7,0,0,5,{OURS}\na,basic-pitch,0.5,,,,{PEER}\n"
        f"b,basic-pitch,0.5,,,,{PEER}\n"
    )
    page = tmp_path / "page.md"
    page.write_text("<!-- numbers:accuracy_piano:begin -->\n<!-- numbers:accuracy_piano:end -->\n")
    assert run(page, "--results", tmp_path).returncode == 0
    assert "| ottava 0.1.0 | 0.600 | 0.640 |" in page.read_text()  # 2 * 8 / (10 + 15)
    assert "| basic-pitch 0.4.0 | 0.500 | – |" in page.read_text()


EDITS = """\
source,tune,way,exact_n,exact_whole,transposed_n,transposed_symbols,varied_n,varied_symbols,contour_n,contour_symbols,elsewhere
"""


def test_edits_are_compared_tune_by_tune(tmp_path):
    head = EDITS.strip() + f",{ABOUT}\n"
    rows = [
        f"made,a,network,2,1.0,1,0.9,0,nan,0,nan,0.0,{OURS}",
        f"made,a,copy,2,1.0,1,0.5,0,nan,0,nan,0.0,{OURS}",
        f"made,b,network,2,0.5,0,nan,3,0.7,0,nan,0.1,{OURS}",
        f"made,b,copy,2,1.0,0,nan,3,0.6,0,nan,0.0,{OURS}",
        f"made,c,network,1,1.0,0,nan,0,nan,0,nan,nan,{OURS}",
        f"made,c,copy,1,1.0,0,nan,0,nan,0,nan,nan,{OURS}",
    ]
    (tmp_path / "structure_edits.csv").write_text(head + "\n".join(rows) + "\n")
    page = tmp_path / "page.md"
    page.write_text("<!-- numbers:structure_edits:begin -->\n<!-- numbers:structure_edits:end -->\n")
    done = run(page)
    assert done.returncode == 0, done.stderr
    # Copies: (2 * 1 + 2 * 0.5 + 1) / 5. Symbols: (0.9 + 3 * 0.7) / 4 and (0.5 + 3 * 0.6) / 4. Gains: 0.4 and 0.1.
    line = next(line for line in page.read_text().splitlines() if "made up by rule" in line)
    assert line.startswith(
        "| made up by rule | 0.800 of 5 | 0.750 of 4 bars | 0.575 | +0.250 (+0.100 to +0.400) | 0.0500 |"
    )


def test_form_and_speed_of_structure(tmp_path):
    (tmp_path / "structure_form.csv").write_text(
        f"source,tune,bars,equal_f,equal_confidence,varied_f,similarity_f,{ABOUT}\n"
        f"made,a,8,1.0,0.9,0.5,nan,{OURS}\nmade,b,8,0.5,0.8,nan,0.25,{OURS}\n"
    )
    (tmp_path / "structure_speed.csv").write_text(
        f"what,bars,parts,threads,median_s,{ABOUT}\nanalyse,100,1,2,0.05,{OURS}\nvary,100,1,2,0.8,{OURS}\n"
        f"analyse,100,8,2,0.07,{OURS}\nvary,100,8,2,0.9,{OURS}\n"
    )
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- numbers:structure_form:begin -->\n<!-- numbers:structure_form:end -->\n"
        "<!-- numbers:structure_speed:begin -->\n<!-- numbers:structure_speed:end -->\n"
    )
    assert run(page).returncode == 0
    text = page.read_text()
    assert "equal bars F (looked up) | how sure the network is of them | varied bars F" in text
    assert "| made up by rule | 2 | 0.750 | 0.850 | 0.500 | 0.250 |" in text
    assert "| 100 bars of MIDI | to analyse | to vary |" in text
    assert "| 1 part | 0.05 s | 0.8 s |\n| 8 parts | 0.07 s | 0.9 s |" in text
