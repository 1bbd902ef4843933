"""Sounds to work on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 22050


def write_tune(path: Path, seconds: float = 2.0) -> Path:
    """Write a few decaying tones with overtones, half a second each."""
    time_s = np.arange(int(0.5 * RATE_HZ)) / RATE_HZ
    tones = [
        sum(np.sin(2 * np.pi * k * 440 * 2 ** ((pitch - 69) / 12) * time_s) / k**1.5 for k in range(1, 9))
        * np.exp(-4 * time_s)
        for pitch in (60, 64, 67, 72, 67, 64)
    ]
    repeats = int(np.ceil(seconds / (0.5 * len(tones))))
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = np.tile(np.concatenate(tones), repeats)[: int(seconds * RATE_HZ)]
    soundfile.write(path, 0.2 * sound, RATE_HZ)
    return path
