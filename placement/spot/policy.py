"""Decides at each step whether a task with a deadline runs on spot, on demand, or waits.

A rule of safety stands above everything: whatever happens next, enough slack must be left to move
to an on-demand machine and end in time. Among what it allows, the policy takes what is expected to
cost least by the dynamic programme of `placement.spot.values`, which knows how long spells of
availability last (`placement.spot.lifetimes`). A spot machine that runs is kept: nothing makes
progress at a lower price (the exploitation rule of Wu et al., "Can't Be Late", NSDI '24, whose
safety net this one sharpens to the last safe step).

The policy is pure: a decision depends on the task, the lifetimes and the observation only. Whoever
sees more of a trace may learn new lifetimes and make a new policy in the middle of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from placement.spot.lifetimes import Lifetimes, learn, state
from placement.spot.task import (
    SECONDS_PER_HOUR,
    Decision,
    Machine,
    Observation,
    Reason,
    SpotTask,
)
from placement.spot.values import solve

_SMALL = 1e-6

_LEAST = {
    Machine.NONE: Reason.WAITING_IS_LEAST,
    Machine.SPOT: Reason.SPOT_IS_LEAST,
    Machine.ON_DEMAND: Reason.ON_DEMAND_IS_LEAST,
}


class SpotPolicy:
    """Decides for one task.

    Args:
        task: What must be done by when, and at which prices.
        lifetimes: How long spot stays up or down.
    """

    def __init__(self, task: SpotTask, lifetimes: Lifetimes) -> None:
        self.task = task
        self.is_spot_cheaper = task.spot_price < task.on_demand_price
        self._cost_to_go = solve(task, lifetimes)

    @classmethod
    def from_history(cls, task: SpotTask, is_up: Sequence[bool]) -> SpotPolicy:
        """Return a policy for a task whose zone had this availability, in steps of the task."""
        return cls(task, learn(is_up, task.step_seconds))

    def decide(self, seen: Observation) -> Decision:
        """Return what to stand on until the next decision."""
        if seen.work_left_seconds <= _SMALL:
            return self._decision(seen, Machine.NONE, Reason.DONE)
        if not self.is_spot_cheaper:
            return self._decision(seen, Machine.ON_DEMAND, Reason.SPOT_IS_NOT_CHEAPER)
        is_on_spot = seen.machine is Machine.SPOT and seen.spot_is_up
        is_kept = self._left_after(seen, Machine.ON_DEMAND) >= -_SMALL
        if is_on_spot and self._spot_is_safe(seen):
            return self._decision(seen, Machine.SPOT, Reason.STAY_ON_SPOT)
        if not is_kept:
            machine = Machine.SPOT if is_on_spot else Machine.ON_DEMAND
            return self._decision(seen, machine, Reason.TOO_LATE)
        costs = self._costs(seen)
        if len(costs) == 1:
            return self._decision(seen, Machine.ON_DEMAND, Reason.DEADLINE)
        # On equal costs the task stays where it is, else takes the first of the enumeration.
        best = min(costs, key=lambda machine: (costs[machine], machine is not seen.machine))
        return self._decision(seen, best, _LEAST[best], costs)

    def _decision(
        self,
        seen: Observation,
        machine: Machine,
        reason: Reason,
        costs: Mapping[Machine, float] | None = None,
    ) -> Decision:
        return Decision(
            machine=machine,
            reason=reason,
            slack_seconds=seen.slack_seconds,
            expected_cost=costs or {},
        )

    def _left_after(self, seen: Observation, machine: Machine) -> float:
        """Return the slack that is left once a changeover to a machine, if any, is over."""
        stays = seen.machine is machine
        delay = seen.changeover_left_seconds if stays else self.task.changeover_seconds
        return seen.slack_seconds - delay

    def _spot_is_safe(self, seen: Observation) -> bool:
        """Return whether spot may be taken away during or after its changeover."""
        return self._left_after(seen, Machine.SPOT) >= self.task.changeover_seconds - _SMALL

    def _waiting_is_safe(self, seen: Observation) -> bool:
        left = seen.slack_seconds - self.task.step_seconds
        return left >= self.task.changeover_seconds - _SMALL

    def _costs(self, seen: Observation) -> dict[Machine, float]:
        """Return what each machine that is safe is expected to cost from now on."""
        values, unit = self._cost_to_go, self._cost_to_go.grid.unit_seconds
        now = state(
            is_up=seen.spot_is_up,
            age_seconds=seen.spot_age_seconds + self.task.step_seconds / 2,
        )
        time, slack = seen.time_left_seconds, seen.slack_seconds
        ratio = self.task.spot_price / self.task.on_demand_price
        delay = self.task.changeover_seconds
        hours: dict[Machine, float] = {}
        if self._waiting_is_safe(seen):
            hours[Machine.NONE] = values.after_unit(Machine.NONE, time - unit, slack - unit, now)
        if seen.spot_is_up and self._spot_is_safe(seen):
            hours[Machine.SPOT] = ratio * delay / SECONDS_PER_HOUR + values.after_changeover(
                Machine.SPOT, time - delay, slack - delay, now
            )
        if seen.machine is Machine.ON_DEMAND:
            slack -= seen.changeover_left_seconds
            hours[Machine.ON_DEMAND] = unit / SECONDS_PER_HOUR + values.after_unit(
                Machine.ON_DEMAND, time - unit, slack, now
            )
        else:
            hours[Machine.ON_DEMAND] = delay / SECONDS_PER_HOUR + values.after_changeover(
                Machine.ON_DEMAND, time - delay, slack - delay, now
            )
        price = self.task.on_demand_price * SECONDS_PER_HOUR
        return {machine: value * price for machine, value in hours.items()}
