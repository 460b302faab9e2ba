"""The sentences of the book whose truth depends on the model: numbers in, words out.

A sentence is worded by a stated rule, so that it is true of any catalogue and a test can hold it. Chapters: all.
"""

from collections.abc import Mapping, Sequence

SIGMAS = 5  # what a difference needs, in standard errors, to be called one


def enumeration(items: Sequence[str], shown: int = 13) -> str:
    """Words in a row, 'a, b and c'; past `shown` of them, how many more there are."""
    items = list(items)
    if len(items) > shown:
        items = [*items[:shown], f"{len(items) - shown} more"]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def holes(populations: Sequence[int], shown: int = 13) -> str:
    """What a census found: how many black holes there are and how many tokens are in each."""
    if not populations:
        return "no black hole: no two of its tokens share all their bits"
    if len(populations) == 1:
        return f"one black hole, of {populations[0]:,} tokens"
    return (
        f"{len(populations):,} black holes, of {enumeration([f'{n:,}' for n in populations], shown)} tokens: "
        f"{sum(populations):,} tokens in all"
    )


def residual(found: float, expected: float) -> str:
    """Whether the centred cloud has mean 0, given the largest residual and the size that rounding gives it."""
    verdict = "within" if found <= expected else "ABOVE"
    return f"{found:.1e} gamma units, {verdict} the {expected:.1e} that rounding may leave"


def spread(measured: float, control: float, count: int) -> str:
    """How the width of a distribution compares with its control's, both standard deviations over `count` tokens.

    The standard error of a standard deviation is about std / sqrt(2 count); under SIGMAS of them there is nothing to
    tell.
    """
    noise = SIGMAS / (2 * count) ** 0.5
    ratio = measured / control
    if abs(ratio - 1) <= noise:
        return "as wide as chance makes it"
    return (
        f"{ratio:.1f} times as wide as chance makes it"
        if ratio > 1
        else f"{ratio:.2f} times as wide as chance makes it, which is narrower"
    )


def common_direction(cosine: float, standard_error: float) -> str:
    """What the mean cosine over all pairs of raw vectors says about a direction that all tokens share."""
    if abs(cosine) <= SIGMAS * standard_error:
        return "so the raw cloud has no common direction to speak of: it surrounds the origin"
    if cosine > 0:
        return "so the raw cloud lies to one side of the origin, and most of that is the centroid"
    return "so raw vectors point away from each other more than chance would have them"


def hole_places(closer_in: Sequence[int], count: int) -> str:
    """Where the black holes lie among all `count` tokens, given how many tokens lie closer to the centroid."""
    if not closer_in:
        return "There is no hole to look for on the map."
    nearest, farthest = min(closer_in) / count, max(closer_in) / count
    if farthest < 0.01:
        return "They all lie in the innermost hundredth of the cloud: nearly everybody else is farther out."
    if nearest > 0.99:
        return "They all lie in the outermost hundredth of the cloud: nearly everybody else is closer in."
    if round(100 * nearest) == round(100 * farthest):
        return f"They all lie at one depth of the cloud, with {nearest:.0%} of its tokens closer in."
    return (
        f"They are spread through the cloud: {nearest:.0%} of its tokens are closer in than the innermost, "
        f"{farthest:.0%} than the outermost."
    )


def origin(card: Mapping[str, object]) -> str:
    """Whence the matrix comes and under which licence, as far as the model's card tells."""
    source = card.get("source") or "a file of whose origin nothing is known here"
    licence = card.get("licence")
    return f"The matrix is read from {source}, " + (
        f"under the licence {licence}" if licence else "under a licence that its owner will know"
    )
