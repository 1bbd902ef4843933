"""Tunes on a grid: what was written is read again, whatever it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottava.errors import UsageError
from ottava.symbolic.bars import HOLD, ONSET, REST, Line, from_bars, snap, to_bars


@st.composite
def lines(draw):
    """A line: gaps and lengths one after the other."""
    times = draw(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40), st.integers(0, 127)), max_size=30))
    start, end, at = [], [], 0
    for gap, length, _ in times:
        start.append(at + gap)
        at = start[-1] + length
        end.append(at)
    return Line(np.array(start, np.int64), np.array(end, np.int64), np.array([p for *_, p in times], np.int16))


def _same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@given(lines(), st.integers(1, 24))
def test_a_line_comes_back_as_it_was(line, steps):
    symbols = to_bars(line, steps)
    assert symbols.shape[1] == steps
    assert _same(from_bars(symbols), line)


@given(st.lists(st.integers(REST, ONSET + 127), max_size=96))
def test_any_symbols_are_read_as_a_line(symbols):
    whole = np.array(symbols[: len(symbols) // 8 * 8]).reshape(-1, 8)
    line = from_bars(whole)
    assert (line.start < line.end).all()
    assert (line.end[:-1] <= line.start[1:]).all()
    again = to_bars(line, 8, len(whole))
    # They differ where a step holds a note that is not there, and nowhere else.
    wrong = again != whole
    assert (again[wrong] == REST).all()
    assert (whole[wrong] == HOLD).all()
    assert _same(from_bars(again), line)


@given(lines(), st.integers(1, 12))
def test_notes_on_the_grid_stay_where_they_are(line, steps):
    assert _same(snap(line.start / steps, line.end / steps, line.pitch_midi, steps), line)


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 9), st.integers(0, 127)), max_size=40),
)
def test_any_notes_become_one_line(notes):
    start, length, pitch = (np.array(column, float) for column in zip(*notes, strict=True)) if notes else ([],) * 3
    line = snap(start, np.add(start, length), pitch)
    assert (line.start < line.end).all()
    assert (line.end[:-1] <= line.start[1:]).all()
    # No beginning is lost, and none is made up; where several begin together, the highest is heard.
    steps = np.rint(np.multiply(start, 4)).astype(int)
    assert line.start.tolist() == sorted(set(steps.tolist()))
    for at, heard in zip(line.start, line.pitch_midi, strict=True):
        assert heard == np.asarray(pitch)[steps == at].max()


def test_a_tune_worked_by_hand():
    # A quarter, a dotted eighth tied over the bar line, a rest, the last sixteenth.
    line = snap([0, 1.75, 3.75], [1, 2.5, 4.0], [60, 62, 64])
    bars = to_bars(line, 8)
    assert bars.tolist() == [
        [62, HOLD, HOLD, HOLD, REST, REST, REST, 64],
        [HOLD, HOLD, REST, REST, REST, REST, REST, 66],
    ]


def test_bars_that_are_too_few():
    line = snap([0], [5], [60])
    assert to_bars(line, 16, 4).shape == (4, 16)
    with pytest.raises(UsageError, match="20 steps; expected at most 1 bars of 16"):
        to_bars(line, 16, 1)
    with pytest.raises(UsageError, match="bars of 0 steps; expected at least 1"):
        to_bars(line, 0)
    assert to_bars(snap([], [], []), 16).shape == (0, 16)
