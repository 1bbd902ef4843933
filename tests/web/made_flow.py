"""A small flow map: two inputs, of places and of one row, a hidden layer and one answer."""

from __future__ import annotations

import numpy as np

from ottava.results import FlowMap, Payload, Result


def make_flow(**payloads: Payload) -> Result:
    """Return a result with the map, and with more payloads."""
    layers = ["sound"] * 6 + ["<word>"] * 2 + ["hidden"] * 3 + ["answer"]
    units = [*range(6), 0, 1, 0, 1, 2, 0]
    edges = {
        ("sound", "hidden"): np.eye(6, 3),
        ("<word>", "hidden"): [[0, 0.5, 0], [0, 0, 0]],
        ("hidden", "answer"): [[1.0], [0.5], [0]],
    }
    share = np.array([0.4, 0.1, 0, 0, 0, 0, 0.1, 0, 0.5, 0.5, 0, 1])
    signs = np.where(np.arange(12) % 2, -1, 1)
    axes = {"sound": (("window", 0, 1), ("time_s", 1.5, 0.25), ("pitch_midi", 60, 1))}
    flow = FlowMap(layers, units, share, share * signs, edges, {"sound": (1, 2, 3)}, axes, ("answer",))
    settings = {"question": "note <3>: C4 at 1.60 s"}
    return Result("flow", "transcription@0", "song.wav", {"flow": flow, **payloads}, settings=settings)
