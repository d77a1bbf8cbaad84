"""Values that the pages show: one small plan, a run, a super-alarm."""

import pytest

from engine.model import alarms, fleet, plans, profiles, resources, signals, specs

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
            cost_micro_dollars=None if refused else 48_000,
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
