"""Every step of a run: the whole matrix after each update, in one HDF5 file that a kill cannot spoil.

    weights   (steps + 1, V, D) uint16 (bfloat16 bits) or uint32 (float32 bits), row 0 before the first step
    complete  int64, the last step that is wholly there; written last

The chunks are neither compressed nor moved: all are allotted when the file is made, so that recording changes no
structure of the file, only numbers in it, and whatever a SIGKILL interrupts, the steps up to `complete` can be
read. Compression was measured and left out: on a training's weights lzf and gzip-1, also of the differences of
steps, make the file 1.8 to 4 times smaller and take 15 to 35 ms a step where plain writing takes 1 to 3; one step
then reads in 80 ms and more instead of 0.4. A chunk holds few tokens over a stretch of time, a piece of both ways
of reading: one step, or one token through time.
Chapter: Goldilocks.
"""

import errno
import shutil
from pathlib import Path

import h5py
import numpy as np
import torch
from filelock import FileLock, Timeout

from compute.goldilocks.motion import bits

CHUNK = (16, 64)  # steps, tokens; all D components: 256 KB at D = 128 in bfloat16
RESERVE = 64_000_000  # bytes left free on the disk
UNSIGNED = {torch.bfloat16: np.uint16, torch.float32: np.uint32}
# no chunk cache: what is asked for is read, not the chunk around it; a lock beside the file keeps a second writer
# out and lets readers in, which HDF5's own lock does not
ACCESS = {"rdcc_nbytes": 0, "locking": False}


class Recorder:
    """An observer of the training that writes the whole matrix after every step.

    path: the file, made or taken up again; steps: of the whole run; start: the matrix (V, D) before the first
    step, bfloat16 or float32. Holds CHUNK steps in memory. Close it, or use it in a `with`.
    Raises OSError where the disk has no room or another process records into the file, ValueError where it is
    the recording of another run.
    """

    wants_all = True

    def __init__(self, path: Path, steps: int, start: torch.Tensor, chunk: tuple[int, int] = CHUNK):
        self.path, self.steps, self.step = Path(path), int(steps), 0
        first = _stored(start)
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OSError(f"another process records into {self.path}: wait for it, or record elsewhere") from error
        self._file = None
        try:
            self._open((self.steps + 1, *first.shape), first, chunk)
        except BaseException:
            self._release()
            raise

    def _open(self, shape: tuple[int, int, int], first: np.ndarray, chunk: tuple[int, int]) -> None:
        if not self.path.exists():
            _make(self.path, shape, first.dtype, chunk)
        try:
            self._file = h5py.File(self.path, "r+", **ACCESS)
            self._weights, complete = self._file["weights"], int(self._file["complete"][()])
        except (OSError, KeyError) as error:
            raise ValueError(f"{self.path} is no recording ({error}); delete it, or record elsewhere") from error
        if (self._weights.shape, self._weights.dtype) != (shape, first.dtype):
            found = f"{self._weights.dtype} {self._weights.shape}"
            self._refuse(f"it holds {found}, {first.dtype} {shape} was asked for")
        if complete >= 0 and (self._weights[0] != first).any():
            self._refuse("it starts from other weights")
        self._slab = np.empty((self._weights.chunks[0], *first.shape), first.dtype)
        self._slab[0] = first
        if complete < 0:
            self._write(0)

    def _refuse(self, why: str) -> None:
        raise ValueError(f"{self.path} is the recording of another run: {why}; delete it, or record elsewhere")

    def observe(self, step: int, before, after, measures, *, embedding: torch.Tensor) -> None:
        """Take in the matrix after one step; a full slab of steps goes to the disk.

        Raises ValueError for a step out of turn, OSError where the disk is full; what is complete stays.
        """
        if step != self.step + 1 or step > self.steps:
            raise ValueError(f"step {self.step + 1} of {self.steps} is the next to record; found {step}")
        if step == 1:
            self._mark(0)  # a run begun anew records over what was there, which is complete no more
        self._slab[step % len(self._slab)] = _stored(embedding)
        self.step = step
        if (step + 1) % len(self._slab) == 0 or step == self.steps:
            self._write(step)

    def _write(self, last: int) -> None:
        """The steps of the slab up to `last` to the disk, then the mark that they are there."""
        first = last - last % len(self._slab)
        room(self.path.parent, (last - first + 1) * self._slab[0].nbytes, f"the recording of steps {first} to {last}")
        self._weights[first : last + 1] = self._slab[: last - first + 1]
        self._mark(last)

    def _mark(self, last: int) -> None:
        self._file.flush()  # the weights are with the operating system before the mark is
        self._file["complete"][()] = last
        self._file.flush()

    def state(self) -> dict[str, np.ndarray]:
        """Bring what was observed to the disk; return the step, for the training's checkpoint."""
        self._write(self.step)
        return {"step": np.array(self.step)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go back to the step of a checkpoint; the steps after it will be recorded again.

        Raises ValueError where the file holds fewer.
        """
        step, complete = int(state["step"]), int(self._file["complete"][()])
        if step > complete:
            raise ValueError(f"{self.path} holds {complete} steps, the checkpoint stands at {step}: start the run anew")
        first = step - step % len(self._slab)
        self._slab[: step - first + 1] = self._weights[first : step + 1]
        self.step = step
        self._mark(step)

    def close(self) -> None:
        """Close the file, after what was observed since the last full slab is written."""
        try:
            if self._file and self.step > self._file["complete"][()]:
                self._write(self.step)
        finally:
            self._release()

    def _release(self) -> None:
        if self._file:
            self._file.close()
        self._lock.release()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class Recording:
    """A recording opened for reading, also while it is being written: what was complete when it was opened."""

    def __init__(self, path: Path):
        try:
            self._file = h5py.File(path, "r", **ACCESS)
            self._weights, complete = self._file["weights"], self._file["complete"]
        except (OSError, KeyError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise ValueError(f"{path} is no recording ({error}); record the run again") from error
        self.steps = int(complete[()])
        self.n_tokens, self.dim = self._weights.shape[1:]

    def step(self, step: int) -> np.ndarray:
        """Return the stored bits (V, D) after a step; 0: before the first. IndexError beyond `steps`."""
        return self._weights[self._within(step, self.steps + 1, "step")]

    def token(self, token: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the stored bits (stop - start, D) of one token after the steps start .. stop - 1."""
        stop = self.steps + 1 if stop is None else stop
        if not 0 <= start <= stop <= self.steps + 1:
            raise IndexError(f"0 <= start <= stop <= {self.steps + 1} asked for; found {start}, {stop}")
        return self._weights[start:stop, self._within(token, self.n_tokens, "token")]

    @staticmethod
    def _within(index: int, count: int, what: str) -> int:
        if not 0 <= index < count:
            raise IndexError(f"{what} 0 .. {count - 1} asked for; found {index}")
        return index

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def open_recording(path: Path) -> Recording:
    """Return the recording in a file: steps, step(t), token(id, start, stop). ValueError for no recording."""
    return Recording(path)


def room(folder: Path, needed: int, what: str) -> None:
    """Raise OSError (ENOSPC) where the disk of `folder` has not `needed` bytes free, and RESERVE beside them."""
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE:
        raise OSError(
            errno.ENOSPC,
            f"{what} needs {needed / 1e6:,.0f} MB in {folder}, and {RESERVE / 1e6:,.0f} MB left over; "
            f"{free / 1e6:,.0f} MB are free: make room, or record fewer steps. What was recorded stays",
        )


def _make(path: Path, shape: tuple[int, int, int], dtype: np.dtype, chunk: tuple[int, int]) -> None:
    """A file with all its room allotted and nothing in it, under its name only when it is whole."""
    room(path.parent, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, f"the recording of {shape[0] - 1} steps")
    allotted = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    allotted.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    allotted.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    allotted.set_chunk((min(chunk[0], shape[0]), min(chunk[1], shape[1]), shape[2]))
    beginning = path.with_name(path.name + ".beginning")
    with h5py.File(beginning, "w") as file:
        space, kind = h5py.h5s.create_simple(shape), h5py.h5t.py_create(dtype)
        h5py.h5d.create(file.id, b"weights", kind, space, dcpl=allotted)
        file.create_dataset("complete", data=np.int64(-1))
    beginning.replace(path)


def _stored(matrix: torch.Tensor) -> np.ndarray:
    return bits(matrix.detach().contiguous()).numpy().view(UNSIGNED[matrix.dtype])
