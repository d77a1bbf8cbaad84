"""Targets of notifications: webhooks, e-mail, Slack and PagerDuty, each with a short patience."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from alarms.notification import wording
from alarms.notification.channels import Channel, ChannelKind
from alarms.notification.outbox import Target
from engine.model.errors import RefusedError, UnreachableError
from engine.model.messages import Message

TIMEOUT_SECONDS = 5.0
SLACK_URL = "https://slack.com/api"
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
_BUSY = 429
_SERVER_ERROR = 500
_ERROR = 300
_SMTP_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
_SLACK_RETRYABLE = frozenset(
    {"ratelimited", "service_unavailable", "internal_error", "fatal_error"}
)


def target_of(channel: Channel) -> Target:
    """Return what sends the messages of a channel."""
    kinds: Mapping[ChannelKind, type[Webhook | Slack | PagerDuty | Email]] = {
        ChannelKind.WEBHOOK: Webhook,
        ChannelKind.SLACK: Slack,
        ChannelKind.PAGERDUTY: PagerDuty,
        ChannelKind.EMAIL: Email,
    }
    return kinds[channel.kind](channel)


def _post(url: str, body: object, headers: Mapping[str, str]) -> httpx.Response:
    """Post JSON.

    Raises:
        UnreachableError: when the target is down, slow or busy.
        RefusedError: when it refuses the message.
    """
    host = urlsplit(url).netloc
    try:
        response = httpx.post(
            url, json=body, headers=dict(headers), timeout=TIMEOUT_SECONDS, follow_redirects=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreachableError(f"{host} does not answer: {type(error).__name__} {error}") from error
    if response.status_code == _BUSY or response.status_code >= _SERVER_ERROR:
        raise UnreachableError(f"{host} answered {response.status_code}")
    if response.status_code >= _ERROR:
        message = f"{host} answered {response.status_code}: {response.text[:200]}"
        raise RefusedError(message, fix="look at the channel's file", code="A006")
    return response


class Webhook:
    """Posts JSON to an address; the receiver edits by `dedup_key`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def send(self, message: Message) -> str:
        """Post a message."""
        headers = {"Idempotency-Key": f"{message.message_id}@{message.revision}"}
        if self._channel.token:
            headers["Authorization"] = f"Bearer {self._channel.token}"
        _post(self._channel.url, wording.webhook_body(message, self._channel.link), headers)
        return wording.key_of(message)


class Slack:
    """Posts to Slack: by the Web API, edited in place, or to an incoming webhook.

    An incoming webhook cannot edit, so it is told only when people are called, of the end, and of
    what came again after its end was told.
    A call about a message that is there already goes into its thread, and to the channel.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def send(self, message: Message) -> str:
        """Post or edit a message; returns `CHANNEL/TIMESTAMP`."""
        body = wording.slack_body(message, self._channel.link)
        event = wording.event_of(message)
        if not self._channel.token:
            if event not in {"edit", "acknowledge"}:
                _post(self._channel.url, body, {})
            return wording.key_of(message)
        if not message.reference:
            return self._called("chat.postMessage", {"channel": self._channel.to[0], **body})
        place, _, stamp = message.reference.partition("/")
        self._called("chat.update", {"channel": place, "ts": stamp, **body})
        if event == "again":
            reply = {"channel": place, "thread_ts": stamp, "reply_broadcast": True}
            self._called("chat.postMessage", {**reply, "text": wording.headline(message)})
        return message.reference

    def _called(self, method: str, body: Mapping[str, object]) -> str:
        url = f"{self._channel.url or SLACK_URL}/{method}"
        headers = {"Authorization": f"Bearer {self._channel.token}"}
        answer = cast("Mapping[str, Any]", _json(_post(url, body, headers)))
        if not answer.get("ok"):
            why = str(answer.get("error", "no reason"))
            if why in _SLACK_RETRYABLE:
                raise UnreachableError(f"Slack answered {why}")
            message = f"Slack refuses {method}: {why}"
            raise RefusedError(message, fix="look at the token's scopes", code="A006")
        return f"{answer.get('channel', '')}/{answer.get('ts', '')}"


def _json(response: httpx.Response) -> object:
    try:
        content = response.json()
    except ValueError as error:
        raise UnreachableError(f"{response.url.host} answered no JSON") from error
    return content if isinstance(content, dict) else {}


class PagerDuty:
    """Sends events of PagerDuty's Events API v2, which edits by `dedup_key`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def send(self, message: Message) -> str:
        """Send an event."""
        body = wording.pagerduty_body(message, self._channel.token, self._channel.link)
        _post(self._channel.url or PAGERDUTY_URL, body, {})
        return wording.key_of(message)


class Email:
    """Sends mail, which cannot be edited, as one thread.

    That is when people are called, at the end, and when it comes again after its end was told.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def send(self, message: Message) -> str:
        """Send a mail, unless the change calls nobody."""
        if wording.event_of(message) in {"edit", "acknowledge"}:
            return wording.key_of(message)
        try:
            self._send(self.mail(message))
        except smtplib.SMTPResponseException as error:
            why = f"the mail server answered {error.smtp_code}: {error.smtp_error!r}"
            if error.smtp_code < _SERVER_ERROR:
                raise UnreachableError(why) from error
            raise RefusedError(why, fix="look at the channel's file", code="A006") from error
        except (OSError, smtplib.SMTPException) as error:
            raise UnreachableError(f"the mail server does not answer: {error}") from error
        return wording.key_of(message)

    def mail(self, message: Message) -> EmailMessage:
        """Return a message as mail; a repetition has the same id."""
        name = str(message.group.super_alarm_id)
        event = wording.event_of(message)
        mail = EmailMessage()
        mail["Subject"] = wording.headline(message).replace("\n", " ")
        mail["From"] = self._channel.sender
        mail["To"] = ", ".join(self._channel.to)
        if message.others:
            name = wording.key_of(message).replace("/", ".")
        root = f"<{name}@berth>"
        is_first = event in {"trigger", "digest"}
        again = "" if message.group.times == 1 else f".{message.group.times}"
        later = f"<{name}.{message.pings}.{event}{again}@berth>"
        mail["Message-ID"] = root if is_first else later
        if not is_first:
            mail["In-Reply-To"] = mail["References"] = root
        mail.set_content(wording.text_of(message, self._channel.link))
        return mail

    def _send(self, mail: EmailMessage) -> None:
        address = urlsplit(self._channel.url)
        host, port = address.hostname or "localhost", address.port or _SMTP_PORTS[address.scheme]
        context = ssl.create_default_context()
        if address.scheme == "smtps":
            with smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=context) as server:
                self._hand(server, mail)
            return
        with smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS) as server:
            if address.scheme != "smtp+plain":
                server.starttls(context=context)
            self._hand(server, mail)

    def _hand(self, server: smtplib.SMTP, mail: EmailMessage) -> None:
        if self._channel.user:
            server.login(self._channel.user, self._channel.token)
        server.send_message(mail)
