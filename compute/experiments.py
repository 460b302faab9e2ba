"""The named experiments on Goldilocks: what each one asks, with which settings, and where its runs are.

Chapters: Supernova, Nutcracker, Does it make smoke?
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from compute.cache import Call, Result

SEEDS = (42, 43, 44)
LONG, SHORT, FIRST = 12_000, 6_000, 100  # steps
MILESTONE = 1_000  # steps between the milestones of a summary


@dataclass(frozen=True)
class Experiment:
    """One arm: the pure-bf16 recipe of Goldilocks but for `changes`, trained with every seed."""

    name: str
    question: str
    steps: int
    changes: dict[str, object] = field(default_factory=dict)  # fields of Settings
    seeds: tuple[int, ...] = SEEDS
    keeps: tuple[str, ...] = ()  # results beside the run that are shipped, of the first seed: matrix

    def settings(self, seed: int) -> dict[str, object]:
        """The settings of one run, by which it is named: what is not Goldilocks' own, sorted by field."""
        return dict(sorted({"protocol": "pure-bf16", **self.changes, "steps": self.steps, "seed": seed}.items()))


# The weight decay of one arm has to move every normal bfloat16 weight: lr wd above the largest threshold of
# `rounding.decay_threshold`, 2^-8 but for a cell, at lr = 1e-3. Four is the smallest whole number that does; the
# recipe's 0.01 is 195 times below what moves any at all. A test holds both.
DECAY_THAT_COUNTS = 4.0
SPREAD = 0.001  # about 8 cells of a weight of 0.02: near to one point, and yet not one

_ALL = (
    Experiment("pure-bf16", "The recipe: weights, gradients and moments in bfloat16. Do the dead freeze?", LONG,
               keeps=("matrix",)),
    Experiment(
        "published-init", "The same from N(0, 1), as the published runs had it: is that curve theirs?",
        LONG, {"init_std": 1.0}, keeps=("matrix",),
    ),
    Experiment("fp32-moments", "Float32 moments, weights rounded to nearest: is it the second moment?",
               SHORT, {"protocol": "fp32-moments"}),
    Experiment("stochastic-rounding", "Float32 moments, weights rounded at random: is it the rounding to nearest?",
               SHORT, {"protocol": "stochastic-rounding"}),
    Experiment("fp32-master", "Float32 master weights, a bfloat16 copy to compute with: is it the lost steps?",
               SHORT, {"protocol": "fp32-master"}),
    Experiment("fp32", "Float32 throughout: does anything freeze without the lattice?", SHORT, {"protocol": "fp32"}),
    Experiment("beta2-0.99", "A second moment with a shorter memory, which bfloat16 can forget: 0.99.",
               SHORT, {"beta2": 0.99}),
    Experiment("beta2-0.95", "A second moment with a shorter memory still: 0.95.", SHORT, {"beta2": 0.95}),
    Experiment("no-decay", "Weight decay 0: are the bits those of the recipe's 0.01?", SHORT, {"weight_decay": 0.0}),
    Experiment("decay-that-counts", "A weight decay that moves every bfloat16 weight by a cell in every step.",
               SHORT, {"weight_decay": DECAY_THAT_COUNTS}),
    Experiment("one-point", "All tokens start at one point: does the cloud part?",
               SHORT, {"init": "one-point"}, keeps=("matrix",)),
    Experiment("supernova", "The first hundred steps: what happens at the beginning?", FIRST),
    Experiment("one-point-spread", "All tokens start within some cells of one point: do the dead stay together?",
               SHORT, {"init": "one-point-spread", "init_spread": SPREAD}, keeps=("matrix",)),
)  # fmt: skip
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}


def named(name: str) -> Experiment:
    """The experiment of that name; ValueError that lists the names where there is none."""
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment {name!r}; there are: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def run_of(experiment: Experiment, seed: int) -> Call:
    """One run by name, computed or not."""
    return parts(experiment, seed)[f"{experiment.name}/{seed}"]


def parts(experiment: Experiment, seed: int) -> dict[str, Call]:
    """What is shipped of one run, by the name that the desk knows it by: the run, 'pure-bf16/42', and what it keeps."""
    from compute import results_embers, results_goldilocks
    from compute.corpus import open_corpus

    corpus, settings, name = open_corpus(), experiment.settings(seed), f"{experiment.name}/{seed}"
    ends = {f"{name}/remains": results_embers.remains.call(corpus, settings)} if experiment.steps > FIRST else {}
    beside = experiment.keeps if seed == experiment.seeds[0] else ()
    known = {"matrix": results_goldilocks.matrix}
    return {name: results_goldilocks.run.call(corpus, settings)} | ends | {
        f"{name}/{what}": known[what].call(corpus, settings) for what in beside
    }


def lexicon() -> Call:
    """The corpus in numbers, which every page on Goldilocks needs."""
    from compute import results_goldilocks
    from compute.corpus import open_corpus

    return results_goldilocks.lexicon.call(open_corpus())


def calls() -> list[tuple[str, Call]]:
    """Everything that is shipped of all experiments, by name, computed or not."""
    found = [("lexicon", lexicon())]
    for experiment in EXPERIMENTS.values():
        for seed in experiment.seeds:
            found += parts(experiment, seed).items()
    return found


def kept(name: str, seeds: Iterable[int] | None = None) -> dict[int, Result]:
    """Those runs of an experiment that are there already, by seed; nothing is computed."""
    experiment = named(name)
    found = {seed: run_of(experiment, seed).read() for seed in seeds or experiment.seeds}
    return {seed: result for seed, result in found.items() if result is not None}


def runs(name: str, seeds: Iterable[int] | None = None) -> dict[int, Result]:
    """The runs of an experiment, by seed: read where they are kept, trained where they are not."""
    experiment = named(name)
    return {seed: run_of(experiment, seed).run() for seed in seeds or experiment.seeds}
