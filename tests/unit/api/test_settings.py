from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from api.settings import Settings, load, loading
from api.wiring.loop_parts import policy_of
from engine.model.alarms import ActionKind
from engine.model.errors import InvalidInputError


def read(folder: Path, environment: dict[str, str] | None = None, **arguments: object) -> Settings:
    return load(arguments, environment=environment or {}, folder=folder)


def test_every_setting_can_be_given() -> None:
    assert loading._READERS.keys() == {field.name for field in fields(Settings)}


def test_without_anything_given_the_data_folder_is_below_the_working_folder(
    tmp_path: Path,
) -> None:
    assert read(tmp_path) == Settings(home=tmp_path / ".berth")


def test_arguments_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "berth.toml").write_text("port = 1\nseed = 2\nwork_limit = 3\n")
    environment = {"BERTH_HOME": "home", "BERTH_SEED": "5", "BERTH_PORT": "6"}
    settings = read(tmp_path, environment, port=9)
    assert (settings.port, settings.seed, settings.work_limit) == (9, 5, 3.0)


def test_all_wrong_values_are_named_at_once_with_where_they_came_from(tmp_path: Path) -> None:
    (tmp_path / ".berth").mkdir()
    (tmp_path / ".berth" / "berth.toml").write_text('zone = "Mars/Base"\nprot = 1\n')
    with pytest.raises(InvalidInputError) as caught:
        read(tmp_path, {"BERTH_CLOCK_FACTOR": "0"}, port=70_000)
    messages = [fault.message for fault in caught.value.faults]
    assert sorted(message.split("`")[1].split(" ")[0] for message in messages) == [
        "--port",
        "BERTH_CLOCK_FACTOR",
        "prot",
        "zone",
    ]
    assert "did you mean `port`?" in [fault.fix for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("container_options", "--label 'open"),
        ("container_options", "--label a\0b"),
        ("container_podman", 3),
        ("container_podman", " "),
        ("container_image", "--privileged"),
        ("container_image", "team/berth:1 --privileged"),
        ("container_python", ""),
        ("container_python", "-c"),
        ("port", "a"),
        ("port", -1),
        ("port", True),
        ("port", 1.5),
        ("seed", -1),
        ("clock_factor", "inf"),
        ("clock_factor", "fast"),
        ("clock_factor", False),
        ("host", 3),
        ("fleet", ""),
        ("zone", "nowhere"),
        ("replica", "Not A Name"),
        ("lease_seconds", 0.5),
        ("lease_seconds", 1_000),
        ("flap_seconds", -1),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(tmp_path, **{name: value})
    assert caught.value.faults[0].path == name
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe"])
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".berth").mkdir()
    (tmp_path / ".berth" / "berth.toml").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"berth\.toml"):
        read(tmp_path)


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(InvalidInputError, match="is not a folder"):
        read(tmp_path, home="home")


def test_the_fleet_file_of_the_data_folder_is_found_before_that_of_the_working_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "fleet.yaml").write_text("")
    assert read(tmp_path).fleet == tmp_path / "fleet.yaml"
    (tmp_path / ".berth").mkdir()
    (tmp_path / ".berth" / "fleet.yaml").write_text("")
    assert read(tmp_path).fleet == tmp_path / ".berth" / "fleet.yaml"


def test_relative_paths_start_in_the_working_folder(tmp_path: Path) -> None:
    assert read(tmp_path, fleet="a/b.yaml").fleet == tmp_path / "a" / "b.yaml"


def test_the_clock_factor_shortens_waits(tmp_path: Path) -> None:
    settings = read(tmp_path, clock_factor="60")
    assert settings.scaled(300.0) == 5.0


def test_the_database_is_in_the_data_folder_unless_told_otherwise(tmp_path: Path) -> None:
    assert read(tmp_path).database_url == f"sqlite:///{tmp_path}/.berth/berth.sqlite"
    assert read(tmp_path, database="sqlite://").database_url == "sqlite://"


@pytest.mark.parametrize(
    ("said", "means"), [("on", "on"), ("off", "off"), (True, "on"), (False, "off")]
)
def test_a_network_for_demand_is_on_or_off(tmp_path: Path, said: object, means: str) -> None:
    assert read(tmp_path, demand_network=said).demand_network == means
    with pytest.raises(InvalidInputError, match="`on` or `off` is needed"):
        read(tmp_path, demand_network="maybe")


def test_what_may_be_done_without_a_person_is_named(tmp_path: Path) -> None:
    assert read(tmp_path, acts=" retry,roll back ").acts == "retry, roll back"
    assert read(tmp_path, acts="none").acts == "none"
    for wrong in ("restart", "none, retry", ""):
        with pytest.raises(InvalidInputError, match="re-plan, retrain, stop, retry, roll back"):
            read(tmp_path, acts=wrong or ",")
    assert read(tmp_path, acts_per_day="2", acts_budget="7.5").acts_budget == 7.5
    assert read(tmp_path, flap_seconds="0").flap_seconds == 0.0


def test_the_policy_follows_the_settings(tmp_path: Path) -> None:
    policy = policy_of(read(tmp_path, acts="retry, re-plan", acts_budget=2, clock_factor=10))
    assert (policy.replan, policy.retrain) == (True, False)
    assert policy.mend.kinds == {ActionKind.RETRY}
    assert policy.mend.cool_down_seconds == 180.0
    assert policy.mend.budget_per_day_micro_dollars == 2_000_000
    free = policy_of(read(tmp_path, acts="none"))
    assert (free.replan, free.retrain, free.mend.kinds) == (False, False, frozenset())
    assert free.mend.budget_per_day_micro_dollars is None
