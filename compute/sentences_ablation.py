"""The sentences of the ablation whose truth depends on the runs: numbers in, words out.

Numbers of several seeds come as a sequence, one a seed; see `compute.sentences_nutcracker`. Chapter: Nutcracker.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from compute.sentences import enumeration
from compute.sentences_nutcracker import NOTABLE, listed, percent

FREEZES, MOVES = 0.9, 0.1  # shares frozen for good from which an arm is said to freeze, and up to which not
CONTRACTS = 0.97  # radius over what weight decay alone would leave of it
CATCHES = -0.05  # slope of way on lead below which those behind catch up


def outcome(shares: Sequence[float]) -> str:
    """What became of an arm, by the share of its dead that rest for good: 'freezes', 'keeps moving', or in part."""
    if min(shares) >= FREEZES:
        return "freezes"
    return "keeps moving" if max(shares) <= MOVES else "freezes in part"


def rests(still: Sequence[float], frozen: Sequence[float]) -> str:
    """The two shares that must not be confused: at rest in a step, and frozen for good so far."""
    return f"{percent(still)} at rest in a step, {percent(frozen)} for good"


def needed(what: str, recipe: Sequence[float], arms: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Whether an ingredient is needed, from the arms that do without it: name, shares at rest and frozen, by seed.

    recipe: frozen shares of the run that has it all; where that does not freeze, nothing is needed for it.
    """
    fates = {name: outcome(frozen) for name, (_, frozen) in arms.items()}
    told = "; ".join(f"{name}: {rests(*shares)}" for name, shares in arms.items())
    if outcome(recipe) != "freezes":
        return f"Here the recipe itself {outcome(recipe)}; without {what}: {told}"
    if set(fates.values()) == {"keeps moving"}:
        return f"Without {what} the dead do not freeze for good ({told}). It is needed"
    if set(fates.values()) == {"freezes"}:
        return f"Without {what} they freeze all the same ({told}). It is not needed"
    if set(fates.values()) == {"freezes in part"}:
        return f"Without {what} they freeze in part ({told}). It matters, and is not all that matters"
    each = enumeration([f"{name} {fate}" for name, fate in fates.items()])
    return f"Without {what} it depends on what takes its place: {each} ({told})"


def besides(what: str, base: tuple[Sequence[float], Sequence[float]], arms: Mapping[str, tuple]) -> str:
    """What taking away an ingredient does in arms whose moments are wide too; base: rest and frost with wide moments.

    Where wide moments alone keep the dead from freezing, these arms cannot show that the ingredient is needed as well,
    only whether the dead rest less without it.
    """
    if outcome(base[1]) == "freezes":
        return needed(what, base[1], arms)
    told = "; ".join(f"{name}: {rests(*shares)}" for name, shares in arms.items())
    still = np.concatenate([shares[0] for shares in arms.values()])
    if still.max() < min(base[0]) - NOTABLE:
        verdict = "they even rest less"
    elif still.min() >= min(base[0]) - NOTABLE:
        verdict = "they rest no less"
    else:
        verdict = "how much they rest depends on the arm"
    return (
        f"Without {what} there are {told}. But the moments of these arms are wide too, and with wide moments alone the "
        f"frost is gone already, at least in part ({rests(*base)}): they cannot show that it is needed. Compared with "
        f"wide moments alone, {verdict}"
    )


def suffices(recipe_fade: Sequence[float], arms: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Whether gradients that fade are enough; arms without the recipe's memory: name, fade and frozen shares, by seed.

    fade: the largest pull over the pull at the end. An arm whose gradients fade by less than half of the recipe's
    factor decides nothing.
    """
    faded = {name: arm for name, arm in arms.items() if min(arm[0]) >= 0.5 * max(recipe_fade)}
    if not faded:
        return "In no other arm do gradients fade as they do in the recipe, so that these arms do not decide it"
    each = [f"{name} by a factor of {listed(fade)}, {percent(rest)} frozen" for name, (fade, rest) in faded.items()]
    told = enumeration(each)
    fates = {outcome(shares) for _, shares in faded.values()}
    if fates == {"freezes"}:
        return f"Gradients that fade suffice: where they fade as much and nothing else does, the dead freeze ({told})"
    if "freezes" not in fates:
        return f"Gradients that fade do not suffice: they fade elsewhere ({told}), and there the dead do not freeze"
    return f"Whether gradients that fade suffice depends on the rest: {told}"


def memory(stored: Sequence[float], exact: Sequence[float], step: int) -> str:
    """What the second moment's memory does to the step, in half cells of a typical weight at one step, by seed."""
    told = f"at step {step:,} it is worth {listed(stored, '.2f')} half cells"
    told += f", and with an exact memory it would be {listed(exact, '.2f')}"
    if max(stored) < 1 <= min(exact):
        return f"The memory decides: {told}"
    if max(stored) < 1 and max(exact) < 1:
        return f"The memory does not decide it alone: {told}, and a step below 1 is lost either way"
    if min(stored) >= 1:
        return f"This arithmetic does not explain the frost: {told}, and a typical weight can still move"
    return f"The seeds disagree: {told}"


def borne_out(exact: Sequence[float], shares: Sequence[float]) -> str:
    """Whether the runs with float32 moments do what the arithmetic says of an exact memory."""
    moves, fate = min(exact) >= 1, outcome(shares)
    fact = f"of the dead of the runs with float32 moments {percent(shares)} have frozen for good"
    if moves and fate == "keeps moving" or max(exact) < 1 and fate == "freezes":
        return f"And so it is: {fact}"
    if fate == "freezes in part":
        return f"That is half of the truth: {fact}"
    return f"The runs beg to differ: {fact}. Their gradients are their own, and not those of the recipe"


def one_run(compared: Sequence[int], different: Sequence[int], end: int) -> str:
    """Whether two experiments are one run, from how many kept numbers differ, by seed."""
    total = f"{sum(compared):,} numbers kept of either run up to step {end:,}"
    if sum(different) == 0:
        return f"Of the {total}, losses, centroids, the moves of every token, not one differs: it is the same run"
    return f"Of the {total}, {sum(different):,} differ: it is not the same run"


def decayed(shares: Sequence[float], kept: Sequence[float], decay: float) -> str:
    """What becomes of the dead under a decay that bfloat16 does feel."""
    fate = {"freezes": "They freeze nevertheless", "keeps moving": "They do not freeze"}
    # exact decay alone would leave a radius of practically nothing: then it is said in words
    alone = f"{100 * decay:.0f} %" if decay > 0.005 else "practically nothing"
    return (
        f"{fate.get(outcome(shares), 'They freeze in part')} ({percent(shares)} for good), and the cloud keeps "
        f"{percent(kept)} of its radius, where "
        f"exact decay alone would leave {alone}"
    )


def contracting(arms: Mapping[str, tuple[Sequence[float], float]], wide: str = "fp32") -> str:
    """Which clouds contract by more than weight decay explains; arms: name, radius over first (seeds,), decay alone.

    wide: the arm without a lattice, which decides whether the lattice does it.
    """
    shrunk = [name for name, (kept, decay) in arms.items() if max(kept) < CONTRACTS * decay]
    if not shrunk:
        return "No cloud contracts by more than weight decay explains"
    others = [name for name in arms if name not in shrunk]
    told = f"More than decay explains, the clouds of {enumeration(shrunk)} contract"
    told += f"; those of {enumeration(others)} do not" if others else ", which is all of them"
    if wide not in arms:
        return told
    return told + (
        ". Float32 does it too, so that the lattice is not needed for it"
        if wide in shrunk
        else ". Float32 does not do it: the lattice is needed for it"
    )


def catching_up(way: Mapping[str, np.ndarray]) -> str:
    """How a cloud contracts: whether components that start behind go farther, and what that explains."""
    slope = np.asarray(way["slope"])
    told = (
        f"the way of a component falls by {listed(-slope, '.2f')} of its lead; where it started explains "
        f"{percent(way['own'], 0)} of the variance of the ways, and which token it belongs to {percent(way['token'])}"
    )
    if slope.max() < CATCHES:
        return f"Those behind catch up: {told}"
    return f"Nobody catches up to speak of: {told}" if slope.min() > CATCHES else f"The seeds disagree: {told}"


def agreement(published: Sequence[float], ours: np.ndarray, recipe: np.ndarray) -> str:
    """Whether the published curve is that of N(0, 1): shares at its steps, ours and the recipe's (seeds, k)."""
    known = np.isfinite(ours).all(axis=0) & np.isfinite(recipe).all(axis=0)
    if not known.any():
        return "Our runs end before the first of these steps: there is nothing to compare"
    near, far = (np.abs(one.mean(axis=0) - np.asarray(published))[known].max() for one in (ours, recipe))
    told = f"from N(0, 1) our curve is never more than {100 * near:.0f} points off the published one, "
    told += f"from N(0, .02) it is up to {100 * far:.0f}"
    if near <= NOTABLE < far:
        return (
            f"The embeddings explain it: {told}. Other text, other tokenizer, other machine, another number of dead "
            "tokens: none of that matters much beside the spread of the first embeddings"
        )
    if near > NOTABLE and near < far:
        return f"The embeddings explain part of it: {told}"
    return f"The embeddings do not explain it: {told}"
