"""The named results of the chapter on the dynamics of dead tokens: theory and batch, side by side."""

from pathlib import Path

import numpy as np

from compute.cache import cached
from compute.corpus import Corpus

STEPS, MARKS = 1_000, (0, 100, 1_000)  # of the trainings; states at which batches are looked at
SEEDS = (42, 43, 44)


def settings_of(seed: int) -> dict[str, int]:
    """The settings of the trainings that the chapter looks at: the recipe, cut short."""
    return {"steps": STEPS, "seed": seed}


@cached(workspace=True)
def path(corpus: Corpus, settings: dict, workspace: Path) -> dict:
    """Trains Goldilocks for as many steps as the settings say, and keeps the swarm's track and the weights on the way.

    The track: see `tracking.Track.arrays`. weights: the flat buffer as stored bits, by step, for those of `MARKS` that
    the run reaches. Not shipped.
    """
    import torch

    from compute.goldilocks.settings import Settings
    from compute.goldilocks.tracking import Track
    from compute.goldilocks.training import train

    chosen = Settings(**settings)
    track, weights = Track(chosen.width, chosen.steps), {}
    for mark in [mark for mark in MARKS if mark < chosen.steps] + [chosen.steps]:
        kept = workspace / f"{mark}.npy"
        if mark == chosen.steps or not kept.exists():  # a run that was killed goes on from its last checkpoint
            trained = train(chosen, corpus.stream, corpus.dead, workspace, [track], until=mark)
            flat = torch.cat([weight.reshape(-1) for weight in trained.weights.values()])
            bits = flat.view(torch.int16 if flat.dtype == torch.bfloat16 else torch.int32).numpy()
            np.save(workspace / "new.npy", bits.view(f"u{bits.itemsize}"))
            (workspace / "new.npy").rename(kept)
        weights[str(mark)] = np.load(kept)
    return track.arrays() | {"weights": weights}


def model_of(corpus: Corpus, chosen, bits: np.ndarray):
    """The model with kept weights, as stored."""
    import torch

    from compute.goldilocks.transformer import Transformer

    flat = torch.from_numpy(bits.view(np.int16).copy()).view(torch.bfloat16)
    return Transformer(chosen, corpus.n_tokens, flat)


def windows_of(corpus: Corpus, chosen, step: int):
    """The batch that a training draws for the step after `step`: (batch, context + 1) int64."""
    import torch

    from compute.goldilocks.training import window_starts

    starts = window_starts(chosen, len(corpus.stream), step)
    ahead = np.arange(chosen.context + 1)
    return torch.from_numpy(corpus.stream[starts[:, None] + ahead].astype(np.int64))


@cached
def batches(corpus: Corpus, seed: int) -> dict:
    """One real batch at each mark of a training: autograd against the formula, the swarm's directions, the last norm.

    {step: {...}}; numbers in float64 but where the name says bf16. Gradient units: nats per gamma unit.
    """
    from compute.goldilocks.settings import Settings

    kept, chosen = path(corpus, settings_of(seed))["weights"], Settings(**settings_of(seed))
    return {str(mark): _batch(corpus, chosen, kept[str(mark)], mark) for mark in MARKS}


def _batch(corpus: Corpus, chosen, bits: np.ndarray, step: int) -> dict:
    from compute.goldilocks import autograd, dynamics

    model, windows, dead = model_of(corpus, chosen, bits), windows_of(corpus, chosen, step), np.flatnonzero(corpus.dead)
    exact = {name: weight.double() for name, weight in model.weight.items()}
    tied = autograd.differentiate(chosen, exact, windows)
    cut = autograd.differentiate(chosen, exact, windows, cut=True)
    hidden, matrix = tied.hidden.numpy(), exact["embedding"].numpy()
    p = dynamics.dead_probabilities(hidden, matrix, dead)  # (P, n)
    formula = dynamics.gradients(p, hidden)  # (n, D)
    found = {
        "loss": tied.loss,
        "residual_tied": _apart(tied.output.numpy()[dead], formula),
        "residual_cut": _apart(cut.output.numpy()[dead], formula),
        "allowance": float(len(hidden) ** 0.5 * 2.0**-53),
        **_sides(cut, corpus.dead),
        **_rounded(model, windows, dead),
        **_swarm(p, hidden, matrix, dead, formula, chosen.eps),
        **_last_norm(tied, exact),
    }
    return found


def _apart(found: np.ndarray, wanted: np.ndarray) -> float:
    """The Euclidean distance of two matrices, relative to the second."""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def _sides(cut, dead: np.ndarray) -> dict[str, float]:
    """Mean gradient of a live and of a dead row, by the side of the matrix that it comes from."""
    sides = {"output": cut.output.norm(dim=1).numpy(), "input": cut.input.norm(dim=1).numpy()}
    return {
        f"{side}_{name}": float(norms[which].mean())
        for side, norms in sides.items()
        for name, which in (("live", ~dead), ("dead", dead))
    }


def _rounded(model, windows, dead: np.ndarray) -> dict[str, float]:
    """The pass as it is trained, in bfloat16, against the formula on the same stored hidden states and weights."""
    from compute.goldilocks import dynamics

    hidden = model.step(windows).hidden.double().numpy()
    matrix = model.weight["embedding"].double().numpy()
    p = dynamics.dead_probabilities(hidden, matrix, dead)
    wanted, expected = dynamics.gradients(p, hidden), dynamics.expected_rounding(p, hidden, matrix, dead)
    stored = model.slope["embedding"][dead].double().numpy()
    norms = np.linalg.norm(stored, axis=1), np.linalg.norm(wanted, axis=1)
    return {
        "residual_bf16": _apart(stored, wanted),
        "expected_bf16": float(np.sqrt((expected**2).sum()) / np.linalg.norm(wanted)),
        "norm_bf16": float(norms[0].mean()),
        "norm_bf16_formula": float(norms[1].mean()),
    }


def _swarm(p, hidden, matrix, dead, formula, eps: float) -> dict:
    """How parallel the dead gradients are, to what, why, and how large their components are."""
    from compute.goldilocks import dynamics

    rows, mean = matrix[dead], hidden.mean(axis=0)
    weighing = dynamics.weighing(p, hidden, matrix, dead)
    together = formula.mean(axis=0)
    each = p.mean(axis=0)  # (n,)
    guessed = dynamics.first_order(weighing, rows)
    size = np.abs(formula)
    return {
        "mass": float(p.sum(axis=1).mean()),
        "probability": float(each.mean()),
        "uniform": 1 / len(matrix),
        "probability_spread": float(np.log(each).std()),
        "probability_reach": (np.quantile(each, [0.01, 0.99]) / np.median(each)).tolist(),
        "gradient_norm": float(np.linalg.norm(formula, axis=1).mean()),
        "mean_h_norm": float(np.linalg.norm(mean)),
        "coherence": float(dynamics.cosines(formula, together).mean()),
        "pair_cosine": dynamics.mean_pair_cosine(formula),
        "expected_coherence": dynamics.expected_coherence(weighing, rows),
        "pull_to_mean": float(dynamics.cosines(together, mean)),
        "pull_to_weighted": float(dynamics.cosines(together, weighing.mean)),
        "angles": dynamics.angles(formula, weighing.mean).astype(np.float32),
        "angles_first_order": dynamics.angles(guessed, weighing.mean).astype(np.float32),
        "first_order_agrees": float(dynamics.cosines(guessed, formula).min()),
        "below_eps": [float((size < times * eps).mean()) for times in (1, 10, 100)],
        "sizes": dynamics.size_histogram(formula),
        "median_component": float(np.median(size)),
        "sign_cosine": dynamics.sign_cosine(together),
        "sum": float(np.abs(dynamics.along_ones(formula)).max()),
        "signs_along_ones": float(dynamics.along_ones(np.sign(together))),
    }


def _last_norm(tied, exact) -> dict:
    """What the last layer norm makes of the hidden states, before and after its gain and bias."""
    from compute.goldilocks import dynamics

    hidden, normed = tied.hidden.numpy(), tied.normed.numpy()
    gain, bias = exact["norm.weight"].numpy(), exact["norm.bias"].numpy()
    mean, varied = hidden.mean(axis=0), gain * normed.mean(axis=0)
    return {
        "normed_norms": _quantiles(np.linalg.norm(normed, axis=1)),
        "hidden_norms": _quantiles(np.linalg.norm(hidden, axis=1)),
        "normed_sums": float(np.abs(dynamics.along_ones(normed)).max()),
        "mean_h_along_ones": float(dynamics.along_ones(mean)),
        "gain_moved": float((gain != 1).mean()),
        "bias_norm": float(np.linalg.norm(bias)),
        "varied_norm": float(np.linalg.norm(varied)),
        "bias_share": float(bias @ mean / (mean @ mean)),
        "bias_to_mean": float(dynamics.cosines(bias, mean)),
    }


def _quantiles(values: np.ndarray) -> list[float]:
    return np.quantile(values, [0, 0.05, 0.5, 0.95, 1]).tolist()
