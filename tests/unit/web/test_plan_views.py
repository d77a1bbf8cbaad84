"""Plans as pages show them."""

import dataclasses

import pytest

from api.report import explanations
from api.web import cells
from api.web.views import plans as views
from engine.model import plans
from engine.model.identifiers import TaskName

NOTHING = "\u2013"


def texts(content: cells.Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in content.rows]


def changed(plan: plans.Plan, **fields: object) -> plans.Plan:
    return dataclasses.replace(plan, placement=dataclasses.replace(plan.placement, **fields))


def test_every_task_has_a_row_and_serving_is_priced_by_the_hour(plan: plans.Plan) -> None:
    rows = texts(views.assignments(plan))
    assert [row[0] for row in rows] == ["etl", "serve", "huge"]
    assert rows[1][6].endswith("/h")


def test_tasks_stand_in_the_order_of_the_pipeline(plan: plans.Plan) -> None:
    backwards = changed(plan, assignments=tuple(reversed(plan.placement.assignments)))
    assert texts(views.assignments(backwards)) == texts(views.assignments(plan))


def test_a_task_that_was_not_placed_says_what_binds(plan: plans.Plan) -> None:
    row = views.assignments(plan).rows[2]
    assert row[1] == cells.Cell("not placed", tone=cells.Tone.BAD)
    assert row[-1].text == "memory: needs 71 GiB, has 40"


def test_several_nodes_are_counted(plan: plans.Plan) -> None:
    one = dataclasses.replace(plan.placement.assignments[0], node_count=3)
    row = views.assignments(changed(plan, assignments=(one,))).rows[0]
    assert row[1].note == "3 \N{MULTIPLICATION SIGN} m5.large"


def test_bars_reach_from_the_start_to_p95_and_serving_to_the_end(plan: plans.Plan) -> None:
    etl, serve, unplaced = (row[2].bar for row in views.assignments(plan).rows)
    assert etl == cells.Bar(0.0, 100.0, 0.0)
    assert serve == cells.Bar(0.0, 100.0)
    assert unplaced is None


def test_tasks_of_several_pipelines_have_their_pipeline_before_them(plan: plans.Plan) -> None:
    other = dataclasses.replace(plan.request.pipelines[0], name="lung")
    request = dataclasses.replace(plan.request, pipelines=(*plan.request.pipelines, other))
    both = dataclasses.replace(plan, request=request)
    assert texts(views.assignments(both))[0][0] == "heart/etl"
    assert views.title(both) == "heart, lung: 4 tasks, one of them serving"


def test_a_plan_in_the_middle_of_a_run_says_how_many_tasks_ended(plan: plans.Plan) -> None:
    done = {plan.request.pipelines[0].name: (TaskName("etl"),)}
    later = dataclasses.replace(plan, request=dataclasses.replace(plan.request, done=done))
    assert views.title(later) == "heart: 2 tasks, one of them serving, 1 ended already"


def test_candidates_of_a_serve_task_are_priced_by_the_hour(plan: plans.Plan) -> None:
    etl, serve = plan.placement.assignments
    assert explanations.cost(48_000, etl) == "$0.048"
    assert explanations.cost(48_000, serve) == "$0.048/h"
    assert explanations.cost(None, serve) == NOTHING


def test_promises_say_what_was_asked_and_what_is_forecast(plan: plans.Plan) -> None:
    pairs = views.promises(plan)
    assert ("Deadline kept with probability", "99.0 %, asked 95 %") in pairs
    assert ("Deadline", "14:14:20, 1 min after the plan") in pairs
    assert ("Best possible", "within 1.7 %") in pairs


def test_without_a_deadline_no_probability_is_shown(plan: plans.Plan) -> None:
    promise = dataclasses.replace(plan.placement.promises[0], keep_forecast=None)
    pairs = views.promises(changed(plan, promises=(promise,)))
    assert [name for name, _ in pairs if "probability" in name] == []


def test_a_promise_about_serving_has_latency_and_availability(plan: plans.Plan) -> None:
    promise = dataclasses.replace(
        plan.placement.promises[0],
        deadline_seconds=None,
        latency_ms_p99=45.8,
        availability=0.9985,
    )
    pairs = dict(views.promises(changed(plan, promises=(promise,), optimal=True)))
    assert (pairs["Latency, P99"], pairs["Availability"]) == ("45.8 ms", "99.85 %")
    assert (pairs["Best possible"], pairs["Deadline"]) == ("proven", NOTHING)


def test_a_run_alone_has_no_price_by_the_hour(plan: plans.Plan) -> None:
    promise = dataclasses.replace(plan.placement.promises[0], serving_micro_dollars_per_hour=0)
    names = [name for name, _ in views.promises(changed(plan, promises=(promise,)))]
    assert "Serving costs" not in names


@pytest.mark.parametrize(
    ("probability", "told"), [(0.99999, "over 99.9 %"), (0.95, "95.0 %"), (None, NOTHING)]
)
def test_what_is_not_certain_is_not_told_as_certain(probability: float | None, told: str) -> None:
    assert views.chance(probability) == told


def test_each_candidate_has_its_verdict_and_the_limit_that_binds(plan: plans.Plan) -> None:
    (reason,) = views.reasons(plan)
    assert [row[:4] for row in texts(reason.candidates)] == [
        ["eu-1/cpu", "chosen", "cheapest", NOTHING],
        ["eu-1/gpu", "possible", "costs 2 % more", "+ $0.001"],
        ["eu-1/small", "ruled out", "memory: needs 71 GiB, has 40", NOTHING],
    ]


def test_other_limits_stand_behind_the_one_that_binds(plan: plans.Plan) -> None:
    (one,) = plan.placement.explanations
    refused = one.verdicts[2]
    both = dataclasses.replace(refused, also=(refused.binding,))
    explained = changed(plan, explanations=(dataclasses.replace(one, verdicts=(both,)),))
    because = views.reasons(explained)[0].candidates.rows[0][2]
    assert because.note == "also memory: needs 71 GiB, has 40"


def test_break_evens_of_each_kind_are_conditions(plan: plans.Plan) -> None:
    price, deadline, memory = views.reasons(plan)[0].turning_points
    assert price == "eu-1/gpu cost under $0.00003/h"
    assert deadline.startswith("the deadline were before 1970-01-01 00:00:30")
    assert memory == "memory were under 30 GiB (to eu-1/gpu)"


def test_evidence_names_runs_and_coverage(plan: plans.Plan) -> None:
    evidence = views.reasons(plan)[0].evidence
    assert "from own runs, 3 like runs (nearest: heart/etl, 1.0 s)" in evidence
    assert "P95 covers 90 % of them. Few runs." in evidence


def test_the_profile_has_duration_and_what_is_used(plan: plans.Plan) -> None:
    profile = views.reasons(plan)[0].profile
    assert [name for name, _ in profile.head] == ["Needs", "P50", "P80", "P90", "P95", "P99"]
    assert [row[0] for row in texts(profile)] == ["duration", "memory"]


def test_a_serving_task_has_no_duration(plan: plans.Plan) -> None:
    profile = dataclasses.replace(plan.profiles["heart/etl"], duration_seconds=None)
    served = dataclasses.replace(plan, profiles={"heart/etl": profile})
    assert [row[0] for row in texts(views.reasons(served)[0].profile)] == ["memory"]


def test_a_task_without_a_place_still_says_why(plan: plans.Plan) -> None:
    (reason,) = views.reasons(changed(plan, assignments=()))
    assert (reason.place, reason.sentence) == ("not placed", "etl was not placed.")


def test_limits_are_counted(plan: plans.Plan) -> None:
    assert views.limits(plan) == "Candidates ruled out: 1 by memory."
    assert views.limits(changed(plan, explanations=())) == "No candidate was ruled out."


def test_the_list_links_to_each_plan_and_marks_what_is_missing(plan: plans.Plan) -> None:
    (row,) = views.plan_list([plan], plan.request.as_of).rows
    assert row[0].href == "/plans/p-aaaaaaaa"
    assert row[3] == cells.Cell("least-cost, 1 not placed", tone=cells.Tone.BAD)


def test_a_plan_without_deadlines_promises_no_probability(plan: plans.Plan) -> None:
    bare = changed(plan, promises=(), unplaced=())
    (row,) = views.plan_list([bare], plan.request.as_of).rows
    assert (row[3].text, row[6].text) == ("least-cost", NOTHING)


def test_sharing_says_what_it_saves(plan: plans.Plan) -> None:
    assert texts(views.sharing(plan)) == [["eu-1/cpu", "2", "1", "etl, serve"]]
