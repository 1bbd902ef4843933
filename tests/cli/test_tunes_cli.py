"""Structure and vary as a user meets them."""

from __future__ import annotations

import json
import shutil

import pytest

from ottava.runtime.examples import find_example
from ottava.symbolic.score import read_score


@pytest.fixture
def ode(tmp_path):
    return shutil.copy(find_example("score"), tmp_path / "ode.mid")


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_structure_writes_a_page_beside_the_tune(run, ode, tmp_path):
    done = run("structure", "ode.mid")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "The melody: part 1 (Melody) is named as the melody." in done.stderr
    assert listing(tmp_path) == ["ode.html", "ode.mid"]
    page = (tmp_path / "ode.html").read_text()
    assert "16 bars" in page
    again = run("structure", "ode.mid")
    assert again.returncode == 1
    assert "ode.html" in again.stderr


def test_json_has_a_list_of_labels(run, ode):
    done = run("structure", "ode.mid", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # What equals what; strokes are the network's opinion.
    assert list(map(found["form"].index, found["form"])) == list(map("ABCDABCEFGHIABCE".index, "ABCDABCEFGHIABCE"))
    assert len(found["bars"]["nats"]) == 16
    assert found["bars"]["leans_on"][4] == 1
    assert found["bars"]["relation"][4] == "exact"


def test_csv_has_a_row_a_bar(run, ode, tmp_path):
    done = run("structure", "ode.mid", "--format", "csv")
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "ode.csv").read_text().splitlines()
    assert rows[0].startswith("bar,label,start_s,end_s,nats,leans_on,relation")
    assert len(rows) == 17
    assert rows[5].startswith("5,A,")


def test_vary_writes_another_file_and_says_what_follows(run, ode, tmp_path):
    before = (tmp_path / "ode.mid").read_bytes()
    done = run("vary", "ode.mid", "--bar", "1", "--notes", "G4:4,E4:4,C4:4,r:4")
    assert done.returncode == 0, done.stderr
    assert listing(tmp_path) == ["ode.mid", "ode.varied.mid"]
    assert (tmp_path / "ode.mid").read_bytes() == before
    assert "Bar 5 follows bar 1." in done.stderr
    varied = read_score(tmp_path / "ode.varied.mid")
    assert varied.parts[0].pitch_midi[:3].tolist() == [67, 64, 60]
    assert varied.tempos == read_score(tmp_path / "ode.mid").tempos


def test_vary_takes_from_another_tune(run, ode, tmp_path):
    shutil.copy(ode, tmp_path / "other.mid")
    done = run("vary", "ode.mid", "--bar", "2", "--from", "other.mid:9", "-o", "new.mid")
    assert done.returncode == 0, done.stderr
    new = read_score(tmp_path / "new.mid").parts[0]
    inside = (new.start_q >= 4) & (new.start_q < 8)
    assert new.pitch_midi[inside].tolist() == [62, 62, 64, 60]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--extend", "2", "--bar", "3"), "bar means nothing with extend"),
        (("--bar", "2", "--amount", "0.3"), "amount means nothing without toward"),
        (("--extend", "2", "--notes", "C4:16"), "notes and extend exclude each other"),
    ],
)
def test_options_that_contradict_each_other(run, ode, tmp_path, options, message):
    done = run("vary", "ode.mid", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert listing(tmp_path) == ["ode.mid"]


def test_help_tells_what_is_taken_when_an_option_is_not_given(run):
    text = " ".join(run("vary", "--help").stdout.replace("│", " ").split())
    assert "the first when not given" in text
    assert "0.5 when not given" in text


def test_what_is_wrong_is_named_with_its_exit_code(run, ode, tmp_path):
    (tmp_path / "empty.mid").write_bytes(b"")
    done = run("structure", "ode.mid", "empty.mid", "-o", "out")
    assert done.returncode == 1
    assert "empty.mid" in done.stderr
    assert listing(tmp_path / "out") == ["ode.html"]
    done = run("vary", "ode.mid", "--bar", "99")
    assert done.returncode == 2
    assert "bar 99 is not in the tune; expected 1 to 16" in done.stderr
    assert run("structure").returncode == 2
    assert listing(tmp_path) == ["empty.mid", "ode.mid", "out"]


def test_the_example(run, tmp_path):
    done = run("structure", "--example")
    assert done.returncode == 0, done.stderr
    assert listing(tmp_path) == ["ode_to_joy.html"]


def test_tunes_need_a_source(run):
    done = run("data", "tunes", "out")
    assert done.returncode == 2
    assert "no source of tunes" in done.stderr
    gone = run("data", "tunes", "out", "--openewld", "nowhere")
    assert gone.returncode == 1
    assert "nowhere" in gone.stderr
