"""Causes are ranked by evidence, and each says what would settle it."""

from __future__ import annotations

import dataclasses

import pytest

from alarms import CauseSettings, HypothesisTree
from alarms.rootcause.conversions import CONVERSIONS, Conversion
from engine.model.alarms import Alarm, Cause, CauseKind, Event
from engine.model.signals import Layer, Signal
from engine.testing.watch_suites import alarm, group, reachable

KNOWN = {"median": 240.0, "mad": 47.0, "mean": 246.0, "sd": 52.0}


def named(name: str, subject: str, at: float = 100.0, **changes: object) -> Alarm:
    made = alarm(f"{subject}|{name}|{at}", at, pipeline="heart", cluster="c")
    made = dataclasses.replace(made, series=f"{subject}|{name}", subject=subject, signal=name)
    return dataclasses.replace(made, **changes)


def feature(column: str, name: str, value: float, at: float = 101.0) -> Signal:
    return Signal(
        name=name,
        layer=Layer.SERVING,
        subject=f"feature:heart/{column}",
        at=at,
        value=value,
        weight=40.0,
        labels={"pipeline": "heart", "feature": column, "cluster": "c"},
    )


def moved(column: str, median: float, mean: float) -> list[Signal]:
    known = [feature(column, f"reference_{key}", value, 1.0) for key, value in KNOWN.items()]
    return [
        *known,
        feature(column, "feature_median", median),
        feature(column, "feature_mean", mean),
        feature("age", "feature_mean", 54.0),
        reachable(101.0, 1.0),
    ]


def causes(
    alarms: list[Alarm], signals: list[Signal], events: tuple[Event, ...] = ()
) -> list[Cause]:
    made = dataclasses.replace(group(*alarms), pipelines=("heart",))
    return list(HypothesisTree().causes(made, signals, events))


def shifted(column: str, median: float, mean: float) -> Cause:
    subject = f"feature:heart/{column}"
    return causes([named("feature_mean", subject)], moved(column, median, mean))[0]


def test_a_known_unit_is_recognised_and_settled() -> None:
    cause = shifted("chol", 240 / 38.67, 246 / 38.67)
    assert (cause.kind, cause.settled) == (CauseKind.DATA, True)
    assert cause.belief > 0.9
    assert cause.remedy is not None
    assert cause.remedy.parameters == {"etl.unit.chol": "mmol/L"}


def test_the_opposite_mistake_is_recognised() -> None:
    cause = shifted("chol", 240 * 38.67, 246 * 38.67)
    assert cause.remedy is not None
    assert cause.remedy.parameters == {"etl.unit.chol": "mg/dL"}


def test_a_factor_the_etl_task_does_not_know_is_named() -> None:
    cause = shifted("creatinine", 240 * 88.42, 246 * 88.42)
    assert cause.remedy is not None
    assert cause.remedy.parameters["etl.unit.creatinine"] == "umol/L"
    assert cause.remedy.parameters["etl.factor.creatinine"] == pytest.approx(1 / 88.42)


def test_an_offset_is_recognised() -> None:
    cause = shifted("temp", 240 * 1.8 + 32, 246 * 1.8 + 32)
    assert cause.remedy is not None
    assert cause.remedy.parameters["etl.unit.temp"] == "degF"
    assert "etl.offset.temp" in cause.remedy.parameters


def test_a_power_of_ten_is_recognised_in_any_column() -> None:
    cause = shifted("c17", 24.0, 24.6)
    assert cause.remedy is not None
    assert cause.remedy.parameters["etl.factor.c17"] == 10.0


def test_a_far_shift_without_a_unit_has_no_remedy() -> None:
    cause = shifted("c17", 13.0, 14.0)
    assert (cause.kind, cause.remedy, cause.settled) == (CauseKind.DATA, None, None)


def test_a_moderate_shift_is_trained_again() -> None:
    cause = shifted("c17", 300.0, 310.0)
    assert cause.remedy is not None
    assert cause.remedy.parameters == {}


def test_a_shift_that_is_gone_is_hardly_believed() -> None:
    found = causes([named("feature_mean", "feature:heart/chol")], moved("chol", 242.0, 248.0))
    assert found[0].kind is CauseKind.UNKNOWN


def test_a_second_shift_no_unit_explains_speaks_against() -> None:
    alarms = [named("feature_mean", f"feature:heart/{name}") for name in ("chol", "c17")]
    signals = [*moved("chol", 240 / 38.67, 246 / 38.67), *moved("c17", 300.0, 310.0)]
    cause = causes(alarms, signals)[0]
    assert "no unit explains c17" in cause.evidence_against


def test_rules_may_add_a_conversion() -> None:
    odd = Conversion(quantity="q", arrives_in="u", wanted="v", factor=7.7, names=("c17",))
    tree = HypothesisTree(CauseSettings(conversions=(odd,)))
    made = group(named("feature_mean", "feature:heart/c17"))
    cause = tree.causes(made, moved("c17", 240 / 7.7, 246 / 7.7), [])[0]
    assert cause.title == "c17 arrives in u instead of v"


def test_a_feature_without_reference_is_not_explained() -> None:
    found = causes(
        [named("feature_mean", "feature:heart/chol")], [feature("chol", "feature_mean", 6.0)]
    )
    assert found[0].kind is CauseKind.UNKNOWN


def test_a_column_that_is_gone_has_no_remedy() -> None:
    alarms = [
        named("feature_mean", "feature:heart/chol", test="silence"),
        named("errors_share", "model:heart"),
    ]
    cause = causes(alarms, [])[0]
    assert (cause.title, cause.remedy) == ("chol no longer arrives", None)


def test_fewer_rows_are_the_fault_of_the_source() -> None:
    alarms = [named(name, "task:heart/etl") for name in ("rows", "nulls_share")]
    cause = causes(alarms, [])[0]
    assert (cause.kind, cause.subject) == (CauseKind.DATA, "task:heart/etl")


def test_a_cluster_that_refuses_failed() -> None:
    killed = named("exit_killed", "task:heart/serve", layer=Layer.MACHINE)
    silent = named("requests", "model:heart", test="silence")
    down = named("reachable", "cluster:c", layer=Layer.MACHINE)
    event = Event(event_id="e", at=99.0, kind="cluster", subject="cluster:c", message="c went")
    found = causes([down, killed, silent], [reachable(at, 0.0) for at in (100.0, 101.0)], (event,))
    assert (found[0].kind, found[0].settled) == (CauseKind.INFRASTRUCTURE, True)
    assert found[0].belief > 0.95
    assert "c went (1 s before the first alarm)" in found[0].evidence_for


def test_an_event_is_not_told_as_coming_before_the_alarm_when_it_did_not() -> None:
    down = named("reachable", "cluster:c", layer=Layer.MACHINE)
    event = Event(event_id="e", at=100.0, kind="cluster", subject="cluster:c", message="c went")
    found = causes([down], [reachable(100.0, 0.0)], (event,))
    assert "c went (as the first alarm came)" in found[0].evidence_for


def test_a_cluster_that_says_nothing_is_not_settled() -> None:
    silent = named("reachable", "cluster:c", layer=Layer.MACHINE, test="silence", value=9.0)
    found = causes([silent], [])
    assert (found[0].kind, found[0].settled) == (CauseKind.INFRASTRUCTURE, None)


def test_alarms_from_elsewhere_speak_against_a_cluster() -> None:
    there = [named("reachable", f"cluster:{name}", layer=Layer.MACHINE) for name in ("d", "e")]
    here = named("exit_killed", "task:heart/x", layer=Layer.MACHINE)
    found = causes([here, *there], [])
    mine = next(cause for cause in found if cause.subject == "cluster:c")
    assert "2 alarms come from elsewhere" in mine.evidence_against


def test_quality_that_falls_alone_is_the_model() -> None:
    found = causes([named("quality", "model:heart")], [feature("age", "feature_mean", 54.0)])
    assert found[0].kind is CauseKind.MODEL
    assert found[0].remedy is not None


def test_quality_that_falls_with_its_inputs_is_the_data() -> None:
    alarms = [
        named("feature_mean", "feature:heart/chol"),
        named("quality", "model:heart"),
        named("errors_share", "model:heart"),
    ]
    found = causes(alarms, moved("chol", 240 / 38.67, 246 / 38.67))
    assert found[0].kind is CauseKind.DATA


def test_more_requests_are_demand() -> None:
    alarms = [named("requests", "model:heart"), named("latency_ms_p99", "model:heart")]
    found = causes(alarms, [])
    assert (found[0].kind, found[0].settled) == (CauseKind.DEMAND, True)


def test_fewer_requests_are_demand_too() -> None:
    found = causes([named("requests", "model:heart", statistic=-9.0)], [])
    assert found[0].title == "callers of model:heart send less than usual"


def test_latency_without_requests_is_not_demand() -> None:
    found = causes([named("latency_ms_p99", "model:heart")], [])
    demand = next(cause for cause in found if cause.kind is CauseKind.DEMAND)
    assert demand.settled is False


def deployed(at: float, message: str) -> Event:
    return Event(
        event_id=f"e{at}",
        at=at,
        kind="deployment",
        subject="model:heart",
        message=message,
        labels={"pipeline": "heart"},
    )


def served(name: str, values: list[float]) -> list[Signal]:
    return [
        Signal(name=name, layer=Layer.SERVING, subject="model:heart", at=60.0 * number, value=value)
        for number, value in enumerate(values)
    ]


def test_a_deployment_just_before_is_suspected() -> None:
    found = causes([named("errors_share", "model:heart")], [], (deployed(95.0, "new"),))
    assert (found[0].kind, found[0].title) == (CauseKind.CODE, "a deployment just before: new")


def test_what_was_set_back_before_it_alarmed_is_still_the_cause() -> None:
    # Quality fell with the deployment at the 30th value and came back with the one at the 50th.
    signals = served("quality", [*[0.9] * 30, *[0.7] * 20])
    events = (deployed(30 * 60.0, "new"), deployed(49.5 * 60.0, "old"))
    found = causes([named("quality", "model:heart", at=49.8 * 60.0)], signals, events)
    assert (found[0].kind, found[0].title) == (CauseKind.CODE, "a deployment just before: new")


@pytest.mark.parametrize(("name", "is_against"), [("latency_ms_p99", True), ("quality", False)])
def test_more_requests_speak_against_a_deployment_that_made_it_slow_not_worse(
    name: str, is_against: bool
) -> None:
    signals = served("requests", [*[100.0] * 20, *[250.0] * 10])
    alarms = [named(name, "model:heart", at=20 * 60.0)]
    found = causes(alarms, signals, (deployed(20 * 60.0 - 1, "new"),))
    (change,) = (cause for cause in found if cause.kind is CauseKind.CODE)
    assert bool(change.evidence_against) is is_against


def test_the_growth_of_a_day_is_no_demand() -> None:
    # Requests grow by a half within the hours after the alarm, as they do every morning.
    signals = served("requests", [*[100.0] * 20, *(100.0 + 2.0 * step for step in range(60))])
    alarms = [named("latency_ms_p99", "model:heart", at=20 * 60.0)]
    demand = next(c for c in causes(alarms, signals) if c.kind is CauseKind.DEMAND)
    assert demand.settled is False


def test_what_moved_before_the_model_saw_it_is_no_deployment() -> None:
    event = Event(event_id="e", at=95.0, kind="plan", subject="pipeline:heart", message="moved")
    alarms = [
        named("feature_mean", "feature:heart/chol"),
        named("reachable", "cluster:c", layer=Layer.MACHINE),
    ]
    found = causes(alarms, moved("chol", 240 / 38.67, 246 / 38.67), (event,))
    change = next(cause for cause in found if cause.kind is CauseKind.CONFIGURATION)
    assert len(change.evidence_against) == 2


def test_every_conversion_can_be_undone() -> None:
    for conversion in CONVERSIONS:
        back = conversion.inverse()
        value = back.factor * (conversion.factor * 7.0 + conversion.offset) + back.offset
        assert value == pytest.approx(7.0)
