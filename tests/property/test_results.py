"""Results survive what is done to them: JSON and back, slices, MIDI and back."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottava.errors import InputError
from ottava.exporters import render
from ottava.io.midi import TICK_S, read_midi, separate, write_midi
from ottava.results import FAMILIES, RELATIONS, Bars, Curves, FlowMap, Labels, MidiFile, Notes, Result

# A busy machine is slow to draw columns; these properties are simple enough to fail soon.
few = settings(max_examples=40, deadline=None)

_INSTRUMENTS = (*FAMILIES, "drums")


@st.composite
def notes(draw, longest=25):
    count = draw(st.integers(0, longest))

    def column(values):
        return draw(st.lists(values, min_size=count, max_size=count))

    start = column(st.floats(0, 10800))
    length = column(st.floats(0.0005, 30))
    return Notes(
        start_s=start,
        end_s=[max(s + d, np.nextafter(s, np.inf)) for s, d in zip(start, length, strict=True)],
        pitch_midi=column(st.integers(0, 127)),
        velocity=column(st.integers(1, 127)),
        confidence=column(st.floats(0, 1, width=32)),
        instrument=column(st.sampled_from(_INSTRUMENTS)),
    )


@st.composite
def bars(draw, longest=8):
    n = draw(st.integers(0, longest))
    length = draw(st.lists(st.floats(0.01, 30), min_size=n, max_size=n))
    edges = np.concatenate([[-1.0], np.cumsum(length) - 1])
    relation = draw(st.lists(st.sampled_from(RELATIONS), min_size=n, max_size=n))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    return Bars(
        edges[:-1],
        edges[1:],
        column(st.floats(0, 100, width=32)),
        [k * (name != "") for k, name in zip(column(st.integers(1, 999)), relation, strict=True)],
        relation,
        column(st.integers(-30, 30)),
        column(st.floats(0, 1, width=32)),
        column(st.text("abc 3/4", max_size=20)),
    )


@st.composite
def flow_maps(draw):
    sizes = {name: draw(st.integers(1, 4)) for name in ("x", "a", "b")[: draw(st.integers(1, 3))]}
    nats = st.sampled_from([0.0, 0.25, 1 / 3, 1e-7, 5.0])
    edges = {
        pair: [[draw(nats) for _ in range(sizes[pair[1]])] for _ in range(sizes[pair[0]])]
        for pair in zip(sizes, list(sizes)[1:], strict=False)
    }
    n = sum(sizes.values())
    information = draw(st.lists(st.floats(0, 10), min_size=n, max_size=n))
    return FlowMap(
        [name for name, size in sizes.items() for _ in range(size)],
        [i for size in sizes.values() for i in range(size)],
        information,
        [-value for value in information],
        edges,
        {"x": (1, sizes["x"])},
        {"x": (("channel", 0.0, 1.0), ("time_s", 0.5, 0.125))},
        (list(sizes)[-1],),
    )


labels = st.lists(st.text("ABC'-?", min_size=1, max_size=6), max_size=6).map(Labels)
midi_files = st.binary(max_size=40).map(lambda rest: MidiFile(np.frombuffer(b"MThd" + rest, np.uint8)))
curves = st.lists(st.floats(0, 1e5), unique=True, min_size=1, max_size=5).flatmap(
    lambda times: st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=len(times),
        max_size=len(times),
    ).map(lambda rows: Curves(sorted(times), {"onset": np.array(rows).reshape(len(times), 3)}))
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
results = st.builds(
    Result,
    system=st.text(),
    model=st.text(),
    source=st.text(),
    payloads=st.fixed_dictionaries(
        {"notes": notes(5)},
        optional={"curves": curves, "bars": bars(), "form": labels, "midi": midi_files, "flow": flow_maps()},
    ),
    settings=st.dictionaries(st.text(), plain, max_size=3),
    version=st.text(),
    duration_s=st.floats(0, 1e6),
    elapsed_s=st.floats(0, 1e6),
    warnings=st.lists(st.text(), max_size=2).map(tuple),
)


@few
@given(results)
def test_result_through_json_file(result):
    data = render(result, ".json")
    again = Result.from_dict(json.loads(data.decode("utf-8")))
    assert again == result
    assert again.elapsed_s == result.elapsed_s
    assert render(again, ".json") == data


@few
@given(notes())
def test_notes_through_plain_data(made):
    again = Notes.from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False)))
    assert again == made
    assert list(again.rows()) == list(made.rows())


@few
@given(notes(), st.slices(25))
def test_slices_are_those_of_the_columns(made, part):
    for name in ("start_s", "pitch_midi", "instrument"):
        assert np.array_equal(getattr(made[part], name), getattr(made, name)[part])
    assert len(made[part]) == len(range(*part.indices(len(made))))


@few
@given(notes())
def test_masks_and_families_partition_the_notes(made):
    assert sum(len(made.of(name)) for name in made.instruments()) == len(made)
    loud = made.velocity > 64
    assert len(made[loud]) + len(made[~loud]) == len(made)
    assert made[list(range(len(made)))] == made


@few
@given(notes())
def test_sorting_keeps_every_note(made):
    def multiset(some):
        return sorted(tuple(row.values()) for row in some.rows())

    assert multiset(made.sorted()) == multiset(made)
    assert (np.diff(made.sorted().start_s) >= 0).all()


@few
@given(notes())
def test_columns_cannot_be_written(made):
    with pytest.raises(ValueError, match="read-only"):
        made.start_s[:] = 0


def playable(made):
    """Keep what MIDI can say: of each instrument and key, notes that stand apart by a tick."""
    keep, end = [], {}
    for i in np.argsort(made.start_s, kind="stable"):
        key = (made.instrument[i], made.pitch_midi[i])
        if made.start_s[i] >= end.get(key, -1) + TICK_S:
            keep.append(int(i))
            end[key] = max(made.end_s[i], made.start_s[i] + 2 * TICK_S)
    return made[keep].sorted()


@few
@given(notes())
def test_notes_through_midi_to_the_tick(made):
    made = playable(made)
    again = read_midi(io.BytesIO(write_midi(made)))
    assert len(again) == len(made)

    # Within a tick, notes may have changed places in time; by instrument and key they cannot.
    def by_key(some):
        return some[np.lexsort((some.start_s, some.pitch_midi, some.instrument))]

    made, again = by_key(made), by_key(again)
    for name in ("instrument", "pitch_midi", "velocity"):
        assert np.array_equal(getattr(again, name), getattr(made, name))
    assert np.abs(again.start_s - made.start_s).max(initial=0) <= TICK_S / 2 + 1e-9
    # A note shorter than a tick lasts one.
    expected = np.maximum(made.end_s, made.start_s + TICK_S)
    assert np.abs(again.end_s - expected).max(initial=0) <= TICK_S + 1e-9


@few
@given(notes())
def test_any_notes_make_a_file_in_which_no_key_sounds_twice(made):
    again = read_midi(io.BytesIO(write_midi(made)))
    assert again.instruments() == made.instruments()
    for name in again.instruments():
        part = again.of(name)
        part = part[np.lexsort((part.start_s, part.pitch_midi))]
        same = np.diff(part.pitch_midi) == 0
        assert (part.start_s[1:][same] >= part.end_s[:-1][same] - 1e-9).all()


@few
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9), st.integers(0, 2)), max_size=25).map(
        lambda rows: np.array(rows, dtype=np.int64).reshape(-1, 3)
    )
)
def test_separate_agrees_with_a_slow_loop(rows):
    start, length, key = rows.T
    kept, end = separate(start, start + length, key)
    found = {(int(key[i]), int(start[i])): int(e) for i, e in zip(kept, end, strict=True)}
    expected = {}
    for k, s in {(int(k), int(s)) for s, _, k in rows}:
        longest = max(int(s + n) for b, n, j in rows if j == k and b == s)
        expected[k, s] = min([longest, *(int(b) for b, _, j in rows if j == k and b > s)])
    assert found == expected
    assert len(kept) == len(found)


@few
@given(st.binary(max_size=200))
def test_bytes_that_are_no_midi(data):
    with pytest.raises(InputError):
        read_midi(io.BytesIO(data))


@few
@given(st.data())
def test_damaged_midi_is_read_or_refused(data):
    whole = write_midi(Notes([0, 1, 1.5], [0.5, 2, 3], [60, 64, 36], [1, 64, 127], [1] * 3, ["keys", "bass", "drums"]))
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = read_midi(io.BytesIO(bytes(damaged)))
    except InputError as error:
        assert "MIDI" in str(error)  # noqa: PT017 -- either way will do
    else:
        assert isinstance(read, Notes)


@few
@given(bars(), labels)
def test_slices_of_bars_and_labels(record, words):
    for payload in (record, words):
        assert payload[:2] == payload[[0, 1][: len(payload)]]
        assert len(payload[::2]) == -(-len(payload) // 2)
        assert payload != payload[:-1] if len(payload) else payload == payload[:-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_s": [0, 0]}, "bars out of order"),
        ({"end_s": [0, 2]}, "bars out of order"),
        ({"nats": [-1, 0]}, "out of range"),
        ({"confidence": [0, 2]}, "out of range"),
        ({"leans_on": [0, 0]}, "leans_on out of range"),
        ({"leans_on": [1, 1]}, "leans_on out of range"),
        ({"relation": ["", "like"]}, "unknown relation"),
        ({"nats": [np.nan, 0]}, "nats must be finite"),
        ({"nats": [1]}, "columns differ in length"),
    ],
)
def test_bars_that_make_no_sense(change, message):
    columns = {
        "start_s": [0, 1], "end_s": [1, 2], "nats": [5, 1], "leans_on": [0, 1], "relation": ["", "exact"],
        "offset": [0, 0], "confidence": [1, 1], "refused": ["", ""],
    }  # fmt: skip
    assert len(Bars(**columns)) == 2
    with pytest.raises(InputError, match=message):
        Bars(**(columns | change))


def test_labels_and_files_that_make_no_sense():
    with pytest.raises(InputError, match="these are no labels"):
        Labels.from_dict({"label": ["A"]})
    with pytest.raises(InputError, match="these are no labels"):
        Labels.from_dict(["A", 3])
    with pytest.raises(InputError, match="is no MIDI file"):
        MidiFile(np.frombuffer(b"RIFF", np.uint8))
    with pytest.raises(InputError, match="this is no MidiFile record"):
        MidiFile.from_dict({"type": "MidiFile", "data": "%%%"})
