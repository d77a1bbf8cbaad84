"""A real engine process on a data folder of its own."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api.client import Client
from api.client.remote import Remote
from engine.model.alarms import CauseKind, SuperAlarm
from engine.model.errors import BerthError, UnreachableError
from tests.support.faces import FLEET, LEAVE, PIPELINE, until, waiting

pytestmark = [pytest.mark.network, pytest.mark.slow]
PATIENCE_SECONDS = 300.0


@dataclass
class Engine:
    process: subprocess.Popen[str]
    home: Path
    environment: dict[str, str]

    def client(self) -> Client:
        """Wait until the engine answers."""

        def look() -> Client | None:
            if self.process.poll() is not None:
                raise AssertionError(self.process.communicate()[1])
            try:
                client = Client(home=self.home)
                client.engine.health()
            except UnreachableError:
                return None
            return client

        return until(look, PATIENCE_SECONDS)

    def end(self, sign: signal.Signals) -> int:
        self.process.send_signal(sign)
        return self.process.wait(PATIENCE_SECONDS)


Starter = Callable[..., Engine]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts engines on one data folder; ends what is left, and the tasks they started."""
    (tmp_path / "fleet.yaml").write_text(FLEET)
    home = tmp_path / "home"
    engines: list[Engine] = []

    def begin(*arguments: str) -> Engine:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
        environment = {**kept, "PYTHONPATH": str(Path.cwd())}
        process = subprocess.Popen(
            [sys.executable, "-m", "berth", "start", "--home", str(home), *(arguments or PORT)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        engines.append(Engine(process, home, environment))
        return engines[-1]

    yield begin
    for engine in engines:
        if engine.process.poll() is None:
            stop_tasks(engine)
            engine.process.kill()
        engine.process.communicate()


PORT = ("--port", "0", "--clock-factor", "60")


def stop_tasks(engine: Engine) -> None:
    """Fail every cluster, which kills what runs there."""
    try:
        remote = Remote(json.loads((engine.home / "engine.json").read_text())["url"])
        for cluster in remote.fleet().clusters:
            remote.switch_cluster(cluster.name, up=False)
        remote.close()
    except (BerthError, OSError):
        return


def berth(engine: Engine, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "berth", *arguments],
        cwd=engine.home.parent,
        env={**engine.environment, "BERTH_HOME": str(engine.home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


ENDS_ITSELF = """
import os, signal, sys
from pathlib import Path
from api.cli.serving import faces
from api.settings import Settings
from api.wiring.engine import EngineProcess

signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell leaves it to what runs in the background
settings = Settings(home=Path(sys.argv[1]), port=0)
EngineProcess(settings, faces).run(lambda _: os.kill(os.getpid(), int(sys.argv[2])))
assert not settings.engine_file.exists()
"""


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_an_engine_that_is_ended_as_soon_as_it_is_ready_ends(
    tmp_path: Path, sign: signal.Signals
) -> None:
    command = [sys.executable, "-c", ENDS_ITSELF, str(tmp_path), str(int(sign))]
    done = subprocess.run(command, timeout=PATIENCE_SECONDS, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr


def test_an_engine_ends_cleanly_when_told_to(start: Starter) -> None:
    engine = start()
    with engine.client() as client:
        assert all(loop.fine for loop in client.engine.health().loops)
    assert engine.end(signal.SIGTERM) == 0
    assert not (engine.home / "engine.json").exists()
    assert berth(engine, "status").returncode == 5


def test_a_second_engine_on_one_data_folder_is_refused_with_the_first_ones_name(
    start: Starter,
) -> None:
    first = start()
    first.client().close()
    second = start()
    assert second.process.wait(PATIENCE_SECONDS) == 1
    said = second.process.communicate()[1]
    assert str(first.process.pid) in said
    assert "error[" in said


def test_a_port_in_use_is_refused_with_a_way_out(start: Starter) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        engine = start("--port", str(taken.getsockname()[1]))
        assert engine.process.wait(PATIENCE_SECONDS) == 1
    said = engine.process.communicate()[1]
    assert "error[U004]" in said
    assert "--port 0" in said


def test_a_damaged_database_is_refused_and_left_as_it_is(start: Starter, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    content = b"this is no database" * 100
    (tmp_path / "home" / "berth.sqlite").write_bytes(content)
    engine = start()
    assert engine.process.wait(PATIENCE_SECONDS) == 1
    assert "error[D001]" in engine.process.communicate()[1]
    assert (tmp_path / "home" / "berth.sqlite").read_bytes() == content


def test_a_run_survives_the_death_of_its_engine(start: Starter, tmp_path: Path) -> None:
    command = [sys.executable, "-c", waiting(tmp_path / "goes on")]
    spec = {"pipeline": "long", "tasks": {"etl": {"kind": "etl", "command": command}}}
    first = start()
    with first.client() as client:
        client.plan(spec).apply()
        until(lambda: client.status("long")[0].tasks[0].state.value == "running", PATIENCE_SECONDS)
    first.end(signal.SIGKILL)
    with start().client() as client:
        (tmp_path / "goes on").touch()
        until(lambda: client.status("long")[0].run.state.value == "succeeded", PATIENCE_SECONDS)
        assert client.status("long")[0].tasks[0].attempt == 1


def test_a_source_that_drops_a_column_is_one_super_alarm_of_the_kind_data(
    start: Starter, tmp_path: Path
) -> None:
    path = tmp_path / "delivery.csv"
    spec = {"pipeline": "shop", "tasks": {"etl": {"kind": "etl", "reads": str(path)}}}
    with start().client() as client:
        for number, row in enumerate(("a,b,c\n1,2,3\n", "a,c\n1,3\n")):
            path.write_text(row)
            client.plan(spec).apply()
            until(functools.partial(has_ended, client, "shop", number + 1), PATIENCE_SECONDS)
        # On a slow machine the task may outlast its profile as well, which may be told before.
        (group,) = until(functools.partial(judged, client, "columns"), PATIENCE_SECONDS)
    cause = group.likely
    assert cause is not None
    (alarm,) = [each for each in group.alarms if each.signal == "columns"]
    assert alarm.message == "the columns of task:shop/etl changed: column b is gone"
    assert (cause.kind.value, cause.subject) == ("data", "task:shop/etl")


def judged(client: Client, signal: str) -> Sequence[SuperAlarm] | None:
    """Return the super-alarms once one has an alarm of a signal, and its cause is of the data."""
    found = client.super_alarms()
    about = [group for group in found if signal in {alarm.signal for alarm in group.alarms}]
    causes = [group.likely for group in about]
    return found if any(one and one.kind is CauseKind.DATA for one in causes) else None


def has_ended(client: Client, pipeline: str, runs: int) -> bool:
    """Return whether so many runs of a pipeline succeeded."""
    states = [each.run.state.value for each in client.status(pipeline)]
    return states.count("succeeded") == runs


def test_commands_drive_a_run_from_plan_to_logs(start: Starter, tmp_path: Path) -> None:
    engine = start()
    engine.client().close()
    program = f"print('hello from [red]the task'); {LEAVE}"
    command = json.dumps([sys.executable, "-c", program])
    (tmp_path / "one.yaml").write_text(
        f"pipeline: one\ntasks:\n  etl: {{kind: etl, command: {command}}}\n"
    )
    plan_id = berth(engine, "plan", "one.yaml", "--quiet").stdout.strip()
    assert berth(engine, "apply", plan_id).returncode == 1
    assert berth(engine, "apply", plan_id, "--dry-run").returncode == 0
    assert berth(engine, "apply", plan_id, "--yes", "--quiet").stdout == "r-1\n"
    watched = berth(engine, "watch", "one")
    assert (watched.returncode, watched.stdout.splitlines()[-1]) == (0, "r-1\tone\tsucceeded")
    assert "hello from [red]the task" in berth(engine, "logs", "r-1", "etl").stdout
    assert "etl\tsucceeded" in berth(engine, "status", "one").stdout
    assert berth(engine, "cancel", "r-1", "--yes").returncode == 1
    assert "applied before" in berth(engine, "apply", plan_id, "--yes").stdout


def test_changes_are_streamed_as_they_happen(start: Starter) -> None:
    engine = start()
    with engine.client() as client:
        url = client.engine.url
        command = [sys.executable, "-c", LEAVE]
        spec = {"pipeline": "quick", "tasks": {"etl": {"kind": "etl", "command": command}}}
        plan = client.plan(spec)
        with httpx.stream("GET", f"{url}/v1/events", timeout=PATIENCE_SECONDS) as stream:
            lines = stream.iter_lines()
            next(lines)
            plan.apply()
            found = next(line for line in lines if line.startswith("event: task_runs"))
    assert found == "event: task_runs"
    assert engine.end(signal.SIGTERM) == 0


def test_a_cluster_fails_and_comes_back(start: Starter) -> None:
    engine = start()
    engine.client().close()
    assert "down" in berth(engine, "cluster", "fail", "near", "--yes").stdout
    assert berth(engine, "doctor").returncode == 5
    assert "answers" in berth(engine, "cluster", "restore", "near").stdout
    assert berth(engine, "cluster", "fail", "ghost", "--yes").returncode == 2


def test_the_pages_are_served_beside_the_api(start: Starter) -> None:
    with start().client() as client:
        page = httpx.get(client.engine.url + "/", timeout=PATIENCE_SECONDS)
        assert page.headers["content-type"].startswith("text/html")
        described = httpx.get(client.engine.url + "/openapi.json", timeout=PATIENCE_SECONDS)
        assert described.status_code == 200


def test_the_example_pipeline_is_refused_when_its_plan_is_stale(
    start: Starter, tmp_path: Path
) -> None:
    engine = start()
    engine.client().close()
    (tmp_path / "churn.yaml").write_text(PIPELINE)
    plan_id = berth(engine, "plan", "churn.yaml", "--quiet").stdout.strip()
    berth(engine, "cluster", "fail", "near", "--yes")
    refused = berth(engine, "apply", plan_id, "--yes")
    assert refused.returncode == 3
    assert "~ cluster near does not answer" in refused.stderr
