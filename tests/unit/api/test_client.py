from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

import berth
from api.client import Client, discovery
from api.client.client import Because
from berth import Pipeline, etl, train
from engine.model.errors import (
    InfeasibleError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    WorldChangedError,
)
from tests.support.faces import AS_OF


def churn(**keys: object) -> Pipeline:
    return Pipeline(
        "churn",
        deadline="in 2 h",
        tasks=[etl(volume="12 KiB"), train(after="etl", model="knn", trials=2)],
        **keys,
    )


def test_a_plan_prints_as_its_table(client: Client) -> None:
    text = str(client.plan(churn(), as_of=AS_OF))
    assert text.startswith("churn: 2 tasks, deadline 10:00:00 UTC (in 2 h)")
    assert "berth apply p-" in text


def test_an_explanation_says_why_each_candidate_was_ruled_out(client: Client) -> None:
    why = client.plan(churn(regions=["eu"]), as_of=AS_OF).explain("train")
    assert why.because == (
        Because(candidate="far/large m16", binding="region", needs="eu", has="us-east-1", unit=""),
    )
    assert "far/large  m16" in str(why)


def test_alternatives_never_cost_less_than_the_plan(client: Client) -> None:
    why = client.plan(churn(), as_of=AS_OF).explain("churn/train")
    deltas = [verdict.delta_micro_dollars or 0 for verdict in why.alternatives]
    assert deltas == sorted(deltas)
    assert min(deltas) >= 0


def test_a_plan_may_have_a_budget_and_be_placed_whole(client: Client) -> None:
    plan = client.plan(churn(), mode="most-sla", whole=True, budget="3 USD", as_of=AS_OF).plan
    assert plan.request.whole
    assert plan.request.budget_micro_dollars == 3_000_000
    assert not plan.placement.unplaced


def test_a_plan_can_be_asked_what_if(client: Client) -> None:
    changed = client.plan(churn(), as_of=AS_OF).what_if("cluster:near=down")
    assert {a.cluster for a in changed.plan.placement.assignments} == {"far"}


def test_a_plan_can_be_swept(client: Client) -> None:
    plan = client.plan(churn(), as_of=AS_OF)
    swept = plan.sweep("deadline=in 1 h..in 2 h/1 h", "cluster:near=down")
    alone = plan.what_if("cluster:near=down", "deadline=in 2 h")
    assert swept.points[1].plan_id == alone.plan_id
    assert set(swept.points[0].moved) == {"churn/etl", "churn/train"}


def test_a_plan_can_be_compared(client: Client) -> None:
    plan = client.plan(churn(), as_of=AS_OF)
    changed = plan.what_if("cluster:near=down")
    assert len(changed.diff(plan).tasks) == 2
    assert plan.diff().old is None


def test_faults_come_back_with_their_paths(client: Client) -> None:
    with pytest.raises(InvalidInputError) as caught:
        client.plan(Pipeline("churn", tasks=[etl(volume="12 parsecs"), train(after="ghost")]))
    assert {fault.path for fault in caught.value.faults} == {
        "tasks.etl.volume",
        "tasks.train.after",
    }


def test_wishes_that_clash_come_back_with_relaxations(client: Client) -> None:
    with pytest.raises(InfeasibleError) as caught:
        client.plan(churn(budget="0.000001 USD per run"), as_of=AS_OF)
    assert caught.value.clashes
    assert all(clash.relaxation for clash in caught.value.clashes)


def test_an_unknown_task_is_not_found(client: Client) -> None:
    with pytest.raises(NotFoundError, match="it has etl, train"):
        client.plan(churn(), as_of=AS_OF).explain("ghost")


def test_a_plan_that_was_applied_is_not_applied_twice(client: Client) -> None:
    plan = client.plan(churn())
    first, second = plan.apply(), plan.apply()
    assert first.runs == second.runs
    assert (first.again, second.again) == (False, True)


def test_a_key_names_one_request(client: Client) -> None:
    plan, other = client.plan(churn()), client.plan(churn(), seed=9)
    run = plan.apply(key="mine").runs[0]
    client.engine.cancel(run.run_id)
    with pytest.raises(RefusedError, match="the key of this request was used for plan"):
        other.apply(key="mine")


def test_a_pipeline_that_runs_is_not_started_beside_itself(client: Client) -> None:
    client.plan(churn()).apply()
    with pytest.raises(RefusedError, match="running already: r-1"):
        client.plan(churn(), seed=9).apply()


def test_a_plan_is_refused_when_its_cluster_no_longer_answers(client: Client) -> None:
    plan = client.plan(churn())
    client.engine.switch_cluster(plan.plan.placement.assignments[0].cluster, up=False)
    with pytest.raises(WorldChangedError) as caught:
        plan.apply()
    assert "does not answer" in caught.value.changes[0]


def test_a_plan_is_refused_when_its_deadline_has_passed(client: Client) -> None:
    plan = client.plan(churn(), as_of=1_700_000_000.0)
    with pytest.raises(WorldChangedError) as caught:
        plan.apply()
    assert "the deadline of churn passed" in caught.value.changes[0]


def test_runs_are_seen_and_called_off(client: Client) -> None:
    run = client.plan(churn()).apply().runs[0]
    assert [item.run.run_id for item in client.status("churn")] == [run.run_id]
    assert client.engine.cancel(run.run_id).state.value == "cancelled"
    assert client.engine.runs()[0].state.value == "cancelled"


def test_other_answers_are_typed(client: Client) -> None:
    engine = client.engine
    assert [cluster.name for cluster in engine.fleet().clusters] == ["near", "far"]
    empty = (engine.actions(), engine.signals(), engine.deployments(), client.super_alarms())
    assert not any(empty)
    assert engine.health().version
    assert {"database", "solver"} <= {finding.name for finding in engine.examine()}


def test_nothing_that_listens_is_an_engine_that_does_not_run() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with Client(url) as client, pytest.raises(UnreachableError) as caught:
            client.status()
    assert caught.value.fix == "start it with `berth start`"
    assert caught.value.exit_code == 5


def test_without_an_engine_there_is_no_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BERTH_URL", raising=False)
    with pytest.raises(UnreachableError, match="engine is not running"):
        Client(home=tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "url": "u"}', "null"]
)
def test_an_address_that_cannot_be_read_is_no_engine(tmp_path: Path, content: str) -> None:
    (tmp_path / "engine.json").write_text(content)
    assert discovery.find_engine(tmp_path, {}) is None


def test_the_address_of_a_process_that_is_gone_is_no_engine(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / "engine.json").write_text(json.dumps({"pid": child, "url": "http://here"}))
    assert discovery.find_engine(tmp_path, {}) is None


def test_the_environment_wins_over_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text(json.dumps({"pid": os.getpid(), "url": "http://here"}))
    assert discovery.find_engine(tmp_path, {}) == "http://here"
    assert discovery.find_engine(tmp_path, {"BERTH_URL": "http://there"}) == "http://there"


def test_a_file_that_is_not_there_is_a_fault(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        client.plan(tmp_path / "ghost.yaml")


def test_a_mapping_is_planned_as_it_is(client: Client) -> None:
    mapping = {"pipeline": "tiny", "tasks": {"etl": {"kind": "etl", "volume": "1 MiB"}}}
    assert client.plan(mapping, as_of=AS_OF).plan.request.pipelines[0].name == "tiny"


def test_public_names_are_found_when_they_are_asked_for() -> None:
    assert {name for name in berth.__all__ if not hasattr(berth, name)} == set()
    with pytest.raises(AttributeError, match="'berth' has no attribute 'Ship'"):
        berth.Ship  # noqa: B018 - asking is the point
