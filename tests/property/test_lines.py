"""Bars as rhythm and line, relations between them, and what they become: exact round trips and slow loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ottava.results import RELATIONS
from ottava.symbolic.bars import HOLD, ONSET, REST
from ottava.systems.structure.lines import (
    NO_PITCH,
    OUTSIDE,
    PITCHES,
    REACH,
    STEPS,
    find_reference,
    join_bars,
    settle,
    split_bars,
)
from ottava.systems.structure.relations import find_relations, transfer

few = settings(max_examples=60, deadline=None)


@st.composite
def tunes(draw, most=6):
    steps = draw(st.sampled_from([1, 8, 12, 16]))
    n = draw(st.integers(1, most))
    symbol = st.one_of(st.sampled_from([REST, HOLD, HOLD]), st.integers(50, 70).map(lambda p: p + ONSET))
    bars = draw(st.lists(st.lists(symbol, min_size=steps, max_size=steps), min_size=n, max_size=n))
    # Repeats are what matters here, and chance seldom makes them.
    copies = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(-3, 3)), max_size=4))
    made = [np.array(bar, np.int16) for bar in bars]
    made += [np.where(made[i] >= ONSET, made[i] + up, made[i]).astype(np.int16) for i, up in copies]
    return np.stack(made)


@few
@given(tunes(), st.integers(50, 70))
def test_bars_through_rhythm_and_line(symbols, reference):
    rhythm, line = split_bars(symbols, reference)
    assert rhythm.shape == line.shape == (len(symbols), STEPS)
    np.testing.assert_array_equal(join_bars(rhythm, line, reference, symbols.shape[1]), symbols)
    assert (rhythm[:, symbols.shape[1] :] == OUTSIDE).all()
    np.testing.assert_array_equal(settle(rhythm, line), line)
    empty = ~(symbols >= ONSET).any(1)
    assert (line[empty] == NO_PITCH).all()
    assert (line[~empty] >= 1).all()


def test_pitches_out_of_reach_lie_at_its_edge():
    rhythm, line = split_bars(np.array([[ONSET + 10, ONSET + 120]]), 60)
    assert line[0, :2].tolist() == [1, PITCHES - 1]
    assert join_bars(rhythm, line, 60, 2)[0].tolist() == [60 - REACH + ONSET, 60 + REACH + ONSET]


def test_the_reference_is_the_median_of_the_notes():
    assert find_reference(np.array([[ONSET + 60, HOLD, ONSET + 62, ONSET + 90]])) == 62
    assert find_reference(np.zeros((2, 4), int)) == 60


def relation_of(rhythm, line, i, j):
    """Return the kind of relation of bar i to an earlier j, one step after the other."""
    onsets = [s for s in range(STEPS) if rhythm[i, s] == 2]
    others = [s for s in range(STEPS) if rhythm[j, s] == 2]
    if not onsets or not others:
        return ""
    up = [int(line[i, s] - line[j, s]) for s in range(STEPS)]
    same = list(rhythm[i]) == list(rhythm[j])
    if same and set(up) == {0}:
        return "exact"
    if max(map(abs, up)) > 12:
        return ""
    if same and len(set(up)) == 1 and len(onsets) >= 3:
        return "transposed"
    equal = sum(rhythm[i, s] == rhythm[j, s] and up[s] == 0 for s in range(STEPS))
    if equal >= 0.7 * STEPS and sum(s in others and up[s] == 0 for s in onsets) >= 2:
        return "varied"
    ways = [[int(np.sign(int(bar[s + 1]) - int(bar[s]))) for s in range(STEPS - 1)] for bar in (line[i], line[j])]
    if same and ways[0] == ways[1] and max(up) - min(up) <= 3 and len(onsets) >= 3:
        return "contour"
    return ""


@few
@given(tunes())
def test_relations_are_those_of_a_slow_loop(symbols):
    rhythm, line = split_bars(symbols, find_reference(symbols))
    found = find_relations(rhythm, line)
    order = ("exact", "transposed", "varied", "contour")
    for i in range(len(symbols)):
        kinds = [relation_of(rhythm, line, i, j) for j in range(i)]
        best = next((kind for kind in order if kind in kinds), "")
        assert RELATIONS[found.kind[i]] == best
        if not best:
            assert found.source[i] == -1
        elif best != "varied":
            assert found.source[i] == max(j for j in range(i) if kinds[j] == best)
        else:
            assert kinds[found.source[i]] == "varied"


@few
@given(tunes())
def test_relations_of_a_batch_are_those_of_each(symbols):
    rhythm, line = split_bars(symbols, find_reference(symbols))
    both = find_relations(np.stack([rhythm, rhythm[::-1]]), np.stack([line, line[::-1]]))
    for k, order in enumerate((slice(None), slice(None, None, -1))):
        one = find_relations(rhythm[order], line[order])
        np.testing.assert_array_equal(both.source[k], one.source)
        np.testing.assert_array_equal(both.kind[k], one.kind)


@few
@given(tunes(), st.integers(-5, 5))
def test_what_is_made_of_a_bar_becomes_what_that_becomes(symbols, up):
    rhythm, line = split_bars(symbols, find_reference(symbols))
    old, new = (rhythm[0], line[0]), (rhythm[-1], line[-1])
    exact = transfer(old, old, new)
    if (line[-1] > 0).any() and (line[0] > 0).any():
        np.testing.assert_array_equal(exact[0], new[0])
        np.testing.assert_array_equal(exact[1], new[1])
        moved = (old[0], np.clip(old[1] + up, 1, PITCHES - 1))
        np.testing.assert_array_equal(transfer(moved, old, new)[1], np.clip(new[1] + up, 1, PITCHES - 1))
    # Nothing changes where nothing is changed.
    same = transfer(new, old, old)
    np.testing.assert_array_equal(same[0], new[0])
    if (line[-1] > 0).any():
        np.testing.assert_array_equal(same[1][new[0] == 2], new[1][new[0] == 2])
