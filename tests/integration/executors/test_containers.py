"""What containers add to the contract of local attempts: their walls, limits and remains."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.clocks import SystemClock
from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import RefusedError, RetryableError
from engine.model.fleet import Fleet, NodeShape
from engine.model.identifiers import AttemptId, Digest
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from engine.testing.executor_suite import ended, seen
from executors.containers import ContainerExecutor, ContainerSettings, podman
from executors.local import FileFleetSource, LocalSignals, files
from tests.support.containers import PodmanMachine, required
from tests.support.local_cluster import LASTS, OUTPUTS, WRITES, LocalCluster, wait_for

FIRST = AttemptId("r-1.task.1")
READY = "(out / 'ready').write_text(''); "
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
LOOKS = OUTPUTS + (
    "group = Path('/sys/fs/cgroup'); one = group / 'memory' / 'memory.limit_in_bytes'; "
    "limit = int((one if one.exists() else group / 'memory.max').read_text()); "
    "others = [p for p in Path('/proc').iterdir() if p.name.isdigit()]; "
    "given = (Path(os.environ['BERTH_INPUTS']) / 'etl' / 'rows').read_text(); "
    "hidden = not (Path(os.environ['BERTH_HOME']) / 'berth.sqlite').exists(); "
    "told = {'limit': limit, 'processes': len(others), 'given': given, 'hidden': hidden}; "
    "(out / 'outputs.json').write_text(json.dumps(told))"
)
GRABS = "import subprocess, sys; x = b'1' * (600 << 20)"


@pytest.fixture(scope="module")
def machine() -> Iterator[PodmanMachine]:
    required()
    made = PodmanMachine()
    yield made
    made.close()


class Berth:
    """An executor of containers on one local cluster."""

    def __init__(self, home: Path, settings: ContainerSettings) -> None:
        self.cluster = LocalCluster(home)
        self.settings = settings
        self.executor = self.reopened()

    def reopened(self) -> ContainerExecutor:
        """Return the executor of the next engine."""
        here = self.cluster
        return ContainerExecutor(
            here.home, here.source, here.artifacts, SystemClock(), self.settings
        )

    def order(self, program: str) -> AttemptOrder:
        """Return an order to run a program with the interpreter in the image."""
        return replace(self.cluster.order(""), command=(self.settings.python, "-c", program))

    def run(self, order: AttemptOrder) -> Observation:
        """Return the last observation of an attempt."""
        self.executor.start(order)
        return ended(self.executor, order.attempt_id)

    def runs(self, program: str) -> None:
        """Start an attempt and return once its program says that it is ready."""
        self.executor.start(self.order(OUTPUTS + program))
        wait_for((self.cluster.folder() / files.OUTPUTS / "ready").exists)


@pytest.fixture
def berth(tmp_path: Path, machine: PodmanMachine) -> Berth:
    return Berth(tmp_path, machine.settings)


def test_a_task_sees_its_inputs_and_limits_and_nobody_else(
    berth: Berth, machine: PodmanMachine, tmp_path: Path
) -> None:
    (tmp_path / "etl").mkdir()
    (tmp_path / "etl" / "rows").write_text("7")
    (tmp_path / "berth.sqlite").touch()
    order = replace(
        berth.order(LOOKS), inputs={"etl": berth.cluster.artifacts.put(tmp_path / "etl")}
    )
    last = berth.run(order)
    assert last.outputs["given"] == "7"
    assert last.outputs["hidden"] is True
    assert last.outputs["processes"] == 2
    assert last.outputs["limit"] == (1 << 30) + (96 << 20)
    assert machine.names() == []


def test_what_takes_memory_faster_than_it_is_watched_is_told(berth: Berth) -> None:
    limits = Resources(cpu_cores=1.0, memory_gib=0.1)
    last = berth.run(replace(berth.order(GRABS), limits=limits))
    assert (last.state, last.reason) == (AttemptState.FAILED, Reason.OUT_OF_MEMORY)


def test_what_ignores_the_request_to_stop_is_killed(berth: Berth, machine: PodmanMachine) -> None:
    berth.runs(STUBBORN + READY + "time.sleep(300)")
    berth.executor.stop(FIRST)
    last = ended(berth.executor, FIRST)
    assert (last.state, last.exit_code) == (AttemptState.STOPPED, -signal.SIGKILL)
    assert machine.names() == []


def test_a_container_killed_from_outside_is_told_and_removed(
    berth: Berth, machine: PodmanMachine
) -> None:
    berth.runs(READY + LASTS)
    machine.call("kill", *machine.names())
    last = ended(berth.reopened(), FIRST)
    assert (last.state, last.reason) == (AttemptState.FAILED, Reason.KILLED)
    assert machine.names() == []


def test_a_failing_cluster_loses_its_containers(berth: Berth, machine: PodmanMachine) -> None:
    berth.runs(READY + LASTS)
    berth.cluster.switch.fail("here")
    last = ended(berth.executor, FIRST)
    assert (last.state, last.reason) == (AttemptState.LOST, Reason.CLUSTER_DOWN)
    assert machine.names() == []


def test_a_crash_before_the_container_is_mended_by_looking(berth: Berth) -> None:
    berth.executor._shims.spawn = lambda *_: None  # type: ignore[method-assign]  # the crash
    berth.executor.start(berth.order(WRITES))
    assert ended(berth.reopened(), FIRST).state is AttemptState.SUCCEEDED
    assert berth.cluster.starts() == 1


def test_a_container_left_by_a_crash_is_swept(berth: Berth, machine: PodmanMachine) -> None:
    berth.executor._shims.clear = lambda *_: None  # type: ignore[method-assign]  # the crash
    berth.run(berth.order(WRITES))
    assert machine.names() == [podman.name_of(berth.cluster.home, FIRST)]
    labels = json.loads(machine.call("inspect", machine.names()[0]))[0]["Config"]["Labels"]
    assert labels["berth.attempt"] == FIRST
    berth.reopened()
    assert machine.names() == []


def test_each_executor_sees_its_own_attempts(berth: Berth) -> None:
    berth.executor.start(berth.order(LASTS))
    local = berth.cluster.executor
    assert seen(local, FIRST) is None
    berth.executor.stop(FIRST)
    assert ended(berth.executor, FIRST).state is AttemptState.STOPPED


def test_an_image_that_is_not_there_is_a_refusal(
    berth: Berth, machine: PodmanMachine, tmp_path: Path
) -> None:
    other = Berth(tmp_path, replace(berth.settings, image="localhost/absent:1"))
    with pytest.raises(RefusedError, match="no image 'localhost/absent:1'"):
        other.executor.start(other.order(WRITES))
    assert list(other.executor.observe()) == []
    assert machine.names() == []


def test_what_podman_refuses_is_tried_again(berth: Berth, tmp_path: Path) -> None:
    other = Berth(tmp_path, replace(berth.settings, options=("--memory", "much")))
    with pytest.raises(RetryableError, match="podman cannot start a container"):
        other.executor.start(other.order(WRITES))
    assert list(other.executor.observe()) == []


def test_a_task_can_neither_rewrite_its_order_nor_show_what_is_behind_the_wall(
    berth: Berth, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"key": "value"}')
    kept = (*podman.KEPT, files.CONTAINER_PID)
    tries = "".join(
        f"\ntry: (mine / {name!r}).write_text('x')\nexcept OSError: held += 1"
        f"\ntry: (mine / {name!r}).unlink()\nexcept OSError: held += 1"
        for name in kept
    )
    program = (
        f"{OUTPUTS}\nmine, held = Path(os.environ['BERTH_ATTEMPT']), 0{tries}"
        f"\n(mine / 'signals.jsonl').symlink_to({str(secret)!r})"
        f"\n(mine / 'log.txt').unlink()\n(mine / 'log.txt').symlink_to({str(secret)!r})"
        "\n(out / 'outputs.json').write_text(json.dumps({'held': held}))"
    )
    assert berth.run(berth.order(program)).outputs == {"held": 2 * len(kept)}
    with pytest.raises(files.NotPlainError):
        files.open_plain(berth.cluster.folder() / files.LOG)
    assert LocalSignals(tmp_path, berth.cluster.source).read("")[1]
    assert berth.executor.clear(lambda attempt: attempt != FIRST) == 1
    assert secret.read_text() == '{"key": "value"}'


def test_an_end_that_a_task_forges_ends_it_before_its_outputs_are_read(
    berth: Berth, machine: PodmanMachine
) -> None:
    said = {"ending": "exited", "code": 0, "message": "", "started_at": 1.0, "ended_at": 2.0}
    said |= {"cpu_seconds": 1.0, "memory_bytes_peak": 1}
    program = (
        f"{WRITES}(out.parent / 'exit.json').write_text({json.dumps(said)!r}); "
        "import time; time.sleep(300)"
    )
    read, names = berth.cluster.artifacts.put, []

    def put(path: Path) -> Digest:
        names.append(machine.names())
        return read(path)

    berth.cluster.artifacts.put = put  # type: ignore[method-assign]
    assert berth.run(berth.order(program)).state is AttemptState.SUCCEEDED
    assert names == [[]]


def test_folders_that_cannot_be_shown_are_refused(berth: Berth, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(tmp_path / "keys")
    for folder, why in (
        (tmp_path / "keys", "lies in the data folder"),
        (f"{tmp_path}-link", "lies in the data folder"),
        ("/a:b", "the colon"),
    ):
        with pytest.raises(RefusedError, match=why):
            berth.executor.start(replace(berth.order(WRITES), folder=str(folder)))
    assert list((tmp_path / "attempts").iterdir()) == []


def test_each_task_has_gpus_of_its_own(machine: PodmanMachine, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("not run: only root can lay a file over /etc")
    berth = Berth(tmp_path, machine.with_gpus(2))
    shape = NodeShape(machine="small", cpu_cores=2, memory_gib=4, gpu_count=2)
    (cluster,) = berth.cluster.source.fleet().clusters
    pools = (replace(cluster.pools[0], shape=shape),)
    fleet = Fleet(clusters=(replace(cluster, pools=pools, executor="containers"),))
    berth.cluster.source = FileFleetSource(fleet, berth.cluster.switch)
    executor = berth.reopened()
    limits = Resources(cpu_cores=1.0, memory_gib=0.5, gpu_count=1)
    says = "(out / 'outputs.json').write_text(json.dumps({'gpu': os.environ['GPU']})); "
    orders = [
        replace(berth.order(OUTPUTS + says + more), attempt_id=attempt, limits=limits)
        for attempt, more in ((FIRST, LASTS), (AttemptId("r-1.task.2"), ""))
    ]
    for order in orders:
        executor.start(order)
    assert ended(executor, orders[1].attempt_id).outputs == {"gpu": "1"}
    wait_for((berth.cluster.folder() / files.OUTPUTS / "outputs.json").exists)
    executor.stop(FIRST)
    ended(executor, FIRST)
    assert json.loads((berth.cluster.folder() / files.OUTPUTS / "outputs.json").read_text()) == {
        "gpu": "0"
    }


def test_services_and_several_nodes_are_refused(berth: Berth) -> None:
    order = berth.order(WRITES)
    with pytest.raises(RefusedError, match="serves"):
        berth.executor.start(replace(order, kind=TaskKind.SERVE))
    with pytest.raises(RefusedError, match="for 2 nodes"):
        berth.executor.start(replace(order, nodes=2))
    assert list((berth.cluster.home / "attempts").iterdir()) == []
