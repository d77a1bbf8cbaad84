"""What a spot policy is told and what it answers: the words of this folder.

Time is counted in three ways. *Work* is time on a running machine that brings the task forward.
A *changeover* is time on a machine that does not: launching, setting up, loading a checkpoint; it
is paid at the price of the machine moved to. *Slack* is the time left less the work left: waiting
and changeovers use it up, work does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.model.errors import Fault, InvalidInputError

SECONDS_PER_HOUR = 3600.0
_CODE = "S001"


class Machine(StrEnum):
    """What a task stands on."""

    NONE = "none"
    SPOT = "spot"
    ON_DEMAND = "on-demand"


class Reason(StrEnum):
    """Why a policy decided as it did."""

    DONE = "no work is left"
    STAY_ON_SPOT = "a running spot machine makes progress at the lowest price"
    SPOT_IS_LEAST = "spot is expected to cost least"
    WAITING_IS_LEAST = "waiting for spot is expected to cost least"
    ON_DEMAND_IS_LEAST = "an on-demand machine is expected to cost least"
    SPOT_IS_NOT_CHEAPER = "spot costs no less than on-demand"
    DEADLINE = "anything but an on-demand machine could miss the deadline"
    TOO_LATE = "no choice keeps the deadline for certain; this one ends soonest if all goes well"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotTask:
    """A task with a deadline, and the prices of the machines it may run on.

    Attributes:
        work_seconds: Time on a machine that the task needs in all.
        deadline_seconds: Time from its start by which it must have ended.
        changeover_seconds: Time lost whenever it moves to a machine.
        step_seconds: Time between decisions.
        spot_price: Of a spot machine per second, in any currency.
        on_demand_price: Of an on-demand machine per second, in the same currency.
    """

    work_seconds: float
    deadline_seconds: float
    changeover_seconds: float
    step_seconds: float
    spot_price: float
    on_demand_price: float

    def __post_init__(self) -> None:
        """Check that every number can be what it is said to be.

        Raises:
            InvalidInputError: One or more cannot; all of them are named.
        """
        faults = [
            Fault(code=_CODE, message=f"{name} is {value!r}", path=name, fix=f"give {name} > 0")
            for name, value in self._positive().items()
            if not (math.isfinite(value) and value > 0)
        ]
        delay = self.changeover_seconds
        if not (math.isfinite(delay) and delay >= 0):
            message = f"changeover_seconds is {delay!r}"
            faults.append(
                Fault(code=_CODE, message=message, path="changeover_seconds", fix="give 0 or more")
            )
        if faults:
            raise InvalidInputError("spot task", faults)

    def _positive(self) -> Mapping[str, float]:
        return {
            "work_seconds": self.work_seconds,
            "deadline_seconds": self.deadline_seconds,
            "step_seconds": self.step_seconds,
            "spot_price": self.spot_price,
            "on_demand_price": self.on_demand_price,
        }

    @property
    def slack_seconds(self) -> float:
        """Slack at the start; below one changeover the deadline cannot be kept for certain."""
        return self.deadline_seconds - self.work_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is known at the time of a decision.

    Attributes:
        work_left_seconds: Work that is still to be done.
        time_left_seconds: Time until the deadline.
        machine: What the task stands on; NONE after its spot machine was taken away.
        changeover_left_seconds: What is left of the changeover to that machine.
        spot_is_up: Whether a spot machine is to be had, or goes on being had, now.
        spot_age_seconds: For how long that has been so.
    """

    work_left_seconds: float
    time_left_seconds: float
    machine: Machine
    changeover_left_seconds: float
    spot_is_up: bool
    spot_age_seconds: float

    @property
    def slack_seconds(self) -> float:
        """Time left less work left, with nothing taken off for a changeover under way."""
        return self.time_left_seconds - self.work_left_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to stand on until the next decision, and why.

    Attributes:
        machine: What to stand on.
        reason: Why.
        slack_seconds: Slack at the time of the decision.
        expected_cost: What is expected to be paid from now on, by each machine that is possible
            without risk to the deadline; empty where nothing was weighed.
    """

    machine: Machine
    reason: Reason
    slack_seconds: float
    expected_cost: Mapping[Machine, float]
