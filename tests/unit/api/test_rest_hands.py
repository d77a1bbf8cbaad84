"""People say things about alarms by REST, by the client's methods and by commands, all alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli import main
from api.client.remote import Remote
from api.messages import hands
from api.messages.notifying import NotifyQuestion
from api.messages.questions import SilenceQuestion
from api.wiring import Application
from engine.model.alarms import ActionKind, Cause, CauseKind, Coming, Event, SuperAlarmState
from engine.model.checks import Checked, CheckKind
from engine.model.checks import Verdict as Outcome
from engine.model.errors import NotFoundError
from engine.model.feedback import Folding, Verdict
from engine.model.records import (
    ALARMS,
    CLUSTER_HEALTH,
    EVENTS,
    FOLDINGS,
    SUPER_ALARMS,
    ClusterHealth,
    Put,
)
from engine.testing.watch_suites import alarm, group

CHECKED = Checked(
    kind=CheckKind.CLUSTER,
    subject="cluster:c",
    verdict=Outcome.CONFIRMS,
    message="no answer",
    at=1.0,
    took_seconds=0.1,
)
CAUSE = Cause(
    kind=CauseKind.INFRASTRUCTURE,
    subject="cluster:c",
    title="c failed",
    belief=0.9,
    checked=CHECKED,
)


@pytest.fixture
def remote(application: Application, served: str) -> Iterator[Remote]:
    now = application.parts.clock.now()
    members = [
        dataclasses.replace(alarm(name, now - 60 + n, cluster=name, runbook_url="https://r"))
        for n, name in enumerate("abcd")
    ]
    first = dataclasses.replace(group(*members, name="SA-1"), causes=(CAUSE,))
    past = dataclasses.replace(
        first, super_alarm_id="SA-0", state=SuperAlarmState.RESOLVED, opened_at=now - 900
    )
    other = dataclasses.replace(group(alarm("z", now - 50), name="SA-2"), causes=(CAUSE,))
    event = Event(event_id="e", at=now - 90, kind="deployment", subject="model:p", message="new")
    application.parts.ledger.commit(
        "test",
        [
            *(Put(SUPER_ALARMS, one) for one in (first, past, other)),
            Put(ALARMS, other.alarms[0]),
            Put(EVENTS, event),
            Put(CLUSTER_HEALTH, ClusterHealth(cluster="c", reachable=False, since=now - 60)),
            Put(FOLDINGS, Folding(alarm=other.alarms[0], at=now, reason="a test")),
        ],
    )
    made = Remote(served)
    yield made
    made.close()


def test_what_people_say_is_kept(remote: Remote) -> None:
    taken = remote.hands.take("SA-1", hands.TakeQuestion(who="ann", seconds=60.0))
    assert taken.owner == "ann"
    assert remote.hands.take("SA-1", hands.TakeQuestion(who="bob")).owner == "bob"
    assert "ann: hm" in remote.hands.note("SA-1", hands.NoteQuestion(text="hm", who="ann")).note
    question = hands.FeedbackQuestion(verdict=Verdict.WRONG, cause="a disk", who="ann")
    assert remote.hands.feedback("SA-1", question).right_cause == "a disk"
    (month,) = remote.hands.judged().months
    assert (month.right, month.wrong, month.precision) == (0, 1, 0.0)
    kept, fresh = remote.hands.split("SA-1", hands.SplitQuestion(matchers=("cluster=d",)))
    assert [len(one.alarms) for one in (kept, fresh)] == [3, 1]
    both = remote.hands.merge("SA-1", hands.MergeQuestion(other=fresh.super_alarm_id))
    assert both.aliases == (fresh.super_alarm_id,)


def test_what_is_said_of_a_check_is_kept_and_shown(
    remote: Remote, served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("feedback", "SA-1", "wrong", "--check", "1", "--who", "ann")
    assert "would count as wrong" in said(capsys, served, *words, "--dry-run")
    assert remote.context("SA-1").checks == ()
    assert '"cluster:c"' in said(capsys, served, *words, "--json")
    told = said(capsys, served, *words)
    assert told.strip() == "That a check confirms cause 1 of SA-1 counts as wrong."
    (given,) = remote.context("SA-1").checks
    assert (given.check, given.cause, given.who) == (CheckKind.CLUSTER, CAUSE.kind, "ann")
    shown = said(capsys, served, "alarms", "show", "SA-1")
    assert "judged   ann says that this check is wrong" in shown
    assert "--check NUMBER" in " ".join(shown.split())


def test_what_is_said_of_each_time_that_one_came_is_kept_and_shown(
    application: Application, remote: Remote, served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    question = hands.FeedbackQuestion(verdict=Verdict.WRONG, cause="a disk", who="ann")
    remote.hands.feedback("SA-1", question)
    said(capsys, served, "feedback", "SA-1", "wrong", "--check", "1")
    stored = application.parts.ledger.get(SUPER_ALARMS, "SA-1")
    assert stored is not None
    first = stored.value
    coming = Coming(
        opened_at=first.opened_at - 60,
        ended_at=first.opened_at - 30,
        count=1,
        alarms=first.alarms[:1],
        likely=CAUSE,
    )
    again = dataclasses.replace(first, times=2, earlier=(coming,))
    application.parts.ledger.commit("test", [Put(SUPER_ALARMS, again, stored.version)])
    around = remote.context("SA-1")
    assert (around.feedback, around.checks) == (None, ())
    assert [(one.who, one.times, one.right_cause) for one in around.told] == [("ann", 1, "a disk")]
    shown = " ".join(said(capsys, served, "alarms", "show", "SA-1").split())
    assert "c failed; ann says that it is wrong; it was a disk" in shown
    assert "was it? berth feedback SA-1 right|wrong" in shown
    given = remote.hands.feedback("SA-1", hands.FeedbackQuestion(verdict=Verdict.RIGHT))
    assert (given.times, remote.context("SA-1").feedback) == (2, given)
    (month,) = remote.hands.judged().months
    assert (month.right, month.wrong) == (1, 1)


@pytest.mark.parametrize(
    ("more", "expected"),
    [(("2",), "no check says anything of cause 2"), (("1", "--cause", "x"), "is not understood")],
)
def test_a_check_that_is_not_there_cannot_be_judged(
    remote: Remote,
    served: str,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    expected: str,
) -> None:
    del remote
    words = ["feedback", "SA-1", "wrong", "--check", *more, "--url", served]
    with pytest.raises(SystemExit) as ended:
        main.application()(words, prog_name="berth")
    assert ended.value.code
    assert expected in capsys.readouterr().err


def test_silences_are_made_listed_and_ended(remote: Remote) -> None:
    question = hands.MatchersQuestion(matchers=("cluster=a",), seconds=60.0, because="a test")
    made = remote.hands.silence(question)
    assert remote.hands.silences() == (made,)
    assert remote.hands.end_silence(made.silence_id, "ann").until < made.until
    assert [one.reason for one in remote.hands.foldings()] == ["a test"]


def test_what_surrounds_a_super_alarm_is_told(remote: Remote) -> None:
    around = remote.context("SA-1")
    assert [event.message for event in around.changes] == ["new"]
    assert [past.super_alarm_id for past in around.like] == ["SA-0"]
    assert [one.alarm_id for one in around.outside] == ["z"]
    assert around.runbooks == ("https://r",)


def test_without_channels_nobody_would_be_told(remote: Remote) -> None:
    assert remote.notify_test(NotifyQuestion()) == ()
    assert remote.messages() == ()
    assert remote.silence("SA-1", SilenceQuestion(seconds=5.0, because="x")).silenced_until
    with pytest.raises(NotFoundError):
        remote.context("SA-none")


def said(capsys: pytest.CaptureFixture[str], url: str, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main.application()([*words, "--url", url], prog_name="berth")
    shown = capsys.readouterr()
    assert not ended.value.code, shown.err
    return shown.out


def test_commands_say_what_they_did(
    remote: Remote, served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [
        (("ack", "SA-1", "--who", "ann", "--for", "2h"), "is acknowledged"),
        (("note", "SA-1", "look here"), "SA-1 is"),
        (("feedback", "SA-1", "right"), "First cause right"),
        (("split", "SA-1", "cluster=d"), "is open"),
        (("merge", "SA-1", "SA-2"), "is"),
        (("silence", "cluster=a", "2h", "--match", "signal=x", "--because", "y"), "are silent"),
        (("silences",), "cluster=a signal=x"),
        (("alarms",), "First cause right"),
        (("alarms", "show", "SA-1"), "Notes and hand-over"),
        (("notify",), "Nobody was told"),
        (("notify", "test"), "There is no channel"),
    ]
    for words, expected in steps:
        assert expected in said(capsys, served, *words)


@pytest.mark.parametrize(
    "words",
    [
        ("ack", "SA-1"),
        ("note", "SA-1", "x"),
        ("feedback", "SA-1", "wrong"),
        ("split", "SA-1", "cluster=d"),
        ("merge", "SA-1", "SA-2"),
        ("silence", "cluster=a", "2h", "--because", "y"),
        ("silence", "SA-1", "2h", "--because", "y"),
        ("silences", "end", "S-x"),
    ],
)
def test_a_dry_run_changes_nothing(
    remote: Remote, served: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    before = remote.super_alarms()
    assert "would" in said(capsys, served, *words, "--dry-run")
    assert remote.super_alarms() == before


def test_channels_of_a_file_are_tried_without_an_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("R1")
    path = tmp_path / "channels.toml"
    path.write_text(
        '[[channel]]\nname = "a"\nkind = "pagerduty"\ntoken_file = "key"\nowners = ["t"]\n'
        '[[channel]]\nname = "b"\nkind = "webhook"\nurl = "http://127.0.0.1:1"\n'
    )
    words = ("notify", "test", "--channels", str(path), "--home", str(tmp_path / "home"))
    text = said(capsys, "", *words, "--owner", "t")
    assert "a\tpagerduty\tyes\tnow\towner t" in text
    assert "not sent" in said(capsys, "", *words, "--send")
    assert '"goes":true' in said(capsys, "", *words, "--json").replace(" ", "")


def test_berth_acts_when_it_is_asked_to(remote: Remote) -> None:
    action = remote.hands.act("SA-1", hands.ActQuestion(who="ann"))
    assert (action.kind, action.subject) == (ActionKind.REPLAN, "cluster:c")
    assert "ann asked for it" in action.policy
