"""Changes that other sites ask for are refused, and every answer tells browsers how to behave."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from api.rest.browsers import Browsers


def _answer(request: Request) -> Response:
    return PlainTextResponse("done", headers={"X-Content-Type-Options": "nosniff"})


async def _talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    routes = [
        Route("/", _answer, methods=["GET", "POST", "DELETE"]),
        WebSocketRoute("/talk", _talk),
    ]
    return TestClient(
        Starlette(routes=routes, middleware=[Middleware(Browsers)]), base_url="http://here:1"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://here:1"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://here:1"},
    ],
)
def test_programs_and_our_own_pages_may_change_things(
    headers: dict[str, str], client: TestClient
) -> None:
    assert client.post("/", headers=headers).text == "done"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://here:2"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_other_sites_may_not(method: str, headers: dict[str, str], client: TestClient) -> None:
    answer = client.request(method, "/", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "H403"


def test_other_sites_may_link_to_us(client: TestClient) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).text == "done"


def test_every_answer_has_security_headers_once(client: TestClient) -> None:
    headers = client.get("/").headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert headers["Referrer-Policy"] == "same-origin"


def test_other_protocols_pass(client: TestClient) -> None:
    with client.websocket_connect("/talk"):
        pass
