"""What the chapter on the lattice says, asserted: on the formats, on Qwen's published bits, on SmolLM2's."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from compute import (
    figures_lattice,
    figures_quantization,
    lattice,
    results,
    results_lattice,
    results_quantization,
    rounding,
)
from compute.models.weights import open_path


def test_the_measures_part_where_the_chapter_says():
    bfloat, parting = results_lattice.formats(), results_lattice.parting(reach=256)
    assert bfloat["values"] == 65_279 and bfloat["ordinal_of_one"] == 0x3F80
    # four whole binades lie on the map, and one pattern of a fifth: only squares on the diagonal agree, and edges
    assert parting["agreeing"] == pytest.approx(4 * 128**2 / 513**2, abs=0.003)
    assert parting["hops_of_one"] + parting["hops_of_half"] == parting["hops"]
    assert parting["hops_of_half"] == 2 * 253  # the feet of the normal binades above the lowest, of either sign
    assert parting["across_cells"] == 2 * bfloat["typical_ordinal"]
    assert parting["from_zero_record"] > 1e38
    same_binade = np.abs(parting["ends"] - 0.0234) < 0.0078
    np.testing.assert_array_equal(parting["record"][same_binade], parting["cells"][same_binade])


def test_most_of_a_unit_normal_cloud_cannot_take_the_first_step():
    updates = results_lattice.updates()
    assert updates["published"] == pytest.approx(0.617, abs=0.001)
    assert updates["intended"] < 1e-12
    assert 8 <= updates["cells_intended"] < 9
    for share in updates["shares"].values():
        assert (np.diff(share) >= -1e-12).all()  # a wider cloud is never easier to move


def test_decay_is_a_no_operation_at_the_recipe():
    decay = results_lattice.decay()
    assert decay["normal_moved"] == 0 and decay["normal_weights"] == 254 * 128
    assert decay["least"] == 2.0 ** decay["least_power"] == 2**-9 and decay["all_move"] <= 2**-8
    below = decay["shrinks"] < decay["least"]
    assert (decay["cells"][:, below] == 0).all() and (decay["cells"][:, decay["shrinks"] > 2**-8] > 0).all()
    # the weight cancels: all binades of normal numbers are alike
    normal = decay["threshold"][255:].reshape(-1, 128)
    np.testing.assert_allclose(normal, np.broadcast_to(normal[0], normal.shape), rtol=1e-15)


def test_decay_alone_over_the_length_of_the_published_runs():
    fates = results_lattice.decay_fates(weights=200, steps=1000)
    assert fates["nearest"] == 1
    assert fates["exact"] == pytest.approx(np.exp(-0.01), rel=1e-4)
    assert fates["stochastic"] == pytest.approx(fates["exact"], abs=0.002)


def test_the_second_moment_cannot_fall():
    moment = results_lattice.second_moment(active=2000, silent=500)
    assert moment["kept_named"].tolist() == [0, 0, 0, 128]
    assert (rounding.kept_mantissas(np.linspace(moment["all_kept_from"], 1, 50))).all()
    assert moment["stored_end"] == moment["stored_top"]
    low, high = moment["ceiling"]
    assert 0.25 < low < 0.27 and 0.5 < high < 0.513


def test_the_phases_of_the_published_constellation():
    holes = results_lattice.constellation()
    assert (holes["holes"], holes["components"], holes["dim"]) == (13, 20, 2560)
    assert holes["linf"].max() == 11 and holes["l2"].max() < np.sqrt(holes["dim"])
    assert holes["phases"] == {"frozen": 0, "late": int((holes["linf"] == 1).sum()), "midlife": 68, "early": 0}
    assert holes["single_hops"] == (holes["l1"] == 1).sum() == 4
    assert holes["track_late"]


def test_the_constellation_would_not_survive_quantization():
    few = results_quantization.survivors(trials=200)
    assert few["holes"] == 13 and few["all_apart"] == 0
    assert few["low"] == 1 and few["median"] <= 3 and few["high"] <= 7
    assert few["largest"].min() >= 814 and few["largest"].max() <= 2100
    other = results_quantization.survivors(trials=200, seed=7)
    assert few["rows"].mean() == pytest.approx(other["rows"].mean(), abs=0.4)


def test_the_default_catalogue_is_coarser_than_bfloat16(smollm2):
    steps = results_quantization.steps(smollm2.catalogue)
    assert steps["stored_so"] and steps["padded"] == 0 and steps["finer"] == 0
    assert steps["share"].sum() == pytest.approx(1)  # the histogram's edges leave nobody out
    assert steps["ratio_quantiles"][1] == pytest.approx(6.4, abs=0.1)
    assert steps["hops"][10] == 11 and (np.diff(steps["unseen"]) <= 0).all()
    assert 0.7 < steps["unseen"][0] < 0.85
    # by hand, on a thousand rows
    scales, quants = (part[:1000].astype(float) for part in _taken_apart(smollm2.catalogue.stored(0, 1000)))
    weight = scales[..., None] * quants
    ratio = np.broadcast_to(scales[..., None], weight.shape)[quants != 0] / lattice.ulp(
        rounding.round_nearest(weight[quants != 0])
    )
    assert np.median(ratio) == pytest.approx(steps["ratio_quantiles"][1], rel=0.2)


def _taken_apart(stored):
    blocks = stored.reshape(len(stored), -1, 34)
    return blocks[..., :2].copy().view("<f2")[..., 0], blocks[..., 2:].view(np.int8)


def test_boxes_of_the_default_catalogue(smollm2):
    boxes = results_quantization.boxes(smollm2.catalogue)
    assert boxes["sizes"].shape == (smollm2.catalogue.n_tokens,)
    assert f"of all {smollm2.catalogue.n_tokens:,} rows" in boxes["hole_sentence"]
    assert boxes["median"] > smollm2.catalogue.dim * np.log10(4)


def test_a_model_in_another_format_and_of_an_odd_width_still_has_a_chapter(planted_model):
    catalogue = open_path(planted_model).catalogue
    assert catalogue.storage == "BF16" and catalogue.dim % 32
    steps, ladder = results_quantization.steps(catalogue), results_quantization.spacings(catalogue)
    assert not steps["stored_so"] and steps["padded"] == 20
    assert ladder["band"] == steps["scale_quantiles"]
    boxes = results_quantization.boxes(catalogue)
    assert boxes["hole_sentence"].startswith("In the row of its largest black hole")
    assert boxes["sizes"].shape == (catalogue.n_tokens,)


def test_every_figure_is_drawn_and_says_its_units(smollm2):
    parting, updates, decay = results_lattice.parting(32), results_lattice.updates(), results_lattice.decay()
    holes, steps = results_lattice.constellation(), results_quantization.steps(smollm2.catalogue)
    ladder = results_quantization.spacings(smollm2.catalogue)
    moment = results_lattice.second_moment(active=2000, silent=500)
    fates = results_lattice.decay_fates(weights=200, steps=1000)
    drawn = [
        figures_lattice.parting(*(parting[name] for name in ("offsets", "difference", "ends", "cells", "record"))),
        figures_lattice.lost_updates(
            *(updates[name] for name in ("weight", "half_cell", "spreads", "shares", "marks"))
        ),
        figures_lattice.decay_map(decay["shrinks"], decay["cells"], decay["marks"], colour_map="viridis"),
        figures_lattice.decay_thresholds(decay["weight"], decay["threshold"], decay["marks"]),
        figures_lattice.decay_fates(fates["steps"], fates["norms"]),
        figures_lattice.second_moment(*(moment[name] for name in ("forgetting", "kept", "marks", "exact", "stored"))),
        figures_lattice.regimes(*(holes[name] for name in ("linf", "l2", "dim", "track_linf", "track_l2")), "pairs"),
        figures_quantization.spacings(ladder["weight"], ladder["spacing"], ladder["band"], "here"),
        figures_quantization.coarseness(steps["edges"], steps["share"], steps["hops"], steps["unseen"], {"x": 11}),
        figures_quantization.survivors(np.array([1, 2, 2, 3]), 13),
    ]
    for figure in drawn:
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
        for axes in figure.axes:
            shared = [peer.get_xlabel() for peer in axes.get_shared_x_axes().get_siblings(axes)]
            assert axes.get_ylabel() and (any(shared) or axes.get_label() == "<colorbar>")


def test_published_words_that_the_chapter_quotes():
    assert results.record("Goldilocks")["weight decay 0.01 against 0"] == "identical"
