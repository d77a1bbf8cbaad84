"""Checks that settle causes: a closed set of looks that Berth can take, and their results.

A check only reads: it changes nothing, and is bounded in time. What needs a person (restart this,
ask that team) is no check but an instruction (`Cause.settle`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckKind(StrEnum):
    """What is looked at."""

    SCHEMA = "compare the schema with the last good one"
    ROWS = "count rows and empty cells against earlier runs"
    CLUSTER = "ask whether the cluster answers"
    GOLDEN = "send the package's example requests to the server"
    QUALITY = "compare the quality of labelled requests before and after the deployment"
    REQUESTS = "compare the requests with the same time before"
    CONFIGURATION = "compare the configuration with that of the last good run"
    ROLL_BACK = "compare the signals before and after the roll-back"
    """No look of its own: what was done about a cause tells whether it was the cause."""
    RETRAINING = "compare the signals before and after the retraining"


class Verdict(StrEnum):
    """What a check says of the cause that it was run for."""

    CONFIRMS = "confirms"
    DENIES = "denies"
    OPEN = "says nothing"
    """It could not be run, or what it saw speaks neither for nor against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One look: its kind and what it is about.

    subject: `cluster:NAME`, `task:PIPELINE/TASK`, `model:PIPELINE` or `pipeline:PIPELINE`.
    since: when the trouble began; what is compared are the times before and after.
    """

    kind: CheckKind
    subject: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How a check came out.

    at: when it was run; took_seconds: how long it took. message: what was seen, with numbers.
    """

    kind: CheckKind
    subject: str
    verdict: Verdict
    message: str
    at: float
    took_seconds: float
