"""A draft as the assignments people see."""

from __future__ import annotations

from collections.abc import Mapping

from engine.model.plans import Assignment
from placement.account.promises import Outlook
from placement.problem.instance import Instance, Job
from placement.search import draft as drafts
from placement.search.draft import Draft


def assignment(instance: Instance, plan: Draft, job: Job, seen: Outlook) -> Assignment:
    """Return where and when one placed job runs."""
    option = plan.options[job.index]
    line = instance.lines[job.line]
    times = seen.times[job.spec.name]
    slack = None
    if line.deadline_ms is not None and not job.serve:
        slack = round(instance.instant(line.deadline_ms) - times.end_p95, 3)
    return Assignment(
        pipeline=line.spec.name,
        task=job.spec.name,
        cluster=option.cluster.name,
        pool=option.pool.name,
        machine=option.pool.shape.machine,
        node_count=option.node_count,
        held=option.held,
        start_seconds=times.start,
        end_seconds_p50=None if job.serve else times.end_p50,
        end_seconds_p95=None if job.serve else times.end_p95,
        slack_seconds=slack,
        cost_micro_dollars=option.cost,
        cost_micro_dollars_p95=option.cost_p95,
        probability=job.probability,
        why=why(instance, plan, job),
    )


def why(instance: Instance, plan: Draft, job: Job) -> str:
    """Return one short reason for a place."""
    option = plan.options[job.index]
    if len(job.options) == 1:
        return "the only place that fits"
    cheapest = min(other.objective for other in job.options)
    near = [u for u in job.upstream if u in plan.options]
    beside = next((u for u in near if plan.options[u].cluster.name == option.cluster.name), None)
    if option.objective > cheapest:
        return _despite(instance, plan, job)
    if beside is not None:
        return f"cheapest, beside {instance.jobs[beside].spec.name}"
    waits = plan.starts[job.index] > drafts.ready_ms(job, plan)
    return "cheapest once there is room" if waits else "cheapest in time"


def _despite(instance: Instance, plan: Draft, job: Job) -> str:
    """Return why a place is taken that is not the cheapest for the task alone."""
    touched = instance.job_edges[job.index]
    cheapest = min(job.options, key=lambda o: (o.objective, o.duration_ms, o.pool_index))
    there: Mapping[int, object] = {**plan.options, job.index: cheapest}
    saved = sum(drafts.moved(instance, {**plan.options, job.index: cheapest}, touched))
    paid = sum(drafts.moved(instance, plan.options, touched))
    if saved > paid and there:
        return "its data is here"
    return "cheapest that fits the whole plan"
