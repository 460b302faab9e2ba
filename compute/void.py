"""Is the void at small norm a true void, or only few tokens? Control clouds, and the rule that answers.

In high dimension nearly every point of a Gaussian cloud lies close to one radius: an empty centre is what chance
gives. So the core is held against two controls: a Gaussian cloud (how many points would chance put there?) and a
cloud with the catalogue's own radii in random directions (how dense would so many points be there?).
Chapter: Density.
"""

from dataclasses import dataclass

import numpy as np

from compute.density import bootstrap_medians

FEWEST = 20  # tokens below which no median is compared
DRAWS = 10_000


def matched_cloud(
    radius: np.ndarray, variances: np.ndarray, generator: np.random.Generator, rows: int = 4096
) -> np.ndarray:
    """Points with the given radii (N,) in the directions of a normal cloud: (N, R) float32, in the radii's unit.

    variances: (R,) of that cloud on its axes; equal ones make all directions equally likely.
    """
    cloud, scale = np.empty((len(radius), len(variances)), np.float32), np.sqrt(variances)
    for start in range(0, len(radius), rows):
        direction = generator.standard_normal((min(rows, len(radius) - start), len(scale))) * scale  # (rows, R)
        direction *= (radius[start : start + rows] / np.linalg.norm(direction, axis=1))[:, None]
        cloud[start : start + rows] = direction
    return cloud


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians with its bootstrap interval; NaN where one side has fewer than `FEWEST` tokens."""

    value: float
    low: float
    high: float

    @property
    def word(self) -> str:
        """Where the interval lies from 1: "above", "below" or "even"; "unknown" where there is none."""
        if np.isnan(self.value):
            return "unknown"
        return "above" if self.low > 1 else "below" if self.high < 1 else "even"


@dataclass(frozen=True)
class Verdict:
    """What the core is: how many tokens against chance, how dense against the shell and against matched radii."""

    core_radius: float
    tokens: int  # in the core
    expected: int  # points of the Gaussian control in the core
    against_shell: Ratio  # core median density over shell median density
    against_matched: Ratio  # the same ratio, over that of the control with matched radii

    @property
    def population(self) -> str:
        """Whether the counts differ by more than three deviations: "fuller", "emptier" or "like chance"."""
        spread = 3 * np.sqrt(self.tokens + self.expected)
        if abs(self.tokens - self.expected) <= spread:
            return "like chance"
        return "fuller" if self.tokens > self.expected else "emptier"

    @property
    def word(self) -> str:
        """One of "undecided", "true void", "thin core", "few tokens" and "no void".

        A core is thin where its tokens are lonelier than matched radii explain (than the shell, without such a
        control). Thin and emptier than chance is a true void; emptier but not thin is only few tokens;
        otherwise there is no void. Too few tokens decide nothing, unless chance would have put many there.
        """
        judged = self.against_shell if self.against_matched.word == "unknown" else self.against_matched
        if judged.word == "unknown":
            return "true void" if self.population == "emptier" and self.tokens == 0 else "undecided"
        if judged.word == "below":
            return "true void" if self.population == "emptier" else "thin core"
        return "few tokens" if self.population == "emptier" else "no void"

    @property
    def sentence(self) -> str:
        """The verdict in words, to be read in a chapter."""
        reasons = {
            "undecided": f"with {self.tokens} tokens that close to the centre, nothing can be decided",
            "true void": "the centre is a true void: emptier than chance, and what is there is lonely",
            "thin core": "there are as many tokens near the centre as chance gives or more, but lonely ones",
            "few tokens": "near the centre there are only few tokens, and they are no lonelier than others",
            "no void": "there is no void: the centre holds no fewer tokens than chance gives, and no lonelier ones",
        }
        return reasons[self.word]


def median_ratio(top: np.ndarray, bottom: np.ndarray, generator: np.random.Generator, level: float = 0.95) -> Ratio:
    """Ratio of the medians of two sets of values, infinite ones left out, with its bootstrap interval."""
    top, bottom = top[np.isfinite(top)], bottom[np.isfinite(bottom)]
    if min(len(top), len(bottom)) < FEWEST:
        return Ratio(np.nan, np.nan, np.nan)
    drawn = bootstrap_medians(top, DRAWS, generator) / bootstrap_medians(bottom, DRAWS, generator)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Ratio(float(np.median(top) / np.median(bottom)), float(low), float(high))


def judge(
    radius: np.ndarray,
    density: np.ndarray,
    limits: tuple[float, float],
    gaussian_radius: np.ndarray,
    matched_density: np.ndarray | None,
    generator: np.random.Generator,
    level: float = 0.95,
) -> Verdict:
    """The verdict on the core, the tokens with a radius below `limits[0]`, against the shell up to `limits[1]`.

    radius, density: (N,) of the catalogue; gaussian_radius: (N,) of a Gaussian cloud of its spectrum and size;
    matched_density: (N,) of its `matched_cloud`, row for row, if there is one.
    """
    core = radius < limits[0]
    shell = ~core & (radius < limits[1])
    against_shell = median_ratio(density[core], density[shell], generator, level)
    against_matched = Ratio(np.nan, np.nan, np.nan)
    if matched_density is not None and not np.isnan(against_shell.value):
        sets = density[core], density[shell], matched_density[core], matched_density[shell]
        sets = [values[np.isfinite(values)] for values in sets]
        drawn = [bootstrap_medians(values, DRAWS, generator) for values in sets]
        low, high = np.quantile(drawn[0] / drawn[1] * drawn[3] / drawn[2], [(1 - level) / 2, (1 + level) / 2])
        middle = [np.median(values) for values in sets]
        value = middle[0] / middle[1] * middle[3] / middle[2]
        against_matched = Ratio(float(value), float(low), float(high))
    expected = int((gaussian_radius < limits[0]).sum())
    return Verdict(limits[0], int(core.sum()), expected, against_shell, against_matched)
