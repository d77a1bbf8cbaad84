"""A live service degrades: retrained, gated, swapped, well again, and no failed request.

The product's engine runs as a process with the local executor and its real serve task, over real
heart records (`training/heart*.csv`); callers send twenty requests a second throughout and the
truth half a second later. The engine's clock runs sixty times as fast, so a minute here is an hour
to it. After an hour and a quarter of good answers two drifts are replayed. First what the label
means turns round over some seconds, as when a clinic reverses its coding: inputs look as before,
answers are wrong, and a retraining on recent records cures it. Then labels become a coin's: nothing
can be learned, the gate refuses what was trained, the old model serves on, and guards keep the
engine from trying for ever.

The calm before each drift is part of the protocol. A model whose answers go wrong within minutes of
its deployment is, to the product, a deployment that broke something and not a drift, and what is
normal has to be seen for some windows before anything is abnormal.
"""

import itertools
import random
import time
from collections.abc import Iterator, Mapping

from api.cli.story.stage import Stage
from benchmarks import frame
from benchmarks.models import _live
from engine.model import alarms, dispatches

RAMP_SECONDS = 8.0
CALM_SECONDS = 75.0
AGAIN_CALM_SECONDS = 60.0
SETTLED_SECONDS = 8.0
CURE_SECONDS = 180.0
WATCHED_SECONDS = 90.0
QUICK_WATCHED_SECONDS = 45.0
TIMES_PER_DAY = 2


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures; takes some six minutes."""
    heart = context.file("training/heart*.csv")
    watched = QUICK_WATCHED_SECONDS if context.quick else WATCHED_SECONDS
    with _live.stage(context.scratch / "live", heart) as made:
        yield from cured(made)
        _live.playing(made).reset()
        made.pause(AGAIN_CALM_SECONDS)
        yield from guarded(made, watched)


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
    every = retrains(made)
    asked = [one for one in every if one.action_id not in known]
    let = [one for one in every if all(guard.allows for guard in one.guards)]
    held = [one for one in asked if not all(guard.allows for guard in one.guards)]
    refused = sorted({g.name for one in held for g in one.guards if not g.allows})
    yield frame.at_least("coin: retrainings wanted", len(asked), 1)
    yield frame.at_most("both drifts: retrainings let through on one day", len(let), TIMES_PER_DAY)
    yield frame.informs("coin: retrainings held back", len(held), anchor=", ".join(refused))
    yield frame.at_most(
        "coin: models swapped in",
        float(serving_of(made) != serving),
        0,
        anchor="the gate refuses what learned nothing",
    )
    gaps = waits(let)
    policy = "10 min by the engine's clock, which runs 60 times as fast"
    if gaps:
        yield frame.at_least(
            "coin: least pause between them", min(gaps), 10.0, unit="s", anchor=policy
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
