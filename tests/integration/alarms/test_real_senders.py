"""Real Prometheus and Alertmanager, unmodified, send to a real engine on the loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.clusters import programs
from tests.support.faces import until

pytestmark = [pytest.mark.network, pytest.mark.slow]
PATIENCE_SECONDS = 300.0

RULES = """
groups:
- name: g
  interval: 1s
  rules:
  - alert: Always
    expr: vector(1)
    labels: {severity: critical, service: cart, cluster: eu-1}
    annotations: {summary: it is always so, value: "{{ $value }}"}
  - alert: Down
    expr: up == 0
    labels: {severity: warning, cluster: eu-1}
"""

Start = Callable[..., None]


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        end = pytest.fail if os.environ.get("CI") else pytest.skip
        end(f"NOT RUN: needs Debian's {name} (apt-get install {name})")
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes, which end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def one(name: str, *command: str) -> None:
        with (tmp_path / f"{name}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    command,
                    cwd=tmp_path,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "BERTH_WINDOW_SECONDS": "4"},
                )
            )

    yield one
    for process in started:
        # Prometheus takes its time to end, to send what it has; nobody waits for that here.
        process.kill()
        process.wait(120)


@pytest.fixture
def engine(tmp_path: Path, start: Start) -> Iterator[httpx.Client]:
    home = tmp_path / "home"
    (home / "senders").mkdir(parents=True)
    (home / "senders" / "prom").write_text("one-token")
    (home / "senders" / "manager").write_text("other-token")
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    start("engine", "env", f"PYTHONPATH={path}", sys.executable, "-m", "berth", "start",
          "--home", str(home), "--port", "0")  # fmt: skip
    address = home / "engine.json"
    until(address.exists, PATIENCE_SECONDS)
    url = json.loads(address.read_text())["url"]
    with httpx.Client(base_url=url, timeout=120) as client:
        until(lambda: _answers(client), PATIENCE_SECONDS)
        yield client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/v1/senders").status_code == 200
    except httpx.HTTPError:
        return False


def alarms_of(engine: httpx.Client, sender: str) -> set[str]:
    groups = engine.get("/v1/super-alarms").json()
    return {
        alarm["signal"]
        for group in groups
        for alarm in group["alarms"]
        if alarm["test"] == f"alert of {sender}"
    }


def prometheus(folder: Path, start: Start, alertmanagers: str, more: str = "") -> int:
    """Start a Prometheus that scrapes itself and a port where nothing listens."""
    port = programs.free_port()
    (folder / "rules.yml").write_text(RULES)
    (folder / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
- job_name: self
  static_configs: [{{targets: ["127.0.0.1:{port}", "127.0.0.1:1"]}}]
alerting:
  alertmanagers:
{alertmanagers}
{more}
"""
    )
    start(
        "prometheus",
        program("prometheus"),
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=2s",
    )
    return port


def test_prometheus_alone_sends_alerts_and_values(
    tmp_path: Path, start: Start, engine: httpx.Client
) -> None:
    pytest.importorskip("cramjam", reason="NOT RUN: remote write needs cramjam")
    where = f"{engine.base_url.host}:{engine.base_url.port}"
    alertmanagers = (
        f"  - authorization: {{credentials: one-token}}\n"
        f'    static_configs: [{{targets: ["{where}"]}}]'
    )
    write = (
        f"remote_write:\n- url: http://{where}/api/v1/write\n"
        "  authorization: {credentials: one-token}\n"
    )
    prometheus(tmp_path, start, alertmanagers, write)
    until(lambda: alarms_of(engine, "prom") >= {"Always", "Down"}, PATIENCE_SECONDS)
    until(lambda: engine.get("/v1/senders").json()[0]["values"] > 100, PATIENCE_SECONDS)
    found = until(
        lambda: [
            signal["subject"]
            for signal in engine.get("/v1/signals").json()
            if signal["subject"].startswith("instance:127.0.0.1")
        ],
        PATIENCE_SECONDS,
    )
    assert found


def test_alertmanager_sends_its_webhook(tmp_path: Path, start: Start, engine: httpx.Client) -> None:
    port = programs.free_port()
    (tmp_path / "alertmanager.yml").write_text(
        f"""
route: {{receiver: berth, group_by: [cluster], group_wait: 1s, group_interval: 1s}}
receivers:
- name: berth
  webhook_configs:
  - url: {engine.base_url.join("/v1/intake/alertmanager")}
    http_config: {{authorization: {{credentials: other-token}}}}
"""
    )
    start(
        "alertmanager",
        program("prometheus-alertmanager"),
        "--config.file=alertmanager.yml",
        "--storage.path=manager",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    prometheus(tmp_path, start, f'  - static_configs: [{{targets: ["127.0.0.1:{port}"]}}]')
    until(lambda: alarms_of(engine, "manager") >= {"Always", "Down"}, PATIENCE_SECONDS)
