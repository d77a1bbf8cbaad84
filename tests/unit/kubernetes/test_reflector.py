"""The cache that stays true, against a server that is played."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from engine.model.errors import RefusedError, UnreachableError
from executors.kubernetes import reflector
from executors.kubernetes.api import Document, GoneError, SilentError
from executors.kubernetes.gate import Gate
from executors.kubernetes.reflector import Reflector


def item(name: str, version: int, **content: object) -> Document:
    return {"metadata": {"namespace": "ml", "name": name, "resourceVersion": version}, **content}


class Response:
    """An open watch that ends when it is shut."""

    def __init__(self) -> None:
        self.shut = threading.Event()

    def shutdown(self) -> None:
        self.shut.set()

    def close(self) -> None:
        self.shut.set()


class Server:
    """Plays an API server: what is listed, and what each watch does, in turn."""

    name = "east"

    def __init__(self) -> None:
        self.gate = Gate("east")
        self.items: list[Document] = []
        self.version = 10
        self.watches: list[Callable[[Response], Iterator[Document]]] = []
        self.queries: list[Mapping[str, object]] = []
        self.pages: list[Mapping[str, object]] = []
        self.gone_pages = 0

    def call(self, _method: str, _path: str, **how: object) -> Document:
        self.gate.enter()
        query: Mapping[str, Any] = how["query"]  # type: ignore[assignment]
        self.pages.append(dict(query))
        if "continue" in query and self.gone_pages:
            self.gone_pages -= 1
            raise GoneError("the token is too old")
        start = int(query.get("continue", 0))
        limit = int(query["limit"])
        metadata: Document = {"resourceVersion": str(self.version)}
        if start + limit < len(self.items):
            metadata["continue"] = str(start + limit)
        return {"metadata": metadata, "items": self.items[start : start + limit]}

    def watch(
        self, _path: str, query: Mapping[str, object], _seconds: float
    ) -> tuple[Response, Iterator[Document]]:
        self.queries.append(dict(query))
        response = Response()
        if not self.watches:
            return response, _silent(response)
        return response, self.watches.pop(0)(response)


def _silent(response: Response) -> Iterator[Document]:
    response.shut.wait(90.0)
    yield from ()


def tells(
    *events: Document, then: Exception | None = None
) -> Callable[[Response], Iterator[Document]]:
    def watch(_response: Response) -> Iterator[Document]:
        yield from events
        if then is not None:
            raise then

    return watch


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(reflector, "PAGE", 2)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def cache(server: Server) -> Iterator[Reflector]:
    made = Reflector(server, "/pods", lambda found: found, chance=random.Random(1))
    yield made
    made.stop(60.0)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def names(cache: Reflector) -> set[str]:
    return {each["metadata"]["name"] for each in cache.objects()}


def test_everything_is_listed_page_by_page(server: Server, cache: Reflector) -> None:
    server.items = [item(f"p{number}", number) for number in range(5)]
    cache.list_once()
    assert names(cache) == {"p0", "p1", "p2", "p3", "p4"}
    assert len(server.pages) == 3


def test_a_watch_goes_on_from_the_list_and_asks_for_bookmarks(
    server: Server, cache: Reflector
) -> None:
    server.items = [item("a", 1)]
    server.watches = [
        tells(
            {"type": "ADDED", "object": item("b", 11)},
            {"type": "DELETED", "object": item("a", 12)},
            {"type": "BOOKMARK", "object": item("", 40)},
        )
    ]
    cache.start()
    until(lambda: len(server.queries) == 2)
    assert names(cache) == {"b"}
    assert server.queries[0]["resourceVersion"] == "10"
    assert server.queries[0]["allowWatchBookmarks"] == "true"
    assert server.queries[1]["resourceVersion"] == "40"
    assert cache.lists == 1


def test_what_went_while_nobody_watched_is_seen_to_be_gone(
    server: Server, cache: Reflector
) -> None:
    server.items = [item("a", 1), item("b", 2)]
    server.watches = [tells(then=GoneError("too old"))]
    server_items = server.items
    cache.list_once()
    server.items = server_items[1:]
    cache.start()
    until(lambda: cache.lists == 2)
    assert names(cache) == {"b"}


def test_a_broken_watch_goes_on_where_it_was_without_a_list(
    server: Server, cache: Reflector
) -> None:
    added = {"type": "ADDED", "object": item("b", 11)}
    server.watches = [tells(added, then=UnreachableError("silent for 75 s"))]
    cache.start()
    until(lambda: len(server.queries) == 2)
    assert server.queries[1]["resourceVersion"] == "11"
    assert cache.lists == 1


def test_a_quiet_cluster_is_watched_without_a_pause(
    server: Server, cache: Reflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "_FIRST_PAUSE_SECONDS", 60.0)
    server.watches = [tells(then=SilentError("silent")) for _ in range(5)]
    cache.start()
    until(lambda: len(server.queries) == 6)
    assert cache.lists == 1


def test_pages_that_grew_too_old_are_read_anew(server: Server, cache: Reflector) -> None:
    server.items = [item(f"p{number}", number) for number in range(3)]
    server.gone_pages = 2
    cache.start()
    assert cache.wait_synced(60.0)
    assert names(cache) == {"p0", "p1", "p2"}


def test_a_server_that_ends_every_watch_is_not_flooded(
    server: Server, cache: Reflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    class Noted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return super().wait(0.0)

    monkeypatch.setattr(reflector, "_FIRST_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(cache, "_stopped", Noted())
    server.watches = [tells() for _ in range(10)]
    cache.start()
    until(lambda: len(server.queries) == 11)
    assert len(pauses) == 10
    assert all(0.1 <= pause <= 0.2 for pause in pauses)


def test_a_watch_that_lasted_before_it_broke_is_opened_anew_soon(cache: Reflector) -> None:
    failures = 0
    for _ in range(6):
        failures = cache._failures(failures, 50.0)
    assert failures == 1
    assert cache._failures(6, 0.1) == 7


def test_what_the_gate_is_shut_for_is_paced_by_the_gate_alone(
    server: Server, cache: Reflector
) -> None:
    server.gate.failed("no route", retry_after_seconds=3_600.0)
    assert cache._failures(5, 0.1) == 0
    cache.start()
    time.sleep(0.2)
    assert not server.pages
    server.gate.succeeded()
    assert cache.wait_synced(60.0)


def test_what_a_write_returned_does_not_replace_what_is_newer(
    server: Server, cache: Reflector
) -> None:
    server.items = [item("a", 5)]
    cache.list_once()
    cache.put(item("a", 3))
    cache.put(item("b", 6))
    found = cache.get("ml", "a")
    assert found is not None
    assert found["metadata"]["resourceVersion"] == 5
    assert names(cache) == {"a", "b"}


def test_a_watch_that_is_opened_while_it_is_told_to_stop_is_not_read(
    server: Server, cache: Reflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = Response()

    def late(*_: object) -> tuple[Response, Iterator[Document]]:
        cache.stop()  # which finds no response to shut
        return response, tells(then=AssertionError("it is read"))(response)

    monkeypatch.setattr(server, "watch", late)
    cache._watch()
    assert response.shut.is_set()


def test_it_ends_when_it_is_told_to(server: Server, cache: Reflector) -> None:
    others = set(threading.enumerate())
    cache.start()
    until(lambda: len(server.queries) == 1)
    cache.stop(60.0)
    started = set(threading.enumerate()) - others
    assert not any("reflector east" in thread.name for thread in started)


def test_a_change_of_what_is_not_kept_counts_as_none(server: Server) -> None:
    cache = Reflector(server, "/nodes", lambda found: {"ready": found["ready"]})
    server.items = [item("a", 1, ready=True)]
    server.watches = [
        tells(
            {"type": "MODIFIED", "object": item("a", 11, ready=True)},
            {"type": "MODIFIED", "object": item("a", 12, ready=False)},
        )
    ]
    cache.start()
    until(lambda: cache.objects() == [{"ready": False}])
    cache.stop()
    assert cache.changes == 2


def test_what_may_not_be_read_is_not_asked_for_again_soon(
    server: Server, cache: Reflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> Document:
        raise RefusedError("pods is forbidden")

    monkeypatch.setattr(server, "call", refuses)
    cache.start()
    until(lambda: bool(cache.refusal))
    cache.stop(60.0)
    assert "forbidden" in cache.refusal
    assert not cache.is_synced
