"""Chunks: the outputs of the whole, whatever the sizes, as long as the margin covers the receptive field."""

from __future__ import annotations

import time
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottava.errors import InputError, ModelError, UsageError
from ottava.runtime.chunks import read_ahead, stream_in_chunks

RADIUS = 5  # of the two layers below together


def network(features):
    """Two layers of integer taps over time, zeros around: exact in floats, and not symmetric."""
    layer = features.sum(0)
    for taps in ([1, 2, 3, 5, 7, 11, 13], [2, -3, 4, 1, -1]):
        half = len(taps) // 2
        padded = np.pad(layer, ((half, half), (0, 0)))
        layer = sum(tap * padded[i : i + len(layer)] for i, tap in enumerate(taps))
    return {"note": layer, "any": layer.max(1)}


def run_in_chunks(network, features, **sizes):
    parts = list(stream_in_chunks(network, [features], **sizes))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def features(n, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, (2, n, 3)).astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(0, 90),
    chunk=st.integers(1, 40),
    extra=st.integers(0, 9),
    cuts=st.lists(st.integers(0, 90), max_size=6),
)
def test_chunks_equal_the_whole_however_they_arrive(n, chunk, extra, cuts):
    whole = features(n, seed=n)
    expected = network(whole)
    sizes = {"chunk_frames": chunk, "margin_frames": RADIUS + extra}
    blocks = np.split(whole, sorted(min(cut, n) for cut in cuts), axis=1)
    parts = list(stream_in_chunks(network, iter(blocks), **sizes))
    assert all(len(part["note"]) == chunk for part in parts[:-1])
    assert sum(len(part["note"]) for part in parts) == n
    if n:
        stitched = run_in_chunks(network, whole, **sizes)
        for name, values in expected.items():
            np.testing.assert_array_equal(stitched[name], values)
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values)


def test_a_margin_too_small_shows():
    whole = features(60)
    stitched = run_in_chunks(network, whole, chunk_frames=20, margin_frames=RADIUS - 1)
    wrong = np.flatnonzero((stitched["note"] != network(whole)["note"]).any(1))
    assert set(wrong) == {19, 20, 39, 40}  # the frames beside the cuts, and no others


def test_memory_stays_bounded():
    alive, most = [], 0

    def watched(block):
        nonlocal most
        most = max(most, block.shape[1])
        alive.append(block.shape[1])
        return network(block)

    blocks = (features(7, seed) for seed in range(500))
    total = sum(len(part["note"]) for part in stream_in_chunks(watched, blocks, chunk_frames=50, margin_frames=5))
    assert total == 3500
    assert most == 60
    assert len(alive) == 70


def test_what_a_chunk_raises_comes_in_its_turn():
    def failing(block):
        if block[0, 0, 0] == 3:
            raise InputError("broken")
        return network(block)

    numbered = np.repeat(np.arange(8), 10)[None, :, None].repeat(2, 0).repeat(3, 2).astype(np.float32)
    parts = stream_in_chunks(failing, [numbered], chunk_frames=10, margin_frames=0)
    for _ in range(3):
        next(parts)
    with pytest.raises(InputError, match="broken"):
        next(parts)


def test_a_stream_is_not_read_ahead():
    read = 0

    def blocks():
        nonlocal read
        for seed in range(100):
            read += 1
            yield features(10, seed)

    next(stream_in_chunks(network, blocks(), chunk_frames=20, margin_frames=5))
    assert read == 3  # 25 frames are needed, 30 are there


def test_sizes_out_of_range():
    for chunk, margin in ((0, 5), (5, -1)):
        with pytest.raises(UsageError, match="chunks out of range"):
            run_in_chunks(network, features(9), chunk_frames=chunk, margin_frames=margin)


def test_a_network_that_loses_frames_is_caught():
    with pytest.raises(ModelError, match="does not keep the number of frames"):
        run_in_chunks(lambda x: {"note": x[0, ::2]}, features(9), chunk_frames=4, margin_frames=1)


def test_reading_ahead_changes_nothing_but_the_time():
    assert list(read_ahead(iter(range(50)), depth=2)) == list(range(50))
    assert list(read_ahead([])) == []


def test_reading_ahead_raises_in_its_turn():
    def items():
        yield 1
        raise InputError("damaged")

    taken = read_ahead(items())
    assert next(taken) == 1
    with pytest.raises(InputError, match="damaged"):
        next(taken)


def test_reading_ahead_stops_when_it_is_closed():
    seen = []

    def items():
        for i in range(10**9):
            seen.append(i)
            yield i

    taken = read_ahead(items(), depth=3)
    assert next(taken) == 0
    taken.close()
    count = len(seen)
    assert count <= 6
    time.sleep(0.2)
    assert len(seen) == count


def test_an_interrupt_while_reading_ahead_starts_leaves_no_thread(monkeypatch):
    start, started = Thread.start, []

    def interrupted(thread):
        start(thread)
        started.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(read_ahead(iter(range(10**9))))
    assert [thread.is_alive() for thread in started] == [False]
