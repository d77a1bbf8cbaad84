"""Profiles, forecasts and what was learned: by command line, REST and Python client alike."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.cli import main
from api.client import Client
from api.messages import questions
from tests.support.faces import PIPELINE

DAYS = 12


@pytest.fixture
def demand() -> str:
    rows = (
        f"{hour},{50 + 20 * math.sin(hour / 24 * math.tau) + hour % 5:.2f},{hour % 3}"
        for hour in range(DAYS * 24)
    )
    return "\n".join(["hour,A100,T4", *rows]) + "\n"


@pytest.fixture
def planned(http: TestClient) -> TestClient:
    """The API after one plan."""
    yaml = {"content-type": "application/yaml"}
    assert http.post("/v1/plans", content=PIPELINE, headers=yaml).status_code == 201
    return http


def run_cli(*arguments: str) -> int:
    """Run the command line in this process and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main.application()(list(arguments), prog_name="berth")
    return int(str(ended.value.code or 0))


def test_a_planned_task_is_profiled_anew_with_its_grounds(planned: TestClient) -> None:
    found = planned.get("/v1/profiles", params={"task": "etl"}).json()
    assert (found["task"], found["runs"]) == ("etl", [])
    grounds = found["profile"]["evidence"]["grounds"]
    assert {item["quantity"] for item in grounds} >= {"duration", "memory"}


def test_a_task_that_nothing_has_is_not_found(planned: TestClient) -> None:
    answer = planned.get("/v1/profiles", params={"task": "nothing"})
    assert answer.status_code == 404
    assert "no plan and no run has a task 'nothing'" in answer.json()["detail"]


def test_tasks_are_profiled_without_a_plan(http: TestClient, client: Client) -> None:
    document = {"text": PIPELINE, "name": "churn.yaml"}
    found = http.post("/v1/profiles", json={"documents": [document], "task": "etl"}).json()
    assert [(each["task"], each["runs"]) for each in found] == [("etl", [])]
    assert found[0]["profile"]["duration_seconds"]["p50"] > 0
    assert http.get("/v1/plans").json() == []
    asked = questions.ProfilesQuestion(documents=(questions.Document(**document),))
    assert len(client.engine.profiles(asked)) > 1
    answer = http.post("/v1/profiles", json={"documents": [document], "task": "nothing"})
    assert answer.status_code == 404
    assert "no pipeline has a task 'nothing'; there are etl" in answer.json()["detail"]


def test_demand_that_is_sent_is_forecast(http: TestClient, demand: str) -> None:
    question = {"demand": demand, "pool": "A100", "horizon_hours": 48}
    (fan,) = http.post("/v1/forecast", json=question).json()
    assert fan["forecast"]["pool"] == "A100"
    assert len(fan["forecast"]["hours"]) == 48
    assert len(fan["history"]) == DAYS * 24


def test_a_pool_that_is_not_there_is_named_with_those_that_are(
    http: TestClient, demand: str
) -> None:
    answer = http.post("/v1/forecast", json={"demand": demand, "pool": "H100"})
    assert answer.status_code == 404
    assert "it has A100, T4" in answer.json()["detail"]


def test_totals_are_forecast_beside_their_parts_and_add_up(http: TestClient, demand: str) -> None:
    question = {"demand": demand, "horizon_hours": 24, "totals": {"all": ["A100", "T4"]}}
    fans = http.post("/v1/forecast", json=question).json()
    medians = [fan["forecast"]["hours"][5]["p50"] for fan in fans]
    assert [fan["forecast"]["pool"] for fan in fans] == ["A100", "T4", "all"]
    assert medians[2] == pytest.approx(medians[0] + medians[1])
    (only,) = http.post("/v1/forecast", json={**question, "pool": "all"}).json()
    assert only == fans[2]


def test_without_demand_there_is_nothing_to_forecast(http: TestClient) -> None:
    answer = http.post("/v1/forecast", json={})
    assert (answer.status_code, answer.json()["code"]) == (422, "U013")


def test_nothing_is_learned_of_too_few_runs(http: TestClient) -> None:
    assert http.get("/v1/learning").json()["in_force"] == 0
    assert http.post("/v1/learning/refit").status_code == 404
    answer = http.post("/v1/learning/rollback")
    assert (answer.status_code, answer.json()["code"]) == (409, "G001")


def test_the_client_gets_the_same_values(planned: TestClient, client: Client, demand: str) -> None:
    assert planned.get("/v1/learning").status_code == 200
    assert client.engine.task_history("etl").profile is not None
    assert client.engine.learning().versions == ()
    question = questions.ForecastQuestion(demand=demand, pool="T4", horizon_hours=24)
    (fan,) = client.engine.forecast(question)
    assert fan.forecast.pool == "T4"


class TestCommands:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Each command works in a folder of its own."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "churn.yaml").write_text(PIPELINE)
        return tmp_path

    def test_a_forecast_is_printed_and_drawn(
        self, folder: Path, demand: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "demand.csv").write_text(demand)
        asked = ("forecast", "demand.csv", "--pool", "A100", "--horizon", "2d", "--svg", "a.svg")
        assert run_cli(*asked) == 0
        said = capsys.readouterr().out
        assert said.startswith("A100: demand in GPUs for 2 d")
        assert "MASE" in said
        assert (folder / "a.svg").read_text().startswith("<svg")

    def test_a_total_is_named_with_its_parts(
        self, folder: Path, demand: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "demand.csv").write_text(demand)
        asked = ("forecast", "demand.csv", "--horizon", "1d", "--total")
        assert run_cli(*asked, "all=A100", "--total", "all=T4", "--pool", "all") == 0
        assert "moved to add up" in capsys.readouterr().out
        assert run_cli(*asked, "all=H100") == 2
        assert "'H100' is no series to add up; there are A100, T4, all" in capsys.readouterr().err
        for nothing in ("all", "=A100", "all=,"):
            assert run_cli(*asked, nothing) == 2
            assert "write `--total NAME=POOL,POOL`" in capsys.readouterr().err

    def test_an_empty_file_is_not_taken_for_none(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "demand.csv").write_text("")
        assert run_cli("forecast", "demand.csv") == 2
        assert "the file is empty" in capsys.readouterr().err

    def test_a_pipeline_is_not_taken_for_demand(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_cli("forecast", "churn.yaml") == 2
        assert "--show-profile" in capsys.readouterr().err

    def test_a_plan_shows_the_profile_of_a_task(self, capsys: pytest.CaptureFixture[str]) -> None:
        run_cli("plan", "churn.yaml", "--show-profile", "etl", "--json")
        (profile,) = json.loads(capsys.readouterr().out)
        assert profile["task"] == "etl"
        run_cli("profile", "etl", "--history")
        said = capsys.readouterr().out
        assert "duration: preset" in said
        assert "It has not run yet" in said

    def test_a_plan_that_cannot_be_shows_the_profile_all_the_same(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        huge = PIPELINE.replace("kind: etl", "kind: etl, memory: 60 TiB")
        assert huge != PIPELINE
        (folder / "huge.yaml").write_text(huge)
        assert run_cli("plan", "huge.yaml", "--show-profile", "etl") == 4
        said = capsys.readouterr()
        assert "etl, runs on CPU" in said.out
        assert "S020" in said.err
        assert run_cli("plan", "huge.yaml", "--show-profile", "etl", "--json") == 4
        (profile,) = json.loads(capsys.readouterr().out)
        assert profile["task"] == "etl"
        assert run_cli("plan", "huge.yaml", "--show-profile", "nothing") == 2

    def test_what_was_learned_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_cli("learning") == 0
        assert "no version is in force" in capsys.readouterr().out
        assert run_cli("learning", "rollback", "--yes") == 1
        assert run_cli("learning", "forget") == 2
