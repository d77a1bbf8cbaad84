"""Models are learned of all runs, promoted when better, and never lost when a file is damaged."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

import forecasting
from engine.model.errors import RefusedError
from engine.model.identifiers import PipelineName, TaskName
from engine.model.profiles import Method, Quantiles, RunRecord, Told
from engine.model.specs import PipelineSpec, TaskKind, TaskSpec
from engine.testing import samples
from forecasting import LearningStore, TaskForecaster, learn

NOW = 1e6
IN_FORCE = "in-force"


def runs(count: int = 60, *, factor: float = 1.0) -> list[RunRecord]:
    """Runs whose duration follows from the rows, in a way that presets do not know."""
    random = np.random.default_rng(count)
    return [
        RunRecord(
            pipeline=PipelineName(f"p{n % 6}"),
            task=TaskName("train"),
            kind=TaskKind.TRAIN,
            attributes={"rows": 100 * 2 ** (n % 5), "trials": 4},
            ended_at=float(n),
            duration_seconds=factor * 0.5 * 100 * 2 ** (n % 5) * float(random.uniform(0.95, 1.05)),
            cpu_cores_mean=0.5,
            memory_gib_peak=2.0,
        )
        for n in range(count)
    ]


@pytest.fixture
def store(tmp_path: Path) -> LearningStore:
    return LearningStore(tmp_path / "learning")


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two promoted versions: the second knows that runs take ten times as long."""
    folder = tmp_path_factory.mktemp("twice") / "learning"
    store = LearningStore(folder)
    assert learn(store, runs(), now=NOW, seed=1) is not None
    later = [dataclasses.replace(r, ended_at=r.ended_at + 100) for r in runs(90, factor=10.0)]
    assert learn(store, runs() + later, now=NOW, seed=1) is not None
    return folder


@pytest.fixture
def learned(twice: Path, tmp_path: Path) -> LearningStore:
    return LearningStore(shutil.copytree(twice, tmp_path / "learning"))


def file_of(store: LearningStore, tmp_path: Path, number: int) -> Path:
    assert store.versions()
    return tmp_path / "learning" / f"{number:06d}.txt"


def number(store: LearningStore) -> int:
    oracle, _ = store.in_force()
    return 0 if oracle is None else oracle.number


def test_an_empty_store_has_nothing_in_force_and_nothing_wrong(store: LearningStore) -> None:
    assert store.in_force() == (None, "")
    assert store.versions() == ()


def test_too_few_runs_teach_nothing(store: LearningStore) -> None:
    assert learn(store, runs(30), now=NOW, seed=1) is None


def test_a_better_version_is_promoted_with_its_scores_and_window(store: LearningStore) -> None:
    made = learn(store, runs(), now=NOW, seed=1)
    assert made is not None
    assert (made.promoted, made.number, number(store)) == (True, 1, 1)
    assert (made.from_seconds, made.to_seconds, made.run_count) == (0.0, 59.0, 60)
    assert all(score.loss < score.loss_preset for score in made.scores)


def test_the_same_runs_again_are_no_better_and_are_kept_aside(store: LearningStore) -> None:
    learn(store, runs(), now=NOW, seed=1)
    again = learn(store, runs(), now=NOW, seed=1)
    assert again is not None
    assert (again.promoted, again.number, number(store)) == (False, 2, 1)


def test_runs_after_now_are_not_looked_at(store: LearningStore) -> None:
    assert learn(store, runs(), now=20.0, seed=1) is None


def test_what_was_learned_speaks_for_a_task_that_never_ran(learned: LearningStore) -> None:
    task = TaskSpec(name=TaskName("train"), kind=TaskKind.TRAIN, rows=6_400, trials=4)
    pipeline = PipelineSpec(name=PipelineName("new"), tasks=(task,))
    later = [dataclasses.replace(r, ended_at=r.ended_at + 100) for r in runs(90, factor=10.0)]
    profile = TaskForecaster(learned.in_force).profile(
        pipeline, task, samples.fleet("a"), runs() + later
    )
    assert profile.evidence.version == 2
    assert any(Method.TREES.value in dict(g.losses) for g in profile.evidence.grounds)


def test_one_command_goes_back_and_the_next_as_far_as_there_is(learned: LearningStore) -> None:
    assert learned.roll_back() == (2, 1)
    assert number(learned) == 1
    assert learned.roll_back() == (1, 0)
    assert learned.in_force() == (None, "")
    with pytest.raises(RefusedError, match="nothing to go back"):
        learned.roll_back()


@pytest.mark.parametrize("damage", [lambda text: text[:-40], lambda text: text.replace("9", "8")])
def test_a_damaged_version_is_passed_over_and_said(
    learned: LearningStore, tmp_path: Path, damage: object
) -> None:
    path = file_of(learned, tmp_path, 2)
    assert callable(damage)
    path.write_text(damage(path.read_text()))
    oracle, note = LearningStore(tmp_path / "learning").in_force()
    assert oracle is not None
    assert oracle.number == 1
    assert note == ("version 2 of the learning store is damaged (000002.txt); version 1 is used")


def test_a_damaged_store_is_named_in_the_evidence(learned: LearningStore, tmp_path: Path) -> None:
    for version in (1, 2):
        file_of(learned, tmp_path, version).write_bytes(b"\xff\xfe")
    fresh = LearningStore(tmp_path / "learning")
    task = TaskSpec(name=TaskName("train"), kind=TaskKind.TRAIN)
    pipeline = PipelineSpec(name=PipelineName("new"), tasks=(task,))
    evidence = (
        TaskForecaster(fresh.in_force).profile(pipeline, task, samples.fleet("a"), []).evidence
    )
    assert evidence.version == 0
    assert "presets and runs alone are used" in evidence.note
    assert fresh.versions() == ()


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"two"])
def test_a_lost_name_of_the_version_in_force_is_made_up_for(
    learned: LearningStore, tmp_path: Path, content: bytes | None
) -> None:
    assert number(learned) == 2
    pointer = tmp_path / "learning" / IN_FORCE
    if content is None:
        pointer.unlink()
    else:
        pointer.write_bytes(content)
    oracle, note = LearningStore(tmp_path / "learning").in_force()
    assert oracle is not None
    assert oracle.number == 2
    assert "does not say which version" in note


def test_versions_that_were_never_better_leave_nothing_in_force(
    learned: LearningStore, tmp_path: Path
) -> None:
    assert learned.versions()[0].number == 2
    folder = tmp_path / "learning"
    (folder / IN_FORCE).unlink()
    for path in folder.glob("*.txt"):
        path.unlink()
    assert LearningStore(folder).in_force() == (None, "")


def told(seconds: float) -> Told:
    return Told(
        plan="p-1",
        method=Method.OWN_RUNS,
        version=0,
        duration_seconds=Quantiles(p50=1.0, p80=2.0, p90=3.0, p95=seconds, p99=seconds),
        cpu_cores=Quantiles.constant(1.0),
        memory_gib=Quantiles.constant(1.0),
    )


def test_a_week_that_keeps_its_promise_is_in_its_band() -> None:
    kept = [dataclasses.replace(run, told=told(1e9)) for run in runs(40)]
    (week,) = forecasting.weeks(kept)
    assert (week.week, week.run_count, week.covered["0.95"], week.kept) == (
        "1970-W01",
        40,
        1.0,
        True,
    )


def test_a_week_of_broken_promises_is_marked() -> None:
    broken = [dataclasses.replace(run, told=told(3.0)) for run in runs(40)]
    (week,) = forecasting.weeks(broken)
    assert (week.covered["0.95"], week.kept) == (0.0, False)


def test_runs_of_which_nothing_was_told_make_no_week() -> None:
    assert forecasting.weeks(runs(10)) == ()
