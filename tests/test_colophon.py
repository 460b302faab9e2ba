"""The colophon lists the results that are kept, and computes none of those that are not."""

from compute import colophon, results


def test_only_what_is_kept_is_listed_and_nothing_is_computed(planted_model, tmp_path, monkeypatch):
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))
    model = results.model(str(planted_model))
    before = colophon.cache(model)
    assert "soundness" in before["result"] and "norms" not in before["result"]
    assert before["kept as"][before["result"].index("soundness")] == "cache"
    assert "shipped" in before["kept as"]  # the long runs, which are of no model

    made = results.norms(model.catalogue).provenance
    after = colophon.cache(model)
    row = after["result"].index("norms")
    assert (after["seconds"][row], after["computed"][row]) == (made.seconds, made.date)
    assert after["key"][row] == made.key[:12]
