"""How one package follows another: in place, by a canary, or blue and green. Pure.

A server has two colours, each a Deployment; one of them is live. What should be there follows from
the state alone (`desired`), and the state moves when the cluster shows that it is there (`moved`),
so that both may be asked again at any time and after any crash. The pod of the old package leaves
only when one of the new package answers, and a package that does not come up takes nothing away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

BLUE, GREEN = "blue", "green"


class Strategy(StrEnum):
    """How a new package takes over."""

    ROLLING = "rolling"
    """Pod by pod, in the same Deployment."""
    CANARY = "canary"
    """A share of the pods first, then all, when nothing ails them for a while."""
    BLUE_GREEN = "blue-green"
    """All pods beside the old ones, then every request at once; the old stay for a while."""


class Phase(StrEnum):
    """What a rollout is doing."""

    STEADY = "steady"
    ROLLING = "rolling"
    CANARY = "canary"
    GROWING = "growing"
    KEEPING = "keeping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a server is rolled out and scaled.

    canary_share: of the pods; canary_seconds: how long they are looked at.
    keep_seconds: how long blue and green both stay after the switch.
    replicas_least, replicas_most: bounds of the autoscaler; the same for a fixed number.
    """

    strategy: Strategy = Strategy.ROLLING
    canary_share: float = 0.2
    canary_seconds: float = 30.0
    keep_seconds: float = 60.0
    replicas_least: int = 1
    replicas_most: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a server stands. Packages are digests of artefacts, "" for none.

    colour, package: what is live. target: what is to follow. former: what it can go back to.
    infers: whether its pods come by an InferenceService, which knows of no second colour.
    failed: the last package that did not come up. since: when the phase began, or the canary was
    first well.
    """

    phase: Phase = Phase.STEADY
    colour: str = BLUE
    package: str = ""
    target: str = ""
    former: str = ""
    failed: str = ""
    since: float = 0.0
    infers: bool = False
    rules: Rules = field(default_factory=Rules)

    @property
    def other(self) -> str:
        """The colour that is not live."""
        return GREEN if self.colour == BLUE else BLUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A Deployment as the cluster shows it.

    is_complete: every pod is of this package and ready. has_failed: they do not come up.
    """

    package: str
    replicas: int
    is_complete: bool
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A Deployment that should be there."""

    package: str
    replicas_least: int
    replicas_most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Deployments that should be there by colour, and the one that gets requests; "" for all."""

    deployments: Mapping[str, Wanted]
    selected: str


def asked(state: State, package: str, rules: Rules, now: float) -> State:
    """Return the state after a package is asked for; the same when it is under way already."""
    state = replace(state, rules=rules)
    if package == (state.target or state.package):
        return state
    if package == state.package:
        # Back to what is live: whatever was begun is given up.
        return replace(state, phase=Phase.STEADY, target="", since=now)
    if state.phase is Phase.KEEPING and package == state.former:
        # The pods of before still run: only the requests turn round.
        return replace(
            state, colour=state.other, package=package, former=state.package, target="", since=now
        )
    first = {
        Strategy.ROLLING: Phase.ROLLING,
        Strategy.CANARY: Phase.CANARY,
        Strategy.BLUE_GREEN: Phase.GROWING,
    }[rules.strategy if state.package and not state.infers else Strategy.ROLLING]
    return replace(state, phase=first, target=package, since=0.0, failed="")


def desired(state: State, seen: Mapping[str, Seen]) -> Desired:
    """Return what should be there in a state; seen: how far the autoscaler has gone."""
    rules = state.rules
    least, most = rules.replicas_least, max(rules.replicas_least, rules.replicas_most)
    live = Wanted(package=state.package, replicas_least=least, replicas_most=most)
    # Only a canary shares: pods of the other colour that are on their way out get nothing more.
    shares = rules.strategy is Strategy.CANARY and state.phase in {Phase.CANARY, Phase.GROWING}
    selected = "" if shares else state.colour
    found = {state.colour: live}
    now = seen.get(state.colour)
    as_many = max(least, now.replicas if now is not None else 0)
    if state.phase is Phase.ROLLING:
        found = {state.colour: replace(live, package=state.target)}
    elif state.phase is Phase.CANARY:
        count = max(1, math.ceil(rules.canary_share * as_many))
        found[state.other] = _fixed(state.target, count)
    elif state.phase is Phase.GROWING:
        found[state.other] = _fixed(state.target, as_many)
    elif state.phase is Phase.KEEPING:
        found[state.other] = _fixed(state.former, as_many)
    return Desired(deployments=found, selected=selected)


def shares(state: State) -> dict[str, int]:
    """Return how many of a hundred requests each colour gets, where those can be shared out.

    A canary gets its share from when its pods are well, until all others are.
    """
    comes = state.phase is Phase.GROWING or (state.phase is Phase.CANARY and state.since > 0)
    if state.rules.strategy is not Strategy.CANARY or not comes:
        return {state.colour: 100}
    share = min(99, max(1, round(100 * state.rules.canary_share)))
    return {state.colour: 100 - share, state.other: share}


def _fixed(package: str, count: int) -> Wanted:
    return Wanted(package=package, replicas_least=count, replicas_most=count)


def moved(state: State, seen: Mapping[str, Seen], now: float) -> State:
    """Return the state that follows from what is seen; the same when nothing does."""
    if state.phase is Phase.STEADY:
        return state
    if state.phase is Phase.KEEPING:
        over = now - state.since >= state.rules.keep_seconds
        return replace(state, phase=Phase.STEADY, since=now) if over else state
    comes = seen.get(state.colour if state.phase is Phase.ROLLING else state.other)
    if comes is None or comes.package != state.target:
        return state
    if comes.has_failed:
        return replace(state, phase=Phase.STEADY, failed=state.target, target="", since=now)
    live = seen.get(state.colour)
    grows = state.phase is Phase.GROWING and live is not None and comes.replicas < live.replicas
    if grows or not comes.is_complete:
        return replace(state, since=0.0) if state.phase is Phase.CANARY and state.since else state
    return _complete(state, now)


def _complete(state: State, now: float) -> State:
    """Return what follows when the pods that come are all well."""
    if state.phase is Phase.CANARY:
        if not state.since:
            return replace(state, since=now)
        over = now - state.since >= state.rules.canary_seconds
        return replace(state, phase=Phase.GROWING, since=now) if over else state
    following = replace(
        state, package=state.target, former=state.package, target="", phase=Phase.STEADY, since=now
    )
    if state.phase is Phase.ROLLING:
        return following
    keeps = state.rules.strategy is Strategy.BLUE_GREEN
    return replace(following, colour=state.other, phase=Phase.KEEPING if keeps else Phase.STEADY)
