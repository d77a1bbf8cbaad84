"""Pipelines put on a board, each in the cheapest way that what is left allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from placement.problem import lateness
from placement.problem.instance import Instance, Option
from placement.search import draft as drafts
from placement.search.board import Board
from placement.search.chains import Chain, Chains, cheapest
from placement.search.draft import Draft
from placement.search.greedy import Taste, place_line, urgency
from placement.search.greedy import cheapest as cheapest_first


class Workplace:
    """A plan that pipelines are taken out of and put back into; it changes in place.

    values: unplaced weight and money by pipeline, with what lateness costs; late: that alone.
    value, paid: the sums of values, and of money without lateness, which comes out of a budget.
    labels: looks at options so far, the measure of work.
    """

    __slots__ = (
        "_instance",
        "board",
        "chains",
        "labels",
        "late",
        "nodes",
        "options",
        "paid",
        "starts",
        "value",
        "values",
    )

    def __init__(self, instance: Instance, plan: Draft, chains: Chains) -> None:
        self._instance = instance
        self.chains = chains
        self.labels = 0
        self.load(plan)

    def load(self, plan: Draft) -> None:
        """Start again from a plan."""
        instance = self._instance
        self.board = Board(instance)
        self.options = dict(plan.options)
        self.starts = dict(plan.starts)
        self.nodes = dict(plan.nodes)
        for index in sorted(self.options, key=lambda i: (self.starts[i], i)):
            job, option, start = instance.jobs[index], self.options[index], self.starts[index]
            self.nodes.update(self.board.put(job, option, start, plan.nodes.get(index, ())))
        self.weigh()

    def weigh(self) -> None:
        """Count weight and money again after a change of places from outside."""
        count = len(self._instance.lines)
        self.values, self.late = [(0, 0)] * count, [0] * count
        self.value, self.paid = (0, 0), 0
        for number in range(count):
            self._weigh(number)

    @property
    def plan(self) -> Draft:
        """The plan as it is now."""
        return Draft(options=dict(self.options), starts=dict(self.starts), nodes=dict(self.nodes))

    def part(self, lines: Iterable[int]) -> Draft:
        """Return the places of some pipelines."""
        jobs = [
            index
            for number in lines
            for index in self._instance.lines[number].jobs
            if index in self.options
        ]
        return Draft(
            options={i: self.options[i] for i in jobs},
            starts={i: self.starts[i] for i in jobs},
            nodes={i: self.nodes[i] for i in jobs},
        )

    def take_out(self, lines: Iterable[int]) -> None:
        """Take pipelines out of the plan."""
        for number in lines:
            for index in self._instance.lines[number].jobs:
                if index in self.options:
                    job, option = self._instance.jobs[index], self.options.pop(index)
                    self.board.remove(job, option, self.starts.pop(index))
                    del self.nodes[index]
            self._weigh(number)

    def put_back(self, lines: Sequence[int], part: Draft) -> None:
        """Give pipelines that were taken out exactly the places of a part."""
        for index in sorted(part.options, key=lambda i: (part.starts[i], i)):
            self._put(index, part.options[index], part.starts[index], part.nodes[index])
        for number in lines:
            self._weigh(number)

    def insert(self, number: int, taste: Taste = cheapest_first) -> None:
        """Put a pipeline that is out of the plan back in, as far as it goes.

        taste: how jobs choose where they do not simply follow one another.
        """
        instance, chain = self._instance, self.chains.of(number)
        room = None if instance.budget is None else instance.budget - self.paid
        if chain is not None:
            self._insert_chain(chain, room)
        else:
            self._insert_graph(number, taste, room)
        self._weigh(number)

    def _insert_chain(self, chain: Chain, room: int | None) -> None:
        way = cheapest(chain, self.board, room)
        self.labels += way.labels
        if way.whole or not self._instance.whole:
            for index in sorted(way.options):
                self._put(index, way.options[index], way.starts[index], ())

    def _insert_graph(self, number: int, taste: Taste, room: int | None) -> None:
        jobs = self._instance.lines[number].jobs
        trial = self.board.copy()
        placed = place_line(self._instance, trial, jobs, taste, room)
        self.labels += sum(len(self._instance.jobs[index].options) for index in jobs)
        if self._instance.whole and len(placed.options) < len(jobs):
            return
        self.board = trial
        self.options.update(placed.options)
        self.starts.update(placed.starts)
        self.nodes.update(placed.nodes)

    def _put(self, index: int, option: Option, start: int, nodes: tuple[int, ...]) -> None:
        self.options[index], self.starts[index] = option, start
        self.nodes.update(self.board.put(self._instance.jobs[index], option, start, nodes))

    def _weigh(self, number: int) -> None:
        weight, money = drafts.line_value(self._instance, self.options, number)
        late = lateness.cost(self._instance, self.options, self.starts, number)
        old, new = self.values[number], (weight, money + late)
        self.value = (self.value[0] + new[0] - old[0], self.value[1] + new[1] - old[1])
        self.paid += money - (old[1] - self.late[number])
        self.values[number], self.late[number] = new, late


def inserted(instance: Instance, order: Sequence[int], chains: Chains) -> Draft:
    """Return the plan of putting in one pipeline after the other, each as cheaply as it can be."""
    place = Workplace(instance, Draft(options={}, starts={}), chains)
    for number in order:
        place.insert(number)
    return place.plan


def mended(instance: Instance, found: Draft, chains: Chains) -> Draft:
    """Return a plan of nodes from one that was found for pools in sum.

    Each job starts as early as it can in the order of the plan. What has no node in time is put
    elsewhere with its whole pipeline, or left out.
    """
    place = Workplace(instance, Draft(options={}, starts={}), chains)
    broken: set[int] = set()
    for index in sorted(found.options, key=lambda i: (found.starts[i], i)):
        job, option = instance.jobs[index], found.options[index]
        if job.line in broken or not drafts.may_run(job, place.options):
            broken.add(job.line)
            continue
        ready = drafts.ready_ms(job, Draft(options=place.options, starts=place.starts))
        start = place.board.earliest(job, option, ready, job.latest_ms)
        if start is None:
            broken.add(job.line)
            continue
        place.options[index], place.starts[index] = option, start
        place.nodes.update(place.board.put(job, option, start))
    again = sorted(broken)
    place.take_out(again)
    place.weigh()
    lightest = sorted(range(len(instance.lines)), key=lambda n: urgency(instance, n), reverse=True)
    for number in lightest if instance.budget is not None else ():
        if not drafts.over_all(instance, place.options):
            break
        place.take_out([number])
    for number in again:
        place.insert(number)
    return place.plan


def kept(instance: Instance, wanted: Draft, chains: Chains) -> Draft | None:
    """Return the plan of a re-plan that changes the least: who had a place keeps it.

    Only pipelines that do not fit any more, or have tasks that are new or lost their place, are put
    in anew. None where no task had a place before.

    Args:
        instance: The problem as it is now.
        wanted: What each pipeline would do alone, for tasks without a former place.
        chains: How pipelines are put in.
    """
    stood = {
        job.index: option
        for job in instance.jobs
        for option in job.options
        if job.moved_from == f"{option.cluster.name}/{option.pool.name}"
        and job.index in wanted.starts
    }
    if not stood:
        return None
    former = Draft(options={**wanted.options, **stood}, starts=wanted.starts)
    return mended(instance, former, chains)
