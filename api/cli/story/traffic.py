"""The callers of the served model: held-out records replayed at a steady rate, labels later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from api.cli.story.gate import WAIT_SECONDS
from api.cli.story.workspace import Record

LABEL_DELAY_SECONDS = 0.5
LABELS_AT_ONCE = 10
TIMEOUT_SECONDS = WAIT_SECONDS + 10.0
"""A request waits at the gateway while its model is moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the callers saw since the last reset. longest_seconds: of a request's answer."""

    sent: int = 0
    failed: int = 0
    right: int = 0
    last_failure: str = ""
    last_failed: bool = False
    longest_seconds: float = 0.0

    @property
    def quality(self) -> float:
        """Share of right answers among those that came; 0 before the first."""
        answered = self.sent - self.failed
        return self.right / answered if answered else 0.0


class Traffic:
    """Replays records against the served model, in a thread of its own.

    base: URL below which the model answers.
    change: applied to each record before it is sent; replaced while running to change units.
    """

    def __init__(
        self,
        records: Sequence[Record],
        labels: Sequence[int],
        base: str,
        *,
        model: str,
        requests_per_second: float,
    ) -> None:
        self.change: Callable[[Record], Record] = dict
        self._truth: Callable[[Record, int], int] = lambda _record, label: label
        self._records = list(zip(records, labels, strict=True))
        self._base = base
        self._model = model
        self._pause = 1.0 / requests_per_second
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._tally = Tally()
        self._late: list[tuple[float, str, int]] = []
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._thread = threading.Thread(target=self._replay, name="traffic", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more and wait for the last answer."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10.0)
        self._http.close()

    def relabel(self, truth: Callable[[Record, int], int]) -> None:
        """Let what is true of a record change: `truth` makes of it and its label another label."""
        self._truth = truth

    def reset(self) -> Tally:
        """Return what was counted since the last reset, and count from zero."""
        with self._lock:
            tally, self._tally = self._tally, Tally()
        return tally

    def tally(self) -> Tally:
        """Return what was counted since the last reset."""
        with self._lock:
            return self._tally

    def _replay(self) -> None:
        due = time.monotonic()
        number = 0
        while not self._stopping.is_set():
            record, label = self._records[number % len(self._records)]
            number += 1
            self._send(f"q-{number}", self.change(record), self._truth(record, label))
            self._send_labels()
            due = max(due + self._pause, time.monotonic() - 1.0)
            self._stopping.wait(max(0.0, due - time.monotonic()))

    def _send(self, request: str, record: Record, label: int) -> None:
        body = {
            "id": request,
            "inputs": [
                {"name": name, "shape": [1, 1], "datatype": "FP32", "data": [value]}
                for name, value in record.items()
            ],
        }
        began = time.monotonic()
        try:
            answer = self._http.post(f"{self._base}/v2/models/{self._model}/infer", json=body)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self._count(time.monotonic() - began, failure=repr(error))
            return
        outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
        self._count(time.monotonic() - began, right=int(outputs["label"][0]) == label)
        self._late.append((time.monotonic() + LABEL_DELAY_SECONDS, request, label))

    def _send_labels(self) -> None:
        now = time.monotonic()
        if len(self._late) < LABELS_AT_ONCE or self._late[LABELS_AT_ONCE - 1][0] > now:
            return
        ready = [entry for entry in self._late if entry[0] <= now]
        self._late = self._late[len(ready) :]
        labels = [{"id": request, "label": label} for _, request, label in ready]
        try:
            self._http.post(f"{self._base}/v2/models/{self._model}/labels", json=labels)
        except httpx.HTTPError:
            # Labels are late by nature; those of a server that went away are lost with it.
            self._late = []

    def _count(self, seconds: float, *, right: bool = False, failure: str = "") -> None:
        with self._lock:
            old = self._tally
            self._tally = Tally(
                sent=old.sent + 1,
                failed=old.failed + bool(failure),
                right=old.right + right,
                last_failure=failure or old.last_failure,
                last_failed=bool(failure),
                longest_seconds=max(old.longest_seconds, seconds),
            )
