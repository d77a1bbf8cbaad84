"""What is common to all that is wrong is found among combinations of attributes."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from alarms.localization.common import Table, common
from engine.model.errors import InvalidInputError

VALUES = {"provider": ["aws", "azure"], "region": ["north", "south"], "kind": ["a", "b", "c"]}


def table(rate: float = 0.01, **wrong: str) -> Table:
    """Return ten minutes of 1,000 trials a cell; in the last, what matches `wrong` fails."""
    rows = [
        (float(minute), dict(zip(VALUES, cell, strict=True)))
        for minute in range(10)
        for cell in itertools.product(*VALUES.values())
    ]
    is_wrong = [at == 9.0 and wrong.items() <= cell.items() for at, cell in rows]
    return Table(
        attributes={name: [cell[name] for _, cell in rows] for name in VALUES},
        at=np.array([at for at, _ in rows]),
        cases=np.array([200.0 if flag and wrong else rate * 1_000 for flag in is_wrong]),
        trials=np.full(len(rows), 1_000.0),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "aws"},
        {"provider": "aws", "region": "south"},
        {"provider": "azure", "region": "north", "kind": "b"},
    ],
)
def test_the_planted_combination_comes_first(wrong: dict[str, str]) -> None:
    first = common(table(**wrong), 9.0)[0]
    assert dict(first.attributes) == wrong
    assert first.p_value < 1e-9
    assert first.cases == pytest.approx(200.0 * 12 / (np.prod([len(VALUES[n]) for n in wrong])))


def test_nothing_is_common_where_nothing_rose() -> None:
    calm = table()
    lower = dataclasses.replace(calm, cases=np.where(calm.at == 9.0, 0.0, calm.cases))
    assert common(lower, 9.0) == []


def test_what_comes_later_is_not_looked_at() -> None:
    seen = table(provider="aws")
    later = dataclasses.replace(seen, cases=np.where(seen.at == 9.0, 999.0, seen.cases))
    assert common(later, 8.0) == common(seen, 8.0)


def test_an_earlier_incident_does_not_move_the_usual_rate() -> None:
    found = table(provider="aws")
    before = dataclasses.replace(found, cases=np.where(found.at == 3.0, 300.0, found.cases))
    assert common(before, 9.0)[0].expected == pytest.approx(common(found, 9.0)[0].expected, rel=0.1)


def test_without_a_past_the_rest_is_the_measure() -> None:
    found = table(provider="aws", region="south")
    now = found.at == 9.0
    only = Table(
        attributes={
            name: [value for value, keep in zip(column, now, strict=True) if keep]
            for name, column in found.attributes.items()
        },
        at=found.at[now],
        cases=found.cases[now],
        trials=found.trials[now],
    )
    assert dict(common(only, 9.0)[0].attributes) == {"provider": "aws", "region": "south"}


def test_all_faults_of_a_table_are_told() -> None:
    good = table()
    bad = dataclasses.replace(good, cases=good.cases[:-1], trials=np.full(len(good.at), np.nan))
    with pytest.raises(InvalidInputError) as caught:
        common(bad, 9.0)
    assert [fault.code for fault in caught.value.faults] == ["A002", "A003"]


def test_beliefs_are_shares_of_all() -> None:
    found = common(table(provider="aws"), 9.0, most=3)
    assert 0.0 < sum(one.belief for one in found) <= 1.0
    assert found[0].belief == max(one.belief for one in found)
