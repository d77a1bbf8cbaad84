"""kill -9 during a storm of alerts: nothing that was answered is lost, no message gets a new key.

A storm of alerts is posted to a running engine as Prometheus posts them, while people take
super-alarms and silence alarms; a webhook receives the messages. The engine is killed at named
points (before and after each commit on the way from an alert to a message), each life at another
one, and started again. Whatever was answered with success before a death must be in the store in
the end. `--quick` kills at 5 points.

Counted on the database itself: alerts that were answered and are not stored, or stand in no
super-alarm and have no reason for it; takes and silences that were answered and left no trace;
super-alarms whose messages came with more than one key; super-alarms that nobody was told of.
"""

from __future__ import annotations

import http.server
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import frame

SEED = 5
STEPS = (
    "intake.alerts",
    "watch.receive",
    "watch.fold",
    "watch.group",
    "watch.notify",
    "watch.outbox",
    "watch.notified",
    "outbox.sent",
    "watch.person",
)
QUICK_POINTS = 5
LIFE_SECONDS = 120.0
START_SECONDS = 180.0
REST_SECONDS = 180.0
SERVICES = 25
ALERTS_AT_ONCE = 10
CLUSTERS = 25
_OK = 200
_TOKEN = "durability"  # noqa: S105 - of an engine that lives for this benchmark


@dataclass(slots=True)
class Promised:
    """What the engine answered with success."""

    alerts: dict[str, Mapping[str, str]] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    silences: list[str] = field(default_factory=list)
    posts: int = 0
    refused: int = 0


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures; a life of the engine takes some ten seconds."""
    points = [f"commit:{step}:{side}" for step in STEPS for side in ("before", "after")]
    if context.quick:
        points = random.Random(SEED).sample(points, QUICK_POINTS)
    with Inbox() as inbox:
        storm = Storm(context.scratch, inbox)
        deaths = [storm.life(point) for point in points]
        storm.rest()
    at_point = sum(deaths)
    yield frame.at_least("points at which the engine was killed", at_point, len(points))
    yield from figures(context.scratch / "home" / "berth.sqlite", storm.promised, inbox)


def figures(database: Path, promised: Promised, inbox: Inbox) -> Iterator[frame.Figure]:
    """Yields what the database and the webhook say against what was promised."""
    stored = Database(database)
    yield frame.informs("alerts answered", len(promised.alerts))
    yield frame.at_most("alerts lost", len(set(promised.alerts) - stored.alerts()), 0)
    yield frame.at_most("alarms in no super-alarm and without a reason", stored.homeless(), 0)
    taken = [name for name in promised.taken if name not in stored.taken()]
    yield frame.informs("super-alarms taken", len(promised.taken))
    yield frame.at_most("takes lost", len(taken), 0)
    yield frame.informs("silences made", len(promised.silences))
    silences = set(promised.silences) - stored.keys("silences")
    yield frame.at_most("silences lost", len(silences), 0)
    told = inbox.keys()
    yield frame.informs("messages received", sum(len(keys) for keys in told.values()))
    doubled = sum(len(set(keys)) > 1 for keys in told.values())
    yield frame.at_most("super-alarms with more than one key", doubled, 0)
    untold = stored.worth_telling() - set(told)
    yield frame.at_most("super-alarms that nobody was told of", len(untold), 0)


class Inbox:
    """A webhook that keeps what it receives."""

    def __init__(self) -> None:
        self.received: list[Mapping[str, Any]] = []
        received = self.received

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                received.append(json.loads(self.rfile.read(length)))
                self.send_response(_OK)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def keys(self) -> dict[str, list[str]]:
        """Returns the keys of all messages by their super-alarm."""
        found: dict[str, list[str]] = {}
        for body in self.received:
            found.setdefault(body["super_alarm"]["id"], []).append(body["dedup_key"])
        return found

    def __enter__(self) -> Inbox:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Storm:
    """Posts alerts, takes super-alarms and silences alarms, over many lives of one engine."""

    def __init__(self, scratch: Path, inbox: Inbox) -> None:
        self.promised = Promised()
        self._home = scratch / "home"
        self._random = random.Random(SEED)
        self._sent = 0
        (self._home / "senders").mkdir(parents=True)
        (self._home / "senders" / "storm").write_text(_TOKEN, encoding="utf-8")
        self._channels = scratch / "channels.toml"
        self._channels.write_text(
            f'[[channel]]\nname = "hook"\nkind = "webhook"\nurl = "{inbox.url}"\nleast = "info"\n',
            encoding="utf-8",
        )
        self._log = scratch / "engine.log"

    def life(self, point: str) -> bool:
        """Lets the engine live until it dies at a point; returns whether it did by itself."""
        process, url = self._start(point)
        ends = time.monotonic() + LIFE_SECONDS
        while process.poll() is None and time.monotonic() < ends:
            self._do(url)
        died = process.poll() is not None
        process.kill()
        process.wait()
        return died

    def rest(self) -> None:
        """Lets a last engine come to rest, so that everything that waits is done."""
        process, url = self._start("")
        ends = time.monotonic() + REST_SECONDS
        quiet = 0
        seen = -1
        while time.monotonic() < ends and quiet < 8:
            time.sleep(1.0)
            waiting = Database(self._home / "berth.sqlite").waiting()
            now = self._count(url)
            quiet = quiet + 1 if waiting == 0 and now == seen else 0
            seen = now
        process.kill()
        process.wait()

    def _count(self, url: str) -> int:
        body = _asked("GET", f"{url}/v1/super-alarms?limit=1000", None)
        return len(body) if isinstance(body, list) else -1

    def _start(self, point: str) -> tuple[subprocess.Popen[bytes], str]:
        """Starts the engine; returns it with its address."""
        engine_file = self._home / "engine.json"
        engine_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "berth", "start", "--port", "0", "--home", str(self._home)]
        environment = {
            **os.environ,
            "BERTH_CHANNELS": str(self._channels),
            "BERTH_WINDOW_SECONDS": "2",
            "BERTH_CRASH_AT": f"{point}#{self._random.randint(2, 4)}" if point else "",
        }
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=frame.ROOT.parent,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends and process.poll() is None:
            if engine_file.exists():
                url = json.loads(engine_file.read_text(encoding="utf-8"))["url"]
                if _asked("GET", f"{url}/v1/senders", None) is not None:
                    return process, url
            time.sleep(0.1)
        if process.poll() is not None:
            return process, "http://127.0.0.1:1"  # it died while it started; the next life goes on
        raise frame.BenchmarkError(f"the engine did not start; see {self._log}")

    def _do(self, url: str) -> None:
        """Does one thing, as a sender or as a person; what fails is repeated by others later."""
        die = self._random.random()
        if die < 0.75:
            self._post(url)
        elif die < 0.9:
            self._take(url)
        else:
            self._silence(url)
        time.sleep(0.05)

    def _post(self, url: str, name: str = "") -> None:
        """Posts alerts that fire for the first time."""
        batch = [self._alert(name) for _ in range(ALERTS_AT_ONCE)]
        answer = _asked("POST", f"{url}/api/v2/alerts", [alert for _, alert in batch])
        self.promised.posts += 1
        if answer is None:
            self.promised.refused += 1
            return
        self.promised.alerts |= {key: alert["labels"] for key, alert in batch}

    def _alert(self, name: str) -> tuple[str, dict[str, Any]]:
        self._sent += 1
        number = self._random.randrange(SERVICES)
        labels = {
            "alertname": name or f"Errors{self._sent % 7}",
            "service": f"s{number}",
            "cluster": f"c{number % CLUSTERS}",
            "number": str(self._sent),
            "severity": "critical",
        }
        return labels["number"], {"labels": labels}

    def _take(self, url: str) -> None:
        groups = _asked("GET", f"{url}/v1/super-alarms?limit=20", None)
        still = [one for one in groups or [] if one["state"] == "open"]
        if not still:
            return
        chosen = self._random.choice(still)["super_alarm_id"]
        who = f"person-{self._sent}-{len(self.promised.taken)}"
        answer = _asked("POST", f"{url}/v1/super-alarms/{chosen}/ack", {"who": who})
        if answer is not None:
            self.promised.taken.append(who)

    def _silence(self, url: str) -> None:
        name = f"Quiet{self._sent}"
        question = {"matchers": [f"signal={name}"], "seconds": 3600, "because": "storm"}
        answer = _asked("POST", f"{url}/v1/silences", question)
        if answer is not None:
            self.promised.silences.append(answer["silence_id"])
            self._post(url, name)


class Database:
    """Reads the store by SQL alone, so that a fault of the engine's own reading is seen."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _bodies(self, table: str) -> list[dict[str, Any]]:
        with sqlite3.connect(f"file:{self._path}?mode=ro", uri=True) as connection:
            rows = connection.execute(f"SELECT body FROM {table}")  # noqa: S608 - a name of ours
            return [json.loads(row[0]) for row in rows]

    def keys(self, table: str) -> set[str]:
        """Returns the keys of a table."""
        with sqlite3.connect(f"file:{self._path}?mode=ro", uri=True) as connection:
            return {row[0] for row in connection.execute(f"SELECT key FROM {table}")}  # noqa: S608

    def waiting(self) -> int:
        """Returns how many alerts and messages are not done with."""
        records = [*self._bodies("firings"), *self._bodies("messages")]
        return sum(bool(one["state"] == "waiting") for one in records)

    def alerts(self) -> set[str]:
        """Returns the numbers of all stored alerts."""
        return {one["alarm"]["labels"]["number"] for one in self._bodies("firings")}

    def homeless(self) -> int:
        """Returns how many alarms stand in no super-alarm, and why is not known."""
        groups = self._bodies("super_alarms")
        in_groups = {alarm["alarm_id"] for group in groups for alarm in group["alarms"]}
        folded = {one["alarm"]["alarm_id"] for one in self._bodies("foldings")}
        excused = {one["alarm"]["alarm_id"] for one in self._bodies("firings") if one["folded"]}
        # A group keeps its first and newest alarms only: in a full one the others are not seen.
        full = {
            alarm["labels"].get("cluster")
            for group in groups
            if len(group["alarms"]) >= FULL
            for alarm in group["alarms"]
        }
        alarms = {
            one["alarm_id"]
            for one in self._bodies("alarms")
            if one["labels"].get("cluster") not in full
        }
        return len(alarms - in_groups - folded - excused)

    def taken(self) -> set[str]:
        """Returns who took a super-alarm, from the record of what people did."""
        said = [one["message"] for one in self._bodies("events") if one["kind"] == "person"]
        return {message.removesuffix(" took it") for message in said}

    def worth_telling(self) -> set[str]:
        """Returns the super-alarms that people have to be told of."""
        return {
            one["super_alarm_id"]
            for one in self._bodies("super_alarms")
            if one["state"] in {"open", "acknowledged"}
        }


FULL = 200
"""Alarms that a super-alarm keeps at most."""


def _asked(method: str, url: str, body: object) -> Any:  # noqa: ANN401 - whatever was answered
    """Returns the answer to a request, None when there is none or it is no success."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)  # noqa: S310 - the loopback
    request.add_header("Authorization", f"Bearer {_TOKEN}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310
            return json.loads(response.read() or b"{}")
    except (OSError, ValueError, urllib.error.URLError):
        return None
