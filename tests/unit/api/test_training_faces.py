"""Trainings outside pipelines by REST, by the Python face, and by commands that ask an engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli import main
from api.client.remote import Remote
from api.messages.training import Difference
from api.settings import Settings
from engine.model.errors import NotFoundError
from executors.training.tracking.trainings import Training, Trainings


def kept(home: Path, at: float) -> str:
    training = Training(
        run_id="",
        pipeline="net",
        command=("train", "net.py:recipe"),
        folder="/work",
        started_at=at,
        ended_at=at + 5,
    )
    record = {"task": "train", "data": {"heart.csv": f"sha256:{at:.0f}"}}
    return Trainings(home).keep(training, record, {"quality": 0.75}).run_id


@pytest.fixture
def names(settings: Settings) -> list[str]:
    return [kept(settings.home, at) for at in (1.0, 2.0)]


@pytest.fixture
def engine(served: str) -> Iterator[Remote]:
    remote = Remote(served)
    yield remote
    remote.close()


def test_an_engine_lists_its_trainings_with_their_records(engine: Remote, names: list[str]) -> None:
    found = engine.trainings.newest()
    assert [each.training.run_id for each in found] == names[::-1]
    assert found[0].experiment.metrics == {"quality": 0.75}
    assert engine.trainings.newest(1) == found[:1]
    assert engine.trainings.one(names[1]) == found[0]
    assert engine.experiments(names[1]) == (found[0].experiment,)


def test_an_engine_names_a_damaged_training_beside_the_others(
    engine: Remote, names: list[str], settings: Settings
) -> None:
    assert engine.trainings.damaged() == ()
    (settings.home / "trainings" / names[0] / "outputs.json").write_text("[")
    (found,) = engine.trainings.damaged()
    assert found.name == names[0]
    assert f"the training {names[0]!r} is damaged" in found.message
    assert found.fix.startswith("do it again")
    assert [each.training.run_id for each in engine.trainings.newest()] == names[1:]


def test_an_engine_compares_trainings(engine: Remote, names: list[str]) -> None:
    assert engine.trainings.compare(*names) == (
        Difference(task="train", what="metrics.quality", first="0.75", second="0.75"),
        Difference(task="train", what="data.heart.csv", first="sha256:1", second="sha256:2"),
    )


@pytest.mark.parametrize("name", ["t-unknown", "t-" + 300 * "a", "t-A", "t-a%00", "t-..%2Fx"])
def test_a_training_that_is_not_there_is_not_found(engine: Remote, name: str) -> None:
    with pytest.raises(NotFoundError):
        engine.trainings.one(name)
    with pytest.raises(NotFoundError):
        engine.experiments(name)


def test_commands_know_trainings_of_the_data_folder_and_of_the_engine(
    served: str,
    names: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BERTH_HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("BERTH_URL", served)
    mine = kept(tmp_path / "mine", 3.0)

    def said(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main.application()(list(words), prog_name="berth")
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert said("runs", "--quiet").split() == [mine, *names[::-1]]
    assert said("runs", "--quiet", "--limit", "2").split() == [mine, names[1]]
    both = json.loads(said("compare", mine, names[0], "--json"))
    assert [each["data"]["heart.csv"] for each in both] == ["sha256:3", "sha256:1"]


@pytest.mark.parametrize("home", ["mine", None], ids=["elsewhere", "the engine's own"])
def test_a_damaged_training_of_the_engine_is_named_once(
    served: str,
    names: list[str],
    settings: Settings,
    home: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BERTH_HOME", str(tmp_path / home if home else settings.home))
    monkeypatch.setenv("BERTH_URL", served)
    (settings.home / "trainings" / names[0] / "outputs.json").write_text("[")
    with pytest.raises(SystemExit) as ended:
        main.application()(["runs"], prog_name="berth")
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert names[1] in said.out
    assert said.err.count(f"note: the training {names[0]!r} is damaged") == 1


def test_a_training_that_nobody_knows_is_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BERTH_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main.application()(["compare", "t-one", "t-two"], prog_name="berth")
    assert ended.value.code
    assert "there is no training 't-one'" in capsys.readouterr().err
