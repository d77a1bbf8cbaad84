"""The chart installed on a real node, with Berth's own image: engines that lead, run and follow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.client import Client
from engine.model.dispatches import AttemptState, Run, RunState
from engine.model.errors import BerthError
from tests.support.clusters import programs, real_node, release
from tests.support.clusters.release import NAMESPACE, TASKS, Release

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(2_400)]
WRITES = """
import json, os, pathlib
out = pathlib.Path(os.environ["BERTH_OUTPUTS"])
(out / "outputs.json").write_text(json.dumps({"rows": 3}))
"""
TIDE = {
    "pipeline": "tide",
    "tasks": {
        "etl": {
            "kind": "etl",
            "cpu": 0.2,
            "memory": "64 MiB",
            "command": ["python", "-c", WRITES],
        }
    },
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The release; its engines reach the API server by the accounts of their pods."""
    real_node.needed("helm")
    folder = tmp_path_factory.mktemp("release")
    cluster = real_node.start(folder / "real", None, service_accounts=True)
    try:
        with release.installed(cluster, folder) as found:
            yield found
    finally:
        real_node.stop(cluster)


def test_both_engines_are_ready_after_the_migration(made: Release) -> None:
    addresses = made.addresses()
    assert len(addresses) == 2
    for address in addresses:
        with Client(address) as client:
            assert client.engine.health().version


def test_an_engine_finds_the_cluster_it_runs_on_by_its_own_account(made: Release) -> None:
    with Client(made.addresses()[0]) as client:
        (cluster,) = client.engine.fleet().clusters
    assert (cluster.name, cluster.reachable) == ("here", True)
    assert [pool.node_count for pool in cluster.pools] == [1]


def test_settings_were_made_private_by_berth_itself(made: Release) -> None:
    """An engine does not start with a kubeconfig that others may read."""
    for pod in made.engines():
        (init,) = pod["status"]["initContainerStatuses"]
        assert init["state"]["terminated"]["exitCode"] == 0


def ended(made: Release, run_id: str) -> Run:
    """Wait for the end of a run, asking whichever engine answers."""
    found: list[Run] = []

    def is_over() -> bool:
        for address in made.addresses():
            try:
                with Client(address) as client:
                    found.append(client.engine.run(run_id))
            except BerthError:
                continue
            return found[-1].state is not RunState.ACTIVE
        return False

    programs.wait_until(is_over, f"the end of {run_id}", 300.0)
    return found[-1]


def submitted(made: Release) -> str:
    """Plan and apply the pipeline; return its run."""
    with Client(made.addresses()[0]) as client:
        return str(client.plan(TIDE).apply().runs[0].run_id)


def test_a_run_takes_place_in_the_namespace_of_tasks(made: Release) -> None:
    run_id = submitted(made)
    last = ended(made, run_id)
    assert last.state is RunState.SUCCEEDED, last.reason
    with Client(made.addresses()[0]) as client:
        (attempt,) = client.engine.attempts(run_id)
    assert (attempt.executor, attempt.state) == ("kubernetes", AttemptState.SUCCEEDED)
    jobs = made.api.call("GET", f"/apis/batch/v1/namespaces/{TASKS}/jobs")["items"]
    assert len(jobs) == 1


def test_when_an_engine_goes_another_leads_and_a_run_still_ends(made: Release) -> None:
    run_id = submitted(made)
    gone = str(made.engines()[0]["metadata"]["name"])
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{gone}"
    made.api.call("DELETE", path, body={"gracePeriodSeconds": 0})
    last = ended(made, run_id)
    assert last.state is RunState.SUCCEEDED, last.reason
    programs.wait_until(lambda: len(made.engines()) == 2, "the second engine", 180.0)
    assert gone not in {pod["metadata"]["name"] for pod in made.engines()}
