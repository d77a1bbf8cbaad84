"""Follows the file of rules: a change is used at once, and one with faults leaves the old rules."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from alarms.rules.files import load_rules
from alarms.rules.model import RuleSet
from api.messages.files import read_text
from api.report import phrases
from engine.model import documents
from engine.model.alarms import Event
from engine.model.errors import InvalidInputError
from engine.model.records import EVENTS, Put
from engine.ports import Clock, Ledger

_LOG = logging.getLogger("berth.rules")
_FAULTS_SHOWN = 20


class RulesFile:
    """Looks at the file before each step of the watch loop.

    use: takes the new rules. What came of a change is noted as an event, since new rules may be
    what changed just before an alarm.
    """

    def __init__(
        self, path: Path, use: Callable[[RuleSet], None], ledger: Ledger, clock: Clock
    ) -> None:
        self._path = path
        self._use = use
        self._ledger = ledger
        self._clock = clock
        self._seen = self._stamp()

    def look(self) -> None:
        """Take the rules of the file when it changed since the last look."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            rules = load_rules(read_text(self._path, "rules"), str(self._path))
        except InvalidInputError as error:
            for fault in error.faults[:_FAULTS_SHOWN]:
                _LOG.error("%s line %d: %s %s", self._path, fault.line, fault.message, fault.fix)
            self._note(f"the new rules have faults, the old ones stay: {error}")
            return
        self._use(rules)
        _LOG.info("%d rules of %s are used from now on", len(rules.rules), self._path)
        count = len(rules.rules)
        are = "is" if count == 1 else "are"
        self._note(f"{phrases.plural(count, 'rule')} {are} used from now on")

    def _stamp(self) -> tuple[int, int]:
        """Return what tells a changed file; zeros for one that is not there."""
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_size)

    def _note(self, said: str) -> None:
        now = self._clock.now()
        event = Event(
            event_id=f"rules.{now!r}.{documents.letters(said, 4)}",
            at=now,
            kind="rules",
            subject=f"rules:{self._path.name}",
            message=said,
        )
        self._ledger.commit("rules.read", [Put(EVENTS, event)])
