"""Features against sinusoids, librosa and themselves in pieces."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottava.errors import UsageError
from ottava.signal.framing import iter_frames
from ottava.signal.logfreq import LogFrequency
from ottava.signal.mel import LogMel, hz_to_mel, mel_to_hz

RATE = 16000


def sinusoid(hz, seconds=1.0, level_db=0.0):
    t = np.arange(int(seconds * RATE)) / RATE
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def midi_to_hz(pitch):
    return 440 * 2 ** ((pitch - 69) / 12)


@pytest.mark.parametrize("pitch", [33, 45, 57, 69, 81, 93, 105])
@pytest.mark.parametrize("level_db", [0, -20, -60])
def test_a_sinusoid_peaks_in_the_middle_of_its_semitone_at_its_level(pitch, level_db):
    features = LogFrequency().features(sinusoid(midi_to_hz(pitch), level_db=level_db))
    middle = features[:, features.shape[1] // 2]
    for channel in middle if pitch >= 57 else middle[:1]:  # the short window is blind to the lowest octaves
        assert channel.argmax() == 3 * (pitch - 21) + 1
        assert channel.max() == pytest.approx(1 + level_db / 100, abs=0.025)  # within 2.5 dB


def test_a_semitone_up_is_a_shift_of_three_bins():
    low, high = (LogFrequency().features(sinusoid(midi_to_hz(p)))[0, 20] for p in (76, 77))
    near = slice(3 * (76 - 21) - 6, 3 * (76 - 21) + 9)
    shifted = slice(near.start + 3, near.stop + 3)
    assert np.abs(low[near] - high[shifted]).max() < 0.06


def test_silence_is_zero_and_nothing_is_nothing():
    extractor = LogFrequency()
    assert (extractor.features(np.zeros(5000, np.float32)) == 0).all()
    assert extractor.features(np.zeros(0, np.float32)).shape == (2, 0, 288)
    assert LogMel().features(np.zeros(0, np.float32)).shape == (0, 229)


@pytest.mark.parametrize("extractor", [LogFrequency(), LogMel()], ids=["log-frequency", "log-mel"])
@pytest.mark.parametrize("n", [1, 383, 384, 385, 384 * 64, 384 * 64 + 1, 512 * 64 - 1, 200_000])
def test_a_stream_gives_bit_for_bit_the_features_of_the_whole(extractor, n):
    sound = np.random.default_rng(n).normal(0, 0.1, n).astype(np.float32)
    whole = extractor.features(sound)
    cuts = [0, n // 7, n // 7, n // 2, n]
    pieces = list(extractor.stream(sound[a:b] for a, b in itertools.pairwise(cuts)))
    time_axis = whole.ndim - 2
    assert np.array_equal(np.concatenate(pieces, axis=time_axis), whole)
    assert whole.shape[time_axis] == extractor.count_frames(n) == -(-n // extractor.hop)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 3000),
    half=st.integers(1, 60),
    hop=st.integers(1, 120),
    block=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 3000), max_size=4),
)
def test_frames_are_what_a_slow_loop_cuts(n, half, hop, block, cuts):
    window, hop = 2 * half, min(hop, 2 * half)
    sound = np.arange(1, n + 1, dtype=np.float32)
    edges = sorted({0, n, *(c for c in cuts if c <= n)})
    blocks = [sound[a:b] for a, b in itertools.pairwise(edges)]
    found = [frame for part in iter_frames(blocks, window, hop, block_frames=block) for frame in part]
    padded = np.concatenate([np.zeros(half), sound, np.zeros(window)])
    expected = [padded[t : t + window] for t in range(0, n, hop)]
    assert len(found) == len(expected)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_frames_refuse_a_hop_that_leaves_gaps():
    with pytest.raises(UsageError, match="window 8 and hop 9"):
        next(iter_frames([np.zeros(100, np.float32)], 8, 9))


def test_log_mel_is_librosas():
    librosa = pytest.importorskip("librosa", reason="librosa is the referee")
    sound = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    extractor = LogMel()
    power = librosa.feature.melspectrogram(
        y=sound, sr=RATE, n_fft=2048, hop_length=512, n_mels=229, fmin=30, fmax=8000, pad_mode="constant"
    )
    expected = np.log(power + 1e-5).T[: extractor.count_frames(len(sound))]
    assert np.abs(extractor.features(sound) - expected).max() < 2e-4


def test_mel_scale_is_librosas():
    librosa = pytest.importorskip("librosa", reason="librosa is the referee")
    hz = np.array([0.0, 30, 440, 999, 1000, 1001, 4000, 8000])
    assert np.allclose(hz_to_mel(hz), librosa.hz_to_mel(hz))
    assert np.allclose(mel_to_hz(hz_to_mel(hz)), hz)


def test_log_frequency_agrees_with_librosas_constant_q():
    librosa = pytest.importorskip("librosa", reason="librosa is the referee")
    chord = sum(sinusoid(midi_to_hz(p), 2.0, -12) for p in (57, 64, 69, 76, 85))
    extractor = LogFrequency()
    ours = extractor.features(chord)[0, 40]
    theirs = np.abs(
        librosa.cqt(chord, sr=RATE, hop_length=384, fmin=extractor.centres_hz[0], n_bins=280, bins_per_octave=36)
    )[:, 40]
    peaks = [int(b) for b in np.argsort(theirs)[::-1] if theirs[b] == theirs[max(b - 2, 0) : b + 3].max()][:5]
    found = [int(b) for b in np.argsort(ours)[::-1] if ours[b] == ours[max(b - 2, 0) : b + 3].max()][:5]
    assert sorted(peaks) == sorted(found)
