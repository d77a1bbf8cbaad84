"""Real engines on one PostgreSQL: one leads; others follow when it is killed or halted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from api.client import Client
from engine.model.records import ATTEMPTS, TERMS
from engine.store import open_ledger
from tests.support import postgresql
from tests.support.faces import FLEET, until, waiting

pytestmark = [pytest.mark.network, pytest.mark.slow]
# Short enough for a test, long enough for an engine that shares two cores with other tests.
LEASE_SECONDS = 8.0
PATIENCE_SECONDS = 300.0


@dataclass
class Replicas:
    folder: Path
    server: postgresql.PostgresqlServer
    url: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)

    @property
    def go(self) -> Path:
        """The file that the run waits for."""
        return self.folder / "goes on"

    def submit(self, client: Client) -> None:
        """Start a run whose only task waits."""
        command = [sys.executable, "-c", waiting(self.go)]
        tasks = {"etl": {"kind": "etl", "command": command}}
        client.plan({"pipeline": "long", "tasks": tasks}).apply()

    def start(self, name: str) -> Client:
        known = {k: v for k, v in os.environ.items() if not k.startswith("BERTH_")}
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "berth", "start", "--home", "home", "--port", "0"],
            cwd=self.folder,
            env={
                **known,
                "PYTHONPATH": str(Path.cwd()),
                "BERTH_DATABASE": self.url,
                "BERTH_REPLICA": name,
                "BERTH_LEASE_SECONDS": str(LEASE_SECONDS),
                "BERTH_CLOCK_FACTOR": "60",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return until(lambda: self.client(name), PATIENCE_SECONDS)

    def client(self, name: str) -> Client | None:
        path = self.folder / "home" / f"engine-{name}.json"
        try:
            told = json.loads(path.read_text())
            if told["pid"] != self.processes[name].pid:
                return None
            httpx.get(f"{told['url']}/healthz", timeout=120.0)
        except (OSError, ValueError, httpx.HTTPError):
            return None
        self.clients.append(Client(told["url"]))
        return self.clients[-1]

    def signal(self, name: str, sign: signal.Signals) -> None:
        self.processes[name].send_signal(sign)

    def attempts(self) -> list[int]:
        with open_ledger(self.url) as ledger:
            return [each.value.number for each in ledger.select(ATTEMPTS)]

    def term(self) -> int:
        with open_ledger(self.url) as ledger:
            stored = ledger.get(TERMS, "engine")
        return stored.value.number if stored else 0


@pytest.fixture(scope="module")
def server() -> Iterator[postgresql.PostgresqlServer]:
    with postgresql.running() as made:
        yield made


@pytest.fixture
def replicas(tmp_path: Path, server: postgresql.PostgresqlServer) -> Iterator[Replicas]:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    made = Replicas(tmp_path, server, server.database())
    yield made
    made.go.touch()
    for client in made.clients:
        client.close()
    for process in made.processes.values():
        if process.poll() is None:
            process.kill()
        process.wait(120)


def said(client: Client) -> str:
    """What an engine says of who leads."""
    health = httpx.get(f"{client.engine.url}/healthz", timeout=120.0).json()
    return str(health["loops"][0]["message"])


def leads(client: Client) -> bool:
    return said(client).startswith("this engine leads")


def state(client: Client) -> str:
    found = client.status("long")[0]
    return found.run.state.value if found.run.ended_at else found.tasks[0].state.value


def test_a_killed_leader_is_followed_and_nothing_is_lost_or_run_twice(replicas: Replicas) -> None:
    first, second = replicas.start("a"), replicas.start("b")
    until(lambda: leads(first), PATIENCE_SECONDS)
    until(lambda: said(second).startswith("stands by for a:"), PATIENCE_SECONDS)
    replicas.submit(second)
    until(lambda: state(second) == "running", PATIENCE_SECONDS)
    replicas.signal("a", signal.SIGKILL)
    until(lambda: leads(second), PATIENCE_SECONDS)
    replicas.go.touch()
    until(lambda: state(second) == "succeeded", PATIENCE_SECONDS)
    assert replicas.attempts() == [1]
    assert replicas.term() >= 2


def test_a_halted_leader_stands_back_when_it_goes_on(replicas: Replicas) -> None:
    first, second = replicas.start("a"), replicas.start("b")
    until(lambda: leads(first), PATIENCE_SECONDS)
    replicas.submit(second)
    replicas.signal("a", signal.SIGSTOP)
    until(lambda: leads(second), PATIENCE_SECONDS)
    replicas.go.touch()
    until(lambda: state(second) == "succeeded", PATIENCE_SECONDS)
    replicas.signal("a", signal.SIGCONT)
    until(lambda: said(first).startswith("stands by for b:"), PATIENCE_SECONDS)
    assert leads(second)
    assert replicas.attempts() == [1]


def test_a_leader_that_is_told_to_stop_hands_over(replicas: Replicas) -> None:
    first, second = replicas.start("a"), replicas.start("b")
    until(lambda: leads(first), PATIENCE_SECONDS)
    replicas.signal("a", signal.SIGTERM)
    assert replicas.processes["a"].wait(120) == 0
    until(lambda: leads(second), PATIENCE_SECONDS)
    assert not (replicas.folder / "home" / "engine-a.json").exists()


def test_while_the_database_is_away_engines_wait_and_then_go_on(replicas: Replicas) -> None:
    first = replicas.start("a")
    until(lambda: leads(first), PATIENCE_SECONDS)
    replicas.submit(first)
    replicas.server.stop()
    until(lambda: "does not answer" in said(first), PATIENCE_SECONDS)
    replicas.server.start()
    replicas.go.touch()
    until(lambda: leads(first), PATIENCE_SECONDS)
    until(lambda: state(first) == "succeeded", PATIENCE_SECONDS)
    assert replicas.attempts() == [1]
    assert replicas.processes["a"].poll() is None


def test_a_replica_without_postgresql_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "berth", "start", "--home", "home", "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "BERTH_REPLICA": "a", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert "need one PostgreSQL" in done.stderr
