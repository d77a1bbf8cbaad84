"""What machines of a played world answer to checks, and what its store does."""

from __future__ import annotations

import numpy as np
import pytest

from engine.model.checks import Check, CheckKind, Verdict
from engine.testing.clocks import ManualClock
from simulations.checks import WorldChecks
from simulations.ledger import MemoryLedger


@pytest.mark.parametrize(
    ("kind", "subject", "verdict"),
    [
        (CheckKind.CLUSTER, "cluster:lost", Verdict.CONFIRMS),
        (CheckKind.CLUSTER, "cluster:there", Verdict.DENIES),
        (CheckKind.GOLDEN, "model:broken", Verdict.CONFIRMS),
        (CheckKind.GOLDEN, "model:whole", Verdict.OPEN),
        (CheckKind.SCHEMA, "pipeline:whole", Verdict.OPEN),
        (CheckKind.QUALITY, "model:whole", Verdict.OPEN),
    ],
)
def test_a_world_answers(kind: CheckKind, subject: str, verdict: Verdict) -> None:
    checks = WorldChecks(
        MemoryLedger(),
        ManualClock(1_000.0),
        np.random.default_rng(1),
        clock_factor=1.0,
        is_lost={"lost"}.__contains__,
        failing=lambda name: 1.0 if name == "broken" else 0.0,
    )
    assert checks.look(Check(kind=kind, subject=subject, since=0.0))[0] is verdict
