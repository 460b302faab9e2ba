"""`make serve`: one build after a burst of saves, the last good pages after a failed one, nothing seen half-written."""

import threading
import time

import pytest

from book import serve


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(serve, "INTERVAL", 0.01)
    monkeypatch.setattr(serve, "QUIET", 0.05)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "index.md").write_text("one")
    return tmp_path


def eventually(condition, seconds=5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


class Follower:
    """`serve.follow` in a thread, with a build that counts."""

    def __init__(self, root, good=lambda: True):
        self.builds, self.shown, self.stop = 0, 0, threading.Event()
        self.good = good
        self.thread = threading.Thread(target=serve.follow, args=(root, self.build, self.show, self.stop))

    def build(self) -> bool:
        self.builds += 1
        return self.good()

    def show(self) -> None:
        self.shown += 1

    def __enter__(self):
        self.thread.start()
        time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive()


def test_a_burst_of_saves_is_one_build(root, quick):
    with Follower(root) as follower:
        for number in range(5):
            (root / "book" / f"page{number}.md").write_text("x")
            time.sleep(0.01)
        assert eventually(lambda: follower.builds)
        time.sleep(0.2)
        assert (follower.builds, follower.shown) == (1, 1)


def test_a_failed_build_shows_nothing_and_the_next_one_does(root, quick):
    verdicts = iter([False, True])
    with Follower(root, lambda: next(verdicts)) as follower:
        (root / "index.md").write_text("broken")
        assert eventually(lambda: follower.builds == 1)
        assert follower.shown == 0
        (root / "index.md").write_text("mended!")
        assert eventually(lambda: follower.shown == 1)


def test_a_save_during_a_build_is_built_next(root, quick):
    saved = threading.Event()

    def slow() -> bool:
        if not saved.is_set():
            (root / "index.md").write_text("saved while building")
            saved.set()
        return True

    with Follower(root, slow) as follower:
        (root / "index.md").write_text("first")
        assert eventually(lambda: follower.builds == 2)


def test_only_what_the_book_is_made_from_is_watched(root):
    for name in ("book/a.md", "compute/b.py", "references.bib", "data/models.toml"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    for name in ("book/.a.md.swp", "book/a.md~", "compute/__pycache__/b.pyc", "_build/html/index.html", "README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    assert set(serve.snapshot(root)) == {"index.md", "book/a.md", "compute/b.py", "references.bib", "data/models.toml"}


def test_publishing_copies_what_changed_and_drops_what_is_gone(tmp_path):
    built, served = tmp_path / "built", tmp_path / "served"
    (built / "deep").mkdir(parents=True)
    (built / "index.html").write_text("1")
    (built / "deep/page.html").write_text("2")
    assert serve.publish(built, served) == 2
    assert serve.publish(built, served) == 0
    (built / "index.html").write_text("longer")
    (built / "deep/page.html").unlink()
    assert serve.publish(built, served) == 2
    assert (served / "index.html").read_text() == "longer" and not (served / "deep/page.html").exists()
    assert not list(served.rglob("*.partial"))


def test_a_page_is_whole_whenever_it_is_read(tmp_path):
    built, served = tmp_path / "built", tmp_path / "served"
    built.mkdir()
    texts = {letter * 200_000 for letter in "ab"}
    (built / "page.html").write_text("a" * 200_000)
    serve.publish(built, served)
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add((served / "page.html").read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        (built / "page.html").write_text("ab"[number % 2] * 200_000)
        serve.publish(built, served)
    stop.set()
    reader.join()
    assert seen <= texts


def test_a_taken_port_is_passed_over():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert serve.free_port(port) != port
