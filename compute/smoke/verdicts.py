"""The published record of the frozen smoke, claim by claim: what was published, what is measured here, the verdict.

A claim is stated in words and numbers; its verdict follows from a comparison, and where numbers differ, from
the ids that make the difference. Sources: harrell2025azimuth, land2024magikarp. Chapter: The frozen smoke.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compute.smoke.constellation import Constellation, norm_bounds
from compute.smoke.reachability import Reachability, never_emitted
from compute.tokens import display

HOLDS, EXPLAINED, FAILS, NEW = "holds", "differs, explained", "does not hold", "not claimed, measured here"
THAI_BLOCK = range(0x0E00, 0x0E80)
CORE_RADIUS = 5e-5  # gamma units, as published: what it parts is a claim


@dataclass(frozen=True)
class Verdict:
    """One claim of the record and what became of it."""

    claim: str
    published: str
    measured: str
    verdict: str  # HOLDS, EXPLAINED, FAILS or NEW
    reason: str  # how it was measured, and what makes a difference


def _compare(claim: str, published, measured, reason: str, explained: bool = False) -> Verdict:
    verdict = HOLDS if published == measured else EXPLAINED if explained else FAILS
    return Verdict(claim, _shown(published), _shown(measured), verdict, reason)


def _shown(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def of_the_constellation(
    found: Constellation, linf: np.ndarray, exponents: np.ndarray, record: Mapping[str, float]
) -> list[Verdict]:
    """Checks what is published of the 13 black holes against their bit patterns.

    linf: the published matrix (13, 13); exponents: (2560,) of the largest hole; record: {quantity: value} of
    the model.
    """
    measured, count = found.linf.distances, len(found.populations)
    pairs = np.triu_indices(count, 1)
    labels, degrees = found.linf.labels(1), found.linf.degrees(1)
    main = np.flatnonzero(labels == labels[0])
    low, high = norm_bounds(exponents)
    norm = record["black-hole norm"]
    spread = float(np.ptp(found.square_sums()) / (2 * norm))
    outside = np.flatnonzero(found.separation[0] >= CORE_RADIUS)
    in_list = np.bincount(exponents, minlength=256) - np.bincount(found.exponents[0], minlength=256)
    coarsest = 2.0 ** (int(found.exponents.max()) - 134)
    adjacent = int((measured[pairs] <= 1).sum())
    agree = int((measured[pairs] == linf[pairs]).sum())
    return [
        _compare("black holes", int(record["black holes"]), count, "rows of the constellation"),
        _compare(
            "tokens in black holes", int(record["tokens in black holes"]), int(found.populations.sum()),
            "sum of the populations",
        ),
        _compare(
            "components in which the holes differ", int(record["components in which the 13 holes differ"]),
            int((np.ptp(found.places, axis=0) > 0).sum()), "columns with more than one pattern",
        ),
        _compare(
            "all holes share sign and exponent in every component", True,
            found.same_binade and bool((in_list >= 0).all()),
            "compared bit by bit, and against the list of exponents of all components",
        ),
        _compare(
            "L-infinity distances of all pairs", f"{len(pairs[0])} pairs", f"{agree} pairs",
            "ordinals subtracted, component by component",
        ),
        _compare(
            "the holes are 1 to 10 cells apart", "1 to 10", f"{measured[pairs].min()} to {measured[pairs].max()}",
            _farthest(found, measured, linf),
        ),
        _compare(
            "the holes form one complete graph: every two touch", f"{len(pairs[0])} pairs", f"{adjacent} pairs",
            f"two holes touch at L-infinity 1; {found.linf.count(1)} components. The claim divides by one ULP, 2^-14, "
            f"for all components: the largest difference, {found.farthest_component.max():.3g}, is "
            f"{found.farthest_component.max() / coarsest:g} of that, and up to {measured.max()} cells where cells are "
            "finer",
        ),
        _compare(
            "the largest component holds 5 holes with 1,060 tokens", "5 holes, 1060 tokens",
            f"{len(main)} holes, {found.populations[main].sum()} tokens",
            f"holes {', '.join(map(str, main))} hang together at L-infinity 1; the hubs are "
            f"{', '.join(map(str, np.flatnonzero(degrees == degrees.max())))} with {degrees.max()} neighbours each",
        ),
        _compare(
            "no black hole lies in the Oort cloud (50 Oort singletons)", 0, len(outside),
            f"{CORE_RADIUS:g} ends the published core; hole {', '.join(map(str, outside))} with "
            f"{found.populations[outside].sum()} tokens lies {found.separation[0].max():.3g} from the largest. So the "
            "50 vectors of the Oort cloud are 49 singletons and a hole, 53 tokens, as the record's own census counts",
        ),
        _compare(
            "all black holes have one norm, within 2e-6", "< 2e-06",
            "< 2e-06" if spread < 2e-6 else f"{spread:.3g}",
            f"from the components that differ, the norms differ by at most {spread:.3g} gamma units",
        ),
        _compare(
            "the norm fits the exponents", True, bool(low <= norm < high),
            f"the exponents allow {low:.4f} to {high:.4f} gamma units; published is {norm}",
        ),
    ]  # fmt: skip


def _farthest(found: Constellation, measured: np.ndarray, linf: np.ndarray) -> str:
    pair = np.unravel_index(measured.argmax(), measured.shape)
    where = int(np.abs(found.places[pair[0]] - found.places[pair[1]]).argmax())
    return (
        f"holes {min(pair)} and {max(pair)} are {measured.max()} cells apart in component {found.components[where]}; "
        f"the published matrix itself goes up to {linf.max()}"
    )


def of_the_vocabulary(
    tokens: Sequence[bytes | None],
    found: Reachability,
    witnessed: Mapping[int, str | None],
    cluster: np.ndarray,
    scripts: np.ndarray,
    record: Mapping[str, float],
    report: Mapping[str, float],
) -> list[Verdict]:
    """Checks what is published of the tokens against the real vocabulary.

    tokens, found, scripts: of the N rows; witnessed: `reachability.witnesses`; cluster: the ids of the
    published cluster; record: {quantity: value} of the model; report: the same of Land and Bartolo's report
    on the same vocabulary.
    """
    without = np.flatnonzero(~found.tested)
    inside = np.zeros(len(tokens), dtype=bool)
    inside[cluster] = True
    single = [i for i, raw in enumerate(tokens) if raw is not None and len(raw) == 1]
    others = np.flatnonzero(found.unreachable & ~np.isin(found.cause, ("single byte", "UTF-8 fragment")))
    looks = [int(i) for i in others if _looks_special(tokens[i])]
    thai = [i for i in cluster if tokens[i] and _has_thai(tokens[i])]
    by_script = int((scripts[cluster] == "Thai").sum())
    unlike = [int(i) for i in thai if scripts[i] != "Thai"]
    lost = int(found.unreachable[cluster].sum())
    outside = np.flatnonzero(found.unreachable & ~inside)
    emitted = [i for i in outside if witnessed.get(int(i)) is not None]
    silent = never_emitted(found, dict(witnessed))
    hits, misses, alarms = (int(m.sum()) for m in (silent & inside, inside & ~silent, silent & ~inside))
    return [
        _compare(
            "rows without a token", int(record["rows without a token"]), len(without),
            f"ids {without[0]} to {without[-1]}" if len(without) else "every row has a token",
        ),
        _compare(
            "unreachable tokens in the whole vocabulary",
            int(record["unreachable tokens in the whole vocabulary"]), int(found.unreachable.sum()),
            f"encode(decode(id)) is not [id]: {_listed(found.counts())}",
        ),
        _compare(
            "unreachable tokens in the cluster", int(record["unreachable tokens in the cluster"]),
            lost + int((~found.tested[cluster]).sum()),
            f"{lost:,} tokens that do not come back, and {int((~found.tested[cluster]).sum())} rows without a token",
        ),
        _compare(
            "Thai tokens in the cluster", int(record["Thai tokens in the cluster"]), len(thai),
            f"tokens with a character of U+0E00 to U+0E7F; by most of their letters {by_script:,} are Thai"
            + "".join(f"; {_named([i], tokens)} is {scripts[i]}" for i in unlike),
        ),
        _compare(
            "single-byte tokens", int(report["single-byte tokens"]), len(single),
            f"{int(found.reachable[single].sum())} of them, ASCII, are reachable; the others are no text alone",
        ),
        _compare(
            "UTF-8 fragments", int(report["UTF-8 fragment tokens (not single bytes)"]),
            int((found.cause == "UTF-8 fragment").sum()), "tokens of two bytes or more that are no valid UTF-8",
        ),
        _compare(
            "unreachable tokens that are neither",
            int(report["unreachable tokens that are neither single bytes nor UTF-8 fragments"]), len(others),
            "the report leaves out what looks like a special token: "
            + _named(looks, tokens),
            explained=len(others) - len(looks)
            == report["unreachable tokens that are neither single bytes nor UTF-8 fragments"],
        ),
        _compare(
            "unreachable tokens outside the cluster can never be produced", len(outside), len(outside) - len(emitted),
            f"{len(emitted):,} of the {len(outside):,}, all bytes and fragments, turn up inside some character; a text "
            f"was found for each. Without one: {_named([i for i in outside if i not in set(emitted)], tokens)}",
        ),
        Verdict(
            "how much of the cluster the tokenizer alone tells", "-", f"{hits:,} of {len(cluster):,}", NEW,
            f"rows that no text is known to lead to: {hits + alarms:,}, of which {alarms} outside the cluster; "
            f"{misses} of the cluster can be produced: {_named(np.flatnonzero(inside & ~silent), tokens)}",
        ),
    ]  # fmt: skip


def _looks_special(raw: bytes) -> bool:
    """The report's rule for a special token: three characters or more, [< first, ]> last, an ASCII letter within."""
    text = raw.decode("utf-8", "replace")
    return len(text) >= 3 and text[0] in "[<" and text[-1] in "]>" and any(c.isascii() and c.isalpha() for c in text)


def _has_thai(raw: bytes) -> bool:
    return any(ord(character) in THAI_BLOCK for character in raw.decode("utf-8", "replace"))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {cause}" for cause, n in counts.items() if cause not in ("reachable", "no token"))


def _named(ids: Iterable[int], tokens: Sequence[bytes | None]) -> str:
    return ", ".join(f"{i} {display(tokens[i], int(i))}" for i in ids)


def of_the_members(
    members: Mapping[str, Sequence[int]], found: Constellation, cluster: np.ndarray, reach: Reachability
) -> list[Verdict]:
    """Checks the published members of the small holes against populations, the cluster and the tokenizer."""
    ids = np.array([i for group in members.values() for i in group], dtype=np.int64)
    sizes = {hole: len(group) for hole, group in members.items()}
    expected = {hole: int(found.populations[int(hole)]) for hole in members}
    lost = int((~reach.reachable[ids]).sum())
    return [
        _compare(
            "members of the small holes", _sizes(expected), _sizes(sizes),
            f"holes {', '.join(members)}; each list holds its hole's representative: "
            f"{all(int(found.representatives[int(hole)]) in group for hole, group in members.items())}",
        ),
        _compare("they belong to the cluster", len(ids), int(np.isin(ids, cluster).sum()), "looked up by id"),
        _compare("none of them is reachable", len(ids), lost, f"{int((~reach.tested[ids]).sum())} without a token"),
    ]  # fmt: skip


def _sizes(sizes: Mapping[str, int]) -> str:
    return " ".join(str(size) for size in sizes.values())


def of_the_populations(populations: Mapping[str, Sequence[int]], record: Mapping[str, int]) -> list[Verdict]:
    """Checks the published number of holes of each model, {model: holes}, against its list of populations."""
    return [
        _compare(
            f"black holes of {model}", int(record[model]), len(sizes),
            f"{sum(sizes):,} tokens in them, the largest {max(sizes):,}; "
            f"pairs among them: {sum(size == 2 for size in sizes)}",
        )
        for model, sizes in populations.items()
    ]  # fmt: skip


def of_the_other_report(lowest: Sequence[int], cluster: np.ndarray, tokens: Sequence[bytes | None]) -> Verdict:
    """Asks how many of the tokens that another report puts lowest, in another model, are in the cluster."""
    shared = [int(i) for i in lowest if i in set(cluster.tolist())]
    return Verdict(
        "the twenty most under-trained tokens of Qwen3-32B are in this cluster", "-", f"{len(shared)} of {len(lowest)}",
        NEW, f"in both: {_named(shared, tokens) or 'none'}. That report leaves out what is unreachable, which is what "
        "nearly all of this cluster is",
    )  # fmt: skip
