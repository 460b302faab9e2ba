"""The named results of the lives of dead tokens: phases, freeze times, truncation, stragglers, what predicts them.

A result is of one experiment, all its seeds: it takes the list of their settings, so that it is keyed by them.
Chapter: Nutcracker.
"""

import numpy as np

from compute import experiments
from compute.cache import Result, cached
from compute.corpus import Corpus, open_corpus
from compute.goldilocks import phases
from compute.results_experiments import lives_of, stragglers
from compute.results_goldilocks import run
from compute.smoke import scripts

MAIN, PUBLISHED = "pure-bf16", "published-init"
COLUMNS = 480  # moments at which the stratigraphy is drawn
BEYOND = 1.15  # how far the pictures go on past the last motion
RESTS = 12  # a token that has rested for this part of the run counts as frozen: 1,000 steps of 12,000
PRINTED = 6  # lengths at which a shorter run is imagined to have ended
LATEST = 8  # tokens a seed that are named
DRAWS = 300  # of the bootstrap
STRETCH = 100  # parts of a run: the fullest of them tells whether tokens freeze together


def settings_of(name: str) -> list[dict]:
    """The settings of an experiment's runs, a seed each."""
    chosen = experiments.named(name)
    return [chosen.settings(seed) for seed in chosen.seeds]


def watched(corpus: Corpus, settings: list[dict]) -> list[dict]:
    """The summaries of some runs, unpacked; a run that is not kept is trained."""
    return [lives_of(run(corpus, one)) for one in settings]


def lives(name: str = MAIN) -> Result:
    """The phases of every dead token over time: see `_lives`."""
    return _lives(open_corpus(), settings_of(name))


@cached
def _lives(corpus: Corpus, settings: list) -> dict:
    """Phases (seeds, n, moments) of all dead tokens, by freeze step; shares (seeds, moments, 4) of each phase.

    moments: steps, up to soon after the last motion of all; exits: (seeds, 3) median steps at which early, midlife
    and late are left for good.
    """
    found = [phases.of_run(arrays) for arrays in watched(corpus, settings)]
    steps, n = settings[0]["steps"], int(corpus.dead.sum())
    reach = min(steps, int(BEYOND * max(int(one.move.max()) for one in found)) + 1)
    moments = np.unique(np.linspace(1, reach, min(COLUMNS, reach)).astype(int))
    orders = [np.lexsort((one.wide, one.far, one.move)) for one in found]
    codes = [phases.phase_at(one, moments).T[order] for one, order in zip(found, orders, strict=True)]
    ended = [run(corpus, one) for one in settings]
    return {
        "seeds": [one["seed"] for one in settings],
        "steps": steps,
        "tokens": n,
        "moments": moments,
        "phases": np.stack(codes),
        "shares": np.stack([phases.populations(one, moments) / n for one in found]),
        "exits": np.array([[float(np.median(kind)) for kind in one] for one in found]),
        "final_loss": [one["final_loss"] for one in ended],
        "unigram_entropy": corpus.unigram_entropy,
    }


def freezing(name: str = MAIN) -> Result:
    """The distribution of freeze times as censored data: see `_freezing`."""
    return _freezing(open_corpus(), settings_of(name))


@cached
def _freezing(corpus: Corpus, settings: list) -> dict:
    """Kaplan-Meier curves a seed, their medians (seeds, 3) with 95 % interval, and what they rest on.

    A token is frozen if it rested for the last twelfth of the run. last: (seeds, n) last motions; restless: tokens that
    moved in that twelfth; never: those that never moved; fullest: (seeds, 3) the hundredth of the run with the most
    last motions, its first and last step and its share of them.
    """
    steps = settings[0]["steps"]
    rest = max(steps // RESTS, 1)
    last = np.stack([phases.of_run(arrays).move for arrays in watched(corpus, settings)])  # (seeds, n)
    curves = [phases.freezing(one, steps, rest) for one in last]
    width = max(steps // STRETCH, 1)
    return {
        "seeds": [one["seed"] for one in settings],
        "steps": steps,
        "rest": rest,
        "last": last,
        "curves": [{"times": c.times, "share": c.share, "lower": c.lower, "upper": c.upper} for c in curves],
        "medians": np.array([phases.median_time(curve) for curve in curves]),
        "printed": np.median(last, axis=1),
        "restless": (last > steps - rest).sum(axis=1).tolist(),
        "never": (last == 0).sum(axis=1).tolist(),
        "frozen_share": (last <= steps - rest).mean(axis=1),
        "fullest": np.array([_fullest(one, width) for one in last]),
    }


def _fullest(last: np.ndarray, width: int) -> tuple[float, float, float]:
    """The stretch of `width` steps with the most of some last motions: first and last step, and their share."""
    ordered = np.sort(last[last > 0])
    if not len(ordered):
        return 0.0, 0.0, 0.0
    inside = np.searchsorted(ordered, ordered + width, side="left") - np.arange(len(ordered))
    at = int(inside.argmax())
    return float(ordered[at]), float(ordered[at] + width - 1), float(inside[at] / len(last))


def truncated(name: str = MAIN) -> Result:
    """What shorter runs would have reported, and what hopping by chance explains of it: see `_truncated`."""
    return _truncated(open_corpus(), settings_of(name))


@cached
def _truncated(corpus: Corpus, settings: list) -> dict:
    """Medians that shorter runs would print, hops over time, and the last hops that chance alone would give.

    ends: (k,) steps, the ends of windows; quartiles (seeds, k, 3) of the last motion so far; moved_again (seeds, k):
    share of those resting at an end that move later; last_quarter (seeds, k): share of all last motions so far that lie
    in the last quarter before the end; hops (seeds, k): moves a token in 1,000 steps, window by window; printed_at,
    printed (lengths,), (seeds, lengths): the median a run of that length prints. second_half: steps, and measured and
    expected (seeds, m) shares of tokens whose last hop is past, the expectation from each token's rate in that half.
    """
    runs = watched(corpus, settings)
    steps = settings[0]["steps"]
    rest = max(steps // RESTS, 1)
    cuts = [phases.truncation(arrays, rest) for arrays in runs]
    ends = cuts[0].ends
    moves = [phases.as_of_windows(arrays).move for arrays in runs]
    wide = np.diff(ends, prepend=0)
    lengths = np.unique(np.maximum(np.round(np.linspace(0, len(ends), PRINTED + 1)).astype(int), 1)[1:]) - 1
    return {
        "seeds": [one["seed"] for one in settings],
        "steps": steps,
        "rest": rest,
        "ends": ends,
        "quartiles": np.stack([cut.quartiles for cut in cuts]),
        "moved_again": np.stack([cut.moved_again for cut in cuts]),
        "last_quarter": np.stack([(move > 0.75 * ends[:, None]).mean(axis=1) for move in moves]),
        "hops": np.stack([1000 * arrays["moves"].mean(axis=1) / wide for arrays in runs]),
        "printed_at": ends[lengths],
        "printed": np.stack([cut.quartiles[lengths, 1] for cut in cuts]),
        "second_half": _by_chance(runs, [move[-1] for move in moves], ends),
    }


def _by_chance(runs: list[dict], last: list[np.ndarray], ends: np.ndarray) -> dict:
    """When last hops happen in the second half of a run, and when they would at constant rates."""
    half, end = len(ends) // 2, int(ends[-1])
    begin = int(ends[half - 1]) if half else 0
    grid = np.unique(np.linspace(begin, end, 121).astype(int))
    rates = [phases.hop_rates(arrays["moves"][half:].sum(axis=0, dtype=int), end - begin) for arrays in runs]
    return {
        "steps": grid,
        "measured": np.stack([(one[None, :] <= grid[:, None]).mean(axis=1) for one in last]),
        "expected": np.stack([phases.chance_last_hop(one.rate, end, grid) for one in rates]),
        "hoppers": [float((one.rate > 0).mean()) for one in rates],
        "median_rate": [float(1000 * np.median(one.rate[one.rate > 0])) if (one.rate > 0).any() else 0.0
                        for one in rates],
    }  # fmt: skip


def latest(name: str = MAIN) -> Result:
    """The stragglers, and the tokens that froze last, by name: see `_latest`."""
    return _latest(open_corpus(), settings_of(name))


@cached
def _latest(corpus: Corpus, settings: list) -> dict:
    """Who moved in the last 5 % of a run, counted a seed; and the last eight to move, with texts and last steps."""
    texts = [text.decode("utf-8", "replace") for text in corpus.texts]
    found = [(one["seed"], arrays["tokens"], phases.of_run(arrays).move)
             for one, arrays in zip(settings, watched(corpus, settings), strict=True)]  # fmt: skip
    orders = [np.argsort(-last, kind="stable")[:LATEST] for _, _, last in found]
    counted = [stragglers(seed, tokens, last, settings[0]["steps"], texts)[0]["count"] for seed, tokens, last in found]
    return {
        "seeds": [seed for seed, _, _ in found],
        "stragglers": counted,
        "ids": [tokens[order].tolist() for (_, tokens, _), order in zip(found, orders, strict=True)],
        "texts": [[texts[i] for i in tokens[order]] for (_, tokens, _), order in zip(found, orders, strict=True)],
        "last": [last[order].tolist() for (_, _, last), order in zip(found, orders, strict=True)],
        "shared": _shared([set(tokens[order].tolist()) for (_, tokens, _), order in zip(found, orders, strict=True)]),
    }


def _shared(groups: list[set[int]]) -> int:
    """How many tokens stand in more than one group."""
    return sum(sum(token in group for group in groups) > 1 for token in set().union(*groups))


def prediction(name: str = MAIN) -> Result:
    """What predicts the freeze step: see `_prediction`."""
    return _prediction(open_corpus(), settings_of(name))


@cached
def _prediction(corpus: Corpus, settings: list) -> dict:
    """Least squares for the step of the last motion, standardised, with bootstrap intervals, a seed and pooled.

    predictors: names; coefficients, lower, upper: (seeds + 1, k), the last row pooled, each seed's means taken out;
    r_squared (seeds + 1,). A predictor that is the same for all tokens is left out; where all tokens freeze in one
    step, there is nothing to predict, and `predictors` is empty.
    """
    tables = []
    for arrays in watched(corpus, settings):
        names, columns = _predictors(corpus, arrays)
        tables.append((phases.of_run(arrays).move.astype(float), columns))
    if any(outcome.std() == 0 for outcome, _ in tables):
        return {"seeds": [one["seed"] for one in settings], "predictors": []}
    varying = np.all([columns.std(axis=0) > 0 for _, columns in tables], axis=0)
    tables = [(outcome, columns[:, varying]) for outcome, columns in tables]
    centred = [(outcome - outcome.mean(), columns - columns.mean(axis=0)) for outcome, columns in tables]
    tables.append(tuple(np.concatenate(parts) for parts in zip(*centred, strict=True)))
    found = [phases.regression(outcome, columns, draws=DRAWS) for outcome, columns in tables]
    return {
        "seeds": [one["seed"] for one in settings],
        "predictors": [name for name, kept in zip(names, varying, strict=True) if kept],
        **{name: np.stack([getattr(one, name) for one in found]) for name in ("coefficients", "lower", "upper")},
        "r_squared": [one.r_squared for one in found],
    }


def _predictors(corpus: Corpus, arrays: dict) -> tuple[list[str], np.ndarray]:
    """What is known of a dead token at the start: (n, k), a column each."""
    texts = [corpus.texts[i] for i in arrays["tokens"]]
    script = scripts.traits(texts).script
    names, counts = np.unique(script, return_counts=True)
    common = str(names[counts.argmax()])
    columns = {
        "norm at the start": arrays["start_norm"],
        "largest component": arrays["start_linf"],
        "cosine to the mean h": arrays["start_alignment"],
        "letters of its text": np.array([len(text.decode("utf-8", "replace")) for text in texts]),
        f"script: {common}": (script == common).astype(float),
    }
    return list(columns), np.stack(list(columns.values()), axis=1).astype(float)
