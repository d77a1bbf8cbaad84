"""The replay tells wrong data from a lost cluster, also across a restart of the engine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from engine.model.errors import InvalidInputError
from simulations import causes
from simulations.records import Records, read_records
from simulations.service import Traffic

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def records() -> Records:
    return read_records(ROOT / "examples/data/heart-disease.csv")


def short(scenario: causes.Scenario) -> causes.Scenario:
    return dataclasses.replace(scenario, windows=90, fault_at=40, training_at=35, restart_at=60)


def test_wrong_data_are_trained_again_with_the_unit(records: Records) -> None:
    outcome = causes.replay(short(causes.unit_fault(1)), records)
    assert [dict(a.parameters) for a in outcome.retrains] == [{"etl.unit.chol": "mmol/L"}]
    assert outcome.early == ()
    assert outcome.delay_windows is not None
    assert outcome.delay_windows < 5
    assert outcome.is_closed


def test_a_lost_cluster_is_planned_around(records: Records) -> None:
    scenario = short(causes.cluster_fault(1))
    outcome = causes.replay(scenario, records)
    assert outcome.retrains == ()
    assert [action.subject for action in outcome.replans] == [f"cluster:{scenario.cluster}"]


def test_a_lost_column_is_left_to_people(records: Records) -> None:
    scenario = dataclasses.replace(short(causes.varied(2)), lost=("thalach",))
    outcome = causes.replay(scenario, records)
    assert outcome.retrains == ()
    assert outcome.groups


def test_records_in_order_are_replayed_over_and_over(records: Records) -> None:
    traffic = Traffic(in_order=True, rows_per_window=40.0)
    scenario = dataclasses.replace(short(causes.varied(3)), traffic=traffic)
    assert causes.replay(scenario, records).delay_windows is None


def test_a_second_fault_needs_another_cluster() -> None:
    assert causes.spare(1) != causes.varied(1).serving


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no rows"), ("a,b\n1,x\n", "could not convert"), ("a,b\n1\n", "has 1 cells")],
)
def test_damaged_records_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        read_records(path)


def test_a_last_column_of_many_values_is_no_class(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("a,b\n" + "".join(f"1,{n}\n" for n in range(30)), encoding="utf-8")
    with pytest.raises(InvalidInputError, match="more than 20 classes"):
        read_records(path)
