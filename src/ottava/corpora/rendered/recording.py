"""From clean sound to a recording: room, microphone, noise, gain, a lossy codec.

Every stage takes and returns mono float32 sound and draws its strength from the generator that it is given.
"""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

__all__ = ["add_noise", "add_room", "convolve", "equalise", "pass_codec", "record", "set_level"]


def convolve(sound: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sound through a filter given by its response to an impulse, as long as before."""
    size = 1 << int(np.ceil(np.log2(max(len(sound) + len(response), 2))))
    spectrum = np.fft.rfft(sound, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(sound)].astype(np.float32)


def add_room(sound: NDArray[np.float32], rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Put the sound into a room: a direct path, a few early reflections, and coloured, decaying noise."""
    decay_s = 10 ** rng.uniform(-0.9, 0.35)  # time to fall by 60 dB: 0.13 to 2.2 s
    ratio_db = rng.uniform(-2, 25)  # direct over reverberant energy
    length = int(decay_s * rate_hz)
    t = np.arange(length) / rate_hz
    tail = rng.normal(0, 1, length) * 10 ** (-3 * t / decay_s)
    # High frequencies die sooner: mix in a smoothed copy that takes over with time.
    smooth = np.convolve(tail, np.ones(5) / 2.2, "same")
    share = np.clip(t / decay_s * rng.uniform(0.5, 3), 0, 1)
    tail = (1 - share) * tail + share * smooth
    tail[: int(rng.uniform(0.001, 0.02) * rate_hz)] = 0
    for _ in range(rng.integers(0, 8)):
        at = int(rng.uniform(0.002, 0.06) * rate_hz)
        if at < length:
            tail[at] += rng.normal(0, 3)
    energy = np.sqrt(np.sum(tail**2)) + 1e-9
    response = np.zeros(length + 1, np.float32)
    response[1:] = tail / energy * 10 ** (-ratio_db / 20)
    response[0] += 1
    return convolve(sound, response)


def equalise(sound: NDArray[np.float32], rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Colour the sound by a smooth random response: tilt, bumps, and sometimes a band limit."""
    size = 1 << int(np.ceil(np.log2(max(len(sound), 2))))
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    octave = np.log2(np.maximum(hz, 20) / 20)
    knots = np.linspace(0, octave[-1], 9)
    db = np.interp(octave, knots, rng.normal(0, rng.uniform(0, 6), len(knots)))
    db += rng.normal(0, 1.5) * (octave - 5)
    if rng.random() < 0.35:
        db -= 24 * np.clip(np.log2(rng.uniform(30, 140) / np.maximum(hz, 1)), 0, None)
    if rng.random() < 0.35:
        db -= 24 * np.clip(np.log2(np.maximum(hz, 1) / rng.uniform(2500, 8000)), 0, None)
    gain = 10 ** (np.clip(db, -70, 24) / 20)
    coloured: NDArray[np.float32] = np.fft.irfft(np.fft.rfft(sound, size) * gain, size)[: len(sound)].astype(np.float32)
    return coloured


def add_noise(sound: NDArray[np.float32], rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Add coloured noise and sometimes mains hum, 25 to 75 dB below the sound."""
    size = 1 << int(np.ceil(np.log2(max(len(sound), 2))))
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    colour = np.maximum(hz, 20) ** (-rng.uniform(0, 1.1))  # white to brown, in amplitude
    phase = np.exp(2j * np.pi * rng.random(len(hz)))
    noise = np.fft.irfft(colour * phase, size)[: len(sound)]
    if rng.random() < 0.2:
        mains_hz = rng.choice([50, 60])
        t = np.arange(len(sound)) / rate_hz
        for n in range(1, 6):
            noise += np.std(noise) * rng.uniform(0, 1) * np.sin(2 * np.pi * mains_hz * n * t + n)
    below_db = rng.uniform(25, 75)
    scale = np.sqrt(np.mean(sound**2) + 1e-12) / (np.std(noise) + 1e-12) * 10 ** (-below_db / 20)
    return np.asarray(sound + scale * noise, np.float32)


def set_level(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Set the peak to a random level, from -24 to 0 dB, now and then driven a little into clipping."""
    peak = np.abs(sound).max(initial=1e-9)
    level_db = rng.uniform(0, 4) if rng.random() < 0.05 else rng.uniform(-24, 0)
    return np.asarray(np.clip(sound / peak * 10 ** (level_db / 20), -1, 1), np.float32)


def pass_codec(sound: NDArray[np.float32], rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Encode with Vorbis or Opus at a random quality and decode again; neither shifts the sound in time."""
    subtype = str(rng.choice(["VORBIS", "OPUS"]))
    packed = io.BytesIO()
    with soundfile.SoundFile(
        packed, "w", rate_hz, 1, subtype, format="OGG", compression_level=float(rng.uniform(0.3, 0.95))
    ) as file:
        for i in range(0, len(sound), 1 << 16):  # libsndfile's encoders overflow the stack on huge writes
            file.write(sound[i : i + (1 << 16)])
    packed.seek(0)
    decoded, decoded_hz = soundfile.read(packed, dtype="float32")
    if decoded_hz != rate_hz:
        import soxr

        decoded = soxr.resample(decoded, decoded_hz, rate_hz)
    result = np.zeros_like(sound)
    n = min(len(sound), len(decoded))
    result[:n] = decoded[:n]
    return result


def record(sound: NDArray[np.float32], rng: np.random.Generator, *, rate_hz: int) -> NDArray[np.float32]:
    """Pass the sound through all stages, each left out now and then, so that clean sound occurs too."""
    if rng.random() < 0.8:
        sound = add_room(sound, rng, rate_hz=rate_hz)
    if rng.random() < 0.85:
        sound = equalise(sound, rng, rate_hz=rate_hz)
    if rng.random() < 0.8:
        sound = add_noise(sound, rng, rate_hz=rate_hz)
    sound = set_level(sound, rng)
    if rng.random() < 0.2:
        sound = pass_codec(sound, rng, rate_hz=rate_hz)
    return sound
