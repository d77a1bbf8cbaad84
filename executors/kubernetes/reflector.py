"""A cache of one kind of object that stays true: paged list, then watch, then list again.

What the client libraries leave out stands here. A list is held against what was known, so that
deletions missed meanwhile are noticed; a watch asks for bookmarks and is given up when nothing
comes, so that a dead connection is noticed; failures are answered by patience that grows, so that
a server in trouble is not flooded. Only what is read of an object is kept. The pattern is that of
client-go's reflector (Kubernetes, `tools/cache/reflector.go`), written anew.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping

import urllib3

from engine.model.errors import BerthError, RefusedError
from executors.kubernetes.api import Api, Document, GoneError, SilentError

_LOG = logging.getLogger(__name__)
PAGE = 500
INACTIVITY_SECONDS = 50.0
"""A watch that is silent for so long is opened anew where it was: its connection may be dead.

Bookmarks come about once a minute, so that a quiet cluster costs a request more now and then.
"""
_WATCH_SECONDS = (300, 600)
_FIRST_PAUSE_SECONDS = 0.8
_LAST_PAUSE_SECONDS = 30.0
_DOUBLINGS = 6
_OBJECTS_MAX = 1_000_000
_REFUSED_SECONDS = 60.0

Key = tuple[str, str]
"""Namespace and name."""


class Reflector:
    """Keeps objects of one path in memory, in a thread of its own.

    path: of the list; selector: label selector; fields: field selector. keep: what is read of an
    object.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        keep: Callable[[Document], Document],
        *,
        selector: str = "",
        fields: str = "",
        inactivity_seconds: float = INACTIVITY_SECONDS,
        chance: random.Random | None = None,
    ) -> None:
        self._api = api
        self._path = path
        self._keep = keep
        wanted = {"labelSelector": selector, "fieldSelector": fields}
        self._selector = {key: value for key, value in wanted.items() if value}
        self._inactivity_seconds = inactivity_seconds
        self._chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        self._lock = threading.Lock()
        self._objects: dict[Key, Document] = {}
        self._version = ""
        self._synced = threading.Event()
        self._told = threading.Event()
        self._stopped = threading.Event()
        self._response: urllib3.BaseHTTPResponse | None = None
        self._thread: threading.Thread | None = None
        self._refusal = ""
        self.contact_at = 0.0
        """Monotonic instant at which the server last said anything."""
        self.changes = 0
        """How many changes were seen."""
        self.lists = 0
        """How often everything was listed."""

    def start(self) -> None:
        """Begin to watch, once."""
        if self._thread is None:
            name = f"reflector {self._api.name} {self._path}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        """End the watch; its thread is gone when this returns, unless the server hangs."""
        self._stopped.set()
        response = self._response
        if response is not None:
            _shut(response)
        if self._thread is not None:
            self._thread.join(seconds)

    def wait_synced(self, seconds: float) -> bool:
        """Return whether everything was listed once, waiting for it at most so long."""
        return self._synced.wait(seconds)

    def wait_told(self, seconds: float) -> None:
        """Wait until everything was listed once, or the server refused it; at most so long."""
        self._told.wait(seconds)

    @property
    def is_synced(self) -> bool:
        """Whether everything was listed once."""
        return self._synced.is_set()

    def objects(self) -> list[Document]:
        """Return what is known now."""
        with self._lock:
            return list(self._objects.values())

    def get(self, namespace: str, name: str) -> Document | None:
        """Return one object, or None."""
        with self._lock:
            return self._objects.get((namespace, name))

    def put(self, item: Document) -> None:
        """Take in an object that a write returned, unless something newer is known."""
        kept = self._keep(item)
        with self._lock:
            self._objects.setdefault(key_of(item), kept)

    @property
    def refusal(self) -> str:
        """Why the server does not let this be read; "" when it does."""
        return self._refusal

    # ------------------------------------------------------------------ watching

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                if not self._version:
                    self.list_once()
                self._refusal = ""
                self._watch()
                failures = 0
            except SilentError:
                # The server took the watch, so it is well; a dead connection shows when the next
                # one is opened. Pausing here would miss what happens on a quiet cluster.
                failures = 0
                continue
            except RefusedError as error:
                # Rights do not come by asking often.
                self._refusal = error.message
                self._told.set()
                self._stopped.wait(_REFUSED_SECONDS)
                continue
            except (BerthError, ValueError, KeyError) as error:
                _LOG.info("%s of %s: %s", self._path, self._api.name, error)
                if isinstance(error, GoneError):
                    self._version = ""
                failures = self._failures(failures, time.monotonic() - began)
            self._rest(failures)

    def _failures(self, before: int, lasted_seconds: float) -> int:
        """Return how many failures in a row there were, one more than before or a first one.

        What the gate is shut for is not counted: it alone says how long the cluster is left alone.
        A watch that lasted did not fail for what failed before.
        """
        if self._api.gate.trouble:
            return 0
        return 1 if lasted_seconds > _LAST_PAUSE_SECONDS else before + 1

    def _rest(self, failures: int) -> None:
        """Wait before the next request, and as long as the gate is shut."""
        self._stopped.wait(self._pause_seconds(failures))
        while (shut := self._api.gate.wait_seconds()) and not self._stopped.is_set():
            # In short waits: it may open early, when somebody else's request was answered.
            self._stopped.wait(min(shut, _FIRST_PAUSE_SECONDS))

    def _pause_seconds(self, failures: int) -> float:
        """Return how long to wait: a little even after success, since servers may close at once."""
        doubled = _FIRST_PAUSE_SECONDS * 2.0 ** min(max(failures - 1, 0), _DOUBLINGS)
        longest = min(doubled, _LAST_PAUSE_SECONDS)
        return self._chance.uniform(0.5, 1.0) * (longest if failures else _FIRST_PAUSE_SECONDS)

    def list_once(self) -> None:
        """Read everything, page by page, and take in how it differs from what was known.

        Raises:
            GoneError: when the pages grew too old while they were read.
        """
        found: dict[Key, Document] = {}
        query: dict[str, object] = {**self._selector, "limit": PAGE}
        while True:
            page = self._api.call("GET", self._path, query=query, seconds=60.0)
            for item in page.get("items") or ():
                found[key_of(item)] = self._keep(item)
            self.contact_at = time.monotonic()
            token = page["metadata"].get("continue", "")
            if not token or len(found) >= _OBJECTS_MAX or self._stopped.is_set():
                break
            query["continue"] = token
        with self._lock:
            before = self._objects
            self._objects = found
            self.changes += sum(before.get(key) != item for key, item in found.items())
            self.changes += len(before.keys() - found.keys())
        self._version = str(page["metadata"]["resourceVersion"])
        self.lists += 1
        self._synced.set()
        self._told.set()

    def _watch(self) -> None:
        """Take in events until the server ends the watch."""
        query: Mapping[str, object] = {
            **self._selector,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": self._chance.randint(*_WATCH_SECONDS),
        }
        response, events = self._api.watch(self._path, query, self._inactivity_seconds)
        self._response = response
        self.contact_at = time.monotonic()
        try:
            if self._stopped.is_set():
                return  # told to stop while the watch was opened: nobody shuts its response
            for event in events:
                self._take_in(event)
                if self._stopped.is_set():
                    break
        finally:
            self._response = None
            response.close()

    def _take_in(self, event: Document) -> None:
        item: Document = event["object"]
        self.contact_at = time.monotonic()
        self._version = str(item["metadata"]["resourceVersion"])
        if event["type"] == "BOOKMARK":
            return
        key, kept = key_of(item), None if event["type"] == "DELETED" else self._keep(item)
        with self._lock:
            # A change of what is not kept, such as a heartbeat, is none.
            self.changes += self._objects.get(key) != kept
            if kept is None:
                self._objects.pop(key, None)
            else:
                self._objects[key] = kept


def key_of(item: Document) -> Key:
    """Return namespace and name of an object."""
    metadata: Document = item["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])


def _shut(response: urllib3.BaseHTTPResponse) -> None:
    """Wake up a thread that reads from a response."""
    try:
        response.shutdown()
    except (OSError, ValueError, AttributeError, RuntimeError) as error:
        _LOG.debug("the watch had ended: %s", error)
