"""A live service degrades: retrained, gated, swapped, well again, and no failed request.

Real heart records (`training/heart*.csv`) are replayed against a model that the pipeline of the
demo trained, twenty a window, and the truth comes a window later. A window is a second to the
service and a minute to the engine. After an hour and a quarter of good answers two drifts come.
First what the label means turns round over some windows, as when a clinic reverses its coding:
inputs look as before, answers are wrong, and a retraining on recent records cures it. Then labels
become a coin's: nothing can be learned, the gate refuses what was trained, the old model serves on,
and guards keep the engine from trying for ever.

By default the clock is virtual (`_virtual`): server, windows, watch loop, guards, tasks, gates and
swaps are the product's, and a machine with other work gives the same figures. `--processes` runs
the whole engine as a process at sixty times the clock, with tasks and server as processes of their
own; it needs a machine to itself.

The calm before each drift is part of the protocol. A model whose answers go wrong within minutes of
its deployment is, to the product, a deployment that broke something and not a drift, and what is
normal has to be seen for some windows before anything is abnormal.
"""

import argparse
import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Mapping

from api.cli.story.stage import Stage
from benchmarks import frame
from benchmarks.models import _live, _virtual
from engine.model import alarms, dispatches

RAMP_SECONDS = 8.0
CALM_SECONDS = 75.0
AGAIN_CALM_SECONDS = 60.0
SETTLED_SECONDS = 8.0
CURE_SECONDS = 180.0
WATCHED_SECONDS = 90.0
QUICK_WATCHED_SECONDS = 45.0
TIMES_PER_DAY = 2
TRIALS = 8
QUICK_TRIALS = 3


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options of this benchmark."""
    group.add_argument("--processes", action="store_true", help="real processes in real time")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures; takes under a minute, six with processes."""
    heart = context.file("training/heart*.csv")
    watched = QUICK_WATCHED_SECONDS if context.quick else WATCHED_SECONDS
    if not context.options.get("processes"):
        trials = QUICK_TRIALS if context.quick else TRIALS
        world = _virtual.opened(context.scratch / "virtual", heart, trials=trials)
        yield from asyncio.run(virtual(world, int(watched)))
        return
    with _live.stage(context.scratch / "live", heart) as made:
        yield from cured(made)
        _live.playing(made).reset()
        made.pause(AGAIN_CALM_SECONDS)
        yield from guarded(made, watched)


async def virtual(world: _virtual.World, watched: int) -> list[frame.Figure]:
    """Returns the figures of both drifts with a virtual clock."""
    await world.begin()
    await world.play(int(CALM_SECONDS))
    before, serving = world.reset(), world.serving
    await _drift(world, turned, _live.unchanged)
    took = await world.play(int(CURE_SECONDS), until=lambda: world.serving != serving)
    during = world.reset()
    await world.play(int(SETTLED_SECONDS))
    after = world.reset()
    learned = world.retrains()
    found = [
        frame.at_least(
            "learnable: model swapped",
            float(world.serving != serving),
            1,
            anchor=f"{took + RAMP_SECONDS:.0f} min of the engine's clock after the drift began",
        ),
        frame.at_least("learnable: retrainings that passed their gates", len(world.swaps), 1),
        *_heard((before, during, after)),
    ]
    await world.play(int(AGAIN_CALM_SECONDS))
    world.reset()
    serving, known = world.serving, {one.action_id for one in learned}
    await _drift(world, coin, turned)
    await world.play(int(CURE_SECONDS), until=lambda: len(world.retrains()) > len(known))
    await world.play(watched + 2 * _virtual.TRAINING_WINDOWS)
    every = world.retrains()
    print(_virtual.told(world))
    print("\n".join(world.gates))
    return [
        *found,
        *_held(every, known),
        frame.at_most(
            "coin: models swapped in",
            float(world.serving != serving),
            0,
            anchor="the gate refuses what learned nothing",
        ),
        frame.at_most(
            "coin: failed requests", world.tally.failed, 0, anchor=f"of {world.tally.sent}"
        ),
    ]


async def _drift(world: _virtual.World, truth: _live.Truth, before: _live.Truth) -> None:
    """Lets the truth change: upstream at once, for callers in four steps over some windows."""
    world.change_upstream(truth)
    parts = 4
    for part in range(1, parts + 1):
        world.truth = _live.partly_of(truth, part / parts, before)
        await world.play(int(RAMP_SECONDS / parts))


def _heard(heard: tuple[_virtual.Tally, _virtual.Tally, _virtual.Tally]) -> list[frame.Figure]:
    """Returns what callers heard before the first drift, until the swap, and after it."""
    before, during, after = heard
    sent, failed = sum(one.sent for one in heard), sum(one.failed for one in heard)
    return [
        frame.at_most(
            "learnable: failed requests", failed, 0, anchor=f"of {sent}; {during.last_failure}"
        ),
        frame.informs("learnable: quality before", before.quality),
        frame.informs("learnable: quality until the swap", during.quality),
        frame.at_least(
            "learnable: quality afterwards over before", after.quality / before.quality, 0.9
        ),
    ]


def _held(every: list[alarms.Action], known: set[str]) -> list[frame.Figure]:
    """Returns whether guards held, over both drifts; `known` are the retrainings of the first."""
    asked = [one for one in every if one.action_id not in known]
    let = [one for one in every if all(guard.allows for guard in one.guards)]
    held = [one for one in asked if not all(guard.allows for guard in one.guards)]
    refused = sorted({g.name for one in held for g in one.guards if not g.allows})
    found = [
        frame.at_least("coin: retrainings wanted", len(asked), 1),
        frame.at_most("both drifts: retrainings let through on one day", len(let), TIMES_PER_DAY),
        frame.informs("coin: retrainings held back", len(held), anchor=", ".join(refused)),
    ]
    if gaps := waits(let):
        policy = "10 min by the engine's clock, which runs 60 times as fast"
        least = min(gaps)
        found.append(
            frame.at_least("least pause between retrainings", least, 10.0, unit="s", anchor=policy)
        )
    return found


def turned(record: Mapping[str, str], label: int) -> int:
    """Returns the label in a coding that was reversed."""
    del record
    return 1 - label


def coin(record: Mapping[str, str], label: int) -> int:
    """Returns a label that has nothing to do with the record, the same for the same record."""
    del label
    return random.Random(repr(sorted(record.items()))).randrange(2)


def cured(made: Stage) -> Iterator[frame.Figure]:
    """Yields what became of a drift that can be learned."""
    callers = _live.playing(made)
    callers.reset()
    made.pause(CALM_SECONDS)
    before = callers.reset()
    serving = serving_of(made)
    began = time.monotonic()
    _live.drift(made, turned, ramp_seconds=RAMP_SECONDS)
    _live.waited(made, CURE_SECONDS, lambda: serving_of(made) != serving)
    took = time.monotonic() - began
    during = callers.reset()
    made.pause(SETTLED_SECONDS)
    after = callers.reset()
    done = [one for one in retrains(made) if one.state is alarms.ActionState.DONE and one.run_id]
    runs = [made.engine.run(str(one.run_id)) for one in done]
    gated = [run for run in runs if run.state is dispatches.RunState.SUCCEEDED]
    swapped = serving_of(made) != serving
    said = f"{took:.0f} s after the drift began"
    yield frame.at_least("learnable: model swapped", float(swapped), 1, anchor=said)
    yield frame.at_least("learnable: retrainings that passed their gates", len(gated), 1)
    sent = before.sent + during.sent + after.sent
    failed = before.failed + during.failed + after.failed
    yield frame.at_most(
        "learnable: failed requests",
        failed,
        0,
        anchor=f"of {sent}; {during.last_failure or 'none'}",
    )
    yield frame.informs("learnable: quality before", before.quality)
    yield frame.informs("learnable: quality until the swap", during.quality)
    yield frame.at_least(
        "learnable: quality afterwards over before", after.quality / before.quality, 0.9
    )


def guarded(made: Stage, watched_seconds: float) -> Iterator[frame.Figure]:
    """Yields what became of a drift that nothing learns, and whether guards held."""
    callers = _live.playing(made)
    callers.reset()
    serving = serving_of(made)
    known = {one.action_id for one in retrains(made)}
    _live.drift(made, coin, ramp_seconds=RAMP_SECONDS, before=turned)
    _live.waited(
        made, CURE_SECONDS, lambda: any(one.action_id not in known for one in retrains(made))
    )
    made.pause(watched_seconds)
    tally = callers.reset()
    print(_live.told(made))
    yield from _held(retrains(made), known)
    yield frame.at_most(
        "coin: models swapped in",
        float(serving_of(made) != serving),
        0,
        anchor="the gate refuses what learned nothing",
    )
    yield frame.at_most("coin: failed requests", tally.failed, 0, anchor=f"of {tally.sent}")


def waits(let: list[alarms.Action]) -> list[float]:
    """Returns the seconds from each retraining's end to the next one's wish."""
    order = sorted(let, key=lambda one: one.wanted_at)
    return [
        later.wanted_at - earlier.ended_at
        for earlier, later in itertools.pairwise(order)
        if earlier.ended_at is not None
    ]


def serving_of(made: Stage) -> str:
    """Returns the digest that serves."""
    found = made.insist("the deployments", made.engine.deployments)
    return next((str(one.serving) for one in found if one.serving), "")


def retrains(made: Stage) -> list[alarms.Action]:
    """Returns the retrainings that were wanted so far."""
    found = made.insist("the actions", made.engine.actions)
    return [one for one in found if one.kind is alarms.ActionKind.RETRAIN]
