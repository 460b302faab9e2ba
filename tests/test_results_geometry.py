"""The eigenbasis's results: the default model against numpy, planted spectra, Qwen's numbers, odd input."""

import argparse
import json
import struct

import numpy as np
import pytest
from scipy.fft import dct

from compute import figures_geometry, reconstruction, results, results_geometry, results_geometry_tables, survey
from compute.models.weights import open_model, open_path


def catalogue_of(folder, rows):
    """A catalogue of float32 rows in a safetensors file laid out by hand."""
    stored = np.ascontiguousarray(rows, "<f4").tobytes()
    spec = {"lm_head.weight": {"dtype": "F32", "shape": list(rows.shape), "data_offsets": [0, len(stored)]}}
    header = json.dumps(spec).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + stored)
    return open_path(folder / "model.safetensors").catalogue


def cloud(spectrum, n_rows):
    """Rows (N, D) float32 whose sample covariance has exactly this spectrum, but for float32.

    The cosines of the discrete cosine transform are orthonormal, and all but the first have mean 0: scaled, they are
    rows in their own eigenbasis; a second transform turns that basis.
    """
    dim = len(spectrum)
    rows = np.zeros((n_rows, dim))
    rows[np.arange(1, dim + 1), np.arange(dim)] = np.sqrt(n_rows * spectrum)
    rows = dct(dct(rows, type=3, norm="ortho", axis=0), norm="ortho", axis=1)
    return (rows + 0.006 * np.sin(np.arange(dim))).astype(np.float32)


def everything(catalogue):
    """Every result that needs no vocabulary."""
    basis = results_geometry.eigenbasis(catalogue)
    parts = (results_geometry.spectra, results_geometry.spectrum_control, results_geometry.causal,
             results_geometry.causal_control, results_geometry.precision, results_geometry.survey)  # fmt: skip
    checks = results_geometry.checks(catalogue)
    assert all(checks["holds"]), checks
    return basis, {part.__name__: part(catalogue) for part in parts}


def test_the_default_model_against_numpy(smollm2):
    gamma = smollm2.catalogue
    rows = gamma.matrix().astype(np.float64)
    sigma = np.cov(rows.T, bias=True)
    spectrum = np.linalg.eigvalsh(sigma)[::-1]
    basis, found = everything(gamma)
    np.testing.assert_allclose(basis["spectrum"], spectrum, rtol=1e-10)
    assert basis["rank"] == 576 and basis["condition_number"] == pytest.approx(2507.28, abs=0.01)
    assert basis["participation_ratio"] == pytest.approx(70.0608, abs=1e-4)
    assert basis["trace"] == pytest.approx(np.trace(sigma), rel=1e-12)
    some = np.array([0, 1, 5000, 49151])
    centred = rows[some] - rows.mean(axis=0)
    norms = np.sqrt(np.einsum("ij,ij->i", centred @ np.linalg.inv(sigma), centred))
    np.testing.assert_allclose(found["causal"]["norms"][some], norms, rtol=1e-6)
    assert found["causal"]["mean_square"] == pytest.approx(576, rel=1e-8)
    assert found["precision"]["largest"] < 1e-5
    between = results_geometry.mapped(results_geometry.coordinates(gamma))[some[:2]].astype(np.float64)
    step = rows[0] - rows[1]
    assert np.linalg.norm(between[0] - between[1]) == pytest.approx(
        np.sqrt(step @ np.linalg.inv(sigma) @ step), rel=1e-6
    )
    np.testing.assert_array_equal(results.axes(gamma)["spectrum"], basis["spectrum"])


def test_files_are_mapped_and_holes_stay_one_point(smollm2):
    gamma = smollm2.catalogue
    z = results_geometry.mapped(results_geometry.coordinates(gamma))
    projected = results_geometry.mapped(results_geometry.projections(gamma))
    for matrix in (z, projected):
        assert isinstance(matrix, np.memmap) and not matrix.flags.writeable
        assert (matrix.shape, matrix.dtype) == ((49_152, 576), np.float32)
    for members in results.census(gamma)["members"]:
        assert (z[members] == z[members[0]]).all()
    told = results_geometry.projections(gamma)
    assert told["std"] == pytest.approx(float(np.std(projected, dtype=np.float64)), rel=1e-5)
    assert (told["min"], told["max"]) == (projected.min(), projected.max())


def test_what_the_axes_of_the_default_model_separate(smollm2):
    gamma, words = smollm2.catalogue, smollm2.vocabulary
    found = results_geometry_tables.separations(gamma, words)
    assert found["tells"][:5] == ["token id", "leading space", "leading space", "leading space", "none of these"]
    assert abs(found["column"]["correlation"][0]) == pytest.approx(0.554, abs=1e-3)
    assert found["axis"][-3:] == ["|z|", "|γ′|", "chance"] and len(found["tells"]) == 12
    assert len({len(found[name]) for name in ("axis", "about")} | {len(c) for c in found["column"].values()}) == 1
    leading = results_geometry_tables.leading_axes(gamma, words)
    z = leading["coordinates"]
    for axis, (low, high) in enumerate(zip(leading["low"], leading["high"], strict=True)):
        assert (z[low[0], axis], z[high[0], axis]) == (z[:, axis].min(), z[:, axis].max())
    assert leading["script_names"][0] == "Latin" and (leading["script"] == 0).sum() == 47_226


def test_a_small_and_hostile_vocabulary_and_none_at_all(hostile_model, tmp_path):
    named = open_model(str(hostile_model))
    rows = named.catalogue.matrix()
    bare = open_path(catalogue_of(tmp_path, rows).path)
    for model in (named, bare):
        everything(model.catalogue)
        leading = results_geometry_tables.leading_axes(model.catalogue, model.vocabulary)
        found = results_geometry_tables.separations(model.catalogue, model.vocabulary)
        assert len(leading["low_texts"]) == len(found["tells"]) == 12
        figures_geometry.leading_axes(
            leading["coordinates"], leading["script"], leading["script_names"], leading["low_texts"],
            leading["high_texts"],
        ).canvas.draw()  # fmt: skip
    assert leading["script_names"] == ["no token"] and np.isnan(found["column"]["area"][0])
    assert set(found["tells"]) <= {"none of these", "token id"}


def test_control_spectra_of_the_default_model(smollm2):
    gamma = smollm2.catalogue
    control = results_geometry.spectrum_control(gamma)
    np.testing.assert_allclose(control["variances"], gamma.matrix().var(axis=0, dtype=np.float64), rtol=1e-6)
    assert control["own"].sum() == pytest.approx(control["variances"].sum(), rel=0.01)
    assert control["equal"].sum() == pytest.approx(control["variances"].sum(), rel=0.01)
    low, high = control["edges"]
    assert low < control["equal"][-1] < control["equal"][0] < high
    assert control["above_own"] == 3


@pytest.fixture(scope="module")
def given():
    return results_geometry_tables.published()


def test_the_published_effective_dimension_is_the_metric_s(given):
    found = results_geometry_tables.qwen()
    low, high = found["bounds"]["covariance"]
    assert found["published_ratio"] == 1333 < 1600 < low < found["ratio"] < high
    low, high = found["bounds"]["metric"]
    assert low < found["published_ratio"] < high
    assert found["metric_ratio"] == pytest.approx(1333, rel=1e-6)
    assert all(verdict == "yes" for verdict in results_geometry_tables.claims()[0]["agrees"])


def test_numbers_of_no_spectrum_are_refused(given):
    import dataclasses

    with pytest.raises(ValueError, match="no spectrum has all of the published numbers"):
        reconstruction.participation_bounds(dataclasses.replace(given, metric_mean=1500.0))


def test_bounds_are_reached_and_not_passed():
    """Every spectrum with some numbers lies between the bounds that these numbers give."""
    generator = np.random.default_rng(42)
    for _ in range(2):
        s = np.sort(generator.lognormal(-8, generator.uniform(0.2, 0.8), 301))[::-1]
        given = reconstruction.Published(
            dim=301, largest=s[0], second=s[1], smallest=s[-1], trace=s.sum(), first=20, share=s[:20].sum() / s.sum(),
            ridge=1e-6, metric_mean=(1 / (s + 1e-6)).mean(), metric_median=1 / (np.median(s) + 1e-6),
        )  # fmt: skip
        assert given.median == pytest.approx(np.median(s), rel=1e-9)
        bounds = reconstruction.participation_bounds(given)
        inverse = 1 / (s + 1e-6)
        ratios = {"covariance": s.sum() ** 2 / (s @ s), "metric": inverse.sum() ** 2 / (inverse @ inverse)}
        for name, ratio in ratios.items():
            low, high = bounds[name]
            assert low * 0.995 < ratio < high * 1.005, (name, low, ratio, high)  # the grid is not infinitely fine


def test_a_matrix_with_qwen_s_published_spectrum(given, tmp_path):
    """The whole pipeline on 2,600 rows of 2,560 components gives back every published number, ridge and all."""
    told = results.record(results_geometry_tables.QWEN)
    gamma = catalogue_of(tmp_path, cloud(results_geometry_tables.qwen()["spectrum"], 2600))
    basis, spectra = results_geometry.eigenbasis(gamma), results_geometry.spectra(gamma)
    assert basis["rank"] == 2560
    assert basis["trace"] == pytest.approx(given.trace, rel=1e-5)
    assert basis["spectrum"][[0, 1, -1]] == pytest.approx([given.largest, given.second, given.smallest], rel=1e-4)
    assert spectra["cumulative"][99] == pytest.approx(given.share, rel=1e-4)
    ridged = spectra["ridged_summary"]
    published = [told[f"metric eigenvalue {name}"] for name in ("min", "max", "mean", "median")]
    assert [ridged[name] for name in ("min", "max", "mean", "median")] == pytest.approx(published, rel=1e-4)
    assert spectra["metric_summary"]["max"] == pytest.approx(104_016, rel=1e-3)
    assert spectra["ridge_shift"][-1] == pytest.approx(0.0942, abs=1e-4)


def test_qwen_s_own_weights(given, monkeypatch):
    """For whoever has them: the published numbers, to the digits that were printed."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # what is not on this disk is not fetched for a test
    try:
        gamma = open_model("Qwen/Qwen3-4B-Instruct-2507").catalogue
    except FileNotFoundError as missing:
        pytest.skip(f"the weights of Qwen3-4B-Instruct-2507 are not here: {missing}")
    told = results.record(results_geometry_tables.QWEN)
    basis, ridged = results_geometry.eigenbasis(gamma), results_geometry.spectra(gamma)["ridged_summary"]
    assert basis["trace"] == pytest.approx(given.trace, abs=1e-4)
    for name in ("min", "max", "mean", "median"):
        assert ridged[name] == pytest.approx(told[f"metric eigenvalue {name}"], rel=1e-3)
    assert results_geometry.spectra(gamma)["ridge_shift"][-1] == pytest.approx(0.094, abs=1e-3)


@pytest.mark.parametrize(("n_rows", "rank"), [(400, 14), (12, 11), (2, 1)])
def test_directions_without_variance_are_left_out(tmp_path, n_rows, rank):
    rows = np.random.default_rng(42).standard_normal((n_rows, 16)).astype(np.float32)
    rows[:, 3], rows[:, 5] = 0.5, rows[:, 4]
    basis, found = everything(catalogue_of(tmp_path, rows))
    assert basis["rank"] == rank and f"{16 - rank} of 16 eigenvalues" in basis["why_left_out"]
    assert found["causal"]["mean_square"] == pytest.approx(rank, rel=1e-5)
    assert len(found["spectra"]["metric"]) == rank and np.isfinite(found["spectra"]["metric"]).all()
    assert np.isfinite(found["spectrum_control"]["own"]).all()


@pytest.mark.parametrize("rows", [np.full((1, 4), 2.0), np.full((9, 4), 0.1), np.zeros((3, 4))])
def test_a_single_place_has_no_metric(tmp_path, rows):
    with pytest.raises(ValueError, match="at least two different rows"):
        results_geometry.causal(catalogue_of(tmp_path, rows))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_values_that_are_not_finite_are_one_clear_error(tmp_path, value):
    rows = np.random.default_rng(42).standard_normal((50, 4))
    rows[7, 2] = value
    with pytest.raises(ValueError, match="row 7 is not finite"):
        results_geometry.eigenbasis(catalogue_of(tmp_path, rows))


def test_survey_of_the_metric_adds_its_keys_and_changes_none(smollm2, capsys):
    from compute.__main__ import main

    assert main(["survey", "smollm2", "--json", "--depth", "metric"]) == 0
    found, shallow = json.loads(capsys.readouterr().out), survey.numbers("smollm2")
    names = ["covariance_eigenvalues", "metric_eigenvalues", "participation_ratio", "causal_norm"]
    assert list(found) == [*shallow, *names]
    assert {name: found[name] for name in shallow} == shallow
    assert list(found["covariance_eigenvalues"]) == ["min", "max", "mean", "median", "trace"]
    assert list(found["metric_eigenvalues"]) == ["min", "max", "mean", "median"]
    assert list(found["causal_norm"]) == ["mean", "std", "min", "max"]
    assert found["metric_eigenvalues"]["max"] == pytest.approx(1 / found["covariance_eigenvalues"]["min"])
    assert survey.run(argparse.Namespace(models=["smollm2"], json=False, depth="metric")) == 0
    text = capsys.readouterr().out
    assert "of 576 dimensions" in text and "logometers" in text
    assert max(map(len, text.splitlines())) <= 80
