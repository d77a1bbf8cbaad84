"""The looks that settle causes, at worlds that are played: what the store tells is looked up there.

What the product asks a machine is answered by the world: whether a cluster is lost, and whether the
example requests of a package come to the part of requests that a broken image lets fail. Columns
are not played: looks at them say nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.model.checks import Check, CheckKind, Verdict
from engine.ports import Clock, Ledger
from engine.watching.looks import Answer, StoreLooks

OF_A_MACHINE = "no machine is played that could be asked"


class WorldChecks:
    """Looks at a world. Port `Checker`.

    clock_factor: how many times as fast as a product's clock the world's is.
    is_lost: whether the cluster of a name is lost.
    failing: the part of requests that fails, by the name of a pipeline, for what serves.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        random: np.random.Generator,
        *,
        clock_factor: float,
        is_lost: Callable[[str], bool],
        failing: Callable[[str], float],
    ) -> None:
        looks = StoreLooks(ledger, clock, clock_factor)
        self._random = random
        self._is_lost = is_lost
        self._failing = failing
        self._by_kind: dict[CheckKind, Callable[[Check], Answer]] = {
            CheckKind.ROWS: looks.rows,
            CheckKind.QUALITY: looks.quality,
            CheckKind.REQUESTS: looks.requests,
            CheckKind.CONFIGURATION: looks.configuration,
            CheckKind.CLUSTER: self._cluster,
            CheckKind.GOLDEN: self._golden,
        }

    def look(self, check: Check) -> Answer:
        """Return what a check says of its cause, and what was seen."""
        look = self._by_kind.get(check.kind)
        return (Verdict.OPEN, OF_A_MACHINE) if look is None else look(check)

    def _cluster(self, check: Check) -> Answer:
        name = check.subject.partition(":")[2]
        if self._is_lost(name):
            return Verdict.CONFIRMS, f"{name} does not answer"
        return Verdict.DENIES, f"{name} answers"

    def _golden(self, check: Check) -> Answer:
        """Send the examples as one request, which fails as often as those of callers do."""
        if self._random.random() < self._failing(check.subject.partition(":")[2]):
            return Verdict.CONFIRMS, "the golden requests are answered wrongly"
        return Verdict.OPEN, "the golden requests are answered right, as most requests are"
