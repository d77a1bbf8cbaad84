"""Profiles follow from the spec and from past runs, nearest and best tested first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from engine.model.fleet import Fleet
from engine.model.identifiers import MicroDollars, PipelineName, TaskName
from engine.model.profiles import Method, Profile, RunRecord, StorageKind
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, Scalar, Serving, TaskKind, TaskSpec, Wishes
from engine.testing import samples
from forecasting import TaskForecaster

FLEET = samples.fleet("a")


def task(kind: TaskKind = TaskKind.TRAIN, **fields: object) -> TaskSpec:
    return dataclasses.replace(TaskSpec(name=TaskName("knn"), kind=kind), **fields)


def run(
    seconds: float = 10.0,
    *,
    pipeline: str = "heart",
    memory: float = 0.5,
    at: float = 0.0,
    gpus: float = 0.0,
    **attributes: Scalar,
) -> RunRecord:
    return RunRecord(
        pipeline=PipelineName(pipeline),
        task=TaskName("knn"),
        kind=TaskKind.TRAIN,
        attributes=attributes,
        ended_at=at,
        duration_seconds=seconds,
        cpu_cores_mean=1.0,
        memory_gib_peak=memory,
        gpu_count=gpus,
        gpu_memory_gib_peak=10.0 * gpus,
    )


def profile(
    spec: TaskSpec, history: Sequence[RunRecord] = (), *others: TaskSpec, fleet: Fleet = FLEET
) -> Profile:
    pipeline = PipelineSpec(name=PipelineName("heart"), tasks=(*others, spec))
    return TaskForecaster().profile(pipeline, spec, fleet, history)


def median(made: Profile) -> float:
    assert made.duration_seconds is not None
    return made.duration_seconds.p50


def test_without_runs_the_preset_is_used_and_said() -> None:
    evidence = profile(task()).evidence
    assert (evidence.method, evidence.like_run_count) == (Method.PRESET, 0)
    assert (evidence.backtest_error, evidence.coverage_p95) == (None, None)


@pytest.mark.parametrize("kind", [TaskKind.ETL, TaskKind.FEATURES, TaskKind.TRAIN])
def test_larger_tables_take_longer(kind: TaskKind) -> None:
    small, large = (profile(task(kind, volume_gib=gib)) for gib in (0.001, 0.1))
    assert median(large) > median(small)


@pytest.mark.parametrize("family", ["knn", "tree", "forest", "svm", "boosting", "logistic", "new"])
def test_more_trials_take_longer(family: str) -> None:
    few, many = (profile(task(model=(family,), trials=count, rows=5_000)) for count in (1, 100))
    assert median(many) > median(few)


def test_size_is_taken_from_upstream() -> None:
    etl = TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL, rows=100_000)
    features = TaskSpec(name=TaskName("f"), kind=TaskKind.FEATURES, after=(etl.name,))
    train = task(after=(features.name, etl.name))
    assert median(profile(train, (), etl, features)) > median(profile(task(rows=100)))


def test_a_size_nobody_states_is_that_of_the_last_run() -> None:
    history = [run(rows=303, at=1.0), run(20.0, rows=900, at=2.0)]
    (nearest, *_) = profile(task(), history).evidence.like_runs
    assert (nearest.distance, nearest.duration_seconds) == (0.0, 20.0)


def test_rows_of_another_volume_are_not_taken_over() -> None:
    history = [run(rows=303, volume_gib=0.001)]
    (nearest, *_) = profile(task(volume_gib=10.0), history).evidence.like_runs
    assert nearest.distance > 1.0


def test_commands_of_others_say_nothing_about_what_berth_runs_itself() -> None:
    tiny = [run(0.1, pipeline="other", memory=0.01, command="true", at=n) for n in range(3)]
    assert profile(task(), tiny) == profile(task())
    built_in = [run(pipeline="other", at=float(n)) for n in range(3)]
    named = task(command=("true",))
    assert profile(named, built_in) == profile(named)


def test_the_same_command_of_another_pipeline_is_like_this_one_and_another_is_further() -> None:
    history = [run(pipeline="a", command="true"), run(pipeline="b", command="sleep 1")]
    told = profile(task(command=("true",)), history).evidence.like_runs
    assert [each.distance for each in told] == [0.25, 1.25]


def test_own_runs_speak_whatever_was_run() -> None:
    made = profile(task(command=("true",)), [run(100.0)])
    assert made.evidence.method is Method.OWN_RUNS


def test_one_own_run_is_believed_but_widely() -> None:
    made = profile(task(), [run(100.0)])
    assert made.evidence.method is Method.OWN_RUNS
    assert median(made) == pytest.approx(100.0)
    assert made.duration_seconds is not None
    assert made.duration_seconds.p95 > 120.0


def test_many_steady_own_runs_give_a_narrow_forecast_with_its_test() -> None:
    history = [run(100.0 + number % 3, at=float(number)) for number in range(40)]
    made = profile(task(), history)
    assert made.duration_seconds is not None
    assert made.duration_seconds.p95 < 104.0
    assert made.evidence.backtest_error is not None
    assert made.evidence.backtest_error < 0.02
    assert made.evidence.coverage_p95 is not None
    assert made.evidence.coverage_p95 >= 0.9


def test_runs_of_another_pipeline_speak_for_a_new_one() -> None:
    history = [run(50.0, pipeline="churn", at=float(number)) for number in range(6)]
    made = profile(task(), history)
    assert median(made) == pytest.approx(50.0, rel=0.1)
    assert made.evidence.method is not Method.OWN_RUNS
    assert made.evidence.like_runs[0].name == "churn/knn of 1970-01-01 00:00"
    assert made.evidence.like_runs[0].distance == 0.25


def test_runs_of_the_same_model_are_nearer() -> None:
    history = [
        run(9.0, pipeline="x", model="knn"),
        run(90.0, pipeline="y", model="svm"),
    ]
    nearest = profile(task(model=("knn",)), history).evidence.like_runs[0]
    assert nearest.duration_seconds == 9.0


def test_a_trend_over_sizes_is_continued() -> None:
    sizes = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]
    history = [run(rows / 10, pipeline=f"p{rows}", rows=rows, model="tree") for rows in sizes]
    made = profile(task(model=("tree",), rows=64_000), history)
    assert 3_000 < median(made) < 13_000


def test_memory_of_failed_runs_is_learned_from() -> None:
    history = [run(memory=0.4, at=float(n)) for n in range(5)]
    late = [run(memory=3.0, at=10.0 + n) for n in range(5)]
    killed = [dataclasses.replace(record, succeeded=False) for record in late]
    with_killed = profile(task(), history + killed).peak(Resource.MEMORY)
    assert with_killed > 2 * profile(task(), history).peak(Resource.MEMORY)


def test_fewer_cores_than_a_task_keeps_busy_slow_it_down() -> None:
    history = [run(100.0, at=float(number)) for number in range(10)]
    slow = profile(task(wishes=Wishes(cpu_cores=0.5)), history)
    assert median(slow) == pytest.approx(2 * median(profile(task(), history)), rel=0.01)


def test_a_task_needs_no_more_cores_than_it_has_threads() -> None:
    one = [dataclasses.replace(run(at=float(n)), cpu_cores_mean=0.8 + n / 50) for n in range(6)]
    two = [dataclasses.replace(record, cpu_cores_mean=1.5) for record in one]
    assert profile(task(), one).peak(Resource.CPU, 0.99) <= 1.0
    assert 1.5 <= profile(task(), two).peak(Resource.CPU, 0.99) <= 2.0


def test_wishes_are_kept_and_named() -> None:
    made = profile(task(wishes=Wishes(memory_gib=7.0, disk_gib=3.0, network_mbps=5.0)))
    assert [made.peak(r) for r in (Resource.MEMORY, Resource.DISK, Resource.NETWORK)] == [7, 3, 5]
    assert made.evidence.method is Method.STATED
    assert made.evidence.note.endswith("stated: memory, disk, network")


def test_long_runs_are_described_slot_by_slot() -> None:
    history = [run(3_000.0 + 100 * (number % 7), at=float(number)) for number in range(40)]
    made = profile(task(), history)
    slots = made.use[Resource.CPU]
    assert (made.slot_seconds, len(slots)) == (900.0, 5)
    assert slots[0] == slots[1]
    assert slots[4].p50 == 0.0


def test_runs_of_days_are_described_by_the_hour() -> None:
    made = profile(task(), [run(400_000.0, at=float(number)) for number in range(40)])
    assert made.slot_seconds == 3_600.0
    assert 100 <= len(made.use[Resource.CPU]) <= 168


@pytest.mark.parametrize(
    ("fields", "storage"),
    [
        ({"reads": "s3://raw/events"}, StorageKind.OBJECT_STORE),
        ({"reads": "postgresql://db/events"}, StorageKind.WAREHOUSE),
        ({"writes": "warehouse.churn"}, StorageKind.WAREHOUSE),
        ({"reads": "data/heart.csv"}, StorageKind.LOCAL_DISK),
        ({"reads": "file:///data/heart.csv"}, StorageKind.LOCAL_DISK),
        ({"volume_gib": 400.0}, StorageKind.LOCAL_DISK),
        ({}, StorageKind.MEMORY),
    ],
)
def test_storage_follows_from_where_data_is(fields: dict[str, object], storage: str) -> None:
    assert profile(task(TaskKind.ETL, **fields)).storage == storage


def gpu_fleet() -> Fleet:
    fleet = samples.fleet("small", "large", "plain")
    clusters = []
    for cluster, model, memory, price in zip(
        fleet.clusters, ("T4", "A100", ""), (16.0, 80.0, 0.0), (1, 9, 1), strict=True
    ):
        (pool,) = cluster.pools
        shape = dataclasses.replace(
            pool.shape, gpu_model=model, gpu_count=2 if model else 0, gpu_memory_gib=memory
        )
        dollars = MicroDollars(price * 1_000_000)
        pool = dataclasses.replace(pool, shape=shape, price_micro_dollars_per_hour=dollars)
        clusters.append(dataclasses.replace(cluster, pools=(pool,)))
    return Fleet(clusters=tuple(clusters))


def test_no_gpu_is_asked_for_that_nothing_speaks_for() -> None:
    made = profile(task(), fleet=gpu_fleet())
    assert made.gpu_models == ()
    assert Resource.GPU not in made.use


def test_gpus_of_past_runs_are_forecast_cheapest_model_first() -> None:
    history = [run(gpus=1.0, at=float(number)) for number in range(5)]
    made = profile(task(), history, fleet=gpu_fleet())
    assert made.peak(Resource.GPU) == 1.0
    assert made.gpu_models == ("T4", "A100")
    assert {fit.cluster for fit in made.machines} == {"small", "large"}


def test_models_with_too_little_memory_will_not_do() -> None:
    made = profile(task(wishes=Wishes(gpu_count=2, gpu_memory_gib=40.0)), fleet=gpu_fleet())
    assert made.gpu_models == ("A100",)
    assert [fit.cluster for fit in made.machines] == ["large"]


def test_the_model_a_person_names_is_the_one() -> None:
    made = profile(task(wishes=Wishes(gpu_model="A100")), fleet=gpu_fleet())
    assert (made.gpu_models, made.peak(Resource.GPU)) == (("A100",), 1.0)


def test_a_wish_for_no_gpu_is_kept() -> None:
    history = [run(gpus=1.0, at=float(number)) for number in range(5)]
    made = profile(task(wishes=Wishes(gpu_count=0)), history, fleet=gpu_fleet())
    assert made.gpu_models == ()


def test_a_machine_that_is_too_small_does_not_fit() -> None:
    assert profile(task(wishes=Wishes(memory_gib=5.0))).machines == ()


def test_a_fast_machine_ends_sooner_and_costs_less() -> None:
    slow, fast = (
        profile(task(), [run(100.0)], fleet=samples.fleet("a", speed=speed)).machines[0]
        for speed in (1.0, 2.0)
    )
    assert slow.duration_seconds_p50 == pytest.approx(100.0)
    assert fast.duration_seconds_p50 == pytest.approx(50.0)
    assert fast.cost_micro_dollars < slow.cost_micro_dollars


def serve(**fields: object) -> Profile:
    promise = dataclasses.replace(Serving(), **fields)
    return profile(task(TaskKind.SERVE, serving=promise))


def test_load_is_followed_by_hour_of_day() -> None:
    shares = tuple(hour / 23 for hour in range(24))
    made = serve(requests_per_second_peak=100.0, load_by_hour=shares)
    cpu, memory = made.use[Resource.CPU], made.use[Resource.MEMORY]
    assert (made.slot_seconds, len(cpu), cpu[0].p99) == (3_600.0, 24, 0.0)
    assert cpu[23].p50 > cpu[1].p50
    assert memory[0] == memory[23]


def test_more_requests_take_more_replicas() -> None:
    assert serve(requests_per_second_peak=5_000.0).replicas > 20 > serve().replicas


def test_a_serve_task_without_a_promise_is_served_by_one() -> None:
    made = profile(task(TaskKind.SERVE))
    assert (made.replicas, made.storage) == (1, StorageKind.MEMORY)


def test_machines_of_a_serve_task_cost_by_the_hour() -> None:
    (fit,) = serve().machines
    assert fit.duration_seconds_p50 is None
    assert fit.cost_micro_dollars > 0


def test_cores_wished_for_serving_are_those_of_each_replica() -> None:
    wished = Wishes(cpu_cores=1.0)
    promise = Serving(requests_per_second_peak=400.0)
    made = profile(task(TaskKind.SERVE, serving=promise, wishes=wished))
    assert made.peak(Resource.CPU) == pytest.approx(made.replicas)
