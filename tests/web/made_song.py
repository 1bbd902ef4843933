"""A small made-up song: its notes as a Result, and a recording that plays exactly these notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from ottava.results import Notes, Result

RATE_HZ = 22_050
BEAT_S = 0.5
CHORDS = [(57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62)]  # Am F C G
MELODY = [76, 74, 72, 74, 76, 79, 77, 76, 72, 71, 72, 74, 76, 72, 71, 67]


def make_notes(bars: int = 12) -> Notes:
    """Four beats a bar: broken chords, bass, strings, a tune from bar 5 on, and a drum kit."""
    rng = np.random.default_rng(7)
    rows: list[tuple[float, float, int, int, str]] = []
    for bar in range(bars):
        chord, bar_s = CHORDS[bar % 4], bar * 4 * BEAT_S
        arpeggio = (*chord, chord[1] + 12)
        rows.extend((bar_s + k * BEAT_S / 2, 0.42, arpeggio[k % 4], 70, "keys") for k in range(8))
        for beat, length in ((0, 0.8), (1.5, 0.22), (2, 0.8), (3.5, 0.2)):
            rows.append((bar_s + beat * BEAT_S, length, chord[0] - 24, 92, "bass"))
        if bar >= 2:
            rows.extend((bar_s, 4 * BEAT_S - 0.06, pitch + 12, 48, "bowed") for pitch in chord[:2])
        if bar >= 4:
            rows.extend((bar_s + b * BEAT_S, BEAT_S * 0.9, MELODY[(bar * 4 + b) % 16], 96, "voice") for b in range(4))
        if bar >= 1:
            rows.extend((bar_s + b * BEAT_S, 0.05, (36, 38)[b % 2], 105, "drums") for b in range(4))
            rows.extend((bar_s + b * BEAT_S / 2, 0.05, 42, 60 + 20 * (b % 2 == 0), "drums") for b in range(8))
            if bar % 4 == 3:
                fill_s = bar_s + 3 * BEAT_S
                rows.extend((fill_s + k * BEAT_S / 4, 0.05, (48, 47, 45, 43)[k], 90, "drums") for k in range(4))
            if bar % 4 == 0:
                rows.append((bar_s, 0.05, 49, 110, "drums"))
    start, length, pitch, velocity, instrument = zip(*rows, strict=True)
    start_s = np.clip(np.array(start) + rng.normal(0, 0.006, len(rows)), 0, None)
    return Notes(
        start_s,
        start_s + np.array(length),
        pitch,
        np.clip(np.array(velocity) + rng.integers(-9, 10, len(rows)), 1, 127),
        rng.uniform(0.55, 1, len(rows)),
        instrument,
    ).sorted()


def synthesise(notes: Notes, duration_s: float) -> np.ndarray:
    """Decaying partials for notes, a falling sine or noise for drum hits; float32 mono at RATE_HZ."""
    rng = np.random.default_rng(8)
    sound = np.zeros(int(duration_s * RATE_HZ))
    for note in notes.rows():
        drum = note["instrument"] == "drums"
        length_s = 0.25 if drum else note["end_s"] - note["start_s"]
        begin = int(note["start_s"] * RATE_HZ)
        t = np.arange(min(int(length_s * RATE_HZ), len(sound) - begin)) / RATE_HZ
        if drum and note["pitch_midi"] in (36, 43, 45, 47, 48):
            tone = np.sin(2 * np.pi * (note["pitch_midi"] * 2 - 20) * t * np.exp(-2 * t)) * np.exp(-t * 18)
        elif drum:
            tone = rng.normal(0, 0.5, len(t)) * np.exp(-t * (22 if note["pitch_midi"] == 38 else 60))
        else:
            hz = 440 * 2 ** ((note["pitch_midi"] - 69) / 12)
            tone = sum(np.sin(2 * np.pi * hz * k * t) / k**1.5 for k in range(1, 6) if hz * k < RATE_HZ / 2)
            tone = tone * np.exp(-t * 2.5) * np.minimum(1, (t[-1] - t) / 0.02)
        sound[begin : begin + len(t)] += tone * (note["velocity"] / 127) ** 2 * 0.25
    return (0.9 * sound / np.abs(sound).max()).astype(np.float32)


def make_result(notes: Notes, source: str, duration_s: float, **more: object) -> Result:
    fields = {
        "system": "transcription",
        "model": "transcription@0f3a9c21b7de",
        "settings": {"onset_threshold": 0.5, "frame_threshold": 0.3, "instruments": None, "drums": True},
        "version": "0.1.0",
        "elapsed_s": 0.6,
    }
    return Result(source=source, payloads={"notes": notes}, duration_s=duration_s, **(fields | more))  # type: ignore[arg-type]


def make_song(path: Path, bars: int = 12) -> Result:
    """Write the recording to a file and return its Result."""
    notes = make_notes(bars)
    duration_s = bars * 4 * BEAT_S + 0.5
    soundfile.write(path, synthesise(notes, duration_s), RATE_HZ)
    return make_result(notes, str(path), duration_s)
