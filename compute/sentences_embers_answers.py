"""The answers of the chapter on what Goldilocks leaves behind: which arithmetic, which start, and what follows.

Summaries as for `compute.sentences_embers`. Chapter: Does it make smoke?
"""

from collections.abc import Mapping, Sequence

from compute.sentences import enumeration
from compute.sentences_embers import MOST, sizes, span


def protocols(rows: Sequence[Mapping]) -> str:
    """Which of the arms that differ in arithmetic or optimizer, all from the ordinary start, have holes of the dead."""
    rows = [row for row in rows if row["captured"]]
    n = len(rows)
    if not rows:
        return "None of them is there yet."
    held = [f"{row['label']} ({span(row['captured'])})" for row in rows if any(row["captured"])]
    if held:
        text = f"Of {n}, those with dead tokens in black holes are {enumeration(held)}; in brackets, how many tokens."
    else:
        text = f"None of the {n} makes a single black hole of dead tokens." if n > 1 else "It makes no black hole."
    return " ".join(filter(None, (text, rounded(rows))))


def rounded(rows: Sequence[Mapping]) -> str:
    """Whether rounding the rows of float32 runs to bfloat16 makes holes that the float32 file has not."""
    rows = [row for row in rows if row["storage"] == "float32"]
    changed = [row["label"] for row in rows if row["rounded"] != row["captured"]]
    if not rows:
        return ""
    if not changed:
        return "Nor does rounding the float32 rows to bfloat16 make one."
    return f"Rounding to bfloat16 changes that in {enumeration(changed)}."


def closer(rows: Sequence[Mapping], recipe: Mapping) -> list[Mapping]:
    """The arms in which the dead end at least twice as near to each other as by the recipe, in every run."""
    if not recipe["nearest"]:
        return []
    return [row for row in rows if row["nearest"] and 2 * max(row["nearest"]) <= min(recipe["nearest"])]


def nearest(rows: Sequence[Mapping], recipe: Mapping) -> str:
    """Which of the other arms bring the dead nearer to each other than the recipe does."""
    found = closer(rows, recipe)
    if not found:
        return "None that is there brings the dead even twice as near to each other as the recipe does."
    told = [f"{row['label']} ({span(row['nearest'], ',.0f')})" for row in found]
    return (
        f"At least twice as near to each other as by the recipe ({span(recipe['nearest'], ',.0f')}) the dead end with "
        f"{enumeration(told)}; in brackets, the cells to the nearest dead neighbour of the median dead token."
    )


def camps(rows: Sequence[Mapping], qwen: int) -> str:
    """In how many components the dead stand in two camps, beside Qwen's holes."""
    rows = [row for row in rows if row["captured"]]
    theirs = f"the tokens of Qwen's holes do so in {qwen} of theirs"
    if not rows:
        return f"No run is there yet to say; {theirs}."
    some = [f"in {span(row['camps'])} from {row['label']}" for row in rows if any(row["camps"])]
    if not some:
        return f"No run has such a component; {theirs}."
    return f"There are such components: {enumeration(some)}; {theirs}."


def grade(one: Mapping) -> str:
    """How much smoke: most of the dead in holes in every run, none in any, or some; empty without a run."""
    if not one["captured"]:
        return ""
    shares = [found / one["dead"] for found in one["captured"]]
    return "smoke" if min(shares) > MOST else "none" if max(shares) == 0 else "some"


def verdict(
    scattered: Sequence[Mapping], point: Mapping, spread: Mapping, arms: Sequence[Mapping] = ()
) -> str:
    """The answer to the title.

    scattered: the ordinary starts; point: one point; spread: one point with a spread; arms: the first of the ordinary
    starts under other arithmetic.
    """
    known = [grade(one) for one in scattered if grade(one)]
    if not known:
        return "Without a run from an ordinary start the question stays open."
    if set(known) == {"none"}:
        text = "No. From an ordinary start, by its recipe, Goldilocks makes no smoke"
    elif "smoke" in known:
        text = "Yes. From an ordinary start most of its dead tokens end in black holes"
    else:
        text = "A little. From an ordinary start some of its dead tokens end in black holes, but not most"
    held = [f"{row['label']} ({span(row['captured'])} of {row['dead']:,})" for row in arms if any(row["captured"])]
    if held:
        text += f"; what does put dead tokens into black holes is {enumeration(held)}"
    elif found := closer(arms, scattered[0]):
        names = enumeration([row["label"] for row in found])
        text += f", though with {names} its dead come a good deal nearer together"
    return f"{text}. {_kept(grade(point), grade(spread))}".strip()


def _kept(point: str, spread: str) -> str:
    """What becomes of a start that is smoke already, or nearly."""
    told = {
        "smoke": "Given smoke to begin with, it keeps it",
        "some": "Given smoke to begin with, it loses part of it",
        "none": "Given smoke to begin with, it disperses it",
    }
    near = {
        "smoke": "given nearly smoke, it makes the rest of the way",
        "some": "given nearly smoke, it makes a little",
        "none": "given nearly smoke, it does not close the gap",
    }
    joined = "; ".join(filter(None, (told.get(point), near.get(spread))))
    return f"{joined[:1].upper()}{joined[1:]}." if joined else ""


def beside(share: float, model: str, holes: int, goldilocks: Sequence[Mapping]) -> str:
    """How a finished model's smoke compares: the share of it in holes, against the dead of the ordinary starts."""
    ours = [found / one["dead"] for one in goldilocks for found in one["captured"]]
    have = f"{model} has {share:.0%} of its smoke in {holes:,} black hole{'s' * (holes != 1)}" if holes else (
        f"{model} has no black hole"
    )  # fmt: skip
    if not ours:
        return f"{have}."
    return f"{have}; Goldilocks, from an ordinary start, {span(ours, '.0%')} of its dead."


def follows(scattered: Sequence[Mapping], point: Mapping, spread: Mapping, arms: Sequence[Mapping] = ()) -> str:
    """What the runs say of the ways in which a smoke may have formed; see `verdict` for the arguments."""
    ordinary, kept, near = {grade(one) for one in scattered} - {""}, grade(point), grade(spread)
    if not ordinary:
        return "Nothing follows yet: no run from an ordinary start is there."
    if ordinary == {"none"}:
        rest = all(min(one["resting"]) > MOST for one in scattered if one["resting"])
        parts = [
            f"{'Freezing' if rest else 'Drift'} does not make smoke. Tokens that were scattered at the start and are "
            "pushed by one common force end as a scattered cloud that has moved. So a model with black holes did not "
            "get them from drift and a frozen lattice alone, unless its training differed from this one in something "
            "that matters"
        ]
    else:
        parts = ["Training alone can bring dead tokens into one cell, in some runs at least"]
    if found := closer(arms, scattered[0]):
        names = enumeration([row["label"] for row in found])
        parts.append(f"How near the dead end is a matter of the optimizer's arithmetic: with {names} they gather where "
                     "the recipe leaves them apart")  # fmt: skip
    if kept == "smoke":
        parts.append("What begins in one place stays in one place, so that black holes at the end may just be black "
                     "holes from the beginning")  # fmt: skip
    elif kept:
        parts.append("Even what begins in one place does not stay there, which the argument above does not allow: "
                     "something treats equal rows unequally")  # fmt: skip
    if near == "none":
        parts.append(f"A spread of {sizes(spread['start_thickness'])} cells at the start is too much to be undone")
    elif near:
        parts.append(f"A spread of {sizes(spread['start_thickness'])} cells at the start can be undone, "
                     f"{'wholly or nearly' if near == 'smoke' else 'in part'}")  # fmt: skip
    return f"{'. '.join(parts)}."
