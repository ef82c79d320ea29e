"""The page of the operator in a real browser, over a real watcher."""

import httpx
import pytest
from playwright.async_api import expect

from tests.api.page.scene import CANARY, LOST, NARROW, WIDE, check_layout, opened, scene, url
from tests.chromium import browser
from tests.e2e.scene import ENDLESS, QUIET, end_tasks, free_port, tasks
from watcher.simulator import Scenario, simulator

pytestmark = pytest.mark.process

TOKEN = "a-token-of-the-test"


def endless() -> Scenario:
    return Scenario(durations=ENDLESS, mark=CANARY, credentials={"simulator": "simulator"})


async def test_a_task_goes_through_its_states_live(tmp_path):
    """Transitions appear on the overview and on the page of the task as they are detected, without a reload."""
    [ref] = tasks(1)
    async with (
        simulator(endless()) as sim,
        scene(tmp_path, sim) as watched,
        watched.running() as app,
        browser() as chromium,
        opened(chromium, url(app)) as page,
    ):
        await expect(page.locator("#connection")).to_have_text("● Live")
        await expect(page.get_by_role("heading", level=1)).to_have_text("All is well.")
        await expect(page.locator(".tasks")).to_contain_text("No task is open")
        watched.submit([ref])
        live = page.get_by_role("region", name="Live transitions")
        await expect(live.get_by_role("listitem").first).to_contain_text("IN_PROGRESS")
        await expect(page.get_by_role("row", name="IN_PROGRESS")).to_be_visible()
        await live.get_by_role("link").first.click()
        timeline = page.get_by_role("region", name="Timeline")
        await expect(timeline.get_by_role("listitem").last).to_have_text("still watched")
        await expect(page.get_by_role("region", name="Next poll, and why")).to_contain_text("cadence.type is fixed")
        end_tasks(sim, [ref])
        await expect(timeline.get_by_role("listitem").last).to_contain_text("STOPPED")
        await expect(page.get_by_role("region", name="Why it is no longer polled")).to_contain_text("terminal status")
        await page.get_by_role("link", name="Overview").click()
        await expect(live.get_by_role("listitem").first).to_contain_text("STOPPED")
        await expect(page.locator(".tasks")).to_contain_text("No task is open")


async def test_no_result_no_message_and_no_context_is_shown(tmp_path):
    """What the API returns about a task has its result, its message, and its context; the page has none of them."""
    quiet = QUIET.model_copy(update={"mark": CANARY, "failed": 0.5, "stopped": 0})
    async with simulator(quiet) as sim, scene(tmp_path, sim) as watched, watched.running() as app, browser() as chromium:
        async with opened(chromium, url(app)) as page:
            await expect(page.locator("#connection")).to_have_text("● Live")
            watched.submit(tasks(4))
            live = page.get_by_role("region", name="Live transitions")
            for end in ("SUCCEEDED", "FAILED"):
                await expect(live).to_contain_text(end)
                assert CANARY not in await page.content()
                await live.get_by_role("listitem").filter(has_text=end).first.get_by_role("link").click()
                await expect(page.get_by_role("region", name="Timeline")).to_contain_text(end)
                assert CANARY not in await page.content()
                await page.get_by_role("link", name="Overview").click()
        async with httpx.AsyncClient(base_url=url(app), trust_env=False) as client:
            events = [event["data"] for event in (await client.get("/v1/events")).json()["events"]]
            for member in ("result", "message", "context"):
                assert any(CANARY in str(data[member]) for data in events), "else the test could not fail"


async def test_the_keyboard_is_enough(tmp_path):
    """Without a pointer: the slash searches, the only match opens at once, several are a list of links, and Tab skips to the content."""
    refs = tasks(3)
    async with (
        simulator(endless()) as sim,
        scene(tmp_path, sim) as watched,
        watched.running() as app,
        browser() as chromium,
        opened(chromium, url(app)) as page,
    ):
        watched.submit(refs)
        await expect(page.get_by_role("region", name="Open tasks", exact=True)).to_contain_text("3")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await page.keyboard.press("/")
        await page.keyboard.type("task-000")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(3)
        await check_layout(page)
        await page.locator("main").focus()
        for _ in range(2):  # back to the overview, then the newest task
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("task-0002")
        await page.keyboard.press("/")
        await page.keyboard.press("Control+a")
        await page.keyboard.type("task-0001")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("task-0001")
        end_tasks(sim, refs)


async def test_a_token_is_asked_for(tmp_path):
    """The page asks for a token if the API needs one, shows the error for a wrong one, and keeps a valid one for this tab only."""
    api = {"listen": "127.0.0.1:0", "tokens": [{"name": "page", "role": "read", "token": TOKEN}]}
    async with (
        simulator(endless()) as sim,
        scene(tmp_path, sim, api=api) as watched,
        watched.running() as app,
        browser() as chromium,
        opened(chromium, url(app), allowed=[LOST]) as page,
    ):
        field = page.get_by_label("Token", exact=True)
        await expect(field).to_be_focused()
        await check_layout(page)
        await page.keyboard.type("not-the-right-token")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not one of api.tokens")
        await field.fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="All is well.")).to_be_visible()
        await expect(page.locator("#connection")).to_have_text("● Live")
        await page.reload()
        await expect(page.get_by_role("heading", name="All is well.")).to_be_visible()
        assert await page.evaluate("() => [localStorage.length, document.cookie, location.search]") == [0, "", ""]


async def test_it_reconnects_after_a_restart(tmp_path):
    """While the watcher is down, the page says so; then it reconnects, and shows the transitions that it missed."""
    [ref] = tasks(1)
    listen = f"127.0.0.1:{free_port()}"
    async with simulator(endless()) as sim, scene(tmp_path, sim, listen=listen) as watched, browser() as chromium:
        async with watched.running() as app:
            context = opened(chromium, url(app), allowed=[LOST])
            page = await context.__aenter__()
            watched.submit([ref])
            await expect(page.get_by_role("region", name="Live transitions")).to_contain_text("IN_PROGRESS")
        await expect(page.locator("#connection")).to_have_text("◌ Reconnecting")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("has not answered since")
        end_tasks(sim, [ref])
        async with watched.running():
            await expect(page.get_by_role("heading", level=1)).to_have_text("All is well.")
            await expect(page.locator("#connection")).to_have_text("● Live")
            await expect(page.get_by_role("region", name="Live transitions").get_by_role("listitem").first).to_contain_text("STOPPED")
            await context.__aexit__(None, None, None)


async def test_trouble_comes_first_with_what_to_do(tmp_path):
    """A sink that does not work and rejected credentials are named first, with the reason, the time, and a hint; axe finds no fault."""
    refs = tasks(40)
    hook = {
        "type": "webhook",
        "name": "crm",
        "url": f"https://127.0.0.1:{free_port()}/",
        "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    }
    sinks = [{"type": "jsonl", "name": "events", "path": str(tmp_path / "events.jsonl")}, hook]
    async with (
        simulator(endless()) as sim,
        scene(tmp_path, sim, sinks=sinks) as watched,
        watched.running() as app,
        browser() as chromium,
    ):
        watched.submit(refs)
        async with opened(chromium, url(app)) as page:
            trouble = page.get_by_role("region", name="Condition")
            await expect(trouble.get_by_role("heading")).to_contain_text("Sink crm has not worked since")
            await expect(trouble).to_contain_text("check that it is running and reachable")
            sim.service.scenario.credentials.clear()
            await expect(trouble.get_by_role("heading")).to_contain_text("The credentials have not been accepted since")
            await expect(trouble).to_contain_text("check AWS_PROFILE")
            await expect(page).to_have_title("(2) Watcher")
            await expect(page.locator(".cards .plot").first).to_be_visible()
            for scheme, viewport in (("light", WIDE), ("dark", NARROW)):
                await page.emulate_media(color_scheme=scheme)
                await page.set_viewport_size(viewport)
                await check_layout(page)


async def test_a_busy_page_and_a_task_are_accessible(tmp_path):
    """axe finds no fault on a page with many tasks and on the page of a task, in light and dark, wide and narrow."""
    refs = tasks(60)
    async with simulator(endless()) as sim, scene(tmp_path, sim) as watched, watched.running() as app, browser() as chromium:
        watched.submit(refs)
        async with opened(chromium, url(app), viewport=NARROW) as page:
            await expect(page.get_by_role("region", name="Open tasks", exact=True)).to_contain_text("60")
            await expect(page.locator(".cards .plot").first).to_be_visible()
            await check_layout(page)
            await page.emulate_media(color_scheme="dark")
            await page.set_viewport_size(WIDE)
            await check_layout(page)
            end_tasks(sim, refs[:1])
            await page.goto(f"{url(app)}/#/tasks/{refs[0].key}")
            await expect(page.get_by_role("region", name="Timeline")).to_contain_text("STOPPED")
            await check_layout(page)
            await page.emulate_media(color_scheme="light")
            await page.set_viewport_size(NARROW)
            await check_layout(page)
