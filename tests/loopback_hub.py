"""A hub on the loopback: serves byte ranges as the real one does, counts what it sends, and fails as it is told to."""

import json
import re
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Asked:
    """One request as it arrived, and what was sent for it."""

    path: str
    range: str | None
    token: str | None
    sent: int = 0  # bytes of body


@dataclass
class Reply:
    """What is sent; a fault edits it."""

    status: int
    headers: dict[str, str | None]
    body: bytes
    cut: int | None = None  # the line breaks after that many bytes of the body
    wait: Callable[[], None] | None = None  # called before anything is sent
    pause: float = 0.0  # seconds before each byte of the body


@dataclass
class LoopbackHub:
    """Serves `files` {file name: bytes} of one model below /org/name/resolve/<any revision>/."""

    model: str
    files: dict[str, bytes]
    fault: Callable[[Asked, Reply], None] = lambda asked, reply: None
    revisions: tuple[str, ...] | None = None  # those that exist; all where None
    log: list[Asked] = field(default_factory=list)

    def __enter__(self) -> "LoopbackHub":
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub._answer(self)

            def log_message(self, *words):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request, client_address):
                pass  # a client that hung up is what some tests are about

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def sent(self, name: str) -> int:
        """Bytes that were sent of one file."""
        return sum(asked.sent for asked in self.log if asked.path.endswith("/" + name))

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = Asked(request.path, request.headers.get("Range"), request.headers.get("Authorization"))
        self.log.append(asked)
        reply = self._reply(asked)
        self.fault(asked, reply)
        if reply.wait:
            reply.wait()
        request.send_response(reply.status)
        for name, value in reply.headers.items():
            if value is not None:
                request.send_header(name, value)
        request.end_headers()
        body = reply.body[: reply.cut]
        for piece in [bytes([byte]) for byte in body] if reply.pause else [body]:
            time.sleep(reply.pause)
            request.wfile.write(piece)
            asked.sent += len(piece)

    def _reply(self, asked: Asked) -> Reply:
        match = re.fullmatch(rf"/{re.escape(self.model)}/resolve/([^/]+)/([^/]+)", asked.path)
        known = match and (self.revisions is None or match[1] in self.revisions)
        if not known or match[2] not in self.files:
            return Reply(404, {"X-Error-Code": "EntryNotFound", "Content-Length": "0"}, b"")
        whole = self.files[match[2]]
        headers = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{len(whole)}-{match[2]}"',
            "Content-Type": "application/octet-stream",
        }
        if asked.range is None:
            return Reply(200, headers | {"Content-Length": str(len(whole))}, whole)
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", asked.range).groups())
        if first >= len(whole):
            return Reply(416, headers | {"Content-Length": "0"}, b"")
        last = min(last, len(whole) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(whole)}"
        headers["Content-Length"] = str(last + 1 - first)
        return Reply(206, headers, whole[first : last + 1])


def safetensors(tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> bytes:
    """A safetensors file, written from the format's description: {name: (dtype, shape, bytes)}."""
    header, body = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body
