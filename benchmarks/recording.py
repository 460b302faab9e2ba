"""What it costs to watch a training: the summary, and every step on the disk, beside the bare loop.

Three trainings of Goldilocks on made-up text (Zipf, 4,096 tokens of which 1,900 are dead), two threads, in turns: bare,
with a summary, with a recorder. Each advances in a short and a long stretch; the difference of their times is free of
what a start costs. Beyond step 200, where the summary keeps means of twenty steps. What memory the watchers take is
seen in one more training, with both of them, that is not broken off: every start leaves the heap a little different.
"""

import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
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


class Meter:
    """An observer that notes the memory this process holds, in bytes, after every step from START on."""

    def __init__(self):
        self.held = []

    def observe(self, step: int, before, after, measures: dict) -> None:
        if step >= START:
            self.held.append(psutil.Process().memory_info().rss)

    def state(self) -> dict:
        return {}

    def restore(self, state: dict) -> None:
        """Nothing to go back to."""


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
        taken = {name: [] for name in watchers}
        for round_ in range(ROUNDS):
            for name in watchers:
                done = START + round_ * (SHORT + LONG)
                short, long = advance(name, done + SHORT), advance(name, done + SHORT + LONG)
                taken[name].append((long - short) / (LONG - SHORT))
        recorder.close()
        meter, recorder = Meter(), Recorder(Path(place) / "memory.h5", steps, start)
        watching = [recorder, Summary(dead, chosen.width, steps), meter]
        training.train(chosen, stream, dead, Path(place) / "memory", watching)
        recorder.close()
    a_step = {name: 1e3 * statistics.median(times) for name, times in taken.items()}
    return [*(_row(name, a_step) for name in TARGETS), _memory(meter.held)]


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


def _memory(held: list[int]) -> dict:
    """The most that was held in the last hundred steps over the most in the first hundred."""
    return {
        "name": "watching, memory",
        "what": f"memory held in the last 100 of {len(held)} steps of recording / in the first 100",
        "ratio": max(held[-100:]) / max(held[:100]),
        "sense": "under",
        "target": GROWTH,
    }


if __name__ == "__main__":
    json.dump(main(), sys.stdout, indent=1)
