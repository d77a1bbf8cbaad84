"""Requests whose head came before are answered as the first was, however they arrive."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from executors.serving.v2.heads import HEADS_MAX, Heads
from tests.unit.serving.client import ROW, Client

HEADERS = {"content-length": "9"}


def asked(row: list[float], more: str = "") -> bytes:
    tensor = {"name": "features", "shape": [1, 4], "datatype": "FP64", "data": row}
    body = json.dumps({"inputs": [tensor]}).encode()
    length = f"Content-Length: {len(body)}\r\n"
    return f"POST /v2/models/iris/infer HTTP/1.1\r\n{length}{more}\r\n".encode() + body


def answers(connection: socket.socket, count: int) -> list[int]:
    """Read some answers; returns the labels."""
    data = b""
    labels: list[int] = []
    while len(labels) < count:
        data += connection.recv(65536)
        while b"\r\n\r\n" in data:
            head, rest = data.split(b"\r\n\r\n", 1)
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            if len(rest) < length:
                break
            labels.append(json.loads(rest[:length])["outputs"][0]["data"][0])
            data = rest[length:]
    return labels


@pytest.fixture
def connection(client: Client) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as found:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield found


def test_another_body_behind_the_same_head_is_another_answer(connection: socket.socket) -> None:
    for row, label in ((ROW, 0), ([6.7, 3.0, 5.2, 2.3], 2), (ROW, 0)):
        connection.sendall(asked(row))
        assert answers(connection, 1) == [label]


@pytest.mark.parametrize("place", [1, -120, -40, -1])
def test_a_request_may_come_in_two_parts(connection: socket.socket, place: int) -> None:
    sent = asked(ROW)
    for _ in range(3):
        connection.sendall(sent[:place])
        time.sleep(0.01)
        connection.sendall(sent[place:])
        assert answers(connection, 1) == [0]


def test_requests_sent_at_once_get_the_first_answer_and_an_end(connection: socket.socket) -> None:
    connection.sendall(asked(ROW))
    answers(connection, 1)
    connection.sendall(asked(ROW) * 2)
    assert answers(connection, 1) == [0]
    assert connection.recv(100) == b""


def test_a_head_and_a_part_of_the_next_request(connection: socket.socket) -> None:
    sent = asked(ROW)
    connection.sendall(sent)
    answers(connection, 1)
    connection.sendall(sent[:-5])
    time.sleep(0.01)
    connection.sendall(sent[-5:] + sent[:30])
    assert answers(connection, 1) == [0]


def test_other_requests_on_the_connection_take_their_own_way(connection: socket.socket) -> None:
    for _ in range(2):
        connection.sendall(asked(ROW))
        assert answers(connection, 1) == [0]
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while not data.endswith(b"true}"):
            data += connection.recv(65536)


def test_a_connection_that_is_to_close_is_closed(connection: socket.socket) -> None:
    connection.sendall(asked(ROW, "Connection: close\r\n"))
    assert answers(connection, 1) == [0]
    assert connection.recv(100) == b""


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"PUT / HTTP/1.1\r\n\r\n", HEADERS),
        (b"POST / HTTP/1.1\r\nX: \n\r\n\r\n", HEADERS),
        (b"POST / HTTP/1.1\r\n" + b"x" * 3000 + b"\r\n\r\n", HEADERS),
        (b"POST / HTTP/1.1\r\n\r\n", {}),
        (b"POST / HTTP/1.1\r\n\r\n", {"content-length": "101"}),
        (b"POST / HTTP/1.1\r\n\r\n", {**HEADERS, "authorization": "secret"}),
        (b"POST / HTTP/1.1\r\n\r\n", {**HEADERS, "transfer-encoding": "chunked"}),
    ],
)
def test_heads_that_need_the_parser_are_not_kept(data: bytes, headers: dict[str, str]) -> None:
    heads = Heads()
    heads.remember(data, ("iris", ""), headers, 100)
    assert not heads.known


def test_the_number_of_heads_is_bounded() -> None:
    heads = Heads()
    for number in range(HEADS_MAX + 1):
        heads.remember(b"POST /%d HTTP/1.1\r\n\r\n" % number, ("iris", ""), HEADERS, 100)
    assert len(heads.known) == 1
