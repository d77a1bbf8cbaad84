"""Which check comes of what is done about a cause: not run by itself, it follows from signals."""

from __future__ import annotations

from engine.model.alarms import CauseKind
from engine.model.checks import CheckKind

CheckKey = tuple[CheckKind, str]
"""Kind and subject of a check, of which a super-alarm has one each."""
_RETRAINED = frozenset({CauseKind.DATA, CauseKind.MODEL})


def check_of(kind: CauseKind, subject: str) -> CheckKey | None:
    """Return the check that a roll-back or a retraining makes of a cause; None for other causes.

    A retraining is a check of every cause of its pipeline that a new model would cure, a roll-back
    one of what was deployed. Whether a cluster is lost shows itself, wherever its tasks were moved.
    """
    model = f"model:{subject.partition(':')[2].partition('/')[0]}"
    if kind in _RETRAINED:
        return CheckKind.RETRAINING, model
    if kind is CauseKind.CODE and subject == model:
        return CheckKind.ROLL_BACK, model
    return None
