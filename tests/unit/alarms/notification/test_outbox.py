"""One message a super-alarm, edited in place, sent until it was; a target holds nobody up."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from alarms.notification.channels import Channel, ChannelKind, Quiet
from alarms.notification.outbox import (
    LONGEST_WAIT_SECONDS,
    TRIES_MOST,
    Courier,
    OutboxNotifier,
    owners_of,
)
from alarms.notification.wording import event_of, key_of
from engine.model.alarms import Cause, CauseKind, Severity, SuperAlarm, SuperAlarmState
from engine.model.errors import BerthError, RefusedError, UnreachableError
from engine.model.identifiers import SuperAlarmId
from engine.model.messages import Message, MessageState
from engine.model.records import MESSAGES, PIPELINES, Put
from engine.store import SqlLedger, begin_term, open_ledger
from engine.testing.clocks import ManualClock
from engine.testing.watch_suites import alarm, group
from engine.watching import WatchPolicy
from engine.watching.desk import Desk
from engine.watching.returning import over
from tests.support.watch_world import pipeline

OPS = Channel(name="ops", kind=ChannelKind.WEBHOOK, url="http://ops")
WARNING = dataclasses.replace(group(), severity=Severity.WARNING)


@dataclass
class ListTarget:
    """Keeps what it is sent; raises `error` while one is set; does `meanwhile` as it sends."""

    told: list[tuple[str, str]] = field(default_factory=list)
    error: BerthError | None = None
    meanwhile: SuperAlarm | None = None
    notifier: OutboxNotifier | None = None

    def send(self, message: Message) -> str:
        if self.meanwhile is not None and self.notifier is not None:
            group_, self.meanwhile = self.meanwhile, None
            self.notifier.notify(group_)
        if self.error is not None:
            raise self.error
        self.told.append((event_of(message), key_of(message)))
        return "ref"


@dataclass
class Post:
    """An outbox with its courier."""

    ledger: SqlLedger
    clock: ManualClock
    target: ListTarget
    notifier: OutboxNotifier
    courier: Courier

    def message(self) -> Message:
        (stored,) = self.ledger.select(MESSAGES)
        return stored.value

    def tell(self, told: SuperAlarm) -> list[str]:
        """Tell of a group and deliver; return what was sent."""
        before = len(self.target.told)
        self.notifier.notify(told)
        self.courier.step()
        return [event for event, _ in self.target.told[before:]]


@pytest.fixture
def post() -> Iterator[Post]:
    with open_ledger("sqlite://") as ledger:
        clock, target = ManualClock(1_000.0), ListTarget()
        desk = Desk(ledger, clock, WatchPolicy(), begin_term(ledger, clock, "test"))
        notifier = OutboxNotifier(ledger, clock, [OPS])
        target.notifier = notifier
        yield Post(ledger, clock, target, notifier, Courier(desk, OPS, target))


def grown(told: SuperAlarm, **changes: object) -> SuperAlarm:
    return dataclasses.replace(told, **changes)


def caused(kind: CauseKind) -> tuple[Cause, ...]:
    return (Cause(kind=kind, subject="cluster:c", title="it", belief=0.9),)


def test_growth_is_an_edit_and_worse_is_a_call(post: Post) -> None:
    assert post.tell(WARNING) == ["trigger"]
    assert post.tell(WARNING) == []
    assert post.tell(grown(WARNING, alarms=(alarm("b", 2.0),))) == ["edit"]
    assert post.tell(grown(WARNING, severity=Severity.CRITICAL)) == ["again"]
    assert len({key for _, key in post.target.told}) == 1


def test_a_first_cause_is_an_edit_and_another_one_is_a_call(post: Post) -> None:
    post.tell(WARNING)
    assert post.tell(grown(WARNING, causes=caused(CauseKind.DATA))) == ["edit"]
    assert post.tell(grown(WARNING, causes=caused(CauseKind.MODEL))) == ["again"]


def test_who_took_it_is_left_alone_until_the_time_is_over(post: Post) -> None:
    post.tell(WARNING)
    taken = grown(WARNING, state=SuperAlarmState.ACKNOWLEDGED)
    assert post.tell(taken) == ["acknowledge"]
    worse = grown(taken, severity=Severity.CRITICAL)
    assert post.tell(worse) == ["acknowledge"]
    assert post.tell(grown(worse, state=SuperAlarmState.OPEN)) == ["again"]
    assert post.tell(grown(worse, state=SuperAlarmState.RESOLVED)) == ["resolve"]


class TestFlapping:
    """What comes and goes is told twice, not every time: when it came, and when it stays away."""

    AWAY_SECONDS = 1_800.0
    QUIET = Quiet(begins=0, ends=60, zone="UTC")

    @pytest.fixture
    def flapping(self, post: Post) -> Post:
        notifier = OutboxNotifier(post.ledger, post.clock, [OPS], away_seconds=self.AWAY_SECONDS)
        return dataclasses.replace(post, notifier=notifier)

    def come(self, post: Post, times: int, **changes: object) -> list[str]:
        return post.tell(grown(WARNING, times=times, **changes))

    def go(self, post: Post, times: int) -> list[str]:
        now = post.clock.now()
        return post.tell(over(grown(WARNING, times=times), now))

    def test_the_first_end_is_told_at_once_and_later_ones_when_it_stays_away(
        self, flapping: Post
    ) -> None:
        assert self.come(flapping, 1) == ["trigger"]
        assert self.go(flapping, 1) == ["resolve"]
        assert self.come(flapping, 2) == ["reopen"]
        for times in (2, 3, 4):
            flapping.clock.advance(60.0)
            assert self.go(flapping, times) == []
            flapping.clock.advance(self.AWAY_SECONDS - 60.0)
            assert self.come(flapping, times + 1) == ["edit"]
        assert self.go(flapping, 5) == []
        flapping.clock.advance(self.AWAY_SECONDS - 1.0)
        assert not flapping.courier.step()
        flapping.clock.advance(1.0)
        flapping.courier.step()
        assert [event for event, _ in flapping.target.told][-2:] == ["edit", "resolve"]
        assert len({key for _, key in flapping.target.told}) == 1

    def test_what_a_person_closes_is_told_at_once(self, flapping: Post) -> None:
        self.come(flapping, 2)
        closed = grown(WARNING, times=2, state=SuperAlarmState.RESOLVED)
        assert flapping.tell(closed) == ["resolve"]

    def test_people_are_called_when_it_comes_again_worse(self, flapping: Post) -> None:
        self.come(flapping, 1)
        self.go(flapping, 1)
        assert self.come(flapping, 2, severity=Severity.CRITICAL) == ["again"]
        assert self.come(flapping, 2, severity=Severity.CRITICAL, owner="ann") == ["edit"]

    def test_quiet_hours_hold_it_back_until_it_can_be_told(self, flapping: Post) -> None:
        self.come(flapping, 1)
        self.go(flapping, 1)
        quiet = dataclasses.replace(OPS, quiet=self.QUIET)
        flapping.notifier = OutboxNotifier(flapping.ledger, flapping.clock, [quiet])
        assert self.come(flapping, 2) == []
        assert self.come(flapping, 2, owner="ann") == []
        flapping.clock.advance(3_600.0)
        flapping.courier.step()
        assert [event for event, _ in flapping.target.told][-1] == "reopen"

    def test_what_is_told_meanwhile_is_remembered(self, flapping: Post) -> None:
        """It comes again while its end is being told."""
        self.come(flapping, 1)
        flapping.target.meanwhile = grown(WARNING, times=2)
        assert self.go(flapping, 1) == ["resolve"]
        assert flapping.message().is_end_told
        flapping.courier.step()
        assert [event for event, _ in flapping.target.told] == ["trigger", "resolve", "reopen"]


def test_what_was_over_before_it_was_told_is_not_told(post: Post) -> None:
    assert post.tell(grown(WARNING, state=SuperAlarmState.RESOLVED)) == []
    assert list(post.ledger.select(MESSAGES)) == []


def test_a_target_that_is_down_is_tried_later_and_longer(post: Post) -> None:
    post.target.error = UnreachableError("down")
    post.notifier.notify(WARNING)
    waits = []
    for _ in range(TRIES_MOST):
        assert post.courier.step()
        waits.append(post.message().due_at - post.clock.now())
        post.clock.advance(max(waits[-1], 0.0))
    assert waits[:3] == [5.0, 10.0, 20.0]
    assert max(waits) <= LONGEST_WAIT_SECONDS
    assert post.message().state is MessageState.FAILED
    assert not post.courier.step()
    post.target.error = None
    assert post.tell(grown(WARNING, severity=Severity.CRITICAL)) == ["trigger"]


def test_a_target_that_refuses_is_not_asked_again(post: Post) -> None:
    post.target.error = RefusedError("no such channel")
    post.tell(WARNING)
    assert post.message().state is MessageState.FAILED
    assert not post.courier.step()


def test_what_changes_while_it_is_sent_is_sent_again_as_an_edit(post: Post) -> None:
    post.target.meanwhile = grown(WARNING, alarms=(alarm("b", 2.0),))
    post.tell(WARNING)
    assert (post.message().state, post.message().reference) == (MessageState.WAITING, "ref")
    post.courier.step()
    assert [event for event, _ in post.target.told] == ["trigger", "edit"]


def test_quiet_hours_hold_a_call_back_and_growth_does_not_set_it_free(post: Post) -> None:
    quiet = dataclasses.replace(OPS, quiet=Quiet(begins=0, ends=60, zone="UTC"))
    post.notifier = OutboxNotifier(post.ledger, post.clock, [quiet])
    assert post.tell(WARNING) == []
    assert post.tell(grown(WARNING, alarms=(alarm("b", 2.0),))) == []
    post.clock.advance(3_600.0)
    post.courier.step()
    assert [event for event, _ in post.target.told] == ["trigger"]


def test_owners_are_those_of_pipelines_and_labels(post: Post) -> None:
    owned = dataclasses.replace(pipeline(), owner="team-heart")
    post.ledger.commit("test", [Put(PIPELINES, owned)])
    told = grown(group(alarm("a", 1.0, team="sre")), pipelines=("heart", "gone"))
    assert owners_of(post.ledger, told) == ["sre", "team-heart"]


class TestDigest:
    """What is for information only comes together, at full hours."""

    INFO = dataclasses.replace(group(), severity=Severity.INFO)
    OTHER = dataclasses.replace(INFO, super_alarm_id=SuperAlarmId("SA-other"))

    @pytest.fixture
    def digests(self, post: Post) -> Post:
        hourly = dataclasses.replace(OPS, least=Severity.INFO, digest_seconds=3_600.0)
        desk = Desk(
            post.ledger, post.clock, WatchPolicy(), begin_term(post.ledger, post.clock, "d")
        )
        notifier = OutboxNotifier(post.ledger, post.clock, [hourly])
        return dataclasses.replace(
            post, notifier=notifier, courier=Courier(desk, hourly, post.target)
        )

    def test_two_become_one_message(self, digests: Post) -> None:
        assert digests.tell(self.INFO) == []
        assert digests.tell(self.OTHER) == []
        digests.clock.advance(2_600.0)
        assert digests.courier.step()
        assert [event for event, _ in digests.target.told] == ["digest"]
        states = {stored.value.state for stored in digests.ledger.select(MESSAGES)}
        assert states == {MessageState.SENT}
        assert not digests.courier.step()

    def test_a_digest_that_failed_comes_again_with_the_same_key(self, digests: Post) -> None:
        digests.tell(self.INFO)
        digests.tell(self.OTHER)
        first, second = (stored.value for stored in digests.ledger.select(MESSAGES))
        digest = dataclasses.replace(first, others=(second.group,))
        again = dataclasses.replace(digest, tries=3, due_at=digest.due_at + 20.0)
        assert key_of(again) == key_of(digest)
        assert key_of(digest).startswith("berth/digest/")

    def test_a_change_waits_for_the_next_one(self, digests: Post) -> None:
        digests.tell(self.INFO)
        digests.clock.advance(2_600.0)
        assert digests.tell(self.INFO) == ["trigger"]
        assert digests.tell(grown(self.INFO, state=SuperAlarmState.RESOLVED)) == []
        digests.clock.advance(3_600.0)
        assert digests.courier.step()

    def test_what_got_worse_is_told_at_once(self, digests: Post) -> None:
        digests.tell(self.INFO)
        assert digests.tell(grown(self.INFO, severity=Severity.CRITICAL)) == ["trigger"]
