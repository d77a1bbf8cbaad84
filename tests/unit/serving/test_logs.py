"""Logs of the processes that serve: uvicorn's errors stay, and handlers of others do too."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from executors.serving import logs, standalone
from executors.serving.gateway import process as gateway
from executors.serving.gateway.gateway import Gateway, Limits
from executors.serving.runner import process as runner
from executors.serving.v2.application import Application


class Handler(logging.Handler):
    """One of another library."""

    closed = False

    def close(self) -> None:
        """Note that it was shut down."""
        self.closed = True
        super().close()


async def served(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer nothing."""


def of_gateway() -> uvicorn.Config:
    table: Any = None
    return gateway.configuration(Gateway(table=table, limits=Limits()))


EVERY = pytest.mark.parametrize(
    "configuration",
    [
        lambda: standalone.configuration(served, cast("Application", served)),
        lambda: runner.configuration(served),
        of_gateway,
    ],
    ids=["model server", "runner", "gateway"],
)


@EVERY
def test_handlers_of_other_libraries_stay_open(configuration: Callable[[], uvicorn.Config]) -> None:
    handler = Handler()
    configuration()
    assert not handler.closed


@EVERY
def test_errors_of_uvicorn_are_told_and_requests_are_not(
    configuration: Callable[[], uvicorn.Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    logs.to_standard_error()
    made = configuration()
    assert not made.access_log
    logging.getLogger("uvicorn.access").info("GET /")
    logging.getLogger("uvicorn.error").info("Started")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    said = capsys.readouterr()
    assert not said.out
    assert re.fullmatch(r"[-\d]+ [:,\d]+ ERROR uvicorn\.error: Exception in .*\n", said.err)


def test_who_has_handlers_keeps_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root, "handlers", [Handler()])
    logs.to_standard_error()
    assert [type(each) for each in logging.root.handlers] == [Handler]
