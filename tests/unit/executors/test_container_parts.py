"""Parts of the executor of containers that need no podman."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.clocks import SystemClock
from engine.model.dispatches import AttemptOrder
from engine.model.errors import BerthError, RefusedError, RetryableError
from engine.model.fleet import Fleet
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from engine.testing import samples
from executors.containers import ContainerExecutor, ContainerSettings, podman
from executors.local import ClusterSwitch, FileFleetSource, files, launch, processes
from tests.support.local_cluster import LocalCluster

SETTINGS = ContainerSettings(image="team:1", options=("--network", "none"), python="/py")


def words(order: AttemptOrder, home: Path, cores: int = 2, gpus: Sequence[int] = ()) -> list[str]:
    down = home / "clusters" / "here.down"
    told = launch.document(order, home, cpus=[0, 1], gpus=gpus, down=down, grace_seconds=1.0)
    return podman.arguments(order, home, told, SETTINGS, cores)


def after(option: str, given: list[str]) -> list[str]:
    return [word for before, word in itertools.pairwise(given) if before == option]


def test_a_container_gets_the_limits_of_its_order(tmp_path: Path) -> None:
    order = LocalCluster(tmp_path).order("pass", limits=Resources(cpu_cores=0.5, memory_gib=2.0))
    given = words(order, tmp_path)
    assert after("--cpus", given) == ["0.5"]
    assert after("--memory", given) == after("--memory-swap", given) == [f"{(2048 + 96) << 20}b"]
    assert after("--pids-limit", given) == ["4096"]


def test_what_has_no_limits_gets_none_but_of_processes(tmp_path: Path) -> None:
    given = words(LocalCluster(tmp_path).order("pass", limits=Resources()), tmp_path)
    assert after("--cpus", given) == after("--memory", given) == []


def test_no_more_processors_are_asked_for_than_there_are(tmp_path: Path) -> None:
    order = LocalCluster(tmp_path).order("pass", limits=Resources(cpu_cores=64.0))
    assert after("--cpus", words(order, tmp_path, cores=4)) == ["4"]


def test_gpus_are_asked_for_by_the_names_that_cdi_has_for_them(tmp_path: Path) -> None:
    order = LocalCluster(tmp_path).order("pass")
    assert after("--device", words(order, tmp_path)) == []
    given = words(order, tmp_path, gpus=[0, 3])
    assert after("--device", given) == ["nvidia.com/gpu=0", "nvidia.com/gpu=3"]


def test_a_gpu_that_podman_does_not_know_is_a_refusal_with_what_tells_it() -> None:
    said = "Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=0"
    machine = podman.Podman(("sh", "-c", f"echo '{said}' >&2; exit 126"))
    with pytest.raises(RefusedError, match="knows no such GPU") as raised:
        machine.run(["run"], "team:1", Path())
    assert "nvidia-ctk cdi generate" in raised.value.fix


def test_an_image_without_its_interpreter_is_a_refusal_that_names_the_setting() -> None:
    said = "executable file not found: OCI runtime attempted to invoke a command that was not found"
    machine = podman.Podman(("sh", "-c", f"echo '{said}' >&2; exit 127"))
    with pytest.raises(RefusedError, match="does not have its interpreter") as raised:
        machine.has_berth(SETTINGS)
    assert "container_python" in raised.value.fix


@pytest.mark.parametrize(("code", "has"), [(0, True), (3, False)])
def test_an_image_has_berth_when_its_interpreter_finds_it(code: int, *, has: bool) -> None:
    machine = podman.Podman(("sh", "-c", f"exit {code}"))
    assert machine.has_berth(SETTINGS) is has


@pytest.mark.parametrize(
    ("script", "error"), [("exit 1", RefusedError), ("exit 125", RetryableError)]
)
def test_what_keeps_an_image_from_being_looked_at_is_told(
    script: str, error: type[BerthError]
) -> None:
    with pytest.raises(error):
        podman.Podman(("sh", "-c", script)).has_berth(SETTINGS)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('[ "$0" = pull ] && exit 1', "take the image"),
        ('[ "$0" = tag ] && exit 1; exit 0', "name the image"),
        ('[ "$0" = untag ] && exit 1; exit 0', "name the image"),
    ],
)
def test_an_image_that_podman_does_not_take_is_told(script: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(RetryableError, match=why):
        podman.Podman(("sh", "-c", script)).take(tmp_path, "localhost/berth:1")


def test_options_of_the_settings_come_last_so_that_they_win(tmp_path: Path) -> None:
    given = words(LocalCluster(tmp_path).order("pass"), tmp_path)
    assert after("--network", given) == ["host", "none"]
    assert given[given.index("team:1") + 1] == "-c"


def test_only_the_task_that_packages_may_write_the_registry_of_models(tmp_path: Path) -> None:
    order = LocalCluster(tmp_path).order("")
    models = f"{tmp_path / 'models'}:{tmp_path / 'models'}"
    packages = replace(order, kind=TaskKind.PACKAGE)
    own = replace(packages, command=("sh",))
    assert f"{models}:rw" in after("--volume", words(packages, tmp_path))
    assert f"{models}:ro" in after("--volume", words(order, tmp_path))
    assert f"{models}:ro" in after("--volume", words(own, tmp_path))


def test_the_folder_of_a_pipeline_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    order = replace(LocalCluster(tmp_path / "home").order(""), folder=str(tmp_path))
    assert f"{tmp_path}:{tmp_path}:ro" in after("--volume", words(order, tmp_path / "home"))


def test_the_data_folder_is_covered_under_every_name(tmp_path: Path) -> None:
    (tmp_path / "real" / "home").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    home = tmp_path / "link" / "home"
    order = replace(LocalCluster(home).order(""), folder=str(tmp_path / "real"))
    covered = [word.partition(":")[0] for word in after("--tmpfs", words(order, home))]
    assert covered == [str(home), str(tmp_path / "real" / "home")]


def test_what_the_engine_goes_by_is_read_only(tmp_path: Path) -> None:
    order = LocalCluster(tmp_path).order("")
    given = after("--volume", words(order, tmp_path))
    for name in podman.KEPT:
        path = launch.folder_of(tmp_path, order.attempt_id) / name
        assert f"{path}:{path}:ro" in given


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("sleep 60", r"did not answer within 0.2 s$"),
        ("echo noise", "cannot list containers as JSON"),
        ("exit 3", "cannot list containers: "),
    ],
)
def test_a_podman_that_does_not_answer_as_it_should_is_a_retryable_fault(
    script: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podman, "_LIMIT_SECONDS", 0.2 if "sleep" in script else 10.0)
    with pytest.raises(RetryableError) as raised:
        podman.Podman(("sh", "-c", script)).runs("name")
    assert re.search(why, raised.value.message)


def test_containers_that_name_no_attempt_are_not_ours() -> None:
    ours = {"Names": ["berth-1"], "Labels": {"berth.attempt": "r-1.a.1"}}
    others = {"Names": ["odd"], "Labels": {"berth.home": "/home"}}
    machine = podman.Podman(("sh", "-c", f"echo '{json.dumps([ours, others])}'"))
    assert machine.named(Path("/home")) == [("berth-1", "r-1.a.1")]


def test_names_differ_by_attempt_and_by_data_folder(tmp_path: Path) -> None:
    places = [(tmp_path, "r-1.a.1"), (tmp_path, "r-1.a.2"), (tmp_path / "b", "r-1.a.1")]
    assert len({podman.name_of(home, attempt) for home, attempt in places}) == 3


def test_containers_serve_nothing_are_alone_and_follow_the_switch(tmp_path: Path) -> None:
    (cluster,) = samples.fleet("here").clusters
    switch = ClusterSwitch(tmp_path)
    source = FileFleetSource(Fleet(clusters=(replace(cluster, executor="containers"),)), switch)
    (seen,) = source.fleet().clusters
    assert (seen.serves, seen.joins_nodes, seen.reads_outside) == (False, False, False)
    assert (cluster.serves, cluster.joins_nodes, cluster.reads_outside) == (True, True, True)
    switch.fail("here")
    assert not source.fleet().clusters[0].reachable


def test_without_podman_no_executor_is_made(tmp_path: Path) -> None:
    here = LocalCluster(tmp_path)
    absent = replace(SETTINGS, podman=(str(tmp_path / "absent"),))
    with pytest.raises(RetryableError, match="cannot call"):
        ContainerExecutor(tmp_path, here.source, here.artifacts, SystemClock(), absent)


@pytest.mark.parametrize(("text", "pid"), [("123\n", 123), ("", 0), (None, 0)])
def test_a_claim_in_a_container_has_the_process_id_of_this_machine(
    tmp_path: Path, text: str | None, pid: int
) -> None:
    (tmp_path / files.CLAIM).write_bytes(files.dump({"pid": 1, "identity": "boot:7", "at": 0.0}))
    (tmp_path / files.CONTAINER).touch()
    if text is not None:
        (tmp_path / files.PODMAN).mkdir()
        (tmp_path / files.CONTAINER_PID).write_text(text)
    claim = files.read_claim(tmp_path)
    assert claim is not None
    assert claim["pid"] == pid


@pytest.mark.parametrize("name", ["memory.events", "memory/memory.oom_control"])
def test_kills_for_memory_are_read_of_either_version_of_control_groups(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("under_oom 0\noom_kill 2\n")
    assert processes.memory_kills(tmp_path) == 0
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert processes.memory_kills(tmp_path) == 2
    assert processes.memory_kills(tmp_path / "absent") == 0
