"""What services should hold reaches people: by REST, the client and the loop that looks hourly."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from api.wiring import Application, profile_desk
from engine.model.dispatches import Deployment
from engine.model.identifiers import (
    ClusterName,
    Digest,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.records import DEPLOYMENTS, SERVICE_SIZES, Put
from engine.model.sizing import ServiceSize
from engine.store import begin_term

NAME = PipelineName("churn")


@pytest.fixture
def sized(application: Application) -> Application:
    """A service that was sized an hour and a half ago."""
    size = ServiceSize(
        pipeline=NAME,
        task=TaskName("serve"),
        at=application.parts.clock.now() - 5_400.0,
        cluster=ClusterName("eu"),
        pool=PoolName("nodes"),
        note="3 hours were measured; it takes 8",
    )
    gone = ServiceSize(
        pipeline=PipelineName("gone"),
        task=TaskName("serve"),
        at=0.0,
        cluster=ClusterName("eu"),
        pool=PoolName("nodes"),
    )
    serving = Deployment(
        pipeline=NAME, task=TaskName("serve"), run_id=RunId("r-1"), wanted=Digest("sha256:1")
    )
    application.parts.ledger.commit(
        "test",
        [Put(SERVICE_SIZES, size), Put(SERVICE_SIZES, gone), Put(DEPLOYMENTS, serving)],
    )
    return application


def test_only_services_that_run_are_told(sized: Application, http: TestClient) -> None:
    (told,) = http.get("/v1/sizes").json()
    assert (told["pipeline"], told["note"]) == ("churn", "3 hours were measured; it takes 8")
    assert sized.sizes()[0].pipeline == NAME


def test_services_are_looked_at_once_an_hour(
    sized: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    class Looks:
        def step(self) -> bool:
            looks.append(1.0)
            return True

    monkeypatch.setattr(profile_desk, "_sizing", lambda *_: Looks())
    term = begin_term(sized.parts.ledger, sized.parts.clock, "test")
    step = profile_desk.hourly(sized.parts, term)
    assert not step()
    assert not step()
    assert len(looks) == 1
