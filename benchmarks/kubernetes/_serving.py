"""Requests to the pods behind a Service, as kube-proxy would send them, and what came of each."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import frame
from engine.model.dispatches import Observation
from engine.model.errors import BerthError
from engine.model.identifiers import AttemptId
from executors.kubernetes.api import Api
from executors.kubernetes.executor import KubernetesExecutor
from executors.kubernetes.serving import PORT

PAUSE_SECONDS = 0.02
_LOOK_SECONDS = 0.1
_TIMEOUT_SECONDS = 10.0


@dataclass(slots=True)
class Tally:
    """What came of the requests of one phase: answers by model number, and failures in words."""

    answers: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many were sent."""
        return sum(self.answers.values()) + len(self.failures)


class Load:
    """Sends rows to ready pods in turn, a connection each, from threads of its own.

    Which pods are ready is read from the EndpointSlices of the Service, as often as a node's proxy
    learns of it; the addresses are those of the pods themselves.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        service: str,
        model: str,
        expected: dict[int, list[int]],
        rows: list[list[float]],
    ) -> None:
        self._api = api
        self._path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._query = {"labelSelector": f"kubernetes.io/service-name={service}"}
        self._url = f"/v2/models/{model}/infer"
        self._expected = expected
        tensor = {"name": "features", "shape": [len(rows), len(rows[0])], "datatype": "FP64"}
        data = [value for row in rows for value in row]
        self._body = json.dumps({"inputs": [{**tensor, "data": data}]})
        self.addresses: list[str] = []
        self.tally = Tally()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=each, daemon=True)
            for each in (self._look, self._send, self._send)
        ]

    def start(self) -> None:
        """Begin."""
        self._refresh()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def phase(self) -> Tally:
        """Begin a new phase; return its tally, which fills."""
        self.tally = Tally()
        return self.tally

    def _look(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            try:
                self._refresh()
            except BerthError:
                continue

    def _refresh(self) -> None:
        found = self._api.call("GET", self._path, query=self._query)["items"]
        self.addresses = sorted(
            address
            for each in found
            for endpoint in each.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
            for address in endpoint["addresses"]
        )

    def _send(self) -> None:
        number = 0
        while not self._stopped.wait(PAUSE_SECONDS):
            number += 1
            addresses, tally = self.addresses, self.tally
            if not addresses:
                tally.failures.append("no pod is ready")
                continue
            address = addresses[number % len(addresses)]
            try:
                tally.answers[self._ask(address)] += 1
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                tally.failures.append(f"{time.time():.2f} {address}: {error!r}")

    def _ask(self, address: str) -> int:
        """Return which model answered.

        Raises:
            OSError, HTTPException: when nobody did. ValueError: when the answer is of none.
        """
        connection = http.client.HTTPConnection(address, PORT, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("POST", self._url, self._body)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ValueError(f"{response.status}: {content[:200]!r}")
        return self.told(json.loads(content))

    def told(self, document: dict[str, Any]) -> int:
        """Return the number of the model that gave an answer.

        Raises:
            ValueError: when it is of none.
        """
        outputs = {each["name"]: each["data"] for each in document["outputs"]}
        for number, labels in self._expected.items():
            if outputs["label"] == labels:
                return number
        raise ValueError(f"an answer of no model: {outputs['label'][:5]}")


def until(
    executor: KubernetesExecutor,
    attempt: AttemptId,
    holds: Callable[[Observation], bool],
    *,
    limit_seconds: float,
) -> None:
    """Lets an executor look at an attempt again and again until something holds.

    Raises:
        BenchmarkError: when it does not in time.
    """
    end = time.monotonic() + limit_seconds
    while True:
        seen = [each for each in executor.observe() if each.attempt_id == attempt]
        if seen and holds(seen[0]):
            return
        if time.monotonic() > end:
            raise frame.BenchmarkError(f"it did not come within {limit_seconds:g} s: {seen}")
        time.sleep(_LOOK_SECONDS)
