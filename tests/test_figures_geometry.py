"""The figures of the eigenbasis draw whatever a catalogue brings: few axes, axes without variance, hostile names."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from compute import figures_geometry as figures

HOSTILE = ["$x^2$", "การ", "<b>", "\\frac", "_a", "אב"]


def drawn(figure, tmp_path):
    """The figure, saved as the site saves it; every warning is an error."""
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 1000
    return figure


def test_spectra(tmp_path):
    measured = np.array([3.0, 1.0, 1e-3, 0.0])
    axes = drawn(figures.spectrum(measured, measured[::-1] + 1, np.ones(4), (0.5, 1.5)), tmp_path).axes
    assert [len(line.get_xdata()) for line in axes[0].lines] == [4, 4, 3]  # 0 has no logarithm
    drawn(figures.ridge({"one": np.array([0.1, 0.2]), "two": np.linspace(0.01, 0.1, 50)}), tmp_path)
    share = np.array([0.7, 0.9, 1.0])
    axes = drawn(figures.cumulative(share, share, 1.7), tmp_path).axes[0]
    assert axes.lines[1].get_ydata() == pytest.approx(100 * share)


def test_norms(tmp_path):
    generator = np.random.default_rng(42)
    norms, norm = generator.normal(24, 3, 500), np.linspace(10, 40, 301)
    drawn(figures.causal_norms(norms, norm, np.exp(-((norm - 24) ** 2))), tmp_path)
    for holes in ([], [3, 5]):
        drawn(figures.norms_compared(generator.normal(2, 0.1, 500), norms, np.array(holes, int), 24.0), tmp_path)


@pytest.mark.parametrize("count", [1, 3])
def test_leading_axes(tmp_path, count):
    z = np.random.default_rng(42).standard_normal((300, count))
    script = np.arange(300) % 2
    figure = drawn(
        figures.leading_axes(z, script, ["Latin", "no script"], [HOSTILE] * count, [HOSTILE] * count), tmp_path
    )
    assert len(figure.axes) == count
    assert r"\$x^2\$" in figure.axes[0].texts[0].get_text()
