from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from api.cli import main
from tests.support.faces import FLEET, PIPELINE

Berth = Callable[..., int]


@pytest.fixture
def berth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Berth:
    """Runs a command in this process, in a folder of its own with a fleet; no engine runs."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BERTH_")]:
        monkeypatch.delenv(name)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "churn.yaml").write_text(PIPELINE)

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main.application()(list(arguments), prog_name="berth")
        return int(str(ended.value.code or 0))

    return run


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


@pytest.fixture
def plan_id(berth: Berth, said: Callable[[], str]) -> str:
    assert berth("plan", "churn.yaml", "--quiet") == 0
    return said().strip()


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    heavy = "pydantic fastapi ortools numpy sqlalchemy httpx rich engine"
    program = (
        "import sys\nfrom api.cli import main\n"
        "try:\n    main.application()(['--help'], prog_name='berth')\n"
        "except SystemExit:\n    pass\n"
        f"loaded = sorted(set('{heavy}'.split()) & set(sys.modules))\nprint('heavy:', loaded)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "heavy: []" in done.stdout
    for name in ("plan", "explain", "apply", "status", "alarms", "capacity", "doctor", "demo"):
        assert f"\n  {name} " in done.stdout
    assert "\nOn call:\n" in done.stdout
    assert done.stdout.count("...") == 1, "beside `[ARGS]...`, the sentence about a command is cut"
    assert "\nMore:\n" not in done.stdout, "a command stands in no section of the help"


def test_a_plan_is_made_without_an_engine(berth: Berth, said: Callable[[], str]) -> None:
    assert berth("plan", "churn.yaml") == 0
    text = said()
    assert "churn: 2 tasks, deadline" in text
    assert "Next:  berth explain p-" in text


def test_a_plan_can_be_asked_about_afterwards(
    berth: Berth, said: Callable[[], str], plan_id: str
) -> None:
    assert berth("explain", plan_id, "train") == 0
    assert "near/small  m4" in said()
    assert berth("diff", plan_id) == 0
    assert "2 added" in said()
    assert berth("what-if", plan_id, "--cluster", "near=down") == 0
    assert "2 moved" in said()


def test_json_of_a_plan_is_the_document_itself(berth: Berth, said: Callable[[], str]) -> None:
    assert berth("plan", "churn.yaml", "--json", "--as-of", "2027-01-15T08:00+00:00") == 0
    document = said()
    content = json.loads(document)
    assert content["request"]["as_of"] == 1_800_000_000.0
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert document == canonical + "\n"


def test_other_commands_answer_in_json_too(
    berth: Berth, said: Callable[[], str], plan_id: str
) -> None:
    for arguments in (
        ("check", "churn.yaml"),
        ("explain", plan_id),
        ("diff", plan_id),
        ("fleet",),
        ("schema", "fleet"),
        ("version",),
        ("help", "S012"),
        ("what-if", plan_id, "--sweep", "deadline=in 1 h..in 3 h"),
    ):
        assert berth(*arguments, "--json") == 0
        json.loads(said())


def test_the_version_is_told_as_a_command_and_as_an_option(
    berth: Berth, said: Callable[[], str]
) -> None:
    answers = []
    for word in ("version", "--version"):
        assert berth(word) == 0
        answers.append(said())
    assert answers[0] == answers[1]
    assert answers[0].startswith("berth 0.")


def test_a_plan_that_is_placed_whole_within_a_budget_says_what_it_leaves_out(
    berth: Berth, said: Callable[[], str]
) -> None:
    choices = ("--mode", "most-sla", "--whole", "--budget", "0 USD", "--json")
    assert berth("plan", "churn.yaml", *choices) == 4
    plan = json.loads(said())
    assert (plan["request"]["whole"], plan["request"]["budget_micro_dollars"]) == (True, 0)
    assert [item["task"] for item in plan["placement"]["unplaced"]] == ["etl", "train"]


@pytest.mark.parametrize(
    ("choices", "part"),
    [
        (("--budget", "5 USD"), "does not bind in mode `least-cost`"),
        (("--mode", "most-sla", "--budget", "5"), "has no currency"),
    ],
)
def test_a_budget_of_a_plan_that_binds_nothing_is_refused(
    berth: Berth, capsys: pytest.CaptureFixture[str], choices: tuple[str, ...], part: str
) -> None:
    assert berth("plan", "churn.yaml", *choices) == 2
    assert part in " ".join(capsys.readouterr().err.split())


def test_show_defaults_prints_what_was_filled_in(berth: Berth, said: Callable[[], str]) -> None:
    assert berth("plan", "churn.yaml", "--show-defaults") == 0
    assert "tasks.etl.retries\t2" in said()


def test_faults_are_drawn_with_their_lines(
    berth: Berth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "churn.yaml").write_text(PIPELINE.replace("volume", "volumen"))
    assert berth("check", "churn.yaml") == 2
    drawn = capsys.readouterr().err
    assert "--> churn.yaml:7:22\n" in drawn
    assert "7 |   etl:   {kind: etl, volumen: 12 KiB}\n" in drawn
    assert "\n  |                      ^^^^^^^" in drawn


def test_errors_are_problem_documents_with_json(
    berth: Berth, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("explain", "p-none", "--json") == 2
    assert json.loads(capsys.readouterr().err)["kind"] == "not-found"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("plan", "ghost.yaml"), 2, "cannot be read: No such file"),
        (("plan", "churn.yaml", "--mode", "cheap"), 2, "most-sla, least-cost"),
        (("plan", "churn.yaml", "--as-of", "noon"), 2, "no ISO instant"),
        (("plan", "churn.yaml", "--fleet", "ghost.yaml"), 2, "--fleet or BERTH_FLEET"),
        (("plan", "churn.yaml", "churn.yaml"), 2, "in two of the documents"),
        (("plan", "churn.yaml", "--colour"), 2, "No such option"),
        (("plan",), 2, "Missing argument"),
        (("what-if", "p-none"), 2, "no change was named"),
        (("what-if", "p-none", "--sweep", "deadline=1..2"), 2, "there is no plan 'p-none'"),
        (("help", "X999"), 2, "there is no error code"),
        (("schema", "ghost"), 2, "use `pipeline` or `fleet`"),
        (("capacity",), 2, "no past demand was given"),
        (("capacity", "/dev/null"), 2, "the file is empty"),
        (("capacity", "--horizon", "soon"), 2, "write it as 48h or 30d"),
        (("diff",), 2, "there is no plan yet"),
        (("cluster", "explode", "near"), 2, "is not understood"),
        (("alarms", "show"), 2, "is not understood"),
        (("silence", "SA-1", "0h", "--because", "x"), 2, "no span of time"),
        (("init", "churn", "--yes"), 1, "is there already"),
        (("init", "No Name", "--yes"), 2, "No Name"),
        (("status",), 5, "start it with `berth start`"),
        (("apply", "p-none"), 5, "engine is not running"),
        (("watch", "churn"), 5, "engine is not running"),
        (("runs",), 5, "engine is not running"),
        (("logs", "r-1", "etl"), 5, "engine is not running"),
        (("cancel", "r-1"), 5, "engine is not running"),
        (("alarms",), 5, "engine is not running"),
        (("ack", "SA-1"), 5, "engine is not running"),
        (("cluster", "fail", "near"), 5, "engine is not running"),
        (("status", "--url", "http://127.0.0.1:9"), 5, "engine is not running"),
    ],
)
def test_what_cannot_be_done_says_why_with_the_right_exit_code(
    berth: Berth,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    assert berth(*arguments) == code
    assert says in capsys.readouterr().err


def test_a_clash_of_wishes_ends_with_four_and_names_what_would_help(
    berth: Berth, plan_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("what-if", plan_id, "--set", "budget=0.000001 USD per run") == 4
    assert "budget" in capsys.readouterr().err


def test_a_plan_that_leaves_tasks_out_ends_with_four(
    berth: Berth, plan_id: str, said: Callable[[], str]
) -> None:
    changes = ("--set", "mode=most-sla", "--set", "tasks.train.memory=500 GiB")
    assert berth("what-if", plan_id, *changes) == 4
    assert "not placed" in said()


def test_a_sweep_has_a_line_for_each_value_and_says_where_the_answer_changes(
    berth: Berth, plan_id: str, said: Callable[[], str]
) -> None:
    assert berth("what-if", plan_id, "--sweep", "budget=0.0000001..4 USD per run") == 0
    lines = said().splitlines()
    assert len([line for line in lines if "USD per run" in line and "\t" in line]) == 5
    assert "infeasible" in lines[1]
    assert "it becomes possible." in lines[-3]


def test_a_sweep_tells_of_each_better_plan(
    berth: Berth, plan_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--sweep", "demand=x1..x1.5/0.5", "--progress")
    assert berth("what-if", plan_id, *arguments) == 0
    assert capsys.readouterr().err.count("solving  incumbent") >= 2


def test_the_command_after_a_sweep_makes_its_other_changes_too(
    berth: Berth, plan_id: str, said: Callable[[], str]
) -> None:
    changes = ("--price", "near=x3", "--set", "seed=2")
    assert berth("what-if", plan_id, *changes, "--sweep", "demand=x1..x1.5/0.5") == 0
    again = said().splitlines()[-1].removeprefix("Next:  berth ")
    named = "--set seed=2 --price near=x3 --demand x1"
    assert again == f"what-if {plan_id} {named}"
    assert berth(*again.split()) == 0


def test_a_sweep_that_cannot_be_read_says_how_to_write_one(
    berth: Berth, plan_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("what-if", plan_id, "--sweep", "deadline") == 2
    assert "write it as deadline=" in capsys.readouterr().err


def test_what_if_shows_costs_and_promises_now_and_then(
    berth: Berth, plan_id: str, said: Callable[[], str]
) -> None:
    assert berth("what-if", plan_id, "--price", "near=x3") == 0
    text = said()
    assert "PIPELINE\tPROMISE\tNOW\tTHEN\tASKED" in text
    assert "\tdeadline kept\t" in text


def test_what_if_plans_a_file_that_has_no_plan_yet(
    berth: Berth, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("what-if", "churn.yaml", "--demand", "x1.5") == 0
    assert "churn.yaml is planned as p-" in capsys.readouterr().err


def test_what_if_of_a_file_that_is_not_there_names_it(
    berth: Berth, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("what-if", "chrun.yaml", "--demand", "x1.5") == 2
    assert "cannot be read: No such file" in capsys.readouterr().err


def test_better_plans_are_told_when_asked_for(
    berth: Berth, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("plan", "churn.yaml", "--progress") == 0
    assert "solving  incumbent $" in capsys.readouterr().err


def test_without_a_terminal_nothing_is_told_unasked(
    berth: Berth, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("plan", "churn.yaml") == 0
    assert "solving" not in capsys.readouterr().err


def test_init_writes_a_pipeline_that_can_be_planned(berth: Berth, said: Callable[[], str]) -> None:
    assert berth("init", "fresh", "--yes", "--regions", "eu, us") == 0
    assert berth("plan", "fresh.yaml") == 0
    assert "fresh: 6 tasks" in said()


def test_init_can_be_tried_without_writing(
    berth: Berth, said: Callable[[], str], tmp_path: Path
) -> None:
    assert berth("init", "fresh", "--dry-run", "--yes") == 0
    assert "pipeline: fresh" in said()
    assert not (tmp_path / "fresh.yaml").exists()


def test_doctor_without_an_engine_says_so(berth: Berth, said: Callable[[], str]) -> None:
    assert berth("doctor") == 0
    assert "No engine is running" in said()


def test_the_fleet_is_this_machine_without_a_fleet_file(
    berth: Berth, said: Callable[[], str], tmp_path: Path
) -> None:
    (tmp_path / "fleet.yaml").unlink()
    assert berth("fleet", "--quiet") == 0
    assert said() == "here\n"


def test_capacity_is_told_and_written_as_a_page(
    berth: Berth, said: Callable[[], str], tmp_path: Path
) -> None:
    hours = (f"2026-01-{day:02d}T{hour:02d}:00Z" for day in range(1, 15) for hour in range(24))
    rows = [f"{at},{10 + index % 24}" for index, at in enumerate(hours)]
    (tmp_path / "demand.csv").write_text("\n".join(["hour,A100", *rows]))
    page = tmp_path / "page.html"
    assert berth("capacity", "demand.csv", "--horizon", "1d", "--html", str(page)) == 0
    assert "A100" in said()
    assert page.read_text().startswith("<!")
    assert berth("capacity", "demand.csv", "--horizon", "1d", "--html", "/nowhere/x.html") == 1


def test_a_damaged_database_is_named(
    berth: Berth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".berth").mkdir()
    (tmp_path / ".berth" / "berth.sqlite").write_bytes(b"this is no database" * 100)
    assert berth("plan", "churn.yaml") == 1
    assert "error[D001]" in (drawn := capsys.readouterr().err)
    assert "restore" in drawn


def test_names_of_users_cannot_drive_the_terminal(
    berth: Berth, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("explain", "p-\x1b[31m[red]") == 2
    drawn = capsys.readouterr().err
    assert "\x1b" not in drawn
    assert "[red]" in drawn


def test_settings_are_copied_for_their_owner_alone(
    berth: Berth, said: Callable[[], str], tmp_path: Path
) -> None:
    """As a volume of Kubernetes has them: files are links into a folder with a dot."""
    (tmp_path / "clusters" / "..data").mkdir(parents=True)
    (tmp_path / "clusters" / "..data" / "kubeconfig").write_text("token")
    (tmp_path / "clusters" / "kubeconfig").symlink_to(Path("..data", "kubeconfig"))
    for content in ("token", "renewed"):
        (tmp_path / "clusters" / "..data" / "kubeconfig").write_text(content)
        assert berth("private", "clusters", "run/berth") == 0
        assert said() == "run/berth/kubeconfig\n"
        (copied,) = (tmp_path / "run" / "berth").iterdir()
        assert copied.stat().st_mode & 0o777 == 0o600
        assert not copied.is_symlink()
        assert copied.read_text() == content
