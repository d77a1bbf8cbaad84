"""Clashes of wishes as people read them, held against every plan there is."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.placement.checking.brute_force import cheapest, frame_of
from benchmarks.placement.checking.replay import World
from engine.model.errors import Clash
from engine.model.identifiers import MicroDollars
from engine.model.plans import PlacementProblem
from engine.model.specs import Affinity, Deadline, PipelineSpec, Within

PLENTY = 1_000
ANY_CHANCE = 0.5
KEEP_STEP = 0.01
MOST_NODES = 64
CAPACITY = "the capacity there is"
UNITS = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
WISH = re.compile(
    r"(?P<kind>budget|the deadline|keep|regions|providers|availability|p99|beside|apart from|"
    r"machines that stay)(?: .*)? of "
    r"(?P<pipeline>[^/ ]+)(?:/(?P<task>\S+))?"
)


def every(problem: PlacementProblem) -> list[str]:
    """Returns every wish of a request, in the words of a clash."""
    found = []
    for pipeline in problem.request.pipelines:
        name, limits = pipeline.name, pipeline.limits
        is_hard = pipeline.sla.deadline is not None and (
            pipeline.sla.late_micro_dollars_per_hour is None
        )
        kinds = {
            "budget": limits.budget_micro_dollars is not None,
            "the deadline": is_hard,
            "keep": is_hard and pipeline.sla.keep > ANY_CHANCE,
            "regions": bool(limits.regions),
            "providers": bool(limits.providers),
        }
        found += [f"{kind} of {name}" for kind, there in kinds.items() if there]
        for task in pipeline.tasks:
            kinds = {
                "machines that stay": not task.interruptible,
                "beside": bool(task.beside),
                "apart from": bool(task.apart_from),
            }
            found += [f"{kind} of {name}/{task.name}" for kind, there in kinds.items() if there]
            if task.serving is not None and task.serving.availability is not None:
                found.append(f"availability of {name}/{task.name}")
            if task.serving is not None and task.serving.latency_ms_p99 is not None:
                found.append(f"p99 of {name}/{task.name}")
    return [*found, CAPACITY]


def plain(wish: str) -> str:
    """Returns a wish without its value: `budget of p`."""
    match = WISH.fullmatch(wish)
    if match is None:
        return wish
    place = match["pipeline"] + (f"/{match['task']}" if match["task"] else "")
    return f"{match['kind']} of {place}"


def without(problem: PlacementProblem, wishes: Sequence[str]) -> PlacementProblem:
    """Returns a request in which some wishes are given up."""
    for wish in wishes:
        problem = _without(problem, wish)
    return problem


def _without(problem: PlacementProblem, wish: str) -> PlacementProblem:
    if wish == CAPACITY:
        clusters = tuple(
            dataclasses.replace(
                c,
                quota={},
                pools=tuple(
                    dataclasses.replace(p, node_count=p.node_count * PLENTY) for p in c.pools
                ),
            )
            for c in problem.request.fleet.clusters
        )
        fleet = dataclasses.replace(problem.request.fleet, clusters=clusters)
        return _request(problem, fleet=fleet, reservations=())
    match = WISH.fullmatch(wish)
    if match is None:
        raise ValueError(f"no wish that is known: {wish!r}")
    changes: dict[str, Mapping[str, Any]] = {
        "budget": {"budget_micro_dollars": None},
        "the deadline": {"deadline": None},
        "keep": {"keep": ANY_CHANCE},
        "regions": {"regions": ()},
        "providers": {"providers": ()},
        "availability": {"availability": None},
        "p99": {"latency_ms_p99": None},
        "beside": {"beside": ()},
        "apart from": {"apart_from": ()},
        "machines that stay": {"interruptible": True},
    }
    return with_value(problem, wish, **changes[match["kind"]])


def with_value(problem: PlacementProblem, wish: str, **fields: Any) -> PlacementProblem:  # noqa: ANN401
    """Returns a request in which what a wish is about has another value."""
    match = WISH.fullmatch(wish)
    assert match is not None

    def change(pipeline: PipelineSpec) -> PipelineSpec:
        if pipeline.name != match["pipeline"]:
            return pipeline
        if match["kind"] in {"availability", "p99"}:
            tasks = tuple(
                dataclasses.replace(t, serving=dataclasses.replace(t.serving, **fields))
                if t.name == match["task"] and t.serving
                else t
                for t in pipeline.tasks
            )
            return dataclasses.replace(pipeline, tasks=tasks)
        if match["kind"] in {"beside", "apart from", "machines that stay"}:
            tasks = tuple(
                dataclasses.replace(t, **fields) if t.name == match["task"] else t
                for t in pipeline.tasks
            )
            return dataclasses.replace(pipeline, tasks=tasks)
        if match["kind"] in {"the deadline", "keep"}:
            return dataclasses.replace(pipeline, sla=dataclasses.replace(pipeline.sla, **fields))
        limits = dataclasses.replace(pipeline.limits, **fields)
        return dataclasses.replace(pipeline, limits=limits)

    return _request(problem, pipelines=tuple(map(change, problem.request.pipelines)))


def _request(problem: PlacementProblem, **fields: Any) -> PlacementProblem:  # noqa: ANN401
    return dataclasses.replace(problem, request=dataclasses.replace(problem.request, **fields))


def faults(problem: PlacementProblem, clashes: Sequence[Clash]) -> Iterator[str]:
    """Yields what is wrong with the clash that a request was refused with."""
    named = [plain(clash.wish) for clash in clashes]
    others = [wish for wish in every(problem) if wish not in named]
    if not named or not set(named) <= set(every(problem)):
        yield f"names {named}, of {every(problem)}"
        return
    if cheapest(without(problem, others)) is not None:
        yield f"{named} hold together"
    for wish in named:
        if cheapest(without(problem, [*others, wish])) is None:
            yield f"{named} still clash without {wish}"
    alone = _alone(problem, named)
    others = [wish for wish in every(alone) if wish not in named]
    for wish, clash in zip(named, clashes, strict=True):
        # With other clashes about, a relaxation ends this one: as if those were ended.
        held = alone if cheapest(without(alone, [wish])) is not None else without(alone, others)
        yield from (
            f"{clash.relaxation!r} of {wish}: {fault}"
            for fault in _relaxation_faults(held, wish, clash.relaxation)
        )


def _alone(problem: PlacementProblem, named: Sequence[str]) -> PlacementProblem:
    """Returns the request of one pipeline, where its wishes clash whatever the others wish."""
    owners = {m["pipeline"] for wish in named if (m := WISH.fullmatch(wish))}
    own = tuple(p for p in problem.request.pipelines if p.name in owners)
    alone = _request(problem, pipelines=own)
    return alone if len(own) == 1 and cheapest(alone) is None else problem


def _relaxation_faults(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    """Yields whether a relaxation is not enough, and whether less would do."""
    readers: dict[str, Callable[[PlacementProblem, str, str], Iterator[str]]] = {
        "budget": _budget,
        "the deadline": _deadline,
        "keep": _keep,
        "regions": _widened,
        "providers": _widened,
        "availability": _availability,
        "p99": _latency,
        "beside": _affinity,
        "apart from": _affinity,
        "machines that stay": _staying,
        CAPACITY: _capacity,
    }
    yield from readers[wish if wish == CAPACITY else wish.partition(" of ")[0]](problem, wish, text)


def _judged(enough: PlacementProblem, less: PlacementProblem) -> Iterator[str]:
    if cheapest(enough) is None:
        yield "is not enough"
    if cheapest(less) is not None:
        yield "is more than is needed"


def _budget(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    digits = re.search(r"budget ([\d.]+) USD", text)
    assert digits is not None
    value = round(float(digits[1]) * 1e6)
    step = 10_000 if value % 10_000 == 0 else 1
    if "month" in text:
        step = max(step, 720)
    yield from _judged(
        with_value(problem, wish, budget_micro_dollars=MicroDollars(value)),
        with_value(problem, wish, budget_micro_dollars=MicroDollars(value - step)),
    )


def _deadline(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    parts = re.findall(r"([\d,]+) (d|h|min|s)\b", text)
    later = sum(int(number.replace(",", "")) * UNITS[unit] for number, unit in parts)
    # Durations are told in two units, rounded up: to seconds, from an hour on to minutes, and
    # from two days on to hours.
    step = 3_600 if later >= 2 * UNITS["d"] else 60 if later >= 3_600 else 1
    name = wish.partition(" of ")[2]
    pipeline = next(p for p in problem.request.pipelines if p.name == name)
    asked = pipeline.sla.deadline
    assert asked is not None
    assert asked.within_seconds is not None
    whole = asked.within_seconds + later
    yield from _judged(
        with_value(problem, wish, deadline=Deadline(within_seconds=whole + 0.001)),
        with_value(problem, wish, deadline=Deadline(within_seconds=whole - step - 0.001)),
    )


def _keep(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    value = float(text.split()[1])
    yield from _judged(
        with_value(problem, wish, keep=value), with_value(problem, wish, keep=value + KEEP_STEP)
    )


def _widened(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    kind = wish.partition(" of ")[0]
    clusters = problem.request.fleet.clusters
    names = {c.region if kind == "regions" else c.provider.value for c in clusters}
    allowed = next(
        getattr(p.limits, kind)
        for p in problem.request.pipelines
        if p.name == wish.partition(" of ")[2]
    )
    costs = {
        name: cheapest(with_value(problem, wish, **{kind: (*allowed, name)}))
        for name in names - set(allowed)
    }
    possible = {name: cost for name, cost in costs.items() if cost is not None}
    if text.startswith("any "):
        if possible:
            yield f"{possible} would do"
        return
    name = text.split(" ", 2)[2]
    if name not in possible:
        yield "is not enough"
    elif possible[name] > min(possible.values()):
        yield f"costs more than {possible}"


def _availability(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    if text == "no availability":
        return
    value = round(float(text.split()[1]) / 100, 6)
    yield from _judged(
        with_value(problem, wish, availability=value),
        with_value(problem, wish, availability=value + 2e-6),
    )


def _latency(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    if text == "no p99":
        return
    value = float(text.split()[1])
    yield from _judged(
        with_value(problem, wish, latency_ms_p99=value),
        with_value(problem, wish, latency_ms_p99=value - 0.1 - 1e-6),
    )


def _affinity(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    """Looks at every loosening of all affinities of a wish to one length."""
    key = wish.partition(" of ")[0]
    field = "beside" if key == "beside" else "apart_from"
    ladder = ("cluster", "region") if key == "beside" else ("region", "cluster", "node")
    match = WISH.fullmatch(wish)
    assert match is not None
    pipeline = next(p for p in problem.request.pipelines if p.name == match["pipeline"])
    asked: tuple[Affinity, ...] = getattr(pipeline.task(match["task"]), field)
    for word in ladder[ladder.index(asked[0].within.value) + 1 :]:
        if word == "node":
            return  # machines are not known here
        looser = tuple(dataclasses.replace(a, within=Within(word)) for a in asked)
        would_do = cheapest(with_value(problem, wish, **{field: looser})) is not None
        if text.endswith(f" {word}"):
            if not would_do:
                yield "is not enough"
            return
        if would_do:
            yield f"is more than is needed: {word} would do"
    if not text.startswith("not "):
        yield "is no loosening"


def _staying(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    if text != "machines that may be taken away":
        yield "is no relaxation"
    if cheapest(with_value(problem, wish, interruptible=True)) is None:
        yield "is not enough"


def _capacity(problem: PlacementProblem, wish: str, text: str) -> Iterator[str]:
    del wish
    match = re.fullmatch(r"(\d+) more nodes? in (\S+)", text)
    pools = {
        f"{c.name}/{p.name}": int(p.price_micro_dollars_per_hour)
        for c in problem.request.fleet.clusters
        for p in c.pools
    }
    if match is None:
        if any(cheapest(_grown(problem, name, MOST_NODES)) is not None for name in pools):
            yield "more nodes of one pool would do"
        return
    count, place = int(match[1]), match[2]
    yield from _judged(_grown(problem, place, count), _grown(problem, place, count - 1))
    for name, price in pools.items():
        fewer = -(-count * pools[place] // price) - 1 if price else MOST_NODES
        if name != place and fewer > 0:
            least = min(fewer, MOST_NODES)
            if cheapest(_grown(problem, name, least)) is not None:
                yield f"{least} more nodes in {name} would be cheaper"


def _grown(problem: PlacementProblem, place: str, count: int) -> PlacementProblem:
    clusters = tuple(
        dataclasses.replace(
            c,
            pools=tuple(
                dataclasses.replace(p, node_count=p.node_count + count)
                if f"{c.name}/{p.name}" == place
                else p
                for p in c.pools
            ),
        )
        for c in problem.request.fleet.clusters
    )
    fleet = dataclasses.replace(problem.request.fleet, clusters=clusters)
    return _request(problem, fleet=fleet)


def homeless_faults(problem: PlacementProblem, named: Sequence[str]) -> Iterator[str]:
    """Yields what is wrong with the tasks that are said to fit no machine, whatever is given up."""
    ample = without(problem, every(problem))
    world = World(ample, frame_of(ample), {})
    homeless = [
        key
        for key in world.tasks
        if all(world.way(key, pool).violated for pool in range(len(world.pools)))
    ]
    if homeless != list(named):
        yield f"{homeless} fit nowhere, {list(named)} are named"
