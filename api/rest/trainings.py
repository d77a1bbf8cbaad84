"""Routes about trainings outside pipelines, and about what differs between two."""

from __future__ import annotations

from typing import Annotated

import fastapi
from starlette.responses import Response

from api.messages.training import Difference, Listing
from api.rest import answering
from executors.training.tracking.trainings import Recorded

router = answering.router("trainings")


@router.get("/v1/trainings", response_model=Listing)
def newest(
    application: answering.Served, limit: Annotated[int, fastapi.Query(ge=1, le=1_000)] = 100
) -> Response:
    """Return the newest trainings that `berth train`, `tune` and `compress` recorded by hand.

    What is wrong with those that cannot be read is told under `damaged`.
    """
    found = application.trainings
    return answering.value(Listing(trainings=found.newest(limit), damaged=found.damaged()))


@router.get("/v1/trainings/{name}", response_model=Recorded)
def one(application: answering.Served, name: str) -> Response:
    """Return one of them with its record: data, code, parameters, environment, metrics."""
    return answering.value(application.trainings.one(name))


@router.get("/v1/compare", response_model=list[Difference])
def compare(application: answering.Served, first: str, second: str) -> Response:
    """Return all metrics of two runs or trainings, and what else differs between them."""
    return answering.values(application.trainings.compare(first, second))
