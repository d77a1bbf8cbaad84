"""What running services should hold, as people read it."""

from __future__ import annotations

import dataclasses

import pytest

from api.report import sizes
from engine.model.identifiers import ClusterName, PipelineName, PoolName, TaskName
from engine.model.profiles import Quantiles
from engine.model.resources import Resource
from engine.model.sizing import ServiceSize, SizedAmount


@pytest.fixture
def size() -> ServiceSize:
    memory = SizedAmount(
        resource=Resource.MEMORY,
        held=4.0,
        wanted=1.5,
        used_most=1.2,
        changes=True,
        method="like hours",
        allowed=0.01,
        short=0.008,
        held_over_used=1.3,
        hours=40,
        services=3,
        why="what it spares in 24 h repays a restart",
    )
    return ServiceSize(
        pipeline=PipelineName("churn"),
        task=TaskName("serve"),
        at=0.0,
        cluster=ClusterName("eu"),
        pool=PoolName("nodes"),
        amounts=(memory,),
        ahead=(Quantiles.constant(0.5), Quantiles.constant(2.0)),
    )


def test_a_size_says_what_speaks_for_it(size: ServiceSize) -> None:
    said = " ".join(sizes.size_text(size).split())
    assert "churn/serve memory 4 GiB 1.2 GiB 1.5 GiB yes like hours 0.8 %" in said
    assert "what it spares in 24 h repays a restart; learned from 40 of its hours" in said
    assert "Requests of the next 2 h keep 2.00 cores busy in the busiest hour" in said


def test_changes_are_named_where_there_are_any(size: ServiceSize) -> None:
    told = "churn should hold 1.5 GiB of memory in place of 4: berth profile churn/serve"
    assert sizes.change_lines(size) == [told]
    stays = dataclasses.replace(size.amounts[0], changes=False)
    assert sizes.change_lines(dataclasses.replace(size, amounts=(stays,))) == []
    assert sizes.changes_in_words(None) == ""


def test_too_little_known_is_said(size: ServiceSize) -> None:
    young = dataclasses.replace(size, amounts=(), note="3 hours were measured; it takes 8")
    said = sizes.size_text(young)
    assert (
        said == "What churn/serve should hold is not known yet: 3 hours were measured; it takes 8."
    )
    assert sizes.sizes_text([young]) == ""
