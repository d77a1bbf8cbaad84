"""Runs the checks that settle causes: a loop of its own, so that a slow look holds up no alarm.

Results stand in the super-alarm, where causes are weighed by them with the next judgement. A check
that confirmed is not run again: what was so stays so when the trouble is over. One that denied or
said nothing is repeated while the super-alarm is open.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator

from engine.model.alarms import SuperAlarm
from engine.model.checks import Check, Checked, Verdict
from engine.model.errors import BerthError
from engine.model.records import SUPER_ALARMS, Put
from engine.ports import Checker
from engine.watching.desk import Desk
from engine.watching.judging import OPEN_STATES

_LOG = logging.getLogger(__name__)
CAUSES_CHECKED = 3
"""Likeliest causes of a super-alarm whose checks are run: those that people see."""
BELIEF_LEAST = 0.01
"""What is believed less is not worth a look."""


class Checking:
    """Runs one check a step, of the super-alarm that waits longest."""

    def __init__(self, desk: Desk, checker: Checker) -> None:
        self._desk = desk
        self._checker = checker

    def step(self) -> bool:
        """Run the first check that is due; return whether there was one."""
        found = self._desk.ledger.select(
            SUPER_ALARMS, where={"state": OPEN_STATES}, order_by="updated_at"
        )
        for stored in found:
            for check in self._due(stored.value):
                checked = self._looked(check)
                # Alarms may have joined meanwhile; the look is then taken again.
                group = with_check(stored.value, checked)
                return self._desk.commit("watch.check", Put(SUPER_ALARMS, group, stored.version))
        return False

    def _due(self, group: SuperAlarm) -> Iterator[Check]:
        now = self._desk.clock.now()
        known = {(one.kind, one.subject): one for one in group.checks}
        for cause in group.causes[:CAUSES_CHECKED]:
            check = cause.check
            if check is None or cause.belief < BELIEF_LEAST:
                continue
            last = known.get((check.kind, check.subject))
            if last is None or (
                last.verdict is not Verdict.CONFIRMS
                and now - last.at >= self._desk.policy.decide_seconds
            ):
                yield check

    def _looked(self, check: Check) -> Checked:
        clock = self._desk.clock
        began = clock.monotonic()
        try:
            verdict, message = self._checker.look(check)
        except BerthError as error:
            verdict, message = Verdict.OPEN, f"could not look: {error.message}"
        except Exception as error:
            # What one look stumbles over must not keep all others from being taken.
            _LOG.exception("the look %r at %s failed", check.kind.value, check.subject)
            verdict, message = Verdict.OPEN, f"could not look: {type(error).__name__}: {error}"
        return Checked(
            kind=check.kind,
            subject=check.subject,
            verdict=verdict,
            message=message,
            at=clock.now(),
            took_seconds=max(0.0, clock.monotonic() - began),
        )


def with_check(group: SuperAlarm, checked: Checked) -> SuperAlarm:
    """Return a super-alarm with the result of a check, in place of an earlier one of its kind."""
    others = (
        one for one in group.checks if (one.kind, one.subject) != (checked.kind, checked.subject)
    )
    return dataclasses.replace(group, checks=(*others, checked))
