"""Which channel a super-alarm goes to, and when."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from alarms.notification.channels import Quiet, load_channels, routed, token_files
from engine.model.alarms import Severity
from engine.model.errors import InvalidInputError
from engine.testing.watch_suites import group

TEXT = """
[[channel]]
name = "ops"
kind = "webhook"
url = "http://ops"
link = "https://berth/"

[[channel]]
name = "growth"
kind = "pagerduty"
token_file = "key"
owners = ["team-growth"]
least = "info"
quiet = "22:00-07:00 Europe/Paris"

[[channel]]
name = "chat"
kind = "slack"
token = "x"
to = "C1"
least = "critical"

[[channel]]
name = "mail"
kind = "email"
url = "smtp://mail"
to = ["a@b"]
sender = "c@d"
"""
CHANNELS = load_channels(TEXT, "c.toml", {"key": "R1\n"})


def names(*owners: str, severity: Severity = Severity.CRITICAL) -> list[str]:
    told = dataclasses.replace(group(), severity=severity)
    return [channel.name for channel in routed(CHANNELS, told, owners)]


def test_a_channel_of_the_owner_is_told_and_no_other() -> None:
    assert names("team-growth", "somebody") == ["growth"]


def test_what_nobody_owns_goes_to_the_others() -> None:
    assert names() == names("somebody") == ["ops", "chat", "mail"]


def test_what_is_too_mild_is_not_told() -> None:
    assert names(severity=Severity.WARNING) == ["ops", "mail"]
    assert names("team-growth", severity=Severity.INFO) == ["growth"]


def test_tokens_stand_in_files() -> None:
    assert token_files(TEXT, "c.toml") == ("key",)
    assert CHANNELS[1].token == "R1"


@pytest.mark.parametrize(
    ("quiet", "now", "over"),
    [
        (("22:00", "07:00"), "23:30", "07:00+1"),
        (("22:00", "07:00"), "03:00", "07:00"),
        (("22:00", "07:00"), "12:00", "12:00"),
        (("09:00", "17:00"), "12:00", "17:00"),
        (("09:00", "17:00"), "17:00", "17:00"),
    ],
)
def test_quiet_hours_end(quiet: tuple[str, str], now: str, over: str) -> None:
    begins, ends = (int(text[:2]) * 60 + int(text[3:]) for text in quiet)
    made = Quiet(begins=begins, ends=ends, zone="UTC")
    day = 24 + over.endswith("+1")
    at = datetime(2026, 11, 24, int(now[:2]), int(now[3:]), tzinfo=UTC).timestamp()
    expected = datetime(2026, 11, day, int(over[:2]), int(over[3:5]), tzinfo=UTC).timestamp()
    assert made.over_at(at) == expected


def test_what_is_critical_does_not_wait() -> None:
    at = datetime(2026, 11, 24, 23, 30, tzinfo=UTC).timestamp()
    growth = CHANNELS[1]
    mild = dataclasses.replace(group(), severity=Severity.WARNING)
    assert growth.due_at(group(), at) == at
    assert growth.due_at(mild, at) == datetime(2026, 11, 25, 6, 0, tzinfo=UTC).timestamp()
    assert CHANNELS[0].due_at(mild, at) == at


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "x = 1",
        "channel = 3",
        "channel = [3]",
        '[[channel]]\nname = "A"\nkind = "webhook"',
        '[[channel]]\nname = "a"\nkind = "pigeon"',
        '[[channel]]\nname = "a"\nkind = "slack"',
        '[[channel]]\nname = "a"\nkind = "pagerduty"',
        '[[channel]]\nname = "a"\nkind = "webhook"\nurl = 3\nleast = "some"\nulr = "x"',
        '[[channel]]\nname = "a"\nkind = "webhook"\nurl = "x"\nowners = 3',
        '[[channel]]\nname = "a"\nkind = "webhook"\nurl = "x"\nquiet = "night"',
        '[[channel]]\nname = "a"\nkind = "webhook"\nurl = "x"\ndigest = "often"',
        '[[channel]]\nname = "a"\nkind = "pagerduty"\ntoken = "x"\ndigest = "4h"',
        '[[channel]]\nname = "a"\nkind = "webhook"\nurl = "x"\nquiet = "25:00-07:00"',
        '[[channel]]\nname = "a"\nkind = "webhook"\nurl = "x"\nquiet = "22:00-07:00 Mars"',
        '[[channel]]\nname = "a"\nkind = "webhook"\nurl = "x"\n' * 2,
        "".join(f'[[channel]]\nname = "a{n}"\nkind = "webhook"\nurl = "x"\n' for n in range(17)),
    ],
)
def test_faults_of_the_file_are_named(text: str) -> None:
    with pytest.raises(InvalidInputError):
        load_channels(text, "c.toml", {})
