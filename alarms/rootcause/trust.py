"""How far a check is believed about a kind of cause: by hand at first, then by what people said.

The weight of a check is the logarithm of the odds that its verdict is right. By hand it counts as
much as ten verdicts; each that a person called right or wrong for that kind of cause counts as one
more (the mean of a beta distribution). A check that is wrong as often as right weighs nothing, and
none is believed to say the opposite of what is so.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from engine.model.alarms import CauseKind, SuperAlarm
from engine.model.checks import Checked, CheckKind
from engine.model.feedback import CheckFeedback, Verdict

WEIGHTS: Mapping[CheckKind, float] = MappingProxyType(
    {
        CheckKind.SCHEMA: 2.0,
        CheckKind.ROWS: 1.5,
        CheckKind.CLUSTER: 4.0,
        CheckKind.GOLDEN: 1.5,
        CheckKind.QUALITY: 3.0,
        CheckKind.REQUESTS: 2.5,
        CheckKind.CONFIGURATION: 1.5,
        CheckKind.ROLL_BACK: 3.0,
        CheckKind.RETRAINING: 3.0,
    }
)
"""Logarithms of odds, by hand like all weights of the tree."""
SETTLING = frozenset(
    {
        CheckKind.CLUSTER,
        CheckKind.REQUESTS,
        CheckKind.ROLL_BACK,
        CheckKind.RETRAINING,
    }
)
"""Kinds after which there is nothing left to ask; others only make a cause more or less likely.

Quality that fell at a deployment may be a dip that passes, or inputs that moved with it."""
SETTLES_FROM = 0.9
"""As long as their verdicts are believed to be right so often."""
BY_HAND_VERDICTS = 10.0
REMEMBERED = 1_000
"""Verdicts of people that are remembered, the newest ones."""


class Trust:
    """Learns from people which checks to believe. Bounded."""

    def __init__(self) -> None:
        self._given: OrderedDict[str, CheckFeedback] = OrderedDict()

    def learn(self, given: Iterable[CheckFeedback]) -> None:
        """Take what people said, oldest first; of one check the newest word counts."""
        for one in given:
            self._given[one.key] = one
            self._given.move_to_end(one.key)
            if len(self._given) > REMEMBERED:
                self._given.popitem(last=False)

    def is_refuted(self, group: SuperAlarm, checked: Checked) -> bool:
        """Return whether a person called this very verdict wrong, this time that it came."""
        key = CheckFeedback.key_of(group.coming_id, checked.kind, checked.subject)
        said = self._given.get(key)
        if said is None:
            return False
        return said.verdict is Verdict.WRONG and said.said == checked.verdict

    def counts(self, check: CheckKind, cause: CauseKind) -> tuple[int, int]:
        """Return how many verdicts of a kind of check on a kind of cause were right and wrong."""
        found = [
            one.verdict for one in self._given.values() if (one.check, one.cause) == (check, cause)
        ]
        right = found.count(Verdict.RIGHT)
        return right, len(found) - right

    def weight(self, check: CheckKind, cause: CauseKind) -> float:
        """Return by how much a verdict moves the logarithm of a cause's odds; never below 0."""
        share = self._share(check, cause)
        return max(0.0, math.log(share / (1.0 - share)))

    def settles(self, check: CheckKind, cause: CauseKind) -> bool:
        """Return whether nothing is left to ask after a verdict."""
        return check in SETTLING and self._share(check, cause) >= SETTLES_FROM

    def _share(self, check: CheckKind, cause: CauseKind) -> float:
        """Return how often verdicts are believed to be right, between 0 and 1, both excluded."""
        right, wrong = self.counts(check, cause)
        by_hand = 1.0 / (1.0 + math.exp(-WEIGHTS[check]))
        return (BY_HAND_VERDICTS * by_hand + right) / (BY_HAND_VERDICTS + right + wrong)
