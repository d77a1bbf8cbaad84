"""The runner in a pod, against a real artefact endpoint on loopback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine.clocks import SystemClock
from engine.model.dispatches import AttemptState, Observation
from engine.model.errors import InvalidInputError
from engine.model.identifiers import AttemptId, Digest
from executors.kubernetes import endpoint, verdicts
from executors.kubernetes.journal import Journal, Sender
from executors.local import FolderArtifacts
from executors.training.tracking import experiments
from tests.support.local_cluster import WRITES

ROOT = Path(__file__).resolve().parents[3]
SENDER = Sender(pipeline="heart", task="task", cluster="east", pool="nodes")
MEASURES = (
    WRITES
    + """
import json, os
from pathlib import Path
line = {"name": "rows", "layer": "etl", "subject": "task:heart/task", "at": 1.0, "value": 3.0}
Path(os.environ["BERTH_SIGNALS"]).write_text(json.dumps(line) + "\\n")
"""
)


class Pod:
    """A folder in which the runner believes to be in a pod."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.artifacts = FolderArtifacts(home / "artifacts")
        self.signer = endpoint.Signer(home / "key")
        self.journal = Journal(home / "signals", SystemClock())
        self.server = endpoint.ArtifactEndpoint(
            self.artifacts, self.signer, "127.0.0.1:0", home / "transfers", self.journal
        )
        self.base = f"http://127.0.0.1:{self.server.port}"

    def address(self, what: str, name: str) -> str:
        return self.signer.address(self.base, what, name)

    def run(self, program: str, number: int = 0, **changes: object) -> tuple[int, verdicts.Told]:
        """Run a program as the task; return the exit code and what the runner told.

        number: of the pod among those of an Indexed Job.
        """
        told_at = self.home / f"termination-{number}"
        order: dict[str, Any] = {
            "attempt_id": "r-1.task.1",
            "run_id": "r-1",
            "pipeline": "heart",
            "task": "task",
            "kind": "etl",
            "cluster": "east",
            "command": [sys.executable, "-c", program],
            "parameters": {"answer": 42},
            "memory_bytes": 2**28,
            "time_limit_seconds": None,
            "grace_seconds": 1.0,
            "inputs": {},
            "files": {},
            "outputs": self.address("outputs", "r-1.task.1"),
            "signals": self.address("signals", SENDER.address),
            **changes,
        }
        here = {
            "BERTH_ORDER": json.dumps(order),
            "BERTH_ROOT": str(self.home / f"pod-{number}"),
            "BERTH_TERMINATION": str(told_at),
            "JOB_COMPLETION_INDEX": str(number),
            "PYTHONPATH": str(ROOT),
        }
        code = subprocess.run(
            [sys.executable, "-m", "executors.kubernetes.pod"],
            env={**os.environ, **here},
            check=False,
            stdout=subprocess.DEVNULL,
        ).returncode
        told = verdicts.told(told_at.read_text(encoding="utf-8"))
        assert told is not None
        return code, told


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    made = Pod(tmp_path)
    yield made
    made.server.stop()


def test_outputs_are_left_at_the_endpoint_and_told(pod: Pod, tmp_path: Path) -> None:
    code, told = pod.run(WRITES)
    assert (code, told.ending, told.outputs) == (0, "exited", {"rows": 3})
    pod.artifacts.fetch(told.artifact, tmp_path / "there")
    assert (tmp_path / "there" / "outputs.json").read_text() == '{"rows": 3}'


def test_inputs_and_files_are_laid_out_before_the_task_starts(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "rows.csv").write_text("1,2")
    digest = pod.artifacts.put(tmp_path / "up")
    single = pod.artifacts.put(tmp_path / "up" / "rows.csv")
    program = WRITES + (
        "inputs = Path(os.environ['BERTH_INPUTS']); "
        "assert (inputs / 'etl' / 'rows.csv').read_text() == '1,2'; "
        "folder = Path(os.environ['BERTH_FOLDER']); "
        "assert (folder / 'data' / 'rows.csv').read_text() == '1,2'"
    )
    inputs = {"etl": pod.address("inputs", digest)}
    files = {"data/rows.csv": pod.address("inputs", single)}
    assert pod.run(program, inputs=inputs, files=files)[0] == 0


def test_nodes_meet_at_the_first_and_only_that_has_outputs(pod: Pod, tmp_path: Path) -> None:
    program = WRITES + (
        "where = {name: os.environ['BERTH_' + name] for name in ('NODES', 'NODE', 'MEETING')}; "
        "(out / 'outputs.json').write_text(json.dumps(where))"
    )
    together = {"nodes": 2, "meeting": pod.address("meetings", "r-1.task.1")}
    with ThreadPoolExecutor(2) as threads:
        second = threads.submit(pod.run, program, 1, **together)
        first = threads.submit(pod.run, program, 0, **together)
        (code, told), (other_code, other) = first.result(), second.result()
    assert (code, other_code) == (0, 0)
    assert (other.artifact, dict(other.outputs)) == ("", {})
    assert told.outputs["NODES"] == "2"
    assert told.outputs["NODE"] == "0"
    host, _, port = str(told.outputs["MEETING"]).partition(":")
    assert host == "127.0.0.1"
    there = json.loads((tmp_path / "pod-1" / "attempt" / "outputs" / "outputs.json").read_text())
    assert there == {"NODES": "2", "NODE": "1", "MEETING": f"{host}:{port}"}


def test_nodes_that_train_are_told_their_workers(pod: Pod) -> None:
    program = WRITES + (
        "names = ('BERTH_WORKERS', 'PET_NPROC_PER_NODE', 'PET_NNODES', 'PET_NODE_RANK'); "
        "(out / 'outputs.json').write_text(json.dumps({n: os.environ.get(n, '') for n in names}))"
    )
    together = {"nodes": 2, "workers": [2, 1], "meeting": pod.address("meetings", "r-1.task.1")}
    with ThreadPoolExecutor(2) as threads:
        second = threads.submit(pod.run, program, 1, **together)
        _, told = pod.run(program, 0, **together)
        assert second.result()[0] == 0
    assert told.outputs == {
        "BERTH_WORKERS": "2",
        "PET_NPROC_PER_NODE": "2",
        "PET_NNODES": "2",
        "PET_NODE_RANK": "0",
    }
    alone = pod.run(program, workers=[3])[1].outputs
    assert sorted(alone.values()) == ["", "", "3", "3"]
    assert set(pod.run(program, workers=[0])[1].outputs.values()) == {""}


def test_what_a_training_had_written_is_left_when_it_fails(pod: Pod, tmp_path: Path) -> None:
    code, told = pod.run(WRITES + "raise SystemExit(3)", workers=[1])
    assert (code, dict(told.outputs)) == (3, {})
    pod.artifacts.fetch(Digest(told.artifact), tmp_path / "left")
    assert (tmp_path / "left" / "outputs.json").exists()
    for state, artifact in ((AttemptState.FAILED, told.artifact), (AttemptState.STOPPED, None)):
        seen = Observation(attempt_id=AttemptId("r-1.task.1"), state=state)
        assert pod.server.with_left(seen).artifact == artifact
    pod.server.forget(AttemptId("r-1.task.1"))
    failed = Observation(attempt_id=AttemptId("r-1.task.1"), state=AttemptState.FAILED)
    assert pod.server.with_left(failed).artifact is None


@pytest.mark.parametrize(
    ("program", "changes"),
    [
        ("raise SystemExit(3)", {"workers": [1]}),
        (WRITES + "raise SystemExit(3)", {}),
        (WRITES + "raise SystemExit(3)", {"workers": [1], "outputs": "http://127.0.0.1:9/x"}),
        (
            "import os, shutil; shutil.rmtree(os.environ['BERTH_OUTPUTS']); raise SystemExit(3)",
            {"workers": [1]},
        ),
    ],
)
def test_nothing_is_left_of_what_cannot_be_or_is_no_training(
    pod: Pod, program: str, changes: dict[str, Any]
) -> None:
    code, told = pod.run(program, **changes)
    assert (code, told.artifact) == (3, "")


def test_where_nodes_meet_is_told_later_and_forgotten_with_the_attempt(pod: Pod) -> None:
    address = pod.address("meetings", "r-1.task.1")
    for _ in range(2):
        assert refusal(address) == 503
        told = urllib.request.Request(address, data=b"10.0.0.1:29500", method="PUT")
        with urllib.request.urlopen(told), urllib.request.urlopen(address) as answer:
            assert answer.read() == b"10.0.0.1:29500"
        pod.server.forget(AttemptId("r-1.task.1"))
    assert refusal(address.replace("task.1", "task.2")) == 403


def refusal(address: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(address)
    with caught.value as answer:
        return answer.code


def test_a_task_that_fails_is_told_with_its_last_words(pod: Pod) -> None:
    code, told = pod.run("import sys; sys.stderr.write('no rows\\n'); sys.exit(3)")
    assert (code, told.code, told.message) == (3, 3, "no rows")


def test_a_task_over_its_memory_is_ended_and_told(pod: Pod) -> None:
    program = "x = bytearray(600 * 2**20); import time; time.sleep(300)"
    assert pod.run(program)[1].ending == "memory"


def test_outputs_that_are_missing_are_a_fault_of_the_task(pod: Pod) -> None:
    code, told = pod.run("pass")
    assert code == 1
    assert "outputs.json is missing" in told.fault


def test_outputs_too_large_for_the_message_are_left_in_the_artefact(pod: Pod) -> None:
    program = WRITES + "(out / 'outputs.json').write_text(json.dumps({'text': 'x' * 9000}))"
    code, told = pod.run(program)
    assert (code, dict(told.outputs)) == (0, {})
    assert told.artifact


def test_an_input_that_is_not_there_ends_the_attempt_without_a_start(pod: Pod) -> None:
    inputs = {"etl": pod.address("inputs", "sha256:" + "0" * 64)}
    code, told = pod.run(WRITES, inputs=inputs)
    assert (code, told.ending) == (75, "refused")
    assert "no artefact" in told.message


def test_an_address_that_is_not_signed_is_refused(pod: Pod) -> None:
    address = pod.address("inputs", "sha256:" + "0" * 64).replace("inputs", "outputs")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(address, data=b"", method="PUT"))
    assert caught.value.code == 403
    caught.value.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../escape", tarfile.REGTYPE),
        ("content/../../escape", tarfile.REGTYPE),
        ("content/link", tarfile.SYMTYPE),
        ("content/hard", tarfile.LNKTYPE),
        ("content/device", tarfile.CHRTYPE),
        ("other", tarfile.REGTYPE),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        member = tarfile.TarInfo(name)
        member.type = kind
        member.linkname = "/etc/passwd"
        packed.addfile(member)
    stream.seek(0)
    with pytest.raises((tarfile.TarError, ValueError)):
        endpoint.unpack(stream, tmp_path / "here")
    assert not (tmp_path / "escape").exists()


def test_a_file_with_holes_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as packed:
        member = tarfile.TarInfo("content")
        holes = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        member.pax_headers = {**holes, "GNU.sparse.realsize": str(2**50)}
        data = b"0\n".ljust(512, b"\0")
        member.size = len(data)
        packed.addfile(member, io.BytesIO(data))
    content.seek(0)
    with pytest.raises(ValueError, match="has holes"):
        endpoint.unpack(content, tmp_path)


@pytest.mark.parametrize("signature", ["%C3%A9", "", "0"])
def test_any_text_may_stand_where_a_signature_should(pod: Pod, signature: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{pod.base}/inputs/x?signature={signature}", timeout=60)


@pytest.mark.parametrize("length", ["many", "-5", "1" * 30])
def test_a_length_that_is_none_is_refused(pod: Pod, length: str) -> None:
    address = pod.address("outputs", "r-1.task.1")
    request = urllib.request.Request(address, data=b"x", method="PUT")
    request.add_header("Content-Length", length)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=60)


def test_the_key_stays_the_same_and_is_for_its_owner_only(tmp_path: Path) -> None:
    first = endpoint.Signer(tmp_path / "key").sign("inputs", "a")
    assert endpoint.Signer(tmp_path / "key").sign("inputs", "a") == first
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_an_address_that_cannot_be_listened_on_is_named(tmp_path: Path) -> None:
    store, signer = FolderArtifacts(tmp_path / "a"), endpoint.Signer(tmp_path / "key")
    journal = Journal(tmp_path / "signals", SystemClock())
    with pytest.raises(InvalidInputError, match="here:there"):
        endpoint.ArtifactEndpoint(store, signer, "here:there", tmp_path, journal)


def test_as_many_last_lines_are_told_as_a_cluster_keeps(pod: Pod) -> None:
    program = "import sys; [print(n, 'x' * 280, file=sys.stderr) for n in range(20)]; sys.exit(3)"
    _, told = pod.run(program)
    numbers = [int(line.split()[0]) for line in told.last_lines]
    assert 5 < len(numbers) < 20
    assert numbers == list(range(20 - len(numbers), 20))


def test_what_a_task_measured_comes_to_the_engine_with_labels(pod: Pod) -> None:
    assert pod.run(MEASURES)[0] == 0
    ((signal,), _) = pod.journal.read("", until=2.0)
    assert (signal.series, signal.value) == ("task:heart/task|rows", 3.0)
    assert dict(signal.labels) == SENDER.labels


def test_a_task_may_not_measure_for_another_pipeline(pod: Pod) -> None:
    assert pod.run(MEASURES.replace("task:heart", "task:reports"))[0] == 0
    assert pod.journal.read("", until=2.0)[0] == []


def test_an_engine_that_is_away_does_not_keep_a_task_from_its_end(pod: Pod) -> None:
    away = "http://127.0.0.1:1/signals/x?signature=0"
    assert pod.run(MEASURES, signals=away)[0] == 0


def test_a_record_of_a_command_of_ones_own_comes_back_with_its_outputs(
    pod: Pod, tmp_path: Path
) -> None:
    spec = {"name": "fit", "kind": "train", "command": ["python", "fit.py"]}
    _, told = pod.run(
        WRITES, parameters={"task": spec}, digests={"etl": "sha256:7"}, commit="abc123"
    )
    pod.artifacts.fetch(Digest(told.artifact), tmp_path / "there")
    found = experiments.read(tmp_path / "there")
    assert (found.task, dict(found.data)) == ("fit", {"etl": "sha256:7"})
    assert found.code["commit"] == "abc123"
