"""Values that the pages show: one small plan, a run, a super-alarm, and a ledger full of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import fastapi
import pytest
from starlette.testclient import TestClient

from api.web import pages
from api.wiring.alarm_context import AlarmContext
from api.wiring.hands_desk import HandsDesk
from api.wiring.training_desk import TrainingDesk
from engine import store
from engine.model import (
    alarms,
    capacity,
    dispatches,
    fleet,
    plans,
    profiles,
    records,
    resources,
    signals,
    specs,
)
from engine.ports import Ledger
from engine.testing.clocks import ManualClock
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.trainings import Training, Trainings

AT = 1_790_000_000.0


@pytest.fixture
def plan() -> plans.Plan:
    pool = fleet.Pool(
        name="cpu",
        shape=fleet.NodeShape(machine="m5.large", cpu_cores=2, memory_gib=8),
        node_count=2,
        price_micro_dollars_per_hour=96_000,
    )
    cluster = fleet.Cluster(
        name="eu-1", provider=fleet.Provider.AWS, region="eu", continent="eu", pools=(pool,)
    )
    spec = specs.PipelineSpec(
        name="heart",
        tasks=(
            specs.TaskSpec(name="etl", kind=specs.TaskKind.ETL),
            specs.TaskSpec(name="serve", kind=specs.TaskKind.SERVE, after=("etl",)),
        ),
    )
    seconds = profiles.Quantiles(p50=1, p80=2, p90=3, p95=4, p99=5)
    use = {resources.Resource.MEMORY: (profiles.Quantiles.constant(0.5),)}
    evidence = profiles.Evidence(
        method=profiles.Method.OWN_RUNS,
        like_run_count=3,
        like_runs=(profiles.LikeRun(name="heart/etl", distance=0.0, duration_seconds=1.0),),
        backtest_error=0.1,
        coverage_p95=0.9,
        note="few runs",
    )
    refusal = plans.Refusal(limit=plans.Limit.MEMORY, needs=71.0, has=40.0, unit="GiB")
    held = resources.Resources(cpu_cores=1, memory_gib=0.5)

    def assignment(task: str, end: float | None) -> plans.Assignment:
        return plans.Assignment(
            pipeline="heart",
            task=task,
            cluster="eu-1",
            pool="cpu",
            machine="m5.large",
            node_count=1,
            held=held,
            start_seconds=AT,
            end_seconds_p50=end,
            end_seconds_p95=end,
            slack_seconds=None if end is None else 60.0,
            cost_micro_dollars=48_000,
            cost_micro_dollars_p95=50_000,
            why="cheapest",
        )

    def verdict(pool_name: str, ruling: plans.Ruling) -> plans.Verdict:
        refused = ruling is plans.Ruling.REFUSED
        return plans.Verdict(
            cluster="eu-1",
            pool=pool_name,
            machine="m5.large",
            ruling=ruling,
            end_seconds_p95=None if refused else AT + 4,
            cost_micro_dollars={"cpu": 48_000, "gpu": 49_000}.get(pool_name),
            delta_micro_dollars=1_000 if ruling is plans.Ruling.POSSIBLE else None,
            binding=refusal if refused else None,
        )

    turning = [
        plans.BreakEven(turning=kind, cluster="eu-1", pool="gpu", value=30.0, unit="GiB")
        for kind in plans.Turning
    ]
    placement = plans.Placement(
        assignments=(assignment("etl", AT + 4), assignment("serve", None)),
        unplaced=(plans.Unplaced(pipeline="heart", task="huge", refusal=refusal),),
        explanations=(
            plans.Explanation(
                pipeline="heart",
                task="etl",
                verdicts=(
                    verdict("cpu", plans.Ruling.CHOSEN),
                    verdict("gpu", plans.Ruling.POSSIBLE),
                    verdict("small", plans.Ruling.REFUSED),
                ),
                break_evens=tuple(turning),
            ),
        ),
        sharing=(
            plans.Sharing(
                cluster="eu-1",
                pool="cpu",
                tasks=("heart/etl", "heart/serve"),
                nodes_alone=2,
                nodes_shared=1,
            ),
        ),
        promises=(
            plans.Promise(
                pipeline="heart",
                deadline_seconds=AT + 60,
                keep_asked=0.95,
                keep_forecast=0.99,
                run_cost_micro_dollars=48_000,
                run_cost_micro_dollars_p95=50_000,
                serving_micro_dollars_per_hour=10_000,
            ),
        ),
        objective_micro_dollars=58_000,
        bound_micro_dollars=57_000,
        gap=0.017,
        optimal=False,
    )
    profile = profiles.Profile(
        task="etl", kind=specs.TaskKind.ETL, duration_seconds=seconds, use=use, evidence=evidence
    )
    return plans.Plan(
        plan_id="p-aaaaaaaa",
        version="0.1.0",
        request=plans.PlanRequest(
            pipelines=(spec,), fleet=fleet.Fleet(clusters=(cluster,)), as_of=AT
        ),
        profiles={"heart/etl": profile},
        placement=placement,
    )


@pytest.fixture
def group() -> alarms.SuperAlarm:
    raised = [
        alarms.Alarm(
            alarm_id=f"a-{number}",
            series="feature:heart/chol|feature_median",
            subject="feature:heart/chol",
            signal="feature_median",
            layer=signals.Layer.SERVING,
            at=AT + number,
            value=6.2,
            unit="mg/dL",
            test="robust z",
            statistic=-40.0,
            p_value=1e-9,
            expected_low=200.0,
            expected_high=280.0,
            severity=alarms.Severity.CRITICAL,
            message="<b>chol</b> fell",
        )
        for number in (5, 6)
    ]
    cause = alarms.Cause(
        kind=alarms.CauseKind.DATA,
        subject="feature:heart/chol",
        title="chol arrives in mmol/L",
        belief=0.93,
        evidence_for=("the medians' ratio is 38.7",),
        evidence_against=("none",),
        settle="compare a record with its source",
        settled=True,
        remedy=alarms.Remedy(description="read chol as mmol/L"),
    )
    return alarms.SuperAlarm(
        super_alarm_id="SA-1",
        title="features of heart moved",
        severity=alarms.Severity.CRITICAL,
        state=alarms.SuperAlarmState.OPEN,
        opened_at=AT + 5,
        updated_at=AT + 6,
        alarms=tuple(raised),
        causes=(cause,),
        because=("same pipeline",),
        pipelines=("heart",),
    )


@pytest.fixture
def run() -> dispatches.Run:
    return dispatches.Run(
        run_id="r-1",
        pipeline="heart",
        plan_id="p-aaaaaaaa",
        cause=dispatches.RunCause.RETRAIN,
        state=dispatches.RunState.ACTIVE,
        created_at=AT,
        parameters={"etl.unit.chol": "mmol/L"},
        reason="SA-1",
    )


@pytest.fixture
def task(run: dispatches.Run) -> dispatches.TaskRun:
    return dispatches.TaskRun(
        run_id=run.run_id,
        pipeline=run.pipeline,
        task="etl",
        kind=specs.TaskKind.ETL,
        state=dispatches.TaskState.SUCCEEDED,
        reason=dispatches.Reason.COMPLETED,
        attempt=1,
        cluster="eu-1",
        pool="cpu",
        outputs={
            "rows": 2_030,
            "digest": "sha256:0123456789abcdef",
            "passed": True,
            "quality": 0.81049,
        },
        started_at=AT + 1,
        ended_at=AT + 3,
    )


@pytest.fixture
def attempt(run: dispatches.Run) -> dispatches.Attempt:
    return dispatches.Attempt(
        attempt_id="r-1.etl.1",
        run_id=run.run_id,
        pipeline=run.pipeline,
        task="etl",
        number=1,
        executor="local",
        cluster="eu-1",
        pool="cpu",
        held=resources.Resources(cpu_cores=1, memory_gib=0.5),
        state=dispatches.AttemptState.RUNNING,
        intended_at=AT,
        fence=1,
    )


@pytest.fixture
def action(group: alarms.SuperAlarm) -> alarms.Action:
    return alarms.Action(
        action_id="x",
        kind=alarms.ActionKind.RETRAIN,
        state=alarms.ActionState.HELD,
        super_alarm_id=group.super_alarm_id,
        subject="heart",
        policy="retrain on data causes",
        wanted_at=AT + 7,
        guards=(
            alarms.Guard(name="times per day", allows=False, needs=3.0, has=2.0),
            alarms.Guard(name="cause kind", allows=True, needs="data or model", has="data"),
        ),
        parameters={"etl.unit.chol": "mmol/L"},
        cost_micro_dollars=260,
        run_id="r-1",
        plan_id="p-aaaaaaaa",
    )


@pytest.fixture
def deployment() -> dispatches.Deployment:
    return dispatches.Deployment(
        pipeline="heart",
        task="serve",
        run_id="r-1",
        wanted="sha256:0123456789abcdef",
        serving="sha256:0123456789abcdef",
        endpoint="http://127.0.0.1:1",
        swapped_at=AT,
        swaps=1,
    )


@pytest.fixture
def report() -> capacity.CapacityReport:
    hours = tuple(profiles.Quantiles.constant(5.0) for _ in range(48))
    forecast = capacity.DemandForecast(
        pool="A100",
        unit="GPUs",
        starts_at=AT,
        hours=hours,
        method="last day",
        mase=0.9,
        coverage={"0.50": 0.5, "0.80": 0.8, "0.95": 0.95},
    )
    outlook = capacity.PoolOutlook(
        pool="A100",
        unit="GPUs",
        supply=8.0,
        machine="p4d",
        price_micro_dollars_per_unit_hour=1_000_000,
        history=(4.0, 5.0),
        forecast=forecast,
        short_from=None,
        short_by=0.0,
        hours_short=0,
        options=(),
        answer=None,
    )
    return capacity.CapacityReport(
        report_id="c-1",
        version="0.1.0",
        as_of=AT,
        horizon_hours=48,
        seed=7,
        source="demand.csv",
        pools=(outlook,),
        verdict="Enough.",
    )


@pytest.fixture
def events() -> list[alarms.Event]:
    return [
        alarms.Event(
            event_id=kind,
            at=AT + number,
            kind=kind,
            subject="heart",
            message=f"{kind} <changed>",
            labels={"run": "r-1", "plan": "p-aaaaaaaa"},
        )
        for number, kind in enumerate(("run", "plan", "deployment", "cluster", "schema"))
    ]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = store.open_ledger("sqlite://")
    yield made
    made.close()


@pytest.fixture
def filled(ledger: Ledger, request: pytest.FixtureRequest) -> Ledger:
    """A ledger with one record of everything that pages show."""
    plan = request.getfixturevalue("plan")
    seen = signals.Signal(
        name="feature_median",
        layer=signals.Layer.SERVING,
        subject="feature:heart/chol",
        at=AT + 6,
        value=6.2,
    )
    by_fixture = {
        "run": records.RUNS,
        "task": records.TASK_RUNS,
        "attempt": records.ATTEMPTS,
        "group": records.SUPER_ALARMS,
        "action": records.ACTIONS,
        "deployment": records.DEPLOYMENTS,
        "report": records.CAPACITY_REPORTS,
    }
    ledger.commit(
        "test.fill",
        [
            records.Put(records.PLANS, plan),
            records.Put(records.PIPELINES, plan.request.pipelines[0]),
            records.Put(records.SIGNALS, seen),
            *(records.Put(kind, request.getfixturevalue(n)) for n, kind in by_fixture.items()),
            *(records.Put(records.EVENTS, one) for one in request.getfixturevalue("events")),
        ],
    )
    return ledger


@dataclass
class Done:
    """What people did on the pages."""

    taken: list[str] = field(default_factory=list)
    silenced: list[tuple[str, float, str]] = field(default_factory=list)


@pytest.fixture
def done() -> Done:
    return Done()


@pytest.fixture
def trained(tmp_path: Path) -> tuple[str, str]:
    """Two trainings of the data folder, which differ in their data."""
    store = Trainings(tmp_path)
    kept = [
        store.keep(
            Training(
                run_id="",
                pipeline="net",
                command=("train", "net.py:recipe"),
                folder="/work",
                started_at=AT + at,
                ended_at=AT + at + 5,
            ),
            {"task": "train", "data": {"heart.csv": f"sha256:{at}"}, "code": {"net.py": "<b>"}},
            {"quality": 0.75, "loss_last": 0.5},
        )
        for at in (1, 2)
    ]
    return kept[0].run_id, kept[1].run_id


@pytest.fixture
def application(ledger: Ledger, plan: plans.Plan, done: Done, tmp_path: Path) -> fastapi.FastAPI:
    application = fastapi.FastAPI()
    clock = ManualClock(AT + 60)

    def found(name: str) -> alarms.SuperAlarm:
        stored = ledger.get(records.SUPER_ALARMS, name)
        assert stored is not None
        return stored.value

    def recorded(name: str) -> tuple[Experiment, ...]:
        return (Experiment(task="etl", metrics={"rows": 3}),) if name == "r-1" else ()

    hands = HandsDesk(ledger, clock, found)
    context = AlarmContext(ledger, hands.judged)
    pages.mount(
        application,
        pages.Sources(
            ledger=ledger,
            clock=clock,
            fleet=lambda: plan.request.fleet,
            version="0.1.0",
            acknowledge=done.taken.append,
            silence=lambda *what: done.silenced.append(what),
            context=lambda name: context.of(found(name)),
            hands=hands,
            trainings=TrainingDesk(tmp_path, recorded),
        ),
    )
    return application


@pytest.fixture
def browser(application: fastapi.FastAPI) -> TestClient:
    """Asks as browsers do."""
    return TestClient(
        application,
        headers={"Accept": "text/html,*/*;q=0.8"},
        raise_server_exceptions=False,
        follow_redirects=False,
    )
