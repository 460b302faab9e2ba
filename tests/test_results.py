"""The catalogue's numbers on the real SmolLM2 against an independent float64 computation, and the survey."""

import argparse
import json

import numpy as np
import pytest

from compute import results, survey


@pytest.fixture(scope="module")
def whole(smollm2):
    """SmolLM2's matrix as the gguf package decodes it: (49152, 576) float64, and its stored bytes."""
    import gguf

    reader = gguf.GGUFReader(smollm2.catalogue.path)
    tensor = next(t for t in reader.tensors if t.name == "token_embd.weight")
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64), np.array(tensor.data)


def test_norms_and_centroid_on_the_real_model(smollm2, whole):
    gamma, _ = whole
    mu = gamma.mean(axis=0)
    centred = np.linalg.norm(gamma - mu, axis=1)
    np.testing.assert_allclose(results.centring(smollm2.catalogue)["centroid"], mu, atol=1e-12)
    measured = results.norms(smollm2.catalogue)
    np.testing.assert_allclose(measured["centred"], centred, rtol=1e-12)
    np.testing.assert_allclose(measured["raw"], np.linalg.norm(gamma, axis=1), rtol=1e-12)
    expected = {
        "mean": centred.mean(),
        "std": centred.std(),
        "min": centred.min(),
        "median": np.median(centred),
    }
    for name, value in expected.items():
        assert measured["centred_summary"][name] == pytest.approx(value, rel=1e-12)


def test_axes_on_the_real_model(smollm2, whole):
    gamma, _ = whole
    spectrum, vectors = np.linalg.eigh(np.cov(gamma.T, bias=True))
    found = results.axes(smollm2.catalogue)
    np.testing.assert_allclose(found["spectrum"], spectrum[::-1], rtol=1e-9)
    overlap = np.abs((vectors[:, ::-1][:, :3] * found["vectors"]).sum(axis=0))
    np.testing.assert_allclose(overlap, 1, atol=1e-9)
    coordinates = (gamma - gamma.mean(axis=0)) @ found["vectors"]
    np.testing.assert_allclose(found["coordinates"], coordinates, atol=1e-10)


def test_census_on_the_real_model(smollm2, whole):
    _, stored = whole
    rows = {}
    for token, row in enumerate(stored):
        rows.setdefault(row.tobytes(), []).append(token)
    holes = sorted((ids for ids in rows.values() if len(ids) > 1), key=lambda ids: (-len(ids), ids[0]))
    found = results.census(smollm2.catalogue)
    assert found["members"] == holes
    assert found["populations"] == [len(ids) for ids in holes] == [7, 4, 2, 2]
    assert found["unique_rows"] == len(rows) == 49_141
    assert found["tokens_in_holes"] == 15


def test_cosines_sampled_and_exact_agree(smollm2):
    found = results.cosines(smollm2.catalogue)
    assert abs(found["raw_sampled_mean"] - found["raw_mean"]) < 5 * found["raw_standard_error"]
    # Sum over all pairs of a centred cloud's inner products is -sum |gamma'|^2: no common direction is left
    assert abs(found["centred_mean"]) < 1e-3


def test_the_control_cloud_has_the_catalogues_size_and_spread(smollm2):
    cloud, measured = results.control(smollm2.catalogue), results.norms(smollm2.catalogue)
    assert len(cloud["norms"]) == smollm2.catalogue.n_tokens
    squares = [float((norms**2).mean()) for norms in (cloud["norms"], measured["centred"])]
    assert squares[0] == pytest.approx(squares[1], rel=0.01)  # the trace of the covariance is their common mean square


def test_survey_speaks_json_alone(smollm2, capsys):
    from compute.__main__ import main

    assert main(["survey", "smollm2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [
        "model", "storage", "n_tokens", "dim", "centroid_norm", "centred_norm", "unique_rows", "black_holes",
        "black_hole_tokens",
    ]  # fmt: skip
    assert (found["n_tokens"], found["dim"], found["storage"]) == (49_152, 576, "Q8_0")
    assert found["black_holes"] == [7, 4, 2, 2]
    assert list(found["centred_norm"]) == ["mean", "std", "min", "median", "max"]


def test_survey_for_a_reader(smollm2, capsys):
    assert survey.run(argparse.Namespace(models=["smollm2"], json=False, depth="catalog")) == 0
    text = capsys.readouterr().out
    assert "populations 7 4 2 2" in text and "49,152" in text
    assert max(map(len, text.splitlines())) <= 80


def test_survey_of_the_smoke_adds_its_keys_and_changes_none(smollm2, capsys):
    from compute.__main__ import main

    assert main(["survey", "smollm2", "--json", "--depth", "smoke"]) == 0
    found, shallow = json.loads(capsys.readouterr().out), survey.numbers("smollm2")
    assert list(found) == [*shallow, "smoke", "dead_candidates", "unreachable"]
    assert {name: found[name] for name in shallow} == shallow
    assert list(found["smoke"]) == ["core_tokens", "core_radius", "oort_tokens", "components"]
    assert (found["smoke"]["core_tokens"], found["smoke"]["oort_tokens"], found["smoke"]["components"]) == (15, 43, 44)
    assert found["dead_candidates"] == 58
    assert found["unreachable"] == {"tested": 49_152, "count": 313}
    assert main(["survey", "smollm2", "--depth", "smoke"]) == 0
    text = capsys.readouterr().out
    assert "tokens within 0.008 gamma units" in text and "of 49,152 tested" in text
    assert max(map(len, text.splitlines())) <= 80


def test_survey_of_the_smoke_without_a_tokenizer(planted_model, capsys):
    (planted_model.parent / "bare").mkdir()
    for name in ("model.safetensors", "config.json"):
        (planted_model.parent / "bare" / name).write_bytes((planted_model / name).read_bytes())
    found = survey.numbers(str(planted_model.parent / "bare"), "smoke")
    assert found["unreachable"] is None and found["smoke"]["core_tokens"] >= 3
    arguments = argparse.Namespace(models=[str(planted_model.parent / "bare")], json=False, depth="smoke")
    assert survey.run(arguments) == 0
    assert "no tokenizer to ask" in capsys.readouterr().out


def test_a_model_nobody_knows_is_one_clear_line(capsys):
    from compute.__main__ import main

    assert main(["survey", "no-such-model"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no-such-model" in captured.err and "smollm2" in captured.err and "Traceback" not in captured.err
