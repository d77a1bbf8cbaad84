"""The engine of a told story, the addresses of all its pages, and a headless Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from playwright import sync_api as playwright

from tests.support.story import Story

Context = Callable[..., playwright.Page]

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Each visitor would get several processes, most of which wait in vain.
    "--renderer-process-limit=1",
)
PATIENCE_MS = 120_000
"""How long a browser waits for what a page is to do."""
AXE = Path(__file__).parents[2] / "support" / "vendor" / "axe.min.js"


@pytest.fixture(scope="package")
def story(told: Story) -> Iterator[Story]:
    """The story while its engine serves, which it does only for the tests of this folder."""
    yield told
    told.end()


@pytest.fixture(scope="package")
def chromium() -> Iterator[playwright.Browser]:
    programs = map(shutil.which, ("chromium-headless-shell", "chromium"))
    path = os.environ.get("BERTH_CHROMIUM") or next(filter(None, programs), None)
    if path is None:
        pytest.skip("there is no chromium on this machine: apt-get install chromium-headless-shell")
    with playwright.sync_playwright() as driver:
        playwright.expect.set_options(timeout=PATIENCE_MS)
        browser = driver.chromium.launch(
            executable_path=path, args=list(ARGUMENTS), timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: playwright.Browser) -> Iterator[Context]:
    """Opens addresses, each as a visitor of its own; takes what a browser context takes."""
    contexts: list[playwright.BrowserContext] = []

    def open_page(address: str, **wishes: object) -> playwright.Page:
        contexts.append(chromium.new_context(**wishes))
        contexts[-1].set_default_timeout(PATIENCE_MS)
        page = contexts[-1].new_page()
        page.goto(address, wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="package")
def rest(story: Story) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=story.url, timeout=120.0, trust_env=False) as client:
        yield client


@pytest.fixture(scope="package")
def addresses(story: Story, rest: httpx.Client) -> Mapping[str, str]:
    """The address of every page by its name in `PAGES`."""
    figures = story.figures
    listed = rest.get("/capacity", headers={"Accept": "text/html"}).text
    report = listed.partition('href="/capacity/')[2].partition('"')[0]
    paths = {
        "overview": "/",
        "plans": "/plans",
        "plan": f"/plans/{figures['plan']}",
        "re-plan": f"/plans/{figures['cluster fault: re-plan']}",
        "runs": "/runs",
        "run": f"/runs/{figures['run']}",
        "retraining": f"/runs/{figures['data fault: retraining run']}",
        "records": f"/records/{figures['run']}",
        "two records": f"/records/{figures['run']}/{figures['data fault: retraining run']}",
        "super-alarms": "/alarms",
        "data fault": f"/alarms/{figures['data fault: super-alarm']}",
        "cluster fault": f"/alarms/{figures['cluster fault: super-alarm']}",
        "capacity": "/capacity",
        "capacity report": f"/capacity/{report}",
        "fleet": "/fleet",
        "nothing": "/alarms/nobody",
    }
    return {name: story.url + path for name, path in paths.items()}
