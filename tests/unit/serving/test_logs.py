"""Logs of the processes that serve: uvicorn's errors stay, and handlers of others do too."""

from __future__ import annotations

import logging
import re
from typing import cast

import pytest
from starlette.types import Receive, Scope, Send

from executors.serving import faces, logs
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


EVERY = pytest.mark.parametrize(
    "inference", [None, cast("Application", served)], ids=["any other", "model server"]
)


@EVERY
def test_handlers_of_other_libraries_stay_open(inference: Application | None) -> None:
    handler = Handler()
    faces.configuration(served, inference)
    assert not handler.closed


@EVERY
def test_errors_of_uvicorn_are_told_and_requests_are_not(
    inference: Application | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    logs.to_standard_error()
    made = faces.configuration(served, inference)
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
