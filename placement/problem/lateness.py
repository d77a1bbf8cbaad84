"""What ending after a deadline costs, where a pipeline says a price instead of insisting on it."""

from __future__ import annotations

from collections.abc import Mapping

from placement.problem.instance import MILLISECONDS, Instance, Option

HOUR_MS = 3_600 * MILLISECONDS


def late_ms(
    instance: Instance, options: Mapping[int, Option], starts: Mapping[int, int], line: int
) -> int:
    """Return how long after its deadline the last job of a pipeline but serving ends."""
    of = instance.lines[line]
    if not of.late_price or of.deadline_ms is None:
        return 0
    jobs = (instance.jobs[index] for index in of.jobs if index in options)
    ends = [starts[j.index] + options[j.index].duration_ms for j in jobs if not j.serve]
    return max([*ends, of.deadline_ms]) - of.deadline_ms


def price(instance: Instance, line: int, milliseconds: int) -> int:
    """Return the micro-dollars of so much lateness, parts of a micro-dollar counted whole."""
    return -(-milliseconds * instance.lines[line].late_price // HOUR_MS)


def cost(
    instance: Instance, options: Mapping[int, Option], starts: Mapping[int, int], line: int
) -> int:
    """Return what the lateness of one pipeline costs in a plan."""
    return price(instance, line, late_ms(instance, options, starts, line))


def total(instance: Instance, options: Mapping[int, Option], starts: Mapping[int, int]) -> int:
    """Return what the lateness of all pipelines costs in a plan."""
    priced = (number for number, line in enumerate(instance.lines) if line.late_price)
    return sum(cost(instance, options, starts, number) for number in priced)
