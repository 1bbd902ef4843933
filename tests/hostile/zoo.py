"""Make a zoo of sound files that go wrong in every way we know. ``python zoo.py FOLDER`` shows it."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 44100
LENGTH_S = 4.0


def tone(rate_hz: int = RATE_HZ, length_s: float = LENGTH_S, frequency_hz: float = 440.0) -> np.ndarray:
    """Return a sinusoid of amplitude 0.5, with a little noise so that no codec makes it too small to cut."""
    time_s = np.arange(round(rate_hz * length_s)) / rate_hz
    noise = np.random.default_rng(7).normal(0, 0.02, len(time_s))
    return (0.5 * np.sin(2 * np.pi * frequency_hz * time_s) + noise).astype(np.float32)


def encode(samples: np.ndarray, rate_hz: int, format: str, subtype: str | None = None) -> bytes:
    data = io.BytesIO()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(data, "w", rate_hz, channels, subtype, format=format) as file:
        for begin in range(0, len(samples), 4096):  # Vorbis overflows the stack on long blocks
            file.write(samples[begin : begin + 4096])
    return data.getvalue()


def wav_with_sizes(data_size: int, present: int) -> bytes:
    """Return a 16-bit mono WAV whose data chunk claims ``data_size`` bytes and holds ``present``."""
    samples = (tone() * 32767).astype("<i2").tobytes()[:present]
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    head += struct.pack("<4sI", b"data", data_size)
    return struct.pack("<4sI4s", b"RIFF", min(data_size + 36, 2**32 - 1), b"WAVE") + head + samples


def make(folder: Path) -> dict[str, Path]:
    """Write all of them into ``folder`` and return them by name."""
    wav = encode(tone(), RATE_HZ, "WAV", "PCM_16")
    flac = encode(tone(), RATE_HZ, "FLAC")
    ogg = encode(tone(length_s=20), RATE_HZ, "OGG", "VORBIS")
    mp3 = encode(tone(), RATE_HZ, "MP3")
    noise = np.random.default_rng(3).bytes
    spoilt_nan, spoilt_inf = tone(), np.stack([tone(), tone()], axis=1)
    spoilt_nan[RATE_HZ * 3] = np.nan
    spoilt_inf[RATE_HZ * 2, 1] = np.inf
    animals = {
        "zero.wav": b"",
        "zero.mp3": b"",
        "one_byte.wav": b"R",
        "image.mp3": b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + noise(3000),
        "page.wav": b"<!DOCTYPE html><html><body>404 not found</body></html>" * 20,
        "noise.mp3": noise(20000),
        "noise.wav": noise(20000),
        "only_header.wav": wav[:44],
        "only_header.mp3": mp3[:300],
        "only_header.flac": flac[:100],
        "cut.wav": wav[: len(wav) // 2],
        "cut.mp3": mp3[: len(mp3) // 2],
        "cut.flac": flac[: len(flac) // 2],
        "cut.ogg": ogg[: len(ogg) // 2],
        "holed.mp3": mp3[: len(mp3) // 2] + noise(800) + mp3[len(mp3) // 2 + 800 :],
        "large_hole.mp3": mp3[: len(mp3) // 2] + noise(3000) + mp3[len(mp3) // 2 + 3000 :],
        "claims_a_gigabyte.wav": wav_with_sizes(10**9, 2 * RATE_HZ),
        "from_a_pipe.wav": wav_with_sizes(2**32 - 1, 2 * RATE_HZ),
        "joined.mp3": mp3 + mp3,
        "big_tag.mp3": b"ID3\x04\x00\x00" + bytes([1, 0, 0, 0]) + bytes(2**21) + mp3,
        "big_chunk.wav": wav[:12] + struct.pack("<4sI", b"LIST", 2**21) + bytes(2**21) + wav[12:],
        "one_hertz.wav": wav[:24] + struct.pack("<I", 1) + wav[28:],
        "nan.wav": encode(spoilt_nan, RATE_HZ, "WAV", "FLOAT"),
        "inf.wav": encode(spoilt_inf, RATE_HZ, "WAV", "FLOAT"),
        "no_samples.wav": encode(tone()[:0], RATE_HZ, "WAV", "PCM_16"),
        "one_sample.wav": encode(tone()[:1], RATE_HZ, "WAV", "PCM_16"),
        "click.wav": encode(np.eye(1, 2205, dtype=np.float32)[0], RATE_HZ, "WAV", "PCM_16"),
        "silence.flac": encode(np.zeros(RATE_HZ, np.float32), RATE_HZ, "FLAC"),
        "8_bit.wav": encode(tone(8000), 8000, "WAV", "PCM_U8"),
        "96_khz.flac": encode(tone(96000), 96000, "FLAC", "PCM_24"),
        "6_channels.wav": encode(np.tile(tone()[:, None], (1, 6)), RATE_HZ, "WAV", "PCM_16"),
        "wav_named.mp3": wav,
        "mp3_named.wav": mp3,
        "headerless.raw": noise(20000),
        "no_suffix": wav,
        "größe 音 [live].wav": wav,
    }
    for name, data in animals.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in animals}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    print("\n".join(map(str, make(target).values())))
