"""Mutual information against what is known: channels, independence, constants, slow loops."""

from __future__ import annotations

import numpy as np
import pytest

from ottava.errors import InputError, UsageError
from ottava.systems.flow.estimators import Binned, Copula, Ksg
from ottava.systems.flow.information import (
    information_coefficient,
    pairwise_information,
    pointwise_information,
    significant,
)
from ottava.systems.flow.ranks import bin_columns, rank_columns

METHODS = {"binned": Binned(), "gaussian-copula": Copula(), "ksg": Ksg(threads=1)}
EACH = pytest.mark.parametrize("name", METHODS)
N = 500


def gaussians(rho: float, n: int = N, seeds: int = 30):
    """Pairs of columns with a correlation: x of each seed beside y of the same."""
    rng = np.random.default_rng(1)
    x, noise = rng.normal(size=(2, n, seeds))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


def matching(method, x, y):
    """Information of each column with the one at the same place."""
    return np.array([method.pairs(x[:, [i]], y[:, [i]])[0, 0] for i in range(x.shape[1])])


@EACH
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_a_gaussian_channel(name, rho):
    found = matching(METHODS[name], *gaussians(rho))
    assert found.mean() == pytest.approx(-0.5 * np.log(1 - rho**2), abs=0.06)


@EACH
def test_what_a_rectifier_cuts_off_tells_nothing(name):
    x, y = (np.maximum(v, 0) for v in gaussians(0.0))
    assert matching(METHODS[name], x, y).mean() == pytest.approx(0, abs=0.06)


@EACH
def test_a_rectified_channel_tells_something(name):
    x, noise = gaussians(0.0)
    assert 0.3 < matching(METHODS[name], np.maximum(x, 0), np.maximum(x + 0.5 * noise, 0)).mean() < 0.7


@EACH
def test_a_dead_unit_tells_nothing(name):
    x, _ = gaussians(0.0)
    dead = np.full_like(x, 3.7)
    for a, b in ((x, dead), (dead, x), (dead, dead)):
        assert not METHODS[name].pairs(a, b).any()


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_a_noisy_channel_of_few_levels(levels):
    """A level is passed on with probability 0.8, else any at random: the information is known."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, levels, (40000, 1)).astype(float)
    y = np.where(rng.random((40000, 1)) < 0.8, x, rng.integers(0, levels, (40000, 1)))
    same, other = 0.8 + 0.2 / levels, 0.2 / levels
    truth = np.log(levels) + same * np.log(same) + (levels - 1) * other * np.log(other)
    assert Binned().pairs(x, y)[0, 0] == pytest.approx(truth, abs=0.01)
    few = x[:3000], y[:3000]
    assert Ksg().pairs(*few)[0, 0] == pytest.approx(Binned().pairs(*few)[0, 0], abs=0.01)


@pytest.mark.parametrize("name", ["binned", "gaussian-copula"])
def test_monotone_maps_change_nothing(name):
    x, y = gaussians(0.6)
    method = METHODS[name]
    np.testing.assert_array_equal(method.pairs(x, y), method.pairs(np.exp(x), y**3 + y))
    np.testing.assert_allclose(method.pairs(x, y), method.pairs(-x, y), atol=0.02)


@EACH
def test_all_pairs_equal_one_pair_at_a_time(name, monkeypatch):
    x, y = gaussians(0.5, 200, 6)
    x = np.maximum(x, 0)
    whole = METHODS[name].pairs(x, y[:, :4])
    single = [[METHODS[name].pairs(x[:, [i]], y[:, [j]])[0, 0] for j in range(4)] for i in range(6)]
    np.testing.assert_allclose(whole, single, atol=1e-9)
    monkeypatch.setattr("ottava.systems.flow.estimators._TILE_BYTES", 4000)
    np.testing.assert_allclose(METHODS[name].pairs(x, y[:, :4]), whole, atol=1e-9)


def test_bins_against_a_table_made_by_hand():
    x, y = gaussians(0.7, 300, 1)
    codes = [bin_columns(rank_columns(v), 6)[:, 0] for v in (x, y)]
    table = np.zeros((6, 6))
    np.add.at(table, tuple(codes), 1 / 300)
    expected = np.outer(table.sum(1), table.sum(0))
    plain = (table[table > 0] * np.log(table[table > 0] / expected[table > 0])).sum()
    corrected = plain + (6 + 6 - (table > 0).sum() - 1) / (2 * 300)
    assert Binned(6).pairs(x, y)[0, 0] == pytest.approx(corrected, abs=1e-6)


def test_equal_values_share_a_bin_and_an_atom_has_its_own():
    values = np.concatenate([np.zeros(40), np.arange(1, 61)])[:, None]
    codes = bin_columns(rank_columns(values), 10)[:, 0]
    assert len(set(codes[:40])) == 1
    assert codes[0] not in codes[40:]
    assert np.bincount(codes[40:]).max() <= 11


def slow_ksg(x, y, k):
    """The estimator by its definition, with distances of all pairs."""
    n = len(x)
    near = np.maximum(np.abs(x[:, None] - x), np.abs(y[:, None] - y))
    digamma = np.concatenate([[-np.inf], -np.euler_gamma + np.cumsum(np.r_[0, 1 / np.arange(1, n + 1)])])
    total = 0.0
    for i in range(n):
        radius = np.sort(near[i])[k]
        dx, dy = np.abs(x - x[i]), np.abs(y - y[i])
        if radius == 0:
            neighbours, nx, ny = (near[i] == 0).sum(), (dx == 0).sum(), (dy == 0).sum()
        else:
            neighbours, nx, ny = k, (dx < radius).sum(), (dy < radius).sum()
        total += digamma[neighbours] + np.log(n) - digamma[nx] - digamma[ny]
    return total / n


@pytest.mark.parametrize("k", [1, 3, 5])
def test_ksg_against_its_definition(k):
    rng = np.random.default_rng(3)
    # On a grid, so that distances tie; with atoms at 0.
    x = np.maximum(rng.integers(-20, 21, 300) / 8, 0)
    for y in (np.maximum(x + rng.integers(-8, 9, 300) / 8, 0), rng.integers(0, 3, 300) / 1.0, rng.normal(size=300)):
        assert Ksg(k).pairs(x[:, None], y[:, None])[0, 0] == pytest.approx(slow_ksg(x, y, k), abs=1e-9)


def test_the_printed_equation_fails_on_ties():
    """What equation 6 says as it stands: two constants would share minus 4.7 nats."""
    dead = np.zeros((N, 1))
    assert Ksg(literal=True).pairs(dead, dead)[0, 0] == pytest.approx(-4.708, abs=1e-3)


@EACH
def test_points_average_to_pairs(name):
    x, y = gaussians(0.6, 120, 3)
    x[:, 1] = np.maximum(x[:, 1], 0)
    points = pointwise_information(x, y, np.arange(120), estimator=METHODS[name])
    assert points.shape == (120, 3, 3)
    assert points.min() < 0 < points.max()
    pairs = pairwise_information(x, y, estimator=METHODS[name], clip=False)
    np.testing.assert_allclose(points.mean(0), pairs, atol=1e-6)


def test_points_average_to_pairs_where_ranks_are_equal():
    x = np.random.default_rng(0).normal(size=(100, 1))
    points = Copula().points(x, np.exp(x), np.arange(100))
    np.testing.assert_allclose(points.mean(0), Copula().pairs(x, np.exp(x)), atol=1e-9)


def test_neighbours_are_the_same_far_from_0():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1))
    y = 0.8 * x + 0.6 * rng.normal(size=(400, 1))
    np.testing.assert_allclose(Ksg().pairs(x + 1e6, y - 1e6), Ksg().pairs(x, y), atol=1e-3)


def test_chance_is_screened_as_what_was_found_is():
    """Of pairs that share nothing, none stay, though most have the larger of two other estimates."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 30)), rng.normal(size=(200, 30))
    y[:, 7] = x[:, 3]
    found = pairwise_information(x, y, estimator=Ksg(), screen=0.02)
    kept = significant(found, x, y, estimator=Ksg(), screen=0.02)
    assert kept[3, 7]
    assert kept.sum() <= 3


def test_chance_is_drawn_from_a_part_of_many_pairs(monkeypatch):
    from ottava.systems.flow import information

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 60)), rng.normal(size=(200, 60))
    y[:, :30] += 2 * x[:, :30]
    found = pairwise_information(x, y)
    whole = significant(found, x, y)
    monkeypatch.setattr(information, "_CHANCE_PAIRS", 900)
    part = significant(found, x, y)
    assert part[np.arange(30), np.arange(30)].all()
    assert abs(int(part.sum()) - int(whole.sum())) <= 4
    assert not significant(pairwise_information(x, y[:, 30:]), x, y[:, 30:]).sum() > 3


def test_screening_asks_the_estimator_for_the_best_pairs_only():
    x, y = gaussians(0.8, 200, 8)
    asked = []

    class Counted:
        def pairs(self, a, b):
            asked.append(a.shape[1] * b.shape[1])
            return Ksg(threads=1).pairs(a, b)

    found = pairwise_information(x, y, estimator=Counted(), screen=8 / 64)
    assert sum(asked) == 8
    np.testing.assert_allclose(np.diag(found), np.maximum(np.diag(Ksg().pairs(x, y)), 0))


def test_chance_is_told_from_channels():
    right = wrong = 0
    rng = np.random.default_rng(5)
    for seed in range(8):
        x, y = rng.normal(size=(2, 400, 30))
        y[:, :5] += 0.5 * x[:, :5]
        x[:, 29] = 0
        kept = significant(pairwise_information(x, y), x, y, rate=0.05, seed=seed)
        assert not kept[29].any()
        right += kept[range(5), range(5)].sum()
        wrong += kept.sum() - kept[range(5), range(5)].sum()
    assert right >= 0.9 * 40
    assert wrong <= 0.15 * (right + wrong)


def test_significance_of_shuffled_samples_is_rare():
    x, y = gaussians(0.7, 300, 20)
    shuffled = np.random.default_rng(9).permutation(y)
    kept = significant(pairwise_information(x, shuffled), x, shuffled, seed=4)
    assert kept.mean() < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (20, 1), (4, 5)])
@pytest.mark.parametrize("estimator", ["binned", "gaussian-copula"])
def test_few_pairs_that_share_nothing_are_rarely_significant(shape, estimator):
    """Of two hundred tables of nothing, at a rate of .05, ten have a pair that stands out; by chance up to 24."""
    rng = np.random.default_rng(2)
    wrong = 0
    for seed in range(200):
        x, y = rng.normal(size=(100, shape[0])), rng.normal(size=(100, shape[1]))
        found = pairwise_information(x, y, estimator=estimator)
        kept = significant(found, x, y, estimator=estimator, seed=seed)
        assert not kept[found == 0].any()
        wrong += kept.any()
    assert wrong <= 24


def test_a_single_pair_can_stand_out():
    x, y = gaussians(0.9, 100, 1)
    assert significant(pairwise_information(x, y), x, y).all()
    for options in ({"rate": 0.0}, {"shuffles": 0}):
        with pytest.raises(UsageError, match="out of range"):
            significant(pairwise_information(x, y), x, y, **options)


def test_information_coefficient_is_the_correlation():
    rho = np.array([0, 0.3, 0.99])
    np.testing.assert_allclose(information_coefficient(-0.5 * np.log(1 - rho**2)), rho, atol=1e-12)
    assert information_coefficient([-1.0, 50.0]).tolist() == [0.0, 1.0]


def test_negative_estimates_are_nothing_unless_asked_for():
    x, y = gaussians(0.0, 300, 10)
    assert (pairwise_information(x, y, clip=False) < 0).any()
    assert (pairwise_information(x, y) >= 0).all()


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.ones((3, 2)), np.ones((3, 2)), "too few samples"),
        (np.ones((20, 2)), np.ones((21, 2)), "not the same samples"),
        (np.ones((20, 2, 2)), np.ones((20, 1)), "3 axes"),
        (np.array([["a"] * 2] * 20), np.ones((20, 1)), "no real numbers"),
    ],
)
def test_bad_samples_are_refused(x, y, said):
    with pytest.raises(InputError, match=said):
        pairwise_information(x, y)


def test_the_column_that_is_not_finite_is_named():
    x = np.ones((20, 5))
    x[7, 3] = np.nan
    with pytest.raises(InputError, match="not finite") as caught:
        pairwise_information(x, np.ones((20, 1)))
    assert "the first is 3" in str(caught.value.found)


def test_unknown_estimators_and_settings_are_refused():
    x = np.ones((20, 1))
    for options in ({"estimator": "mine"}, {"screen": 0.0}, {"screen": 1.5}):
        with pytest.raises(UsageError):
            pairwise_information(x, x, **options)
    for make in (lambda: Binned(1), lambda: Ksg(0), lambda: Ksg(30).pairs(x, x)):
        with pytest.raises(UsageError):
            make()
    with pytest.raises(UsageError, match="no such sample"):
        pointwise_information(x, x, [20])
