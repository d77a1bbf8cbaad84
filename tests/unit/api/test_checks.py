"""The looks of an engine: cluster, schema, golden requests, and those of the store."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from api.messages.answers import Finding
from api.settings import Settings
from api.wiring import build, checks, doctor
from api.wiring.checks import EngineChecks, columns_of, schema_changes
from api.wiring.parts import Parts
from engine import documents
from engine.dispatching import submit
from engine.model.checks import Check, CheckKind, Verdict
from engine.model.dispatches import Attempt, AttemptState, Deployment, TaskState
from engine.model.errors import DamagedError, NotFoundError
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    Digest,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.records import ATTEMPTS, DEPLOYMENTS, SIGNALS, TASK_RUNS, Put, task_run_key
from engine.model.resources import Resources
from engine.model.signals import Layer, Signal
from engine.model.specs import TaskKind, TaskSpec
from engine.testing import samples
from executors.local import FolderArtifacts
from executors.packaging import images
from executors.packaging.registry import OciRegistry
from tests.support.faces import FLEET

EXAMPLE = {"rows": [[38.67, 1.0], [77.34, None]], "labels": [0, 1]}
METADATA = {"features": [{"name": "chol", "factor": 38.67}, {"name": "age"}]}


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    fleet = documents.read_fleet(FLEET, name="fleet.yaml")
    made = build(Settings(home=tmp_path / "home", work_limit=1.0), fleet=fleet)
    yield made
    made.close()


@pytest.fixture
def looks(parts: Parts) -> EngineChecks:
    return EngineChecks(parts)


def check(kind: CheckKind, subject: str) -> Check:
    return Check(kind=kind, subject=subject, since=0.0)


class TestCluster:
    def test_one_that_answers_denies_and_one_that_does_not_confirms(
        self, parts: Parts, looks: EngineChecks
    ) -> None:
        asked = check(CheckKind.CLUSTER, "cluster:near")
        assert looks.look(asked) == (Verdict.DENIES, "near answers")
        parts.switch.fail("near")
        assert looks.look(asked) == (Verdict.CONFIRMS, "near does not answer")

    def test_one_that_is_not_there_says_nothing(self, looks: EngineChecks) -> None:
        asked = check(CheckKind.CLUSTER, "cluster:ghost")
        assert looks.look(asked) == (Verdict.OPEN, "ghost is no cluster of the fleet")


class TestSchema:
    ASKED = check(CheckKind.SCHEMA, "pipeline:heart")

    def ran(self, parts: Parts, folder: Path, *units: str) -> None:
        """Store a run whose etl task wrote a schema."""
        spec = samples.pipeline(TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL))
        plan = samples.plan(spec, parts.fleet.fleet())
        run = submit(parts.ledger, parts.clock, plan, "heart")
        folder.mkdir()
        columns = [{"name": f"c{n}", "unit": unit} for n, unit in enumerate(units)]
        (folder / "schema.json").write_text(json.dumps({"columns": columns}))
        artifact = FolderArtifacts(parts.settings.home / "artifacts").put(folder)
        stored = parts.ledger.get(TASK_RUNS, task_run_key(run.run_id, "etl"))
        assert stored is not None
        done = replace(stored.value, state=TaskState.SUCCEEDED, artifact=artifact)
        parts.ledger.commit("test", [Put(TASK_RUNS, done)])

    def test_units_and_columns_are_compared_with_the_run_before(
        self, parts: Parts, looks: EngineChecks, tmp_path: Path
    ) -> None:
        assert looks.look(self.ASKED)[0] is Verdict.OPEN
        self.ran(parts, tmp_path / "1", "mg/dL", "")
        assert looks.look(self.ASKED)[0] is Verdict.OPEN
        self.ran(parts, tmp_path / "2", "mg/dL", "")
        assert looks.look(self.ASKED)[0] is Verdict.DENIES
        self.ran(parts, tmp_path / "3", "mmol/L", "")
        found, message = looks.look(self.ASKED)
        assert found is Verdict.CONFIRMS
        assert message == "the newest schema differs: c0 is in mmol/L, was in mg/dL"

    def delivers(self, parts: Parts, at: float, *columns: str) -> None:
        """Store what an etl task tells of a file before it checks it."""
        signal = Signal(
            name="columns",
            layer=Layer.ETL,
            subject="task:heart/etl",
            at=at,
            value=float(len(columns)),
            labels={"schema": "\n".join(columns)},
        )
        parts.ledger.commit("test", [Put(SIGNALS, signal)])

    @pytest.mark.parametrize("subject", ["pipeline:heart", "task:heart/etl"])
    def test_a_delivery_that_its_task_refused_is_compared_with_the_last_good_one(
        self, parts: Parts, looks: EngineChecks, tmp_path: Path, subject: str
    ) -> None:
        for number in range(2):
            self.ran(parts, tmp_path / str(number), "mg/dL")
        asked = Check(kind=CheckKind.SCHEMA, subject=subject, since=300.0)
        self.delivers(parts, 100.0, "age:number", "chol:number")
        assert looks.look(asked) == (Verdict.OPEN, "the newest rows are from before it began")
        # The second attempt of the same run tells the same again.
        for at in (300.0, 301.0):
            self.delivers(parts, at, "age:number", "cholesterol:number")
        assert looks.look(asked) == (
            Verdict.CONFIRMS,
            "the newest delivery differs: column chol is gone; column cholesterol is new",
        )
        self.delivers(parts, 400.0, "age:number", "chol:number")
        assert looks.look(asked) == (
            Verdict.DENIES,
            "2 columns with their types are as before it began",
        )

    def test_units_count_where_the_columns_are_the_same(
        self, parts: Parts, looks: EngineChecks, tmp_path: Path
    ) -> None:
        self.ran(parts, tmp_path / "1", "mg/dL")
        self.ran(parts, tmp_path / "2", "mmol/L")
        for at in (100.0, 300.0):
            self.delivers(parts, at, "chol:number")
        asked = Check(kind=CheckKind.SCHEMA, subject="task:heart/etl", since=300.0)
        assert looks.look(asked)[0] is Verdict.CONFIRMS

    def test_columns_that_nobody_names_are_not_compared(
        self, parts: Parts, looks: EngineChecks
    ) -> None:
        for at in (100.0, 300.0):
            self.delivers(parts, at)
        asked = Check(kind=CheckKind.SCHEMA, subject="task:heart/etl", since=300.0)
        assert looks.look(asked)[0] is Verdict.OPEN

    @pytest.mark.parametrize("data", [b"", b"[]", b'{"columns": 3}', b'{"columns": ["a"]}'])
    def test_a_schema_that_somebody_else_wrote_is_an_error_that_the_loop_tells(
        self, data: bytes
    ) -> None:
        with pytest.raises(DamagedError, match="names no columns"):
            columns_of(data)

    def test_new_and_gone_columns_are_named(self) -> None:
        assert schema_changes({"a": "", "b": ""}, {"b": "g", "c": ""}) == [
            "c is new",
            "a is gone",
            "b is in g, was in none",
        ]


class _Server(BaseHTTPRequestHandler):
    labels = (0, 1)
    asked: ClassVar[list[object]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _Server.asked.append(body["inputs"][0]["data"])
        answer = {"outputs": [{"name": "label", "data": list(_Server.labels)}]}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        del arguments


class TestGolden:
    ASKED = check(CheckKind.GOLDEN, "model:heart")

    @pytest.fixture
    def endpoint(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        monkeypatch.setattr(checks, "_SECONDS_MOST", 60.0)
        _Server.labels, _Server.asked = (0, 1), []
        with HTTPServer(("127.0.0.1", 0), _Server) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    def serves(self, parts: Parts, folder: Path, endpoint: str, executor: str = "local") -> None:
        files = {
            "metadata.json": images.canonical(METADATA),
            "example.json": images.canonical(EXAMPLE),
        }
        images.write_image(folder, files, labels={}, tag="r-1")
        digest = OciRegistry(parts.settings.home / "models").add("heart", folder)
        attempt = Attempt(
            attempt_id=AttemptId("r-1.serve.1"),
            run_id=RunId("r-1"),
            pipeline=PipelineName("heart"),
            task=TaskName("serve"),
            number=1,
            executor=executor,
            cluster=ClusterName("near"),
            pool=PoolName("small"),
            held=Resources(),
            state=AttemptState.RUNNING,
            intended_at=0.0,
            fence=1,
        )
        parts.ledger.commit("test", [Put(ATTEMPTS, attempt)])
        self.deployed(parts, digest, endpoint)

    def deployed(self, parts: Parts, digest: Digest | None, endpoint: str) -> None:
        deployment = Deployment(
            pipeline=PipelineName("heart"),
            task=TaskName("serve"),
            run_id=RunId("r-1"),
            wanted=Digest("sha256:1"),
            serving=digest,
            attempt_id=AttemptId("r-1.serve.1"),
            endpoint=endpoint,
        )
        parts.ledger.commit("test", [Put(DEPLOYMENTS, deployment)])

    @pytest.mark.network
    @pytest.mark.parametrize(
        ("shares", "verdict"),
        [((0.1, 0.95), Verdict.DENIES), ((0.95, 0.3), Verdict.OPEN), ((), Verdict.OPEN)],
    )
    def test_right_answers_deny_only_where_most_requests_fail(
        self,
        parts: Parts,
        looks: EngineChecks,
        tmp_path: Path,
        endpoint: str,
        shares: tuple[float, ...],
        verdict: Verdict,
    ) -> None:
        self.serves(parts, tmp_path / "image", endpoint)
        asked = self.ASKED
        signals = [
            Signal(
                name="errors_share",
                layer=Layer.SERVING,
                subject=asked.subject,
                at=asked.since + number * 4 + part,
                value=share,
                weight=100.0,
            )
            for number, share in enumerate(shares)
            for part in range(4)
        ]
        parts.ledger.commit("test", [Put(SIGNALS, signal) for signal in signals])
        found, message = looks.look(asked)
        assert found is verdict
        assert message.startswith("2 example requests are answered right")

    @pytest.mark.network
    def test_wrong_answers_confirm(
        self, parts: Parts, looks: EngineChecks, tmp_path: Path, endpoint: str
    ) -> None:
        self.serves(parts, tmp_path / "image", endpoint)
        looks.look(self.ASKED)
        assert _Server.asked == [[1.0, 1.0, 2.0, None]], "in the units in which requests arrive"
        _Server.labels = (1, 1)
        assert looks.look(self.ASKED)[0] is Verdict.CONFIRMS

    @pytest.mark.parametrize(
        ("executor", "verdict"), [("local", Verdict.CONFIRMS), ("kubernetes", Verdict.OPEN)]
    )
    def test_no_answer_confirms_where_it_could_be_reached(
        self, parts: Parts, looks: EngineChecks, tmp_path: Path, executor: str, verdict: Verdict
    ) -> None:
        self.serves(parts, tmp_path / "image", "http://127.0.0.1:1", executor)
        assert looks.look(self.ASKED)[0] is verdict

    def test_where_nothing_serves_it_says_nothing(self, parts: Parts, looks: EngineChecks) -> None:
        assert looks.look(self.ASKED) == (Verdict.OPEN, "nothing serves heart")
        self.deployed(parts, None, "http://127.0.0.1:1")
        assert looks.look(self.ASKED)[0] is Verdict.OPEN

    def test_a_package_that_is_gone_is_an_error_that_the_loop_tells(
        self, parts: Parts, looks: EngineChecks
    ) -> None:
        self.deployed(parts, Digest("sha256:gone"), "http://127.0.0.1:1")
        with pytest.raises(NotFoundError, match="is not kept"):
            looks.look(self.ASKED)


class TestKubernetes:
    @pytest.mark.parametrize(
        ("fine", "verdict"), [(True, Verdict.DENIES), (False, Verdict.CONFIRMS)]
    )
    def test_it_is_asked_for_version_clock_and_rights(
        self,
        parts: Parts,
        looks: EngineChecks,
        monkeypatch: pytest.MonkeyPatch,
        fine: bool,
        verdict: Verdict,
    ) -> None:
        found = [
            Finding(name="cluster near", fine=fine, message="version 1.34"),
            Finding(name="cluster far", fine=False, message="does not answer"),
        ]
        monkeypatch.setattr(doctor, "kubernetes_findings", lambda _parts: iter(found))
        fleet = parts.fleet.fleet()
        clusters = tuple(replace(one, executor="kubernetes") for one in fleet.clusters)
        monkeypatch.setattr(
            type(parts.fleet), "fleet", lambda _self: replace(fleet, clusters=clusters)
        )
        asked = check(CheckKind.CLUSTER, "cluster:near")
        assert looks.look(asked) == (verdict, "near: version 1.34")


@pytest.mark.parametrize(
    "asked",
    [
        check(CheckKind.ROWS, "task:heart/etl"),
        check(CheckKind.REQUESTS, "model:heart"),
        check(CheckKind.QUALITY, "model:heart"),
        check(CheckKind.CONFIGURATION, "pipeline:heart"),
    ],
)
def test_every_other_kind_is_looked_up_in_the_store(looks: EngineChecks, asked: Check) -> None:
    assert looks.look(asked)[0] is Verdict.OPEN
