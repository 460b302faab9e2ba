"""What a stage of work costs, watched from outside: seconds, memory of this process and its workers, bytes on the wire.

Memory is the resident set, sampled; pages of mapped files count in it, though the system may take them back. Bytes on
the wire are those of the scheduler's connections, both ways, by the kernel's own counters (Linux).
"""

import os
import socket
import struct
import threading
import time

import psutil

PAUSE = 0.1  # seconds between two looks
ACKED, RECEIVED, TCP_INFO_BYTES = 120, 128, 232  # offsets in struct tcp_info, <linux/tcp.h>


class Watch:
    """A context that measures what happens within it; with the port of a scheduler in this process, its traffic too."""

    def __init__(self, port: int | None = None):
        self.port, self.seconds, self.here, self.worker = port, 0.0, 0, 0
        self._before, self._wire, self._over = {}, {}, threading.Event()

    @property
    def traffic(self) -> int:
        """Bytes to and from the scheduler."""
        return sum(count - self._before.get(peer, 0) for peer, count in self._wire.items())

    def __enter__(self) -> "Watch":
        self._look()
        self._before = dict(self._wire)
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)
        self._thread.start()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_) -> None:
        self.seconds = time.perf_counter() - self._start
        self._over.set()
        self._thread.join()
        self._look()

    def _keep_looking(self) -> None:
        while not self._over.wait(PAUSE):
            self._look()

    def _look(self) -> None:
        me = psutil.Process()
        self.here = max(self.here, me.memory_info().rss)
        for child in me.children(recursive=True):
            try:
                self.worker = max(self.worker, child.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
        if self.port:
            for connection in me.net_connections("tcp4"):
                if connection.raddr and connection.laddr.port == self.port and connection.fd >= 0:
                    try:
                        self._wire[connection.raddr.port] = _bytes_of(connection.fd)
                    except OSError:  # closed since the list was made
                        continue


def _bytes_of(handle: int) -> int:
    """Bytes that a connection has carried both ways, as far as the other side has acknowledged them."""
    with socket.socket(fileno=os.dup(handle)) as line:
        known = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    return struct.unpack_from("<Q", known, ACKED)[0] + struct.unpack_from("<Q", known, RECEIVED)[0]
