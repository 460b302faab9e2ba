"""The sentences of the chapter on the eigenbasis whose truth depends on the model: numbers in, words out.

Each follows a stated rule and is true of any catalogue, also of one with fewer tokens than dimensions.
Chapter: Eigenbasis.
"""

from collections.abc import Mapping, Sequence

from compute.sentences import SIGMAS, enumeration


def floor(why: str, lost: int) -> str:
    """What the floor leaves out; `why` is the eigenbasis's own reason."""
    return f"Here {why}." + (" They are reported, and never divided by." if lost else " Nothing is left out.")


def checks(identities: Sequence[str], holds: Sequence[bool]) -> str:
    """Whether the identities hold, within ten times what rounding explains."""
    broken = [name for name, held in zip(identities, holds, strict=True) if not held]
    if not broken:
        return f"All {len(holds)} hold, within ten times what rounding explains."
    return f"NOT ALL HOLD: off by more than rounding explains is {enumeration(broken)}."


def beyond_chance(above: int, share: float, dim: int) -> str:
    """How many axes are stronger than any of the uncorrelated control."""
    if not above:
        return "No axis is stronger than the strongest one that uncorrelated components give."
    if above == 1:
        return (
            f"One axis of {dim:,} is stronger than any that uncorrelated components give, and has {100 * share:.1f} % "
            "of the variance to itself."
        )
    return (
        f"Of {dim:,} axes {above:,} are stronger than any that uncorrelated components give, and have "
        f"{100 * share:.1f} % of the variance between them."
    )


def squeezed(measured: float, own: float) -> str:
    """Whether the weakest axes are weaker than uncorrelated components would make them; smallest eigenvalue of each."""
    if measured >= own:
        return "At the other end nothing is missing: the weakest axis has what chance would leave it."
    return (
        f"At the other end the cloud is flatter than chance: its weakest axis has {own / measured:,.1f} times less "
        "variance than the weakest of uncorrelated components."
    )


def norms(std: float, expected: float, count: int) -> str:
    """How the spread of the causal norms compares with the chi distribution's, over `count` tokens."""
    noise = SIGMAS / (2 * count) ** 0.5
    ratio = std / expected
    if abs(ratio - 1) <= noise:
        return "as a normal cloud's would be: by this measure the cloud is Gaussian"
    if ratio > 1:
        return f"{ratio:.1f} times as wide as a normal cloud's: whatever the cloud is, it is not Gaussian"
    return f"{ratio:.2f} times as wide as a normal cloud's, so narrower: the tokens sit on a shell by no accident"


def relation(correlation: float) -> str:
    """What Spearman's correlation of causal with gamma norms says."""
    size = abs(correlation)
    if size >= 0.9:
        text = "who is far out in one is far out in the other"
    elif size >= 0.5:
        text = "the two agree on the whole, and on few tokens in particular"
    elif size >= 0.1:
        text = "they have little to do with each other"
    else:
        return f"With a rank correlation of {correlation:.2f} the two norms know nothing of each other"
    return f"The rank correlation is {correlation:.2f}: {text}" + (", in reverse" if correlation < 0 else "")


def agreement(agrees: Sequence[str]) -> str:
    """Whether the published numbers agree with each other."""
    failing = sum(word != "yes" for word in agrees)
    return "They pass" if not failing else f"Of {len(agrees)}, {failing} do not pass"


def separated(tells: Sequence[str]) -> str:
    """What the first axes are about, and how many of them are about nothing that was asked."""
    first = "The first axis is about " + (_words(tells[0]) if _named(tells[0]) else "none of the three")
    silent = sum(not _named(tell) for tell in tells)
    if len(tells) == 1:
        return f"{first}."
    if not silent:
        return f"{first}; so much for that one. Each of the {len(tells)} is about at least one of the three."
    if silent == len(tells):
        return f"None of the {len(tells)} axes is about any of the three."
    return f"{first}. Of the {len(tells)}, {silent} are about none of the three; if they mean something, nobody asked."


def norm_separates(tell: str) -> str:
    """What the causal norm itself is about."""
    if not _named(tell):
        return "the causal norm is about none of the three"
    return f"the causal norm is about {_words(tell)}"


def spaced(area: float) -> str:
    """How often a token that begins with a space has the larger causal norm than one that does not."""
    if area != area:
        return "There is only one kind of token here, as leading spaces go."
    return (
        "Draw a token that begins with a space and one that does not: the first has the larger causal norm in "
        f"{100 * area:.0f} of 100 draws."
    )


def _named(tell: str) -> bool:
    return tell != "none of these"


def _words(tell: str) -> str:
    return enumeration(tell.split(", "))


def ratio(published: float, bounds: Mapping[str, Sequence[float]]) -> str:
    """Whose participation ratio a published one can be, given the least and the most that each spectrum allows."""
    able = {name: low <= published <= high for name, (low, high) in bounds.items()}
    if able["covariance"] and able["metric"]:
        return "could be either's: the other numbers do not decide"
    if able["covariance"]:
        return "is the covariance's, and cannot be the metric's"
    if able["metric"]:
        return "cannot be that of the covariance, but it can be that of the metric"
    return "can be neither's: it is of something else, or one of the other numbers is"
