"""What is said of a candidate that a task could run on, at a price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.report.explanations import because
from api.report.tables import PLAIN
from engine.model.identifiers import MicroDollars
from engine.model.plans import Ruling, Verdict
from engine.testing import samples


@pytest.mark.parametrize(
    ("delta", "said"),
    [
        (0, "costs the same"),
        (500, "costs 50 % more"),
        (501, "costs 50 % more"),
        (2_500, "costs 250 % more, $0.002 of it for data, moves or lateness"),
    ],
)
def test_what_a_move_costs_beside_the_run_is_told(delta: int, said: str) -> None:
    plan = samples.plan(samples.chain(), samples.fleet("eu-1"))
    chosen = replace(
        plan.placement.assignments[0],
        cost_micro_dollars=MicroDollars(1_000),
        end_seconds_p50=60.0,
        end_seconds_p95=60.0,
    )
    verdict = Verdict(
        cluster=chosen.cluster,
        pool=chosen.pool,
        machine=chosen.machine,
        ruling=Ruling.POSSIBLE,
        cost_micro_dollars=MicroDollars(1_500),
        delta_micro_dollars=MicroDollars(delta),
    )
    assert because(plan, verdict, chosen, PLAIN) == said
