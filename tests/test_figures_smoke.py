"""The figures of the smoke draw whatever a catalogue brings: no hole, one row, names in any script."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from compute import figures_smoke
from compute.smoke import structure

NAMES = ["⟨U+0000⟩", "การ$x^2$", "<|im_start|>", "漢字", "$PostalCodesNL", "\\frac", "_a_", "אב", "😀"]


def drawn(figure, tmp_path):
    """The figure, saved as the site saves it; every warning is an error."""
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 1000
    return figure


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_smoke_as_a_chart(tmp_path, count):
    rng = np.random.default_rng(42)
    rows = rng.normal(0, 1, (count, 12))
    laid = structure.sphere(rows, rows[0], resolution=0.01)
    populations = np.arange(count, 0, -1)
    names = NAMES[:count]
    axes = drawn(figures_smoke.sphere(laid.positions, populations, names, 0.01), tmp_path).axes[0]
    shown = np.linalg.norm(axes.collections[0].get_offsets(), axis=1)
    assert shown == pytest.approx(np.log10(1 + laid.distance / 0.01))  # the rings are true
    edges = np.array([[0, count - 1]]) if count > 1 else np.zeros((0, 2), dtype=int)
    turned = figures_smoke.turnable(laid.positions, populations, names, laid.distance, edges)
    assert len(turned.data[1].x) == count and "tokens" in turned.data[1].text[0] or count == 1
    assert len(turned.data[0].x) == 3 * len(edges)


def test_names_of_any_script_on_the_ladder(tmp_path):
    distance = np.geomspace(0.01, 2, len(NAMES))
    figure = figures_smoke.ladder(NAMES, distance, [i == 2 for i in range(len(NAMES))], (0.001, 0.01))
    labels = [text.get_text() for text in drawn(figure, tmp_path).axes[0].get_yticklabels()]
    assert labels[4] == r"\$PostalCodesNL"
    assert "⟨U+0E01⟩" in labels[1]
    assert labels[2] == "<|im_start|>"


def test_profile_and_shells(tmp_path):
    distance = np.concatenate([np.zeros(5), [0.1, 0.3], np.random.default_rng(42).normal(3, 0.2, 500)])
    drawn(figures_smoke.profile(distance, 0.0, 2.1, 0.01, 0.1), tmp_path)
    axes = drawn(figures_smoke.profile(distance, 0.0, 2.1, 0.01, None), tmp_path).axes[0]
    assert axes.lines[0].get_ydata().max() == len(distance)
    drawn(figures_smoke.shells(np.array([0.1, 1, 10]), np.array([0, 5]), np.array([0, 2])), tmp_path)


def test_components_and_distances(tmp_path):
    axes = drawn(figures_smoke.components([0, 1, 4], [9, 5, 1], 9), tmp_path).axes[0]
    assert axes.lines[0].get_ydata().tolist() == [9, 5, 1, 1]
    drawn(figures_smoke.components([0], [1], 1), tmp_path)
    drawn(figures_smoke.distances(np.array([[0, 3], [3, 0]]), ["0: 5", "1: 2"]), tmp_path)
    drawn(
        figures_smoke.places(np.array([[0, 0, 0], [0, -8, 2]]), ["1 (107)", "2 (114)", "3 (118)"], ["a", "b"]), tmp_path
    )


def test_indicators_causes_and_families(tmp_path):
    rng = np.random.default_rng(42)
    distance = np.concatenate([np.zeros(3), rng.normal(3, 0.1, 200)])
    values = rng.random(203)
    drawn(figures_smoke.indicator(values, distance, np.arange(5), np.array([1, 100]), "1 − cosine"), tmp_path)
    drawn(figures_smoke.causes(["single byte", "merges"], [13, 0], [113, 0], [115, 4]), tmp_path)
    told = {"one": (np.geomspace(1e-9, 1e-7, 4), np.sort(rng.integers(0, 99, (4, 3)), axis=1))}
    figure = drawn(figures_smoke.families(told, 13, "black holes", "gamma units"), tmp_path)
    assert "simulation" in figure.axes[0].get_title()
