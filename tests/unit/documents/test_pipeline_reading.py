"""What people write becomes the values they mean."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from engine import documents
from engine.model.identifiers import TaskName, dollars
from engine.model.specs import (
    BudgetPeriod,
    Deadline,
    Gates,
    Join,
    PipelineSpec,
    RetrainTrigger,
    Serving,
    TaskKind,
    TaskSpec,
    Wishes,
)

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def heart() -> PipelineSpec:
    text = (EXAMPLES / "heart.yaml").read_text()
    return documents.read_pipeline(text, name="heart.yaml", as_of=0.0)


def task(keys: str) -> TaskSpec:
    text = f"pipeline: p\ntasks: {{t: {{{keys}}}}}"
    return documents.read_pipeline(text, name="x", as_of=0.0).tasks[0]


def head(keys: str) -> PipelineSpec:
    text = f"pipeline: p\n{keys}\ntasks: {{t: {{kind: etl}}}}"
    return documents.read_pipeline(text, name="x", as_of=0.0)


def test_the_example_has_its_tasks_in_the_order_written(heart: PipelineSpec) -> None:
    assert [task.name for task in heart.tasks][:3] == ["etl", "features", "knn"]
    assert heart.tasks[-1].join is Join.ANY


def test_the_example_states_what_it_promises(heart: PipelineSpec) -> None:
    assert heart.sla.deadline == Deadline(within_seconds=1800.0)
    assert heart.limits.budget_micro_dollars == dollars(2)
    assert heart.limits.budget_period is BudgetPeriod.RUN
    assert heart.limits.regions == ("eu",)


def test_the_example_serves_with_latency_and_availability(heart: PipelineSpec) -> None:
    assert heart.task("serve").serving == Serving(
        requests_per_second_peak=20.0, latency_ms_p99=100.0, availability=0.995
    )


def test_the_example_gates_its_models(heart: PipelineSpec) -> None:
    assert heart.task("compare").gates == Gates(quality_at_least=0.7, outputs=("quality",))


def test_the_example_retrains_within_bounds(heart: PipelineSpec) -> None:
    policy = heart.retrain
    assert policy is not None
    assert policy.triggers == (RetrainTrigger.DRIFT, RetrainTrigger.QUALITY)
    assert (policy.quality_below, policy.times_per_day) == (0.7, 2)
    assert policy.budget_per_day_micro_dollars == dollars(5)
    assert policy.cool_down_seconds == 600.0


def test_only_a_kind_is_needed() -> None:
    assert task("kind: train") == TaskSpec(name=TaskName("t"), kind=TaskKind.TRAIN)


@pytest.mark.parametrize(
    ("written", "gib"),
    [
        ("412 GiB", 412.0),
        ("1.5 TiB", 1536.0),
        ("512MiB", 0.5),
        ("12 KiB", 12 / 1024**2),
        ("1_000 GiB", 1000.0),
        ("2 PB", 2e15 / 1024**3),
    ],
)
def test_amounts_of_data_are_gib(written: str, gib: float) -> None:
    assert task(f"kind: etl, volume: {written}").volume_gib == gib


@pytest.mark.parametrize(
    ("written", "per_second"),
    [("300/s peak", 300.0), ("300/s", 300.0), ("120/min", 2.0), ("20 per second", 20.0)],
)
def test_rates_are_requests_a_second(written: str, per_second: float) -> None:
    serving = task(f"kind: serve, requests: {written}").serving
    assert serving is not None
    assert serving.requests_per_second_peak == per_second


@pytest.mark.parametrize(("written", "ms"), [("50 ms", 50.0), ("0.5 s", 500.0), ("33.3 ms", 33.3)])
def test_latencies_are_milliseconds(written: str, ms: float) -> None:
    serving = task(f"kind: serve, p99: {written}").serving
    assert serving is not None
    assert serving.latency_ms_p99 == ms


@pytest.mark.parametrize("written", ["99.9 %", "0.999", "99.9%", "99.9 percent"])
def test_per_cent_and_fraction_are_the_same(written: str) -> None:
    serving = task(f"kind: serve, availability: {written}").serving
    assert serving is not None
    assert serving.availability == 0.999


def test_resources_can_be_insisted_on() -> None:
    wanted = "cpu: 4, memory: 16 GiB, disk: 1 TiB, network: 1 Gbit/s"
    gpu = "gpu: {kind: A100, count: 2, memory: 80 GiB}"
    assert task(f"kind: train, {wanted}, {gpu}").wishes == Wishes(
        cpu_cores=4.0,
        memory_gib=16.0,
        disk_gib=1024.0,
        network_mbps=1000.0,
        gpu_model="A100",
        gpu_count=2,
        gpu_memory_gib=80.0,
    )


@pytest.mark.parametrize("written", ["2", "{count: 2}"])
def test_gpus_may_be_a_number_alone(written: str) -> None:
    assert task(f"kind: train, gpu: {written}").wishes == Wishes(gpu_count=2)


def test_auto_leaves_a_resource_to_the_forecast() -> None:
    keys = "cpu: auto, memory: auto, gpu: auto, volume: auto"
    assert task(f"kind: train, {keys}") == task("kind: train")


@pytest.mark.parametrize("written", ["4 cores", "4 cpu", "4"])
def test_cores_need_no_unit(written: str) -> None:
    assert task(f"kind: train, cpu: {written}").wishes.cpu_cores == 4.0


def test_one_upstream_task_needs_no_brackets() -> None:
    text = "pipeline: p\ntasks: {a: {kind: etl}, b: {kind: train, after: a}}"
    assert documents.read_pipeline(text, name="x", as_of=0.0).tasks[1].after == ("a",)


def test_a_command_may_repeat_words() -> None:
    assert task("kind: etl, command: [echo, a, a]").command == ("echo", "a", "a")


def test_parameters_keep_their_types() -> None:
    parameters = task("kind: etl, parameters: {a: 1, b: 0.5, c: true, d: x, e: 0x10}").parameters
    assert parameters == {"a": 1, "b": 0.5, "c": True, "d": "x", "e": 16}


def test_any_model_may_be_named_with_an_image_of_ones_own() -> None:
    assert task("kind: train, image: registry/churn:7, model: xgboost").model == ("xgboost",)


def test_load_may_differ_by_hour() -> None:
    shares = ", ".join(["0.5"] * 24)
    serving = task(f"kind: serve, load by hour: [{shares}]").serving
    assert serving is not None
    assert serving.load_by_hour == (0.5,) * 24


@pytest.mark.parametrize(
    ("written", "deadline"),
    [
        ("daily 06:00 Europe/Paris", Deadline(daily_at="06:00", zone="Europe/Paris")),
        ("daily 6:05", Deadline(daily_at="06:05")),
        ("in 30 min", Deadline(within_seconds=1800.0)),
        ("in 2 hours", Deadline(within_seconds=7200.0)),
        ("1970-01-02T00:00:00Z", Deadline(at_seconds=86_400.0)),
        ("1970-01-02T01:00+01:00", Deadline(at_seconds=86_400.0)),
        ("1970-01-02 01:00 Europe/Paris", Deadline(at_seconds=86_400.0)),
    ],
)
def test_deadlines_come_in_three_forms(written: str, deadline: Deadline) -> None:
    assert head(f"sla: {{deadline: {written}}}").sla.deadline == deadline


def test_a_budget_may_be_per_month() -> None:
    limits = head("limits: {budget: 900.5 USD per month}").limits
    assert limits.budget_micro_dollars == dollars(900.5)
    assert limits.budget_period is BudgetPeriod.MONTH


def test_retraining_may_be_on_a_schedule() -> None:
    policy = head("retrain: {when: every 7 d}").retrain
    assert policy is not None
    assert policy.every_seconds == 7 * 86_400


def test_an_empty_value_of_a_list_is_a_list_of_none() -> None:
    assert task("kind: etl, after: []").after == ()


def test_a_date_in_plain_data_is_an_instant() -> None:
    at = datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC)
    mapping = {"pipeline": "p", "sla": {"deadline": at}, "tasks": {"t": {"kind": "etl"}}}
    spec = documents.pipeline_from(mapping, name="x")
    assert spec.sla.deadline == Deadline(at_seconds=86_400.0)


def test_plain_data_and_yaml_give_the_same_pipeline(heart: PipelineSpec) -> None:
    assert documents.pipeline_from(documents.pipeline_mapping(heart), name="x") == heart


def test_defaults_that_were_filled_in_are_listed() -> None:
    filled = documents.filled_defaults("pipeline: p\ntasks: {t: {kind: evaluate, gates: {}}}")
    assert documents.Filled("sla.keep", "95 %") in filled
    assert documents.Filled("tasks.t.gates.no nan", "true") in filled


def test_what_was_written_is_no_default() -> None:
    text = "pipeline: p\nsla: {keep: 0.9}\ntasks: {t: {kind: etl, retries: 0}}"
    paths = {item.path for item in documents.filled_defaults(text)}
    assert {"sla.keep", "tasks.t.retries"}.isdisjoint(paths)


def test_a_task_says_where_its_data_lie_and_what_it_hands_on() -> None:
    read = task("kind: etl, volume: 4 GiB, data in: berlin-1, output: 1 GiB")
    assert (read.data_in, read.volume_gib, read.output_gib) == ("berlin-1", 4.0, 1.0)


def test_nothing_starts_before_the_earliest_start() -> None:
    assert head("sla: {earliest start: in 2 h}").sla.earliest_start == Deadline(
        within_seconds=7200.0
    )
