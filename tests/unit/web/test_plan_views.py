"""Plans as pages show them."""

import dataclasses

from api.web import cells
from api.web.views import plans as views
from engine.model import plans


def texts(content: cells.Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in content.rows]


def test_every_task_has_a_row_and_serving_is_priced_by_the_hour(plan: plans.Plan) -> None:
    rows = texts(views.assignments(plan))
    assert [row[0] for row in rows] == ["etl", "serve", "huge"]
    assert rows[1][6].endswith("/h")


def test_a_task_that_was_not_placed_says_what_binds(plan: plans.Plan) -> None:
    row = views.assignments(plan).rows[2]
    assert row[1] == cells.Cell("not placed", tone=cells.Tone.BAD)
    assert row[-1].text == "memory: needs 71 GiB, has 40"


def test_several_nodes_are_counted(plan: plans.Plan) -> None:
    one = dataclasses.replace(plan.placement.assignments[0], node_count=3)
    placement = dataclasses.replace(plan.placement, assignments=(one,))
    rows = texts(views.assignments(dataclasses.replace(plan, placement=placement)))
    assert rows[0][2] == "3 x m5.large"


def test_promises_say_what_was_asked_and_what_is_forecast(plan: plans.Plan) -> None:
    assert ("heart: deadline kept with probability", "0.990 (asked 0.95)") in views.promises(plan)


def test_without_a_deadline_no_probability_is_shown(plan: plans.Plan) -> None:
    promise = dataclasses.replace(plan.placement.promises[0], keep_forecast=None)
    placement = dataclasses.replace(plan.placement, promises=(promise,))
    pairs = views.promises(dataclasses.replace(plan, placement=placement))
    assert [name for name, _ in pairs if "probability" in name] == []


def test_each_candidate_has_its_verdict(plan: plans.Plan) -> None:
    (reason,) = views.reasons(plan)
    verdicts = [(row[0].text, row[2].text, row[5].text) for row in reason.candidates.rows]
    assert verdicts == [
        ("eu-1/cpu", "chosen", "\u2013"),
        ("eu-1/gpu", "possible", "+ $0.001"),
        ("eu-1/small", "ruled out", "\u2013"),
    ]


def test_break_evens_of_each_kind_are_sentences(plan: plans.Plan) -> None:
    price, deadline, memory = views.reasons(plan)[0].break_evens
    assert "cost under $0.00003" in price
    assert "deadline were before 1970-01-01 00:00:30" in deadline
    assert "needed under 30 GiB" in memory


def test_evidence_names_runs_error_and_coverage(plan: plans.Plan) -> None:
    assert views.reasons(plan)[0].evidence == (
        "Forecast from own runs; 3 runs, nearest heart/etl; median off by 10.0 % in the "
        "back-test; P95 covered 90.0 %; few runs."
    )


def test_the_list_links_to_each_plan(plan: plans.Plan) -> None:
    assert views.plan_list([plan]).rows[0][0].href == "/plans/p-aaaaaaaa"
