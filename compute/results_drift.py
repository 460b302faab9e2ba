"""The named results on the way that dead tokens go: Adam's first step, where h points, the drift and its prediction.

Chapter: Dead-token dynamics.
"""

import numpy as np

from compute.cache import cached
from compute.corpus import Corpus
from compute.results_dynamics import MARKS, path, settings_of

EARLY = MARKS[1]  # steps that are told apart from the later ones
GROUP = 20  # steps whose mean h is one row of the compass
DESCENT = {"optimizer": "sgd", "protocol": "fp32", "learning_rate": 0.1, "weight_decay": 0.0, "steps": EARLY}
EDGES = 2.0 ** np.arange(-13, 3)  # of the bins of |weight|, gamma units: binades


@cached
def first_step(corpus: Corpus, seed: int, init_std: float) -> dict:
    """Adam's first step of the dead tokens from N(0, init_std^2), pure bfloat16, and what the theory makes of it.

    predicted: each weight moved by lr g / (|g| + eps) and rounded to nearest. By binade of |weight| and direction
    (away from zero, towards it): the median of the cells moved, and the share that stayed.
    """
    from compute import lattice, rounding
    from compute.goldilocks import dynamics
    from compute.goldilocks.settings import Settings

    chosen = Settings(seed=seed, init_std=init_std, steps=1)
    before, after, gradient = _one_step(corpus, chosen)  # (n, D) each; patterns, patterns, float64
    weight, step = lattice.value(before), chosen.learning_rate * dynamics.adam_first_step(gradient, chosen.eps)
    predicted = rounding.round_nearest(weight + step)
    moved, guessed = np.abs(lattice.cells(before, after)), np.abs(lattice.cells(before, predicted))
    displacement, mean = lattice.value(after) - weight, gradient.mean(axis=0)
    drift, whole = displacement.mean(axis=0), chosen.learning_rate * chosen.width**0.5
    away = np.sign(step) == np.sign(weight)
    lost = rounding.is_lost(before, chosen.learning_rate * np.sign(step))
    return {
        "learning_rate": chosen.learning_rate,
        "edges": EDGES,
        "away": _by_binade(np.abs(weight), moved, guessed, away),
        "towards": _by_binade(np.abs(weight), moved, guessed, ~away),
        "exact": float((after == predicted).mean()),
        "within_a_cell": float((np.abs(lattice.cells(after, predicted)) <= 1).mean()),
        "stayed": float((moved == 0).mean()),
        "stayed_predicted": float((guessed == 0).mean()),
        "stayed_by_the_lattice": float(lost.mean()),
        "median_cells": float(np.median(moved)),
        "near_eps": float((np.abs(gradient) < 10 * chosen.eps).mean()),
        "below_eps": float((np.abs(gradient) < chosen.eps).mean()),
        "sizes": dynamics.size_histogram(gradient),
        "size_edges": dynamics.SIZES,
        "eps": chosen.eps,
        "one_sign": float((np.sign(gradient) == np.sign(mean)).mean()),
        "coherence": float(np.nanmean(dynamics.cosines(displacement, drift))),
        "gradient_coherence": float(np.nanmean(dynamics.cosines(gradient, mean))),
        "drift_to_pull": float(dynamics.cosines(drift, -mean)),
        "sign_cosine": dynamics.sign_cosine(mean),
        "drift_length": float(np.linalg.norm(drift)) / whole,
        "whole_length": whole,
        "drift_along_ones": float(dynamics.along_ones(drift)),
        "signs_along_ones": float(dynamics.along_ones(-np.sign(mean))),
        "pull_along_ones": float(dynamics.along_ones(mean)),
    }


def _one_step(corpus: Corpus, chosen):
    """The dead rows before and after the first update, as stored bits, and the gradient between them."""
    import torch

    from compute.goldilocks import protocols
    from compute.goldilocks.transformer import Transformer, initial
    from compute.results_dynamics import windows_of

    start = initial(chosen, corpus.n_tokens)
    model = Transformer(chosen, corpus.n_tokens, start.to(protocols.stored_type(chosen), copy=True))
    update, dead = protocols.update(chosen, model.weights, model.gradients, start), np.flatnonzero(corpus.dead)
    model.step(windows_of(corpus, chosen, 0))
    rows = [model.weight["embedding"][dead].clone()]
    gradient = model.slope["embedding"][dead].double().numpy()
    update.apply(1)
    rows.append(model.weight["embedding"][dead])
    before, after = (part.view(torch.int16).numpy().view(np.uint16) for part in rows)
    return before, after, gradient


def _by_binade(size, moved, guessed, which) -> dict[str, np.ndarray]:
    """Median cells and share that stayed, measured and predicted, by binade of |weight|; NaN where fewer than 100."""
    binade = np.digitize(size, EDGES)  # 1 .. len(EDGES) - 1 within
    inside = [which & (binade == number) for number in range(1, len(EDGES))]
    found = {"cells": (np.median, moved), "cells_predicted": (np.median, guessed)}
    found |= {"stayed": (np.mean, moved == 0), "stayed_predicted": (np.mean, guessed == 0)}
    return {
        name: np.array([measure(values[part]) if part.sum() >= 100 else np.nan for part in inside])
        for name, (measure, values) in found.items()
    }


@cached
def compass(corpus: Corpus, seed: int) -> dict:
    """Where the mean hidden state points, batch after batch: (T,) cosines, and their matrix over groups of 20 steps."""
    from compute.goldilocks import dynamics

    kept = path(corpus, settings_of(seed))
    mean_h, pull = kept["mean_h"], kept["dead_pull"]  # (T, D) each
    centroid = kept["start"] + np.cumsum(kept["drift"], axis=0)  # (T, D), after each step
    groups = mean_h.reshape(-1, GROUP, mean_h.shape[1]).mean(axis=1)  # (T / 20, D)
    units = groups / np.linalg.norm(groups, axis=1, keepdims=True)
    found = {
        "to_first": dynamics.cosines(mean_h, mean_h[0]),
        "to_previous": np.append(np.nan, dynamics.cosines(mean_h[1:], mean_h[:-1])),
        "to_pull": dynamics.cosines(mean_h, pull),
        "against_centroid": dynamics.cosines(-centroid, mean_h),
        "norm": np.linalg.norm(mean_h, axis=1),
        "centroid_norm": np.linalg.norm(centroid, axis=1),
        "gradient_formula": kept["dead_probability"] / int(corpus.dead.sum()) * np.linalg.norm(mean_h, axis=1),
        "matrix": units @ units.T,
        **{name: kept[name] for name in ("loss", "dead_probability", "gradient_norm", "moved")},
        **{name: kept[name] for name in ("gradient_coherence", "motion_coherence")},
    }
    return {name: values.astype(np.float32) for name, values in found.items()} | _turning(found)


def _turning(found: dict[str, np.ndarray]) -> dict:
    """The numbers of the compass that the text needs."""
    to_first, coherence = found["to_first"], found["gradient_coherence"]
    turned = np.flatnonzero(to_first < 0.5)
    late = slice(EARLY, None)
    return {
        "turned_at": int(turned[0]) + 1 if turned.size else 0,  # the first step more than 60 degrees off; 0: none
        "first_coherence": float(coherence[0]),
        "early_coherence": float(coherence[:EARLY].mean()),
        "least_coherence": float(coherence.min()),
        "late_coherence": float(coherence[late].mean()),
        "end_coherence": float(coherence[-EARLY:].mean()),
        "early_previous": float(np.nanmean(found["to_previous"][:EARLY])),
        "late_previous": float(found["to_previous"][late].mean()),
        "end_to_first": float(to_first[-EARLY:].mean()),
        "end_against_centroid": float(found["against_centroid"][-EARLY:].mean()),
        "norm_ends": [float(found["norm"][0]), float(found["norm"][-EARLY:].mean())],
        "moved_ends": [float(found["moved"][0]), float(found["moved"][-EARLY:].mean())],
        "mass_ends": [float(found["dead_probability"][0]), float(found["dead_probability"][-EARLY:].mean())],
    }


@cached
def drift(corpus: Corpus, seed: int) -> dict:
    """The dead centroid's displacement in every step beside four predictions, each made from the pull alone.

    gradient: against the pull, as plain descent would go (cosine only). adam: Adam in float64 on the mean gradient.
    moments: the same in pure bfloat16, on a weight that loses nothing. lattice: a swarm of the true starting rows,
    every one given the mean gradient, in pure bfloat16.
    """
    import torch

    from compute.goldilocks import dynamics
    from compute.goldilocks.settings import Settings
    from compute.goldilocks.tracking import swarm_drift
    from compute.results_dynamics import model_of

    kept, chosen = path(corpus, settings_of(seed)), Settings(**settings_of(seed))
    happened, dead = kept["drift"], np.flatnonzero(corpus.dead)
    mean = kept["dead_pull"] / len(dead)  # (T, D)
    rows = model_of(corpus, chosen, kept["weights"]["0"]).weight["embedding"][dead]
    steps = dynamics.adam_steps(mean, chosen.beta1, chosen.beta2, chosen.eps)
    predictions = {
        "gradient": -mean,
        "adam": chosen.learning_rate * steps,
        "moments": swarm_drift(chosen, torch.zeros_like(rows[:1]), mean),
        "lattice": swarm_drift(chosen, rows, mean),
    }
    spans = {"early": slice(0, EARLY), "late": slice(EARLY, None), "all": slice(None)}
    return {
        "learning_rate": chosen.learning_rate,
        "norm": np.linalg.norm(happened, axis=1).astype(np.float32),
        "late_step": float(np.median(np.abs(steps[-EARLY:]))),
        "travelled": float(np.linalg.norm(happened.sum(axis=0))),
        "largest_step": chosen.learning_rate * chosen.width**0.5,
        **{name: _compared(happened, guess, spans) for name, guess in predictions.items()},
    }


def _compared(happened: np.ndarray, guess: np.ndarray, spans: dict[str, slice]) -> dict:
    from compute.goldilocks import dynamics

    whole = dynamics.agreement(happened, guess)
    found = {"cosine": whole.cosine.astype(np.float32), "length": whole.length.astype(np.float32)}
    for name, span in spans.items():
        part = dynamics.agreement(happened[span], guess[span])
        found[name] = {
            "cosine": float(np.nanmean(part.cosine)),
            "length": float(np.nanmedian(part.length)),
            "missed": part.missed,
            "overall_cosine": part.overall_cosine,
            "overall_length": part.overall_length,
        }
    return found


@cached
def confinement(corpus: Corpus, seed: int, steps: int = EARLY) -> dict:
    """How much of the centroid's way lies along (1, ..., 1), by the optimiser: the norm of that part over the whole."""
    from compute.goldilocks import dynamics

    ways = {"AdamW": path(corpus, settings_of(seed))["drift"]}
    ways["SGD"] = path(corpus, {**DESCENT, "seed": seed})["drift"]
    walked = {name: np.cumsum(way[:steps], axis=0) for name, way in ways.items()}  # (steps, D)
    return {
        "learning_rate": DESCENT["learning_rate"],
        "chance": walked["SGD"].shape[1] ** -0.5,
        **{name: np.abs(dynamics.along_ones(way)) for name, way in walked.items()},
        "lengths": {name: float(np.linalg.norm(way[-1])) for name, way in walked.items()},
    }

