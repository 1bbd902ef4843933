"""The measures of the structure claims, on networks made up for the purpose whose answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

CLAIMS = Path(__file__).parents[2] / "benchmarks/claims"
if not CLAIMS.exists():
    pytest.skip("the benchmarks are not in this distribution", allow_module_level=True)
sys.path.insert(0, str(CLAIMS))

import structure_measures as measures  # noqa: E402

RNG = np.random.default_rng(0)


class Pointing:
    """Codes that say "as bar k" or hold the bar: what the paper hopes for."""

    def encode(self, symbols):
        n, bars, _ = symbols.shape
        source = measures.first_equal(symbols)
        mean = np.concatenate([source[..., None], np.where(source[..., None] >= 0, 0, symbols)], 2).astype(np.float32)
        weights = np.zeros((n, 1, bars, bars), np.float32)
        for t in range(n):
            for i in range(bars):
                weights[t, 0, i, source[t, i] if source[t, i] >= 0 else i] = 1
        return measures.Coded(mean, np.where(source >= 0, 1.0, 10.0).astype(np.float32), {"made": weights})

    def write(self, codes, symbols):
        written = np.zeros(symbols.shape, np.int64)
        for t in range(len(codes)):
            for i, code in enumerate(codes[t]):
                written[t, i] = written[t, int(code[0])] if code[0] >= 0 else code[1:]
        return written

    force = write


class ByHeart(Pointing):
    """Codes that hold each bar: what a VAE of single bars has."""

    def encode(self, symbols):
        coded = super().encode(symbols)
        mean = np.concatenate([np.full((*symbols.shape[:2], 1), -1), symbols], 2).astype(np.float32)
        return measures.Coded(mean, np.full(symbols.shape[:2], 10, np.float32), coded.attention)


@pytest.fixture(scope="module")
def tunes():
    bars = RNG.integers(2, 40, (40, 8, 6))
    bars[::2, 4:6] = bars[::2, :2]  # A B C D A B E F
    bars[1::2, 2] = bars[1::2, 1]  # A B B C D E F G
    return bars


def test_equal_bars(tunes):
    assert measures.first_equal(tunes)[0].tolist() == [-1, -1, -1, -1, 0, 1, -1, -1]
    assert measures.first_equal(tunes)[1].tolist() == [-1, -1, 1, -1, -1, -1, -1, -1]
    assert (measures.first_equal(np.zeros((1, 4, 6), int)) == -1).all()
    mixed, came_from = measures.shuffle_bars(tunes, np.random.default_rng(1))
    np.testing.assert_array_equal(np.take_along_axis(mixed, came_from[..., None], 0), tunes)
    assert sorted(map(bytes, mixed[:, 3])) == sorted(map(bytes, tunes[:, 3]))
    assert (measures.first_equal(mixed) >= 0).mean() < 0.02


@pytest.mark.parametrize(("coder", "ratio", "follows"), [(Pointing(), 0.1, 1.0), (ByHeart(), 1.0, 0.0)])
def test_what_is_stored_and_what_follows(tunes, coder, ratio, follows):
    coded = coder.encode(tunes)
    found = measures.reconstruction(coder, tunes, coded)
    assert found["free"].tolist() == found["forced"].tolist() == [1.0] * 40
    assert found["nats"][0] == coded.nats[0].sum()
    assert measures.position_matched(measures.stored_at_repeats(tunes, coded)) == pytest.approx(ratio)
    changed = measures.edits(coder, tunes, coded, np.random.default_rng(2))
    assert len(changed) == 40
    assert np.mean([row["whole"] for row in changed]) == follows
    assert np.nanmax([row["elsewhere"] for row in changed]) == 0


def test_attention_and_transfer(tunes):
    coder = Pointing()
    coded = coder.encode(tunes)
    (head,) = measures.attention_at_repeats(tunes, coded)
    assert head["mass"] == 1
    assert head["control"] == 0
    assert head["chance"] == pytest.approx(np.mean([1 / 5, 1 / 6, 1 / 3]), abs=0.02)
    moved = measures.context_transfer(coder, tunes, coded, np.random.default_rng(3))
    assert all(row["to_form"] == 1 for row in moved)
    assert all(row["first_bar"] == 1 for row in moved)
    assert all(row["to_content"] < 1 for row in moved)


def test_intervals_hold_the_mean():
    values = np.random.default_rng(4).normal(3, 1, 400)
    low, high = measures.interval(values, np.random.default_rng(5))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.2)
    assert all(np.isnan(measures.interval([], np.random.default_rng(0))))
