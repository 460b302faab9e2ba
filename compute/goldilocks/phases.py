"""The lives of dead tokens read from their last steps: phases, freezing, survival, hopping by chance.

A token is in a phase until it has left it for good: *early* up to its last step with L2 > sqrt(D) cells,
*midlife* up to its last with L-infinity > 1, *late* up to its last motion, *frozen* from then on. In a finite
run frozen means frozen so far: a token that hops once in a while has its last hop near whatever end the run
has. Hence the truncations, the survival curves with censoring, and the chance of late hops at known rates.

Steps count from 1; 0 means never. Arrays in, arrays out. Chapter: Nutcracker.
Sources: [harrell2025azimuth], [kaplan1958nonparametric], [garwood1936fiducial].
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

WINDOW = 250  # steps between the boundaries of a summary
PHASES = ("early", "midlife", "late", "frozen")  # what the codes of `phase_at` mean


class Transitions(NamedTuple):
    """The last step of each kind, a token: the three moments at which a phase is left. 0: there was none."""

    wide: np.ndarray  # L2 > sqrt(D)
    far: np.ndarray  # L-infinity > 1
    move: np.ndarray  # L1 > 0: the freeze step, if it is the last for good


def transitions(l1, l2_squared, linf, dim: int) -> Transitions:
    """Return the transitions of histories (T, n) of cell displacements. L2 comes squared: it meets D exactly."""
    happened = np.asarray(l2_squared) > dim, np.asarray(linf) > 1, np.asarray(l1) > 0
    return Transitions(*(_last(kind) for kind in happened))


def _last(happened: np.ndarray) -> np.ndarray:
    steps = np.arange(1, len(happened) + 1, dtype=np.int64)
    return (happened * steps[:, None]).max(axis=0, initial=0)


def as_of_windows(run: dict) -> Transitions:
    """Return the transitions (windows, n) as they stood at the end of each window of a summary's arrays."""
    found = []
    for kind in Transitions._fields:
        offsets = np.asarray(run[f"last_{kind}"], np.int64)
        starts = WINDOW * np.arange(len(offsets))[:, None]
        found.append(np.maximum.accumulate(np.where(offsets > 0, starts + offsets, 0), axis=0))
    return Transitions(*found)


def of_run(run: dict) -> Transitions:
    """Return the transitions (n,) of a whole summarised run. Raises ValueError for a run without a step."""
    if not len(run["last_move"]):
        raise ValueError("a run of at least one step asked for; this summary has observed none")
    return Transitions(*(kind[-1] for kind in as_of_windows(run)))


def phase_at(lives: Transitions, steps) -> np.ndarray:
    """Return the phase of each token at each step, codes into PHASES, uint8 (steps, n)."""
    steps = np.asarray(steps)[:, None]
    return sum((steps > np.asarray(last)).astype(np.uint8) for last in lives)


def populations(lives: Transitions, steps) -> np.ndarray:
    """Return how many tokens are in each phase at each step, int (steps, 4)."""
    codes = phase_at(lives, steps)
    return np.stack([(codes == code).sum(axis=1) for code in range(len(PHASES))], axis=1)


def frozen_fraction(count_still, n: int, milestones, width: int = 100) -> np.ndarray:
    """Return the share of n tokens with L1 = 0, mean of the `width` steps up to each milestone."""
    still = np.concatenate([[0], np.cumsum(count_still, dtype=np.int64)])
    milestones = np.asarray(milestones)
    begin = np.maximum(milestones - width, 0)
    return (still[milestones] - still[begin]) / (n * np.maximum(milestones - begin, 1))


def frozen_for_good(last_move, milestones) -> np.ndarray:
    """Return the share of tokens that never move again in the run after each milestone."""
    return (np.asarray(last_move)[None, :] <= np.asarray(milestones)[:, None]).mean(axis=1)


def stragglers(last_move, end: int, share: float = 0.05) -> np.ndarray:
    """Return the rows of the tokens that moved within the last `share` of a run of `end` steps, latest first."""
    last_move = np.asarray(last_move)
    late = np.flatnonzero(last_move > end * (1 - share))
    return late[np.argsort(-last_move[late], kind="stable")]


class Truncation(NamedTuple):
    """What would have been printed if the run had ended at each boundary."""

    ends: np.ndarray  # (windows,) steps
    quartiles: np.ndarray  # (windows, 3) of the last motion so far
    late_share: np.ndarray  # (windows,) tokens that moved in the last tenth, which a late end would call restless
    moved_again: np.ndarray  # (windows,) share of those resting for `rest` steps at the end that moved later


def truncation(run: dict, rest: int = 1000) -> Truncation:
    """Return the freeze steps as runs of every shorter length would report them.

    run: a summary's arrays. If freezing were a fact of the token, the median would settle as the end moves
    out; if it is the shadow of the end, it moves along. NaN where no token rests, and at the last end.
    """
    move = as_of_windows(run).move
    ends = np.minimum(WINDOW * np.arange(1, len(move) + 1), run["step"])
    resting = move <= (ends - rest)[:, None]
    again = resting & (move[-1] > ends[:, None])
    counted = resting.sum(axis=1)
    moved_again = np.where(counted > 0, again.sum(axis=1) / np.maximum(counted, 1), np.nan)
    moved_again[-1] = np.nan  # nothing is known of what comes after the run
    late = (move > 0.9 * ends[:, None]).mean(axis=1)
    return Truncation(ends, np.quantile(move, (0.25, 0.5, 0.75), axis=1).T, late, moved_again)


class Survival(NamedTuple):
    """A Kaplan-Meier curve: from each time on, the share that still moves, with its interval."""

    times: np.ndarray  # distinct times of events, rising
    at_risk: np.ndarray
    events: np.ndarray
    share: np.ndarray  # S(t)
    lower: np.ndarray
    upper: np.ndarray


def kaplan_meier(times, observed, confidence: float = 0.95) -> Survival:
    """Return the survival curve of times (n,), of which `observed` (n,) says that the event was seen.

    S(t) = prod (1 - d / r) over the event times up to t; a censored token is at risk up to and including its
    time. Interval: Greenwood's variance of log S, on the scale of log(-log S), so that it stays within 0 and
    1; where S is 0 both bounds are 0. Raises ValueError for no token. Source: [kaplan1958nonparametric].
    """
    times, observed = np.asarray(times), np.asarray(observed, dtype=bool)
    if times.shape != observed.shape or times.ndim != 1 or not times.size:
        raise ValueError(f"times (n,) and observed (n,) with n > 0 asked for; found {times.shape}, {observed.shape}")
    at, events = np.unique(times[observed], return_counts=True)
    at_risk = times.size - np.searchsorted(np.sort(times), at, side="left")
    share = np.cumprod(1 - events / at_risk)
    left = np.maximum(at_risk - events, 1)  # 0 only where S becomes 0, whose bounds are set below
    greenwood = np.cumsum(events / (at_risk * left))
    inside = share > 0
    log = np.log(np.where(inside, share, 0.5))
    width = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(greenwood) / -log
    lower = np.where(inside, np.exp(log * np.exp(width)), 0.0)
    upper = np.where(inside, np.exp(log * np.exp(-width)), 0.0)
    return Survival(at, at_risk, events, share, lower, upper)


def median_time(curve: Survival) -> tuple[float, float, float]:
    """Return the first time at which a curve is at most 1/2, and its interval from the bounds; NaN: not reached."""
    found = []
    for bound in (curve.share, curve.lower, curve.upper):
        below = np.flatnonzero(bound <= 0.5)
        found.append(float(curve.times[below[0]]) if below.size else float("nan"))
    return found[0], found[1], found[2]


def freezing(last_move, end, rest: int) -> Survival:
    """Return the survival curve of motion, where only a token that rested `rest` steps counts as frozen.

    last_move (n,); end: of the run, or of each token's (n,). A token that moved after end - rest was alive at
    end - rest and is censored there, whatever it did later: all tokens of a run are censored at one time, which
    tells nothing of them. Raises ValueError for a rest that leaves nothing of the run.
    """
    last_move = np.asarray(last_move)
    cut = np.broadcast_to(np.asarray(end) - rest, last_move.shape)
    if rest < 0 or (cut < 0).any():
        raise ValueError(f"a rest within the run asked for; found {rest} steps of {np.min(end)}")
    return kaplan_meier(np.minimum(last_move, cut), last_move <= cut)


class Rates(NamedTuple):
    """Moves a step, with an exact Poisson interval."""

    rate: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def hop_rates(moves, steps: int, confidence: float = 0.95) -> Rates:
    """Return the rates of tokens that moved `moves` times in `steps` steps. Source: [garwood1936fiducial]."""
    moves, tail = np.asarray(moves, float), (1 - confidence) / 2
    # chi2 with no degree of freedom has no quantile; the lower bound of no move is 0
    lower = np.where(moves > 0, stats.chi2.ppf(tail, np.maximum(2 * moves, 1)) / 2, 0.0)
    upper = stats.chi2.ppf(1 - tail, 2 * moves + 2) / 2
    return Rates(moves / steps, lower / steps, upper / steps)


def chance_last_hop(rates, end: int, steps) -> np.ndarray:
    """Return the share of tokens expected to have made their last hop by each step, if they hop by chance.

    A token of constant rate r has its last hop at or before t in a run of `end` steps if it makes none after:
    with probability exp(-r (end - t)). Mean over the rates (n,); shape of steps (k,).
    """
    left = end - np.asarray(steps, float)
    return np.exp(-np.asarray(rates, float)[None, :] * left[:, None]).mean(axis=1)


class Regression(NamedTuple):
    """Least squares with bootstrap intervals: coefficients in standard deviations of the outcome."""

    coefficients: np.ndarray  # (k,)
    lower: np.ndarray
    upper: np.ndarray
    r_squared: float


def regression(outcome, predictors, indicator=(), draws: int = 1000, confidence: float = 0.95, seed: int = 42):
    """Return the standardised coefficients of predictors (n, k) for an outcome (n,), as a Regression.

    A predictor counts in its standard deviations; those whose column is named in `indicator` (0 or 1) as they
    are. Intervals: percentiles over resampled tokens. Raises ValueError for predictors that determine each
    other, a constant outcome, or too few tokens. Resamples that are degenerate themselves are drawn again.
    """
    outcome, predictors = np.asarray(outcome, float), np.asarray(predictors, float)
    found = _standardised(outcome, predictors, indicator)
    if found is None:
        raise ValueError(
            f"more tokens than predictors, an outcome that varies and independent predictors asked for; "
            f"found {predictors.shape}: leave out what another column already says"
        )
    rng, drawn = np.random.default_rng(seed), []
    while len(drawn) < draws:
        chosen = rng.integers(0, len(outcome), len(outcome))
        again = _standardised(outcome[chosen], predictors[chosen], indicator)
        drawn += [again[0]] if again is not None else []
    lower, upper = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2), axis=0)
    return Regression(found[0], lower, upper, found[1])


def _standardised(outcome, predictors, indicator) -> tuple[np.ndarray, float] | None:
    """Coefficients and R squared, or None for a degenerate sample."""
    scale = predictors.std(axis=0)
    scale[list(indicator)] = 1.0
    if len(outcome) <= predictors.shape[1] + 1 or not outcome.std() > 0 or not (scale > 0).all():
        return None
    design = (predictors - predictors.mean(axis=0)) / scale
    target = (outcome - outcome.mean()) / outcome.std()
    solution, _, rank, _ = np.linalg.lstsq(design, target, rcond=None)
    if rank < design.shape[1]:
        return None
    return solution, float(1 - ((target - design @ solution) ** 2).mean())
