"""Each target is spoken to as its makers want, on a real socket, and its answers are understood."""

from __future__ import annotations

import dataclasses
import http.server
import json
import smtplib
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from alarms.notification import targets
from alarms.notification.channels import Channel, ChannelKind
from alarms.notification.targets import Email, target_of
from engine.model.alarms import Cause, CauseKind, SuperAlarmState
from engine.model.errors import RefusedError, UnreachableError
from engine.model.messages import Message, MessageState
from engine.testing.watch_suites import group

CAUSE = Cause(
    kind=CauseKind.DATA,
    subject="feature:p/f",
    title="f <moved>",
    belief=0.9,
    evidence_for=("shift",),
    settle="look",
)
MESSAGE = Message(
    message_id="SA-1/c",
    channel="c",
    group=dataclasses.replace(group(), causes=(CAUSE,), pipelines=("p",), owner="ann"),
    state=MessageState.WAITING,
    due_at=0.0,
    changed_at=0.0,
)
EDIT = dataclasses.replace(MESSAGE, sent_pings=1, revision=2, reference="C1/17.1")
AGAIN = dataclasses.replace(EDIT, pings=2)
BACK = dataclasses.replace(
    EDIT, group=dataclasses.replace(MESSAGE.group, times=3), is_end_told=True
)
"""Of what came again after its end was told."""


class Server:
    """Answers every request alike and keeps what it was sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.status = 200
        self.answer: object = {"ok": True, "channel": "C1", "ts": "17.1"}
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.seen.append((self.path, dict(self.headers), body))
                text = json.dumps(server.answer).encode() if server.answer else b"hello"
                self.send_response(server.status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                return

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(targets, "TIMEOUT_SECONDS", 60.0)
    made = Server()
    threading.Thread(target=made.http.serve_forever, daemon=True).start()
    yield made
    made.http.shutdown()
    made.http.server_close()


def channel(kind: ChannelKind, url: str, **more: Any) -> Channel:  # noqa: ANN401 - any field
    return Channel(name="c", kind=kind, url=url, link="https://berth", **more)


def test_a_webhook_gets_one_key_for_all_edits(server: Server) -> None:
    target = target_of(channel(ChannelKind.WEBHOOK, server.url, token="t"))
    for message in (MESSAGE, EDIT, AGAIN, BACK):
        assert target.send(message) == "berth/SA-1"
    told = [body["event"] for _, _, body in server.seen]
    assert told == ["trigger", "edit", "again", "reopen"]
    assert "open, came again, 3rd time" in server.seen[3][2]["text"]
    assert {body["dedup_key"] for _, _, body in server.seen} == {"berth/SA-1"}
    _, headers, body = server.seen[1]
    assert headers["Authorization"] == "Bearer t"
    assert headers["Idempotency-Key"] == "SA-1/c@2"
    assert "https://berth/alarms/SA-1" in body["text"]


def test_slack_posts_once_and_edits_in_place(server: Server) -> None:
    target = target_of(channel(ChannelKind.SLACK, server.url, token="x", to=("C1",)))
    assert target.send(MESSAGE) == "C1/17.1"
    target.send(EDIT)
    target.send(AGAIN)
    target.send(BACK)
    assert [path for path, _, _ in server.seen] == [
        "/chat.postMessage",
        "/chat.update",
        "/chat.update",
        "/chat.postMessage",
        "/chat.update",
    ]
    assert server.seen[3][2]["thread_ts"] == "17.1"
    assert "&lt;moved&gt;" in json.dumps(server.seen[0][2]["blocks"])


def test_an_incoming_webhook_of_slack_is_told_calls_and_what_comes_again(server: Server) -> None:
    target = target_of(channel(ChannelKind.SLACK, server.url))
    for message in (MESSAGE, EDIT, AGAIN, BACK):
        target.send(message)
    assert len(server.seen) == 3


def test_a_message_says_that_nothing_is_done_below_the_belief_that_it_takes(
    server: Server,
) -> None:
    weak = dataclasses.replace(MESSAGE.group, act_above=0.95)
    hook = channel(ChannelKind.WEBHOOK, server.url)
    target_of(hook).send(dataclasses.replace(MESSAGE, group=weak))
    said = "Berth does nothing by itself about this cause: the belief in it, 0.90, is below 0.95"
    assert said in server.seen[0][2]["text"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"ok": False, "error": "ratelimited"}, UnreachableError),
        ({"ok": False, "error": "channel_not_found"}, RefusedError),
        ({}, UnreachableError),
    ],
)
def test_what_slack_refuses_is_told_apart(
    server: Server, answer: object, error: type[Exception]
) -> None:
    server.answer = answer
    with pytest.raises(error):
        target_of(channel(ChannelKind.SLACK, server.url, token="x", to=("C1",))).send(MESSAGE)


def test_pagerduty_gets_events_of_its_second_version(server: Server) -> None:
    target = target_of(channel(ChannelKind.PAGERDUTY, server.url, token="R1"))
    over = dataclasses.replace(
        EDIT, group=dataclasses.replace(MESSAGE.group, state=SuperAlarmState.RESOLVED)
    )
    taken = dataclasses.replace(
        EDIT, group=dataclasses.replace(MESSAGE.group, state=SuperAlarmState.ACKNOWLEDGED)
    )
    back = dataclasses.replace(taken, is_end_told=True)
    for message in (MESSAGE, taken, over, back):
        target.send(message)
    bodies = [body for _, _, body in server.seen]
    actions = [body["event_action"] for body in bodies]
    assert actions == ["trigger", "acknowledge", "resolve", "trigger"]
    assert {(body["routing_key"], body["dedup_key"]) for body in bodies} == {("R1", "berth/SA-1")}
    assert set(bodies[0]["payload"]) >= {"summary", "source", "severity"}
    assert "payload" not in bodies[1]


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, UnreachableError), (429, UnreachableError), (404, RefusedError), (302, RefusedError)],
)
def test_what_a_server_answers_decides_whether_it_is_asked_again(
    server: Server, status: int, error: type[Exception]
) -> None:
    server.status = status
    with pytest.raises(error):
        target_of(channel(ChannelKind.WEBHOOK, server.url)).send(MESSAGE)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense"])
def test_a_server_that_is_not_there_may_come_back(url: str) -> None:
    with pytest.raises(UnreachableError):
        target_of(channel(ChannelKind.WEBHOOK, url)).send(MESSAGE)


class Smtp:
    """A mail server's client that keeps what it is handed, or fails."""

    sent: list[EmailMessage] = []  # noqa: RUF012 - of one test at a time
    error: Exception | None = None
    steps: list[str] = []  # noqa: RUF012 - as above

    def __init__(self, host: str, port: int, **_: object) -> None:
        Smtp.steps.append(f"{host}:{port}")
        if Smtp.error is not None:
            raise Smtp.error

    def __enter__(self) -> Smtp:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def starttls(self, **_: object) -> None:
        Smtp.steps.append("tls")

    def login(self, user: str, password: str) -> None:
        Smtp.steps.append(f"{user}:{password}")

    def send_message(self, mail: EmailMessage) -> None:
        Smtp.sent.append(mail)


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> type[Smtp]:
    Smtp.sent, Smtp.steps, Smtp.error = [], [], None
    monkeypatch.setattr(smtplib, "SMTP", Smtp)
    monkeypatch.setattr(smtplib, "SMTP_SSL", Smtp)
    return Smtp


def posted(url: str, **more: Any) -> Channel:  # noqa: ANN401 - any field
    return channel(ChannelKind.EMAIL, url, to=("a@b",), sender="c@d", **more)


def test_mail_is_one_thread_and_edits_are_left_out(mail: type[Smtp]) -> None:
    target = target_of(posted("smtp+plain://mail"))
    for message in (MESSAGE, EDIT, AGAIN):
        target.send(message)
    first, second = mail.sent
    assert first["Message-ID"] == second["In-Reply-To"] == "<SA-1@berth>"
    assert "Likely cause: f <moved>" in first.get_content()
    assert mail.steps == ["mail:25", "mail:25"]


def test_mails_of_what_comes_again_and_ends_again_are_told_apart(mail: type[Smtp]) -> None:
    """Two mails of one id would be shown as one."""
    over = dataclasses.replace(
        EDIT, group=dataclasses.replace(MESSAGE.group, state=SuperAlarmState.RESOLVED)
    )
    over_again = dataclasses.replace(over, group=dataclasses.replace(over.group, times=3))
    for message in (over, BACK, over_again):
        target_of(posted("smtp+plain://mail")).send(message)
    ids = [each["Message-ID"] for each in mail.sent]
    assert ids == ["<SA-1.1.resolve@berth>", "<SA-1.1.reopen.3@berth>", "<SA-1.1.resolve.3@berth>"]
    assert {each["In-Reply-To"] for each in mail.sent} == {"<SA-1@berth>"}


def test_mail_is_encrypted_unless_told_otherwise(mail: type[Smtp]) -> None:
    target_of(posted("smtp://mail", user="u", token="p")).send(MESSAGE)
    target_of(posted("smtps://mail")).send(MESSAGE)
    assert mail.steps == ["mail:587", "tls", "u:p", "mail:465"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (smtplib.SMTPResponseException(451, b"later"), UnreachableError),
        (smtplib.SMTPResponseException(550, b"never"), RefusedError),
        (OSError("down"), UnreachableError),
    ],
)
def test_what_a_mail_server_answers_decides_whether_it_is_asked_again(
    mail: type[Smtp], error: Exception, kind: type[Exception]
) -> None:
    mail.error = error
    with pytest.raises(kind):
        Email(posted("smtp+plain://mail")).send(MESSAGE)
