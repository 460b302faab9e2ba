"""HTTP by byte ranges: parts of a large remote file, each checked, asked for again where the line breaks."""

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

T = TypeVar("T")
HOPS = 5  # redirects followed
AGAIN = (408, 425, 429, 500, 502, 503, 504)  # states of a server that may pass
CHUNK = 1 << 16  # bytes read at a time


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for."""

    timeout: float = 30.0  # seconds without an answer, or over which the pace is measured
    pace: float = 1024.0  # bytes a second; slower counts as a broken line
    attempts: int = 6  # tries of one request
    pause: float = 0.5  # seconds before the second try; doubled before each further one
    longest_pause: float = 30.0  # seconds


@dataclass(frozen=True)
class Facts:
    """What the answers tell of a remote file; None where they do not."""

    length: int | None  # bytes of the whole file
    etag: str | None  # the hub's own, where it gives one, else that of whoever sent the bytes
    commit: str | None

    def check_same(self, later: "Facts", where: str) -> None:
        """Raises ValueError where a later answer tells of another file."""
        for what in ("length", "etag", "commit"):
            first, now = getattr(self, what), getattr(later, what)
            if first is not None and now is not None and first != now:
                raise ValueError(
                    f"{where} changed while it was being fetched: its {what} was {first} and is now {now}. "
                    "Run again to fetch it as it is now"
                )


class Interrupted(ConnectionError):
    """A request that may do better at the next try, `pause` seconds later if the server asked for that."""

    def __init__(self, reason: str, pause: float = 0.0):
        super().__init__(reason)
        self.pause = pause


class Server:
    """One server that is asked for files; its token goes to its own address and to no other."""

    def __init__(self, base: str, token: str | None = None, patience: Patience | None = None):
        if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).hostname:
            raise ValueError(f"{base!r} is not an address of the form https://host")
        if token is not None and not re.fullmatch(r"[!-~]+", token):
            raise ValueError("the token holds spaces or control characters; check HF_TOKEN")
        self.base = base.rstrip("/")
        self.patience = patience or Patience()
        self.met = False  # whether it has answered at all
        self._token = token
        # Only these handlers: no file:, no ftp:, and redirects and errors come back to be looked at.
        self._opener = urllib.request.OpenerDirector()
        for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
            self._opener.add_handler(handler())

    def whole(self, url: str, limit: int) -> tuple[bytes, Facts]:
        """Fetches a file of at most `limit` bytes; raises as `part` does, ValueError where it is longer."""

        def once() -> tuple[bytes, Facts]:
            response, facts = self._open(url, {})
            with response:
                if response.status != 200:
                    raise ValueError(f"{url}: status {response.status}, where 200 was expected")
                declared = _count(response.headers.get("Content-Length"))
                if declared is not None and declared > limit:
                    raise ValueError(f"{url} has {declared:,} bytes; no more than {limit:,} were expected")
                got = bytearray()
                self._read(response, limit + 1, got)
            if len(got) > limit:
                raise ValueError(f"{url} has more than the {limit:,} bytes that were expected")
            if declared is not None and len(got) < declared:
                raise Interrupted(f"the line broke after {len(got):,} of {declared:,} bytes")
            return bytes(got), facts

        return self._persist(url, once)

    def part(self, url: str, start: int, stop: int, known: Facts | None = None) -> tuple[bytes, Facts]:
        """Fetches bytes start..stop-1; after a break only what has not arrived is asked for again.

        Raises ConnectionError where the line breaks too often, FileNotFoundError (404), PermissionError
        (401, 403), and ValueError where the server ignores ranges or sends others, or where the file is not
        the `known` one.
        """
        got = bytearray()
        seen = [] if known is None else [known]

        def once() -> Facts:
            first = start + len(got)
            response, facts = self._open(url, {"Range": f"bytes={first}-{stop - 1}"})
            with response:
                facts = _check_range(response, facts, first, stop, url)
                (seen[0] if seen else facts).check_same(facts, url)
                seen.append(facts)
                self._read(response, stop - start + 1, got)
            if len(got) > stop - start:
                raise ValueError(f"{url}: more bytes came than the {stop - first:,} asked for")
            if len(got) < stop - start:
                raise Interrupted(f"the line broke after {len(got):,} of {stop - start:,} bytes")
            return facts

        facts = self._persist(url, once)
        return bytes(got), facts

    def _persist(self, url: str, once: Callable[[], T]) -> T:
        """Tries `once` until it succeeds, a bounded number of times, with longer and longer pauses."""
        trial = 0
        while True:
            try:
                return once()
            except Interrupted as broken:
                trial += 1
                # A server never met is more likely out of reach than out of breath.
                if trial >= (self.patience.attempts if self.met else min(2, self.patience.attempts)):
                    raise ConnectionError(f"{url}: gave up after {trial} tries: {broken}") from None
                pause = max(self.patience.pause * 2 ** (trial - 1), broken.pause)
            time.sleep(min(pause, self.patience.longest_pause))

    def _open(self, url: str, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, Facts]:
        """Asks for `url`, through redirects; returns the answer, of status 2xx, and what all hops tell."""
        headers = {"User-Agent": "azimuth", "Accept-Encoding": "identity", **headers}
        commit = linked = None
        at = url
        for _ in range(HOPS + 1):
            request = urllib.request.Request(at, headers=headers)
            if self._token and _origin(at) == _origin(self.base):
                request.add_header("Authorization", f"Bearer {self._token}")
            try:
                response = self._opener.open(request, timeout=self.patience.timeout)
            except (OSError, http.client.HTTPException) as error:
                raise Interrupted(_reason(error)) from None
            self.met = True
            commit = commit or response.headers.get("X-Repo-Commit")
            linked = linked or response.headers.get("X-Linked-Etag")
            if response.status not in (301, 302, 303, 307, 308):
                if not 200 <= response.status < 300:
                    with response:
                        _refuse(response, url)
                _check_kind(response, url)
                etag = linked or response.headers.get("ETag")
                return response, Facts(None, etag and etag.removeprefix("W/").strip('"'), commit)
            with response:
                at = _next(at, response.headers.get("Location"), url)
        raise ValueError(f"{url}: more than {HOPS} redirects")

    def _read(self, response: http.client.HTTPResponse, most: int, got: bytearray) -> None:
        """Appends the answer's bytes to `got`, up to a length of `most`; too slow a line counts as broken."""
        since, before = time.monotonic(), len(got)
        while len(got) < most:
            try:
                chunk = response.read1(min(CHUNK, most - len(got)))
            except (OSError, http.client.HTTPException) as error:
                raise Interrupted(_reason(error)) from None
            if not chunk:
                return
            got += chunk
            passed = time.monotonic() - since
            if passed > self.patience.timeout:
                if len(got) - before < self.patience.pace * passed:
                    raise Interrupted(f"{len(got) - before:,} bytes in {passed:.0f} s")
                since, before = time.monotonic(), len(got)


def _check_range(
    response: http.client.HTTPResponse, facts: Facts, first: int, stop: int, url: str
) -> Facts:
    """Returns the facts with the file's length; ValueError unless the answer is the range asked for."""
    if response.status != 206:
        raise ValueError(
            f"{url}: the server ignores byte ranges (status {response.status} where 206 was due), and a "
            "whole file is not read for one tensor: set HF_ENDPOINT to a server that speaks ranges, or "
            "download the model by other means and give its folder"
        )
    told = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", told.strip())
    if match is None or (int(match[1]), int(match[2])) != (first, stop - 1) or int(match[3]) < stop:
        raise ValueError(f"{url}: bytes {first}-{stop - 1} were asked for, Content-Range is {told[:80]!r}")
    declared = _count(response.headers.get("Content-Length"))
    if declared is not None and declared != stop - first:
        raise ValueError(f"{url}: {stop - first:,} bytes were asked for, Content-Length is {declared:,}")
    return Facts(int(match[3]), facts.etag, facts.commit)


def _refuse(response: http.client.HTTPResponse, url: str) -> None:
    """Raises what an answer that is not 2xx means."""
    status = response.status
    said = response.headers.get("X-Error-Message") or response.headers.get("X-Error-Code") or response.reason
    said = "".join(c if c.isprintable() else "?" for c in said[:200])
    if status in AGAIN:
        raise Interrupted(f"status {status} ({said})", _count(response.headers.get("Retry-After")) or 0)
    if status in (401, 403):
        raise PermissionError(
            f"{url}: status {status} ({said}). The model is gated or private, or there is none of that name: "
            "accept its terms on its page, and set HF_TOKEN to a token that may read it"
        )
    if status in (404, 410):
        raise FileNotFoundError(f"{url}: status {status} ({said}): no such model, revision or file")
    raise ValueError(f"{url}: status {status} ({said})")


def _check_kind(response: http.client.HTTPResponse, url: str) -> None:
    """Raises ValueError for an answer that is a web page, or packed."""
    kind = response.headers.get_content_type()
    if kind == "text/html":
        raise ValueError(f"{url}: a web page came where a file was expected; a login page, perhaps")
    packed = response.headers.get("Content-Encoding", "identity")
    if packed != "identity":
        raise ValueError(f"{url}: the bytes came packed as {packed[:20]!r}, which was not asked for")


def _next(at: str, location: str | None, url: str) -> str:
    """Returns the address that a redirect leads to; ValueError where it leads nowhere or out of TLS."""
    target = urljoin(at, location or "")
    allowed = ("https",) if urlsplit(at).scheme == "https" else ("http", "https")
    if not location or urlsplit(target).scheme not in allowed:
        raise ValueError(f"{url}: redirected to {str(location)[:80]!r}, which is not followed")
    return target


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,18}", text.strip()) else None


def _reason(error: OSError | http.client.HTTPException) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason) or type(reason).__name__
