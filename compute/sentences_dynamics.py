"""The sentences of the chapter on the dynamics of dead tokens whose truth depends on the runs: numbers in, words out.

Where a sentence rests on several seeds, it takes one number of each and is as strong as the weakest.
Chapter: Dead-token dynamics.
"""

from collections.abc import Sequence


def span(values: Sequence[float], spec: str = ".3f") -> str:
    """The values of all seeds in few words: one number where they print alike, else from the least to the largest."""
    low, high = format(min(values), spec), format(max(values), spec)
    return low if low == high else f"{low} to {high}"


def percent(values: Sequence[float], spec: str = ".1f") -> str:
    """The shares of all seeds, 0 .. 1, as percentages."""
    return f"{span([100 * value for value in values], spec)} %"


def agreement(apart: Sequence[float], allowed: float) -> str:
    """Whether two ways to the same gradient differ by no more than rounding."""
    if max(apart) <= allowed:
        return f"by {max(apart):.1e} of its length at most, within the {allowed:.1e} that rounding may leave"
    return f"by {max(apart):.1e} of its length, MORE than the {allowed:.1e} that rounding may leave"


def roundings(found: Sequence[float], expected: Sequence[float]) -> str:
    """Whether the error of the bfloat16 pass is what its roundings make it, within a tenth."""
    ratios = [one / other for one, other in zip(found, expected, strict=True)]
    if all(0.9 <= ratio <= 1.1 for ratio in ratios):
        return f"The error is the expected one, {span(ratios, '.2f')} times of it: nothing else goes wrong in there."
    return f"The error is {span(ratios, '.2f')} times the expected one, so the three roundings are not the whole story."


def input_side(dead: Sequence[float]) -> str:
    """Whether anything comes to dead rows from the input side of the matrix."""
    if not any(dead):
        return "exactly nothing, not even a rounding error"
    return f"{max(dead):.1e} nats per gamma unit, which should not be"


def beside_the_record(ours: Sequence[float], published: float) -> str:
    """The coherence of the first step beside the published one."""
    words = f"Ours is {span(ours, '.4f')} at step 1, the published one {published}"
    if min(ours) > published:
        return f"{words}: our swarm starts out more of one mind"
    if max(ours) < published:
        return f"{words}: our swarm starts out less of one mind"
    return f"{words}, and the seeds lie on both sides of it"


def parallel_to(plain: Sequence[float], weighted: Sequence[float]) -> str:
    """Whether the pull points along the plain mean of h, or only along the weighted one."""
    if min(plain) > 0.99:
        return "By then the plain mean would do as well"
    return (
        f"By then the cosine of the pull to the plain mean of h is {span(plain, '.2f')}, to the weighted one "
        f"{span(weighted, '.5f')}: the weights are no pedantry"
    )


def gain(moved: Sequence[float]) -> str:
    """Whether the gain of the last layer norm has left 1."""
    if not any(moved):
        return (
            "After a thousand steps every gain is still 1, to the bit: a step of Adam is about one learning rate, and "
            "half a cell is twice that below 1 and four times that above"
        )
    return f"After a thousand steps {100 * min(moved):.0f} to {100 * max(moved):.0f} % of the gains have left 1"


def first_steps_lost(stayed: Sequence[float], lattice: Sequence[float]) -> str:
    """What holds the tokens of a wide initialisation in the first step: the lattice, or eps."""
    told = f"{percent(stayed, '.2f')} of the components stay where they are"
    alone = f"the lattice alone would hold {percent(lattice)}"
    if min(stayed) > max(lattice) + 0.05:
        return f"{told}, and {alone}. The rest is ε: the gradients are so small that Adam takes them for nothing"
    return f"{told}, and {alone}: the lattice explains it"


def needle(
    to_first: Sequence[float], to_hundredth: Sequence[float], to_previous: Sequence[float], turned_at: Sequence[int]
) -> str:
    """Whether h keeps its direction: from the start and from step 100 to the end, and from one batch to the next."""
    steady = min(to_previous) > 0.9
    early = all(turned_at) and max(turned_at) <= 20
    start = f"In every run h has turned by more than 60° within {max(turned_at)} steps. " if early else ""
    end = f"At the end its cosine to the first batch's is {span(to_first, '.2f')}, to that of step 100 "
    then = f"{span(to_hundredth, '.2f')}, and from one batch to the next {span(to_previous, '.3f')}"
    return f"{start}{end}{then}: {'it turns at once, and then slowly' if early and steady else 'it keeps turning'}."


def early(missed: Sequence[float]) -> str:
    """How much of the first hundred steps Adam on the mean gradient, in float64, leaves to be explained."""
    told = f"Adam in float64 misses {percent(missed)} of it"
    if max(missed) < 0.02:
        return f"For a hundred steps there is nothing left to explain: {told}"
    return f"Even in the first hundred steps something is missing: {told}"


def unison(mean: Sequence[float], median: Sequence[float]) -> str:
    """Whether all hidden states of a batch point one way, from the length of their mean and their median length."""
    shares = [one / other for one, other in zip(mean, median, strict=True)]
    told = f"the mean of the hidden states is {percent(shares)} as long as a typical one of them"
    if min(shares) > 0.99:
        return f"{told}: they are practically one vector, and the model says the same thing everywhere"
    return f"{told}: they do not all say the same"


def ladder(exact: Sequence[float], moments: Sequence[float], lattice: Sequence[float]) -> str:
    """Which part of the arithmetic the late drift needs, from predicted over real length of the way."""
    if max(abs(length - 1) for length in lattice) > 0.2:
        return "Not even the whole arithmetic predicts the length of the way: the tokens' own lives matter"
    if min(exact) < 1.2:
        return "Adam in float64 predicts the length nearly as well: the lattice matters little here"
    much = f"Adam in float64 would have carried the swarm {span(exact, '.1f')} times as far as it came after step 100"
    part = f"with moments in bfloat16 it is still {span(moments, '.1f')} times"
    full = f"on the lattice, {span(lattice, '.2f')} times"
    return f"{much}; {part}; {full}. What stops the swarm is the rounding of its weights"


def confined(descent: Sequence[Sequence[float]], adam: Sequence[Sequence[float]], chance: float) -> str:
    """How near the centroid's way keeps to the plane of zero sum: cosines to (1, ..., 1) by seed, from step 1 on."""
    first = [[run[0] for run in runs] for runs in (descent, adam)]
    last = [[run[-1] for run in runs] for runs in (descent, adam)]
    told = f"At step 1 the cosine is {span(first[0], '.0e')} under descent and {span(first[1], '.1e')} under AdamW"
    then = f"after {len(descent[0])} steps {span(last[0], '.1e')} and {span(last[1], '.1e')}"
    if max(first[0]) > 1e-5:
        return f"{told}, {then}: descent does not keep the plane even at first, which should not be"
    if max(last[0] + last[1]) < chance:
        return (
            f"{told}, {then}. A random direction has {chance:.2f}: both keep nearer to the plane than chance would, "
            "but only the first has a law to keep it there, and only for as long as gain and bias leave it one"
        )
    return f"{told}, {then}. A random direction has {chance:.2f}: the plane holds nobody for long"
