"""What it costs to watch a training: the summary, and every step on the disk, beside the bare loop.

Three trainings of Goldilocks on made-up text (Zipf, 4,096 tokens of which 1,900 are dead), two threads, in turns: bare,
with a summary, with a recorder. Each advances in a short and a long stretch; the difference of their times is free of
what a start costs. Beyond step 200, where the summary keeps means of twenty steps.
"""

import json
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from compute.goldilocks import settings, training
from compute.goldilocks.observation import Summary
from compute.goldilocks.recording import Recorder
from compute.goldilocks.transformer import initial, layout, views

TOKENS, DEAD = 4096, 1900
START, SHORT, LONG, ROUNDS = 200, 20, 120, 3
TARGETS = {"summary": 1.10, "every step": 1.30}  # at most, times the bare loop
GROWTH = 1.02  # of the memory, at most


def made_up() -> tuple[np.ndarray, np.ndarray]:
    """A stream of ids by Zipf's law, and which of the tokens are dead: the last ones."""
    chances = 1 / np.arange(1, TOKENS - DEAD + 1)
    stream = np.random.default_rng(42).choice(len(chances), 400_000, p=chances / chances.sum())
    return stream.astype(np.uint16), np.arange(TOKENS) >= TOKENS - DEAD


def resident() -> int:
    """The most memory that this process has held so far, kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> list[dict]:
    """Measures, and returns three rows: {name, what, ratio, sense, target, ...}, times in milliseconds a step."""
    steps = START + ROUNDS * (SHORT + LONG)
    chosen, (stream, dead) = replace(settings.GOLDILOCKS, steps=steps, threads=2), made_up()
    start = views(initial(chosen, TOKENS), layout(chosen, TOKENS))["embedding"].to(torch.bfloat16)
    with tempfile.TemporaryDirectory() as place:
        recorder = Recorder(Path(place) / "run.h5", steps, start)
        watchers = {"every step": [recorder], "summary": [Summary(dead, chosen.width, steps)], "bare": []}

        def advance(name: str, until: int) -> float:
            begun = time.perf_counter()
            training.train(chosen, stream, dead, Path(place) / name, watchers[name], until=until)
            return time.perf_counter() - begun

        for name in watchers:
            advance(name, START)
        before = resident()
        taken = {name: [] for name in watchers}
        for round_ in range(ROUNDS):
            for name in watchers:
                done = START + round_ * (SHORT + LONG)
                short, long = advance(name, done + SHORT), advance(name, done + SHORT + LONG)
                taken[name].append((long - short) / (LONG - SHORT))
        grown = resident() / before
        recorder.close()
    a_step = {name: 1e3 * statistics.median(times) for name, times in taken.items()}
    return [*(_row(name, a_step) for name in TARGETS), _memory(grown)]


def _row(name: str, a_step: dict[str, float]) -> dict:
    return {
        "name": f"watching, {name}",
        "what": f"a step of training with {name} recorded / a bare one",
        "ratio": a_step[name] / a_step["bare"],
        "sense": "under",
        "target": TARGETS[name],
        "milliseconds": a_step[name],
        "bare_milliseconds": a_step["bare"],
    }


def _memory(grown: float) -> dict:
    return {
        "name": "watching, memory",
        "what": f"memory held after {ROUNDS * (SHORT + LONG)} more steps of recording / before them",
        "ratio": grown,
        "sense": "under",
        "target": GROWTH,
    }


if __name__ == "__main__":
    json.dump(main(), sys.stdout, indent=1)
