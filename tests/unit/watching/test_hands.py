"""What people say of alarms holds, whatever the grouping says."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from alarms.grouping.headlines import title_of
from engine.model.alarms import Alarm, Severity, SuperAlarm, SuperAlarmState
from engine.model.checks import Checked, CheckKind
from engine.model.checks import Verdict as Outcome
from engine.model.errors import ConflictError, InvalidInputError, NotFoundError, RefusedError
from engine.model.feedback import CheckFeedback, Matcher, Verdict
from engine.model.records import (
    ALARMS,
    CHECK_FEEDBACK,
    EVENTS,
    FEEDBACK,
    FOLDINGS,
    SILENCES,
    SUPER_ALARMS,
    Put,
)
from engine.model.signals import Signal
from engine.testing.watch_suites import alarm as sample_alarm
from engine.testing.watch_suites import gauge
from engine.testing.watch_suites import group as sample_group
from engine.watching import (
    acknowledge,
    add_silence,
    end_silence,
    give_check_feedback,
    give_feedback,
    matchers,
    merge,
    note,
    precision_by_month,
    silence,
    split,
    verdicts,
)
from engine.watching.hands import alone
from engine.watching.members import ALARMS_KEPT, joined
from tests.support.watch_world import DATA, OneGroup, World


def elsewhere(at: float, value: float) -> Signal:
    return dataclasses.replace(gauge(at, value), subject="model:other")


def rest(world: World) -> None:
    for _ in range(20):
        if not world.watcher.step():
            return


def quiet(world: World, text: str = "subject=model:p", seconds: float = 60.0) -> str:
    made = add_silence(
        world.ledger,
        world.clock,
        matchers([text]),
        seconds=seconds,
        who="ann",
        because="a test",
    )
    return made.silence_id


# ------------------------------------------------------------------------------ silences


def test_a_silenced_alarm_is_folded_with_the_reason(world: World) -> None:
    quiet(world)
    world.measure(500.0, gauge)
    rest(world)
    assert world.groups() == []
    (folding,) = (one.value for one in world.ledger.select(FOLDINGS))
    assert folding.reason.startswith("silenced by ann")
    assert len(world.ledger.select(ALARMS)) == 1


class SevereOnly(OneGroup):
    """Lets an alarm of severity `info` join, but open nothing."""

    def group(
        self, open_groups: Sequence[SuperAlarm], alarms: Sequence[Alarm], now: float
    ) -> Sequence[SuperAlarm]:
        if not open_groups and all(alarm.severity is Severity.INFO for alarm in alarms):
            return []
        return super().group(open_groups, alarms, now)


def mild(world: World) -> None:
    """Let an alarm of severity `info` come."""
    once = sample_alarm("mild", world.clock.now(), pipeline="p")
    world.ledger.commit("test", [Put(ALARMS, dataclasses.replace(once, severity=Severity.INFO))])
    rest(world)


def reasons(world: World) -> list[str]:
    return [one.value.reason for one in world.ledger.select(FOLDINGS)]


@pytest.mark.parametrize("restarts", [False, True])
def test_what_is_too_mild_stands_alone_with_the_reason_until_it_joins(
    world: World, *, restarts: bool
) -> None:
    world.grouper = SevereOnly()
    world.start()
    mild(world)
    assert (world.groups(), reasons(world)) == ([], [alone(Severity.INFO)])
    if restarts:
        world.start()
    rest(world)
    world.measure(500.0, gauge)
    (group,) = world.groups()
    assert "mild" in {alarm.alarm_id for alarm in group.alarms}
    assert reasons(world) == []


def test_what_is_too_mild_and_silenced_later_is_silenced(world: World) -> None:
    world.grouper = SevereOnly()
    world.start()
    mild(world)
    quiet(world, "severity=info")
    rest(world)
    assert [reason.partition(" by")[0] for reason in reasons(world)] == ["silenced"]


def test_nothing_is_said_beside_a_full_group_which_shows_only_some_of_its_alarms(
    world: World,
) -> None:
    many = [sample_alarm(f"m-{n}", world.clock.now(), pipeline="p") for n in range(ALARMS_KEPT)]
    world.grouper = FixedGroups()
    world.start()
    world.ledger.commit("test", [Put(SUPER_ALARMS, sample_group(*many))])
    mild(world)
    assert reasons(world) == []


class FixedGroups(OneGroup):
    """Lets nothing join and nothing open."""

    def group(
        self, open_groups: Sequence[SuperAlarm], alarms: Sequence[Alarm], now: float
    ) -> Sequence[SuperAlarm]:
        del open_groups, alarms, now
        return []


def test_other_alarms_are_grouped_beside_a_silence(world: World) -> None:
    quiet(world)
    world.measure(500.0, gauge)
    world.measure(500.0, elsewhere)
    (group,) = world.groups()
    assert [alarm.subject for alarm in group.alarms] == ["model:other"]


def test_what_still_matters_after_a_silence_is_grouped(world: World) -> None:
    quiet(world)
    world.measure(500.0, gauge)
    world.clock.advance(120.0)
    rest(world)
    assert [len(group.alarms) for group in world.groups()] == [1]
    assert world.ledger.select(FOLDINGS) == []


def test_what_was_normal_again_stays_folded_and_says_so(world: World) -> None:
    quiet(world)
    world.measure(500.0, gauge)
    world.measure(1.0, gauge)
    world.clock.advance(120.0)
    rest(world)
    world.start()
    rest(world)
    assert world.groups() == []
    (folding,) = (one.value for one in world.ledger.select(FOLDINGS))
    assert "normal again" in folding.reason


def test_another_silence_goes_on_folding(world: World) -> None:
    quiet(world, seconds=10.0)
    world.measure(500.0, gauge)
    quiet(world, "signal=~latency.*", seconds=600.0)
    world.clock.advance(60.0)
    rest(world)
    assert world.groups() == []


def test_a_group_that_is_covered_as_a_whole_is_silenced_and_wakes(world: World) -> None:
    world.measure(500.0, gauge)
    name = quiet(world)
    rest(world)
    (group,) = world.groups()
    assert (group.state, group.silenced_by) == (SuperAlarmState.SILENCED, name)
    world.measure(500.0, elsewhere)
    assert world.groups()[0].state is SuperAlarmState.OPEN


def test_a_group_that_is_covered_in_part_pages(world: World) -> None:
    world.measure(500.0, gauge)
    world.measure(500.0, elsewhere)
    quiet(world)
    rest(world)
    assert world.groups()[0].state is SuperAlarmState.OPEN


def test_ending_a_silence_wakes_its_groups(world: World) -> None:
    world.measure(500.0, gauge)
    name = quiet(world)
    rest(world)
    end_silence(world.ledger, world.clock, name, "bob")
    assert world.groups()[0].state is SuperAlarmState.OPEN
    with pytest.raises(RefusedError, match="over already"):
        end_silence(world.ledger, world.clock, name, "bob")


def test_ending_a_silence_leaves_groups_of_other_silences(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    silence(world.ledger, world.clock, group.super_alarm_id, 600.0, "a test")
    name = quiet(world, "subject=model:nobody")
    end_silence(world.ledger, world.clock, name, "bob")
    assert world.groups()[0].state is SuperAlarmState.SILENCED


def test_a_silence_that_nobody_made_cannot_end(world: World) -> None:
    with pytest.raises(NotFoundError):
        end_silence(world.ledger, world.clock, "S-none", "bob")


@pytest.mark.parametrize(("seconds", "because"), [(0.0, "why"), (1e12, "why"), (5.0, " ")])
def test_silences_without_end_or_reason_are_refused(
    world: World, seconds: float, because: str
) -> None:
    with pytest.raises(RefusedError):
        add_silence(
            world.ledger, world.clock, matchers(["a=b"]), seconds=seconds, who="x", because=because
        )


def test_silences_and_their_end_are_on_record(world: World) -> None:
    end_silence(world.ledger, world.clock, quiet(world), "bob")
    said = [one.value.message for one in world.ledger.select(EVENTS, order_by="at")]
    assert sorted(text.split()[0] for text in said) == ["ann", "bob"]
    assert len(world.ledger.select(SILENCES)) == 1


# ------------------------------------------------------------------------------ matchers


@pytest.mark.parametrize(
    ("text", "is_matched"),
    [
        ("subject=model:a", True),
        ("subject!=model:a", False),
        ("subject=~model:.*", True),
        ("subject!~model:.*", False),
        ("cluster='eu 1'", True),
        ("missing=", True),
        ('missing!="x"', True),
        ("severity=critical", True),
        ("layer=serving", True),
        ("rule=", True),
        ("series=~.*errors_share", True),
        ("signal=errors_share", True),
    ],
)
def test_matchers_read_fields_and_labels(text: str, is_matched: bool) -> None:
    (matcher,) = matchers([text])
    assert matcher.matches(sample_alarm("a", 1.0, cluster="eu 1")) is is_matched


@pytest.mark.parametrize("sign", ["=", "!=", "=~", "!~"])
def test_matchers_are_written_as_they_are_read(sign: str) -> None:
    (matcher,) = matchers([f"name{sign}value"])
    assert str(matcher) == f"name{sign}value"


@pytest.mark.parametrize(
    "texts", [[], ["a"], ["=b"], ["a=~("], ["a=~(x+)+"], ["a=b"] * 21, ["a=" + "x" * 400]]
)
def test_wrong_matchers_are_named(texts: list[str]) -> None:
    with pytest.raises(InvalidInputError):
        matchers(texts)


# ----------------------------------------------------------------------- split and merge


def of_two(world: World) -> SuperAlarm:
    world.measure(500.0, gauge)
    world.measure(500.0, elsewhere)
    (group,) = world.groups()
    return group


def chosen(text: str) -> tuple[Matcher, ...]:
    return matchers([text])


def test_a_split_holds_for_later_alarms(world: World) -> None:
    group = of_two(world)
    kept, fresh = split(
        world.ledger,
        world.clock,
        group.super_alarm_id,
        chosen("subject=model:other"),
        "ann",
        title_of,
    )
    world.measure(600.0, elsewhere)
    world.measure(600.0, gauge)
    found = {one.super_alarm_id: {a.subject for a in one.alarms} for one in world.groups()}
    assert found == {
        kept.super_alarm_id: {"model:p"},
        fresh.super_alarm_id: {"model:other"},
    }


def test_the_id_stays_with_the_earliest_alarm(world: World) -> None:
    group = of_two(world)
    kept, fresh = split(
        world.ledger, world.clock, group.super_alarm_id, chosen("subject=model:p"), "ann", title_of
    )
    assert kept.super_alarm_id == group.super_alarm_id
    assert [alarm.subject for alarm in fresh.alarms] == ["model:other"]


def test_titles_follow_a_split_and_a_merge(world: World) -> None:
    world.measure(500.0, gauge)
    world.measure(500.0, lambda at, v: dataclasses.replace(gauge(at, v), subject="b"))
    world.measure(500.0, lambda at, v: dataclasses.replace(gauge(at, v), subject="c"))
    (group,) = world.groups()
    kept, fresh = split(
        world.ledger, world.clock, group.super_alarm_id, chosen("subject=~b|c"), "ann", title_of
    )
    assert fresh.title.endswith("; 1 other alarmed too")
    assert "too" not in kept.title
    ids = (kept.super_alarm_id, fresh.super_alarm_id)
    assert merge(world.ledger, world.clock, *ids, "ann", title_of).title.endswith(
        "; 2 others alarmed too"
    )


@pytest.mark.parametrize("text", ["subject=nobody", "subject=~.*"])
def test_a_split_of_nothing_or_everything_is_refused(world: World, text: str) -> None:
    group = of_two(world)
    with pytest.raises(RefusedError, match="some must go"):
        split(world.ledger, world.clock, group.super_alarm_id, chosen(text), "ann", title_of)


class Apart:
    """Opens a group for every subject, and gives back what it once had."""

    def group(
        self, open_groups: Sequence[SuperAlarm], alarms: Sequence[Alarm], now: float
    ) -> Sequence[SuperAlarm]:
        found = []
        for alarm in alarms:
            name = f"SA-{alarm.subject}"
            found.append(dataclasses.replace(sample_group(alarm, name=name), updated_at=now))
        return found


def test_what_was_merged_stays_merged(world: World) -> None:
    world.watcher = dataclasses.replace(world.watcher, grouper=Apart())
    world.measure(500.0, gauge)
    world.measure(500.0, elsewhere)
    one, other = world.groups()
    both = merge(
        world.ledger, world.clock, other.super_alarm_id, one.super_alarm_id, "ann", title_of
    )
    assert both.super_alarm_id == one.super_alarm_id
    world.measure(600.0, elsewhere)
    kept = world.ledger.get(SUPER_ALARMS, one.super_alarm_id)
    gone = world.ledger.get(SUPER_ALARMS, other.super_alarm_id)
    assert kept is not None
    assert gone is not None
    assert (len(kept.value.alarms), gone.value.state) == (3, SuperAlarmState.RESOLVED)


class Stubborn(Apart):
    """Always reports all alarms of the first group again, and a group that is over."""

    def __init__(self, *again: SuperAlarm) -> None:
        self._again = again

    def group(
        self, open_groups: Sequence[SuperAlarm], alarms: Sequence[Alarm], now: float
    ) -> Sequence[SuperAlarm]:
        return self._again


def test_what_was_split_off_does_not_come_back(world: World) -> None:
    group = of_two(world)
    split(
        world.ledger,
        world.clock,
        group.super_alarm_id,
        chosen("subject=model:other"),
        "ann",
        title_of,
    )
    only = sample_group(*(a for a in group.alarms if a.subject == "model:other"), name="SA-x")
    over = dataclasses.replace(
        sample_group(name="SA-gone"), state=SuperAlarmState.RESOLVED, opened_at=1.0
    )
    stored = world.ledger.get(SUPER_ALARMS, group.super_alarm_id)
    assert stored is not None
    alias = dataclasses.replace(stored.value, aliases=("SA-gone", "SA-never"))
    world.ledger.commit("test", [Put(SUPER_ALARMS, alias)])
    world.watcher = dataclasses.replace(
        world.watcher, grouper=Stubborn(dataclasses.replace(group, updated_at=2.0), over, only)
    )
    world.measure(500.0, lambda at, v: dataclasses.replace(gauge(at, v), subject="model:new"))
    kept = world.ledger.get(SUPER_ALARMS, group.super_alarm_id)
    assert kept is not None
    assert {alarm.subject for alarm in kept.value.alarms} == {"model:p"}


def test_a_group_cannot_be_merged_with_itself_or_with_nothing(world: World) -> None:
    group = of_two(world)
    with pytest.raises(RefusedError, match="itself"):
        merge(
            world.ledger, world.clock, group.super_alarm_id, group.super_alarm_id, "ann", title_of
        )
    with pytest.raises(NotFoundError):
        merge(world.ledger, world.clock, group.super_alarm_id, "SA-none", "ann", title_of)
    over = dataclasses.replace(group, super_alarm_id="SA-over", state=SuperAlarmState.RESOLVED)
    world.ledger.commit("test", [Put(SUPER_ALARMS, over)])
    with pytest.raises(RefusedError, match="closed"):
        merge(world.ledger, world.clock, group.super_alarm_id, "SA-over", "ann", title_of)


@pytest.mark.parametrize("spoils", [1, 100])
def test_what_changes_meanwhile_is_tried_again(world: World, spoils: int) -> None:
    group = of_two(world)
    other = dataclasses.replace(group, super_alarm_id="SA-2", opened_at=2_000.0)
    world.ledger.commit("test", [Put(SUPER_ALARMS, other)])
    commit, count = world.ledger.commit, [0, 0]

    def spoil(name: str, writes: object) -> None:
        kind = name == "watch.merge"
        if name in {"watch.split", "watch.merge"} and count[kind] < spoils:
            count[kind] += 1
            raise ConflictError("somebody was first")
        commit(name, writes)

    world.ledger.commit = spoil  # type: ignore[method-assign]  # a fault for this test
    want = chosen("subject=model:other")
    if spoils == 1:
        split(world.ledger, world.clock, group.super_alarm_id, want, "ann", title_of)
        merge(world.ledger, world.clock, group.super_alarm_id, "SA-2", "ann", title_of)
        return
    with pytest.raises(ConflictError, match="times"):
        split(world.ledger, world.clock, group.super_alarm_id, want, "ann", title_of)
    with pytest.raises(ConflictError, match="times"):
        merge(world.ledger, world.clock, group.super_alarm_id, "SA-2", "ann", title_of)


def test_a_group_keeps_its_first_and_its_newest_alarms() -> None:
    many = [sample_alarm(f"a{n:04}", float(n)) for n in range(ALARMS_KEPT + 50)]
    grown = joined(sample_group(many[0]), many, 5.0)
    assert len(grown.alarms) == ALARMS_KEPT
    assert (grown.alarms[0], grown.alarms[-1]) == (many[0], many[-1])


# -------------------------------------------------------------------- takes and feedback


def test_who_took_it_is_reminded(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    taken = acknowledge(world.ledger, world.clock, group.super_alarm_id, "ann", 30.0)
    assert (taken.owner, taken.acknowledged_until) == ("ann", world.clock.now() + 30.0)
    rest(world)
    assert world.groups()[0].state is SuperAlarmState.ACKNOWLEDGED
    world.clock.advance(31.0)
    rest(world)
    assert world.groups()[0].state is SuperAlarmState.OPEN


def test_notes_are_kept_with_who_wrote_them(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    assert (
        "ann: look here"
        in note(world.ledger, world.clock, group.super_alarm_id, "ann", " look here ").note
    )
    with pytest.raises(RefusedError, match="words"):
        note(world.ledger, world.clock, group.super_alarm_id, "ann", " ")


def test_feedback_is_kept_and_counted_by_month(world: World) -> None:
    world.measure(500.0, gauge)
    (group,) = world.groups()
    name = group.super_alarm_id
    give_feedback(world.ledger, world.clock, name, Verdict.RIGHT, who="ann")
    given = give_feedback(
        world.ledger, world.clock, name, Verdict.WRONG, who="bob", right_cause="a disk"
    )
    assert (given.kind, given.right_cause) == (DATA.kind, "a disk")
    other = dataclasses.replace(given, verdict=Verdict.RIGHT, at=given.at + 40 * 86_400)
    assert verdicts(world.ledger, given.at - 1.0) == [given]
    assert verdicts(world.ledger, given.at) == []
    stored = [one.value for one in world.ledger.select(FEEDBACK)]
    months = precision_by_month([*stored, other])
    assert [(m.month, m.right, m.wrong, m.precision) for m in months] == [
        ("1970-02", 1, 0, 1.0),
        ("1970-01", 0, 1, 0.0),
    ]


def looked(verdict: Outcome) -> Checked:
    kind, subject = CheckKind.ROWS, "task:p/etl"
    return Checked(
        kind=kind, subject=subject, verdict=verdict, message="half", at=1.0, took_seconds=0.1
    )


@pytest.mark.parametrize("verdict", Verdict)
def test_a_check_that_said_nothing_is_neither_right_nor_wrong(
    world: World, verdict: Verdict
) -> None:
    checked = looked(Outcome.OPEN)
    causes = (dataclasses.replace(DATA, checked=checked),)
    world.ledger.commit(
        "test", [Put(SUPER_ALARMS, dataclasses.replace(sample_group(), causes=causes))]
    )
    with pytest.raises(RefusedError, match=f"said nothing that could be {verdict}"):
        give_check_feedback(
            world.ledger, world.clock, "SA-1", checked.kind, checked.subject, verdict, who="ann"
        )
    assert not world.ledger.select(CHECK_FEEDBACK)


def test_feedback_on_a_check_is_kept_with_the_kind_of_its_cause(world: World) -> None:
    checked = looked(Outcome.CONFIRMS)
    causes = (DATA, dataclasses.replace(DATA, checked=checked))
    fresh = dataclasses.replace(sample_group(), causes=causes)
    world.ledger.commit("test", [Put(SUPER_ALARMS, fresh)])

    def judged(name: str, subject: str) -> CheckFeedback:
        return give_check_feedback(
            world.ledger, world.clock, name, CheckKind.ROWS, subject, Verdict.WRONG, who="ann"
        )

    given = judged("SA-1", "task:p/etl")
    assert (given.cause, given.said, given.who) == (DATA.kind, Outcome.CONFIRMS, "ann")
    assert [one.value for one in world.ledger.select(CHECK_FEEDBACK)] == [given]
    (event,) = world.ledger.select(EVENTS, where={"kind": "person"})
    assert "is wrong" in event.value.message
    with pytest.raises(NotFoundError, match="has the check"):
        judged("SA-1", "task:p/other")
    with pytest.raises(NotFoundError, match="no super-alarm"):
        judged("SA-none", "task:p/etl")


def test_only_a_cause_that_is_there_can_be_judged(world: World) -> None:
    world.ledger.commit("test", [Put(SUPER_ALARMS, sample_group())])
    with pytest.raises(RefusedError, match="no cause"):
        give_feedback(world.ledger, world.clock, "SA-1", Verdict.RIGHT, who="ann")
    with pytest.raises(NotFoundError):
        give_feedback(world.ledger, world.clock, "SA-none", Verdict.RIGHT, who="ann")
