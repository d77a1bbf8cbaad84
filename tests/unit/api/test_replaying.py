"""A replay runs recorded signals and alerts through the engine's own loop, always alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alarms.intake.recorded import read_recording
from api.cli import main
from engine.model.errors import InvalidInputError

ALERTS = [
    {
        "labels": {"alertname": "Slow", "service": f"s{n}", "cluster": "eu-1", "severity": "page"},
        "startsAt": f"2026-11-22T09:41:0{n}Z",
        "endsAt": "2026-11-22T09:50:00Z",
    }
    for n in range(3)
]
SIGNAL = {"name": "x", "layer": "serving", "subject": "model:p", "at": 1_790_000_000.0, "value": 1}


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main.application()(list(words), prog_name="berth")
    return int(ended.value.code or 0), capsys.readouterr().out


def replayed(capsys: pytest.CaptureFixture[str], folder: Path, text: str, *more: str) -> str:
    (folder / "recorded").write_text(text)
    home = ("--home", str(folder / "home"))
    code, printed = run(capsys, "alarms", "replay", str(folder / "recorded"), *home, *more)
    assert code == 0
    return printed


def test_a_replay_is_the_same_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "\n".join(json.dumps(one) for one in [*ALERTS, SIGNAL])
    first = replayed(capsys, tmp_path, lines, "--json")
    assert first == replayed(capsys, tmp_path, lines, "--json")
    groups = [one for one in json.loads(first) if isinstance(one["alarms"], list)]
    assert [(len(one["alarms"]), one["state"]) for one in groups] == [(3, "resolved")]


def test_alerts_that_come_again_are_one_super_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = [
        {**one, "startsAt": f"2026-11-22T{hour}:00Z", "endsAt": f"2026-11-22T{hour}:50Z"}
        for one in ALERTS
        for hour in ("09:41", "09:55", "10:10", "11:00")
    ]
    lines = "\n".join(json.dumps(one) for one in again)
    first = replayed(capsys, tmp_path, lines, "--json")
    assert first == replayed(capsys, tmp_path, lines, "--json")
    groups = [one for one in json.loads(first) if isinstance(one["alarms"], list)]
    assert [one["times"] for one in groups] == [3, 1], "the last one comes too late"
    assert len(groups[0]["earlier"]) == 2
    assert "open (3)" in replayed(capsys, tmp_path, lines)


def test_a_list_of_alerts_is_replayed_as_lines_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "\n".join(json.dumps(one) for one in ALERTS)
    whole = json.dumps(ALERTS, indent=1)
    assert replayed(capsys, tmp_path, lines) == replayed(capsys, tmp_path, whole)
    assert "1 super-alarm from 3 alerts" in replayed(capsys, tmp_path, whole)
    assert replayed(capsys, tmp_path, whole, "-q").startswith("SA-")


def test_rules_change_a_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "rules:\n- {name: n, veto: true, when: alarm.signal == 'Slow', by: me, because: noise}\n"
    )
    text = replayed(capsys, tmp_path, json.dumps(ALERTS), "--rules", str(rules))
    assert text.startswith("0 super-alarms")


def test_notifications_and_events_are_replayed() -> None:
    webhook = {"version": "4", "alerts": [{**ALERTS[0], "status": "resolved"}]}
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    timed = {**event, "received_at": 5.0}
    lines = "\n".join(json.dumps(one) for one in [webhook, timed])
    found = read_recording(lines, "r")
    assert [at for at, _ in found.alerts] == [5.0, 1795340460.0, 1795341000.0]
    assert found.begins_at == 5.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[3]",
        '{"a": 1}\n{"b": 2}',
        json.dumps({"labels": {"a": "b"}}),
        json.dumps({"labels": {"a": "b"}, "received_at": "noon"}),
        json.dumps({**SIGNAL, "at": "soon"}),
    ],
)
def test_what_cannot_be_replayed_is_named(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read_recording(text, "r")


def test_rules_are_tested_by_their_file_and_on_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, recorded = tmp_path / "rules.yaml", tmp_path / "recorded"
    rules.write_text(
        """
rules:
- {name: low, raise: warning, when: signal.value < 2.0, by: me, because: it is low}
- {name: cart, lower: info, when: alarm.signal == 'Slow', by: me, because: known}
tests:
- {name: high is fine, signal: {name: x, value: 3}, expect: nothing}
- {name: low is not, signal: {value: 1.0}, expect: warning}
- {name: cart is known, alarm: {signal: Slow, severity: critical}, expect: info}
"""
    )
    recorded.write_text("\n".join(json.dumps(one) for one in [*ALERTS, SIGNAL]))
    code, text = run(capsys, "rules", "test", str(rules), "--recorded", str(recorded))
    assert (code, "3 of 3 tests hold" in text) == (0, True)
    assert "cart\tlower\t3" in text
    assert "low\traise\t1" in text
    rules.write_text(rules.read_text().replace("expect: info", "expect: critical"))
    code, text = run(capsys, "rules", "test", str(rules), "--json")
    assert code == 1
    assert [one["holds"] for one in json.loads(text)["tests"]] == [True, True, False]


@pytest.mark.parametrize(
    "test",
    [
        "{name: a, expect: info}",
        "{name: a, signal: {value: x}, expect: info}",
        "{name: a, alarm: {severity: odd}, expect: info}",
        "{name: a, alarm: {layer: odd}, expect: info}",
        "{name: a, alarm: {subject: 3}, expect: info}",
        "{name: a, alarm: {value: [1]}, expect: info}",
        "{name: a, alarm: {valeu: 1}, expect: info}",
        "{name: a, alarm: {}, expect: loud}",
        "3",
    ],
)
def test_faults_of_tests_are_faults_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], test: str
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"tests:\n- {test}\n")
    assert run(capsys, "rules", "test", str(rules))[0] == 2
