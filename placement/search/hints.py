"""The value that each auxiliary variable of the model has in a given plan.

CP-SAT makes most of a hint that is complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from placement.problem import lateness
from placement.problem.instance import COUNTED, Edge, Instance, Job, Option, Span
from placement.search.draft import Draft
from placement.search.timeline import seat_span


def left(span: Span, job: int, draft: Draft) -> int:
    """Return how much of a stretch of the calendar is left after a service started."""
    return max(span.end_ms - max(span.start_ms, draft.starts.get(job, 0)), 0)


def flow(edge: Edge, pair: tuple[str, str], draft: Draft) -> int:
    """Return whether data move between two clusters."""
    return int(clusters(edge, draft) == pair)


def seat_value(ways: Sequence[tuple[Job, Option]], position: int, draft: Draft) -> int:
    """Return one of `seat_values`."""
    return seat_values(ways, draft)[position]


def seat_values(ways: Sequence[tuple[Job, Option]], draft: Draft) -> tuple[int, ...]:
    """Return whether a seat is taken in a plan, from when to when, how long, and how much."""
    held = [
        seat_span(job, option, draft.starts[job.index])
        for job, option in ways
        if draft.options.get(job.index) is option
    ]
    if not held:
        return (0, 0, 0, 0, *(0 for _ in COUNTED))
    first, after = min(s.start_ms for s in held), max(s.end_ms for s in held)
    return (1, first, after, after - first, *map(max, zip(*(s.amounts for s in held), strict=True)))


def late(instance: Instance, line: int, draft: Draft) -> int:
    """Return how late a pipeline is, in milliseconds."""
    return lateness.late_ms(instance, draft.options, draft.starts, line)


def late_cost(instance: Instance, line: int, draft: Draft) -> int:
    """Return what that costs, in micro-dollars."""
    return lateness.cost(instance, draft.options, draft.starts, line)


def clusters(edge: Edge, draft: Draft) -> tuple[str, str] | None:
    """Return the clusters at both ends of an edge, when both have a place."""
    source, target = draft.options.get(edge.source), draft.options.get(edge.target)
    return (source.cluster.name, target.cluster.name) if source and target else None
