"""Where a remedy may put the next attempt: pools beside the planned one, in the same cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.dispatching import remedying
from engine.model.fleet import Fleet
from engine.model.identifiers import PoolName
from engine.model.plans import Assignment
from engine.model.remedies import Configuration
from engine.model.specs import Affinity, TaskSpec, Wishes
from engine.testing import samples
from tests.unit.dispatching.test_rules import ETL, assigned, attempt


def fleet(**changed: object) -> Fleet:
    """One cluster with the usual pool and a larger one, changed as said, and a cluster beside."""
    (cluster,) = samples.fleet("a").clusters
    (usual,) = cluster.pools
    shape = replace(usual.shape, machine="large", memory_gib=64.0)
    larger = replace(usual, name=PoolName("large"), shape=shape, **changed)
    return Fleet(clusters=(replace(cluster, pools=(usual, larger)), *samples.fleet("b").clusters))


def near(clusters: Fleet, task: TaskSpec = ETL) -> list[str]:
    place: Assignment = assigned(samples.fleet("a"))
    return [found.pool for found in remedying.places(task, place, attempt(), clusters)]


def test_the_pool_of_the_attempt_comes_first_then_those_beside_it() -> None:
    assert near(fleet()) == [samples.POOL, "large"]


@pytest.mark.parametrize(
    "changed", [{"taints": ("gpu",)}, {"node_count": 0}, {"interruptions_per_hour": 0.1}]
)
def test_pools_that_the_task_may_not_use_are_left_out(changed: dict[str, object]) -> None:
    stays = replace(ETL, interruptible=False)
    assert near(fleet(**changed), stays) == [samples.POOL]


def test_a_gpu_model_that_was_asked_for_is_kept() -> None:
    assert near(fleet(), replace(ETL, wishes=Wishes(gpu_model="A100"))) == [samples.POOL]


def test_a_task_that_stands_beside_others_stays() -> None:
    assert near(fleet(), replace(ETL, beside=(Affinity(),))) == [samples.POOL]


def test_a_remedy_moves_the_task_unless_its_place_is_gone_or_the_plan_moved_it() -> None:
    place = assigned(samples.fleet("a"))
    changed = Configuration(cluster="a", pool="large")
    moved = remedying.placed(place, changed, fleet())
    assert moved is not None
    assert (moved.pool, moved.machine) == ("large", "large")
    assert remedying.placed(place, changed, samples.fleet("a")) == place
    assert remedying.placed(place, replace(changed, cluster="b"), fleet()) == place
    assert remedying.placed(place, Configuration(), fleet()) == place
    assert remedying.placed(None, changed, fleet()) is None
