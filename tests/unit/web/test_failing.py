"""What browsers and programs get when something is wrong."""

from pathlib import Path

import fastapi
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from api.messages.context import Context
from api.web import desk, failing
from api.wiring.hands_desk import HandsDesk
from api.wiring.training_desk import TrainingDesk
from engine.model import errors
from engine.ports import Ledger
from engine.testing.clocks import ManualClock


@pytest.mark.parametrize("path", ["/plans/x", "/runs/x", "/alarms/x", "/capacity/x", "/x"])
def test_what_is_missing_is_a_page_for_browsers(path: str, browser: TestClient) -> None:
    answer = browser.get(path)
    assert answer.status_code == 404
    assert "<h1>Not Found</h1>" in answer.text


def test_a_page_of_an_error_says_what_its_code_means(browser: TestClient) -> None:
    text = browser.get("/plans/x").text
    assert 'Error <a href="/help/N001">N001</a>: Nothing has that name. Names that' in text


def test_an_error_of_ours_says_what_to_do_and_never_how_it_came(
    application: fastapi.FastAPI, browser: TestClient
) -> None:
    @application.get("/broken")
    def broken() -> None:
        raise RuntimeError("password")

    answer = browser.get("/broken")
    assert answer.status_code == 500
    assert "the engine&#39;s log has the trace" in answer.text
    assert "password" not in answer.text


def test_other_refusals_keep_their_status(browser: TestClient) -> None:
    answer = browser.put("/plans")
    assert (answer.status_code, "Method Not Allowed" in answer.text) == (405, True)


def _plain(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 404)


async def _patient(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 404)


@pytest.mark.parametrize("before", [_plain, _patient])
@pytest.mark.parametrize(
    ("path", "accept"), [("/missing", "application/json"), ("/v1/missing", "text/html")]
)
def test_programs_get_what_they_got_before(
    before: failing.Handler, path: str, accept: str, ledger: Ledger
) -> None:
    application = fastapi.FastAPI()
    application.add_exception_handler(errors.BerthError, before)

    @application.get(path)
    def missing() -> None:
        raise errors.NotFoundError("gone")

    failing.install(application, desk.Desk(_sources(ledger)))
    answer = TestClient(application).get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.json()) == (404, {"detail": "gone"})


def _sources(ledger: Ledger) -> desk.Sources:
    return desk.Sources(
        ledger=ledger,
        clock=ManualClock(0.0),
        fleet=lambda: pytest.fail("no page was asked for"),
        version="0.1.0",
        acknowledge=pytest.fail,
        silence=lambda *what: pytest.fail(str(what)),
        context=lambda _: Context(),
        hands=HandsDesk(ledger, ManualClock(0.0), pytest.fail),
        trainings=TrainingDesk(Path("/nonexistent"), pytest.fail),
    )
