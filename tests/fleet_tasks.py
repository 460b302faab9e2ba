"""Tasks for the workers of the fleet's tests: top-level functions of a module that they can import."""

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    """The plain one."""
    return number * number


def slowly(number: int, seconds: float) -> int:
    """The same, in a while."""
    time.sleep(seconds)
    return number * number


def whether_active(number: int) -> bool:
    """Whether a task would ask for workers itself."""
    from compute import fleet

    return fleet.active() or list(fleet.spread(square, [(2,)], label="inner")) != [(0, 4)]


def dies_once(number: int, mark: str) -> int:
    """Takes its worker with it the first time."""
    if number == 1 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def swallows(number: int, size: int) -> int:
    """Takes more and more memory, and holds it, where the number is 1."""
    held = []
    while number == 1 and len(held) * 10_000_000 < size:
        held.append(b"held" * 2_500_000)
    time.sleep(0.5 if held else 0.0)
    return number * number


def reads(path: str) -> str:
    """What is in a file, which may not be there on every machine; `~` is each worker's own."""
    return Path(path).expanduser().read_text("utf-8")


def fails(number: int) -> int:
    """Raises what numerical code raises."""
    if number == 1:
        raise FloatingPointError("the loss is nan at step 7")
    return number * number


def moves_home(home: str) -> None:
    """Gives a worker another home."""
    os.environ["HOME"] = home


def hastens() -> None:
    """Makes a worker wait next to nothing before it asks a store again."""
    from compute.cache import remote

    remote.PAUSES = (0.001,) * 4


def hurries(seconds: float) -> None:
    """Makes the trainings of a worker write a checkpoint that often."""
    from compute.goldilocks.training import train

    train.__defaults__ = (*train.__defaults__[:-1], seconds)
