"""The sentences of the chapter on how dead tokens freeze whose truth depends on the runs: numbers in, words out.

Numbers of several seeds come as a sequence, one a seed; a statement is made of an experiment only if it holds for every
seed, and otherwise the sentence says that the seeds disagree. Chapter: Nutcracker.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from compute.sentences import enumeration

PILE = 0.25  # share of last motions in a hundredth of a run that makes it a common event
SETTLED, FOLLOWS = 1.02, 1.1  # growth of the printed median when a run is made twice as long
FEW = 0.005  # share of tokens that is told as a number of them
NOTABLE = 0.05  # difference of two shares that is worth a word


def listed(numbers: Sequence[float], form: str = ",.0f") -> str:
    """One number a seed as its mean and range, or the one where all print alike; a dash for what is not known."""
    values = np.asarray(numbers, float)
    if not np.isfinite(values).all():
        return "\N{EN DASH}"
    span = (values.min(), values.mean(), values.max())
    low, mean, high = (format(number, form).replace("-", "\N{MINUS SIGN}") for number in span)
    return mean if low == high else f"{mean} ({low} to {high})"


def percent(shares: Sequence[float], digits: int = 1) -> str:
    """Shares, one a seed, as `listed` says them, in per cent."""
    return f"{listed([100 * share for share in shares], f'.{digits}f')}\N{NO-BREAK SPACE}%"


def learnt(losses: Sequence[float], entropy: float) -> str:
    """Whether runs have learnt more of the language than how frequent its tokens are; nats."""
    ends = f"The loss ends at {listed(losses, '.2f')} nats, "
    if max(losses) < entropy:
        return f"{ends}below the {entropy:.2f} of the unigram entropy: this model has learnt some language"
    if min(losses) > entropy:
        return f"{ends}above the {entropy:.2f} of the unigram entropy: this model has learnt no language"
    return f"{ends}on either side of the {entropy:.2f} of the unigram entropy, depending on the seed"


def together(fullest: np.ndarray) -> str:
    """Whether tokens freeze at once; fullest (seeds, 3): first and last step of the fullest stretch, and its share."""
    share, where = fullest[:, 2], [f"{first:,.0f} to {last:,.0f}" for first, last, _ in fullest]
    if share.max() < PILE:
        most = f"{100 * share.max():.0f} %"
        return f"They freeze one by one: in no hundredth of the run do more than {most} of them make their last motion"
    if share.min() < PILE:
        most = f"the fullest hundredth of the run has {percent(share, 0)} of the last motions"
        return f"Whether they freeze one by one or together depends on the seed: {most}"
    overlap = fullest[:, 0].max() <= fullest[:, 1].min()
    place = "the same steps in every seed" if overlap else "not the same steps in every seed"
    return (
        f"They do not freeze one by one: {percent(share, 0)} of the last motions fall into one hundredth of the run, "
        f"steps {enumeration(list(dict.fromkeys(where)))}, {place if len(where) > 1 else 'in this seed'}"
    )


def censored(restless: Sequence[int], tokens: int, rest: int) -> str:
    """Whether the freeze steps of a run are facts of the tokens, or bounds."""
    if max(restless) == 0:
        return f"No token moves in the last {rest:,} steps, so that nothing is censored and the median is a fact"
    share = [count / tokens for count in restless]
    if max(share) < FEW:
        return (
            f"Of {tokens:,} tokens {listed(restless)} still move in the last {rest:,} steps: for these alone the "
            "freeze step is unknown"
        )
    return (
        f"But {percent(share)} of the tokens still move in the last {rest:,} steps; their freeze step is unknown, only "
        "that it is late"
    )


def medians(found: np.ndarray) -> str:
    """The medians of survival curves with their intervals, (seeds, 3); one that is not reached is said to be so."""
    told = [
        f"{middle:,.0f} ({low:,.0f} to {high:,.0f})" if np.isfinite([middle, low, high]).all() else "not reached"
        for middle, low, high in found
    ]
    return f"{enumeration(told)}, by seed, with intervals of 95 %"


def never(counts: Sequence[int]) -> str:
    """How many tokens have not moved in the whole run."""
    if max(counts) == 0:
        return "No token has stayed where it was all the time"
    return f"And {listed(counts)} tokens have never moved at all: they were born frozen"


def settles(ends: np.ndarray, quartiles: np.ndarray) -> str:
    """Whether the median freeze step is the tokens' or the run's; ends (k,), quartiles (seeds, k, 3)."""
    half = int(np.searchsorted(ends, ends[-1] / 2))
    before, after = quartiles[:, half, 1], quartiles[:, -1, 1]
    growth = after / np.maximum(before, 1)
    told = f"a run of {ends[half]:,} steps prints {listed(before)}, one of {ends[-1]:,} prints {listed(after)}"
    if growth.max() <= SETTLED:
        return f"The median is where it is: {told}"
    if growth.min() >= FOLLOWS:
        return f"The median moves out with the end of the run: {told}. It measures the run, not the tokens"
    return f"The median has not quite settled: {told}"


def again(moved_again: np.ndarray) -> str:
    """How far to trust a token at rest; moved_again (seeds, k), NaN where unknown."""
    known = moved_again[np.isfinite(moved_again)]
    if not len(known):
        return "The run is too short to tell who moves again"
    if known.max() == 0:
        return "Whoever rested at an end, never moved again"
    return f"Of those resting at an end, up to {100 * known.max():.0f} % moved again later"


def accelerates(ends: np.ndarray, last_quarter: np.ndarray) -> str:
    """What is left of a freezing that accelerates towards the end; last_quarter (seeds, k)."""
    half = int(np.searchsorted(ends, ends[-1] / 2))
    early, late = last_quarter[:, half], last_quarter[:, -1]
    told = (
        f"in a run of {ends[half]:,} steps {percent(early, 0)} of the last motions fall into the last quarter, in "
        f"one of {ends[-1]:,} it is {percent(late, 0)}"
    )
    if late.min() > PILE and early.min() > PILE:
        return f"The rush is at the end wherever the end is: {told}. It is the shadow of the end"
    if late.max() <= PILE:
        return f"There is no rush at the end: {told}"
    return f"The rush at the end is not in every run: {told}"


def chance(half: Mapping[str, np.ndarray]) -> str:
    """Whether hopping at constant rates gives the last hops that were measured, half-way through the second half."""
    if max(half["hoppers"]) == 0:
        return "In the second half nobody hops, so that there is nothing to compare"
    middle = len(half["steps"]) // 2
    measured, expected = half["measured"][:, middle], half["expected"][:, middle]
    told = (
        f"by step {int(half['steps'][middle]):,} {percent(measured, 0)} of the tokens are past their last motion, and "
        f"constant rates would have it {percent(expected, 0)}"
    )
    if (measured - expected).min() > NOTABLE:
        return f"But it is not all shadow: {told}. Hops get rarer as the run goes on, or come in bursts"
    if np.abs(measured - expected).max() <= NOTABLE:
        return f"And it is all shadow: {told}"
    return f"Constant rates do not quite explain it: {told}"


def stragglers(counts: Sequence[int], steps: int) -> str:
    """How many tokens still moved in the last twentieth of a run."""
    if max(counts) == 0:
        return f"nobody moved in the last {steps // 20:,} steps, in any seed"
    return f"{listed(counts)} tokens still moved in the last {steps // 20:,} steps"


def predicts(found: Mapping) -> str:
    """What predicts the freeze step: predictors whose interval leaves out 0 in every seed and pooled, with one sign."""
    names = found["predictors"]
    if not names:
        return "all tokens of a seed make their last motion in the same step, so that there is nothing to predict"
    low, high, value = (np.asarray(found[key]) for key in ("lower", "upper", "coefficients"))
    sure = (low > 0).all(axis=0) | (high < 0).all(axis=0)
    explained = percent(found["r_squared"][:-1], 0)
    if not sure.any():
        return f"nothing known of a token at the start predicts it in every seed; all together explain {explained}"
    order = [at for at in np.argsort(-np.abs(value[-1]), kind="stable") if sure[at]]
    spans = [f"{value[-1, at]:+.2f}, {low[-1, at]:+.2f} to {high[-1, at]:+.2f} pooled" for at in order]
    told = [f"the {names[at]} ({span})".replace("-", "\N{MINUS SIGN}") for at, span in zip(order, spans, strict=True)]
    verb = "predict it" if len(told) > 1 else "predicts it"
    return f"{enumeration(told)} {verb} in every seed; all together explain {explained} of the variance"
