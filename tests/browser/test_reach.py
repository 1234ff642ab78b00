"""The page for everybody: by keyboard alone, on a phone, in the dark, and when the server goes away."""

from __future__ import annotations

import re
import signal

import httpx
from playwright.sync_api import Page, expect

from tests.browser.actions import (
    easel,
    gallery,
    generate,
    is_wider_than_the_window,
    open_settings,
    prompt_bar,
    set_steps,
)
from tests.browser.conftest import OpenPage
from tests.running import RunningServer

MOST_TABS = 40


def tab_to(page: Page, name: str) -> None:
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() and re.sub(r"\s+", " ", focused.inner_text()).strip() == name:
            outline = focused.evaluate("element => getComputedStyle(element).outlineStyle")
            assert outline != "none"
            return
    raise AssertionError(f"{name} is not reached by the Tab key")


def test_the_keyboard_alone_makes_and_saves_a_picture(page: Page) -> None:
    tab_to(page, "API")
    page.keyboard.press("Tab")
    expect(prompt_bar(page)).to_be_focused()
    page.keyboard.type("a pink tree")
    tab_to(page, "Generate")
    page.keyboard.press("Enter")
    expect(easel(page).get_by_text("from click to picture")).to_be_visible()
    tab_to(page, "Download")
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert saved.value.suggested_filename.endswith(".png")


def test_nothing_is_wider_than_a_phone(open_page: OpenPage) -> None:
    page = open_page(width=360, height=740, has_touch=True, is_mobile=True)
    assert not is_wider_than_the_window(page)
    open_settings(page)
    assert not is_wider_than_the_window(page)
    generate(page, "a house and a tree and a boat and " + "a very long word " * 3 + "m" * 60)
    assert not is_wider_than_the_window(page)
    gallery(page).get_by_role("img").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert not is_wider_than_the_window(page)


def test_light_and_dark_follow_the_system(open_page: OpenPage) -> None:
    def paper(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

    assert paper(open_page(color_scheme="light")) > 600
    assert paper(open_page(color_scheme="dark")) < 150


def test_the_page_may_load_nothing_from_elsewhere(server: RunningServer) -> None:
    policy = httpx.get(server.url).headers["content-security-policy"]
    allowed = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert allowed["default-src"] in ("'none'", "'self'")
    assert allowed["script-src"] == allowed["style-src"] == allowed["connect-src"] == "'self'"


def test_the_api_reference_opens(page: Page, server: RunningServer) -> None:
    page.goto(f"{server.url}/docs")
    expect(page.get_by_text("/api/generations", exact=True).first).to_be_visible()


def test_a_server_killed_under_the_open_page_is_waited_for_and_nothing_is_lost(
    page: Page, server: RunningServer, tolerated: list[str]
) -> None:
    tolerated.append("Failed to load resource")
    set_steps(page, 150)
    prompt_bar(page).fill("a sailboat at sunset")
    page.get_by_role("button", name="Generate").click()
    expect(easel(page).get_by_text(re.compile(r"Step \d+"))).to_be_visible()
    server.signal(signal.SIGKILL)
    expect(page.get_by_text("The server is not answering")).to_be_visible()
    set_steps(page, 4)
    prompt_bar(page).fill("a patient lighthouse")
    page.get_by_role("button", name="Generate").click()
    expect(easel(page).get_by_text("asked for again")).to_be_visible()
    prompt_bar(page).fill("typed while it was away")
    server.start(wait_ready=False)
    expect(page.get_by_text("The engine is loading")).to_be_visible()
    for prompt in ("a patient lighthouse", "a sailboat at sunset"):
        expect(gallery(page).get_by_role("img", name=prompt)).to_have_count(1)
    expect(page.get_by_text("The server is not answering")).to_have_count(0)
    expect(prompt_bar(page)).to_have_value("typed while it was away")
