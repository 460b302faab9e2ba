"""Threads that do one thing together, each with one thread of torch. Chapter: Goldilocks.

torch's own threads share every operation and wait for each other at its end; a step of a small model has hundreds of
short ones. A team shares the step: each thread takes some of the rows through many operations, and they meet where
something is summed over all rows.
"""

import itertools
import sys
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread

import torch

SWITCH_SECONDS = 1e-5  # after which a thread asks for the interpreter; Python's 5 ms are a fifth of a step


class Stopped(Exception):
    """Another thread of the team has failed; this one need not go on."""


class Team:
    """As many threads as asked for, the calling one among them; within `with`, each has one thread of torch.

    `with` starts and ends the others, and gives torch the number of threads back that it had.
    """

    def __init__(self, size: int):
        self.size = size
        others = range(1, size)
        self._tasks = {k: SimpleQueue() for k in others}  # what thread k is to do; None: to end
        self._ends = {k: SimpleQueue() for k in others}  # what stopped its task, or None
        pairs = itertools.permutations(range(size), 2)
        self._calls = {pair: SimpleQueue() for pair in pairs}  # the first has come to a meeting, for the second to hear
        self._threads = [Thread(target=self._work, args=(k,), daemon=True) for k in others]

    def __enter__(self):
        self._before = torch.get_num_threads(), sys.getswitchinterval()
        try:
            torch.set_num_threads(1)
            if self.size > 1:
                sys.setswitchinterval(SWITCH_SECONDS)
            for thread in self._threads:
                thread.start()
        except BaseException:  # no thread to be had, or an interruption
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised):
        threads, interval = self._before
        try:
            self._stop()
            for tasks in self._tasks.values():
                tasks.put(None)
            for thread in self._threads:
                if thread.ident:
                    thread.join()
        finally:
            sys.setswitchinterval(interval)
            torch.set_num_threads(threads)

    def run(self, task: Callable[[int], None]) -> None:
        """Call task(k) in thread k, for k = 0 (this one) .. size - 1, in inference mode; return when all have returned.

        Raises what a task raised; the others then stop where they next meet, and the team is of no more use.
        """
        for tasks in self._tasks.values():
            tasks.put(task)
        faults = [self._fault(task, 0)] + [ends.get() for ends in self._ends.values()]
        if faults := [fault for fault in faults if fault]:
            raise min(faults, key=lambda fault: isinstance(fault, Stopped))

    def _work(self, k: int) -> None:
        torch.set_num_threads(1)
        while task := self._tasks[k].get():
            self._ends[k].put(self._fault(task, k))

    @torch.inference_mode()
    def _fault(self, task, k: int) -> BaseException | None:
        try:
            task(k)
        except BaseException as fault:
            self._stop()
            return fault
        return None

    def _stop(self) -> None:
        for calls in self._calls.values():
            calls.put(False)

    def meet(self, k: int) -> None:
        """Within task(k): wait until every thread of the team is here."""
        others = [other for other in range(self.size) if other != k]
        for other in others:
            self._calls[k, other].put(True)
        if not all(self._calls[other, k].get() for other in others):
            raise Stopped

    def each(self, calls: Sequence[Callable]) -> list:
        """Make calls that do not depend on each other, whichever thread is free; return their results in order."""
        left, results = iter(enumerate(calls)), [None] * len(calls)

        def task(k):
            for place, call in left:
                results[place] = call()

        self.run(task)
        return results


ALONE = Team(1)  # outside of `with`: the calling thread, and torch's threads as they are
