"""Parts of the local executor that need no processes."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

import executors.local
from engine.model.dispatches import AttemptOrder
from engine.model.errors import (
    DamagedError,
    NotFoundError,
    RefusedError,
    RetryableError,
    UnreachableError,
)
from engine.model.fleet import Cluster, Fleet
from engine.model.identifiers import Digest, PoolName
from engine.model.resources import Resources
from engine.testing import samples
from executors.local import ClusterSwitch, FileFleetSource, FolderArtifacts, files, launch
from executors.local.shim import main as shim
from tests.support.local_cluster import LocalCluster


def test_cores_go_to_where_the_fewest_attempts_are() -> None:
    assert launch.least_used([0, 1, 2, 3], 2, [0, 0, 1, 3]) == [1, 2]


def with_gpus(count: int) -> Cluster:
    return samples.fleet("here", gpu_count=count).cluster("here")


def wanting(home: Path, count: float) -> AttemptOrder:
    return LocalCluster(home).order("pass", limits=Resources(cpu_cores=1.0, gpu_count=count))


@pytest.mark.parametrize(
    ("count", "nodes", "there", "given"),
    [(0.0, 1, 0, (0, 0)), (0.5, 1, 2, (1, 2)), (2.0, 1, 3, (2, 3)), (2.0, 2, 3, (3, 3))],
)
def test_whole_gpus_are_given_for_every_node_and_no_more_than_there_are(
    tmp_path: Path, count: float, nodes: int, there: int, given: tuple[int, int]
) -> None:
    order = replace(wanting(tmp_path, count), nodes=nodes)
    assert launch.gpus_wanted(order, with_gpus(there)) == given


@pytest.mark.parametrize(
    ("own", "seen"),
    [
        ({}, "0,2"),
        ({"CUDA_VISIBLE_DEVICES": "4,5,GPU-6"}, "4,GPU-6"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
    ],
)
def test_gpus_are_counted_among_those_the_engine_may_see(own: dict[str, str], seen: str) -> None:
    assert launch.visible([0, 2], own) == seen


def test_more_gpus_than_a_machine_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="wants 2 GPUs, and 'nodes' has 1"):
        launch.gpus_wanted(wanting(tmp_path, 2.0), with_gpus(1))


def test_a_pool_that_left_the_fleet_takes_nothing(tmp_path: Path) -> None:
    order = replace(wanting(tmp_path, 1.0), pool=PoolName("gone"))
    with pytest.raises(UnreachableError, match="no pool 'gone'"):
        launch.gpus_wanted(order, with_gpus(1))


def test_an_unknown_name_of_the_package_is_an_error() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        executors.local.Nothing  # noqa: B018


def test_only_local_clusters_follow_the_switch(tmp_path: Path) -> None:
    here, there = samples.fleet("here", "there").clusters
    switch = ClusterSwitch(tmp_path)
    source = FileFleetSource(Fleet(clusters=(here, replace(there, executor="k8s"))), switch)
    for name in ("here", "there"):
        switch.fail(name)
    assert [cluster.reachable for cluster in source.fleet().clusters] == [False, True]


def test_a_file_is_written_once(tmp_path: Path) -> None:
    assert files.write_once(tmp_path / "claim", b"first")
    assert not files.write_once(tmp_path / "claim", b"second")
    assert (tmp_path / "claim").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["claim"]


def test_a_link_is_neither_read_nor_written_through(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"key": "value"}')
    (tmp_path / "document").symlink_to("secret")
    assert files.load(tmp_path / "document") is None
    with pytest.raises(files.NotPlainError):
        files.append_durably(tmp_path / "document", "line")
    files.write_durably(tmp_path / "document", b"{}")
    assert (tmp_path / "secret").read_text() == '{"key": "value"}'
    assert files.load(tmp_path / "document") == {}


@pytest.mark.parametrize("bad", [None, ["0"], {}])
@pytest.mark.parametrize("name", ["cpus", "gpus"])
def test_a_launch_document_that_is_none_is_not_followed(
    tmp_path: Path, name: str, bad: object
) -> None:
    told = {"grace_seconds": 1.0, "folder": "/", "cpus": [], name: bad}
    (tmp_path / files.LAUNCH).write_bytes(files.dump(told))
    assert files.read_launch(tmp_path) is None


def test_a_shim_without_a_launch_document_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shim([str(tmp_path)]) == 2
    assert "no launch document" in capsys.readouterr().err


def test_nothing_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        FolderArtifacts(tmp_path / "store").put(tmp_path / "absent")


def test_an_artefact_is_not_laid_over_something(tmp_path: Path) -> None:
    store = FolderArtifacts(tmp_path / "store")
    (tmp_path / "a").mkdir()
    with pytest.raises(RetryableError, match="exists already"):
        store.fetch(store.put(tmp_path / "a"), tmp_path / "a")


def test_a_store_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file in the way")
    with pytest.raises(RetryableError) as caught:
        FolderArtifacts(tmp_path / "store")
    assert "store" in caught.value.message
    assert "writable" in caught.value.fix


def test_laid_out_files_are_read_only_and_keep_their_mode(tmp_path: Path) -> None:
    store = FolderArtifacts(tmp_path / "store")
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o755)
    store.fetch(store.put(tmp_path / "run"), tmp_path / "back")
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize(
    "digest", ["", ".", "..", "../../secret", "/dev/zero", "a\0b", "a" * 300, "sha256:" + "A" * 64]
)
def test_what_is_no_digest_names_no_file(tmp_path: Path, digest: str) -> None:
    (tmp_path / "secret").write_text("secret")
    store = FolderArtifacts(tmp_path / "store")
    assert not store.has(Digest(digest))
    with pytest.raises(NotFoundError, match="is no digest"):
        store.read(Digest(digest), "")


def test_one_file_of_an_artefact_is_read_and_checked(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "schema.json").write_bytes(b"{}")
    store = FolderArtifacts(tmp_path / "store")
    digest = store.put(tmp_path / "made")
    assert store.read(digest, "schema.json") == b"{}"
    with pytest.raises(NotFoundError, match="has no file 'other'"):
        store.read(digest, "other")
    (blob,) = (path for path in (tmp_path / "store" / "blobs").glob("*/*") if path.is_file())
    blob.chmod(0o644)
    blob.write_bytes(b"[]")
    with pytest.raises(DamagedError):
        store.read(digest, "schema.json")
    blob.unlink()
    with pytest.raises(DamagedError):
        store.read(digest, "schema.json")


def test_what_its_owner_may_not_read_is_told_apart_from_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shut").write_text("secret")
    opened = os.open

    def refuses(path: Path, *more: int) -> int:
        if Path(path).name == "shut":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *more)

    store = FolderArtifacts(tmp_path / "store")
    monkeypatch.setattr(os, "open", refuses)
    with pytest.raises(DamagedError, match="shut"):
        store.put(tmp_path / "shut")
