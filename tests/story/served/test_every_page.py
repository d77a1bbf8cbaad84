"""What holds for every page: accessible, small, from here alone, and there without scripts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import pytest
from playwright import sync_api as playwright

from tests.story.served.conftest import AXE, PATIENCE_MS

PAGES = (
    "overview",
    "plans",
    "plan",
    "re-plan",
    "runs",
    "run",
    "retraining",
    "records",
    "two records",
    "super-alarms",
    "data fault",
    "cluster fault",
    "capacity",
    "capacity report",
    "fleet",
    "nothing",
)
TABLES_OF = {
    "overview": 3,
    "plans": 1,
    "plan": 20,
    "re-plan": 3,
    "runs": 1,
    "run": 2,
    "retraining": 2,
    "records": 3,
    "two records": 2,
    "super-alarms": 1,
    "data fault": 4,
    "cluster fault": 3,
    "capacity": 1,
    "capacity report": 3,
    "fleet": 1,
    "nothing": 0,
}
MOST_REQUESTS, MOST_BYTES = 8, 300_000
LOOKED_FOR: dict[str, dict[str, list[str]]] = {
    "light": {},
    "dark": {"runOnly": ["color-contrast", "link-in-text-block"]},
}
"""Rules of axe by colour scheme: all, and then those that go by colours."""
PHONE: playwright.ViewportSize = {"width": 390, "height": 844}
DESK: playwright.ViewportSize = {"width": 1280, "height": 720}

pytestmark = pytest.mark.browser


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A page that is open, and what was fetched and said until it was loaded."""

    name: str
    address: str
    page: playwright.Page
    answers: tuple[playwright.Response, ...]
    bytes_loaded: int
    complaints: tuple[str, ...]


@pytest.fixture(scope="module", params=PAGES)
def visited(
    request: pytest.FixtureRequest, addresses: Mapping[str, str], chromium: playwright.Browser
) -> Iterator[Visit]:
    """Each page, loaded once for all that is asked of it."""
    name = request.param
    # Colours that fade over when the scheme changes would be judged half-way.
    context = chromium.new_context(viewport=DESK, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    answers: list[playwright.Response] = []
    said: list[str] = []

    def keep(answer: playwright.Response) -> None:
        answers.append(answer)

    page.on("response", keep)
    page.on("console", lambda line: said.append(line.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(addresses[name], wait_until="load")
    loaded = tuple(answers)
    yield Visit(
        name=name,
        address=addresses[name],
        page=page,
        answers=loaded,
        bytes_loaded=sum(len(answer.body()) for answer in loaded if not is_stream(answer)),
        complaints=tuple(said),
    )
    context.close()


def is_stream(answer: playwright.Response) -> bool:
    """Whether an answer goes on until its page is closed."""
    return answer.headers.get("content-type", "").startswith("text/event-stream")


def test_requests_are_few_small_and_for_this_host(visited: Visit) -> None:
    assert {urlsplit(answer.url).netloc for answer in visited.answers} == {
        urlsplit(visited.address).netloc
    }
    assert len(visited.answers) <= MOST_REQUESTS
    assert visited.bytes_loaded <= MOST_BYTES


def test_the_browser_has_nothing_to_complain_about(visited: Visit) -> None:
    excused = "404 (Not Found)" if visited.name == "nothing" else None
    assert [s for s in visited.complaints if excused is None or excused not in s] == []


def test_every_stop_of_the_keyboard_shows_its_focus(visited: Visit) -> None:
    outlines = []
    for _ in range(12):
        visited.page.keyboard.press("Tab")
        outlines.append(
            visited.page.evaluate(
                "document.activeElement === document.body ? 'left'"
                " : getComputedStyle(document.activeElement).outlineStyle"
            )
        )
    assert "none" not in outlines


def test_nothing_scrolls_sideways_on_a_phone(visited: Visit) -> None:
    root = "document.documentElement"
    visited.page.set_viewport_size(PHONE)
    wider = visited.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    visited.page.set_viewport_size(DESK)
    assert wider == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: Literal["light", "dark"], visited: Visit) -> None:
    page = visited.page
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate(
        "rules => axe.run(document, {resultTypes: ['violations'], ...rules})", LOOKED_FOR[scheme]
    )
    assert [
        (fault["id"], fault["nodes"][0]["html"][:120], fault["nodes"][0]["failureSummary"])
        for fault in found["violations"]
    ] == []


@pytest.fixture(scope="module")
def without_scripts(chromium: playwright.Browser) -> Iterator[playwright.Page]:
    """A visitor whose browser runs no scripts."""
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_the_content_is_there_without_scripts(
    name: str, addresses: Mapping[str, str], without_scripts: playwright.Page
) -> None:
    page = without_scripts
    page.goto(addresses[name], wait_until="load")
    assert page.locator("h1").count() == 1
    assert page.locator("main table").count() >= TABLES_OF[name]


@pytest.mark.parametrize("name", PAGES)
def test_security_headers_are_set(
    name: str, addresses: Mapping[str, str], rest: httpx.Client
) -> None:
    headers = rest.get(addresses[name], headers={"Accept": "text/html"}).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe-eval" not in headers["Content-Security-Policy"]
