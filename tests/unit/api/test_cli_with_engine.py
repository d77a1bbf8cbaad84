"""Commands against an application behind a real server; its loops do not run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from api.cli import main
from api.client.remote import Remote
from api.wiring import Application
from engine.model import alarms, records
from engine.model.errors import NotFoundError
from engine.model.signals import Layer, Signal

Berth = Callable[..., tuple[int, str, str]]


@pytest.fixture
def berth(served: str, capsys: pytest.CaptureFixture[str]) -> Berth:
    """Runs a command against the server; returns exit code, results and talk."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main.application()([*arguments, "--url", served], prog_name="berth")
        return int(str(ended.value.code or 0)), *capsys.readouterr()

    return run


@pytest.fixture
def plan_id(berth: Berth, pipeline_file: Path) -> str:
    return berth("plan", str(pipeline_file), "-q")[1].strip()


@pytest.fixture
def group(application: Application) -> str:
    alarm = alarms.Alarm(
        alarm_id="a-1",
        series="model:churn|quality",
        subject="model:churn",
        signal="quality",
        layer=Layer.SERVING,
        at=application.parts.clock.now(),
        value=0.5,
        unit="",
        test="proportion",
        statistic=4.0,
        p_value=0.001,
        expected_low=0.8,
        expected_high=0.9,
        severity=alarms.Severity.CRITICAL,
    )
    stored = alarms.SuperAlarm(
        super_alarm_id="SA-1",
        title="quality fell",
        severity=alarms.Severity.CRITICAL,
        state=alarms.SuperAlarmState.OPEN,
        opened_at=alarm.at,
        updated_at=alarm.at,
        alarms=(alarm,),
        aliases=("SA-0",),
    )
    application.parts.ledger.commit("test", [records.Put(records.SUPER_ALARMS, stored)])
    return "SA-1"


def test_signals_are_listed_with_their_newest_value(berth: Berth, application: Application) -> None:
    assert "Nothing was measured lately" in berth("signals")[1]
    now = application.parts.clock.now()
    measured = [
        Signal(name=name, layer=layer, subject="machine:m", at=at, value=value, unit="GiB")
        for name, layer, at, value in (
            ("disk_gib_free", Layer.MACHINE, now - 7_000.0, 31.0),
            ("disk_gib_free", Layer.MACHINE, now - 60.0, 30.5),
            ("loss", Layer.TRAINING, now - 50.0, 0.25),
        )
    ]
    puts = [records.Put(records.SIGNALS, signal) for signal in measured]
    application.parts.ledger.commit("test", puts)
    assert berth("signals", "-q")[1] == "machine:m|disk_gib_free\nmachine:m|loss\n"
    text = berth("signals")[1]
    assert ("30.5" in text, "31" in text) == (True, False)
    text = berth("signals", "machine:m|disk_gib_free", "--hours", "3")[1]
    assert text.index("31") < text.index("30.5")
    assert len(json.loads(berth("signals", "--json")[1])) == 2
    code, _, talk = berth("signals", "machine:m|heat")
    assert (code, "no value of 'machine:m|heat'" in talk) == (2, True)


def test_check_says_which_data_is_not_there(berth: Berth, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("pipeline: a\ntasks:\n  etl: {kind: etl, reads: ghost.csv}\n")
    code, out, talk = berth("check", str(path))
    assert (code, "a, 1 task, no fault" in out) == (0, True)
    assert "ghost.csv" in talk


def test_a_run_is_applied_listed_and_called_off(berth: Berth, plan_id: str) -> None:
    assert "runs as r-1" in berth("apply", plan_id, "--yes")[1]
    assert berth("runs", "-q")[1] == "r-1\n"
    assert "churn" in berth("runs")[1]
    assert berth("status", "-q")[1] == "r-1 active\n"
    assert "would call off" in berth("cancel", "r-1", "--dry-run")[1]
    assert berth("cancel", "r-1", "--yes", "-q")[1] == "r-1\n"
    assert berth("watch", "r-1")[0] == 1


def test_answers_of_an_engine_are_json_too(berth: Berth, plan_id: str, group: str) -> None:
    for arguments in (
        ("apply", plan_id, "--yes"),
        ("status",),
        ("runs",),
        ("alarms",),
        ("alarms", "show", group),
        ("ack", group),
        ("doctor",),
        ("cancel", "r-1", "--yes"),
        ("watch", "r-1"),
        ("cluster", "restore", "near"),
    ):
        json.loads(berth(*arguments, "--json")[1])


def test_a_plan_can_be_applied_again_on_purpose(berth: Berth, plan_id: str) -> None:
    berth("apply", plan_id, "--yes")
    berth("cancel", "r-1", "--yes")
    assert "runs as r-2" in berth("apply", plan_id, "--yes", "--again")[1]


def test_a_file_is_no_plan(berth: Berth, tmp_path: Path) -> None:
    code, _, talk = berth("apply", str(tmp_path / "churn.yaml"), "--yes")
    assert (code, "that is no id of one" in talk, "berth plan FILE" in talk) == (2, True, True)


def test_without_a_terminal_nobody_is_asked(berth: Berth, plan_id: str) -> None:
    code, _, talk = berth("apply", plan_id)
    assert (code, "error[U002]" in talk) == (1, True)


def test_an_explanation_says_what_a_waiting_task_waits_for(berth: Berth, plan_id: str) -> None:
    berth("apply", plan_id, "--yes")
    assert "It waits for: waits for etl" in berth("explain", plan_id, "train")[1]


def test_a_super_alarm_is_listed_shown_taken_and_silenced(berth: Berth, group: str) -> None:
    assert "quality fell" in berth("alarms")[1]
    assert "model:churn|quality" in berth("alarms", "show", "SA-0")[1]
    assert "would be acknowledged" in berth("ack", group, "--dry-run")[1]
    assert "SA-1 is acknowledged" in berth("ack", group)[1]
    assert "would be silenced" in berth("silence", group, "2h", "--because", "x", "--dry-run")[1]
    assert "SA-1 is silenced until" in berth("silence", group, "2h", "--because", "vendor")[1]
    assert berth("alarms", "-q")[1] == "SA-1\n"


def test_an_unknown_super_alarm_names_those_there_are(berth: Berth, group: str) -> None:
    code, _, talk = berth("alarms", "show", "SA-9")
    assert (code, "the newest are SA-1" in talk) == (2, True)


def test_a_fleet_of_ones_own_is_not_used_by_a_running_engine(berth: Berth) -> None:
    assert "--fleet is not used" in berth("fleet", "--fleet", "mine.yaml")[2]


def test_a_cluster_can_be_failed_in_an_exercise(berth: Berth) -> None:
    assert "would fail" in berth("cluster", "fail", "near", "--dry-run")[1]
    assert berth("cluster", "fail", "near", "--yes", "-q")[1] == "near\n"
    code, out, _ = berth("doctor")
    assert (code, "cluster near\tILL" in out) == (5, True)


def test_attempts_and_logs_that_are_not_there_are_not_found(
    berth: Berth, plan_id: str, served: str
) -> None:
    berth("apply", plan_id, "--yes")
    engine = Remote(served)
    assert engine.attempts("r-1") == ()
    assert engine.run("r-1").pipeline == "churn"
    with pytest.raises(NotFoundError, match="no attempt of task 'etl'"):
        engine.log("r-1", "etl")
    engine.close()


def test_the_stream_of_changes_begins_at_once(served: str) -> None:
    engine = Remote(served)
    lines = engine.events()
    assert next(lines).startswith("retry:")
    engine.close()


def test_progress_that_an_engine_does_not_show_is_told(berth: Berth, plan_id: str) -> None:
    code, _, talk = berth("what-if", plan_id, "--demand", "x1.5", "--progress")
    assert code == 0
    assert "note: the running engine searches" in talk
