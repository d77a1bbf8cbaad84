"""What was found in foreign systems is told as causes with belief, evidence, kind and check."""

from __future__ import annotations

import math

import pytest

from alarms.localization import origins, telling
from alarms.localization.background import AlarmKey, Background, Past
from alarms.localization.common import Combination
from alarms.localization.flows import FlowCause, Measure
from engine.model.alarms import Cause, CauseKind


def total(causes: list[Cause]) -> float:
    return math.fsum(cause.belief for cause in causes)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["container_cpu_usage up", "system.io.r_s up"], CauseKind.INFRASTRUCTURE),
        (["nulls share high"], CauseKind.DATA),
        (["quality low"], CauseKind.MODEL),
        (["requests high"], CauseKind.DEMAND),
        (["GET /cart 500"], CauseKind.CODE),
        (["quota exceeded"], CauseKind.CONFIGURATION),
        (["cpu high", "nulls high"], CauseKind.UNKNOWN),
        (["something odd"], CauseKind.UNKNOWN),
        ([], CauseKind.UNKNOWN),
    ],
)
def test_the_kind_follows_from_what_fired(names: list[str], kind: CauseKind) -> None:
    assert telling.kind_of(names) is kind


def test_components_are_causes_with_all_their_parts() -> None:
    key = AlarmKey("web-0", "cpu up")
    background = Background([Past(distance=1.0, alarms=frozenset({AlarmKey("db", "disk")}))])
    ranked = origins.rank({key}, background, origins.candidates(["web-0", "db"], {}))
    causes = telling.of_origins(ranked, most=1)
    assert (causes[0].kind, causes[0].subject) == (CauseKind.INFRASTRUCTURE, "web-0")
    assert causes[0].evidence_for
    assert all(cause.settle for cause in causes)
    assert total(causes) == pytest.approx(1)


def test_services_are_believed_by_what_is_their_own() -> None:
    found = [
        FlowCause(entity=name, own=own, surplus=own, deviations=9.0, path=("front", name))
        for name, own in (("cart", 3.0), ("user", 1.0))
    ]
    causes = telling.of_flows(found, Measure.ERRORS)
    assert [cause.belief for cause in causes] == [0.75, 0.25]
    assert (causes[0].kind, causes[0].title) == (CauseKind.CODE, "cart fails by itself")


def test_nothing_found_is_told_too() -> None:
    (cause,) = telling.of_flows([], Measure.SECONDS)
    assert (cause.belief, cause.kind) == (1.0, CauseKind.UNKNOWN)


def test_combinations_say_their_attributes() -> None:
    one = Combination(
        attributes={"provider": "aws", "region": "north"},
        cases=50.0,
        trials=100.0,
        expected=10.0,
        statistic=40.0,
        p_value=1e-9,
        belief=0.6,
    )
    causes = telling.of_combinations([one])
    assert causes[0].subject == "provider aws, region north"
    assert causes[0].evidence_for == ("50 cases where 10 are usual (p <= 1e-09)",)
    assert total(causes) == pytest.approx(1)
