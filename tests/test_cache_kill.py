"""Writers that are killed at random instants: what is visible is whole, what is not is computed again."""

import json
import signal
import subprocess

import planets
import pytest
from planets import STEPS, child, wait_for

from compute.cache import audit, entries

planet = planets.planet
KILLS = 200

# One process imports everything, then forks the writers, so that a kill costs milliseconds. Each writer computes result
# after result, from a place of its own; the parent kills it at a random instant and looks at what it left.
NURSERY = """
import json, os, random, shutil, signal, sys, time, warnings
from pathlib import Path
warnings.simplefilter("error")
from planet import a
from compute import paths
from compute.cache import audit

os.fsync = lambda handle: time.sleep(0.0003)  # a kill is no power cut; this keeps the pace, whatever the disk does
generator, struck, left, kills = random.Random(int(sys.argv[2])), 0, 0, int(sys.argv[1])
draft = paths.cache_folder() / "writing"
for kill in range(kills):
    started, ready = os.pipe()
    writer = os.fork()
    if writer == 0:
        for n in range(30 * kill, 30 * kill + 30):
            (a.files if n % 2 else a.f)(n)
            os.write(ready, b".")
        os._exit(0)
    os.close(ready)
    os.read(started, 1)  # it writes
    time.sleep(generator.uniform(0, 0.03))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    done = 1
    while more := os.read(started, 65536):
        done += len(more)
    os.close(started)
    struck += bool(list(draft.glob("*/*")))
    for n in range(30 * kill + max(0, done - 2), 30 * kill + done + 1):
        found = a.files(n) if n % 2 else a.f(n)  # the last ones whole, the one that was cut off computed again
        right = " ".join(map(str, range(n))) if n % 2 else [i * (n + 1) for i in range(5)]
        assert (found["numbers"].read_text() if n % 2 else found["values"].tolist()) == right, n
        left += 1
    assert not list(draft.glob("*/*")), "the next writer of a key clears what was left of it"
    damaged = [row for row in audit.verify() if row["damage"]]
    assert not damaged, damaged
    for entry in list(paths.cache_folder().glob("planet.*/*")):
        if generator.random() < 0.9:  # or the check after each kill would take longer and longer
            shutil.rmtree(entry)
print(json.dumps({"kills": kills, "struck": struck, "looked_at": left}))
"""


def test_a_writer_killed_at_a_random_instant_leaves_whole_entries_or_none(planet, tmp_path):
    process = child(NURSERY, tmp_path, KILLS, 42)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    found = json.loads(said)
    assert found["kills"] == KILLS
    assert found["struck"] >= KILLS // 20, f"too few kills fell into a write for this to prove anything: {found}"
    assert not list((tmp_path / "cache").glob("damaged/*"))


SLOW = 'noted("f"); import time; time.sleep(3600 if x == 1 and not Path(__file__).with_name("go").exists() else 0)'


def test_a_writer_killed_while_it_holds_the_lock_blocks_nobody(planet, tmp_path):
    planet.edit('noted("f")', SLOW)
    holder = child("from planet.a import f; f(1)", tmp_path)
    wait_for(lambda: planet.runs() == 1)
    f = planet.load().f
    with entries.lock("planet.a.f", f.call(1).key, wait=False) as held:
        assert not held, "the holder does not hold the lock: the test is blind"
    waiting = child("from planet.a import f; print(f(1)['x'])", tmp_path)
    (planet.file.with_name("go")).touch()
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    holder.kill()
    holder.communicate()
    assert waiting.communicate(timeout=60)[0] == "1\n" and planet.runs() == 2


def test_a_killed_run_is_resumed_from_its_workspace(planet, tmp_path):
    planet.write(planet.file.read_text() + STEPS)
    writer = child("from planet.a import steps; steps(6)", tmp_path)
    wait_for(lambda: planet.runs("step2") == 1)
    call = planet.load().steps.call(6)
    wait_for(lambda: (call.workspace() / "steps.txt").read_text() == "0 1 2 ")
    assert [row["kind"] for row in audit.sweep(delete=True)] == [], "gc leaves a running function its workspace"
    writer.kill()
    writer.communicate()
    assert [row["kind"] for row in audit.sweep(delete=True)] == [], "and a killed one too, as long as it can be resumed"
    planet.file.with_name("go").touch()
    found = call.run()
    assert found["resumed_at"] == 3 and found["file"].read_text() == "0 1 2 3 4 5 "
    assert [planet.runs(f"step{step}") for step in range(6)] == [1] * 6 and not call.workspace().exists()


def test_a_kill_between_the_entry_and_the_end_of_its_workspace_costs_nothing(planet, tmp_path):
    """The files are linked into the entry and not moved: until it is there, the workspace is complete."""
    planet.write(planet.file.read_text() + STEPS)
    planet.file.with_name("go").touch()
    kill = "import os, signal; from planet.a import steps; from compute.cache import {module} as m; real = m.{name}\n"
    kill += "def deadly(*words):\n    {before}os.kill(os.getpid(), signal.SIGKILL)\nm.{name} = deadly; steps(6)"
    module = planet.load()
    before_rename = child(kill.format(module="entries", name="os.rename", before=""), tmp_path)
    before_rename.communicate()
    assert before_rename.returncode == -signal.SIGKILL
    call = module.steps.call(6)
    assert call.state() == "missing" and (call.workspace() / "steps.txt").read_text() == "0 1 2 3 4 5 "
    after_rename = child(kill.format(module="entries", name="flush_folder", before="real(*words); "), tmp_path)
    after_rename.communicate()
    assert after_rename.returncode == -signal.SIGKILL
    assert call.state() == "fresh" and call.workspace().exists()
    assert call.run()["resumed_at"] == 6 and planet.runs("step5") == 1
    (row,) = audit.sweep(delete=True)
    assert row["kind"] == "workspace" and not call.workspace().exists() and call.run()["file"].exists()
