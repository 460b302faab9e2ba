"""The named results of the chapter on the lattice, bfloat16: read, compute, cached, a few lines each."""

from pathlib import Path

import numpy as np

from compute import lattice, rounding
from compute.cache import Result, cached
from compute.paths import published_folder
from compute.results import SEED
from compute.smoke import constellation as bits

# The recipe of Goldilocks as published [harrell2025azimuth]: what the maps mark.
LEARNING_RATE, DECAY, BETA2, SPREAD, STEPS = 1e-3, 0.01, 0.999, 0.02, 12_000
HOLES, EXPONENTS = "qwen3_4b_constellation.csv", "qwen3_4b_exponents.csv"
PYTORCH_SPREAD = 1.0  # torch.nn.Embedding's default, which the published freezing runs had


@cached
def formats() -> dict:
    """bfloat16 in numbers: how many patterns and values it has, and what it offers at a typical weight."""
    typical = rounding.round_nearest(SPREAD)
    return {
        "patterns": 1 << lattice.BFLOAT16.width,
        "finite_patterns": 2 * lattice.BFLOAT16.infinity,
        "values": 2 * lattice.BFLOAT16.infinity - 1,
        "largest_ordinal": lattice.BFLOAT16.infinity - 1,
        "typical": float(lattice.value(typical)),
        "typical_pattern": int(typical),
        "typical_ordinal": int(lattice.ordinal(typical)),
        "typical_ulp": float(lattice.ulp(typical)),
        "ordinal_of_one": int(lattice.ordinal(rounding.round_nearest(1.0))),
        "ulp_of_one": float(lattice.ulp(rounding.round_nearest(1.0))),
    }


@cached
def parting(reach: int = 256) -> dict:
    """The record's measure beside the distance in cells: for pairs within `reach` cells of 1, and on a walk.

    The walk starts at Goldilocks' typical weight and ends anywhere between minus and plus three times it.
    """
    offsets = np.arange(-reach, reach + 1)
    around = lattice.pattern(lattice.ordinal(rounding.round_nearest(1.0)) + offsets)  # (P,)
    start, end = around[:, None], around[None]
    difference = lattice.record_distance(start, end) - lattice.cells(start, end)  # (P, P)
    typical = rounding.round_nearest(SPREAD)
    ends = rounding.round_nearest(np.linspace(-3 * SPREAD, 3 * SPREAD, 1201))
    opposite = typical | lattice.BFLOAT16.sign
    single = np.arange(-lattice.BFLOAT16.infinity + 1, lattice.BFLOAT16.infinity - 1)
    below, above = lattice.pattern(single), lattice.pattern(single + 1)
    hops = np.concatenate([lattice.record_distance(below, above), -lattice.record_distance(above, below)])
    return {
        "offsets": offsets,
        "difference": difference.astype(np.float32),
        "agreeing": float((difference == 0).mean()),
        "ends": lattice.value(ends),
        "cells": lattice.cells(typical, ends),
        "record": lattice.record_distance(typical, ends),
        "across_cells": int(lattice.cells(opposite, typical)),
        "across_record": float(lattice.record_distance(opposite, typical)),
        "from_zero_cells": int(lattice.cells(0, typical)),
        "from_zero_record": float(lattice.record_distance(0, typical)),
        "hops": len(hops),
        "hops_of_one": int((hops == 1).sum()),
        "hops_of_half": int((hops == 0.5).sum()),
    }


@cached
def updates() -> dict:
    """Half a cell against the weight, and the share of N(0, spread) weights that some steps leave alone."""
    stored = lattice.pattern(
        np.arange(
            lattice.ordinal(rounding.round_nearest(2.0**-12)),
            lattice.ordinal(rounding.round_nearest(4.0)) + 1,
            16,
        )
    )
    spreads = np.geomspace(2.0**-12, 4, 57)
    steps = [LEARNING_RATE, LEARNING_RATE / 10, LEARNING_RATE / 100]
    return {
        "weight": lattice.value(stored),
        "half_cell": rounding.half_cells(stored).away,
        "spreads": spreads,
        "shares": {
            f"{step:.0e}".replace("e-0", "e-"): np.array([rounding.lost_share(s, step) for s in spreads])
            for step in steps
        },
        "published": rounding.lost_share(PYTORCH_SPREAD, LEARNING_RATE),
        "intended": rounding.lost_share(SPREAD, LEARNING_RATE),
        "intended_hundredth": rounding.lost_share(SPREAD, LEARNING_RATE / 100),
        "cells_intended": LEARNING_RATE / float(lattice.ulp(rounding.round_nearest(SPREAD))),
        "marks": {"N(0, .02)": SPREAD, "N(0, 1)": PYTORCH_SPREAD},
    }


@cached
def decay() -> dict:
    """One step of weight decay: cells moved, by mantissa and lr x wd, and the threshold of every weight."""
    shrinks = np.geomspace(1e-6, 1e-1, 501)
    binade = lattice.pattern(lattice.ordinal(rounding.round_nearest(1.0)) + np.arange(128))[:, None]  # (128, 1)
    every = lattice.pattern(np.arange(1, lattice.BFLOAT16.infinity))
    normal = every[every >= 128]
    threshold = rounding.decay_threshold(every)
    least = float(threshold[every >= 128].min())
    return {
        "shrinks": shrinks,
        "cells": rounding.decay_cells(binade, shrinks).astype(np.int16),
        "weight": lattice.value(every),
        "threshold": threshold,
        "least": least,
        "least_power": int(np.log2(least)),
        "all_move": float(threshold[every >= 128].max()),
        "recipe": LEARNING_RATE * DECAY,
        "margin": least / (LEARNING_RATE * DECAY),
        "normal_weights": len(normal),
        "normal_moved": int((rounding.decay_cells(normal, LEARNING_RATE * DECAY) > 0).sum()),
        "needed_learning_rate": least / DECAY,
        "marks": {"Goldilocks": LEARNING_RATE * DECAY},
    }


@cached
def decay_fates(weights: int = 1000, steps: int = STEPS, seed: int = SEED) -> dict:
    """The norm of N(0, .02) weights under the recipe's decay and nothing else, in three arithmetics."""
    generator = np.random.default_rng(seed)
    start = generator.normal(scale=SPREAD, size=weights).astype(np.float32)
    paths = rounding.decay_paths(start, LEARNING_RATE * DECAY, steps, generator)
    chosen = np.unique(np.linspace(0, steps, 401).astype(int))
    return {
        "steps": chosen,
        "norms": {
            "in exact arithmetic": paths.exact[chosen],
            "bfloat16, rounded to nearest": paths.nearest[chosen],
            "bfloat16, rounded stochastically": paths.stochastic[chosen],
        },
        "exact": float(paths.exact[-1]),
        "nearest": float(paths.nearest[-1]),
        "stochastic": float(paths.stochastic[-1]),
    }


@cached
def second_moment(active: int = 4000, silent: int = 4000) -> dict:
    """Adam's v on the lattice: which mantissas cannot decay, v under a gradient that stops, and its ceiling.

    The gradient is 1 and then 0; the ceiling is v over the square of a constant gradient, for 64 of those.
    """
    forgetting = np.geomspace(5e-4, 1e-1, 400)
    named = np.array([0.9, 0.95, 0.99, 0.999])
    squares = np.concatenate([np.ones(active), np.zeros(silent)])
    path = rounding.second_moment_path(squares, BETA2)
    constant = np.broadcast_to(np.geomspace(1, 4, 64), (active + silent, 64))
    ceiling = rounding.second_moment_path(constant, BETA2).stored[-1] / constant[-1]
    return {
        "forgetting": forgetting,
        "kept": rounding.kept_mantissas(1 - forgetting).sum(axis=1),
        "marks": {f"β₂ = {beta2:g}": float(1 - beta2) for beta2 in named},
        "betas": named,
        "kept_named": rounding.kept_mantissas(named).sum(axis=1),
        "all_kept_from": 1 - 2.0**-9,
        "exact": path.exact,
        "stored": path.stored,
        "active": active,
        "silent": silent,
        "exact_end": float(path.exact[-1]),
        "stored_end": float(path.stored[-1]),
        "stored_top": float(path.stored[active - 1]),
        "ceiling": [float(ceiling.min()), float(ceiling.max())],
        "inflation": [float(ceiling.max() ** -0.5), float(ceiling.min() ** -0.5)],
    }


def constellation() -> Result:
    """The black holes of Qwen3-4B-Instruct-2507 from their published bits, as displacements in cells."""
    return _constellation(published_folder() / HOLES, published_folder() / EXPONENTS)


@cached
def _constellation(source: Path, exponents: Path, seed: int = SEED) -> dict:
    """Distances of the holes and the phases they would be, beside a random displacement that grows."""
    found = bits.read(source.read_text("utf-8"))
    components, populations, stored = found.components, found.populations, found.bits
    dim = len(bits.read_exponents(exponents.read_text("utf-8")))
    first, second = np.triu_indices(len(stored), 1)
    moves = lattice.cells(stored[first], stored[second])  # (pairs, K); the other components do not differ
    reach = lattice.extent(moves)
    whole = np.zeros((len(moves), dim), dtype=np.int64)
    whole[:, components] = moves
    phases = np.bincount(lattice.regime(whole), minlength=len(lattice.REGIMES))
    growing = np.random.default_rng(seed).normal(size=(160, dim)) * np.geomspace(0.1, 8, 160)[:, None]
    track = lattice.extent(np.rint(growing).astype(int))
    moving = track.l1 > 0
    return {
        "dim": dim,
        "holes": len(stored),
        "pairs": len(moves),
        "components": len(components),
        "populations": populations,
        "linf": reach.linf,
        "l2": reach.l2,
        "l1": reach.l1,
        "phases": dict(zip(lattice.REGIMES, phases.tolist(), strict=True)),
        "single_hops": int((reach.l1 == 1).sum()),
        "track_linf": track.linf[moving],
        "track_l2": track.l2[moving],
        "track_late": bool((track.linf[track.l2 <= reach.l2.max()] <= 1).all()),
    }
