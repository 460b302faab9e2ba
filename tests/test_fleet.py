"""Work on a Dask cluster: two workers on loopback, and everything that can go wrong with them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import fleet_tasks as tasks
import numpy as np
import pytest
from conftest import plant_model
from distributed import Client, LocalCluster
from test_corpus import english, thai

from compute import __main__ as front
from compute import experiments, fleet, laboratory, recipes, results_goldilocks, survey
from compute.cache import entries
from compute.corpus import open_corpus
from compute.experiments import Experiment
from compute.fleet import choice, crew, dispatch, kept
from compute.goldilocks import checkpoints
from compute.results_experiments import lives_of

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1_200_000_000  # bytes a worker
LEAN = {"layers": 2, "width": 16, "heads": 1, "feed_forward": 32, "context": 16, "batch": 2, "protocol": "pure-bf16"}


def cluster(workers: int) -> LocalCluster:
    """Some workers of one thread each, as processes on loopback."""
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, memory_limit=LIMIT, host="127.0.0.1",
        dashboard_address=":0", silence_logs=50,
    )  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two workers who share a cache and a small text with this process; a task that kills one is tried twice."""
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "stars.txt").write_text(english(), "utf-8")
    (folder / "thai.txt").write_text(thai(), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZIMUTH_CACHE", str(folder / "cache"))
        patch.setenv("AZIMUTH_CORPUS", str(folder / "stars.txt"))
        patch.setenv("AZIMUTH_CORPUS_UNSEEN", str(folder / "thai.txt"))
        patch.setenv("PYTHONPATH", str(ROOT))
        with dask.config.set({"distributed.scheduler.allowed-failures": 0}), cluster(2) as started:
            patch.setenv(choice.VARIABLE, started.scheduler_address)
            yield started


@pytest.fixture
def client(two):
    """A client of our own beside the one under test, and two workers again, whatever the test before did to them."""
    with Client(two.scheduler_address, set_as_default=False) as opened:
        try:
            opened.wait_for_workers(2, timeout=30)
        except TimeoutError:  # once in a while Dask's nanny does not start a killed worker again
            two.scale(0)
            two.scale(2)
            opened.wait_for_workers(2, timeout=90)
        yield opened


def squares(count: int) -> list[tuple[int, int]]:
    return [(place, place * place) for place in range(count)]


@pytest.fixture
def by_hand(two, tmp_path):
    """Starts workers as another machine would, with an environment of their own; ends them."""
    started = []

    def start(name: str, **environment: str) -> str:
        """The address of a new worker."""
        words = [sys.executable, "-m", "distributed.cli.dask_worker", two.scheduler_address, "--name", name]
        words += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])} | environment
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen(words, env=os.environ | environment, cwd=tmp_path, **silent))
        return until(lambda: next((w.address for w in two.scheduler.workers.values() if w.name == name), None))

    yield start
    for process in started:
        process.terminate()
        process.wait()


def until(condition, seconds: float = 60.0):
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


# Which scheduler


def test_without_a_scheduler_dask_is_not_imported(tmp_path):
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from compute import fleet, survey, laboratory, contents, __main__\n"
        "import fleet_tasks\n"
        "assert list(fleet.spread(fleet_tasks.square, [(2,), (3,)], label='x')) == [(0, 4), (1, 9)]\n"
        "assert not fleet.active()\n"
        "sys.exit(', '.join(name for name in ('dask', 'distributed') if name in sys.modules) or 0)"
    )
    environment = {name: value for name, value in os.environ.items() if "DASK" not in name and name != choice.VARIABLE}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    environment |= {"HOME": str(tmp_path), "DASK_ROOT_CONFIG": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_scheduler_is_ours_then_dask_s(tmp_path, monkeypatch):
    for name in (choice.VARIABLE, choice.DASK_S, "DASK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DASK_ROOT_CONFIG", str(tmp_path / "root"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert choice.address() is None and not fleet.active()
    (tmp_path / "dask.yaml").write_text("scheduler-address: tcp://configured:1\n")
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask.yaml"))
    with dask.config.set({"scheduler-address": "tcp://configured:1"}):
        assert choice.address() == "tcp://configured:1"
    monkeypatch.setenv(choice.DASK_S, "tcp://dask:2")
    assert choice.address() == "tcp://dask:2"
    choice.choose(None)
    assert choice.address() == "tcp://dask:2"
    monkeypatch.setenv(choice.VARIABLE, "tcp://first:3")
    choice.choose("tcp://ours:3")
    assert choice.address() == "tcp://ours:3" and fleet.active()
    choice.choose("local")
    assert choice.address() is None and not fleet.active()


def test_a_scheduler_file_is_read(tmp_path, monkeypatch):
    file = tmp_path / "scheduler.json"
    monkeypatch.setenv(choice.VARIABLE, str(file))
    with pytest.raises(ValueError, match="scheduler file .* cannot be used"):
        choice.address()
    file.write_text('{"address": "tcp://10.0.0.1:8786"}')
    assert choice.address() == "tcp://10.0.0.1:8786"


def test_a_scheduler_that_is_not_there_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(dispatch, "TIMEOUT", 0.2)
    for address in ("tcp://127.0.0.1:9", "nowhere", "tcp://127.0.0.1"):
        monkeypatch.setenv(choice.VARIABLE, address)
        with pytest.raises(ConnectionError, match=f"no Dask scheduler answers at {address} .*--scheduler local"):
            list(fleet.spread(tasks.square, [(1,)], label="squares"))


def test_where_dask_is_not_installed_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv(choice.VARIABLE, "tcp://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"distributed is not installed.*azimuth\[fleet\]"):
        list(fleet.spread(tasks.square, [(1,)], label="squares"))
    for name in (choice.VARIABLE, choice.DASK_S):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dask.yaml").write_text("scheduler-address: tcp://configured:1\n")
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask.yaml"))
    monkeypatch.setitem(sys.modules, "dask", None)
    assert choice.address() is None


# Tasks


def test_results_come_with_their_places_and_nothing_spreads_within_a_task(two):
    assert fleet.active()
    assert sorted(fleet.spread(tasks.square, ((n,) for n in range(50)), label="squares")) == squares(50)
    assert list(fleet.spread(tasks.square, [], label="nothing")) == []
    assert list(fleet.spread(tasks.whether_active, [(1,)], label="inner")) == [(0, False)]


def test_a_bounded_number_is_under_way(two):
    taken = []
    endless = ((n,) for n in iter(lambda: taken.append(1) or len(taken) - 1, -1))
    coming = fleet.spread(tasks.square, endless, label="squares")
    for _ in range(3):
        next(coming)
    coming.close()
    assert len(taken) <= dispatch.ROOM + 3


def test_what_cannot_be_imported_is_refused(two):
    for function in (lambda n: n, Client.close):
        with pytest.raises(TypeError, match="cannot be sent to workers"):
            list(fleet.spread(function, [(1,)], label="x"))


def test_an_exception_names_its_task_or_comes_as_a_result(two):
    with pytest.raises(FloatingPointError, match="nan at step 7") as raised:
        list(fleet.spread(tasks.fails, [(n,) for n in range(3)], label="trainings"))
    assert "trainings: in fails(1), on a worker" in raised.value.__notes__[0]
    found = dict(fleet.spread(tasks.fails, [(n,) for n in range(3)], label="x", excused=(FloatingPointError,)))
    assert (found[0], found[2]) == (0, 4) and isinstance(found[1], FloatingPointError)


def test_a_worker_without_the_file_is_passed_over(two, client, tmp_path):
    """Each worker has a home of its own; only one of them has the file."""
    first, second = two.scheduler.workers
    for home, worker in ((tmp_path, first), (tmp_path / "empty", second)):
        client.run(tasks.moves_home, str(home), workers=[worker])
    (tmp_path / "catalogue").write_text("rows")
    asked = [("~/catalogue",)] * 6
    assert sorted(fleet.spread(tasks.reads, asked, label="x")) == [(place, "rows") for place in range(6)]
    (tmp_path / "catalogue").unlink()
    with pytest.raises(FileNotFoundError, match="no worker of .* has what reads.'~/catalogue'. needs") as raised:
        list(fleet.spread(tasks.reads, asked, label="x"))
    assert first in str(raised.value) and second in str(raised.value)
    client.run(tasks.moves_home, os.environ["HOME"])


def test_a_worker_of_another_version_is_refused_by_digest(two, client, by_hand, tmp_path):
    shutil.copytree(ROOT / "compute", tmp_path / "other" / "compute", ignore=shutil.ignore_patterns("__pycache__"))
    with open(tmp_path / "other" / "compute" / "tables.py", "a") as file:
        file.write("# edited\n")
    other = by_hand("other", PYTHONPATH=os.pathsep.join([str(tmp_path / "other"), str(ROOT / "tests")]))
    with pytest.warns(crew.FleetWarning, match=f"{other} is left out: its code.* has digest .* same commit"):
        assert sorted(fleet.spread(tasks.slowly, [(n, 0.02) for n in range(12)], label="x")) == squares(12)
    wrong = ["0" * 64, tasks.square, (1,), ()]  # and what it is given all the same it does not do
    assert client.submit(dispatch.work.perform, *wrong, workers=[other]).result()[::2] == ("refused", other)


def test_where_no_worker_may_work_the_error_says_of_each_why(two, monkeypatch):
    monkeypatch.setattr(dispatch.work, "code_digest", lambda: "0" * 64)
    with pytest.warns(crew.FleetWarning), pytest.raises(ConnectionError) as raised:
        list(fleet.spread(tasks.square, [(1,)], label="x"))
    assert "none of the 2 workers" in str(raised.value)
    assert all(f"{address}: its code" in str(raised.value) for address in two.scheduler.workers)


# Workers that die


def test_a_task_that_loses_its_worker_is_done_by_another(two, client, tmp_path):
    asked = [(n, str(tmp_path / "mark")) for n in range(4)]
    assert sorted(fleet.spread(tasks.dies_once, asked, label="x")) == squares(4)


def test_a_task_that_outgrows_its_worker_is_named_and_the_others_are_done(two, client):
    done = []
    with pytest.raises(MemoryError, match=r"every worker that was given swallows\(1, .*1\.2 GB.*--memory-limit"):
        for found in fleet.spread(tasks.swallows, [(n, 3 * LIMIT) for n in range(4)], label="x"):
            done.append(found)
    assert sorted(done) == [(0, 0), (2, 4), (3, 9)]


# Results that are kept


def test_a_training_whose_worker_is_killed_goes_on_and_ends_bit_identical(two, client, tmp_path, monkeypatch):
    recipe = recipes.trainings([LEAN | {"steps": 150, "seed": 5}])[0]
    with monkeypatch.context() as patch:
        patch.setenv("AZIMUTH_CACHE", str(tmp_path / "alone"))
        patch.setenv(choice.VARIABLE, "local")
        ((_, alone),) = fleet.gather([recipe], label="here")
    client.run(tasks.hurries, 0.02)
    workers = client.run(os.getpid)
    training = results_goldilocks.trained.call(open_corpus(), recipe.arguments[1])
    checkpoint = training.workspace() / checkpoints.NAME

    def strike() -> None:
        until(checkpoint.exists)
        (busy,) = until(lambda: [worker for worker, doing in client.processing().items() if doing])
        os.kill(workers[busy], signal.SIGKILL)
        struck.append((training.state(), checkpoint.exists()))

    struck: list = []
    striker = threading.Thread(target=strike)
    striker.start()
    ((_, found),) = fleet.gather([recipe], label="there")
    striker.join()
    assert struck == [("missing", True)], "it was not killed in the middle: the test is blind"
    mine, theirs = lives_of(alone), lives_of(found)
    assert mine.keys() == theirs.keys()
    assert all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in mine)
    assert alone["final_loss"] == found["final_loss"] and alone["held_out_loss"] == found["held_out_loss"]
    assert found.provenance.layer == "cache" and found.provenance.key == recipe.call().key


def test_what_is_kept_is_not_sent_and_one_key_is_one_task(two, monkeypatch):
    one, other = recipes.trainings([LEAN | {"steps": 20, "seed": seed} for seed in (1, 2)])
    first = dict(fleet.gather([one, other, one], label="x"))
    assert first.keys() == {0, 1, 2} and first[0]["final_loss"] == first[2]["final_loss"] != first[1]["final_loss"]
    monkeypatch.setattr(kept, "connected", lambda address: pytest.fail("asked the scheduler for what is kept"))
    again = dict(fleet.gather([one, other], label="x"))
    assert [again[n].provenance.date for n in (0, 1)] == [first[n].provenance.date for n in (0, 1)]


def test_a_training_that_diverges_comes_as_what_it_raised(two, monkeypatch):
    wild = [LEAN | {"steps": 20, "seed": 1}, LEAN | {"steps": 60, "seed": 1, "learning_rate": 1e4}]
    found = dict(fleet.gather(recipes.trainings(wild), label="x", excused=(FloatingPointError,)))
    assert isinstance(found[1], FloatingPointError) and "at step" in str(found[1]) and "final_loss" in found[0]
    monkeypatch.setenv(choice.VARIABLE, "local")
    here = dict(fleet.gather(recipes.trainings(wild), label="x", excused=(FloatingPointError,)))
    assert str(here[1]) == str(found[1])


def test_two_clients_that_ask_for_one_result_share_one_computation(two, client, tmp_path):
    """One as this process, one as another; the cache's lock and the scheduler's key both stand for it."""
    recipe = recipes.trainings([LEAN | {"steps": 200, "seed": 9}])[0]
    code = (
        "from compute import fleet, recipes\n"
        f"(found,) = fleet.gather(recipes.trainings([{recipe.arguments[1]!r}]), label='other')\n"
        "print(found[1].provenance.date, found[1].provenance.seconds)"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
        until(lambda: any(client.processing().values()))
        ((_, found),) = fleet.gather([recipe], label="mine")
        out, err = other.communicate(timeout=60)
    assert out == f"{found.provenance.date} {found.provenance.seconds}\n", err
    assert list(entries.kin(found.provenance.function))


def test_a_worker_that_does_not_share_the_cache_is_refused(two, by_hand, tmp_path):
    stranger = by_hand("stranger", AZIMUTH_CACHE=str(tmp_path / "own"))
    with pytest.warns(crew.FleetWarning, match=f"{stranger} is left out: it does not see the cache.*AZIMUTH_CACHE"):
        found = dict(fleet.gather(recipes.trainings([LEAN | {"steps": 20, "seed": 11}]), label="x"))
    assert "final_loss" in found[0]


def test_another_text_under_the_same_name_is_not_trained_on(two, client, tmp_path, monkeypatch):
    """The key is the client's; a worker that names the result otherwise says so instead of computing it."""
    wrong = [recipes.goldilocks, recipes.trainings([LEAN | {"steps": 20, "seed": 12}])[0].arguments, "0" * 64]
    said = client.submit(dispatch.work.perform, dispatch.work.code_digest(), dispatch.work.keep, tuple(wrong), ())
    assert said.result()[0] == "unfit" and "is not the same" in said.result()[1]


# The commands


def test_a_survey_of_several_models_is_a_task_each(two, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(choice.VARIABLE, two.scheduler_address)  # which --scheduler changes for its process
    for number in (1, 2):
        plant_model(tmp_path / f"model{number}", [f"token{i}" for i in range(40)], seed=number)
    asked = [str(tmp_path / "model1"), "no-such-model", str(tmp_path / "model2")]
    assert front.main(["survey", *asked, "--json"]) == 2
    said = capsys.readouterr()
    first, wrong, second = json.loads(said.out)["surveys"]
    assert (first, second) == (survey.numbers(asked[0]), survey.numbers(asked[2])) and first != second
    assert wrong["model"] == "no-such-model" and "no worker of" in wrong["error"] and "no-such-model: " in said.err
    assert front.main(["survey", asked[0], asked[2], "--scheduler", "local"]) == 0
    assert capsys.readouterr().out.count("black holes") == 2


def test_an_experiment_is_trained_by_workers(two, capsys, monkeypatch):
    changes = {name: value for name, value in LEAN.items() if name != "protocol"}
    lean = Experiment("lean", "Does it run?", 20, changes, (31, 32), ("matrix",))
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"lean": lean})
    monkeypatch.setattr(laboratory, "ROOM", 0)
    assert front.main(["experiment", "lean", "--run", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["seeds"] == [31, 32] and "training lean" not in said.err, "trained here"
    there = [line.partition(" is there")[0] for line in said.err.splitlines()]
    assert sorted(there[:2]) == ["lean with seed 31, run", "lean with seed 32, run"]
    assert there[2:] == ["lean with seed 31, matrix"], "what is kept beside a run is of the first seed"
    assert all(call.state() == "fresh" for call in experiments.parts(lean, 31).values())


def test_a_sweep_is_trained_by_workers(two, tmp_path, capsys):
    fixed = "".join(f"{name} = {value}\n" for name, value in LEAN.items() if name != "protocol")
    declared = f'experiment = "pure-bf16"\nsteps = 20\nseeds = [41]\n[fixed]\n{fixed}[axes]\nbeta2 = [0.9, 0.99]\n'
    (tmp_path / "one.toml").write_text(declared)
    assert front.main(["sweep", str(tmp_path / "one.toml"), "--json"]) == 0
    said = capsys.readouterr()
    assert [run["state"] for run in json.loads(said.out)["runs"]] == ["fresh", "fresh"] and "2 of 2: beta2" in said.err


def test_the_book_s_results_are_computed_by_workers(two, tmp_path, capsys, monkeypatch):
    plant_model(tmp_path / "model", [f"token{i}" for i in range(40)])
    whole = recipes.book

    def some(model):
        return [(name, recipe) for name, recipe in whole(model) if name in ("centring", "norms", "census")]

    monkeypatch.setattr(recipes, "book", some)
    assert front.main(["prepare", "--model", str(tmp_path / "model"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"computed": ["centring", "norms", "census"], "failed": {}}
    assert all(recipe.call().state() == "fresh" for _, recipe in some(str(tmp_path / "model")))


# A scheduler that goes away


@pytest.fixture
def doomed(tmp_path, monkeypatch):
    """A scheduler and one worker, each a process of its own; yields what kills the scheduler."""
    file = tmp_path / "scheduler.json"
    words = ["--scheduler-file", str(file), "--no-dashboard", "--host", "127.0.0.1"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = [sys.executable, "-m"]
    started = [subprocess.Popen([*run, "distributed.cli.dask_scheduler", *words, "--port", "0"], **silent)]
    until(file.exists)
    worker = ["distributed.cli.dask_worker", *words, "--nthreads", "1", "--no-nanny", "--death-timeout", "5"]
    started.append(subprocess.Popen([*run, *worker], **silent))
    monkeypatch.setenv(choice.VARIABLE, str(file))
    yield started[0].kill
    for process in started:
        process.kill()
        process.wait()


def test_a_scheduler_that_goes_away_is_one_clear_error_and_a_rerun_goes_on(two, doomed, monkeypatch):
    scheduler = two.scheduler_address
    asked = recipes.trainings([LEAN | {"steps": 30, "seed": seed} for seed in range(20, 24)])
    got = []
    with pytest.raises(ConnectionError, match="went away after 1 tasks.* it goes on there"):
        for place, _ in fleet.gather(asked, label="x"):
            got.append(place)
            doomed()
    assert len(got) == 1 and asked[got[0]].call().state() == "fresh"
    monkeypatch.setenv(choice.VARIABLE, scheduler)
    assert sorted(place for place, _ in fleet.gather(asked, label="x")) == list(range(4))
