"""A TCP proxy whose network can fail: cut without a word, or refuse."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator


class Proxy:
    """Passes connections from `port` on to `target`, of this machine, from threads of its own."""

    def __init__(self, port: int, target: int):
        self.port, self._target = port, target
        self._passes = threading.Event()
        self._passes.set()
        self._refuses = False
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """As a pulled cable: what is sent arrives when the time is over."""
        self._passes.clear()
        time.sleep(seconds)
        self._passes.set()

    def refuse(self, seconds: float) -> None:
        """As a router that restarts: every connection is reset, and new ones too."""
        self._refuses = True
        for connection in list(self._sockets):
            _close(connection)
        time.sleep(seconds)
        self._refuses = False

    def close(self) -> None:
        self._listener.close()
        self._passes.set()
        for connection in list(self._sockets):
            _close(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = None if self._refuses else socket.create_connection(("127.0.0.1", self._target), 10)
            except OSError:
                server = None
            if server is None:
                _close(client)
                continue
            server.settimeout(None)
            for pair in ((client, server), (server, client)):
                self._sockets.add(pair[0])
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                self._passes.wait()
                sink.sendall(content)
        for connection in (source, sink):
            _close(connection)
            self._sockets.discard(connection)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def proxy(port: int, target: int) -> Iterator[Proxy]:
    running = Proxy(port, target)
    try:
        yield running
    finally:
        running.close()
