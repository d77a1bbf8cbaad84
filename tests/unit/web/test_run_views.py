"""Runs, tasks, attempts, deployments and clusters as pages show them."""

import dataclasses

from api.web import cells
from api.web.views import clusters, runs
from engine.model import dispatches, plans, records
from engine.model.identifiers import ClusterName, PipelineName, PoolName, TaskName
from engine.model.profiles import Quantiles
from engine.model.resources import Resource
from engine.model.sizing import ServiceSize, SizedAmount

AT = 1_790_000_000.0
NOTHING = "\u2013"


def test_a_retraining_links_to_its_super_alarm(run: dispatches.Run) -> None:
    assert runs.why(run).href == "/alarms/SA-1"


def test_a_submitted_run_tells_its_reason(run: dispatches.Run) -> None:
    failed = dataclasses.replace(run, cause=dispatches.RunCause.SUBMITTED, reason="etl failed")
    assert runs.why(failed) == cells.Cell("submitted", note="etl failed")


def test_a_run_in_progress_takes_until_now(run: dispatches.Run) -> None:
    (row,) = runs.run_list([run], AT + 90).rows
    assert [row[number].text for number in (0, 1, 6)] == ["r-1", "active", "1 min 30 s"]


def test_what_people_look_for_comes_first_among_outputs(
    task: dispatches.TaskRun, run: dispatches.Run
) -> None:
    (row,) = runs.task_list([task], run, AT + 8).rows
    assert row[7].text == "quality 0.81, passed yes, rows 2,030, digest sha256:0123456789ab"


def test_a_task_links_to_why_it_runs_there(task: dispatches.TaskRun, run: dispatches.Run) -> None:
    (row,) = runs.task_list([task], run, AT + 8).rows
    assert row[0].href == "/plans/p-aaaaaaaa#why-heart-etl"


def test_a_bar_shows_when_a_task_ran(task: dispatches.TaskRun, run: dispatches.Run) -> None:
    ended = dataclasses.replace(run, ended_at=AT + 10)
    (row,) = runs.task_list([task], ended, AT + 99).rows
    assert row[3].bar == cells.Bar(10.0, 20.0)


def test_a_task_that_runs_took_until_now(task: dispatches.TaskRun, run: dispatches.Run) -> None:
    going = dataclasses.replace(task, state=dispatches.TaskState.RUNNING, ended_at=None)
    (row,) = runs.task_list([going], run, AT + 11).rows
    assert row[5].text == "10 s"


def test_a_task_that_waits_says_for_what(task: dispatches.TaskRun, run: dispatches.Run) -> None:
    waiting = dataclasses.replace(
        task,
        state=dispatches.TaskState.WAITING,
        reason=dispatches.Reason.UPSTREAM,
        waiting_for=("knn", "svm"),
        started_at=None,
        ended_at=None,
        attempt=0,
        cluster=None,
    )
    (row,) = runs.task_list([waiting], run, AT + 8).rows
    assert [cell.text for cell in row[2:7]] == [NOTHING] * 5
    assert row[7] == cells.Cell("waits for upstream tasks", note="waits for knn, svm")


def test_a_task_that_made_nothing_says_nothing(
    task: dispatches.TaskRun, run: dispatches.Run
) -> None:
    (row,) = runs.task_list([dataclasses.replace(task, outputs={})], run, AT + 8).rows
    assert row[7].text == ""


def test_an_attempt_has_what_it_held_and_used(attempt: dispatches.Attempt) -> None:
    usage = dispatches.Usage(duration_seconds=2.0, cpu_seconds=1.0, memory_gib_peak=0.25)
    ended = dataclasses.replace(attempt, usage=usage, exit_code=0)
    (before,), (after,) = runs.attempt_list([attempt]).rows, runs.attempt_list([ended]).rows
    assert [cell.text for cell in before[4:]] == ["\u2013 of 512 MiB", *[NOTHING] * 4]
    assert [cell.text for cell in after[4:8]] == ["256 MiB of 512 MiB", "1.0 s", "2.0 s", "0"]


def test_a_deployment_that_lags_is_a_warning(deployment: dispatches.Deployment) -> None:
    late = dataclasses.replace(deployment, serving=None, endpoint="")
    well, ill = runs.deployments([deployment, late], {}, AT + 5).rows
    assert [well[n].text for n in (1, 2)] == ["serving", "sha256:0123456789ab"]
    assert (ill[1].tone, ill[2].text, ill[6].text) == (cells.Tone.WARN, NOTHING, NOTHING)


def test_a_service_says_what_it_should_hold_once_that_is_known(
    deployment: dispatches.Deployment,
) -> None:
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
    size = ServiceSize(
        pipeline=deployment.pipeline,
        task=TaskName("serve"),
        at=AT,
        cluster=ClusterName("eu"),
        pool=PoolName("nodes"),
        amounts=(memory,),
        ahead=(Quantiles.constant(0.5), Quantiles.constant(2.0)),
    )
    fits = dataclasses.replace(size, amounts=(dataclasses.replace(memory, changes=False),))
    known: tuple[dict[PipelineName, ServiceSize], ...] = (
        {},
        {deployment.pipeline: fits},
        {deployment.pipeline: size},
    )
    rows = [runs.deployments([deployment], sizes, AT + 5).rows[0] for sizes in known]
    assert [row[-1].text for row in rows] == [
        NOTHING,
        "as much as now",
        "1.5 GiB of memory in place of 4",
    ]


def test_a_digest_of_another_kind_is_kept_whole() -> None:
    assert runs.short("md5:abcdefabcdefabcdef") == "md5:abcdefabcdefabcdef"


def test_a_fleet_that_answers_is_well(plan: plans.Plan) -> None:
    told = clusters.headline(plan.request.fleet, {}, AT)
    assert told == cells.Cell("1 cluster, all of them answer", tone=cells.Tone.OK)


def test_a_cluster_that_is_silent_is_named_with_how_long(plan: plans.Plan) -> None:
    health = {"eu-1": records.ClusterHealth(cluster="eu-1", reachable=False, since=AT - 60)}
    told = clusters.headline(plan.request.fleet, health, AT)
    assert told.text == "1 of 1 cluster does not answer: eu-1 for 1 min"


def test_several_silent_clusters_are_all_named(plan: plans.Plan) -> None:
    (one,) = plan.request.fleet.clusters
    silent = [dataclasses.replace(one, name=name, reachable=False) for name in ("a", "b")]
    fleet = dataclasses.replace(plan.request.fleet, clusters=tuple(silent))
    assert clusters.headline(fleet, {}, AT).text == "2 of 2 clusters do not answer: a, b"
    assert clusters.pools(fleet, {}, []).rows[0][1].tone == cells.Tone.BAD


def test_a_pool_says_what_is_held_and_by_whom(
    plan: plans.Plan, attempt: dispatches.Attempt
) -> None:
    (row,) = clusters.pools(plan.request.fleet, {}, [attempt, attempt]).rows
    assert [row[n].text for n in (0, 1, 2, 3)] == [
        "eu-1/cpu",
        "answers",
        "2 of 4 cores",
        "1 of 16 GiB",
    ]
    assert row[4] == cells.Cell("r-1.etl.1", href="/runs/r-1", note="and 1 more")


def test_an_empty_pool_and_its_gpus(plan: plans.Plan) -> None:
    (cluster,) = plan.request.fleet.clusters
    shape = dataclasses.replace(cluster.pools[0].shape, gpu_count=8, gpu_model="A100")
    pool = dataclasses.replace(cluster.pools[0], shape=shape)
    fleet = dataclasses.replace(
        plan.request.fleet, clusters=(dataclasses.replace(cluster, pools=(pool,)),)
    )
    (row,) = clusters.pools(fleet, {}, []).rows
    assert (row[4].text, row[6].note) == (NOTHING, "8 \N{MULTIPLICATION SIGN} A100")
