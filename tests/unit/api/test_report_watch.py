from __future__ import annotations

from dataclasses import replace

import pytest

from api.messages.context import Context
from api.report import statuses, super_alarms
from engine.model import alarms, dispatches, progress
from engine.model.checks import Check, Checked, CheckKind, Verdict
from engine.model.signals import Layer
from engine.model.specs import TaskKind

NOW = 1_795_348_800.0

ALARM = alarms.Alarm(
    alarm_id="a-1",
    series="feature:heart/chol|feature_median",
    subject="feature:heart/chol",
    signal="feature_median",
    layer=Layer.SERVING,
    at=NOW - 360,
    value=6.2,
    unit="mg/dL",
    test="robust z",
    statistic=31.0,
    p_value=1e-9,
    expected_low=200.0,
    expected_high=280.0,
    severity=alarms.Severity.CRITICAL,
)
CAUSE = alarms.Cause(
    kind=alarms.CauseKind.DATA,
    subject="feature:heart/chol",
    title="chol arrives in mmol/L",
    belief=0.93,
    evidence_for=("the median fell by 38.7",),
    evidence_against=("no schema change was announced",),
    settle="look at a raw record",
    settled=True,
    remedy=alarms.Remedy(description="read it so", parameters={"etl.unit.chol": "mmol/L"}),
)
GROUP = alarms.SuperAlarm(
    super_alarm_id="SA-1",
    title="chol is outside its band",
    severity=alarms.Severity.CRITICAL,
    state=alarms.SuperAlarmState.OPEN,
    opened_at=NOW - 360,
    updated_at=NOW,
    alarms=(ALARM,),
    causes=(CAUSE,),
    because=("all of them share heart",),
    pipelines=("heart",),
)
RETRAIN = alarms.Action(
    action_id="x-1",
    kind=alarms.ActionKind.RETRAIN,
    state=alarms.ActionState.STARTED,
    super_alarm_id="SA-1",
    subject="pipeline:heart",
    policy="drift",
    wanted_at=NOW - 300,
    run_id="r-2",
)


def test_a_super_alarm_is_a_row_with_cause_belief_and_what_is_done() -> None:
    row = super_alarms.super_alarms_text([GROUP], now=NOW, actions=[RETRAIN]).splitlines()[2]
    for word in ("SA-1", "critical", "6 min", "mmol/L", "0.93"):
        assert word in row


def test_an_empty_list_says_what_is_watched() -> None:
    text = super_alarms.super_alarms_text([], now=NOW, watched="3 series are watched.")
    assert text.startswith("No super-alarm. 3 series are watched.")


def test_the_page_answers_in_the_order_of_the_first_minutes() -> None:
    text = super_alarms.super_alarm_text(GROUP, now=NOW, actions=[RETRAIN])
    order = [
        "SA-1 critical: chol is outside its band",
        "1. chol arrives in mmol/L  0.93  data (settled: it is)",
        "for      the median fell",
        "against  no schema change",
        "etl.unit.chol=mmol/L",
        "retrain pipeline:heart: started r-2",
        "all of them share heart",
        "200 to 280",
        "berth ack SA-1",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


CHECK = Check(kind=CheckKind.CLUSTER, subject="cluster:c", since=NOW)
CHECKED = Checked(
    kind=CheckKind.CLUSTER,
    subject="cluster:c",
    verdict=Verdict.DENIES,
    message="c answers",
    at=NOW,
    took_seconds=0.4,
)


def page_of(*causes: alarms.Cause, **changes: object) -> str:
    return super_alarms.super_alarm_text(replace(GROUP, causes=causes, **changes), now=NOW)


def test_what_is_not_believed_enough_says_so_and_what_settles_it() -> None:
    weak = replace(CAUSE, belief=0.5978, settled=None, check=CHECK)
    page = " ".join(page_of(weak, act_above=0.6).split())
    assert "nothing yet Berth does nothing by itself about its likely cause: the belief" in page
    assert "0.59, is below 0.6; its check (ask whether the cluster answers) is under way" in page
    assert "to settle it: look at a raw record" in page


@pytest.mark.parametrize(
    ("cause", "changes", "said"),
    [
        (replace(CAUSE, belief=0.6, settled=None), {"act_above": 0.6}, ""),
        (replace(CAUSE, belief=0.1, settled=None), {}, ""),
        (
            replace(CAUSE, belief=0.1, settled=None),
            {"act_above": 0.6, "state": alarms.SuperAlarmState.RESOLVED},
            "",
        ),
        (replace(CAUSE, settled=False), {"act_above": 0.6}, "it is ruled out"),
        (
            replace(CAUSE, belief=0.1, settled=None, settle="", check=CHECK, checked=CHECKED),
            {"act_above": 0.6},
            "the belief in it, 0.10, is below 0.6",
        ),
    ],
)
def test_what_may_be_acted_upon_needs_no_reason(
    cause: alarms.Cause, changes: dict[str, object], said: str
) -> None:
    page = " ".join(page_of(cause, **changes).split())
    told = "Berth does nothing by itself about its likely cause:"
    assert (told in page) == bool(said)
    assert f"{told} {said} Why it" in page or not said


def test_a_check_is_to_come_or_told_with_its_result() -> None:
    first = replace(GROUP.causes[0], settled=None, check=CHECK)
    page = page_of(first)
    assert "to check ask whether the cluster answers: Berth does it by itself" in page
    assert "settle   look at a raw record" in page
    page = page_of(replace(first, checked=CHECKED))
    assert "checked  denies: c answers (ask whether the cluster answers," in page
    assert "took 0.4 s)" in page
    assert "to check" not in page


@pytest.mark.parametrize(
    ("settled", "words"),
    [
        ((True, None), "begin with 1: it is settled"),
        ((None, False), "begin with 1"),
        ((False, None), "begin with 2"),
        ((None, None), "begin with 1 then 2, one after the other"),
        ((False, False), "none of them is left: begin with the first alarm"),
    ],
)
def test_it_says_where_to_begin(settled: tuple[bool | None, ...], words: str) -> None:
    causes = [replace(GROUP.causes[0], belief=0.5, settled=each) for each in settled]
    assert f"  {words}\n" in page_of(*causes)
    resolved = page_of(*causes, state=alarms.SuperAlarmState.RESOLVED)
    assert words not in resolved


def test_what_nobody_believes_is_left_out() -> None:
    unlikely = replace(GROUP.causes[0], title="not it", belief=0.001)
    assert "not it" not in page_of(GROUP.causes[0], unlikely)
    assert "not it" in page_of(unlikely)
    assert "begin with" not in page_of()


def test_what_users_feel_stands_at_the_top() -> None:
    around = Context(feels=("12 % of requests to heart fail",))
    page = super_alarms.super_alarm_text(GROUP, now=NOW, context=around)
    assert "What users feel: 12 % of requests to heart fail" in page
    over = replace(GROUP, state=alarms.SuperAlarmState.RESOLVED)
    page = super_alarms.super_alarm_text(over, now=NOW, context=around)
    assert "What users felt: 12 % of requests to heart fail" in page


def test_a_long_change_goes_on_indented() -> None:
    changed = alarms.Event(
        event_id="e-1", at=NOW - 400, kind="plan", subject="p", message="moves " * 30
    )
    text = super_alarms.super_alarm_text(GROUP, now=NOW, context=Context(changes=(changed,)))
    part = text.partition("What changed before\n")[2].partition("\n\n")[0]
    first, *rest = part.splitlines()
    assert first.startswith("  11:53:20  moves")
    assert rest
    assert all(line.startswith("      m") for line in rest)


def test_a_held_action_names_the_guard() -> None:
    guard = alarms.Guard(name="cool-down", allows=False, needs=600.0, has=20.0, unit="s")
    held = replace(RETRAIN, state=alarms.ActionState.HELD, guards=(guard,), run_id=None)
    text = super_alarms.super_alarm_text(GROUP, now=NOW, actions=[held])
    assert "cool-down: needs 600 s, has 20" in text


def test_a_silenced_one_says_until_when_and_offers_no_ack() -> None:
    silenced = replace(
        GROUP, state=alarms.SuperAlarmState.SILENCED, silenced_until=NOW + 60, note="vendor"
    )
    assert "2026-11-22T12:01:00Z" in super_alarms.super_alarms_text([silenced], now=NOW)
    page = super_alarms.super_alarm_text(silenced, now=NOW)
    assert "berth ack" not in page
    assert "Notes and hand-over\n  vendor" in page


def test_one_that_came_again_says_so_and_what_is_known_of_earlier_times() -> None:
    comings = [
        alarms.Coming(
            opened_at=NOW - 3_600 * hours,
            ended_at=NOW - 3_600 * hours + 720,
            count=hours,
            alarms=(),
            likely=likely,
        )
        for hours, likely in ((2, None), (1, CAUSE))
    ]
    again = replace(GROUP, times=4, earlier=tuple(comings))
    assert "open (4)" in super_alarms.super_alarms_text([again], now=NOW)
    page = super_alarms.super_alarm_text(again, now=NOW)
    assert "open, came again, 4th time" in page.splitlines()[0]
    lines = page[page.index("Timeline") :].splitlines()[1:4]
    assert [line.split("  ", 2)[2] for line in lines] == [
        "came, time 2: over by itself after 12 min, 2 alarms; no cause was found",
        "came, time 3: over by itself after 12 min, 1 alarm; chol arrives in mmol/L",
        "came again, 4th time",
    ]


def test_many_alarms_are_counted_not_listed() -> None:
    many = tuple(replace(ALARM, alarm_id=f"a-{n}") for n in range(20))
    page = super_alarms.super_alarm_text(replace(GROUP, alarms=many), now=NOW)
    assert "and 8 more" in page


def run(state: dispatches.RunState) -> dispatches.Run:
    return dispatches.Run(
        run_id="r-1",
        pipeline="heart",
        plan_id="p-1",
        cause=dispatches.RunCause.SUBMITTED,
        state=state,
        created_at=NOW - 60,
    )


def task(**changes: object) -> progress.TaskStatus:
    values = {"task": "train", "kind": TaskKind.TRAIN, "state": dispatches.TaskState.WAITING}
    return progress.TaskStatus(**{**values, **changes})


def test_a_running_run_tells_forecast_and_deadline() -> None:
    status = progress.RunStatus(
        run=run(dispatches.RunState.ACTIVE),
        tasks=(task(),),
        end_seconds_p50=NOW + 60,
        end_seconds_p95=NOW + 120,
        deadline_seconds=NOW + 1_800,
        endpoint="http://127.0.0.1:1",
    )
    text = statuses.status_text([status], now=NOW)
    assert "ends 12:01:00, P95 12:02:00, deadline in 30 min, serves at http://127.0.0.1:1" in text
    assert "berth watch r-1" in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reason": dispatches.Reason.UPSTREAM, "waiting_for": ("etl",)}, "waits for etl"),
        (
            {"reason": dispatches.Reason.CAPACITY, "waiting_for": ("fraud/train",)},
            "waits for capacity: fraud/train",
        ),
        (
            {
                "state": dispatches.TaskState.FAILED,
                "reason": dispatches.Reason.EXIT_CODE,
                "message": "exit code 3",
            },
            "the command failed: exit code 3",
        ),
        ({"state": dispatches.TaskState.SUCCEEDED, "reason": dispatches.Reason.COMPLETED}, ""),
    ],
)
def test_a_task_says_why_it_is_as_it_is(changes: dict[str, object], told: str) -> None:
    assert statuses.waiting_text(task(**changes)) == told


def test_a_failed_task_offers_its_log() -> None:
    failed = task(state=dispatches.TaskState.FAILED)
    status = progress.RunStatus(run=run(dispatches.RunState.FAILED), tasks=(failed,))
    assert "berth logs r-1 train" in statuses.status_text([status], now=NOW)


def test_runs_are_listed_with_their_plans() -> None:
    assert "p-1" in statuses.runs_text([run(dispatches.RunState.ACTIVE)], now=NOW)
    assert "Nothing has run" in statuses.runs_text([], now=NOW)
    assert "Nothing runs" in statuses.status_text([], now=NOW)
