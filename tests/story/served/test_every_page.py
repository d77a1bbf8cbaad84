"""What holds for every page: accessible, small, from here alone, and there without scripts."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright import sync_api as playwright

from tests.story.served.conftest import AXE, Context

PAGES = (
    "overview",
    "plans",
    "plan",
    "re-plan",
    "runs",
    "run",
    "retraining",
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
    "super-alarms": 1,
    "data fault": 4,
    "cluster fault": 3,
    "capacity": 1,
    "capacity report": 3,
    "fleet": 1,
    "nothing": 0,
}
MOST_REQUESTS, MOST_BYTES = 8, 300_000

pytestmark = pytest.mark.browser
every_page = pytest.mark.parametrize("name", PAGES)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@every_page
def test_axe_finds_nothing(
    name: str, scheme: str, addresses: Mapping[str, str], visit: Context
) -> None:
    page = visit(addresses[name], color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [
        (fault["id"], fault["nodes"][0]["html"][:120], fault["nodes"][0]["failureSummary"])
        for fault in found["violations"]
    ] == []


@every_page
def test_nothing_scrolls_sideways_on_a_phone(
    name: str, addresses: Mapping[str, str], visit: Context
) -> None:
    page = visit(addresses[name], viewport={"width": 390, "height": 844})
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0


@every_page
def test_the_content_is_there_without_scripts(
    name: str, addresses: Mapping[str, str], visit: Context
) -> None:
    page = visit(addresses[name], java_script_enabled=False)
    assert page.locator("h1").count() == 1
    assert page.locator("main table").count() >= TABLES_OF[name]


@every_page
def test_requests_are_few_small_and_for_this_host(
    name: str, addresses: Mapping[str, str], chromium: playwright.Browser
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    answers: list[playwright.Response] = []

    def keep(answer: playwright.Response) -> None:
        answers.append(answer)

    page.on("response", keep)
    page.goto(addresses[name], wait_until="load")
    loaded = list(answers)
    sizes = [len(answer.body()) for answer in loaded]
    context.close()
    assert {urlsplit(answer.url).netloc for answer in loaded} == {urlsplit(addresses[name]).netloc}
    assert len(loaded) <= MOST_REQUESTS
    assert sum(sizes) <= MOST_BYTES


@every_page
def test_the_browser_has_nothing_to_complain_about(
    name: str, addresses: Mapping[str, str], chromium: playwright.Browser
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(addresses[name], wait_until="load")
    context.close()
    assert [line for line in said if "404 (Not Found)" not in line or name != "nothing"] == []


@every_page
def test_security_headers_are_set(
    name: str, addresses: Mapping[str, str], rest: httpx.Client
) -> None:
    headers = rest.get(addresses[name], headers={"Accept": "text/html"}).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe-eval" not in headers["Content-Security-Policy"]


@every_page
def test_every_stop_of_the_keyboard_shows_its_focus(
    name: str, addresses: Mapping[str, str], visit: Context
) -> None:
    page = visit(addresses[name])
    outlines = []
    for _ in range(12):
        page.keyboard.press("Tab")
        outlines.append(
            page.evaluate(
                "document.activeElement === document.body ? 'left'"
                " : getComputedStyle(document.activeElement).outlineStyle"
            )
        )
    assert "none" not in outlines
