"""Nodes that run a command together on this machine: what each is told, and how the whole ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.identifiers import TaskName, attempt_id
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.local import processes
from executors.local.together import WORKERS, kept_port
from executors.training.parallel import metrics
from tests.support.local_cluster import OUTPUTS, RUN, LocalCluster, wait_for

TELLS = OUTPUTS + (
    "names = ('BERTH_NODES', 'BERTH_NODE', 'BERTH_MEETING', 'BERTH_WORKERS', 'PET_NNODES', "
    "'PET_NODE_RANK', 'PET_NPROC_PER_NODE', 'PET_MASTER_PORT', 'PET_STANDALONE'); "
    "told = {name: os.environ[name] for name in names if name in os.environ}; "
    "(out / 'outputs.json').write_text(json.dumps(told)); "
)
NODE = "node = int(os.environ['BERTH_NODE']); "


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    found = LocalCluster(tmp_path)
    yield found
    processes.kill_having({"BERTH_HOME": str(tmp_path)})


def together(
    cluster: LocalCluster, program: str, *, nodes: int = 2, workers: int = 3
) -> AttemptOrder:
    limits = Resources(cpu_cores=1.0, memory_gib=0.5)
    order = replace(cluster.order(program, limits=limits), kind=TaskKind.TRAIN)
    return replace(order, nodes=nodes, workers=workers)


def test_each_node_is_told_its_number_and_its_workers(cluster: LocalCluster) -> None:
    seen = cluster.run(together(cluster, TELLS))
    assert seen.state is AttemptState.SUCCEEDED
    first = dict(seen.outputs)
    other = json.loads((cluster.folder() / "outputs-1" / "outputs.json").read_text())
    host, _, port = str(first["BERTH_MEETING"]).partition(":")
    assert (host, port) == ("127.0.0.1", first["PET_MASTER_PORT"])
    assert [told["BERTH_NODE"] for told in (first, other)] == ["0", "1"]
    assert [told["BERTH_WORKERS"] for told in (first, other)] == ["2", "1"]
    assert [told["PET_NPROC_PER_NODE"] for told in (first, other)] == ["2", "1"]
    same = ("BERTH_NODES", "BERTH_MEETING", "PET_NNODES")
    assert [first[name] for name in same] == [other[name] for name in same]
    assert cluster.starts() == 1


def test_one_node_with_workers_finds_its_own_place_to_meet(cluster: LocalCluster) -> None:
    told = cluster.run(together(cluster, TELLS, nodes=1)).outputs
    assert told["BERTH_WORKERS"] == "3"
    assert told["PET_STANDALONE"] == "1"
    assert "PET_NNODES" not in told


def test_words_of_the_command_are_those_of_each_node(cluster: LocalCluster) -> None:
    program = "import sys; from pathlib import Path; Path(sys.argv[1]).write_text(sys.argv[2])"
    order = together(cluster, program)
    where = ("$BERTH_OUTPUTS/outputs.json", '{"node": $BERTH_NODE}')
    seen = cluster.run(replace(order, command=(*order.command, *where)))
    assert seen.outputs == {"node": 0}
    assert (cluster.folder() / "outputs-1" / "outputs.json").read_text() == '{"node": 1}'


def test_the_first_that_fails_ends_all(cluster: LocalCluster) -> None:
    program = OUTPUTS + NODE + "import time; time.sleep(300 * (1 - node)); raise SystemExit(66)"
    seen = cluster.run(together(cluster, program))
    assert (seen.state, seen.reason, seen.exit_code) == (AttemptState.FAILED, Reason.GATE, 66)


def test_a_node_that_is_killed_is_the_end_of_all(cluster: LocalCluster) -> None:
    program = OUTPUTS + NODE + "import time; own = Path(os.environ['BERTH_ATTEMPT'], f'pid-{node}')"
    program += "; own.write_text(str(os.getpid())); time.sleep(300)"
    cluster.executor.start(together(cluster, program))
    lost, other = (cluster.folder() / f"pid-{node}" for node in (1, 0))
    wait_for(lambda: all(path.exists() and path.read_text() for path in (lost, other)))
    pids = [int(path.read_text()) for path in (lost, other)]
    identity = processes.identity(pids[0])
    assert identity is not None
    assert processes.send(pids[0], identity, signal.SIGKILL)
    seen = cluster.ended()
    assert (seen.state, seen.reason) == (AttemptState.FAILED, Reason.KILLED)
    assert processes.identity(pids[1]) is None


def test_what_a_training_had_written_is_kept_when_it_fails(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    program = OUTPUTS + NODE + "import time; (out / 'state').write_text(str(node)); "
    # The first that fails ends the others: only once the first node has written.
    program += "first = Path(os.environ['BERTH_ATTEMPT'], 'outputs', 'state')\n"
    program += "while not (first.exists() and first.read_text()): time.sleep(0.01)\n"
    program += "raise SystemExit(3)"
    seen = cluster.run(together(cluster, program))
    assert (seen.state, seen.exit_code) == (AttemptState.FAILED, 3)
    assert seen.artifact is not None
    cluster.artifacts.fetch(seen.artifact, tmp_path / "left")
    assert (tmp_path / "left" / "state").read_text() == "0"


@pytest.mark.parametrize(
    ("program", "workers"),
    [
        ("raise SystemExit(3)", 3),
        (OUTPUTS + "(out / 'x').symlink_to('/etc/hostname'); raise SystemExit(3)", 3),
        (OUTPUTS + "(out / 'state').touch(); raise SystemExit(3)", 0),
    ],
)
def test_nothing_is_kept_of_what_cannot_be_or_is_no_training(
    cluster: LocalCluster, program: str, workers: int
) -> None:
    assert cluster.run(together(cluster, program, nodes=1, workers=workers)).artifact is None


def test_the_next_engine_finds_them(cluster: LocalCluster) -> None:
    program = TELLS + "import time; go = Path(os.environ['BERTH_HOME'], 'go')"
    program += "\nwhile not go.exists(): time.sleep(0.01)"
    cluster.executor.start(together(cluster, program))
    cluster.until(lambda seen: seen.started_at is not None)
    cluster.executor = cluster.reopened()
    (cluster.home / "go").touch()
    assert cluster.ended().state is AttemptState.SUCCEEDED
    assert cluster.starts() == 1


def test_a_stop_reaches_every_node(cluster: LocalCluster) -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    order = together(cluster, program)
    cluster.executor.start(order)
    cluster.until(lambda seen: seen.started_at is not None)
    cluster.executor.stop(order.attempt_id)
    assert cluster.ended().reason is Reason.CANCELLED


def test_who_asks_for_the_end_says_how_long_it_may_take(tmp_path: Path) -> None:
    (tmp_path / WORKERS).write_text("[1, 1]")
    told = {**os.environ, "BERTH_ATTEMPT": str(tmp_path), "BERTH_OUTPUTS": str(tmp_path / "out")}
    saves = (
        "import os, signal, sys, time; from pathlib import Path; "
        "own = Path(os.environ['BERTH_ATTEMPT']) / ('saved-' + os.environ['BERTH_NODE']); "
        "save = lambda *_: (time.sleep(0.3), own.touch(), sys.exit(0)); "
        "signal.signal(signal.SIGTERM, save); own.with_suffix('.ready').touch()\n"
        "while len(list(own.parent.glob('*.ready'))) < 2: time.sleep(0.01)\n"
        "os.kill(os.getppid(), signal.SIGTERM); time.sleep(300)"
    )
    begin = (
        "import os, sys; from executors.local import together; together._GRACE_SECONDS = 0.0; "
        "sys.exit(together.main(sys.argv[1:], os.environ))"
    )
    words = [sys.executable, "-c", begin, str(tmp_path), "--", sys.executable, "-c", saves]
    assert subprocess.run(words, env=told, check=False, timeout=300).returncode == -signal.SIGTERM
    assert [(tmp_path / f"saved-{node}").exists() for node in (0, 1)] == [True, True]


def test_a_command_that_is_not_there_is_named(cluster: LocalCluster) -> None:
    seen = cluster.run(replace(together(cluster, "pass"), command=("/absent",)))
    assert seen.exit_code == 127
    assert seen.message == "cannot run '/absent': No such file or directory"


def test_a_command_that_no_system_takes_is_refused(cluster: LocalCluster) -> None:
    seen = cluster.run(replace(together(cluster, "pass"), command=("/absent", "a\0b")))
    assert seen.exit_code == 127
    assert seen.message.endswith(": embedded null byte")


def test_memory_is_that_of_all_nodes(cluster: LocalCluster) -> None:
    order = together(cluster, OUTPUTS + "held = bytearray(600 << 20); import time; time.sleep(300)")
    assert cluster.run(replace(order, workers=2)).reason is Reason.OUT_OF_MEMORY
    launch = json.loads((cluster.folder() / "launch.json").read_bytes())
    assert launch["memory_bytes"] == 1 << 30


RECIPE = """
import os, pathlib
import torch
from executors.training.parallel.recipe import Recipe

passes = pathlib.Path(os.environ["BERTH_FOLDER"], "passes")

def summed(outputs, targets):
    with passes.open("a") as file:
        file.write("x")
    if passes.with_name("fails").exists() and passes.stat().st_size > 7:
        raise RuntimeError("the memory is bad")
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="sum")

def recipe():
    torch.manual_seed(0)
    inputs = torch.randn(60, 6, dtype=torch.float64)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    return Recipe(
        model=model.double(), inputs=inputs, targets=inputs.argmax(1) % 3, loss=summed, epochs=2,
        global_batch=20, micro_batch=10, learning_rate=0.2,
    )
"""


def trained(cluster: LocalCluster, name: str, **more: object) -> Observation:
    """Return the end of a training of the recipe, as a task of that name."""
    command = (sys.executable, "-m", "berth", "train", "$BERTH_FOLDER/net.py:recipe")
    order = replace(
        together(cluster, ""),
        attempt_id=attempt_id(RUN, TaskName(name), 1),
        task=TaskName(name),
        command=(*command, "--checkpoint-steps", "1"),
        limits=Resources(cpu_cores=1.0, memory_gib=3.0),
    )
    return cluster.run(replace(order, **more))


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tests.support.local_cluster.LIMIT_SECONDS", 900.0)
    (tmp_path / "net.py").write_text(RECIPE)
    return tmp_path


@pytest.mark.slow
@pytest.mark.xdist_group("torch")
@pytest.mark.timeout(1_200)
def test_a_recipe_takes_the_same_steps_on_one_node_and_on_two(
    cluster: LocalCluster, recipe: Path
) -> None:
    found = []
    for nodes in (1, 2):
        seen = trained(cluster, f"train-{nodes}", nodes=nodes, workers=nodes)
        assert seen.state is AttemptState.SUCCEEDED, seen.last_lines
        assert seen.outputs["steps"] == 6
        found.append(losses(cluster, seen, recipe / f"train-{nodes}"))
    assert found[0] == pytest.approx(found[1], abs=1e-12)


@pytest.mark.slow
@pytest.mark.xdist_group("torch")
@pytest.mark.timeout(1_200)
def test_a_training_that_failed_goes_on_with_another_number_of_workers(
    cluster: LocalCluster, recipe: Path
) -> None:
    (recipe / "fails").touch()
    failed = trained(cluster, "train", nodes=1, workers=1)
    assert failed.state is AttemptState.FAILED
    assert any("the memory is bad" in line for line in failed.last_lines)
    assert failed.artifact is not None
    assert len(losses(cluster, failed, recipe / "first")) == 3
    (recipe / "fails").unlink()
    (recipe / "passes").unlink()
    begins = {TaskName("again"): failed.artifact}
    seen = trained(cluster, "again", nodes=2, workers=2, inputs=begins)
    assert seen.state is AttemptState.SUCCEEDED, seen.last_lines
    assert len(losses(cluster, seen, recipe / "second")) == 6
    # Three steps of two workers, a pass of ten samples each.
    assert (recipe / "passes").stat().st_size == 6


def losses(cluster: LocalCluster, seen: Observation, folder: Path) -> list[float]:
    """Return the loss of each step, from what a training left."""
    assert seen.artifact is not None
    cluster.artifacts.fetch(seen.artifact, folder)
    assert (folder / "training" / "checkpoint.pt").exists()
    return [line["loss"] for line in metrics.read(folder / "training" / metrics.NAME)]


def test_attempts_meet_at_different_ports() -> None:
    with kept_port() as one, kept_port() as other:
        assert one != other
