"""The dispatch loop: one step brings the world nearer to what the store wants.

It is level-triggered: a step looks at what is, never at what happened, so a step that was cut
off at any line is simply taken again.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.dispatching import (
    acting,
    clearing,
    deployments,
    ending,
    observing,
    starting,
    suspending,
)
from engine.dispatching.desk import Desk
from engine.model.dispatches import Attempt
from engine.model.fleet import Fleet
from engine.model.identifiers import AttemptId
from engine.model.records import Stored


class Dispatcher(Desk):
    """Runs what was submitted, under one term; one thread at a time may call `step`."""

    def step(self) -> bool:
        """Do everything that can be done now; return whether anything changed.

        Raises:
            RefusedError: when another engine took over; this one must stop.
            RetryableError: when the store could not be written; the next step goes on.
        """
        fleet = self.fleet_source.fleet()
        changed = observing.watch_clusters(self, fleet)
        live = self.live_attempts()
        for look in (
            observing.observe,
            observing.lose,
            suspending.suspend,
            _act,
            deployments.reconcile,
        ):
            if look(self, fleet, live):
                changed, live = True, self.live_attempts()
        if observing.stop_unwanted(self, fleet, live):
            changed, live = True, self.live_attempts()
        views = starting.advance(self, fleet, live)
        changed |= views.changed
        changed |= ending.end_runs(self, views.of_run)
        changed |= clearing.clear(self, live)
        return changed


def _act(desk: Desk, _fleet: Fleet, _live: Mapping[AttemptId, Stored[Attempt]]) -> bool:
    return acting.act(desk)
