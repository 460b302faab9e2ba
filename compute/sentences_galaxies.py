"""The sentences of the chapter on other galaxies whose truth depends on the catalogues: numbers in, words out.

Each follows a stated rule and holds for any list of catalogues, also where none has a hole or no arm is kept.
Chapter: Other galaxies.
"""

from collections.abc import Mapping, Sequence

from compute.galaxies import Separation
from compute.sentences import enumeration

FEW = 8  # names that fit into a sentence
RARE = 0.05  # a chance below this rules a story out
QWEN_SMOKE = "tokens in the frozen smoke (exponent distance <= 5)"  # the record's name of it
Row = Mapping


def lineup(rows: Sequence[Row], missing: Sequence[str]) -> str:
    """Who is compared, and which arms of Goldilocks are not kept here."""
    kinds = ("measured", "Goldilocks", "published", "claimed")
    seen, ours, published, claimed = (sum(row["kind"] == kind for row in rows) for kind in kinds)
    text = f"Of {len(rows)} skies {seen} {_are(seen)} measured here"
    if ours:
        what = "is a training" if ours == 1 else "are trainings"
        text += f"; {ours} {what} of Goldilocks, the first seed of an arm each"
    text += f"; {published} {_are(published)} as published, most with little besides their holes"
    text += f"; of {claimed} no more than a count was published."
    if missing:
        text += f" No end is kept here of the {'arms' if len(missing) > 1 else 'arm'} {enumeration(missing)}."
    return text


def holes(rows: Sequence[Row]) -> str:
    """Which of the measured catalogues have black holes."""
    some = [row for row in rows if row["kind"] == "measured"]
    having = [f"{row['catalogue']} ({row['holes']:,}, with {row['in_holes']:,} tokens)" for row in some if row["holes"]]
    lacking = [row["catalogue"] for row in some if not row["holes"]]
    if not having:
        return "None of the measured catalogues has a black hole."
    text = f"Black holes are in {enumeration(having)}"
    return f"{text}; there is none in {enumeration(lacking)}." if lacking else f"{text}: in all that are measured."


def edge(rows: Sequence[Row]) -> str:
    """Where the rule of the edge sees nothing and the widest gap a group all the same, and where both see one."""
    told = []
    for row in rows:
        if row["kind"] == "measured" and row["holes"] and (row["group"] or 0) > 1:
            if row["core"] == 1:
                told.append(
                    f"In {row['catalogue']} the rule of the edge finds nothing: the main cloud, as far as it can tell, "
                    f"begins at the centre. The widest gap has {row['group']:,} tokens inside, within "
                    f"{row['radius']:.2g} gamma units of the centre."
                )
            elif row["core"] == row["group"]:
                told.append(f"In {row['catalogue']} both rules agree on the same {row['core']:,} tokens.")
            else:
                told.append(
                    f"In {row['catalogue']} the core by the edge has {row['core']:,} tokens, the widest gap has "
                    f"{row['group']:,} inside."
                )
    return " ".join(told) or "No measured catalogue has an inner group, so the two rules have nothing to differ on."


def tight(rows: Sequence[Row]) -> str:
    """How far the inner groups reach, in hops of the lattice and as shares of the median norm, one a lineage."""
    first: dict[str, Row] = {}
    for row in rows:
        if row["kind"] != "Goldilocks" and row["hops"] and row["reached"]:
            first.setdefault(row["lineage"], row)
    some = list(first.values())
    if not some:
        return "No inner group has a known size."
    text = "The inner group reaches " + enumeration([
        f"{row['hops']:.1f} hops from its centre in {row['catalogue']}{' (published)' * (row['kind'] == 'published')}"
        for row in some
    ])  # fmt: skip
    if len(some) < 2:
        return f"{text}."
    spread = {name: max(row[name] for row in some) / min(row[name] for row in some) for name in ("hops", "reached")}
    factors = f"{spread['hops']:.1f} in hops and {spread['reached']:.0f} as shares of the median norm"
    verdict = "the grid" if spread["hops"] < spread["reached"] else "the cloud, not the grid,"
    return f"{text}. The largest and the smallest differ by a factor of {factors}: {verdict} is the better yardstick."


def box(sky: Mapping[str, Mapping], qwen: Mapping, dim: int) -> str:
    """In how many components, and by how many cells, the places of the inner groups differ, and Qwen's holes."""
    told = [
        f"in {group['varying']} of {dims:,} components and by {_cells(group['farthest'])} in {label}"
        for label, group, dims in ((label, one["group"], one["dim"]) for label, one in sky.items())
        if group["rows"] > 1
    ]
    between = f"in {len(qwen['components'])} of {dim:,} and by {_cells(qwen['linf'].max())} between the holes of Qwen"
    return f"The places differ {enumeration([*told, f'{between}, as published'])}."


def widths(sky: Mapping[str, Mapping]) -> str:
    """Whether the components in which the places differ are those with the finer cells."""
    some = {label: one["group"]["widths"] for label, one in sky.items() if None not in one["group"]["widths"]}
    if not some:
        return ""
    told = [f"{a:.1e} gamma units wide in {label}, and {b:.1e} elsewhere" for label, (a, b) in some.items()]
    finer = [label for label, (a, b) in some.items() if a < b]
    text = f"The median cell of those components is {'; '.join(told)}."
    if finer:
        text += f" In {enumeration(finer)} they part where cells are finer, as a scatter smaller than most cells would."
    return text


def noise(sky: Mapping[str, Mapping], qwen: Mapping) -> str:
    """Whether components scattered independently could have made each inner group, and Qwen's holes."""
    some = {label: one["group"]["noise"] for label, one in sky.items() if one["group"]["noise"]}
    ends = {label: zip(one["low"], one["found"], one["high"], strict=True) for label, one in some.items()}
    fits = {label: all(low <= found <= high for low, found, high in ends[label]) for label in some}
    like = [label for label, one in some.items() if fits[label] and one["chance"] >= RARE]
    unlike = [label for label in some if label not in like]
    parts = []
    if like:
        parts.append(f"In {enumeration(like)} all of it is as such noise would have it.")
    if unlike:
        parts.append(f"In {enumeration(unlike)} it is not.")
    chance = qwen["dependence"]["chance"]
    verdict = "could be noise too" if chance >= RARE else "are not"
    parts.append(f"The holes of Qwen, as published, {verdict}: what their components share is reached by shuffles")
    return f"{' '.join(parts)} with a chance of {chance:.3f}."


def _cells(farthest: int) -> str:
    return f"{farthest} cell" if farthest == 1 else f"up to {farthest} cells"


def special(sky: Mapping[str, Mapping]) -> str:
    """How many of a vocabulary's special tokens are in the inner group."""
    told = []
    for label, one in sky.items():
        group, (every, inside) = one["group"]["tokens"], one["special"]
        if group > 1 and every:
            outside = one["special_outside"]
            left = f" (all but {enumeration(outside)})" if 0 < len(outside) <= FEW < inside else ""
            told.append(f"{inside:,} of the {every:,} special tokens of {label} are in its group of {group:,}{left}")
    return f"{'; '.join(told)}." if told else "No inner group belongs to a vocabulary that has special tokens."


def fished(sky: Mapping[str, Mapping], known: str = "SolidGoldMagikarp") -> str:
    """Whether the token that gave the untrained ones their fame is in an inner group, and of what."""
    pools = [label for label, one in sky.items() if any(known in text for text in one["group"]["texts"])]
    return f"{known}, the token that made such tokens famous, is in the group of {enumeration(pools)}." if pools else ""


def reachable(sky: Mapping[str, Mapping], record: Mapping[str, float]) -> str:
    """Whether the tokenizers can say the tokens of the inner groups, against all their tokens, and Qwen's."""
    told = []
    for label, one in sky.items():
        found = one["reach"]
        if found and found["tested_inside"]:
            inside = found["unreachable_inside"] / found["tested_inside"]
            told.append(f"{inside:.0%} in {label} ({found['unreachable'] / found['tested']:.1%} of all its tokens)")
    if not told:
        return "No tokenizer was there to be asked."
    of_qwen = record["unreachable tokens in the cluster"] / record[QWEN_SMOKE]
    return f"Of the tokens inside, unreachable are {enumeration([*told, f'{of_qwen:.1%} in Qwen, as published'])}."


def spare(sky: Mapping[str, Mapping]) -> str:
    """What became of rows whose names say that they stand for nothing."""
    told = [_spare(label, one) for label, one in sky.items() if one["spare"]["tokens"] > 1]
    return " ".join(told) or "No measured catalogue has rows whose names call them unused."


def _spare(label: str, one: Mapping) -> str:
    rows, reach = one["spare"], one["reach"]
    side = "nearer" if rows["norm"] < rows["others_norm"] else "no nearer"
    text = f"{label} has {rows['tokens']:,} rows whose names say that they stand for nothing"
    if reach:
        alone = reach["unreachable_spare"]
        text += f", and of {'none' if alone == rows['tokens'] else 'not all'} of them does the tokenizer make a token"
    text += (
        f". They lie {side} to the origin than the others (median norms {rows['norm']:.3f} and "
        f"{rows['others_norm']:.3f}), and from one to the next it is {rows['nearest']:.3f} gamma units in the median, "
        f"{rows['nearest'] / one['median_norm']:.0%} of the way from the centroid to a token."
    )
    if rows["rounded"] is None:
        return text
    where = f"{rows['rounded']:,} tokens" if rows["rounded"] else "no two rows"
    return f"{text} Rounded to bfloat16, {where} of the whole catalogue would share a place."


def coarse(sky: Mapping[str, Mapping]) -> str:
    """How coarse a grid would have to be to make holes where there are none, and whether of spare rows."""
    told = []
    for label, one in sky.items():
        found = one["coarse"]
        if found and found["bits"]:
            text = f"In {label} rows first meet on a grid of {found['bits']} bits with one scale for all: "
            text += f"{found['tokens']:,} tokens in {_holes(found['holes'])}"
            spare = one["spare"]["tokens"]
            told.append(text + (f", {found['spare']:,} of the {spare:,} spare rows among them." if spare else "."))
        elif found:
            told.append(f"In {label} not even two bits a number put any two rows together.")
    return " ".join(told)


def _holes(count: int) -> str:
    return "one hole" if count == 1 else f"{count:,} holes"


def goldilocks(rows: Sequence[Row]) -> str:
    """Which arms of Goldilocks end with black holes."""
    some = [row for row in rows if row["kind"] == "Goldilocks"]
    if not some:
        return "Of Goldilocks no end is kept here yet."
    having = [row["catalogue"].removeprefix("Goldilocks, ") for row in some if row["holes"]]
    if not having:
        return f"Of {len(some)} arms of Goldilocks none ends with a black hole."
    return f"Of {len(some)} arms of Goldilocks these end with black holes: {enumeration(having)}."


def luck(found: Sequence[Separation]) -> str:
    """How many numbers tell the lineages with holes from those without, and how many would by luck."""
    if not found:
        return "There are not both kinds, so nothing can be told apart."
    apart, expected = sum(one.separates for one in found), sum(one.chance for one in found)
    text = f"Of {len(found)} numbers {apart} {'puts' if apart == 1 else 'put'} all lineages with holes on one side"
    if apart:
        text += f" ({enumeration([one.name for one in found if one.separates])})"
    text += f"; of numbers that mean nothing {expected:.1f} would be expected to"
    verdict = "That is no evidence of anything" if apart <= 2 * expected else "Somebody should look into that"
    return f"{text}. {verdict}."


def answer(rows: Sequence[Row], sky: Mapping[str, Mapping]) -> str:
    """The short answer to what the catalogues with smoke have in common, worded by what was found."""
    groups = {label: one for label, one in sky.items() if one["group"]["tokens"] > 1 and one["populations"]}
    if not groups:
        return "No measured catalogue has smoke, so there is nothing for them to have in common."
    touching = all(one["group"]["pieces"] == 1 for one in groups.values())
    known = sum(one["special"][1] for one in groups.values())
    parts = [f"{len(groups)} of {len(sky)} measured catalogues have smoke: {enumeration(list(groups))}."]
    if touching:
        whole = "both" if len(groups) == 2 else "all" if len(groups) > 2 else "it"
        parts.append(f"In {whole} the inner group hangs together, cell by neighbouring cell, to the last token.")
    if known:
        parts.append(f"Special tokens are among those inside: {known:,} in all.")
    spared = [label for label, one in sky.items() if one["spare"]["tokens"] > 1 and not one["populations"]]
    if spared:
        parts.append(f"Rows that stand for nothing are not enough: {enumeration(spared)} has them, and no smoke.")
    return " ".join(parts)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
