"""Trainings outside pipelines, asked of an engine over HTTP.

The methods are those of `api.wiring.training_desk.TrainingDesk`.
"""

from __future__ import annotations

from api.client.transport import Transport
from api.messages.training import Damaged, Difference, Listing
from executors.training.tracking.trainings import Recorded


class RemoteTrainings:
    """The trainings of one engine. May be used from several threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def newest(self, limit: int = 100) -> tuple[Recorded, ...]:
        """Return the newest trainings outside pipelines, with their records."""
        return self._listing(limit).trainings

    def damaged(self) -> tuple[Damaged, ...]:
        """Return those whose records cannot be read."""
        return self._listing(1).damaged

    def _listing(self, limit: int) -> Listing:
        return self._transport.value(Listing, "GET", "/v1/trainings", query={"limit": limit})

    def one(self, name: str) -> Recorded:
        """Return a training outside a pipeline, with its record."""
        return self._transport.value(Recorded, "GET", f"/v1/trainings/{name}")

    def compare(self, first: str, second: str) -> tuple[Difference, ...]:
        """Return all metrics of two runs or trainings, and what else differs."""
        query = {"first": first, "second": second}
        return self._transport.value(tuple[Difference, ...], "GET", "/v1/compare", query=query)
