"""A push becomes a served model, or nothing changes and the journal says why."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.model.errors import (
    DamagedError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from executors.local import FolderArtifacts
from executors.packaging import images
from executors.packaging.archives import Limits
from executors.packaging.registry import OciRegistry
from executors.packaging.repository import git
from executors.packaging.repository.releases import Event, Journal, Kind, Stage
from tests.support.pushed_models import World


def test_a_push_is_tested_packaged_and_served(world: World) -> None:
    found = world.deliver()
    assert world.servers.swaps == [found.package]
    assert found.stages == (Stage.PRODUCTION,)
    assert all(gate.holds for gate in found.gates)
    registry = OciRegistry(world.home / "models")
    image = images.read_image(registry.layout("churn"), registry.resolve("churn", "production"))
    assert image.metadata["classes"] == [0, 1]


def test_the_same_commit_gives_the_same_package(world: World) -> None:
    first = world.deliver()
    again = world.delivery.deliver("churn")
    assert (again.commit, again.package) == (first.commit, first.package)


def test_weights_stay_when_an_engine_clears_what_tasks_wrote(world: World) -> None:
    FolderArtifacts(world.home / "artifacts").collect([], grace_seconds=0.0)
    first = world.deliver()
    FolderArtifacts(world.home / "artifacts").collect([], grace_seconds=0.0)
    assert world.delivery.deliver("churn").package == first.package


def test_another_model_is_another_package_and_can_be_taken_back(world: World) -> None:
    first = world.deliver().package
    world.train(flipped=True)
    second = world.deliver().package
    assert first != second
    assert world.delivery.roll_back("churn").package == first
    assert world.servers.swaps == [first, second, first]
    with pytest.raises(NotFoundError, match="nothing else"):
        world.delivery.roll_back("churn")
    world.delivery.promote("churn", second.removeprefix("sha256:")[:12])
    assert world.servers.swaps[-1] == second


def test_promotion_by_hand_waits_for_a_hand(world: World) -> None:
    world.write(
        "model.toml", (world.work / "model.toml").read_text().replace("when tests pass", "by hand")
    )
    found = world.deliver()
    assert (found.stages, world.servers.swaps) == ((), [])
    shutil.rmtree(world.home / "weights")  # the package is in the registry
    world.delivery.promote("churn")
    assert world.servers.swaps == [found.package]


@pytest.mark.parametrize(
    ("file", "text", "error", "says"),
    [
        ("golden.json", '{"rows": [[0, 0]], "labels": [1]}', RefusedError, "expected answers"),
        ("golden.json", '{"rows": [[0]], "labels": [1]}', InvalidInputError, "2 features"),
        ("golden.json", '{"rows": [], "labels": []}', InvalidInputError, "no rows"),
        ("golden.json", '{"rows": [[0, 0]], "labels": []}', InvalidInputError, "an answer for"),
        ("golden.json", "[", InvalidInputError, "not JSON"),
        ("history.json", '{"loss": [1.0, 2.0]}', RefusedError, "loss falls"),
        ("history.json", '{"loss": [NaN, 2.0]}', RefusedError, "loss falls"),
        ("weights.json", "{}", InvalidInputError, "does not name"),
        (
            "weights.json",
            '{"../x": {"digest": "", "artifact": "", "size_bytes": 1}}',
            DamagedError,
            "no file name",
        ),
        ("weights.json", "[]", DamagedError, "damaged"),
        ("weights.json", "[" * 100_000, DamagedError, "damaged"),
        (
            "weights.json",
            '{"x": {"digest": "", "artifact": "/dev/zero", "size_bytes": 1}}',
            NotFoundError,
            "is no digest",
        ),
        ("model.toml", "name = 1", InvalidInputError, "not a text"),
        ("model.toml", "=", InvalidInputError, "not TOML"),
    ],
)
def test_a_bad_push_changes_nothing(
    good: World, file: str, text: str, error: type[Exception], says: str
) -> None:
    swaps, events = list(good.servers.swaps), good.delivery.journal("churn").events()
    good.write(file, text)
    with pytest.raises(error, match=says):
        good.deliver()
    assert len(swaps) == 1
    assert good.servers.swaps == swaps
    *earlier, last = good.delivery.journal("churn").events()
    assert earlier == list(events)
    assert last.kind is Kind.REFUSED
    assert says.split(maxsplit=1)[0] in last.reason


def test_a_limit_on_size_and_latency_holds(world: World) -> None:
    limits = "[tests]\nsize_mib = 0.0001\nlatency_ms_p99 = 0.0000001\n"
    world.write("model.toml", (world.work / "model.toml").read_text() + limits)
    with pytest.raises(RefusedError, match=r"size.*latency"):
        world.deliver()


def test_a_model_that_is_none_is_refused(world: World) -> None:
    world.add("model.onnx", b"no model at all")
    with pytest.raises(RefusedError, match="cannot be served"):
        world.deliver()


def test_a_server_that_is_down_keeps_the_release_for_later(world: World) -> None:
    world.servers.is_down = True
    with pytest.raises(UnreachableError):
        world.deliver()
    world.servers.is_down = False
    assert world.delivery.deliver("churn").stages == (Stage.PRODUCTION,)


def test_a_link_in_a_commit_is_refused(world: World) -> None:
    (world.work / "secret").symlink_to("/etc/passwd")
    with pytest.raises(DamagedError, match="a link"):
        world.deliver()


def test_pickles_are_not_taken(world: World) -> None:
    for name, data in (("m.pkl", b""), ("model.bin", b"\x80\x04.")):
        with pytest.raises(RefusedError, match="pickle"):
            world.add(name, data)


def test_a_class_of_ones_own_is_asked_in_a_process_of_its_own(world: World) -> None:
    world.add("weights.json.txt", b"3")
    world.write(
        "model.py",
        "import numpy\n"
        "class Model:\n"
        "    def load(self, folder):\n"
        "        self.factor = float((folder / 'weights.json.txt').read_text())\n"
        "    def predict(self, rows):\n"
        "        return rows.sum(axis=1) * self.factor\n",
    )
    text = (world.work / "model.toml").read_text().replace('"onnx"', '"python"')
    world.write("model.toml", text.replace('file = "model.onnx"', 'class = "model:Model"'))
    world.write("golden.json", json.dumps({"rows": [[1, 2]], "outputs": {"output": [9.0]}}))
    assert world.deliver().stages == (Stage.PRODUCTION,)
    world.write("model.py", "import os\nos._exit(3)\n")
    with pytest.raises(RefusedError, match="model fails"):
        world.deliver()


def test_a_half_written_line_of_the_journal_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"at": 1.0, "kind": "released", "commit": "c"}\n{"at": 2.')
    assert [event.commit for event in Journal(path).events()] == ["c"]
    path.write_bytes(b"{}\n")
    with pytest.raises(DamagedError, match="line 1"):
        Journal(path).events()


def test_an_event_follows_the_last_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(Event(at=1.0, kind=Kind.RELEASED, commit="c"))
    path.write_bytes(path.read_bytes() + b'{"at": 2.')
    journal.append(Event(at=3.0, kind=Kind.RELEASED, commit="d"))
    assert [event.commit for event in journal.events()] == ["c", "d"]


def test_a_delivery_that_fails_hides_no_release_that_was_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = world.deliver()

    def fails(*_: object) -> None:
        raise UnreachableError("the registry is down")

    with monkeypatch.context() as patched:
        patched.setattr(world.delivery, "_deliver", fails)
        with pytest.raises(UnreachableError):
            world.delivery.deliver("churn")
    assert world.delivery.journal("churn").find("").package == released.package
    world.servers.is_down = True
    with pytest.raises(UnreachableError):
        world.delivery.deliver("churn")  # it releases the same package once more
    assert world.delivery.journal("churn").find("").commit == released.commit
    world.write("notes.txt", "another commit")
    with pytest.raises(UnreachableError):
        world.deliver()
    assert world.delivery.journal("churn").find("").commit == released.commit


def test_a_list_of_weights_that_a_merge_broke_is_named(world: World) -> None:
    world.write("weights.json", "<<<<<<< HEAD\n{}\n")
    with pytest.raises(DamagedError, match=r"weights\.json is damaged"):
        world.add("model.onnx", b"weights")


def test_a_commit_that_is_too_large_is_not_read_to_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "_CODE_LIMITS", Limits(bytes_max=1 << 16, entries_max=100))
    monkeypatch.setattr(git, "_TAR_BYTES_MAX", 1 << 17)
    world.write("large.txt", "x" * (1 << 22))
    with pytest.raises(DamagedError, match="unpacks to over 65536 bytes"):
        world.deliver()


def test_what_a_hook_says_of_another_repository_is_not_followed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = world.deliver().commit
    monkeypatch.setenv("GIT_DIR", ".git")
    assert "model.toml" in git.files_of(world.delivery.repository("churn"), commit)


def test_why_git_fails_is_told(world: World) -> None:
    commit = world.deliver().commit
    repository = world.delivery.repository("churn")
    listed = git.run(repository, "ls-tree", "-r", commit).decode().split()
    blob = listed[2]
    (repository / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(RefusedError, match=r"git archive .* fails"):
        git.files_of(repository, commit)


def test_a_data_folder_may_have_any_name(tmp_path: Path) -> None:
    home = tmp_path / "it's $(here)"
    git.make_bare(home / "repository.git", "churn", home / "engine.json", "true")
    hook = home / "repository.git" / "hooks" / "post-receive"
    told = f"{'0' * 40} {'1' * 40} refs/heads/{git.BRANCH}\n"
    done = subprocess.run([hook], input=told, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_model_is_not_found(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.delivery.deliver("other")
    with pytest.raises(RefusedError):
        world.delivery.create("../other")
