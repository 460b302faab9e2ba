"""The workers of a scheduler: who is there, who may work for us, and why the others may not."""

import sys
import time
import warnings

from compute.fleet import work

PATIENCE = 60.0  # seconds that a crew of which nobody is left may take to come back
SILENCE = 10.0  # seconds in which nobody takes work before it is said


class FleetWarning(UserWarning):
    """A worker is left out; the others do its work."""


class Crew:
    """Examines each worker once, when it is first seen."""

    def __init__(self, client, address: str, mark: str):
        self.client, self.address, self.mark = client, address, mark
        self.living: dict[str, dict] = {}  # by address, as the scheduler describes them
        self.refused: dict[str, str] = {}  # by address, why
        self.admitted: set[str] = set()  # who was ever found fit
        self.seen = time.monotonic()  # when somebody who may work was last there, and took work
        self.told = False

    def look(self) -> None:
        """Sees who is there; warns of each newcomer that is left out.

        Raises ConnectionError where there are workers and not one of them may work, at once if none ever could,
        otherwise after a minute, in which those who died may be started again.
        """
        self.living = self.client.scheduler_info()["workers"]
        for address, said in self._reports(self.living.keys() - self.admitted - self.refused.keys()).items():
            if why := self._fault(said):
                self.refuse(address, why)
            else:
                self.admitted.add(address)
        now = time.monotonic()
        if any(self.living[address].get("status") != "paused" for address in self.fit()):
            self.seen, self.told = now, False
        elif self.living and not self.fit() and (not self.admitted or now - self.seen > PATIENCE):
            raise ConnectionError(
                f"none of the {len(self.living)} workers of {self.address} may do this: "
                + "; ".join(f"{address}: {self.refused[address]}" for address in sorted(self.refused))
            )
        if now - self.seen > SILENCE and not self.told:
            self.told = True
            what = "every worker has stopped taking work, its memory nearly full" if self.fit() else "no worker yet"
            print(f"{what} at {self.address}; waiting (what is in the cache is kept)", file=sys.stderr)

    def refuse(self, address: str, why: str) -> None:
        """Leaves a worker out from now on, and says so."""
        self.admitted.discard(address)
        self.refused[address] = why
        warnings.warn(f"the worker {address} is left out: {why}", FleetWarning, stacklevel=2)

    def fit(self) -> set[str]:
        """The addresses of those who are there and may work."""
        return self.admitted & self.living.keys()

    def free_for_all(self) -> bool:
        """Whether everybody who is there may work, so that the scheduler may choose, newcomers included."""
        return not (self.refused.keys() & self.living.keys())

    def threads(self) -> int:
        """How many tasks can be done at the same time."""
        return sum(self.living[address]["nthreads"] for address in self.fit())

    def _reports(self, newcomers: set[str]) -> dict[str, object]:
        if not newcomers:
            return {}
        said = self.client.run(work.report, self.mark, workers=sorted(newcomers), on_error="return")
        return {address: one for address, one in said.items() if not isinstance(one, OSError)}  # gone again: later

    def _fault(self, said: object) -> str | None:
        """Why a worker may not work for us, with what to do about it; None where it may."""
        if not isinstance(said, dict):
            return f"it cannot import this version of compute ({said!r}); install the project there"
        mine = work.report(self.mark)
        place = f"its code, in {said['place']},"
        if said["digest"] != mine["digest"]:
            return mismatch(place, said["digest"])
        if not said["shares"]:
            return (f"it does not see the cache that this client writes to; its own is {said['cache']}. Set "
                    "AZIMUTH_CACHE to one folder or store that all machines share")  # fmt: skip
        if said["fresh"] != mine["fresh"]:
            return "AZIMUTH_FRESH is not there what it is here; start it with the same value"
        return None


def mismatch(whose: str, digest: str) -> str:
    """What is wrong with a worker of another version, and what to do."""
    return (
        f"{whose} has digest {digest[:12]}, and the one here has {work.code_digest()[:12]}: bring both to the same "
        "commit, without edits, and start the worker again"
    )
