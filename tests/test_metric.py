"""The eigenbasis against numpy in float64, planted spectra, the record's ridge, and input without a metric."""

import numpy as np
import pytest

from compute import catalog, metric, residuals


def in_blocks(rows, size=700):
    return ((start, rows[start : start + size]) for start in range(0, len(rows), size))


def cloud(spectrum, n_rows, seed=42, offset=0.01):
    """Rows with about the given covariance eigenvalues on random axes, away from the origin."""
    generator = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(generator.standard_normal((len(spectrum), len(spectrum))))
    rows = generator.standard_normal((n_rows, len(spectrum))) * np.sqrt(spectrum)
    return (rows @ axes.T + offset * generator.standard_normal(len(spectrum))).astype(np.float32)


def basis_of(rows, dtype=np.float32):
    mu = catalog.centroid(in_blocks(rows))
    sigma = metric.covariance(in_blocks(rows), mu, dtype)
    return metric.eigenbasis(mu, sigma), sigma


def causal(rows, basis):
    out = np.empty((len(rows), basis.rank), np.float32)
    return metric.project(in_blocks(rows), basis.whitening, basis.mu, out)


def in_float64(rows):
    """numpy's own covariance and spectrum, descending, in float64 throughout."""
    sigma = np.cov(rows.astype(np.float64).T, bias=True)
    return sigma, np.linalg.eigvalsh(sigma)[::-1]


STEEP = np.geomspace(1e-2, 1e-5, 120)
ROWS = cloud(STEEP, 6000)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-11)])
def test_covariance_and_spectrum_against_numpy(dtype, tolerance):
    sigma, spectrum = in_float64(ROWS)
    basis, found = basis_of(ROWS, dtype)
    assert np.linalg.norm(found - sigma, 2) <= tolerance / 10 * spectrum[0]
    np.testing.assert_allclose(basis.spectrum, spectrum, rtol=tolerance)
    np.testing.assert_allclose(basis.metric, 1 / spectrum, rtol=tolerance)
    assert basis.rank == 120 and "all 120 eigenvalues" in basis.why_left_out


@pytest.mark.parametrize("size", [1, 64, 5000])
def test_block_size_changes_nothing_beyond_rounding(size):
    rows = ROWS[:2000]
    mu = catalog.centroid(in_blocks(rows, size))
    np.testing.assert_allclose(mu, rows.astype(np.float64).mean(axis=0), rtol=0, atol=1e-16)
    sigma = metric.covariance(in_blocks(rows, size), mu)
    assert np.abs(sigma - metric.covariance(in_blocks(rows), mu)).max() <= 1e-6 * np.abs(sigma).max()


def test_whitening_against_numpy():
    basis, _ = basis_of(ROWS)
    z = causal(ROWS, basis)
    wide = (ROWS.astype(np.float64) - basis.mu) @ basis.axes / np.sqrt(basis.spectrum)
    assert np.abs(z - wide).max() <= 2e-5 * np.abs(wide).max()
    np.testing.assert_allclose(np.cov(wide.T, bias=True), np.eye(120), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_identities_hold_within_what_rounding_explains(dtype):
    basis, sigma = basis_of(ROWS, dtype)
    z = causal(ROWS, basis)
    projected = metric.project(in_blocks(ROWS), basis.axes, np.zeros(120), np.empty_like(ROWS))
    norms = np.linalg.norm(ROWS.astype(np.float64), axis=1)
    found = [
        residuals.orthonormality(basis),
        residuals.inversion(basis, sigma),
        residuals.unit_covariance(in_blocks(z), basis, dtype),
        residuals.norm_recovery(norms, projected),
    ]
    for residual in found:
        assert residual.holds and residual.measured > residual.expected / 100, residual


def test_identities_can_fail():
    basis, sigma = basis_of(ROWS)
    bent = metric.Eigenbasis(basis.mu, basis.spectrum, basis.axes * 1.000001, basis.floor, basis.rank)
    assert not residuals.orthonormality(bent).holds
    assert not residuals.inversion(bent, sigma).holds
    z = causal(ROWS, basis)
    z[:, -1] *= 1.0001
    assert not residuals.unit_covariance(in_blocks(z), basis).holds
    norms = np.linalg.norm(ROWS.astype(np.float64), axis=1)
    assert not residuals.norm_recovery(norms * 1.00001, ROWS).holds


def test_smollm2_against_numpy(smollm2):
    rows = smollm2.catalogue.rows(np.arange(0, 49152, 8))
    sigma, spectrum = in_float64(rows)
    basis, found = basis_of(rows)
    np.testing.assert_allclose(basis.spectrum, spectrum, rtol=1e-5)
    assert np.linalg.norm(found - sigma, 2) <= 1e-6 * spectrum[0]
    assert residuals.unit_covariance(in_blocks(causal(rows, basis)), basis).holds


def test_axes_point_where_their_strongest_component_is_positive():
    basis, _ = basis_of(ROWS)
    strongest = np.abs(basis.axes).argmax(axis=0)
    assert (basis.axes[strongest, np.arange(120)] > 0).all()


def deficient(n_rows, dim=40):
    rows = cloud(np.ones(dim), n_rows)
    rows[:, 3] = 0.7
    rows[:, 5] = rows[:, 4]
    return rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_rows, rank", [(1000, 38), (60, 38), (20, 19), (2, 1)])
def test_directions_without_variance_are_left_out(n_rows, rank, dtype):
    rows = deficient(n_rows)
    basis, sigma = basis_of(rows, dtype)
    assert basis.rank == rank
    assert f"{40 - rank:,} of 40 eigenvalues" in basis.why_left_out
    z = causal(rows, basis)
    assert z.shape == (n_rows, rank) and np.isfinite(z).all()
    np.testing.assert_allclose(np.cov(z.astype(float).T, bias=True), np.eye(rank), atol=2e-5)
    assert residuals.inversion(basis, sigma).holds


def test_no_variance_at_all_is_an_error():
    for rows in (np.full((1, 4), 2.5, np.float32), np.full((9, 4), 0.1, np.float32), np.zeros((3, 4), np.float32)):
        with pytest.raises(ValueError, match="at least two different rows"):
            basis_of(rows)


def test_no_rows_and_bad_rows_are_errors():
    with pytest.raises(ValueError, match="at least one"):
        catalog.centroid(iter(()))
    rows = ROWS[:1000].copy()
    rows[800, 7] = np.nan
    with pytest.raises(ValueError, match="row 800 is not finite"):
        catalog.centroid(in_blocks(rows))


def test_axes_that_a_draw_can_mix_are_not_separate():
    assert metric.separate_axes(np.array([4.0, 2.0, 1.0, 0.995, 0.5]), 20_000) == 2
    assert metric.separate_axes(np.array([4.0, 2.0]), 20_000) == 1
    assert metric.separate_axes(np.array([4.0]), 20_000) == 0


def test_numbers_of_a_spectrum_by_hand():
    spectrum = np.array([4.0, 2.0, 1.0, 1.0])
    assert metric.participation_ratio(spectrum) == 64 / 22
    assert metric.participation_ratio(np.ones(7)) == 7.0
    assert metric.condition_number(spectrum) == 4.0
    assert metric.cumulative_variance(spectrum).tolist() == [0.5, 0.75, 0.875, 1.0]


def test_the_record_s_ridge():
    """The published extremes of Qwen3-4B-Instruct-2507 follow from its covariance eigenvalues and the ridge."""
    kept = np.array([0.01048719, 9.61387e-06])
    ridged, shift = metric.ridge_shift(kept)
    np.testing.assert_allclose(ridged, [95.35, 94217.94], rtol=1e-4)
    np.testing.assert_allclose(ridged, (1 - shift) / kept, rtol=1e-12)
    assert 0.09 < shift[1] < 0.10 and shift[0] < 1e-4


def test_chance_keeps_between_the_marchenko_pastur_edges():
    n_rows, dim = 8000, 400
    rows = np.random.default_rng(7).standard_normal((n_rows, dim), dtype=np.float32) * np.float32(0.3)
    spectrum = basis_of(rows)[0].spectrum
    low, high = metric.marchenko_pastur_edges(0.09, n_rows, dim)
    assert low * 0.98 < spectrum[-1] < low * 1.05 and high * 0.95 < spectrum[0] < high * 1.02
    grid = np.linspace(low * 0.9, high * 1.1, 20001)
    density = metric.marchenko_pastur_density(grid, 0.09, n_rows, dim)
    share = np.cumsum(density) * (grid[1] - grid[0])
    assert abs(share[-1] - 1) < 1e-4
    seen = np.searchsorted(np.sort(spectrum), grid) / dim
    assert np.abs(seen - share).max() < 0.01


def test_a_memory_map_can_take_the_coordinates(tmp_path):
    basis, _ = basis_of(ROWS)
    out = np.lib.format.open_memmap(tmp_path / "z.npy", "w+", np.float32, (len(ROWS), basis.rank))
    metric.project(in_blocks(ROWS), basis.whitening, basis.mu, out)
    out.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy", mmap_mode="r"), causal(ROWS, basis))


def test_the_quantiles_of_chance_are_the_eigenvalues_of_chance():
    for n_rows, dim in ((3000, 150), (100, 160)):
        rows = np.random.default_rng(5).standard_normal((n_rows, dim)) * 0.3
        spectrum = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
        expected = metric.marchenko_pastur_spectrum(0.09, n_rows, dim)
        off = np.abs(spectrum - expected)  # most at the edges, where eigenvalues fluctuate most
        assert off.max() < 0.05 * expected[0] and off.mean() < 0.01 * expected[0]
        assert (np.diff(expected) <= 0).all() and expected.sum() == pytest.approx(0.09 * dim, rel=0.01)


def test_uncorrelated_spectra_without_drawing_a_row():
    """Bartlett's triangle against rows that were drawn: the same eigenvalues on average, at each rank."""
    generator, variances = np.random.default_rng(42), np.array([4.0, 2.0, 1.0, 0.5])
    for n_rows in (40, 4, 3):
        short = np.mean([metric.uncorrelated_spectrum(variances, n_rows, generator) for _ in range(3000)], axis=0)
        rows = generator.standard_normal((3000, n_rows, 4)) * np.sqrt(variances)
        rows -= rows.mean(axis=1, keepdims=True)
        long = np.linalg.eigvalsh(np.einsum("kij,kil->kjl", rows, rows) / n_rows)[:, ::-1].mean(axis=0)
        np.testing.assert_allclose(short, long, rtol=0.05, atol=0.01)


def test_chance_norms_against_scipy():
    from scipy import stats

    norm = np.linspace(0, 80, 500)
    for rank in (1, 2, 576, 2560):
        mean, std, density = metric.chance_norms(rank, norm)
        assert (mean, std) == pytest.approx((stats.chi(rank).mean(), np.sqrt(rank - mean**2)), rel=1e-9)
        np.testing.assert_allclose(density[1:], stats.chi(rank).pdf(norm[1:]), rtol=1e-8, atol=1e-300)
