"""Which component started it: hypotheses about entities, weighed by what fired and what did not.

Each candidate (an instance, a service with its instances, a host) predicts that alarms on what it
covers fire more often than they do anyway. What fired there counts by its surprise, what stayed
quiet counts against, so a service is believed only when most of its instances are alarmed. This
is a naive Bayes model with noisy-or (Pearl 1988, section 4.3) that is never shown a label;
`background` learns its rates.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from alarms.localization.background import AlarmKey, Background

FIRES_WITH_CAUSE = 0.1
"""Probability that the cause makes an alarm fire that would not have fired anyway. Most alarms of
a component have nothing to do with what is wrong with it."""
UNEXPLAINED = 0.2
"""Belief kept for what no candidate explains, spread over all."""
EVIDENCE_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something that may be at fault, and the entities whose alarms it would raise."""

    entity: str
    covers: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One candidate, weighed.

    Attributes:
        weight: Logarithm of its odds against "none of this", in nats.
        belief: Its share; shares of all candidates sum to 1.
        evidence_for: Alarms that fired though they seldom do, the rarest first.
        evidence_against: Alarms that its cause should have raised and that did not fire.
        fired: Names of the alarms that speak for it, the rarest first.
    """

    candidate: Candidate
    weight: float
    belief: float
    evidence_for: tuple[str, ...]
    evidence_against: tuple[str, ...]
    fired: tuple[str, ...] = ()


def candidates(
    entities: Collection[str], contains: Mapping[str, Collection[str]]
) -> list[Candidate]:
    """Return one candidate an entity, which covers itself and what it directly contains."""
    return [
        Candidate(entity=entity, covers=frozenset({entity, *contains.get(entity, ())}))
        for entity in sorted(entities)
    ]


def rank(
    alarms: Collection[AlarmKey], background: Background, found: Sequence[Candidate]
) -> list[Origin]:
    """Return candidates by falling belief; of equals the one that covers least, then by name.

    Args:
        alarms: What fired in this event.
        background: Learned from other events.
        found: The candidates.
    """
    fired = frozenset(alarms)
    by_entity: dict[str, list[tuple[float, AlarmKey]]] = {}
    for key in sorted({*background.known, *fired}):
        gain = _gain(background.rate(key), fired=key in fired)
        by_entity.setdefault(key.entity, []).append((gain, key))
    weights = [
        math.fsum(gain for entity in one.covers for gain, _ in by_entity.get(entity, ()))
        for one in found
    ]
    beliefs = _beliefs(weights)
    ranked = [
        Origin(
            candidate=one,
            weight=weight,
            belief=belief,
            evidence_for=tuple(
                f"{key.name} on {key.entity}, which fires in {background.rate(key):.0%} of events"
                for key in _telling(one, by_entity)
            ),
            evidence_against=_against(one, by_entity),
            fired=tuple(key.name for key in _telling(one, by_entity)),
        )
        for one, weight, belief in zip(found, weights, beliefs, strict=True)
    ]
    return sorted(
        ranked,
        key=lambda origin: (
            -round(origin.weight, 9),
            len(origin.candidate.covers),
            origin.candidate.entity,
        ),
    )


def _gain(rate: float, *, fired: bool) -> float:
    """Return what an alarm adds to the log-odds of a candidate that covers it."""
    with_cause = rate + (1.0 - rate) * FIRES_WITH_CAUSE
    return math.log(with_cause / rate) if fired else math.log((1.0 - with_cause) / (1.0 - rate))


def _beliefs(weights: Sequence[float]) -> list[float]:
    """Return the shares of all candidates, with some belief kept for each."""
    if not weights:
        return []
    most = max(weights)
    odds = [math.exp(weight - most) for weight in weights]
    total = math.fsum(odds)
    return [(1.0 - UNEXPLAINED) * each / total + UNEXPLAINED / len(odds) for each in odds]


def _telling(
    one: Candidate, by_entity: Mapping[str, Sequence[tuple[float, AlarmKey]]]
) -> list[AlarmKey]:
    """Return the alarms that speak most for a candidate."""
    fired = [
        (-gain, key) for entity in one.covers for gain, key in by_entity.get(entity, ()) if gain > 0
    ]
    return [key for _, key in sorted(fired)[:EVIDENCE_SHOWN]]


def _against(
    one: Candidate, by_entity: Mapping[str, Sequence[tuple[float, AlarmKey]]]
) -> tuple[str, ...]:
    quiet = sorted(
        entity
        for entity in one.covers
        if entity != one.entity
        and by_entity.get(entity)
        and all(gain <= 0 for gain, _ in by_entity[entity])
    )
    texts: list[str] = []
    if quiet:
        texts.append(f"{len(quiet)} of {len(one.covers) - 1} parts are quiet: {', '.join(quiet)}")
    own = by_entity.get(one.entity, ())
    silent = sum(gain <= 0 for gain, _ in own)
    if own and silent:
        texts.append(f"{silent} of {len(own)} alarms of {one.entity} stayed quiet")
    return tuple(texts)
