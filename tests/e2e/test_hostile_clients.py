"""Clients that are slow, many, or not quite HTTP, by sockets against a server process."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import Server, StartServer
from tests.unit.images.pictures import plain, saved

SECONDS = 1.5
"""For a request to arrive, and for a client to take a part of the answer."""
CONNECTIONS = 20
PATIENCE = 30.0


@pytest.fixture(scope="module")
def server(module_servers: StartServer) -> Server:
    """Without workers: nothing here draws."""
    limits = ("--receive-seconds", str(SECONDS), "--send-seconds", str(SECONDS))
    started = module_servers(
        "--workers",
        "0",
        *limits,
        "--max-connections",
        str(CONNECTIONS),
        "--max-upload-bytes",
        "3000000",
        ready=False,
    )
    started.wait_until(lambda: started.client.get("/healthz").status_code == 200, "answering")
    return started


@pytest.fixture
def connection(server: Server) -> Iterator[socket.socket]:
    with connected(server) as opened:
        yield opened


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    """Until the server closes the connection, which it must."""
    told = b""
    try:
        while data := connection.recv(65536):
            told += data
    except ConnectionResetError:
        pass
    return told


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def dripped(connection: socket.socket, data: bytes) -> float:
    """How many seconds the server lets a client send one byte after the other."""
    began = time.monotonic()
    for byte in data:
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            break
        connection.settimeout(0.1)
        try:
            if not connection.recv(65536, socket.MSG_PEEK):
                break
            break
        except TimeoutError:
            continue
        except ConnectionResetError:
            break
    connection.settimeout(PATIENCE)
    return time.monotonic() - began


def test_a_head_that_never_ends_is_cut_off(server: Server, connection: socket.socket) -> None:
    endless = head("GET", "/models")[:-2] + b"X-Padding: " + b"a" * 10_000
    assert dripped(connection, endless) < PATIENCE
    assert read_all(connection) == b""


def test_a_connection_that_says_nothing_is_closed(connection: socket.socket) -> None:
    assert read_all(connection) == b""


def test_a_second_head_that_never_ends_is_cut_off_too(server: Server, connection: socket.socket) -> None:
    connection.sendall(head("GET", "/healthz"))
    assert status(connection.recv(65536)) == 200
    assert dripped(connection, head("GET", "/models")[:-2] + b"X-Padding: " + b"a" * 10_000) < PATIENCE


@pytest.mark.parametrize("path", ["/generate", "/images", "/models", "/nowhere"])
@pytest.mark.parametrize("framing", ["Content-Length: 900000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_cut_off(
    server: Server, connection: socket.socket, path: str, framing: str
) -> None:
    connection.sendall(head("POST", path, "Content-Type: application/json", framing))
    chunk = b"1\r\n \r\n" if "chunked" in framing else b" "
    assert dripped(connection, chunk * 3000) < PATIENCE
    answer = read_all(connection)
    assert status(answer) == 408
    assert b"request-too-slow" in answer


def test_a_body_that_is_refused_does_not_keep_the_connection(
    server: Server, connection: socket.socket
) -> None:
    connection.sendall(head("POST", "/generate", "Origin: https://evil.test", "Content-Length: 900000"))
    answer = read_all(connection)
    assert status(answer) == 403


def test_a_body_without_end_is_refused(server: Server, connection: socket.socket) -> None:
    connection.sendall(head("POST", "/jobs", "Transfer-Encoding: chunked"))
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    try:
        for _ in range(1000):
            connection.sendall(chunk)
    except OSError:
        pass
    answer = read_all(connection)
    assert answer == b"" or status(answer) == 413


def test_who_takes_no_answer_is_cut_off(server: Server) -> None:
    """A picture that no buffer of the system holds."""
    noise = saved(plain(900, 900), "PNG", compress_level=0)
    url = server.client.post("/images", content=noise).json()["url"]
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(PATIENCE)
        deaf.connect(("127.0.0.1", server.port))
        deaf.sendall(head("GET", url) * 10)
        time.sleep(2 * SECONDS)
        assert len(read_all(deaf)) < 10 * len(noise)


def test_too_many_connections_get_503_and_the_server_recovers(server: Server) -> None:
    with ExitStack() as opened:
        many = [opened.enter_context(connected(server)) for _ in range(CONNECTIONS + 5)]
        for one in many:
            one.sendall(head("GET", "/models"))
        assert 503 in {status(one.recv(65536)) for one in many}
    server.wait_until(lambda: server.client.get("/models").status_code == 200, "answering again")


def test_listeners_stay_as_long_as_they_read(server: Server) -> None:
    job = server.submit()
    lines: list[str] = []
    with server.client.stream("GET", f"/jobs/{job}/events") as answer:
        began = time.monotonic()
        for line in answer.iter_lines():
            lines.append(line)
            if time.monotonic() - began > 2 * SECONDS:
                break
            if line.startswith("event: queue"):
                threading.Timer(3 * SECONDS, server.client.delete, [f"/jobs/{job}"]).start()
    assert time.monotonic() - began > 2 * SECONDS
    assert "event: state" in lines


SMUGGLED = b"GET /system HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "Content-Length: 50"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding:\x0bchunked",),
        ("Content-Length: +5",),
        ("Content-Length: 0x5",),
        ("Content-Length: " + "9" * 5000,),
        ("Content-Length : 5",),
        ("X: a\r\n Content-Length: 5",),
        ("Host: evil.test",),
        ("X: a\x00b",),
        ("X\x00: a",),
        ("X: a\nY: b\rZ: c",),
    ],
    ids=lambda lines: lines[0][:30],
)
def test_what_proxies_read_in_two_ways_is_refused_or_one_request(
    server: Server, connection: socket.socket, lines: tuple[str, ...]
) -> None:
    """Never is a part of a body taken for a second request."""
    connection.sendall(head("POST", "/healthz", *lines, "Connection: close") + b"0\r\n\r\n" + SMUGGLED)
    answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status(answer) in (400, 403, 405, 413, 501)
    assert b'"workers"' not in answer


@pytest.mark.parametrize(
    ("request_line", "statuses"),
    [
        ("GET http://evil.test/healthz HTTP/1.1", {404, 200, 400}),
        ("GET /models\x00 HTTP/1.1", {400}),
        ("GET", {400}),
        ("\x16\x03\x01\x02\x00", {400}),
    ],
    ids=lambda value: str(value)[:24],
)
def test_odd_request_lines_are_answered(
    connection: socket.socket, request_line: str, statuses: set[int]
) -> None:
    connection.sendall(f"{request_line}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert status(read_all(connection)) in statuses


def test_five_hundred_headers_are_read(connection: socket.socket) -> None:
    many = [f"X-{number}: {'a' * 20}" for number in range(500)]
    connection.sendall(head("GET", "/healthz", *many, "Connection: close"))
    assert status(read_all(connection)) == 200


@pytest.mark.parametrize("endless", ["GET /", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ", "GET /?"])
def test_a_head_of_megabytes_is_refused(server: Server, connection: socket.socket, endless: str) -> None:
    connection.sendall(endless.encode())
    sent = 0
    try:
        for _ in range(100):
            connection.sendall(b"a" * 100_000)
            sent += 1
    except OSError:
        pass
    assert sent < 100
    answer = read_all(connection)
    assert answer == b"" or status(answer) == 400


def test_one_line_a_record_whatever_was_sent(server: Server) -> None:
    """Names of hosts, paths and bodies that would forge records or command a terminal."""
    forged = "x\\r\\n2026-11-26 12:00:00,000 ERROR   ecurie: all is lost \x1b[2J"
    server.client.get("/models", headers={"host": "evil\x1b[2J.test"})
    server.client.get("/jobs/%0d%0a2026-11-26%2012:00:00,000%20ERROR%20lost%1b%5b2J")
    server.client.post("/generate", content=json.dumps({"prompt": forged, "model": forged}))
    with connected(server) as opened:
        opened.sendall(b"\x1b[2J\x00\r\n\r\n")
        read_all(opened)
    for line in server.log.splitlines():
        assert line.isprintable()
        assert "lost" not in line
        assert not re.match(r"INFO|WARNING|ERROR", line), "uvicorn's own form"
