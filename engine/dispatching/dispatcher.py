"""The dispatch loop: one step brings the world nearer to what the store wants.

It is level-triggered: a step looks at what is, never at what happened, so a step that was cut
off at any line is simply taken again.
"""

from __future__ import annotations

from engine.dispatching import acting, deployments, ending, observing, starting
from engine.dispatching.desk import Desk


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
        changed |= observing.observe(self, fleet, self.live_attempts())
        changed |= observing.lose(self, fleet, self.live_attempts())
        changed |= acting.act(self)
        live = self.live_attempts()
        changed |= deployments.reconcile(self, fleet, live)
        changed |= observing.stop_unwanted(self, fleet, live)
        live = self.live_attempts()
        changed |= starting.advance(self, fleet, live)
        changed |= starting.start(self, fleet, live)
        if ending.end_runs(self):
            ending.collect(self)
            changed = True
        return changed
