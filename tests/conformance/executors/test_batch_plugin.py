"""The example of an executor plug-in: its distribution, and the suite of its port."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import plugins
from engine.model.dispatches import AttemptOrder, AttemptState, Reason
from engine.model.identifiers import AttemptId
from engine.ports import Executor
from engine.testing.executor_suite import Behaviour, ExecutorSuite, ended
from executors.local import FolderArtifacts
from tests.support.kubernetes_documents import order
from tests.support.local_cluster import LASTS, OUTPUTS, WRITES

PLUGIN = Path(__file__).resolve().parents[3] / "examples" / "batch-plugin"
PROGRAMS = {
    Behaviour.SUCCEEDS: WRITES,
    Behaviour.FAILS: "raise SystemExit(3)",
    Behaviour.LASTS: LASTS,
}
READS = OUTPUTS + (
    "rows = json.loads((Path(os.environ['BERTH_INPUTS']) / 'etl' / 'rows.json')"
    ".read_text()); (out / 'outputs.json').write_text(json.dumps({'rows': rows}))"
)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the example be found as if it were installed, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    yield
    for name in [each for each in sys.modules if each.partition(".")[0] == "berth_batch"]:
        del sys.modules[name]


class TestBatchExecutor(ExecutorSuite):
    @pytest.fixture(autouse=True)
    def _service(self, _importable: None, tmp_path: Path) -> Iterator[None]:
        self.folder = tmp_path / "service"
        self.folder.mkdir()
        self.artifacts = FolderArtifacts(tmp_path / "artifacts")
        service = importlib.import_module("berth_batch.service")
        server, jobs = service.serve(self.folder)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield
        jobs.close()
        server.shutdown()
        thread.join()
        server.server_close()

    def made(self) -> Executor:
        found = importlib.import_module("berth_batch.executor")
        made: Executor = found.BatchExecutor(self.url, self.artifacts)
        return made

    @pytest.fixture
    def executor(self) -> Executor:
        return self.made()

    def order(self, attempt: AttemptId, behaviour: Behaviour) -> AttemptOrder:
        return order(attempt, command=(sys.executable, "-c", PROGRAMS[behaviour]))

    def reopened(self, executor: Executor) -> Executor:
        return self.made()

    def start_count(self, executor: Executor, attempt: AttemptId) -> int:
        path = self.folder / "started.log"
        return path.read_text().splitlines().count(attempt) if path.exists() else 0

    def cut_off(self, executor: Executor, order: AttemptOrder) -> None:
        executor.client.url = "http://127.0.0.1:1"  # type: ignore[attr-defined]  # of the example

    def test_inputs_are_laid_out_by_the_name_of_their_task(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        (tmp_path / "etl").mkdir()
        (tmp_path / "etl" / "rows.json").write_text("7")
        given = self.order(AttemptId("r-1.train.1"), Behaviour.SUCCEEDS)
        inputs = {"etl": self.artifacts.put(tmp_path / "etl")}
        executor.start(replace(given, command=(sys.executable, "-c", READS), inputs=inputs))
        assert ended(executor, "r-1.train.1").outputs == {"rows": 7}

    def test_outputs_that_link_to_elsewhere_fail_the_attempt(self, executor: Executor) -> None:
        links = OUTPUTS + "(out / 'rows').symlink_to('/etc/passwd')"
        given = self.order(AttemptId("r-1.train.1"), Behaviour.SUCCEEDS)
        executor.start(replace(given, command=(sys.executable, "-c", links)))
        seen = ended(executor, "r-1.train.1")
        assert (seen.state, seen.reason) == (AttemptState.FAILED, Reason.BAD_OUTPUT)
        assert "outputs cannot be taken" in seen.message


def test_the_example_is_a_distribution_that_berth_finds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=PLUGIN, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    found = plugins.load("berth.executors", path=[str(installed)])
    assert found["batch"].__name__ == "BatchExecutor"


@pytest.mark.parametrize("link", ["../../out", "/etc/passwd"])
def test_nothing_is_written_beside_the_place_of_an_archive(link: str, tmp_path: Path) -> None:
    packing = importlib.import_module("berth_batch.packing")
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "rows").symlink_to(link)
    with pytest.raises(tarfile.TarError):
        packing.unpack(packing.pack(tmp_path / "from"), tmp_path / "to" / "there")
