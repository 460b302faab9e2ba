"""The sentences on what Goldilocks leaves behind: numbers of the runs that are there in, words out.

A summary is what `compute.results_embers_tables.summary` gives: lists with one entry a seed. Every rule asks all seeds
that are there, and says so where they disagree. Chapter: Does it make smoke?
"""

from collections.abc import Mapping, Sequence

from compute.sentences import enumeration

ALIKE = 0.1  # two numbers of cells that differ by less than this share are called alike
SIGN = 0x4200  # cells from 0 to 32, which no weight here reaches: two that are farther apart differ in sign
NOTHING = "No run is there yet to tell it of."
MOST = 0.5  # share of the dead in holes from which we speak of smoke


def runs(there: int, missing: Mapping[str, Sequence[int]]) -> str:
    """How many trainings the page rests on, and which ones it lacks."""
    if not there:
        return "No training is there yet, so that this page has questions and no answers."
    text = f"This page rests on {there:,} training{'s' * (there > 1)}"
    if not missing:
        return f"{text}, and none that were asked for are missing."
    lacking = [f"{name} ({', '.join(map(str, seeds))})" for name, seeds in missing.items()]
    return f"{text}. Not there yet, and in no sentence below: {enumeration(lacking)}, with their seeds in brackets."


def census(one: Mapping) -> str:
    """Whether dead tokens of one kind of run share their bits."""
    captured, n, dead = one["captured"], len(one["captured"]), one["dead"]
    if not n:
        return f"From {one['label']} no run is there yet."
    where = f"From {one['label']}"
    if not any(captured):
        return f"{where}, {_none(n)} of the {dead:,} dead tokens share a row: no black hole."
    if all(found == dead for found in captured) and set(one["holes"]) == {1}:
        return f"{where}, all {dead:,} dead tokens end in one black hole{_in_all(n)}{_guests(one['living'])}."
    hits = sum(found > 0 for found in captured)
    some = "the run" if n == 1 else f"all {n} runs" if hits == n else f"{hits} of {n} runs"
    return f"{where}, {some} end{'s' * (n == 1)} with black holes, which hold {span(captured)} of {dead:,} dead tokens."


def _none(n: int) -> str:
    return "no two" if n == 1 else f"in none of {n} runs do two"


def _in_all(n: int) -> str:
    return "" if n == 1 else f", in all {n} runs"


def _guests(living: Sequence[int]) -> str:
    if not any(living):
        return ", and nobody else does"
    return f", with {span(living)} living token{'s' * (max(living) > 1)} in their company"


def span(values: Sequence[float], form: str = ",d") -> str:
    """From the least to the largest, once where both are written alike."""
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def sizes(values: Sequence[float]) -> str:
    """A span of lengths: whole numbers from a hundred, three figures below."""
    return span(values, ",.0f" if min(values) >= 100 else ".3g") if len(values) else "–"


def neighbours(one: Mapping) -> str:
    """How far off the nearest dead neighbour is, at the start and at the end, and how thick the cloud has become."""
    start, end = one["start_nearest"], one["nearest"]
    if not end:
        return ""
    if not any(end) and not any(start):
        return "They began as one and end as one."
    ratios = [b / a if a else float("inf") for a, b in zip(start, end, strict=True)]
    if all(r < 1 - ALIKE for r in ratios):
        verdict = "they have come nearer to each other"
    elif all(r > 1 + ALIKE for r in ratios):
        verdict = "they have moved apart"
    elif all(abs(r - 1) <= ALIKE for r in ratios):
        verdict = "hardly anything has changed"
    else:
        verdict = "the runs do not agree on the direction"
    return (
        f"The median dead token had its nearest dead neighbour {span(start, ',.0f')} cells away "
        f"at the start, and has it {span(end, ',.0f')} away at the end: {verdict}."
    )


def drift(one: Mapping) -> str:
    """Where the cloud went and what became of its radius and of the cells under it, in gamma units."""
    if not one["radius"]:
        return ""
    ways = [b / a if a else 1.0 for a, b in zip(one["start_radius"], one["radius"], strict=True)]
    coarser = [b / a for a, b in zip(one["start_hop"], one["hop"], strict=True)]
    cells = f"the cells under it are {sizes(coarser)} times as wide as at the start"
    if not any(one["start_radius"]):
        return f"The cloud had no radius; {cells}."
    return (
        f"The radius ends at {span(ways, '.0%')} of what it was, the centroid {sizes(one['centroid'])} gamma units "
        f"out, and {cells}."
    )


def coarsening(rows: Sequence[Mapping]) -> str:
    """Which of the two that make a cloud thinner in cells did more: a smaller radius, or wider cells under it."""
    known = [row for row in rows if row["radius"] and all(row["start_radius"])]
    if not known:
        return NOTHING
    wider, smaller = [], []
    for row in known:
        shrunk = [a / b if b else float("inf") for a, b in zip(row["start_radius"], row["radius"], strict=True)]
        coarser = [b / a for a, b in zip(row["start_hop"], row["hop"], strict=True)]
        won = [c > s for c, s in zip(coarser, shrunk, strict=True)]
        (wider if all(won) else smaller).append(row["label"])
    if not smaller:
        return f"The second did more than the first in every kind of run here ({enumeration(wider)})."
    if not wider:
        return "The second did more than the first in none of the kinds of run here."
    return f"The second did more than the first with {enumeration(wider)}, and not always with {enumeration(smaller)}."


def portrait(one: Mapping) -> str:
    """All that is to be said of the distances of one kind of run."""
    if not one["captured"]:
        return "No run is there yet."
    if not any(one["nearest"]) and not any(one["start_nearest"]):
        return neighbours(one)
    return " ".join(filter(None, (told_of(one) for told_of in (neighbours, drift, thickness, groups))))


def thickness(one: Mapping) -> str:
    """How far the cloud is from being one place: its root mean square in each component, in cells."""
    found = one["thickness"]
    if not found:
        return ""
    size = f"The cloud is {sizes(found)} cells thick in each component (root mean square)"
    if max(found) < 0.5:
        return f"{size}: as good as one place."
    if min(found) < 0.5:
        return f"{size}: in some runs as good as one place, in others not."
    return f"{size}; it would have to shrink {sizes([2 * x for x in found])} times to be half a cell thick."


def touching(rows: Sequence[Mapping]) -> str:
    """Whether anything hangs together at one cell, over all kinds of runs."""
    rows = [row for row in rows if row["captured"]]
    if not rows:
        return NOTHING
    apart = [row["label"] for row in rows if all(count == row["dead"] for count in row["touching"])]
    joined = [row["label"] for row in rows if all(count == 1 for count in row["touching"])]
    rest = [row["label"] for row in rows if row["label"] not in (*apart, *joined)]
    parts = []
    if apart:
        parts.append(f"from {enumeration(apart)}, no two dead tokens are so near: as many components as tokens")
    if joined:
        parts.append(f"from {enumeration(joined)}, all hang together")
    if rest:
        parts.append(f"from {enumeration(rest)}, some do")
    return f"Join what is no more than one cell apart: {'; '.join(parts)}."


def groups(one: Mapping) -> str:
    """Into how many groups the dead fall where their merging distances jump most."""
    jumps = [jump for jump in one["jump"] if jump]
    if not jumps:
        return ""
    factors = [behind / before for before, behind in jumps]
    signs = ", over what takes a change of sign" if all(jump[1] > SIGN for jump in jumps) else ""
    return (
        f"The distances at which the dead merge jump by a factor of {sizes(factors)}{signs}: "
        f"before that there are {span(one['groups'])} groups, with {span(one['largest_group'])} tokens in the largest."
    )


def island(one: Mapping) -> str:
    """Whether a gap parts the dead from the living, seen from the centroid of the dead."""
    ratios = [ratio for ratio in one["island"] if ratio == ratio]
    if not one["island"]:
        return "No run is there yet."
    if not ratios:
        return "There is nothing to measure: the dead are one point."
    if min(ratios) > 1:
        return (
            f"The dead are an island: the nearest living token is {span(ratios, '.2f')} times as far from "
            "their centroid as the farthest dead one."
        )
    if max(ratios) <= 1:
        inside = span(one["living_inside"])
        return f"There is no shore: {inside} living tokens lie inside the radius of the farthest dead one."
    return "Some runs end with an island of the dead, and some without."


def rule(one: Mapping) -> str:
    """What the rules of core and Oort cloud, which are not told who is dead, find."""
    core, dead, n = one["core"], one["core_dead"], one["dead"]
    if not core:
        return ""
    where = f"from {one['label']}"
    if max(core) == 1:
        return f"{where}, no core but the centre itself"
    if all(found == n for found in dead):
        living = [c - d for c, d in zip(core, dead, strict=True)]
        rest = f" and {span(living)} living" if any(living) else " and nothing else"
        return f"{where}, a core of all {n:,} dead tokens{rest}, behind a gap of a factor of {sizes(one['gap'])}"
    return f"{where}, a core of {span(core)} tokens, {span(dead)} of them dead"


def rules(rows: Sequence[Mapping]) -> str:
    """The same of several kinds of runs, in one sentence."""
    told = [text for text in map(rule, rows) if text]
    return f"They find, {'; '.join(told)}." if told else NOTHING


def oort(one: Mapping, rarity: Mapping) -> str:
    """Who hangs between a core of the dead and the main cloud: living tokens, and how rare they are."""
    if not one["oort"]:
        return "Of its Oort cloud nothing is known yet."
    if not any(one["oort"]):
        return "There is no Oort cloud."
    living = [a - b for a, b in zip(one["oort"], one["oort_dead"], strict=True)]
    text = f"The Oort cloud has {span(one['oort'])} tokens, {span(living)} of them alive"
    if rarity["median"] is None:
        return f"{text}."
    rare = "rare ones" if rarity["median"] < rarity["text_median"] / 2 else "not especially rare ones"
    return (
        f"{text}: {rare}. The median one of the living occurs {rarity['median']:,.0f} times in the text, that of all "
        f"living tokens {rarity['text_median']:,.0f} times."
    )


def resting(rows: Sequence[Mapping]) -> str:
    """Whether runs that came to rest made holes: the two are different things."""
    rows = [row for row in rows if row["resting"]]
    still = [row for row in rows if min(row["resting"]) > MOST]
    if not rows:
        return NOTHING
    if not still:
        return "In none of these runs do most of the dead rest at the end."
    bare = [row["label"] for row in still if not any(row["captured"])]
    held = [row["label"] for row in still if any(row["captured"])]
    if not bare:
        return f"Where most of the dead rest at the end (from {enumeration(held)}), there are holes too."
    text = f"From {enumeration(bare)}, most of the dead rest at the end, and there is no hole"
    return f"{text}; from {enumeration(held)}, they rest too, and there is." if held else f"{text}."
