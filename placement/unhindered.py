"""How much later than its deadline a pipeline may be planned to end.

Every task is planned at a high quantile of its duration. Those of one run seldom all take so long,
so that the ends planned for them add up to more than the run takes with the probability asked.
"""

from __future__ import annotations

from placement.account.promises import outlook
from placement.problem.instance import MILLISECONDS, Instance, Line
from placement.search import draft as drafts
from placement.search.draft import Draft


def slack_ms(instance: Instance, line: Line, seed: int) -> int:
    """Return by how much the planned end of a pipeline alone on the fastest pools is too late.

    0 where not even such a run keeps the deadline with the probability asked.
    """
    plan = _fastest(instance, line)
    if plan is None or line.deadline_ms is None:
        return 0
    ends = [plan.end_ms(index) for index in plan.options if not instance.jobs[index].serve]
    needed = round(outlook(instance, plan, line, seed).end_at_keep * MILLISECONDS)
    return max(max(ends, default=0) - needed, 0) if needed <= line.deadline_ms else 0


def _fastest(instance: Instance, line: Line) -> Draft | None:
    """Return a pipeline as if nobody else were there, None where a task has no pool at all."""
    jobs = [instance.jobs[index] for index in line.jobs]
    if not all(job.options for job in jobs):
        return None
    options = {job.index: min(job.options, key=lambda o: o.duration_ms) for job in jobs}
    starts: dict[int, int] = {}
    plan = Draft(options=options, starts=starts)
    for job in jobs:
        starts[job.index] = drafts.ready_ms(job, plan)
    return plan
