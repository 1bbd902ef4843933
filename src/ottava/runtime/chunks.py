"""Long inputs in chunks: bounded memory, and the outputs of the whole.

A convolutional network over time sees, for each output frame, only the frames within its receptive field.
Features are cut into chunks of a fixed number of frames, each with a margin on both sides; of the outputs the
margins' frames are dropped, and what remains is laid end to end. With a margin of at least half the receptive
field nothing differs from running over the whole input, but for the rounding of sums taken in another order.

Chunks lie on a fixed grid counted from the first frame. So it makes no difference in which pieces features
arrive, and a stream gives bit for bit the outputs of an array.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, starmap
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ottava.errors import ModelError, UsageError

__all__ = ["Network", "read_ahead", "stream_in_chunks"]

_T = TypeVar("_T")

Network = Callable[[NDArray[np.float32]], Mapping[str, NDArray[Any]]]
"""Features of shape (channels, frames, bins) to named outputs whose first axis is the same frames."""


def stream_in_chunks(
    network: Network,
    blocks: Iterable[NDArray[np.float32]],
    *,
    chunk_frames: int,
    margin_frames: int,
) -> Generator[dict[str, NDArray[Any]], None, None]:
    """Run a network over a stream of features.

    Holds a few chunks with their margins and one block at a time, however long the stream is.

    Parameters
    ----------
    network : callable
        Takes features of shape (channels, frames, bins), at most ``chunk_frames + 2 * margin_frames`` of
        them, and returns named arrays whose first axis is those frames.
    blocks : iterable of ndarray, shape (channels, n, bins)
        Consecutive features, in pieces of any lengths.
    chunk_frames : int
        Frames to keep of each run, at least 1. A multiple of the network's stride over time, if it has one.
    margin_frames : int
        Frames of context on both sides, likewise. At both ends of the stream there is none, so that the
        network pads there as it would pad the whole.

    Yields
    ------
    dict of str to ndarray
        Outputs of the next ``chunk_frames`` frames; fewer in the last one. Nothing for an empty stream.

    Raises
    ------
    ottava.errors.UsageError
        If the numbers of frames are out of range.
    ottava.errors.ModelError
        If an output's first axis is not the frames.
    """
    if chunk_frames < 1 or margin_frames < 0:
        raise UsageError(
            "chunks out of range",
            found=f"chunk_frames {chunk_frames}, margin_frames {margin_frames}",
            expected="chunk_frames at least 1, margin_frames at least 0",
        )
    # Not a loop, whose variable would hold on to each chunk while its outputs are used.
    yield from starmap(partial(_run, network), _cut(blocks, chunk_frames, margin_frames))


def _cut(
    blocks: Iterable[NDArray[np.float32]], chunk_frames: int, margin_frames: int
) -> Iterator[tuple[NDArray[np.float32], int, int]]:
    """Yield each chunk with its margins, how long the first of them is, and how many frames follow it."""
    held: deque[NDArray[np.float32]] = deque()
    first = begin = end = 0  # frames: the first one held, the next chunk's begin, one past the last one held
    for block in chain(blocks, [None]):
        if block is not None:
            held.append(block)
            end += block.shape[1]
        while begin < end and (block is None or end >= begin + chunk_frames + margin_frames):
            size, keep = min(chunk_frames, end - begin), max(begin - margin_frames, 0)
            while first + held[0].shape[1] <= keep:
                first += held.popleft().shape[1]
            # A new array that holds what the network gets and nothing else: these are the largest there are.
            around = _between(held, keep - first, begin + size + margin_frames - first)
            yield np.concatenate(list(around), axis=1), begin - keep, size
            begin += size


def _between(blocks: Iterable[NDArray[np.float32]], begin: int, end: int) -> Iterator[NDArray[np.float32]]:
    """Yield frames ``begin`` to ``end`` of consecutive blocks, counted from the beginning of the first."""
    for block in blocks:
        n = block.shape[1]
        if begin < n and end > 0:
            yield block[:, max(begin, 0) : end]
        begin, end = begin - n, end - n


def read_ahead(items: Iterable[_T], depth: int = 4) -> Generator[_T, None, None]:
    """Take items in a thread of their own, a few ahead of whoever uses them.

    While a network runs, the next features are made. Close it (:func:`contextlib.closing`) before what the items are
    read from: the thread has stopped when ``close`` returns.

    Parameters
    ----------
    items : iterable
        Taken one after the other. What it raises is raised here, in its turn.
    depth : int
        How many items may wait.

    Yields
    ------
    object
        The items, in their order.
    """
    waiting: Queue[tuple[bool, Any]] = Queue(depth)
    stopped = Event()

    def hand_over(is_item: bool, value: Any) -> None:
        while not stopped.is_set():
            try:
                return waiting.put((is_item, value), timeout=0.05)
            except Full:
                pass

    def work() -> None:
        try:
            for item in items:
                hand_over(True, item)
                if stopped.is_set():
                    return
            hand_over(False, None)
        except BaseException as error:
            hand_over(False, error)

    thread = Thread(target=work, name="ottava read ahead", daemon=True)
    try:
        # Ctrl-C may come while it starts, and has to wait for its end too.
        thread.start()
        while True:
            is_item, value = waiting.get()
            if is_item:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        stopped.set()
        if thread.ident is not None:
            thread.join()


def _run(network: Network, features: NDArray[np.float32], skip: int, size: int) -> dict[str, NDArray[Any]]:
    outputs = network(features)
    for name, output in outputs.items():
        if len(output) != features.shape[1]:
            raise ModelError(
                f"output {name} does not keep the number of frames",
                found=str(output.shape),
                expected=f"first axis {features.shape[1]}",
            )
    # A copy, in whatever order it lies, so that a chunk's margins are freed with it.
    return {name: output[skip : skip + size].copy("K") for name, output in outputs.items()}
