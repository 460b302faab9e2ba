"""The sentences of the chapter on density whose truth depends on the model: numbers in, words out.

Each follows a stated rule and is true of any catalogue, also of one without a core, a hole or a hub. Ratios are
mappings {value, low, high} with a bootstrap interval, NaN where one side has too few tokens.
Chapter: Density.
"""

from collections.abc import Mapping, Sequence

HUBS = 5.0  # a hub is named this many times as often as its share, at least


def middle(innermost: float, chance: float, unit: str) -> str:
    """How far from the centroid the first token lives, and the first point of the Gaussian control."""
    start = f"The token nearest to the centroid is {innermost:.3g} {unit} away from it. In the Gaussian control it is "
    if innermost < chance:
        return f"{start}{chance:.3g}: emptiness around the middle is what chance gives, and here there is less of it."
    return f"{start}{chance:.3g}: the middle is emptier than chance would leave it."


def core(tokens: int, expected: int, radius: float, unit: str) -> str:
    """How many tokens the core holds, against the Gaussian control."""
    one = f"{tokens:,} token{'s' * (tokens != 1)}" if tokens else "no token"
    chance = f"the Gaussian control has {expected:,} there" if expected else "the Gaussian control has none there"
    return f"Within {radius:.3g} {unit} of the centroid there {'is' if tokens < 2 else 'are'} {one}; {chance}."


def compared(ratio: Mapping[str, float], whom: str) -> str:
    """How dense the core is against something else, whose name is given."""
    if ratio["value"] != ratio["value"]:
        return f"too few tokens to be compared with {whom}"
    interval = f"95 % interval {_plain(ratio['low'])} to {_plain(ratio['high'])}"
    if ratio["low"] <= 1 <= ratio["high"]:
        return f"as dense as {whom} (ratio {_plain(ratio['value'])}, {interval})"
    if ratio["value"] > 1:
        return f"{_plain(ratio['value'])} times as dense as {whom} ({interval})"
    return f"thinner than {whom}, {_plain(ratio['value'])} of its density ({interval})"


def _plain(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def residents(tokens: int, smoke: int, all_smoke: int) -> str:
    """Who lives in the core."""
    if not tokens:
        return "The core has no residents to ask."
    if not smoke:
        return f"None of its {tokens:,} tokens belongs to the frozen smoke."
    if smoke == tokens:
        return f"All {tokens:,} of them belong to the frozen smoke, which has {all_smoke:,} tokens."
    return f"Of its {tokens:,} tokens {smoke:,} belong to the frozen smoke, which has {all_smoke:,}."


def infinite(count: int, largest_hole: int, k: int) -> str:
    """Whether any token has an infinite density, and why."""
    if count:
        return (
            f"{count:,} tokens share their place with at least {k} others: all their neighbours are at distance 0, "
            "their density is infinite, and they are counted on their own and belong to no median below."
        )
    if not largest_hole:
        return "No two rows are equal, so no token has a neighbour at distance 0 and every density is finite."
    return (
        f"The largest black hole has {largest_hole:,} tokens, so nobody has {k} neighbours at distance 0: "
        "every density is finite, and no token is left out of anything."
    )


def distinct(ratio_all: float | None, ratio_distinct: float | None) -> str:
    """What counting each place once does to the density of the core against the shell."""
    if ratio_all is None or ratio_distinct is None or ratio_all != ratio_all or ratio_distinct != ratio_distinct:
        return "Counting each place once leaves nothing in the core to compare."
    text = f"Counting each place once, the core is {_plain(ratio_distinct)} times as dense as the shell"
    if abs(ratio_all / ratio_distinct - 1) < 0.05:
        return f"{text}, as before: black holes have no part in it."
    return f"{text} instead of {_plain(ratio_all)} times: the rest is tokens that share a place."


def shell(tokens: float, matched: float, gaussian: float) -> str:
    """Whether the tokens' own radii explain how dense the shell is."""
    return (
        f"In the shell the median token is {_plain(tokens / gaussian)} times as dense as the Gaussian control and "
        f"{_plain(tokens / matched)} times as dense as the control with the tokens' own radii"
        + (": their radii explain nearly all of it." if abs(tokens / matched - 1) < 0.05 else ".")
    )


def hubs(times: int, n_tokens: int, k: int, skewness: float, chance: float) -> str:
    """Whether a few tokens are everybody's neighbour, and whether chance does that too, by the skewness of both."""
    if times < HUBS * k:
        return f"No token is a hub: the most popular is among the {k} nearest of {times:,} others; the average is {k}."
    text = f"The most popular token is among the {k} nearest of {times:,} others, {times / n_tokens:.0%} of all"
    if skewness > 1.5 * chance:
        return f"{text}. The Gaussian control's counts are lopsided too, but less: {chance:.0f} against {skewness:.0f}."
    return f"{text}, and chance does as much in so many dimensions: {chance:.0f} against {skewness:.0f}."


def far_out(ratio: float) -> str:
    """Whether the outer tokens have more company than random directions give them; NaN where there are too few."""
    if ratio != ratio:
        return "There are too few of them to say more."
    if ratio > 1.05:
        return "Tokens far out travel in company."
    return "Tokens far out are as alone as chance has it." if ratio > 0.95 else "Tokens far out keep away from others."


def popularity(largest: int, matched: int) -> str:
    """Whether the radii alone make such hubs, by the greatest hub of the control that has them."""
    text = (
        f"In the control with the tokens' radii, the most popular point is named by {matched:,} others, though its "
        "direction was drawn at random"
    )
    if matched >= 0.5 * largest:
        return f"There is nothing personal in it. {text}: it is enough to be near the middle."
    return f"{text}: to be near the middle is not enough to explain it."


def hub_names(texts_in_smoke: Sequence[bool]) -> str:
    """How many of the greatest hubs are smoke."""
    count, all_of = sum(texts_in_smoke), len(texts_in_smoke)
    if not count:
        return "None of them belongs to the frozen smoke."
    return f"{'All' if count == all_of else f'{count} of the'} {all_of} belong to the frozen smoke."


def dimension(twonn: float | None, levina_bickel: float | None, k: int) -> str:
    """What the neighbours say of the dimension, and whether they agree with each other."""
    if twonn is None or levina_bickel is None:
        return "The neighbours do not tell a dimension here: their distances are all alike, or there are too few."
    text = f"TwoNN, which asks the two nearest, says {twonn:.1f}; Levina and Bickel ask {k} and say {levina_bickel:.1f}"
    if max(twonn, levina_bickel) < 1.5 * min(twonn, levina_bickel):
        return f"{text}, and that is as good as the same."
    return f"{text}. They disagree, so the cloud has no one dimension: it depends on how far one looks."


def blindness(twonn: float | None, levina_bickel: float | None, true: float) -> str:
    """What the estimators make of the Gaussian control, whose number of axes is known."""
    if twonn is None or levina_bickel is None:
        return "Of the control they say nothing."
    return (
        f"Of the control, which fills all its {true:,.0f} axes alike, they say {twonn:.0f} and {levina_bickel:.0f}: "
        + (
            "that is how much they miss in high dimension."
            if max(twonn, levina_bickel) < 0.8 * true
            else "which is about right."
        )
    )


def sample(taken: int, n_tokens: int, median: float, whole: float, touching: int, all_touching: int) -> str:
    """What a sample changes in the median density and in the black holes."""
    change = median / whole - 1
    text = (
        f"A random {taken:,} of {n_tokens:,} tokens have a median density {abs(change):.1%} "
        f"{'lower' if change < 0 else 'higher'}"
    )
    if not all_touching:
        return f"{text}; there are no equal rows to be torn apart."
    return f"{text}, and of the {all_touching:,} tokens with an equal one {touching:,} are still seen to have one."


def dropped(tokens: int, least: float | None, largest: float | None, without: int) -> str:
    """What dropping the zero distances does to this catalogue's black holes."""
    if not tokens:
        return "Here no two rows are equal, and dropping zeros would change nothing."
    parts = []
    if largest is not None:
        parts.append(f"makes black holes look {least:.2f} to {largest:.2f} times less dense than they are")
    if without:
        parts.append(f"leaves {without:,} tokens without any distance at all, hence without a density")
    return f"Here it {' and '.join(parts)} ({tokens:,} tokens)."


def thinning(dimension: float | None) -> str:
    """What dimension the loss of density by thinning amounts to."""
    if dimension is None:
        return "here the sample is no thinner than the whole, and tells nothing."
    return (
        "a cloud that fills d dimensions loses density as the share of tokens to the power 1/d, and the loss found "
        f"here is that of d = {dimension:.0f}."
    )
