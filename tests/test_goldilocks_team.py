"""Threads that do one thing together: who does what, where they meet, and what happens when one fails."""

import sys
import threading
import time

import pytest
import torch

from compute.goldilocks.team import ALONE, Team


@pytest.mark.parametrize("size", [1, 2, 5])
def test_each_thread_does_its_task_with_one_thread_of_torch(size):
    before = torch.get_num_threads(), sys.getswitchinterval(), threading.active_count()
    seen = {}
    with Team(size) as team:
        for _ in range(3):
            team.run(lambda k: seen.setdefault(k, (threading.get_ident(), torch.get_num_threads())))
        assert threading.active_count() == before[2] + size - 1
    assert sorted(seen) == list(range(size)) and seen[0][0] == threading.get_ident()
    assert len({thread for thread, _ in seen.values()}) == size and {n for _, n in seen.values()} == {1}
    assert (torch.get_num_threads(), sys.getswitchinterval(), threading.active_count()) == before


def test_alone_leaves_torch_s_threads_as_they_are():
    found = []
    ALONE.run(lambda k: found.append((k, torch.get_num_threads())))
    assert found == [(0, torch.get_num_threads())]


@pytest.mark.parametrize("size", [2, 3, 6])
def test_nobody_leaves_a_meeting_before_all_have_come(size):
    """Each thread dawdles in its own way; after meeting number n, everyone has done n rounds, and nobody two more."""
    rounds, late = [0] * size, []

    def task(k):
        for turn in range(60):
            if (turn + k) % 7 == 0:
                time.sleep(1e-4 * k)
            rounds[k] += 1
            team.meet(k)
            if not all(turn + 1 <= done <= turn + 2 for done in rounds):
                late.append((k, turn, list(rounds)))

    with Team(size) as team:
        team.run(task)
    assert rounds == [60] * size and not late


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_what_one_raises_comes_out_and_nobody_waits_for_it(failing):
    reached = []

    def task(k):
        if k == failing:
            raise ValueError(f"thread {k} fails")
        team.meet(k)
        reached.append(k)

    with Team(3) as team, pytest.raises(ValueError, match=f"thread {failing} fails"):
        team.run(task)
    assert not reached


def test_an_interruption_of_the_calling_thread_ends_the_others():
    before = threading.active_count()

    def task(k):
        if k == 0:
            raise KeyboardInterrupt
        team.meet(k)

    with pytest.raises(KeyboardInterrupt), Team(2) as team:
        team.run(task)
    assert threading.active_count() == before


def test_a_thread_that_cannot_start_leaves_all_as_it_was(monkeypatch):
    before, start = (torch.get_num_threads(), sys.getswitchinterval(), threading.active_count()), threading.Thread.start
    team = Team(3)

    def failing(thread):
        if thread is team._threads[1]:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", failing)
    with pytest.raises(RuntimeError, match="can't start new thread"), team:
        pass
    assert (torch.get_num_threads(), sys.getswitchinterval(), threading.active_count()) == before


@pytest.mark.parametrize("size", [1, 3])
def test_results_come_in_the_order_of_the_calls(size):
    def slow(number):
        time.sleep(1e-3 * (number % 3))
        return number**2

    with Team(size) as team:
        assert team.each([lambda n=n: slow(n) for n in range(20)]) == [n**2 for n in range(20)]
        with pytest.raises(ZeroDivisionError):
            team.each([lambda: 1 // 0])
