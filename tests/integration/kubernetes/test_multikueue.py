"""Berth as MultiKueue's dispatcher: three real control planes with Kueue's own controllers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from engine.model.dispatches import AttemptState, Reason
from engine.model.identifiers import AttemptId
from tests.support.clusters import fixtures, multikueue, programs
from tests.support.clusters.multikueue import Trio
from tests.support.local_cluster import LASTS, WRITES

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    if not (os.environ.get("CI") or os.environ.get("BERTH_TEST_MULTIKUEUE")):
        # Three control planes at once are much to ask of a machine that somebody works at.
        pytest.skip("not run: neither CI nor BERTH_TEST_MULTIKUEUE is set")
    fixtures.available()
    made = Trio(tmp_path_factory.mktemp("multikueue"))
    made.open(tmp_path_factory.mktemp("home"))
    yield made
    made.close()


def started(trio: Trio, program: str, attempt: str, cluster: str) -> AttemptId:
    assert trio.executor is not None
    trio.executor.start(trio.order(program, AttemptId(attempt), cluster))
    return AttemptId(attempt)


@pytest.mark.parametrize("cluster", multikueue.WORKERS)
def test_an_attempt_runs_on_the_cluster_that_was_planned(trio: Trio, cluster: str) -> None:
    attempt = started(trio, WRITES, f"r-1.{cluster}.1", cluster)
    ended = trio.wait(attempt, lambda seen: seen.state.is_terminal)
    assert (ended.state, ended.message) == (AttemptState.SUCCEEDED, "")
    assert ended.artifact is not None
    assert trio.ran_on(attempt) == [cluster]


def test_a_stopped_attempt_is_taken_back_everywhere(trio: Trio) -> None:
    attempt = started(trio, LASTS, "r-1.stopped.1", "east")
    trio.wait(attempt, lambda seen: seen.started_at is not None)
    assert trio.executor is not None
    trio.executor.stop(attempt)
    ended = trio.wait(attempt, lambda seen: seen.state.is_terminal)
    assert ended.state is AttemptState.STOPPED
    assert attempt not in trio.jobs("east")


def test_a_lost_worker_ends_the_attempt_and_its_copy_goes_when_it_is_back(trio: Trio) -> None:
    attempt = started(trio, LASTS, "r-1.lost.1", "west")
    trio.wait(attempt, lambda seen: seen.started_at is not None)
    trio.planes["west"].kill_server()
    ended = trio.wait(attempt, lambda seen: seen.state.is_terminal)
    assert (ended.state, ended.reason) == (AttemptState.FAILED, Reason.NODE_LOST)
    after = started(trio, WRITES, "r-1.lost.2", "east")
    assert trio.wait(after, lambda seen: seen.state.is_terminal).state is AttemptState.SUCCEEDED
    trio.planes["west"].start(["kube-apiserver"])
    programs.wait_until(lambda: attempt not in trio.jobs("west"), "the removal of the copy")
    assert (trio.ran_on(attempt), trio.ran_on(after)) == (["west"], ["east"])
