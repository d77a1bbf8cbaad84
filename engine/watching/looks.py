"""Checks that need the store only: rows, requests, quality, configuration. Read-only and quick."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from engine.model import differing
from engine.model.checks import Check, Verdict
from engine.model.dispatches import Run, RunState, TaskRun, TaskState
from engine.model.records import DEPLOYMENTS, PLANS, RUNS, SIGNALS, TASK_RUNS, task_run_key
from engine.model.signals import Signal
from engine.model.specs import PipelineSpec, TaskSpec
from engine.ports import Clock, Ledger
from engine.watching import falling, lasting

Answer = tuple[Verdict, str]
HOUR_SECONDS = 3_600.0
RUNS_READ = 30
VALUES_READ = 30
ROWS_RATIO = 1.3
NULLS_POINTS = 0.02
MORE, SAME = 1.5, 1.2
SURE = 3.0
"""Deviations that a difference of shares must be away from chance."""
LOSS_POINTS = 0.05
_COMPARED = tuple(
    field.name for field in dataclasses.fields(TaskSpec) if field.name not in {"name", "parameters"}
)


class StoreLooks:
    """Looks into the store. clock_factor: how many times as fast its clock is."""

    def __init__(self, ledger: Ledger, clock: Clock, clock_factor: float = 1.0) -> None:
        self._ledger = ledger
        self._clock = clock
        self._hour_seconds = HOUR_SECONDS / clock_factor

    def rows(self, check: Check) -> Answer:
        """Compare rows and empty cells of a task with those of its earlier runs."""
        pipeline, _, task = check.subject.partition(":")[2].partition("/")
        counts = [
            (float(rows), float(nulls))
            for one in self.task_runs(pipeline, task)
            if isinstance(rows := one.outputs.get("rows"), int | float)
            and isinstance(nulls := one.outputs.get("nulls", 0), int | float)
        ]
        if len(counts) < 2:  # noqa: PLR2004 - one to look at, one to compare with
            return (
                Verdict.OPEN,
                f"{task} has counted rows in {len(counts)} runs, too few to compare",
            )
        (rows, nulls), *earlier = counts
        usual = statistics.median(count for count, _ in earlier)
        usual_nulls = statistics.median(empty / max(1.0, count) for count, empty in earlier)
        share = nulls / max(1.0, rows)
        told = (
            f"{rows:.0f} rows with {share:.2f} empty cells each; usual of {len(earlier)} runs "
            f"before are {usual:.0f} with {usual_nulls:.2f}"
        )
        is_odd = not 1 / ROWS_RATIO <= rows / max(1.0, usual) <= ROWS_RATIO
        is_odd |= share - usual_nulls > NULLS_POINTS
        return (Verdict.CONFIRMS if is_odd else Verdict.DENIES), told

    def requests(self, check: Check) -> Answer:
        """Compare the requests since the trouble began with as long an hour before."""
        now = self._clock.now()
        length = min(now - check.since, self._hour_seconds)
        if length <= 0:
            return Verdict.OPEN, "the trouble has only begun"
        series = f"{check.subject}|requests"
        newest = self.values(series, now - length, now)
        start = check.since - self._hour_seconds
        before = self.values(series, start, start + length)
        if not newest or not before:
            return Verdict.OPEN, "no requests are known of one of the two times"
        rate, usual = (statistics.fmean(one.value for one in each) for each in (newest, before))
        ratio = rate / usual if usual > 0 else math.inf
        told = (
            f"{rate:.4g} requests a window since it began, {usual:.4g} in the same time of the "
            f"hour before ({ratio:.2f} times)"
        )
        if ratio >= MORE:
            return Verdict.CONFIRMS, told
        return (Verdict.DENIES if 1 / SAME <= ratio <= SAME else Verdict.OPEN), told

    def quality(self, check: Check) -> Answer:
        """Compare the share of right answers, by labels that came late, around a deployment.

        Where it surely fell at another time it says nothing: labels may come so late.
        """
        pipeline = check.subject.partition(":")[2]
        stored = self._ledger.get(DEPLOYMENTS, pipeline)
        if stored is None or stored.value.swapped_at is None:
            return Verdict.OPEN, f"no deployment of {pipeline} is known"
        series = f"{check.subject}|quality"
        # The newest deployment may be another one, that came later or undid it.
        is_undone = any(one.digest == stored.value.serving for one in stored.value.served[:-1])
        until = stored.value.swapped_at if is_undone else self._clock.now()
        earlier = self.values(series, check.since - self._hour_seconds, check.since)
        later = self.values(series, check.since, until)
        before, after = pooled(earlier), pooled(later)
        if before is None or after is None:
            return Verdict.OPEN, "no labelled records are known on one side of the deployment"
        (was, trials_before), (now, trials_after) = before, after
        both = (was * trials_before + now * trials_after) / (trials_before + trials_after)
        error = math.sqrt(both * (1 - both) * (1 / trials_before + 1 / trials_after))
        deviations = (was - now) / max(error, 1e-9)
        told = (
            f"{now:.3f} of {trials_after:.0f} labelled answers are right since the deployment, "
            f"{was:.3f} of {trials_before:.0f} were in the hour before ({deviations:+.1f} sd worse)"
        )
        if was - now >= LOSS_POINTS and deviations >= SURE:
            fell_at = falling.elsewhere([*earlier, *later], check.since)
            if fell_at is None:
                return Verdict.CONFIRMS, told
            apart = (fell_at - check.since) / 60.0
            side = "after" if apart > 0 else "before"
            return Verdict.OPEN, f"{told}, but they fell {abs(apart):.0f} min {side} it"
        return (Verdict.DENIES if was - now < LOSS_POINTS / 2 else Verdict.OPEN), told

    def failing(self, check: Check) -> float | None:
        """Return the part of a model's newest requests since a time that failed, or None."""
        newest = self.newest(f"{check.subject}|errors_share")
        found = pooled([one for one in newest if one.at >= check.since][: lasting.NEWEST])
        return None if found is None else found[0]

    def configuration(self, check: Check) -> Answer:
        """Compare the newest run's configuration with that of the last one that succeeded."""
        pipeline = check.subject.partition(":")[2]
        runs = self.runs(pipeline)
        good = next((run for run in runs[1:] if run.state is RunState.SUCCEEDED), None)
        if not runs or good is None:
            return Verdict.OPEN, f"no earlier run of {pipeline} succeeded"
        newest = runs[0]
        specs = self._spec(newest), self._spec(good)
        if specs[0] is None or specs[1] is None:
            return Verdict.OPEN, "the plan of one of the two runs is not kept any more"
        found = differing.differences(
            differing.parameters(specs[1], good.parameters),
            differing.parameters(specs[0], newest.parameters),
        )
        others = other_changes(specs[1], specs[0])
        pair = f"{newest.run_id} and {good.run_id}, the last good run,"
        if not found and not others:
            return Verdict.DENIES, f"{pair} have the same configuration"
        told = "; ".join(part for part in (differing.words(found), ", ".join(others)) if part)
        return Verdict.CONFIRMS, f"{pair} differ: {told}"

    def runs(self, pipeline: str) -> list[Run]:
        """Return runs of a pipeline, newest first."""
        found = self._ledger.select(
            RUNS,
            where={"pipeline": pipeline},
            order_by="created_at",
            descending=True,
            limit=RUNS_READ,
        )
        return [stored.value for stored in found]

    def task_runs(self, pipeline: str, task: str) -> list[TaskRun]:
        """Return what succeeded of a task, newest first."""
        found = (
            self._ledger.get(TASK_RUNS, task_run_key(run.run_id, task))
            for run in self.runs(pipeline)
        )
        every = [stored.value for stored in found if stored is not None]
        return [one for one in every if one.state is TaskState.SUCCEEDED]

    def values(self, series: str, since: float, until: float) -> list[Signal]:
        """Return the signals of a series after one instant and up to another."""
        found = self._ledger.select(SIGNALS, where={"series": series}, order_by="at", since=since)
        return [stored.value for stored in found if stored.value.at <= until]

    def newest(self, series: str) -> list[Signal]:
        """Return some signals of a series, newest first."""
        found = self._ledger.select(
            SIGNALS, where={"series": series}, order_by="at", descending=True, limit=VALUES_READ
        )
        return [stored.value for stored in found]

    def _spec(self, run: Run) -> PipelineSpec | None:
        stored = self._ledger.get(PLANS, run.plan_id)
        specs = () if stored is None else stored.value.request.pipelines
        return next((spec for spec in specs if spec.name == run.pipeline), None)


def pooled(values: Sequence[Signal]) -> tuple[float, float] | None:
    """Return the share of all trials together and their number, None without any."""
    trials = math.fsum(one.weight for one in values)
    if trials <= 0:
        return None
    return math.fsum(one.value * one.weight for one in values) / trials, trials


def other_changes(before: PipelineSpec, after: PipelineSpec) -> list[str]:
    """Return, in words, which tasks are new, gone, or differ in more than parameters."""
    was, now = ({task.name: task for task in spec.tasks} for spec in (before, after))
    found = [f"{name} is new" for name in sorted(now.keys() - was.keys())]
    found += [f"{name} is gone" for name in sorted(was.keys() - now.keys())]
    for name in sorted(was.keys() & now.keys()):
        fields = [
            field for field in _COMPARED if getattr(was[name], field) != getattr(now[name], field)
        ]
        if fields:
            found.append(f"{name} differs in {', '.join(fields)}")
    return found
