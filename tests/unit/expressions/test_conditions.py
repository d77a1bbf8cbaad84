"""Conditions hold or not, and say why when they cannot be judged."""

from __future__ import annotations

import pytest

from engine import expressions
from engine.model.errors import FinalError
from engine.ports import Conditions

VALUES: dict[str, object] = {
    "etl": {"rows": 303, "nulls": 0},
    "compare": {"best": "knn", "quality": 0.83, "passed": True},
    "package-knn": {"size_bytes": 1000},
    "skipped": {},
}


@pytest.fixture
def conditions() -> Conditions:
    return expressions.CelConditions()


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("etl.rows > 1000", False),
        ('compare.best == "knn"', True),
        ("compare.quality >= 0.7 && compare.passed", True),
        ("package_knn.size_bytes < 2000", True),
        ("has(skipped.rows)", False),
        ("has(unheard.rows) && unheard.rows > 1", False),
        ("unheard.rows > 1 && has(unheard.rows)", False),
        ("etl.nulls == 0.0", True),
    ],
)
def test_a_condition_holds_or_not(conditions: Conditions, expression: str, holds: bool) -> None:
    assert conditions.holds(expression, VALUES) is holds


@pytest.mark.parametrize(
    ("expression", "code", "part"),
    [
        ("etl.row > 1", "S015", "reads 'row', which was not written"),
        ("unheard.rows > 1", "S015", "reads 'rows'"),
        ("etl.rows", "S013", "gives 303, neither true nor false"),
        ("etl.rows > 'x'", "S013", "cannot be evaluated"),
        ("etl.rows / 0 == 1", "S013", "cannot be evaluated"),
        ("etl.rows >", "S013", "cannot be parsed"),
        ("loop.x == 1", "S013", "reserved word"),
        ("nothing(etl.rows)", "S013", "cannot be evaluated"),
    ],
)
def test_a_condition_that_cannot_be_judged_says_why(
    conditions: Conditions, expression: str, code: str, part: str
) -> None:
    with pytest.raises(FinalError) as raised:
        conditions.holds(expression, VALUES)
    assert raised.value.code == code
    assert repr(expression) in raised.value.message
    assert part in raised.value.message


def test_a_compiled_expression_can_be_used_again() -> None:
    compiled = expressions.compile_expression("etl.rows > 100")
    assert compiled.holds({"etl": {"rows": 303}})
    assert not compiled.holds({"etl": {"rows": 3}})
