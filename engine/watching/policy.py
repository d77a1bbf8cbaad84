"""What the watch loop may do by itself, and when."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from engine.model.alarms import ActionKind
from engine.model.identifiers import MicroDollars

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MendPolicy:
    """Bounds of what is mended without a person, for each kind and pipeline.

    kinds: what may be asked for at all, of stop, retry and roll back.
    cool_down_seconds: least time after the last one ended. times_per_day: most within a day.
    budget_per_day_micro_dollars: what the retries of a day may cost; None: no bound.
    """

    kinds: frozenset[ActionKind] = frozenset(
        {ActionKind.STOP, ActionKind.RETRY, ActionKind.ROLL_BACK}
    )
    cool_down_seconds: float = 1_800.0
    times_per_day: int = 3
    budget_per_day_micro_dollars: MicroDollars | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPolicy:
    """Policy of the watch loop. Times are seconds.

    act_above: least belief in a cause before anything but telling people is done about it.
    decide_seconds: how long a series must have been abnormal before an unsettled cause is acted
        upon; a settled one is acted upon at once.
    quiet_seconds: how long everything must have been normal before a super-alarm closes.
    flap_seconds: how long after a super-alarm closed by itself the same series reopen it; 0: they
        never do.
    look_back_seconds: how long before the first alarm changes are looked for.
    join_seconds: how long an alarm that could not open a group may still join one.
    day_seconds: what `per day` of retrain policies means.
    signals_kept_seconds, signals_kept: age and number of stored signals; the newest of each
        series always stays.
    prune_seconds: how often older signals are removed.
    recent_values: values per series that causes are looked for in.
    replan, retrain: whether these may be asked for at all.
    mend: bounds of stops, retries and roll-backs.
    clock_factor: how many times as fast the clock is; cool-downs of pipelines are divided by it.
    """

    act_above: float = 0.6
    decide_seconds: float = 600.0
    quiet_seconds: float = 300.0
    flap_seconds: float = 1_800.0
    look_back_seconds: float = 3_600.0
    join_seconds: float = 300.0
    day_seconds: float = DAY_SECONDS
    signals_kept_seconds: float = 7 * DAY_SECONDS
    signals_kept: int = 100_000
    prune_seconds: float = 60.0
    recent_values: int = 120
    replan: bool = True
    retrain: bool = True
    mend: MendPolicy = field(default_factory=MendPolicy)
    clock_factor: float = 1.0

    def scaled(self, factor: float) -> WatchPolicy:
        """Return the policy for a clock that is `factor` times as fast.

        What is kept, and what a day means to a budget, stays.
        """
        return dataclasses.replace(
            self,
            decide_seconds=self.decide_seconds / factor,
            quiet_seconds=self.quiet_seconds / factor,
            flap_seconds=self.flap_seconds / factor,
            look_back_seconds=self.look_back_seconds / factor,
            join_seconds=self.join_seconds / factor,
            mend=dataclasses.replace(
                self.mend, cool_down_seconds=self.mend.cool_down_seconds / factor
            ),
            clock_factor=self.clock_factor * factor,
        )
