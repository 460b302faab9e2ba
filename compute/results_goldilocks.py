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

PROBE = 100  # steps of a shipped run that its probe repeats
HELD_OUT_BATCHES = 64  # of the held-out text, from its beginning, in windows that do not overlap
FILM = 100  # steps of the film of a dead cloud, one frame each
# What may differ in the first 100 steps where threads or instruction set are others, see `agreement`.
LOSS_TOLERANCE, STILL_TOLERANCE = 0.02, 0.02  # relative; share of the dead tokens


@cached(workspace=True)
def trained(corpus: Corpus, settings: dict, workspace: Path) -> dict:
    """Trains Goldilocks once, resumably, and keeps all of it: the summary, the final weights, the first dead rows.

    summary: as `packing.packed` has it; matrix: the final stored bits of the watched matrix (V, D) uint16, or
    uint32 in float32; first_rows: those of the dead tokens (n, D) at the start. Losses in nats.
    """
    chosen, watcher = _watched(corpus, settings)
    ended = _train(chosen, corpus, workspace, watcher)
    return {
        "summary": watcher.result(),
        "matrix": ended.bits(),
        "first_rows": watcher.snapshots()[0],
        "final_loss": _final_loss(watcher),
        "held_out_loss": ended.loss_on(_windows(corpus.held_out, chosen.batch, chosen.context)),
        "steps_per_second": ended.steps_per_second,
        "instructions": instructions(),
        "parameters": ended.parameters,
    }
