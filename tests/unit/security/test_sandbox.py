"""What a confined process cannot do, and what becomes of one that tries."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from engine.model.errors import BerthError, DamagedError, NotFoundError, RefusedError
from executors.packaging import images
from executors.packaging.security import layouts
from executors.packaging.security.sandbox import calls, confinement, filters, launch
from executors.packaging.security.sandbox.confinement import NO_CALLS, NO_NETWORK, Applied, Bounds
from executors.packaging.security.sandbox.running import Begun, Call, run
from tests.unit.security.test_policies import PLAIN_PICKLE
from tests.unit.security.test_scanning import hostile


def attempt(function: str, **arguments: object) -> str:
    """Return what a confined call says when it fails."""
    with pytest.raises(BerthError) as caught:
        run(Call(function=function, arguments=arguments))
    return caught.value.message


@pytest.fixture(scope="module")
def confined() -> tuple[str, ...]:
    """Measures that this machine's kernel and rights allow."""
    return run(Call(function="builtins:dict", arguments={})).applied


def test_what_is_applied_is_told(confined: tuple[str, ...]) -> None:
    answer = run(Call(function="builtins:dict", arguments={"a": 1}))
    assert answer.value == {"a": 1}
    assert len(answer.applied) + len(answer.missing) == 5
    assert answer.applied == confined


@pytest.mark.parametrize(
    ("function", "arguments", "needs"),
    [
        ("socket:create_connection", {"address": ["127.0.0.1", 9]}, "system calls"),
        ("os:fork", {}, "system calls"),
        ("os:listdir", {"path": "/root"}, "files"),
        ("os:mkdir", {"path": "/tmp/not-to-be-made"}, "files"),
    ],
)
def test_a_confined_process_may_not(
    confined: tuple[str, ...], function: str, arguments: dict[str, Any], needs: str
) -> None:
    if needs not in confined:
        pytest.skip(f"this machine does not allow: {needs}")
    assert "ermi" in attempt(function, **arguments)


def test_too_much_memory_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(64 << 20))
    with pytest.raises(DamagedError):
        calls.ConfinedScanner(Bounds(memory_bytes=80 << 20)).scan(tmp_path)


def test_a_scan_is_made_by_the_process_that_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner = calls.ConfinedScanner()
    scanner.prepare()
    scanner.prepare()
    begun = Begun.__init__
    more: list[str] = []

    def begin(self: Begun, function: str) -> None:
        more.append(function)
        begun(self, function)

    monkeypatch.setattr(Begun, "__init__", begin)
    (tmp_path / "key.pem").write_bytes(b"plain")
    assert scanner.scan(tmp_path).file_count == 1
    assert not more
    assert scanner.scan(tmp_path).file_count == 1
    scanner.prepare()
    assert len(more) == 2
    scanner.close()
    scanner.close()


def test_a_process_that_ended_while_it_waited_hinders_no_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"plain")
    scanner = calls.ConfinedScanner()
    scanner.prepare()
    monkeypatch.setattr(Begun, "is_alive", property(lambda _: False))
    assert scanner.scan(tmp_path).file_count == 1


def test_too_much_time_is_a_plain_error() -> None:
    with pytest.raises(DamagedError, match="longer than"):
        run(Call(function="signal:pause", arguments={}, seconds=0.5))


def test_the_environment_stays_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_SIGNING_PASSPHRASE", "sesame")
    found = run(Call(function="os:getenv", arguments={"key": "BERTH_SIGNING_PASSPHRASE"}))
    assert found.value is None


def test_errors_of_ours_come_back(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="absent"):
        calls.ConfinedScanner().scan(tmp_path / "absent")


def archive(folder: Path, **files: bytes) -> Path:
    with tarfile.open(folder / "a.tar.gz", "w:gz") as found:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"in/{name}")
            entry.size = len(data)
            found.addfile(entry, io.BytesIO(data))
    return folder / "a.tar.gz"


def test_a_harmless_archive_is_unpacked(tmp_path: Path) -> None:
    names = calls.unpack(archive(tmp_path, one=b"1", two=b"22"), tmp_path / "out")
    assert names == ("in/one", "in/two")
    assert (tmp_path / "out" / "in" / "two").read_bytes() == b"22"


def test_some_folders_of_a_layer_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    layer = archive(tmp_path, **{"site-packages/a.py": b"1", "etc/b": b"2"})
    calls.unpack_named(layer, tmp_path / "out", {"site-packages"})
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["a.py"]
    (tmp_path / "bad.tar").write_bytes(hostile("up.tar"))
    with pytest.raises(DamagedError):
        calls.unpack_named(tmp_path / "bad.tar", tmp_path / "out", {"..", "x"})


def test_layers_of_others_are_looked_through_apart(tmp_path: Path) -> None:
    images.write_image(tmp_path / "image", {"model.pkl": PLAIN_PICKLE}, labels={})
    layers = layouts.manifest_of(tmp_path / "image").layers
    found = calls.contents(str(tmp_path / "image"), layers)
    assert found == calls.contents_here(str(tmp_path / "image"), layers)
    assert found["scan"]["predicate"]
    blob = images.blob_path(tmp_path / "image", layers[0]["digest"])
    blob.write_bytes(b"x" * blob.stat().st_size)
    with pytest.raises(DamagedError):
        calls.contents(str(tmp_path / "image"), layers)


def test_nothing_is_opened_with_the_network_within_reach() -> None:
    told = Applied(applied=["files"], missing=["no network: x", "system calls: y"])
    with pytest.raises(RefusedError, match="cuts no process off"):
        told.require()
    for name in (NO_NETWORK, NO_CALLS):
        Applied(applied=[name]).require()


def test_a_program_with_a_listening_socket_needs_the_filter() -> None:
    told = Applied(applied=[NO_NETWORK], missing=["system calls: no filter is known for 'riscv64'"])
    with pytest.raises(RefusedError, match=r"connecting its socket: .*riscv64") as caught:
        told.require(holds_socket=True)
    assert "x86_64 or aarch64" in caught.value.fix
    Applied(applied=[NO_CALLS]).require(holds_socket=True)


@pytest.mark.parametrize("listens", [False, True])
def test_a_program_is_not_begun_without_the_filter_that_it_needs(
    listens: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bounds = dataclasses.asdict(Bounds())
    told = {"bounds": bounds, "reads": [], "writes": [], "holds_socket": listens, "environment": {}}
    without = Applied(applied=[NO_NETWORK], missing=["system calls: none"])
    monkeypatch.setattr(confinement, "confine", lambda *_, **__: without)
    begun: list[str] = []
    monkeypatch.setattr(os, "execve", lambda path, *_: begun.append(path))
    launch.main([json.dumps(told), "/bin/true"])
    assert begun == ([] if listens else ["/bin/true"])
    assert ("connecting its socket" in capsys.readouterr().err) == listens


@pytest.mark.parametrize("name", ["up.tar", "link-out.tar", "twice.zip", "device.tar", "bomb.zip"])
def test_nothing_of_a_hostile_archive_is_unpacked(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(hostile(name))
    with pytest.raises(RefusedError):
        calls.unpack(tmp_path / name, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_a_folder_that_is_there_is_not_unpacked_into(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="already"):
        calls.unpack(archive(tmp_path), tmp_path)


@pytest.mark.parametrize("machine", filters.TABLES)
def test_a_filter_is_whole_instructions(machine: str) -> None:
    table = filters.TABLES[machine]
    steps = filters.program(table, 4711)
    assert len(steps) % 8 == 0
    assert len(steps) // 8 == 14 + 2 * len(table.refused) + len(table.bound) + 7 + 3 * 4 + 2 * 6
    less = filters.program(table, 4711, filters.OF_PROGRAMS)
    assert len(steps) - len(less) == 2 * len(filters.OF_PROGRAMS) * 8


def test_both_machines_know_the_same_of_what_depends_on_arguments() -> None:
    one, other = filters.TABLES.values()
    assert one.bound.keys() == other.bound.keys()
    legacy = {"fork", "vfork"}  # numbers that only the older machine has
    assert other.refused.keys() == one.refused.keys() - legacy
