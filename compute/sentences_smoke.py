"""The sentences of the chapter on the frozen smoke whose truth depends on the model: numbers in, words out.

Each follows a stated rule and is true of any catalogue, also of one without a hole, an Oort cloud or a tokenizer.
Chapter: The frozen smoke.
"""

from collections.abc import Mapping, Sequence

from compute.sentences import enumeration

RARE = 0.05  # a chance below this rules a story out


def zeros(count: int, holes: int) -> str:
    """Whether rows of nothing but zero bits are among the holes: they are a kind of their own."""
    if not holes:
        return "One row is all zeros." if count else ""
    if count > 1:
        return f"One of the holes is made of zeros: {count:,} rows have all their bits unset."
    return "No hole is made of zeros" + (", though one row is." if count else ".")


def centre(populations: Sequence[int]) -> str:
    """What stands in the middle of the smoke."""
    if populations:
        return f"The centre is the largest black hole, of {populations[0]:,} tokens."
    return (
        "No two rows are alike, so there is no black hole to stand in the centre; the token in the closest company "
        "stands in for one, and what follows is a test of the rules on a sky without smoke."
    )


def gap(found: Mapping[str, float] | None) -> str:
    """Where the core ends and how surprising so wide a gap is; or that there is no smoke to be parted."""
    if found is None:
        return "nothing but the centre lies inside the edge of the main cloud: there is no smoke to be parted"
    text = (
        f"the distances jump from {found['inner']:.3g} to {found['outer']:.3g} gamma units, by a factor of "
        f"{found['ratio']:.1f}; the second widest gap is one of {found['runner_up']:.2f}"
    )
    if found["chance"] < RARE:
        chance = _power(found["chance"])
        return f"{text}. Distances scattered evenly in their logarithm make one so wide with a chance of {chance}"
    return f"{text}. That is no wonder: distances scattered evenly do as much with a chance of {found['chance']:.2f}"


def _power(chance: float) -> str:
    if chance >= 0.001:
        return f"{chance:.3f}"
    if chance <= 0:
        return "practically zero"
    mantissa, exponent = f"{chance:.0e}".split("e")
    return f"{mantissa} × 10⁻{str(-int(exponent)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def core(tokens: int, rows: int, holes: int) -> str:
    """What the core is made of."""
    if tokens == 1:
        return "The core is the centre alone"
    lone = rows - holes
    parts = [f"{holes} black hole{'s' * (holes > 1)}"] * bool(holes)
    parts += [f"{lone} single token{'s' * (lone > 1)}"] * bool(lone)
    place = f"{rows:,} place{'s' * (rows > 1)}"
    return f"The core holds {tokens:,} tokens in {place}: {enumeration(parts)}{'' if lone else ', and nothing else'}"


def oort(tokens: int, holes: int, edge: float) -> str:
    """What hangs around the core, up to the edge of the main cloud."""
    if not tokens:
        return f"There is no Oort cloud: between the core and the main cloud, which begins at {edge:.3g}, lives nobody."
    if tokens == 1:
        return f"Behind the gap and up to {edge:.3g} gamma units, where the main cloud begins, drifts a single token."
    alone = "every one alone in its place" if not holes else f"{holes} black hole{'s' * (holes > 1)} among them"
    return (
        f"Behind the gap and up to {edge:.3g} gamma units, where the main cloud begins, drift {tokens:,} more, "
        f"{alone}: the Oort cloud."
    )


def touching(rows: int, all_touch: bool, farthest: int) -> str:
    """Whether the places of the core form one complete graph."""
    if rows == 1:
        return "The core is one place, and has nothing to touch."
    if all_touch:
        return f"Every two of the core's {rows} places touch: here the core is a complete graph."
    return f"The core's {rows} places do not all touch: some are {farthest:,} cells apart."


def box(varying: Sequence[int], dim: int, l1: Sequence[int]) -> str:
    """How few of the components the core uses, and how far from its centre it gets."""
    if not len(varying):
        return f"In all {dim:,} components the core has one value."
    where = enumeration([str(i) for i in varying], 6)
    text = f"Of {dim:,} components the core varies in {len(varying):,} ({where})"
    if list(l1) == [1]:
        return f"{text}, and each of its other places is a single step in a single component from the centre: a star."
    if not len(l1):
        return f"{text}."
    return f"{text}; from the centre to the others it is {min(l1):,} to {max(l1):,} cells, all components added."


def angle(degrees: float | None, dead: float, living: float) -> str:
    """How the centroids of the dead and the living lie to each other."""
    if degrees is None:
        return "the dead lie at the origin, and have no direction"
    return (
        f"the centroid of the core, {dead:.3f} gamma units from the origin, and that of the living, {living:.3f}, are "
        f"{degrees:.1f}° apart"
    )


def depth(closer_in: int, n_tokens: int, dead: float, median: float) -> str:
    """How deep in the cloud the smoke sits, in centred norm."""
    start = f"From the centroid it is {dead:.3f} gamma units to the smoke, against {median:.3f} for the median token"
    if closer_in < 0.01 * n_tokens:
        return (
            f"{start}; only {closer_in:,} of {n_tokens:,} tokens are closer in. It sits deep inside "
            "the cloud, and has no company there: in many dimensions the middle is where nobody lives."
        )
    return f"{start}; {closer_in / n_tokens:.0%} of all tokens are closer in."


def special(inside: int, everywhere: int, smoke: int) -> str:
    """How many of the special tokens ended in the smoke."""
    if not everywhere:
        return "The vocabulary marks no token as special, so no help comes from there."
    if not inside:
        return f"None of the {everywhere:,} special tokens is among them."
    rest = smoke - inside
    return f"Of the {everywhere:,} special tokens {inside:,} are among them; the other {rest:,} nobody has marked."


def reachable(told: Mapping[str, object], smoke: int) -> str:
    """Whether the tokenizer explains the smoke."""
    if not told["told"]:
        return "There is no tokenizer beside this matrix, so whether its tokens can be produced is not known."
    text = f"{told['unreachable']:,} of {told['tested']:,} tokens do not come back from a round trip to text"
    if told["witnesses"]:
        all_of_them = told["witnesses"] == told["unreachable"]
        some = "every one" if all_of_them else f"{told['witnesses']:,}"
        text += f", though for {some} of those we found a longer text that holds it"
    if not told["smoke_unreachable"]:
        return (
            f"{text}. Of the smoke, not one: every one of its {smoke:,} tokens can be produced. The "
            "tokenizer did not kill them; presumably they hardly occurred in what the model read."
        )
    return (
        f"{text}. Of the smoke's {smoke:,} tokens {told['smoke_unreachable']:,} do not, and for "
        f"{told['smoke_silent']:,} no text is known to lead to them."
    )


def picks_out(area: float) -> str:
    """How an area under the curve is to be read."""
    if area != area:
        return "has nothing to pick out"
    if area > 0.95:
        return "picks them out"
    if area > 0.8:
        return "leans towards them"
    return "is no indicator here" if area > 0.2 else "points the wrong way"


def chance(value: float) -> str:
    """What a best chance says of a story."""
    return f"ruled out (chance {value:.2f} at best)" if value < RARE else f"not ruled out (chance {value:.2f} at best)"
