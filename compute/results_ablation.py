"""The named results that set the arms of the ablation side by side, and the arithmetic that decides between them.

Chapter: Nutcracker.
"""

import numpy as np

from compute import experiments, rounding
from compute.cache import Result, cached
from compute.corpus import Corpus, open_corpus
from compute.goldilocks import observation, phases
from compute.goldilocks.observation import SERIES
from compute.goldilocks.settings import Settings
from compute.lattice import BFLOAT16, value
from compute.results_goldilocks import final_bits, run
from compute.results_nutcracker import MAIN, PUBLISHED, settings_of, watched

ARMS = (
    MAIN, "no-decay", "decay-that-counts", "beta2-0.99", "beta2-0.95", "fp32-moments", "stochastic-rounding",
    "fp32-master", "fp32", "one-point", "one-point-spread", PUBLISHED,
)  # fmt: skip
KEPT = ("radius", "dead_pull_norm", "dead_probability", "l1_mean", "loss", "participation", "mean_h_turn")
POINTS = 240  # of a curve over a whole run
MEMORIES = {  # how the second moment of the recipe's gradients is kept: beta2, and whether in bfloat16
    "bfloat16, β₂ = 0.999": (0.999, True),
    "float, β₂ = 0.999": (0.999, False),
    "bfloat16, β₂ = 0.99": (0.99, True),
}
LEADS = 24  # bins of where a component was ahead of the others


def arms() -> dict[str, Result]:
    """Every arm of the ablation by name: see `_arm`."""
    end = common_end()
    return {name: _arm(open_corpus(), settings_of(name), end) for name in ARMS}


def clouds(found: dict[str, Result]) -> dict[str, tuple]:
    """Radius over the first (seeds,), and what decay alone leaves of it, of arms that start from the recipe's cloud.

    An arm whose decay leaves less than half says nothing of other reasons.
    """
    spread = Settings().init_std
    alike = [name for name, one in found.items() if (one["init"], one["init_std"]) == ("normal", spread)]
    told = [name for name in alike if found[name]["decay"] > 0.5]
    return {name: (found[name]["radius_end"] / found[name]["radius_start"], found[name]["decay"]) for name in told}


def common_end() -> int:
    """The last step that all arms have: what longer runs did later is not compared."""
    return min(experiments.named(name).steps for name in ARMS)


@cached
def _arm(corpus: Corpus, settings: list, end: int) -> dict:
    """One arm: shares of resting tokens over time, at the milestones and for good, and how its cloud and loss went.

    milestones (k,): up to the run's own end; still (seeds, k): mean of the 100 steps up to each; good (seeds, k): those
    that never move again up to `end`, NaN beyond it; frozen (seeds,): those that rest for the last `rest` steps up to
    `end`, still_at_end: those at rest in a step there; curve_steps, curve: resting shares over the whole run; series
    (seeds, rows) by name at series_steps; fade (seeds,): the dead pull at its largest over that at `end`; decay: what
    weight decay alone would leave of a radius by `end`, in exact arithmetic.
    """
    runs, first = watched(corpus, settings), Settings(**settings[0])
    steps, n = first.steps, int(corpus.dead.sum())
    spacing = min(experiments.MILESTONE, steps)
    milestones = np.arange(spacing, steps + 1, spacing)
    stride = max(steps // POINTS, 1)
    rows = runs[0]["series_steps"]
    series = {name: np.stack([one["series"][:, SERIES.index(name)] for one in runs]) for name in KEPT}
    before = rows <= end
    pulls = series["dead_pull_norm"][:, before]
    good = [phases.frozen_for_good(last_by(one, end), milestones) for one in runs]
    return {
        "seeds": [one["seed"] for one in settings],
        "protocol": first.protocol, "beta2": first.beta2, "weight_decay": first.weight_decay,
        "init": first.init, "init_std": first.init_std, "steps": steps, "end": end,
        "milestones": milestones,
        "still": np.stack([phases.frozen_fraction(one["count_still"], n, milestones) for one in runs]),
        "still_at_end": np.array([float(phases.frozen_fraction(one["count_still"], n, [end])[0]) for one in runs]),
        "good": np.where(milestones <= end, np.stack(good), np.nan),
        "rest": min(experiments.MILESTONE, end),
        "frozen": np.array([(last_by(one, end) <= end - experiments.MILESTONE).mean() for one in runs]),
        "curve_steps": np.arange(stride, steps + 1, stride),
        "curve": np.stack([_binned(one["count_still"], stride) / n for one in runs]),
        "series_steps": rows,
        "series": series,
        "fade": pulls.max(axis=1) / np.maximum(pulls[:, -1], np.finfo(np.float32).tiny),
        "radius_start": np.array([float(one["start_radius"]) for one in runs]),
        "radius_end": np.array([_last_known(one[before]) for one in series["radius"]]),
        "final_loss": np.array([run(corpus, one)["final_loss"] for one in settings]),
        "unigram_entropy": corpus.unigram_entropy,
        "decay": float((1 - first.learning_rate * first.weight_decay) ** end),
    }  # fmt: skip


def last_by(arrays: dict, end: int) -> np.ndarray:
    """The last motion of each token (n,) up to a step, which ends a window of the summary or the run.

    Raises ValueError for any other step.
    """
    if end != arrays["step"] and end % phases.WINDOW:
        raise ValueError(f"a multiple of {phases.WINDOW} or the end {arrays['step']} asked for; found step {end}")
    return phases.as_of_windows(arrays).move[-(-end // phases.WINDOW) - 1]


def _binned(counts: np.ndarray, stride: int) -> np.ndarray:
    """Means of `stride` counts each; what is left over at the end is left out."""
    whole = len(counts) // stride * stride
    return counts[:whole].reshape(-1, stride).mean(axis=1)


def _last_known(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else float("nan")


def replay() -> Result:
    """What Adam makes of the recipe's own gradients under three memories: see `_replay`."""
    return _replay(open_corpus(), settings_of(MAIN), common_end())


@cached
def _replay(corpus: Corpus, settings: list, end: int) -> dict:
    """The step that Adam takes with the measured gradients of the dead, by how the second moment is kept.

    The gradient is that of a typical component of a dead token: the measured pull over n sqrt(D), steps between two
    means interpolated; it is taken to keep its direction, so that m = g and the step is the longest there can be, lr
    g / (sqrt(v / (1 - beta2^t)) + eps). steps (k,); gradient (seeds, k); lengths, by memory, (seeds, k), in half
    cells of the typical weight, the root mean square component of a dead token then; at_end (seeds,), by memory: the
    mean of the 100 steps up to `end`. Sources: [kingma2015adam], [zamirai2021bfloat16].
    """
    chosen, n = Settings(**settings[0]), int(corpus.dead.sum())
    time = np.arange(1, chosen.steps + 1)
    followed = {name: [] for name in ("dead_pull_norm", "radius", "centroid_norm")}
    for arrays in watched(corpus, settings):
        for name, kept in followed.items():
            values = arrays["series"][:, SERIES.index(name)]
            known = np.isfinite(values)
            kept.append(np.interp(time, arrays["series_steps"][known], values[known]))
    pull, radius, centroid = (np.stack(kept, axis=1) for kept in followed.values())  # (T, seeds)
    gradient = pull / (n * np.sqrt(chosen.width))
    typical = np.sqrt((radius**2 + centroid**2) / chosen.width)
    room = rounding.half_cells(rounding.round_nearest(typical)).away
    lengths = {}
    for name, (beta2, stored) in MEMORIES.items():
        path = rounding.second_moment_path(gradient**2, beta2)
        moment = (path.stored if stored else path.exact) / (1 - beta2 ** time[:, None])
        lengths[name] = chosen.learning_rate * gradient / (np.sqrt(moment) + chosen.eps) / room
    shown = np.unique(np.linspace(0, chosen.steps - 1, POINTS * 2).astype(int))
    return {
        "seeds": [one["seed"] for one in settings],
        "steps": time[shown],
        "gradient": gradient[shown].T,
        "lengths": {name: length[shown].T for name, length in lengths.items()},
        "at_end": {name: length[max(end - 100, 0) : end].mean(axis=0) for name, length in lengths.items()},
    }


def identical() -> Result:
    """Whether the recipe with and without weight decay is one run: see `_identical`."""
    return _identical(open_corpus(), settings_of(MAIN), settings_of("no-decay"), common_end())


@cached
def _identical(corpus: Corpus, first: list, second: list, end: int) -> dict:
    """How many numbers were kept of both runs up to `end`, a seed, and how many of them differ, NaN being itself."""
    pairs = list(zip(watched(corpus, first), watched(corpus, second), strict=True))
    counted = [_compared(_up_to(one, end), _up_to(other, end)) for one, other in pairs]
    return {"end": end, "compared": [c for c, _ in counted], "different": [d for _, d in counted]}


def _up_to(arrays: dict, end: int) -> dict[str, np.ndarray]:
    """What a summary says of the steps up to `end`: every step, every window, every centroid."""
    windows, single = -(-end // phases.WINDOW), min(end, observation.FIRST)
    rows = single + (end - single) // observation.EVERY  # a mean that `end` cuts short is left out
    cuts = {name: windows for name in ("last_wide", "last_far", "last_move", "moves", "cells", "mean_h", "dead_pull")}
    cuts |= {name: end for name in ("count_still", "count_near", "count_single", "first_loss", "first_l1")}
    cuts |= {"series": rows, "centroids": windows + 1}
    return {name: np.asarray(arrays[name])[:cut] for name, cut in cuts.items()}


def _compared(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> tuple[int, int]:
    """Numbers compared, and numbers that differ. Raises ValueError for other shapes."""
    if shapes := [name for name in one if one[name].shape != other[name].shape]:
        raise ValueError(f"two runs of one length asked for; {', '.join(shapes)} have other shapes")
    pairs = [(one[name], other[name]) for name in one]
    different = [~((a == b) | ((a != a) & (b != b))) for a, b in pairs]  # NaN alone is not itself
    return sum(array.size for array in different), int(sum(array.sum() for array in different))


def contraction(name: str = MAIN) -> Result:
    """Who moved farther, those behind or those ahead, in the runs whose matrix is shipped: see `_contraction`."""
    chosen = experiments.named(name)
    kept = [seed for seed in chosen.seeds if f"{name}/{seed}/matrix" in experiments.parts(chosen, seed)]
    return _contraction(open_corpus(), [chosen.settings(seed) for seed in kept])


@cached
def _contraction(corpus: Corpus, settings: list) -> dict:
    """How a component's whole way depends on where it started, relative to the swarm and along its drift.

    lead: start minus the swarm's mean, signed by the drift of the component; way: displacement minus the swarm's, so
    signed; gamma units both. bins (LEADS,) and mean, spread (seeds, LEADS) of the way in bins of equal count; slope
    (seeds,) of way on lead: below 0 those behind catch up; own, token: shares (seeds,) of the variance of the way that
    the lead of the component itself, in bins, and the mean way of its token explain; kept (seeds,): radius after over
    before. Of bfloat16 runs.
    """
    from compute.goldilocks.transformer import initial, layout, output_name, views

    dead, found = np.flatnonzero(corpus.dead), []
    for one in settings:
        chosen = Settings(**one)
        shapes = layout(chosen, corpus.n_tokens)
        drawn = views(initial(chosen, corpus.n_tokens), shapes)[output_name(chosen)].numpy()[dead]
        start = value(rounding.round_nearest(drawn), BFLOAT16)  # (n, D)
        end = value(final_bits(corpus, one)[dead], BFLOAT16)
        found.append(_catching_up(start, end))
    return {"seeds": [one["seed"] for one in settings]} | {
        name: np.stack([one[name] for one in found]) for name in found[0]
    }


def _catching_up(start: np.ndarray, end: np.ndarray) -> dict[str, np.ndarray]:
    drift = (end - start).mean(axis=0)
    sign = np.where(drift < 0, -1.0, 1.0)
    lead = ((start - start.mean(axis=0)) * sign).ravel()
    way = (end - start - drift) * sign  # (n, D)
    groups = np.array_split(np.argsort(lead, kind="stable"), LEADS)
    means = np.array([way.ravel()[group].mean() for group in groups])
    sizes = np.array([len(group) for group in groups])
    variance = max(float((way**2).mean()), np.finfo(float).tiny)
    before, after = (np.linalg.norm(x - x.mean(axis=0), axis=1).mean() for x in (start, end))
    return {
        "lead": np.array([lead[group].mean() for group in groups]),
        "mean": means,
        "spread": np.array([way.ravel()[group].std() for group in groups]),
        "slope": np.array((lead * way.ravel()).mean() / max((lead**2).mean(), np.finfo(float).tiny)),
        "own": np.array((means**2 * sizes).sum() / sizes.sum() / variance),
        "token": np.array((way.mean(axis=1) ** 2).mean() / variance),
        "kept": np.array(after / before),
    }


def published(name: str = PUBLISHED) -> Result:
    """When the runs of an experiment reach the shares that the record printed: see `_published`."""
    from compute import results

    record = results.record("Goldilocks")
    marks = {int(name.rsplit(" ", 1)[1]): share for name, share in record.items() if name.startswith("frozen at step")}
    return _published(open_corpus(), settings_of(name), sorted(marks), [marks[step] for step in sorted(marks)])


@cached
def _published(corpus: Corpus, settings: list, marks: list, shares: list) -> dict:
    """Published shares at published steps; ours (seeds, k) there, NaN past our end; and when ours reach them.

    reached (seeds, k): the first step, past the minimum, at which the mean of the last 100 steps is that share.
    """
    n, ours, reached = int(corpus.dead.sum()), [], []
    for arrays in watched(corpus, settings):
        every = np.arange(1, arrays["step"] + 1)
        smooth = phases.frozen_fraction(arrays["count_still"], n, every)
        ours.append([smooth[mark - 1] if mark <= len(smooth) else np.nan for mark in marks])
        low = min(99, len(smooth) - 1) + int(smooth[99:].argmin()) if len(smooth) > 99 else 0
        past = [np.flatnonzero(smooth[low:] >= share) for share in shares]
        reached.append([float(every[low + at[0]]) if len(at) else np.nan for at in past])
    return {"seeds": [one["seed"] for one in settings], "steps": marks, "published": shares,
            "ours": np.array(ours), "reached": np.array(reached)}  # fmt: skip
