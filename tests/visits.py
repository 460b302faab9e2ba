"""Pages of a built book, served on loopback and visited in a real browser that may ask no other host."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

AXE = files("axe_playwright_python")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

# Things that stick out to the right of the window and cannot be scrolled to inside a box of their own.
SPILLS = """() => [...document.querySelectorAll('main *')].filter(e => {
  const box = e.getBoundingClientRect();
  if (box.width === 0 || box.right <= innerWidth + 2) return false;
  for (let p = e.parentElement; p; p = p.parentElement)
    if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(p).overflowX)) return false;
  return true; }).map(e => e.outerHTML.slice(0, 120))"""


class Visit:
    """One page opened in the browser, and everything that went wrong there."""

    def __init__(self, browser, base: str, page: str, scheme: str = "light", size: dict = DESK):
        self.base, self.faults = base, []
        self.context = browser.new_context(color_scheme=scheme, viewport=size)
        self.page = self.context.new_page()
        self.page.route("**/*", self._gate)
        self.page.on("console", lambda m: self._note(m.type == "error", f"console: {m.text}"))
        self.page.on("pageerror", lambda error: self._note(True, f"script: {error}"))
        self.page.on("response", lambda r: self._note(r.status >= 400, f"{r.status}: {r.url}"))
        self.page.goto(base + page, wait_until="networkidle")

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_):
        self.context.close()

    def barriers(self) -> list[tuple]:
        """What axe finds serious or critical: (rule, where first)."""
        self.page.evaluate(AXE.joinpath("axe.min.js").read_text("utf-8"))
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [(v["id"], v["nodes"][0]["target"]) for v in found if v["impact"] in ("serious", "critical")]

    def _note(self, bad: bool, what: str) -> None:
        if bad:
            self.faults.append(what)

    def _gate(self, route) -> None:
        if route.request.url.startswith((self.base, "data:", "blob:")):
            route.continue_()
        else:
            self.faults.append(f"asked another host: {route.request.url}")
            route.abort()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address on loopback at which a folder is served meanwhile."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
