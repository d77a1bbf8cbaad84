"""What people say of alarms at large: silences, and whether a first cause was right."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.model import documents
from engine.model.alarms import Cause, Event, SuperAlarm, SuperAlarmState
from engine.model.checks import Checked, CheckKind
from engine.model.checks import Verdict as Outcome
from engine.model.errors import NotFoundError, RefusedError
from engine.model.feedback import CheckFeedback, Feedback, Matcher, Silence, Verdict
from engine.model.records import (
    ABSENT,
    CHECK_FEEDBACK,
    EVENTS,
    FEEDBACK,
    SILENCES,
    SUPER_ALARMS,
    Put,
    Write,
)
from engine.ports import Clock, Ledger

LONGEST_SECONDS = 366 * 86_400.0


def add_silence(
    ledger: Ledger,
    clock: Clock,
    matchers: Sequence[Matcher],
    *,
    seconds: float,
    who: str,
    because: str,
) -> Silence:
    """Fold alarms that match, from now for so many seconds.

    Raises:
        RefusedError: when the time is not positive or above a year, or no reason is given.
    """
    if not 0 < seconds <= LONGEST_SECONDS:
        message = f"cannot silence for {seconds:g} s"
        raise RefusedError(message, fix="give a positive time up to a year: `2h`")
    if not because.strip():
        raise RefusedError("a silence needs a reason", fix="add `--because 'why'`")
    now = clock.now()
    text = " ".join(sorted(str(matcher) for matcher in matchers))
    silence = Silence(
        silence_id="S-" + documents.letters(f"{text}@{now!r}", 6),
        matchers=tuple(matchers),
        who=who,
        because=because.strip(),
        since=now,
        until=now + seconds,
    )
    said = f"{who} silenced {text} for {seconds:g} s: {silence.because}"
    ledger.commit(
        "watch.person",
        [Put(SILENCES, silence, ABSENT), Put(EVENTS, _event(silence.silence_id, now, said))],
    )
    return silence


def end_silence(ledger: Ledger, clock: Clock, silence_id: str, who: str) -> Silence:
    """End a silence now; alarms that it folds and that still matter are grouped.

    Raises:
        NotFoundError: when there is none of that id.
        RefusedError: when it is over already.
    """
    stored, now = ledger.get(SILENCES, silence_id), clock.now()
    if stored is None:
        message = f"there is no silence {silence_id!r}"
        raise NotFoundError(message, fix="`berth silences` lists them")
    if stored.value.until <= now:
        raise RefusedError(f"silence {silence_id!r} is over already")
    ended = dataclasses.replace(stored.value, until=now)
    writes: list[Write] = [
        Put(SILENCES, ended, stored.version),
        Put(EVENTS, _event(silence_id, now, f"{who} ended silence {silence_id}")),
    ]
    where = {"state": SuperAlarmState.SILENCED.value}
    for group in ledger.select(SUPER_ALARMS, where=where):
        if group.value.silenced_by == silence_id:
            woken = dataclasses.replace(
                group.value,
                state=SuperAlarmState.OPEN,
                silenced_until=None,
                silenced_by="",
                updated_at=now,
            )
            writes.append(Put(SUPER_ALARMS, woken, group.version))
    ledger.commit("watch.person", writes)
    return ended


def _event(subject: str, now: float, said: str) -> Event:
    # Two people may say something at the same instant.
    event_id = f"{subject}.person.{now!r}.{documents.letters(said, 4)}"
    return Event(event_id=event_id, at=now, kind="person", subject=subject, message=said)


def give_feedback(
    ledger: Ledger,
    clock: Clock,
    super_alarm_id: str,
    verdict: Verdict,
    *,
    who: str,
    right_cause: str = "",
) -> Feedback:
    """Keep whether the first cause of a super-alarm was right; the newest word counts.

    One that came again is judged anew: what was said of earlier times stays.

    Raises:
        NotFoundError: when there is no super-alarm of that id.
        RefusedError: when it has no cause yet.
    """
    stored, now = ledger.get(SUPER_ALARMS, super_alarm_id), clock.now()
    if stored is None:
        message = f"there is no super-alarm {super_alarm_id!r}"
        raise NotFoundError(message, fix="`berth alarms` lists them")
    likely = stored.value.likely
    if likely is None:
        message = f"{super_alarm_id!r} has no cause yet that could be right or wrong"
        raise RefusedError(message, fix="wait until one was found")
    feedback = Feedback(
        super_alarm_id=stored.value.super_alarm_id,
        at=now,
        verdict=verdict,
        who=who,
        kind=likely.kind,
        subject=likely.subject,
        belief=likely.belief,
        signals=tuple(sorted({alarm.signal for alarm in stored.value.alarms})),
        right_cause=right_cause.strip(),
        times=stored.value.times,
    )
    said = f"{who} says that the first cause ({likely.title}) is {verdict.value}"
    if feedback.right_cause:
        said = f"{said}; it was {feedback.right_cause}"
    ledger.commit(
        "watch.person",
        [Put(FEEDBACK, feedback), Put(EVENTS, _event(super_alarm_id, now, said))],
    )
    return feedback


def give_check_feedback(
    ledger: Ledger,
    clock: Clock,
    super_alarm_id: str,
    check: CheckKind,
    subject: str,
    verdict: Verdict,
    *,
    who: str,
) -> CheckFeedback:
    """Keep whether the verdict of a check was right; the newest word of this time counts.

    Raises:
        NotFoundError: when there is no super-alarm of that id, or no such check of its causes.
        RefusedError: when the check said nothing.
    """
    stored, now = ledger.get(SUPER_ALARMS, super_alarm_id), clock.now()
    if stored is None:
        message = f"there is no super-alarm {super_alarm_id!r}"
        raise NotFoundError(message, fix="`berth alarms` lists them")
    cause, checked = _checked(stored.value, check, subject)
    if checked.verdict is Outcome.OPEN:
        message = f"the check {check.value!r} of {subject!r} said nothing that could be {verdict}"
        raise RefusedError(message, fix="judge checks that confirm or deny a cause")
    feedback = CheckFeedback(
        super_alarm_id=stored.value.super_alarm_id,
        at=now,
        verdict=verdict,
        who=who,
        check=check,
        subject=subject,
        said=checked.verdict,
        cause=cause.kind,
        times=stored.value.times,
    )
    what = f"that a check {checked.verdict.value} {cause.title!r} ({check.value})"
    said = f"{who} says {what} is {verdict.value}"
    ledger.commit(
        "watch.person",
        [Put(CHECK_FEEDBACK, feedback), Put(EVENTS, _event(super_alarm_id, now, said))],
    )
    return feedback


def _checked(group: SuperAlarm, check: CheckKind, subject: str) -> tuple[Cause, Checked]:
    """Return the cause that a check was run for, with its result."""
    for cause in group.causes:
        found = cause.checked
        if found is not None and (found.kind, found.subject) == (check, subject):
            return cause, found
    raise NotFoundError(
        f"no cause of {group.super_alarm_id!r} has the check {check.value!r} of {subject!r}",
        fix=f"`berth alarms show {group.super_alarm_id}` lists what was checked",
    )


def verdicts(ledger: Ledger, since: float) -> Sequence[Feedback]:
    """Return what people said of first causes after a time, oldest first."""
    return [stored.value for stored in ledger.select(FEEDBACK, order_by="at", since=since)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """How often the first cause was right in a calendar month (UTC, `2026-11`)."""

    month: str
    right: int
    wrong: int

    @property
    def precision(self) -> float:
        """Share of first causes that were right, of those that people judged."""
        return self.right / (self.right + self.wrong)


def precision_by_month(given: Iterable[Feedback]) -> tuple[Month, ...]:
    """Return the precision of the first cause for each month with feedback, newest first."""
    counts: dict[str, list[int]] = {}
    for feedback in given:
        month = datetime.fromtimestamp(feedback.at, UTC).strftime("%Y-%m")
        pair = counts.setdefault(month, [0, 0])
        pair[feedback.verdict is Verdict.WRONG] += 1
    return tuple(
        Month(month=month, right=pair[0], wrong=pair[1])
        for month, pair in sorted(counts.items(), reverse=True)
    )
