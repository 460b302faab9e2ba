"""The named results of Goldilocks: long trainings, what is kept of them, and the proof that they can be repeated.

A run is named by its corpus and by those settings that are not Goldilocks' own ({field: value}, sorted by field).
`run` is what is shipped: the lives of the dead tokens. `trained` has everything and stays on this disk.
Chapters: Dead-token dynamics, Goldilocks, Supernova, Nutcracker, Does it make smoke?
"""

import tempfile
from pathlib import Path

import numpy as np

from compute.cache import cached
from compute.corpus import Corpus
from compute.corpus.census import census as by_script

PROBE = 100  # steps of a shipped run that its probe repeats
LAST = 100  # steps whose mean is the final loss
HELD_OUT_BATCHES = 64  # of the held-out text, from its beginning
# What may differ in the first 100 steps where the threads or the instruction set are others.
LOSS_TOLERANCE, STILL_TOLERANCE = 0.05, 0.05  # nats; share of the dead tokens


@cached(workspace=True)
def trained(corpus: Corpus, settings: dict, workspace: Path) -> dict:
    """Trains Goldilocks once, resumably, and keeps all of it.

    summary: packed, see `compute.goldilocks.packing`; matrix: the final stored bits of the output matrix (V, D),
    uint16, or uint32 for protocol fp32; losses: (steps,) float32 nats; final_loss: the mean of the last 100 of
    them. first_moment, second_moment: (n, D) float32, Adam's own of the dead rows at the end, as stored; all 0 where
    it keeps none. steps_per_second: of the last stretch, where the run was broken off.
    """
    import torch

    from compute.goldilocks.evaluation import loss_on
    from compute.goldilocks.observation import Summary
    from compute.goldilocks.settings import Settings
    from compute.goldilocks.training import train
    from compute.goldilocks.transformer import output_name

    chosen = Settings(**settings)
    watcher = Summary(corpus.dead, chosen.width, chosen.steps, _storage(chosen), **_adam(chosen))
    ended = train(chosen, corpus.stream, corpus.dead, workspace, [watcher])
    matrix = ended.weights[output_name(chosen)]
    bits = matrix.view(torch.int16 if matrix.dtype == torch.bfloat16 else torch.int32).numpy()
    return {
        "summary": watcher.result(),
        "matrix": bits.view(f"u{bits.itemsize}").copy(),
        "losses": ended.losses.astype(np.float32),
        "final_loss": float(ended.losses[-LAST:].mean()),
        "held_out_loss": loss_on(chosen, ended.weights, corpus.held_out, HELD_OUT_BATCHES),
        "steps_per_second": ended.steps_per_second,
        "parameters": sum(weight.numel() for name, weight in ended.weights.items() if name != "padding"),
        "instructions": instructions(),
        **_moments(corpus, chosen, workspace),
    }


def _moments(corpus: Corpus, chosen, folder: Path) -> dict[str, np.ndarray]:
    """Adam's moments of the dead rows, out of the last checkpoint in a folder."""
    from dataclasses import asdict

    from compute.goldilocks import checkpoints
    from compute.goldilocks.transformer import layout, output_name, views

    _, tensors = checkpoints.load(folder, checkpoints.identity(asdict(chosen), corpus.stream, corpus.dead))
    dead, shapes = np.flatnonzero(corpus.dead), layout(chosen, corpus.n_tokens)
    moments = {f"{name}_moment": tensors[f"update.{name}"] for name in ("first", "second")}
    return {name: views(kept, shapes)[output_name(chosen)].float().numpy()[dead] for name, kept in moments.items()}


def _storage(chosen) -> str:
    return "float32" if chosen.protocol == "fp32" else "bfloat16"


def _adam(chosen) -> dict[str, float]:
    return {"beta1": chosen.beta1, "beta2": chosen.beta2, "epsilon": chosen.eps}


def instructions() -> str:
    """The instruction set that torch computes with here; other ones may give other bits."""
    import torch

    wide = ("avx512_bf16", "amx_bf16")
    have = [name for name in wide if torch.cpu.get_capabilities().get(name)]
    return " ".join([torch.backends.cpu.get_cpu_capability(), *have])


def first_steps(corpus: Corpus, settings: dict, steps: int = PROBE) -> dict[str, np.ndarray]:
    """The summary, unpacked, of a run broken off after some steps; computed anew, in a folder of its own."""
    from compute.goldilocks.observation import Summary
    from compute.goldilocks.settings import Settings
    from compute.goldilocks.training import train

    chosen = Settings(**settings)
    watcher = Summary(corpus.dead, chosen.width, chosen.steps, _storage(chosen), **_adam(chosen))
    with tempfile.TemporaryDirectory() as folder:
        train(chosen, corpus.stream, corpus.dead, Path(folder), [watcher], until=min(steps, chosen.steps))
    return watcher.arrays()


def differences(again: dict[str, np.ndarray], before: dict[str, np.ndarray]) -> dict[str, float]:
    """How far the first steps of a run, done again, are from those kept: {what: the largest difference}.

    Of what is kept for every one of the first steps: losses (nats, float64), cells moved, tokens that rested, hopped
    once or stayed near, and the series (float32). All 0 if and only if they are the same bit for bit.
    """
    found = {}
    for name in ("first_loss", "first_l1", "count_still", "count_near", "count_single", "series"):
        mine = np.asarray(again[name])
        theirs = np.asarray(before[name])[: len(mine)]
        same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
        apart = np.abs(mine.astype(float) - theirs.astype(float))
        found[name] = float(np.where(same, 0.0, np.nan_to_num(apart, nan=np.inf)).max(initial=0.0))
    return found


def agreement(corpus: Corpus, settings: dict, shipped: dict, steps: int = PROBE) -> dict:
    """Whether the first steps of a kept run come out again: identical, or at least within the stated tolerance.

    identical: bit for bit; expected: whether that is to be asked for here, by threads, instruction set and torch's
    version; close: losses within 0.05 nats of, and resting tokens within 5 % of the dead of, those kept.
    """
    import torch

    from compute.goldilocks.packing import unpacked

    apart = differences(first_steps(corpus, settings, steps), unpacked(dict(shipped["summary"])))
    still = apart["count_still"] / int(corpus.dead.sum())
    here = (instructions(), torch.__version__.partition("+")[0])
    return {
        "identical": not any(apart.values()),
        "expected": here == (shipped["instructions"], shipped["torch"]),
        "close": apart["first_loss"] <= LOSS_TOLERANCE and still <= STILL_TOLERANCE,
        "differences": apart,
    }


def repeats(corpus: Corpus, settings: dict, shipped: dict) -> bool:
    """The probe of `run`: whether its first hundred steps come out bit-identical here. Raises AssertionError if not."""
    found = agreement(corpus, settings, shipped)
    if not found["identical"]:
        raise AssertionError(f"the first {PROBE} steps of {settings} to differ by {found['differences']}")
    return True


@cached(probe=repeats)
def run(corpus: Corpus, settings: dict) -> dict:
    """What is shipped of a training: the summary of its dead tokens, packed, and a few numbers. Losses in nats."""
    import torch

    found = trained(corpus, settings)
    kept = ("final_loss", "held_out_loss", "steps_per_second", "parameters", "instructions")
    return {
        "summary": found["summary"],
        **{name: found[name] for name in kept},
        "unigram_entropy": corpus.unigram_entropy,
        "dead_tokens": int(corpus.dead.sum()),
        "torch": torch.__version__.partition("+")[0],
        "seconds": found.provenance.seconds,
        "threads": found.provenance.threads,
    }


@cached
def matrix(corpus: Corpus, settings: dict) -> dict:
    """The output matrix (V, D) at the end of a training, as stored bits, packed: see `final_bits`."""
    from compute.goldilocks.packing import packed

    return packed({"bits": np.asarray(trained(corpus, settings)["matrix"])})


def final_bits(corpus: Corpus, settings: dict) -> np.ndarray:
    """The stored bits of the output matrix at the end of a training: (V, D) uint16, or uint32 for protocol fp32."""
    from compute.goldilocks.packing import unpacked

    return unpacked(dict(matrix(corpus, settings)))["bits"]


@cached
def lexicon(corpus: Corpus) -> dict:
    """The corpus in numbers, and its tokens by id: what a page needs without the text itself.

    texts: V surface strings, a space for each leading mark; counts (V,) in the training text; census: live and dead by
    script, see `compute.corpus.census`; entropy in nats.
    """
    special = np.zeros(corpus.n_tokens, bool)
    special[0] = True  # the unknown token
    return {
        "label": corpus.label,
        "n_tokens": corpus.n_tokens,
        "n_english": corpus.n_english,
        "dead_tokens": int(corpus.dead.sum()),
        "stream_tokens": len(corpus.stream),
        "held_out_tokens": len(corpus.held_out),
        "unigram_entropy": corpus.unigram_entropy,
        "texts": [text.decode("utf-8", "replace") for text in corpus.texts],
        "counts": corpus.counts,
        "census": by_script(corpus.texts, corpus.counts, special),
    }
