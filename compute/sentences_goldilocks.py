"""The sentences of the chapters on Goldilocks and its first hundred steps whose truth depends on what was measured.

Numbers of several seeds come as [lowest, mean, highest]; a statement is made only if it holds for every seed.
Chapters: Goldilocks, Supernova.
"""

import statistics
from collections.abc import Mapping, Sequence

from compute.sentences import enumeration

RIGID = 0.95  # shared motion above this is one motion
SIZE = 0.01  # a relative change of radius below this is none
RANKED = 0.7  # a rank correlation above this is an order


def span(numbers: Sequence[float], form: str) -> str:
    """The mean of three numbers with their range, or one number where they print alike."""
    low, mean, high = (format(number, form).replace("-", "\N{MINUS SIGN}") for number in numbers)
    return mean if low == high else f"{mean} ({low} to {high})"


def listed(numbers: Sequence[float], form: str) -> str:
    """One number a seed as its mean and range, or the one where there is one."""
    return span([min(numbers), sum(numbers) / len(numbers), max(numbers)], form)


def percent(numbers: Sequence[float], digits: int = 0) -> str:
    """Three shares as `span` says them, in per cent."""
    return f"{span([100 * number for number in numbers], f'.{digits}f')}\N{NO-BREAK SPACE}%"


def learnt(gains: Sequence[float]) -> str:
    """Whether runs ended below the loss of who knows frequencies only; gains in nats, positive if they did, by seed."""
    if min(gains) > 0:
        return "So it has learnt more than how frequent the tokens are"
    if max(gains) <= 0:
        return "So it has learnt no more than how frequent the tokens are, if that"
    return "So some seeds have learnt more than how frequent the tokens are, and some have not"


def published(loss: float, entropy: float, ours: Sequence[float]) -> str:
    """Where the published run ended, beside ours: the same verdict or another one."""
    theirs = "above" if loss > entropy else "below"
    if (loss > entropy) == (min(ours) > entropy) == (max(ours) > entropy):
        return f"That is {theirs} our entropy, where our runs end too"
    return f"That is {theirs} our entropy, and our runs end on the other side of it"


def seeds(count: int) -> str:
    """How many runs a statement rests on."""
    return "one run so far" if count == 1 else f"{count} runs"


def stillborn(texts: Sequence[str]) -> str:
    """Which tokens of the living tokenizer are dead too."""
    if not texts:
        return "Every token of its own tokenizer does occur in it"
    named = enumeration([f"“{text}”" for text in texts], 5)
    if len(texts) == 1:
        return f"One token of the English tokenizer, {named}, never occurs either: a longer one has used it up"
    return f"{len(texts):,} tokens of the English tokenizer, {named}, never occur either: longer ones have used them up"


def share_of_products(row: Mapping | None) -> str:
    """What part of the speed that the matrix products alone allow is reached, from the benchmark's row."""
    if row is None:
        return "How near the loop comes to its matrix products alone is a benchmark's business, not run here yet"
    verdict = "" if row["reached"] else f", short of the {100 * row['target']:.0f} % that we asked for"
    return (
        f"Run alone, on two threads, the loop reaches {100 * row['ratio']:.0f} % of the speed that its matrix products "
        f"by themselves would allow{verdict}"
    )


def watching(rows: Sequence[Mapping | None]) -> str:
    """What watching costs in time: the summary's row and that of every step."""
    if None in rows:
        return "What watching costs in time is measured by the benchmark of the recorder, not run on this machine yet"
    summary, every = (100 * (row["ratio"] - 1) for row in rows)
    return (
        f"In time, measured one against the other, the summary costs {max(summary, 0):.0f} % of a bare step and "
        f"every step on the disk {max(every, 0):.0f} %"
    )


def size(most: Sequence[float], change: Sequence[float]) -> str:
    """Whether the dead cloud explodes: the largest growth of its radius on the way, and the change at the end."""
    if max(most) > 1:
        return "It explodes: on its way the cloud more than doubles its radius"
    if max(most) > SIZE:
        return f"The cloud grows on its way, by {percent(most, 1)} at most"
    text = f"Nothing explodes. The radius never exceeds its first value by more than {100 * max(most):.1f} %"
    if max(change) < -SIZE:
        return f"{text}, and in the end it has shrunk by {percent([-x for x in reversed(change)], 1)}"
    return text


def together(shared: Sequence[float], end: Sequence[float]) -> str:
    """How much of the motion is one motion, early and late."""
    if min(shared) > RIGID:
        text = f"In the first fifty steps {percent(shared, 1)} of the dead motion is one motion: a cloud on rails"
    else:
        text = f"In the first fifty steps {percent(shared, 1)} of the dead motion is one motion"
    if max(end) < min(shared):
        return f"{text}. By the last ten steps it is {percent(end)}: the tokens begin to differ"
    return text


def company(order: Sequence[float], back: Sequence[float]) -> str:
    """Whether living tokens go along by their rarity: rank correlations of occurrences and way; shares that go back."""
    if max(order) < -RANKED:
        text = "The rarer a living token is, the farther it goes along with the dead"
    elif min(order) > RANKED:
        text = "The commoner a living token is, the farther it goes along with the dead"
    else:
        text = "How often a living token occurs says little of how far it goes along with the dead"
    return f"{text} (rank correlation {span(order, '.2f')}); {percent(back)} of the living go the other way"


def limit(order: Sequence[float]) -> str:
    """What then sets the dead apart."""
    if max(order) < -RANKED:
        return "Nothing sets the dead apart but degree: they are the limit of rare"
    return "So what the dead do is not simply what the rare do, only more of it"


def growth(living: Sequence[float], dead: Sequence[float]) -> str:
    """How the living cloud's radius changes beside the dead one's: relative changes."""
    text = f"The living cloud's radius changes by {percent(living)}"
    if min(living) > SIZE and min(living) > max(dead):
        return f"{text}: if anything explodes in these steps, it is the living, and not much"
    return text


def resting(still: Sequence[float]) -> str:
    """Whether dead tokens rest already in the last ten steps: shares of those that made no move in a step."""
    if max(still) == 0:
        return "Not one dead token rests in any of the last ten steps"
    return f"In each of the last ten steps {percent(still, 1)} of the dead rest"


def zipf(slope: float) -> str:
    """How a text of tokens compares with Zipf's law, by the power of its ranks."""
    if slope > -0.9:
        return "flatter than Zipf's law"
    return "steeper than Zipf's law" if slope < -1.1 else "near Zipf's law"


def stray(lengths: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """Who moves as the dead do: lengths (T, 2 k) of steps, k living and then k dead; names of the living.

    A token strays by the median of |its length / the mean dead length - 1| over the steps.
    """
    half = len(names)
    common = [sum(row[half:]) / half for row in lengths]
    strayed = [
        statistics.median(abs(row[at] / mean - 1) for row, mean in zip(lengths, common, strict=True) if mean > 0)
        for at in range(2 * half)
    ]
    dead = max(strayed[half:])
    told = enumeration([f"{name} by {100 * by:.0f} %" for name, by in zip(names, strayed[:half], strict=True)], half)
    return f"the dead stray from their mean by {100 * dead:.1f} % at most (median over the steps); of the living {told}"


def name(most: Sequence[float]) -> str:
    """What to call it."""
    return "supernova" if max(most) > 1 else "launch"
