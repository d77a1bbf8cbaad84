"""What people do on the pages: by keyboard, by form, without scripts, and what others may not."""

from collections.abc import Mapping

import httpx
import pytest
from playwright import sync_api as playwright

from tests.story.served.conftest import PATIENCE_MS, Context
from tests.support.story import Story

pytestmark = pytest.mark.browser


def test_the_skip_link_comes_first_and_leads_to_the_content(
    addresses: Mapping[str, str], visit: Context
) -> None:
    page = visit(addresses["overview"])
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    playwright.expect(skip).to_be_focused()
    playwright.expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    playwright.expect(page.locator("main")).to_be_focused()


def test_a_super_alarm_is_taken_without_scripts(
    addresses: Mapping[str, str], visit: Context
) -> None:
    page = visit(addresses["cluster fault"], java_script_enabled=False)
    page.get_by_role("button", name="Acknowledge").click()
    playwright.expect(page.locator(".lead")).to_contain_text("acknowledged")
    assert page.url == addresses["cluster fault"]
    assert page.locator(".lead").inner_text().count("acknowledged") == 1


def test_a_super_alarm_is_silenced_without_scripts_and_the_reason_stays_text(
    addresses: Mapping[str, str], visit: Context
) -> None:
    page = visit(addresses["cluster fault"], java_script_enabled=False)
    page.get_by_label("Silence for").select_option("8 hours")
    page.get_by_label("because").fill("<b id=mine>known</b>")
    page.get_by_role("button", name="Silence").click()
    playwright.expect(page.locator(".lead")).to_contain_text("silenced")
    assert "<b id=mine>known</b>" in page.locator("main").inner_text()
    assert page.locator("#mine").count() == 0


def test_what_changes_is_shown_without_a_reload_and_typing_goes_on(
    addresses: Mapping[str, str], visit: Context, rest: httpx.Client
) -> None:
    address = addresses["cluster fault"]
    group = address.rpartition("/")[2]
    rest.post(f"/v1/super-alarms/{group}/silence", json={"seconds": 28_800, "because": "a test"})
    page = visit(address)
    page.evaluate("window.stayed = true")
    page.get_by_label("because").fill("half a sente")
    playwright.expect(page.locator(".lead")).to_contain_text("silenced")
    rest.post(f"/v1/super-alarms/{group}/ack")
    playwright.expect(page.locator(".lead")).to_contain_text("acknowledged")
    playwright.expect(page.get_by_label("because")).to_have_value("half a sente")
    playwright.expect(page.get_by_label("because")).to_be_focused()
    assert page.evaluate("window.stayed") is True


def test_open_details_stay_open_when_a_part_is_swapped(
    addresses: Mapping[str, str], visit: Context
) -> None:
    page = visit(addresses["data fault"])
    page.get_by_text("All of this as text").click()
    with page.expect_response(addresses["data fault"]):
        pass
    with page.expect_response(addresses["data fault"]):
        pass
    playwright.expect(page.locator("pre")).to_be_visible()


def test_a_retraining_leads_to_its_super_alarm_and_from_there_to_its_plan(
    story: Story, addresses: Mapping[str, str], visit: Context
) -> None:
    page = visit(addresses["retraining"])
    page.locator(".lead").get_by_role("link", name="retrain").click()
    playwright.expect(page).to_have_url(addresses["data fault"])
    page.locator("article.done").get_by_role("link", name="plan").click()
    playwright.expect(page.locator("h1")).to_contain_text("Plan p-")
    page.get_by_role("link", name=story.figures["data fault: retraining run"]).first.click()
    playwright.expect(page).to_have_url(addresses["retraining"])


def test_a_plan_says_why_for_every_task(addresses: Mapping[str, str], visit: Context) -> None:
    page = visit(addresses["plan"])
    tasks = page.get_by_role("region", name="Where each task runs").locator("tbody th a")
    for target in [link.get_attribute("href") for link in tasks.all()]:
        part = page.locator(str(target))
        assert part.locator(".ok", has_text="chosen").count() == 1
        assert part.get_by_text("Profile:").count() == 1


@pytest.mark.parametrize("path", ["/plans/x", "/runs/x", "/alarms/x", "/capacity/x", "/x"])
def test_what_is_not_there_gets_a_readable_page(path: str, story: Story, visit: Context) -> None:
    page = visit(story.url + path)
    playwright.expect(page.locator("h1")).to_have_text("Not Found")
    assert page.locator(".lead").inner_text().startswith(("there is no", "There is nothing"))
    assert page.get_by_role("link", name="Overview").count() == 1


@pytest.mark.parametrize("path", ["/v1/super-alarms/{}/ack", "/alarms/{}/acknowledge"])
def test_another_site_cannot_make_a_browser_change_anything(
    path: str, story: Story, addresses: Mapping[str, str], chromium: playwright.Browser
) -> None:
    target = story.url + path.format(addresses["cluster fault"].rpartition("/")[2])
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    form = f"<form method=post action='{target}'><button>Win a prize</button></form>"
    # The other port makes it another origin, though browsers call it the same site.
    page.route("http://127.0.0.1:9/", lambda r: r.fulfill(body=form, content_type="text/html"))
    page.goto("http://127.0.0.1:9/")
    with page.expect_response(target) as answer:
        page.get_by_role("button").click()
    status = answer.value.status
    context.close()
    assert status == httpx.codes.FORBIDDEN
