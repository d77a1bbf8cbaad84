"""Runs the loops while this engine leads: always when it is alone, else while it has the lease.

An engine that loses the lease ends its loops and stands by, and takes over again when it can. What
a loop was in the middle of does no harm: its next write is refused, because its term is over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from api.messages.answers import Finding
from api.wiring.loops import Loop, LoopPlan
from engine import store
from engine.model.errors import BerthError, ConflictError
from engine.model.records import Term

_LOG = logging.getLogger("berth.leader")
_LOOKS_PER_LEASE = 5
_JOIN_SECONDS = 20.0

MakePlans = Callable[[Term], Sequence[LoopPlan]]


class Alone:
    """The loops of the one engine of a data folder."""

    def __init__(self, plans: MakePlans, term: Term) -> None:
        self._loops = [Loop(plan) for plan in plans(term)]

    def start(self) -> None:
        """Begin to work."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """End the loops after the steps they are in."""
        _stop(self._loops)

    def findings(self) -> tuple[Finding, ...]:
        """Return how each loop is."""
        return tuple(loop.finding() for loop in self._loops)


class Standby:
    """The loops of one of several engines, which run while it leads.

    plans: makes the loops for a term; called in the thread that looks after the lease.
    """

    def __init__(self, plans: MakePlans, elector: store.Elector, seconds: float) -> None:
        self._plans = plans
        self._elector = elector
        self._pause_seconds = seconds / _LOOKS_PER_LEASE
        self._stopping = threading.Event()
        self._term: Term | None = None
        self._loops: list[Loop] = []
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="berth-leader", daemon=True)

    def start(self) -> None:
        """Begin to look after the lease."""
        self._thread.start()

    def stop(self) -> None:
        """End the loops, then give the lease back."""
        self._stopping.set()
        self._thread.join(_JOIN_SECONDS)
        self._end("this engine is told to stop")
        try:
            self._elector.release()
        except BerthError as error:
            _LOG.warning("the lease was not given back: %s", error.message)

    def findings(self) -> tuple[Finding, ...]:
        """Return who leads, and how each loop is while it is this engine."""
        if self._trouble:
            fix = "wait, or see to the database; this engine goes on by itself"
            return (Finding(name="leader", fine=False, message=self._trouble, fix=fix),)
        if self._term is None:
            leader = self._elector.leader
            message = f"stands by for {leader}" if leader else "stands by, nobody leads yet"
            return (Finding(name="leader", fine=True, message=message),)
        message = f"this engine leads, in term {self._term.number}"
        leads = Finding(name="leader", fine=True, message=message)
        return (leads, *(loop.finding() for loop in self._loops))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._once()
            self._stopping.wait(self._pause_seconds)

    def _once(self) -> None:
        try:
            self._elector.look()
            self._trouble = ""
        except BerthError as error:
            if not self._trouble:
                _LOG.warning("the lease cannot be looked at: %s", error.message)
            self._trouble = f"the lease cannot be looked at: {error.message}"
        term = self._elector.term
        if term == self._term:
            return
        if self._term is not None:
            self._end("this engine does not lead any more")
        if term is not None and not self._loops:
            self._begin(term)

    def _begin(self, term: Term) -> None:
        try:
            plans = self._plans(term)
        except BerthError as error:
            # Another engine may have what this one lacks.
            self._trouble = f"this engine cannot lead: {error.message}"
            _LOG.exception("this engine cannot lead")
            self._elector.release()
            return
        loops = [Loop(replace(plan, step=self._guarded(plan.step, term))) for plan in plans]
        for loop in loops:
            loop.start()
        self._term, self._loops = term, loops
        _LOG.info("leads in term %d", term.number)

    def _guarded(self, step: Callable[[], bool], term: Term) -> Callable[[], bool]:
        """Return a step that is not begun once the lease may have ended."""

        def guarded() -> bool:
            if self._elector.term != term:
                raise ConflictError("the lease may have ended: this engine does not lead now")
            return step()

        return guarded

    def _end(self, why: str) -> None:
        if self._term is not None:
            _LOG.warning("the loops of term %d end: %s", self._term.number, why)
        self._term = None
        # Loops that hang are kept, and as long as one does, this engine does not lead again.
        self._loops = _stop(self._loops)


def _stop(loops: Sequence[Loop]) -> list[Loop]:
    """End loops after the steps they are in; return those that did not end."""
    for loop in loops:
        loop.stop()
    left = [loop for loop in loops if not loop.join(_JOIN_SECONDS)]
    if left:
        _LOG.warning(
            "%d loops did not end in %.0f s; their steps are repeated later",
            len(left),
            _JOIN_SECONDS,
        )
    return left
