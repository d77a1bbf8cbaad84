from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from api.messages import problems
from engine.model import documents, plans
from tests.support.faces import AS_OF, PIPELINE

YAML = {"content-type": "application/yaml"}
JSON = {"content-type": "application/json"}
MAPPING = {
    "pipeline": "churn",
    "sla": {"deadline": "in 2 h"},
    "tasks": {"etl": {"kind": "etl", "volume": "1 GiB"}},
}


def planned(http: TestClient) -> str:
    response = http.post(f"/v1/plans?as_of={AS_OF}", content=PIPELINE, headers=YAML)
    assert response.status_code == 201, response.text
    return str(response.json()["plan_id"])


def test_a_plan_of_yaml_is_canonical_json_and_says_where_it_is(http: TestClient) -> None:
    response = http.post(f"/v1/plans?as_of={AS_OF}", content=PIPELINE, headers=YAML)
    plan = documents.decode(plans.Plan, response.content)
    assert documents.encode(plan) == response.text
    assert response.headers["location"] == f"/v1/plans/{plan.plan_id}"
    assert float(response.headers["berth-solved-seconds"]) > 0


def test_a_stored_plan_comes_back_byte_for_byte(http: TestClient) -> None:
    made = http.post(f"/v1/plans?as_of={AS_OF}", content=PIPELINE, headers=YAML)
    assert http.get(made.headers["location"]).content == made.content


def test_a_pipeline_as_json_and_in_an_envelope_give_the_same_plan(http: TestClient) -> None:
    alone = http.post(f"/v1/plans?as_of={AS_OF}", json=MAPPING)
    envelope = {"documents": [{"name": "the body", "mapping": MAPPING}], "as_of": AS_OF}
    assert http.post("/v1/plans", json=envelope).content == alone.content


def test_the_same_question_gives_the_same_bytes(http: TestClient) -> None:
    first = http.post(f"/v1/plans?as_of={AS_OF}&seed=5", json=MAPPING)
    assert http.post(f"/v1/plans?as_of={AS_OF}&seed=5", json=MAPPING).content == first.content


def test_whole_and_budget_stand_in_the_query_or_in_the_envelope(http: TestClient) -> None:
    query = f"as_of={AS_OF}&mode=most-sla&whole=true&budget_micro_dollars=0"
    alone = http.post(f"/v1/plans?{query}", json=MAPPING)
    envelope = {
        "documents": [{"name": "the body", "mapping": MAPPING}],
        "as_of": AS_OF,
        "mode": "most-sla",
        "whole": True,
        "budget_micro_dollars": 0,
    }
    assert http.post("/v1/plans", json=envelope).content == alone.content
    assert alone.json()["placement"]["unplaced"][0]["task"] == "etl"


@pytest.mark.parametrize(
    ("choices", "part"),
    [
        ({"budget_micro_dollars": 1}, "does not bind"),
        ({"budget_micro_dollars": -1}, "is -1"),
        ({"mode": "most-sla", "budget_micro_dollars": 10**15 + 1}, "is 1000000000000001"),
    ],
)
def test_a_budget_that_cannot_bind_is_refused(
    http: TestClient, choices: dict[str, object], part: str
) -> None:
    envelope = {"documents": [{"name": "the body", "mapping": MAPPING}], **choices}
    response = http.post("/v1/plans", json=envelope)
    assert response.status_code == 422
    assert part in response.json()["faults"][0]["message"]


@pytest.mark.parametrize("instant", ["nan", "inf", "1e400", "-1", "4102444800"])
def test_an_instant_that_is_none_is_refused_wherever_it_stands(
    http: TestClient, instant: str
) -> None:
    answers = [http.post(f"/v1/plans?as_of={instant}", json=MAPPING)]
    if instant not in {"nan", "inf"}:  # which JSON has no word for
        envelope = json.dumps({"documents": [{"name": "the body", "mapping": MAPPING}]})
        body = f'{envelope[:-1]}, "as_of": {instant}}}'
        answers.append(http.post("/v1/plans", content=body, headers=JSON))
    assert {response.status_code for response in answers} == {422}
    assert all("as_of" in response.text for response in answers)


def test_faults_of_yaml_come_as_a_problem_with_lines(http: TestClient) -> None:
    bad = PIPELINE.replace("kind: etl", "kin: etl").replace("budget", "bugdet")
    response = http.post("/v1/plans?name=churn.yaml", content=bad, headers=YAML)
    problem = response.json()
    assert response.headers["content-type"] == problems.MEDIA_TYPE
    assert (response.status_code, problem["document"]) == (422, "churn.yaml")
    assert {fault["line"] for fault in problem["faults"]} == {5, 7}
    assert problem["type"] == f"/help/{problem['code']}"


def test_a_pipeline_that_names_a_region_the_fleet_has_not_is_refused_in_its_line(
    http: TestClient,
) -> None:
    bad = PIPELINE.replace("budget: 5 USD per run", "regions: [mars]")
    fault = http.post("/v1/check", content=bad, headers=YAML).json()["faults"][0]
    assert (fault["code"], fault["line"]) == ("S016", 5)


def test_checking_returns_the_pipeline_as_it_was_understood(http: TestClient) -> None:
    checked = http.post("/v1/check", json={"documents": [{"name": "a", "text": PIPELINE}]}).json()
    assert [task["name"] for task in checked["pipelines"][0]["tasks"]] == ["etl", "train"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[1]", "application/json"),
        (b"\xff", "application/yaml"),
        (b"", "application/json"),
        (b'{"documents": "x"}', "application/json"),
        (b'{"documents": [], "mode": "least-cost"}', "application/json"),
        (b'{"documents": [], "colour": 1}', "application/json"),
        (b"[" * 100_000, "application/json"),
    ],
)
def test_a_bad_body_is_a_problem_with_faults(http: TestClient, content: bytes, kind: str) -> None:
    response = http.post("/v1/plans", content=content, headers={"content-type": kind})
    assert response.status_code == 422
    assert response.headers["content-type"] == problems.MEDIA_TYPE
    assert response.json()["faults"]


def test_a_wrong_query_is_a_problem_that_names_it(http: TestClient) -> None:
    problem = http.post("/v1/plans?seed=-1&mode=cheapest", json=MAPPING).json()
    assert {fault["path"] for fault in problem["faults"]} == {"query.seed", "query.mode"}


def test_a_body_above_the_limit_is_refused_before_it_is_read(http: TestClient) -> None:
    response = http.post("/v1/plans", content=b"x" * 5_000_000, headers=YAML)
    assert (response.status_code, response.json()["code"]) == (413, "H413")


def test_a_body_of_unknown_length_is_refused_when_it_passes_the_limit(http: TestClient) -> None:
    parts = (b"x" * 1_000_000 for _ in range(6))
    response = http.post("/v1/plans", content=parts, headers=YAML)
    assert (response.status_code, response.json()["code"]) == (413, "H413")


def test_plans_are_listed_newest_first(http: TestClient) -> None:
    older = http.post(f"/v1/plans?as_of={AS_OF}", json=MAPPING).json()["plan_id"]
    newer = http.post(f"/v1/plans?as_of={AS_OF + 60}", json=MAPPING).json()["plan_id"]
    assert [item["plan_id"] for item in http.get("/v1/plans").json()] == [newer, older]


def test_an_explanation_names_every_pool_once(http: TestClient) -> None:
    explained = http.get(f"/v1/plans/{planned(http)}/explain?task=train").json()
    assert sorted(v["cluster"] for v in explained[0]["verdicts"]) == ["far", "near"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/plans/p-none",
        "/v1/plans/p-none/explain",
        "/v1/plans/p-none/diff",
        "/v1/runs/r-9",
        "/v1/runs/r-9/attempts",
        "/v1/runs/r-9/logs/etl",
        "/v1/super-alarms/SA-9",
        "/v1/capacity/c-none",
        "/v1/status?name=ghost",
        "/help/X999",
        "/nowhere",
    ],
)
def test_what_is_not_there_is_a_problem_of_404(http: TestClient, path: str) -> None:
    response = http.get(path)
    assert (response.status_code, response.json()["kind"]) == (404, "not-found")
    assert response.headers["content-type"] == problems.MEDIA_TYPE


def test_a_task_that_is_not_in_the_plan_is_named_with_those_that_are(http: TestClient) -> None:
    problem = http.get(f"/v1/plans/{planned(http)}/explain?task=ghost").json()
    assert "etl, train" in problem["detail"]


def test_a_wrong_method_is_a_problem(http: TestClient) -> None:
    response = http.delete("/v1/plans")
    assert (response.status_code, response.json()["code"]) == (405, "H405")


def test_a_change_that_cannot_be_read_is_a_fault(http: TestClient) -> None:
    question = {"plan_id": planned(http), "changes": ["colour=blue"]}
    problem = http.post("/v1/what-if", json=question).json()
    assert problem["faults"][0]["code"] == "S002"


def test_what_if_makes_another_plan_that_can_be_compared(http: TestClient) -> None:
    before = planned(http)
    question = {"plan_id": before, "changes": ["cluster:near=down"]}
    after = http.post("/v1/what-if", json=question).json()["plan_id"]
    difference = http.get(f"/v1/plans/{after}/diff?against={before}").json()
    assert {task["change"] for task in difference["tasks"]} == {"moved"}


def test_wishes_that_clash_are_named_with_their_relaxations(http: TestClient) -> None:
    question = {"plan_id": planned(http), "changes": ["budget=0.000001 USD per run"]}
    response = http.post("/v1/what-if", json=question)
    assert (response.status_code, response.json()["kind"]) == (409, "infeasible")
    assert response.json()["clashes"]


def test_the_schema_of_the_pipeline_is_served(http: TestClient) -> None:
    assert "tasks" in http.get("/schema/pipeline.json").json()["properties"]
    assert http.get("/schema/fleet.json").json()["properties"]


def test_openapi_names_every_route_of_the_contract(http: TestClient) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    assert {"/v1/plans", "/v1/what-if", "/v1/plans/{plan_id}/apply", "/v1/events"} <= paths.keys()


def test_the_page_of_a_code_is_served_as_text(http: TestClient) -> None:
    assert http.get("/help/S012").text.startswith("S012: ")


def test_a_capacity_report_needs_demand(http: TestClient) -> None:
    assert http.post("/v1/capacity", json={}).json()["faults"][0]["code"] == "U013"
    wrong = http.post("/v1/capacity", content="a: 1", headers=YAML)
    assert wrong.json()["code"] == "S001"


@pytest.mark.parametrize(
    ("body", "why"),
    [("[" * 100_000, "nested too deeply"), ('{"a": 1' + "0" * 5_000 + "}", "digits")],
)
def test_what_a_body_cannot_hold_is_named(http: TestClient, body: str, why: str) -> None:
    assert why in http.post("/v1/capacity", content=body).json()["faults"][0]["message"]


def test_a_capacity_report_is_kept(http: TestClient) -> None:
    hours = (f"2026-01-{day:02d}T{hour:02d}:00Z" for day in range(1, 15) for hour in range(24))
    rows = [f"{at},{10 + index % 24}" for index, at in enumerate(hours)]
    question = {"demand": "\n".join(["hour,A100", *rows]), "horizon_hours": 24, "source": "test"}
    made = http.post("/v1/capacity", json=question)
    assert made.status_code == 201, made.text
    kept = http.get(f"/v1/capacity/{made.json()['report_id']}")
    assert json.loads(kept.content) == made.json()


def test_a_sweep_answers_for_each_value_with_a_plan_that_is_kept(http: TestClient) -> None:
    question = {"plan_id": planned(http), "sweep": "deadline=in 1 h..in 3 h/1 h"}
    response = http.post("/v1/sweep", json=question)
    points = response.json()["points"]
    assert [point["value"] for point in points] == ["in 1 h", "in 2 h", "in 3 h"]
    assert all(http.get(f"/v1/plans/{point['plan_id']}").status_code == 200 for point in points)


def test_a_sweep_that_cannot_be_read_is_a_problem(http: TestClient) -> None:
    question = {"plan_id": planned(http), "sweep": "deadline"}
    assert http.post("/v1/sweep", json=question).json()["code"] == "S021"
