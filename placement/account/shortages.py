"""Why a move that no static limit forbids is impossible all the same, with the numbers."""

from __future__ import annotations

from collections.abc import Iterator

from engine.model.plans import Limit, Refusal
from placement.problem.instance import COUNTED, MILLISECONDS, Instance, Job, Option
from placement.problem.limits import ordered
from placement.search import draft as drafts
from placement.search.draft import Draft
from placement.search.moves import Bench, retimed
from placement.search.timeline import spans_at

MICRO = 1_000_000


def shortages(instance: Instance, plan: Draft, at: Bench, option: Option) -> tuple[Refusal, ...]:
    """Return what stands against a move, the shortest first; never empty for a refused one."""
    found = [*_upstream(instance, at), *_time(instance, plan, at, option)]
    found += _budget(instance, plan, at.job, option)
    if not any(refusal.limit is not Limit.BUDGET for refusal in found):
        found += _room(instance, plan, at, option)
    return tuple(ordered(found))


def _upstream(instance: Instance, at: Bench) -> Iterator[Refusal]:
    if not drafts.may_run(at.job, at.rest.options):
        missing = [instance.jobs[u].spec.name for u in at.job.upstream if u not in at.rest.options]
        yield Refusal(
            limit=Limit.EARLIEST_START,
            needs=f"a place for {', '.join(missing)}",
            has="none in this plan",
        )


def _time(instance: Instance, plan: Draft, at: Bench, option: Option) -> Iterator[Refusal]:
    """Yield what is late even on empty pools."""
    ends = {at.job.index: drafts.ready_ms(at.job, at.rest) + option.duration_ms}
    last = ends[at.job.index]
    for index in at.followers:
        job = instance.jobs[index]
        before = [ends.get(u, plan.end_ms(u)) for u in job.upstream if u in plan.options]
        ends[index] = max([job.release_ms, *before]) + plan.options[index].duration_ms
        if not job.serve:
            last = max(last, ends[index])
    late = any(end > instance.jobs[i].latest_ms for i, end in ends.items())
    line = instance.lines[at.job.line]
    if late and line.deadline_ms is not None:
        yield Refusal(
            limit=Limit.DEADLINE,
            needs=last / MILLISECONDS,
            has=line.deadline_ms / MILLISECONDS,
            unit="s",
        )
    elif late:
        yield Refusal(
            limit=Limit.EARLIEST_START,
            needs=last / MILLISECONDS,
            has=instance.end_ms / MILLISECONDS,
            unit="s",
        )


def _budget(instance: Instance, plan: Draft, job: Job, option: Option) -> Iterator[Refusal]:
    line = instance.lines[job.line]
    tried = {**plan.options, job.index: option}
    if line.budget is not None and drafts.over_budget(instance, tried, job.line):
        yield Refusal(
            limit=Limit.BUDGET,
            needs=drafts.spent(instance, tried, job.line) / MICRO,
            has=line.budget / MICRO,
            unit="USD per hour" if line.budget_is_serving else "USD per run",
        )


def _room(instance: Instance, plan: Draft, at: Bench, option: Option) -> Iterator[Refusal]:
    """Yield the resource that is shortest at the first start, when there is no room in time."""
    options = {**plan.options, at.job.index: option}
    if retimed(instance, at, options) is not None:
        return
    start = drafts.ready_ms(at.job, at.rest)
    worst = Refusal(limit=Limit.SLOT_CAPACITY, needs="room in time", has="none")
    least = 0.0
    for bucket in option.buckets:
        line = at.board.timeline(bucket)
        for span in spans_at(at.job, option, start):
            clash = line.conflict(span)
            if clash is None:
                continue
            used = [amounts for time, amounts in line.steps() if time <= clash[0]][-1]
            for resource, need, taken, most in zip(
                COUNTED, span.amounts, used, line.capacity, strict=True
            ):
                free = max(most - taken, 0)
                if need > free and need - free > least * max(free, 1):
                    least = (need - free) / max(free, 1)
                    worst = Refusal(
                        limit=Limit.SLOT_CAPACITY,
                        needs=need / MILLISECONDS,
                        has=free / MILLISECONDS,
                        unit=resource.unit,
                    )
    yield worst
