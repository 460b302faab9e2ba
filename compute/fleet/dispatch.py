"""Tasks on their way to the workers of a Dask scheduler and back, through what can go wrong there."""

import asyncio
import logging
import queue
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tqdm import tqdm

from compute.fleet import work
from compute.fleet.crew import Crew, mismatch

TIMEOUT = 10  # seconds for a scheduler to answer
ROOM = 8  # tasks under way at least, so that a cluster that grows with its work sees some
TICK = 0.5  # seconds between two looks at who is there
FEW = 8  # workers, beyond which we look more rarely


@dataclass
class Task:
    """One task, and what has happened to it."""

    place: int
    arguments: tuple
    name: str  # for people
    key: str  # for the scheduler: two clients that send the same one share its result
    tries: int = 0
    alone: bool = False  # it was on workers that died, and is now sent with no other beside it
    avoid: dict[str, str] = field(default_factory=dict)  # workers that lack a file for it: what they said
    bound: frozenset[str] | None = None  # the workers that it was sent to; None: any


@contextmanager
def connected(address: str):
    """A client of the scheduler; ConnectionError where none answers, or where Dask is not installed."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ConnectionError(
            f"the scheduler {address} is asked for, and Dask's package distributed is not installed here ({error}): "
            "`pip install 'azimuth[fleet]'`, from the project's folder `pip install -e '.[fleet]'`"
        ) from error
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it would say, our errors say
    try:
        with ThreadPoolExecutor(1) as apart:  # a notebook's thread has a loop of its own
            apart.submit(lambda: asyncio.run(_knock(address))).result()
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no Dask scheduler answers at {address} ({error}): start one (`dask scheduler`), correct "
            "AZIMUTH_SCHEDULER or --scheduler, or say --scheduler local to compute on this machine alone"
        ) from error
    client = Client(address, timeout=TIMEOUT, set_as_default=False)
    try:
        yield client
    finally:
        client.close(timeout=TIMEOUT)


async def _knock(address: str) -> None:
    """Connects to a scheduler and hangs up: a Client that could not connect can never be closed."""
    from distributed.comm import connect
    from distributed.security import Security

    comm = await connect(address, timeout=TIMEOUT, **Security().get_connection_args("client"))
    await comm.close()


class Dispatch:
    """Keeps a bounded number of tasks under way, and deals with what comes back."""

    def __init__(self, client, address: str, function: Callable, label: str, excused: tuple, mark: str):
        self.client, self.address, self.function = client, address, function
        self.label, self.excused = label, excused
        self.crew = Crew(client, address, mark)
        self.back: queue.SimpleQueue = queue.SimpleQueue()
        self.under_way: dict[object, Task] = {}  # by future
        self.aside: list[Task] = []  # were on workers that died: later, alone
        self.lost: MemoryError | None = None  # what is raised when all others are done
        self.useful: set[str] = set()  # workers that have done a task
        self.doubtful: set[str] = set()  # workers that lacked a file and have done nothing yet
        self.run, self.finished, self.looked = uuid.uuid4().hex[:8], 0, 0.0

    def results(self, tasks: Iterable[Task], total: int | None) -> Iterator[tuple[int, object]]:
        """Yields (place, result) as they come; what is under way is given up where the caller stops asking.

        Raises ConnectionError where the scheduler goes away or no worker may work, FileNotFoundError where no worker
        has what a task needs, MemoryError where a task takes worker after worker with it, and what a task raised.
        """
        tasks = iter(tasks)
        try:
            self._look()
            with tqdm(total=total, desc=self.label, delay=1, disable=not sys.stderr.isatty()) as bar:
                while self._fill(tasks):
                    for found in self._arrived():
                        self.finished += 1
                        bar.update()
                        yield found
            if self.lost:
                raise self.lost
        finally:
            for future in self.under_way:
                future.release()

    def _fill(self, tasks: Iterator[Task]) -> bool:
        """Sends as many tasks as may be under way, those that were set aside last and singly; False at the end."""
        room = max(ROOM, 2 * self.crew.threads())
        while len(self.under_way) < room and (task := next(tasks, None)) is not None:
            self._send(task)
        if not self.under_way and self.aside:
            self._send(self.aside.pop(0))
        return bool(self.under_way)

    def _send(self, task: Task) -> None:
        task.bound = self._whom(task)
        future = self.client.submit(
            work.perform, work.code_digest(), self.function, task.arguments, self.excused,
            key=f"{task.key or f'azimuth-{self.run}-{task.place}'}-{task.tries}",
            workers=None if task.bound is None else sorted(task.bound), allow_other_workers=False,
        )  # fmt: skip
        task.tries += 1
        self.under_way[future] = task
        future.add_done_callback(self.back.put)

    def _whom(self, task: Task) -> frozenset[str] | None:
        """Whom a task may be sent to: None for anybody."""
        left_out = self.doubtful | task.avoid.keys()
        if self.crew.free_for_all() and not left_out & self.crew.living.keys():
            return None
        fit = self.crew.fit()
        return frozenset(fit - left_out or fit - task.avoid.keys())

    def _arrived(self) -> Iterator[tuple[int, object]]:
        try:
            future = self.back.get(timeout=TICK)
        except queue.Empty:
            self._look_again()
            self._send_again_what_is_stranded()
            return
        if future not in self.under_way:  # given up in the meantime
            return
        task = self.under_way.pop(future)
        if future.status == "finished":
            yield from self._judged(task, future)
        elif future.status == "error":
            self._failed(task, future.exception())
        else:
            raise self._gone()
        self._look_again()

    def _judged(self, task: Task, future) -> Iterator[tuple[int, object]]:
        try:
            verdict, found, worker = future.result()
        except (CancelledError, OSError) as error:
            raise self._gone() from error
        if verdict in (work.DONE, work.EXCUSED):
            self.useful.add(worker)
            self.doubtful.discard(worker)
            yield task.place, found
            return
        if verdict == work.REFUSED:
            self.crew.refuse(worker, mismatch("its code", found))
            self._look()
        else:
            task.avoid[worker] = found
            self.doubtful |= {worker} - self.useful
        if self.crew.fit() - task.avoid.keys():
            self._send(task)
        elif issubclass(FileNotFoundError, self.excused) and task.avoid:
            yield task.place, self._nowhere(task)
        else:
            raise self._nowhere(task)

    def _nowhere(self, task: Task) -> FileNotFoundError:
        said = "; ".join(f"{worker}: {why}" for worker, why in sorted(task.avoid.items()))
        return FileNotFoundError(
            f"{self.label}: no worker of {self.address} has what {task.name} needs. {said}. Put the file where the "
            "workers look (the same path on all machines, AZIMUTH_MODELS, or a package index that they reach)"
        )

    def _failed(self, task: Task, error: BaseException) -> None:
        """A task that died with its workers gets one more chance, last and alone, when nothing else can be to blame.

        Of one that dies then, all others are done first; where a second one does, they will hardly be.
        """
        from distributed import KilledWorker

        if not isinstance(error, KilledWorker):
            error.add_note(f"{self.label}: in {task.name}, on a worker of {self.address}")
            raise error
        if not task.alone:
            task.alone = True
            self.aside.append(task)
            return
        limits = sorted({one["memory_limit"] for one in self.crew.living.values()})
        have = " or ".join(f"{limit / 1e9:,.1f} GB" for limit in limits) or "no worker is left"
        first, self.lost = self.lost, MemoryError(
            f"{self.label}: every worker that was given {task.name} died of it, {2 * (error.allowed_failures + 1)} in "
            f"all, the last one {error.last_worker.address}. Most likely it needs more memory than a worker may take "
            f"({have}): start workers with more (`dask worker --memory-limit`), fewer on a machine. Its log tells. "
            "What is in the cache is kept, and the same command goes on there"
        )
        if first:
            raise first

    def _look_again(self) -> None:
        """Looks, if it is time: the more workers there are, the longer the scheduler's answer, and the rarer we ask."""
        if time.monotonic() - self.looked >= TICK * max(1.0, len(self.crew.living) / FEW):
            self._look()

    def _look(self) -> None:
        self.looked = time.monotonic()
        if self.client.status != "running":
            raise self._gone()
        try:
            self.crew.look()
        except ConnectionError:
            raise
        except OSError as error:
            raise self._gone() from error

    def _send_again_what_is_stranded(self) -> None:
        """A task that only workers may do of which none is left goes to those who may now."""
        fit = self.crew.fit()
        for future, task in list(self.under_way.items()):
            if task.bound is not None and not task.bound & fit and fit - task.avoid.keys():
                del self.under_way[future]
                future.release()
                self._send(task)

    def _gone(self) -> ConnectionError:
        return ConnectionError(
            f"{self.label}: the Dask scheduler at {self.address} went away after {self.finished} tasks. What is in the "
            "cache is kept: start it again and run the same command, and it goes on there"
        )
