"""The named results of the chapter on Goldilocks: recipe, parameters, work, budget, and how well it learns.

Chapter: Goldilocks.
"""

import re
from collections.abc import Mapping

import numpy as np

from compute import experiments
from compute.cache import Result, cached
from compute.corpus import Corpus, open_corpus

LAST = 10  # rows of the series, of 20 steps each, whose mean is where a run ended

opened = open_corpus  # for pages, which open nothing themselves


def siblings() -> dict:
    """Goldilocks and its published siblings, by name: settings."""
    from compute.goldilocks import settings

    return {"Goldilocks": settings.GOLDILOCKS, "Balanced": settings.BALANCED, "Lean": settings.LEAN}


def lexicon() -> Result:
    """The corpus in numbers and its tokens' texts: see `results_goldilocks.lexicon`."""
    return experiments.lexicon().run()


@cached
def parameters(corpus: Corpus) -> dict:
    """What Goldilocks and its siblings are made of: parameters by part, in all, and in the rows of dead tokens."""
    from compute.goldilocks.transformer import layout

    parts = {"embedding": "embedding", "positions": "positions", "attention": r"\d+\.(in|out)\.",
             "feed-forward": r"\d+\.linear", "layer norms": r"(\d+\.)?norm"}  # fmt: skip
    found, dead = {}, int(corpus.dead.sum())
    for name, chosen in siblings().items():
        shapes = {part: int(np.prod(shape)) for part, shape in layout(chosen, corpus.n_tokens).items()}
        del shapes["padding"]
        counted = {
            part: sum(size for known, size in shapes.items() if re.match(pattern, known))
            for part, pattern in parts.items()
        }
        if sum(counted.values()) != sum(shapes.values()):
            raise AssertionError(f"parts of {name} hold {counted}, the model {sum(shapes.values())} parameters")
        found[name] = {
            "shape": f"{chosen.layers} × {chosen.width}, {chosen.heads} head{'s' * (chosen.heads > 1)}",
            "parts": counted,
            "all": sum(shapes.values()),
            "dead": dead * chosen.width,
        }
    return found


@cached
def work(corpus: Corpus) -> dict:
    """The floating-point operations of the matrix products of one step, forward and backward, by part.

    A product of (m, k) by (k, n) counts 2 m k n; the backward pass has two for each of the forward. Everything else
    (norms, softmax, the optimizer) is left out. bytes: of weights, gradients and moments in bfloat16.
    """
    from compute.goldilocks.settings import GOLDILOCKS as s

    n = s.batch * s.context
    maps = 4 * s.width**2 + 2 * s.width * s.feed_forward  # weights of a layer's maps
    forward = {
        "head": 2 * n * s.width * corpus.n_tokens,
        "linear maps of the layers": 2 * n * maps * s.layers,
        "attention": 4 * n * s.context * s.width * s.layers,
    }
    by_part = {name: 3 * count for name, count in forward.items()}
    size = parameters(corpus)["Goldilocks"]["all"]
    dead = int(corpus.dead.sum()) / corpus.n_tokens
    total = sum(by_part.values())
    return {
        "by_part": by_part,
        "total": total,
        "tokens": n,
        "dead_share": dead * by_part["head"] / total,
        "bytes": 2 * 4 * size,
    }


@cached
def baselines(corpus: Corpus) -> dict:
    """What a model loses that knows nothing, and one that knows how frequent tokens are; nats per token.

    held_out: the cross-entropy of those held-out tokens that runs are judged by, under the frequencies of the training
    text, one added to every token's count; unseen: how many of them are tokens that count as dead. rank_slope: the
    power of the rank by which occurrences fall between ranks 10 and 1,000, by least squares.
    """
    from compute.goldilocks.settings import GOLDILOCKS as s
    from compute.results_goldilocks import HELD_OUT_BATCHES

    judged = corpus.held_out[: HELD_OUT_BATCHES * s.batch * (s.context + 1)]
    chances = (corpus.counts + 1) / (corpus.counts + 1).sum()
    ranked = np.sort(corpus.counts[~corpus.dead])[::-1][9:1000]  # those of ranks 10 to 1,000
    return {
        "rank_slope": float(np.polyfit(np.log(np.arange(10, 10 + len(ranked))), np.log(ranked), 1)[0]),
        "uniform": float(np.log(corpus.n_tokens)),
        "living": float(np.log((~corpus.dead).sum())),
        "unigram": corpus.unigram_entropy,
        "held_out": float(-np.log(chances[judged]).mean()),
        "judged": len(judged),
        "unseen": int(corpus.dead[judged].sum()),
    }


def long_runs() -> dict[int, Result]:
    """The runs of pure-bf16 that are there, by seed; the first seed's, trained if need be, where there is none."""
    experiment = experiments.named("pure-bf16")
    return experiments.kept(experiment.name) or experiments.runs(experiment.name, experiment.seeds[:1])


def learning(runs: Mapping[int, Mapping], held_out: float) -> dict:
    """How a run learnt: steps and loss (rows,) of the first seed; final losses by seed; who passed which line when.

    held_out: the loss on unseen text of who knows frequencies only; gain and held_out_gain: what runs do better than
    that one, on their own text and on unseen text. dead_mass: the probability of all dead tokens, as loss.
    """
    from compute.goldilocks.observation import SERIES
    from compute.results_experiments import lives_of

    opened_runs = {seed: lives_of(run) for seed, run in runs.items()}
    first = next(iter(opened_runs.values()))
    loss, mass = (first["series"][:, SERIES.index(name)] for name in ("loss", "dead_probability"))
    entropy = [run["unigram_entropy"] for run in runs.values()]
    return {
        "steps": first["series_steps"],
        "loss": loss,
        "dead_mass": mass,
        "length": int(first["series_steps"][-1]),
        "seeds": list(runs),
        "final": [float(run["final_loss"]) for run in runs.values()],
        "held_out": [float(run["held_out_loss"]) for run in runs.values()],
        "gain": [bits - float(run["final_loss"]) for bits, run in zip(entropy, runs.values(), strict=True)],
        "held_out_gain": [held_out - float(run["held_out_loss"]) for run in runs.values()],
        "mass_end": float(mass[-LAST:].mean()),
    }
