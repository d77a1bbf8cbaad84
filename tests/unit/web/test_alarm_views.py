"""Super-alarms as pages show them."""

import dataclasses

import pytest

from api.messages.context import Context
from api.web import cells
from api.web.views import alarm_surroundings, reaches
from api.web.views import alarms as views
from engine.model import alarms, dispatches, plans
from engine.model.feedback import Feedback, Verdict
from engine.model.identifiers import PipelineName

AT = 1_790_000_000.0
NOTHING = "\u2013"


def test_resolved_groups_come_last_and_critical_ones_first(group: alarms.SuperAlarm) -> None:
    resolved = dataclasses.replace(
        group, super_alarm_id="SA-0", state=alarms.SuperAlarmState.RESOLVED
    )
    quiet = dataclasses.replace(group, super_alarm_id="SA-2", severity=alarms.Severity.INFO)
    rows = views.group_list([resolved, quiet, group], AT + 60).rows
    assert [row[0].text for row in rows] == ["SA-1", "SA-2", "SA-0"]


def test_a_group_without_causes_says_so(group: alarms.SuperAlarm) -> None:
    row = views.group_list([dataclasses.replace(group, causes=())], AT + 60).rows[0]
    assert (row[3].text, row[4].text) == ("not known yet", NOTHING)


def test_a_silenced_group_says_until_when(group: alarms.SuperAlarm) -> None:
    silenced = dataclasses.replace(
        group, state=alarms.SuperAlarmState.SILENCED, silenced_until=AT + 3_600
    )
    assert views.state(silenced).note == "until 2026-09-21 15:13:20"


def test_one_that_came_again_says_so_and_its_earlier_times_stand_in_order(
    group: alarms.SuperAlarm,
) -> None:
    coming = alarms.Coming(opened_at=AT - 900, ended_at=AT - 600, count=3, alarms=())
    again = dataclasses.replace(group, times=2, earlier=(coming,))
    assert views.state(again).note == "came again, 2nd time"
    said = Feedback(
        super_alarm_id=group.super_alarm_id,
        at=AT - 700,
        verdict=Verdict.WRONG,
        who="ann",
        kind=alarms.CauseKind.DATA,
        subject="model:heart",
        belief=0.9,
        right_cause="a disk",
    )
    rows = alarm_surroundings.in_order(again, Context(told=(said,))).rows
    told = [row[2].text for row in rows if row[1].text == "came"]
    assert told == [
        (
            "came, time 1: over by itself after 5 min, 3 alarms; no cause was found; "
            "ann says that it is wrong; it was a disk"
        ),
        "came again, 2nd time",
    ]
    assert rows[0][2].text == told[0]
    once = alarm_surroundings.in_order(group, Context()).rows
    assert "came" not in {row[1].text for row in once}


@pytest.mark.parametrize(
    ("state", "later", "back", "growing"),
    [
        (alarms.SuperAlarmState.OPEN, 10, 1, "growing"),
        (alarms.SuperAlarmState.OPEN, 600, 0, "not growing, last alarm 9 min ago"),
        (alarms.SuperAlarmState.OPEN, 600, 1, "shrinking: 1 of 2 signals is normal again"),
        (alarms.SuperAlarmState.OPEN, 600, 2, "shrinking: 2 of 2 signals are normal again"),
        (alarms.SuperAlarmState.RESOLVED, 10, 2, "over, last alarm 4 s ago"),
    ],
)
def test_the_headline_says_whether_it_grows(
    group: alarms.SuperAlarm, state: alarms.SuperAlarmState, later: int, back: int, growing: str
) -> None:
    changed = dataclasses.replace(group, state=state)
    around = Context(back=back, series=2)
    assert views.headline(changed, around, AT + later).last == growing


def test_alarms_of_one_series_are_one_row_with_the_strongest_test(
    group: alarms.SuperAlarm,
) -> None:
    (row,) = views.series_list(group).rows
    told = [cell.text for cell in row]
    assert told[0] == "feature median"
    assert told[2:] == ["2", "14:13:25", "14:13:26", "6.2 mg/dL", "200 to 280", "1e-09", "robust z"]


def test_a_declared_state_has_one_expected_value_and_no_p(group: alarms.SuperAlarm) -> None:
    first = dataclasses.replace(
        group.alarms[0], expected_low=1.0, expected_high=1.0, p_value=0.0, rule="page"
    )
    (row,) = views.series_list(dataclasses.replace(group, alarms=(first,))).rows
    assert (row[6].text, row[7].text, row[8].note) == ("1", NOTHING, "rule page")


def test_actions_say_which_guard_held_them(action: alarms.Action) -> None:
    (done,) = views.actions([action], AT + 60)
    assert done.verdict == "2 guards: held back by times per day"
    assert [row[1].text for row in done.guards.rows] == ["holds it back", "allows"]
    assert done.parameters == ("etl.unit.chol = mmol/L",)


def test_what_is_free_and_unguarded_is_not_given_a_cost(action: alarms.Action) -> None:
    free = dataclasses.replace(
        action, kind=alarms.ActionKind.NOTIFY, guards=(), cost_micro_dollars=0
    )
    (done,) = views.actions([free], AT + 60)
    assert (done.cost, done.parameters, done.guards.rows) == ("", (), ())


def test_changes_long_before_are_left_out(group: alarms.SuperAlarm) -> None:
    events = [
        alarms.Event(event_id=str(at), at=AT - at, kind="run", subject="heart", message="ended")
        for at in (-7, 10, 7_200)
    ]
    told = [row[2].text for row in views.changes(events, group).rows]
    assert told == ["2.0 s after", "15 s before"]


def test_changes_link_to_what_changed(group: alarms.SuperAlarm, events: list[alarms.Event]) -> None:
    links = [row[1].href for row in views.changes(events, group).rows]
    assert links == ["/runs/r-1", "/plans/p-aaaaaaaa", "/plans/p-aaaaaaaa", "/fleet", ""]


def test_a_pipeline_at_risk_has_its_promise_and_its_newest_run(
    plan: plans.Plan, run: dispatches.Run, deployment: dispatches.Deployment
) -> None:
    spec = plan.request.pipelines[0]
    harmed = views.AtRisk(name="heart", spec=spec, run=run, plan=plan, deployment=deployment)
    (row,) = views.at_risk([harmed], AT).rows
    told = [cell.text for cell in row]
    assert told == [
        "heart",
        "unknown",
        "the wanted model",
        "r-1",
        "active",
        "14:14:20",
        "14:13:24",
        "99.0 %",
    ]


def test_a_model_that_is_not_the_wanted_one_is_a_warning(
    deployment: dispatches.Deployment,
) -> None:
    late = dataclasses.replace(deployment, serving=None)
    harmed = views.AtRisk(name="heart", spec=None, run=None, plan=None, deployment=late)
    (row,) = views.at_risk([harmed], AT).rows
    assert row[2] == cells.Cell("not the wanted model", tone=cells.Tone.WARN)


def test_of_an_unknown_pipeline_only_the_name_is_told() -> None:
    harmed = views.AtRisk(name="heart", spec=None, run=None, plan=None, deployment=None)
    (row,) = views.at_risk([harmed], AT).rows
    assert [cell.text for cell in row] == ["heart", *[NOTHING] * 7]


class TestReach:
    def test_it_goes_from_the_cause_over_what_is_alarmed_to_pipelines(
        self, group: alarms.SuperAlarm
    ) -> None:
        first = group.alarms[0]
        subjects = [f"task:heart/{name}" for name in "abcdefghijk"]
        more = [
            dataclasses.replace(first, alarm_id=each, subject=each, labels={"pipeline": "heart"})
            for each in subjects
        ]
        cause = dataclasses.replace(group.causes[0], subject="cluster:" + 40 * "c")
        wide = dataclasses.replace(group, alarms=tuple(more), causes=(cause,), pipelines=("heart",))
        found = reaches.reach(wide)
        assert found is not None
        kinds = [node.kind for node in found.nodes]
        assert kinds == ["cause", *["alarmed"] * 9, "pipeline"]
        assert found.nodes[0].text.endswith("…")
        assert found.nodes[9].text == "and 3 more"
        assert len(found.lines) == 9 + 8
        assert found.words.endswith("and 3 more; harmed or at risk: heart")

    def test_many_pipelines_are_counted_and_a_cause_without_subject_has_its_title(
        self, group: alarms.SuperAlarm
    ) -> None:
        cause = dataclasses.replace(group.causes[0], subject="", title="something else")
        pipelines = tuple(PipelineName(f"p{number}") for number in range(500))
        wide = dataclasses.replace(group, causes=(cause,), pipelines=pipelines)
        found = reaches.reach(wide)
        assert found is not None
        assert found.height == 9 * reaches.ROW
        assert found.nodes[-1].text == "and 492 more"
        assert found.words.startswith("something else reaches ")

    def test_what_harms_a_pipeline_at_once_is_one_line(self, group: alarms.SuperAlarm) -> None:
        first = dataclasses.replace(group.alarms[0], subject="feature:heart/chol")
        cause = dataclasses.replace(group.causes[0], subject="feature:heart/chol")
        small = dataclasses.replace(group, alarms=(first,), causes=(cause,), pipelines=("heart",))
        found = reaches.reach(small)
        assert found is not None
        assert (len(found.nodes), len(found.lines)) == (2, 1)
        alone = dataclasses.replace(small, pipelines=())
        assert reaches.reach(alone) is None
        assert reaches.reach(dataclasses.replace(small, causes=())) is None
