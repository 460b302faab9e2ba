"""Densities, profiles, intrinsic dimensions and the verdict on the void: formulas, oracles, planted clouds."""

import mpmath
import numpy as np
import pytest
from scipy.special import gamma
from scipy.stats import binom

from compute import density, dimension, void
from compute.neighbors import nearest


def generator(seed=42):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("d", range(1, 21))
def test_ball_volumes_against_the_closed_formula(d):
    radius = np.array([0.1, 1.0, 3.7])
    exact = np.pi ** (d / 2) / gamma(d / 2 + 1) * radius**d
    np.testing.assert_allclose(density.log_ball_volume(d, np.log(radius)), np.log(exact), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("d", [1333, 2560, 100_000, 69.93])
def test_ball_volumes_against_mpmath(d):
    with mpmath.workdps(60):
        for radius in ("0.001", "9.5", "49.6121"):
            r, half = mpmath.mpf(radius), mpmath.mpf(d) / 2
            exact = half * mpmath.log(mpmath.pi) - mpmath.loggamma(half + 1) + mpmath.mpf(d) * mpmath.log(r)
            found = density.log_ball_volume(d, np.log(float(radius)))
            assert abs(found - float(exact)) <= 1e-14 * (abs(float(exact)) + d * np.log(d))


def test_no_density_overflows():
    distances = np.tile(np.geomspace(1e-30, 1e30, 20), (4, 1))
    logs = density.log_volumetric_density(distances, 2560.0)
    assert np.isfinite(logs).all()
    distances[0] = 0.0
    logs = density.log_volumetric_density(distances, 2560.0)
    assert logs[0] == np.inf and np.isfinite(logs[1:]).all()
    assert density.decades_above_median(logs)[1] == 0.0


def test_decades_can_be_read():
    distances = np.array([[1.0, 2.0], [1.0, 1.0], [1.0, 4.0]])
    decades = density.decades_above_median(density.log_volumetric_density(distances, 3.0))
    np.testing.assert_allclose(decades, [0, 3 * np.log10(2), -3 * np.log10(2)], atol=1e-12)


def test_volumetric_density_of_a_uniform_cube_is_its_number_of_points():
    points = generator().uniform(size=(20_000, 3)).astype(np.float32)
    logs = density.log_volumetric_density(nearest(points, 20).distances, 3.0)
    assert abs(np.exp(np.median(logs)) / 20_000 - 1) < 0.05


def test_black_holes_are_a_population_of_their_own():
    rows = generator().standard_normal((300, 8), dtype=np.float32)
    rows[:30] = rows[0]  # more than k of them: infinite density
    rows[50:55] = rows[50]  # fewer: some neighbours at 0, a finite density
    found = density.local_density(nearest(rows, 20).distances)
    assert np.isinf(found[:30]).all() and np.isfinite(found[30:]).all()
    profile = density.radial_profile(np.zeros(300), found, np.array([0.0, 1.0]))
    assert profile.count.tolist() == [300] and profile.infinite.tolist() == [30]
    assert profile.median[0] == np.median(found[30:])
    region = density.regions(np.zeros(300), found, (1.0, 2.0))["core"]
    assert (region.count, region.infinite, region.median) == (300, 30, np.median(found[30:]))


def test_median_band_against_resampling():
    values = generator(1).exponential(size=301)
    middle, low, high = density.median_band(values)
    draws = generator(2).integers(0, 301, (20_000, 301))
    medians = np.median(values[draws], axis=1)
    ordered = np.sort(values)
    assert middle == np.median(values)
    np.testing.assert_allclose(
        np.searchsorted(ordered, [low, high]), np.searchsorted(ordered, np.quantile(medians, [0.025, 0.975])), atol=1
    )
    drawn = density.bootstrap_medians(values, 20_000, generator(3))
    np.testing.assert_allclose(np.quantile(drawn, [0.1, 0.5, 0.9]), np.quantile(medians, [0.1, 0.5, 0.9]), rtol=0.02)


def test_the_distribution_of_resampled_medians_is_exact():
    """P(median of a resample <= j-th smallest) is a binomial tail; the Beta order statistic must give it."""
    n = 25
    drawn = density.bootstrap_medians(np.arange(n, dtype=float), 200_000, generator())
    exact = binom.sf((n - 1) // 2, n, np.arange(1, n + 1) / n)
    np.testing.assert_allclose(np.searchsorted(np.sort(drawn), np.arange(n), "right") / 200_000, exact, atol=5e-3)


def test_profile_counts_every_token_once():
    radius = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
    profile = density.radial_profile(radius, np.arange(1.0, 7.0), np.array([0.0, 1.0, 2.0, 3.0]))
    assert profile.count.tolist() == [2, 2, 2] and profile.median.tolist() == [1.5, 3.5, 5.5]
    empty = density.radial_profile(radius, np.arange(1.0, 7.0), np.array([4.0, 5.0]))
    assert empty.count.tolist() == [0] and np.isnan(empty.median).all()
    one = density.median_band(np.array([7.0]))
    assert one == (7.0, 7.0, 7.0)


def test_regions_and_their_boundaries():
    radius = generator().normal(50, 5, 5000)
    inner, outer = density.boundaries(radius)
    assert abs(inner - 40) < 0.5 and abs(outer - 60) < 0.5
    found = density.regions(radius, 1 / radius, (inner, outer))
    assert list(found) == ["core", "shell", "outer"]
    assert sum(region.count for region in found.values()) == 5000
    assert found["core"].median > found["shell"].high and found["outer"].median < found["shell"].low


def judged(rows, seed=42):
    radius = np.linalg.norm(rows.astype(np.float64), axis=1)
    matched = void.matched_cloud(radius, np.ones(rows.shape[1]), generator(seed))
    densities = [density.local_density(nearest(cloud, 10).distances) for cloud in (rows, matched)]
    chance = np.linalg.norm(generator(seed + 1).standard_normal(rows.shape), axis=1)
    return void.judge(radius, densities[0], density.boundaries(radius), chance, densities[1], generator(seed + 2))


def test_a_matched_cloud_keeps_the_radii():
    radius = generator().uniform(0, 9, 5000)
    cloud = void.matched_cloud(radius, np.ones(12), generator())
    np.testing.assert_allclose(np.linalg.norm(cloud, axis=1), radius, rtol=1e-6)
    assert np.abs((cloud / radius[:, None]).mean(axis=0)).max() < 0.03
    flat = void.matched_cloud(radius, np.array([4.0, 1.0, 0.0]), generator())
    np.testing.assert_allclose(np.linalg.norm(flat, axis=1), radius, rtol=1e-6)
    assert (flat[:, 2] == 0).all() and (np.abs(flat[:, 0]) > np.abs(flat[:, 1])).mean() > 0.6


def test_a_gaussian_cloud_has_no_void():
    verdict = judged(generator(5).standard_normal((4000, 10), dtype=np.float32))
    assert verdict.population == "like chance" and verdict.word == "no void"
    assert verdict.against_shell.word == "above"  # nearer the centre, all the others are nearer
    assert verdict.against_matched.word == "even" and "no void" in verdict.sentence


def shell_with_core(core):
    """3,000 points about a sphere of radius 4 in the first 6 of 12 dimensions, and a core."""
    rows = np.zeros((3000, 12))
    rows[:, :6] = generator(6).standard_normal((3000, 6))
    rows *= (4.0 + 0.2 * generator(7).standard_normal((3000, 1))) / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.vstack([core, rows]).astype(np.float32)


def test_a_crowded_core_is_only_few_tokens():
    crowd = 0.05 * generator(8).standard_normal((150, 12))
    crowd[:, 0] += 2.0
    verdict = judged(shell_with_core(crowd))
    assert verdict.tokens >= 150 and verdict.population == "emptier"
    assert verdict.against_shell.word == verdict.against_matched.word == "above" and verdict.word == "few tokens"


def test_lonely_tokens_in_an_empty_centre_are_a_true_void():
    lonely = np.zeros((150, 12))
    lonely[:, 6:] = generator(8).standard_normal((150, 6))
    lonely *= 2.0 / np.linalg.norm(lonely, axis=1, keepdims=True)
    verdict = judged(shell_with_core(lonely))
    assert verdict.against_matched.word == "below" and verdict.word == "true void"


def made(tokens, expected, shell, matched):
    return void.Verdict(1.0, tokens, expected, void.Ratio(*shell), void.Ratio(*matched))


NAN = (np.nan,) * 3
LOW, EVEN, HIGH = (0.5, 0.4, 0.6), (1.0, 0.9, 1.1), (2.0, 1.8, 2.2)


@pytest.mark.parametrize(
    "tokens, expected, shell, matched, word",
    [
        (50, 1000, LOW, LOW, "true void"),
        (50, 1000, HIGH, LOW, "true void"),  # matched radii outrank the shell
        (50, 1000, LOW, NAN, "true void"),
        (50, 1000, LOW, EVEN, "few tokens"),
        (50, 0, HIGH, LOW, "thin core"),
        (50, 50, LOW, LOW, "thin core"),
        (50, 0, HIGH, HIGH, "no void"),
        (50, 48, HIGH, EVEN, "no void"),
        (3, 2, NAN, NAN, "undecided"),
        (3, 500, NAN, NAN, "undecided"),
        (0, 500, NAN, NAN, "true void"),
        (0, 0, NAN, NAN, "undecided"),
    ],
)
def test_the_rule_of_the_verdict(tokens, expected, shell, matched, word):
    verdict = made(tokens, expected, shell, matched)
    assert verdict.word == word and verdict.sentence


def test_too_few_tokens_are_not_compared():
    assert void.median_ratio(np.ones(19), np.ones(500), generator()).word == "unknown"
    assert void.median_ratio(np.r_[np.ones(19), np.inf], np.ones(500), generator()).word == "unknown"
    assert void.median_ratio(np.full(20, 2.0), np.ones(500), generator()) == void.Ratio(2.0, 2.0, 2.0)


def embedded_cube(d, n_rows=4000, dim=30, seed=9):
    axes, _ = np.linalg.qr(generator(seed).standard_normal((dim, dim)))
    return (generator(seed + 1).uniform(size=(n_rows, d)) @ axes[:d]).astype(np.float32)


@pytest.mark.parametrize("d, tolerance", [(1, 0.05), (2, 0.06), (5, 0.12)])
def test_dimensions_of_embedded_cubes(d, tolerance):
    distances = nearest(embedded_cube(d), 20).distances
    for estimate in (dimension.twonn(distances), dimension.levina_bickel(distances)):
        assert abs(estimate.value / d - 1) < tolerance and 0 < estimate.error < 0.05 * d


def test_twonn_of_ideal_ratios():
    """Ratios at the quantiles of their Pareto law, F(x) = 1 - x^-d, lie on the line exactly."""
    share = np.arange(1, 1000) / 1000
    ratio = np.append((1 - share) ** (-1 / 7.5), 1e9)
    assert dimension.twonn(np.stack([np.ones(1000), ratio], axis=1)).value == pytest.approx(7.5, rel=1e-12)
    assert dimension.twonn(np.stack([np.ones(1000), ratio], axis=1), 0.0).value == pytest.approx(7.5, rel=1e-12)


def test_local_dimension_by_hand():
    distances = np.array([[1.0, 2.0, 4.0]])
    assert dimension.local_dimension(distances)[0] == pytest.approx(1 / np.log(8))


def test_dimensions_refuse_what_has_none():
    with pytest.raises(ValueError, match="3 rows have a neighbour at distance 0"):
        dimension.twonn(np.array([[0.0, 1.0]] * 3 + [[1.0, 2.0]]))
    with pytest.raises(ValueError, match="k >= 3"):
        dimension.levina_bickel(np.ones((5, 2)))
    with pytest.raises(ValueError, match="grid"):
        dimension.twonn(np.ones((50, 2)))
    with pytest.raises(ValueError, match="5 rows have all their neighbours at one distance"):
        dimension.levina_bickel(np.ones((5, 4)))
