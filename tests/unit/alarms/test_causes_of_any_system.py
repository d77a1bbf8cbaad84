"""Alerts of any system get ranked causes: components, attributes, calls, changes, the past."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest

from alarms import HypothesisTree, SuperAlarmGrouper
from alarms.rootcause import changes
from alarms.rootcause.facts import Facts
from engine.model.alarms import Alarm, Cause, CauseKind, Event, SuperAlarm
from engine.model.identifiers import SuperAlarmId
from engine.model.signals import Layer, Signal
from engine.testing.watch_suites import alarm, group


def foreign(subject: str, at: float, signal: str = "Slow", **labels: str) -> Alarm:
    return dataclasses.replace(
        alarm(f"{subject}|{signal}|{at}", at, **labels),
        series=f"{subject}|{signal}",
        subject=subject,
        signal=signal,
        test="alert of prometheus",
    )


def event_of(*alarms: Alarm, name: str = "SA-1") -> SuperAlarm:
    return dataclasses.replace(group(*alarms, name=name), opened_at=min(a.at for a in alarms))


def first(
    alarms: Sequence[Alarm],
    *,
    past: Sequence[SuperAlarm] = (),
    verdicts: dict[SuperAlarmId, bool] | None = None,
    events: Sequence[Event] = (),
) -> Cause:
    tree = HypothesisTree()
    tree.learn(past, verdicts or {})
    return tree.causes(event_of(*alarms), [], events)[0]


def chatter(number: int) -> SuperAlarm:
    """Return a past event in which the shop chattered, as it always does."""
    alarms = [foreign(f"service:shop-{n}", 10.0 * number + n, "Chatty") for n in range(3)]
    return event_of(*alarms, name=f"SA-past-{number}")


def test_the_component_that_seldom_alarms_is_suspected() -> None:
    past = [chatter(number) for number in range(20)]
    alarms = [
        *chatter(30).alarms,
        foreign("node:n7", 300.0, "NodeDiskSlow", node="n7"),
        foreign("node:n7", 301.0, "NodeIoErrors", node="n7"),
    ]
    cause = first(alarms, past=past)
    assert (cause.kind, cause.subject) == (CauseKind.INFRASTRUCTURE, "node:n7")
    assert any("NodeDiskSlow on node:n7" in text for text in cause.evidence_for)
    assert cause.settle


def test_beliefs_sum_to_one() -> None:
    alarms = [foreign(f"service:{name}", 1.0, cluster="eu") for name in "abc"]
    found = HypothesisTree().causes(event_of(*alarms), [], [])
    assert math.fsum(cause.belief for cause in found) == pytest.approx(1.0)


def test_the_first_alarm_speaks_for_its_component() -> None:
    cause = first([foreign("service:db", 1.0), foreign("service:cart", 61.0)])
    assert cause.subject == "service:db"
    assert "its alarm came first, 60 s before any other" in cause.evidence_for


def test_what_led_to_what_before_counts() -> None:
    def chain(start: float, name: str) -> SuperAlarm:
        return event_of(
            foreign("service:db", start, "Locks"),
            foreign("service:cart", start + 20.0, "Slow"),
            name=name,
        )

    past = [chain(50_000.0 * number, f"SA-{number}") for number in range(12)]
    found = first(chain(900_000.0, "SA-now").alarms, past=past)
    assert found.subject == "service:db"
    assert any(
        text.startswith("in the past Locks on service:db led") for text in found.evidence_for
    )


def test_an_attribute_that_all_share_is_named() -> None:
    regions = ("eu", "us", "asia", "africa", "south")
    past = [
        event_of(foreign(f"service:{region}-{n}", float(n), region=region), name=f"SA-{region}{n}")
        for region in regions
        for n in range(8)
    ]
    alarms = [foreign(f"service:eu-{n}", 1_000.0, region="eu") for n in range(8)]
    tree = HypothesisTree()
    tree.learn(past, {})
    found = [c for c in tree.causes(event_of(*alarms), [], []) if c.subject == "region eu"]
    assert [cause.kind for cause in found] == [CauseKind.INFRASTRUCTURE]
    assert "8 of 8 alarmed subjects have region eu" in found[0].evidence_for[0]


def test_the_service_that_adds_the_time_is_named() -> None:
    def value(service: str, name: str, at: float, number: float) -> Signal:
        labels = {"client": "front", "server": "db"} if service == "front" else {}
        return Signal(
            name=name,
            layer=Layer.SERVING,
            subject=f"service:{service}",
            at=at,
            value=number,
            labels=labels,
        )

    signals: list[Signal] = []
    for step in range(80):
        slow = 0.5 if step >= 60 else 0.0
        wobble = 0.001 * (step % 7)
        for service, usual in (("front", 0.2), ("db", 0.1)):
            signals.append(value(service, "requests", float(step), 100.0))
            level = usual + wobble + slow
            signals.append(value(service, "latency_seconds", float(step), level))
    slow_front = dataclasses.replace(
        alarm("a", 60.0), subject="service:front", signal="latency_seconds"
    )
    found = HypothesisTree().causes(group(slow_front), signals, [])
    assert found[0].title == "service:db is slow by itself"
    assert "called along service:front > service:db" in found[0].evidence_for


def deployed(at: float, kind: str = "deployment", **labels: str) -> Event:
    return Event(
        event_id=f"e{at}", at=at, kind=kind, subject="service:cart", message="v2", labels=labels
    )


def test_a_deployment_of_what_alarms_is_suspected() -> None:
    alarms = [foreign("pod:shop/cart-1", 100.0, "Odd", service="cart")]
    cause = first(alarms, events=[deployed(70.0, service="cart")])
    assert (cause.kind, cause.subject) == (CauseKind.CODE, "service:cart")
    assert "send a part of the requests" in cause.settle


def test_a_change_of_configuration_says_how_to_settle_it() -> None:
    alarms = [foreign("pod:shop/cart-1", 100.0, "Odd", service="cart")]
    cause = first(alarms, events=[deployed(70.0, kind="configuration", service="cart")])
    assert cause.kind is CauseKind.CONFIGURATION
    assert cause.settle.startswith("set service:cart back")


def test_a_change_elsewhere_is_not_suspected() -> None:
    alarms = [foreign("pod:shop/cart-1", 100.0, "Odd", service="cart")]
    elsewhere = dataclasses.replace(deployed(70.0, service="pay"), subject="service:pay")
    assert first(alarms, events=[elsewhere]).kind is not CauseKind.CODE


def test_a_closer_change_weighs_more() -> None:
    facts = Facts(event_of(foreign("service:cart", 5_000.0)), [], [])
    weights = [changes.weight_of(facts, deployed(at), 86_400.0) for at in (4_990.0, 4_000.0, 100.0)]
    assert weights == sorted(weights, reverse=True)


def test_what_a_person_confirmed_is_believed_again() -> None:
    alarms = [foreign("service:cart", 100.0, "Odd"), foreign("service:pay", 100.0, "Odd")]
    before = first(alarms)
    wrong = Cause(
        kind=CauseKind.CONFIGURATION,
        subject="flag:new-cart",
        title="the flag new-cart",
        belief=0.7,
        settle="turn the flag off",
    )
    past = dataclasses.replace(event_of(*alarms, name="SA-old"), causes=(wrong,))
    assert first(alarms, past=[past]).title == before.title
    again = first(alarms, past=[past], verdicts={past.super_alarm_id: True})
    assert (again.title, again.settle) == ("as in SA-old: the flag new-cart", "turn the flag off")


def test_what_a_person_denied_is_believed_less() -> None:
    alarms = [foreign("service:db", 1.0), foreign("service:cart", 61.0)]
    before = first(alarms)
    past = dataclasses.replace(event_of(*alarms, name="SA-old"), causes=(before,))
    tree = HypothesisTree()
    tree.learn([past], {})
    tree.learn([past], {past.super_alarm_id: False})
    after = next(
        cause for cause in tree.causes(event_of(*alarms), [], []) if cause.subject == before.subject
    )
    assert after.belief < before.belief
    assert any("not its cause, said a person" in text for text in after.evidence_against)


def test_our_own_alarms_have_no_foreign_causes() -> None:
    titles = [cause.title for cause in HypothesisTree().causes(group(), [], [])]
    assert not any(title.startswith("trouble on model") for title in titles)


def test_a_storm_of_any_system_is_grouped_and_explained() -> None:
    alarms = [
        foreign(f"pod:shop/{name}-1", 10.0 + n, "PodSlow", cluster="eu", service=name, node="n7")
        for n, name in enumerate(("cart", "pay", "ads"))
    ]
    node = dataclasses.replace(
        foreign("node:n7", 8.0, "NodeDiskSlow", cluster="eu", node="n7"), layer=Layer.MACHINE
    )
    (made,) = SuperAlarmGrouper().group([], [*alarms, node], 20.0)
    found = HypothesisTree().causes(made, [], [])
    assert found[0].subject == "node:n7"
