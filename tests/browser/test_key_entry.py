"""A page that comes from elsewhere is asked for a key, and only such a page."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from limner.store.keys import NewKey, Scope
from limner.store.store import Store
from tests.browser.actions import easel, gallery, prompt_bar, set_steps
from tests.browser.conftest import OpenPage
from tests.running import RunningServer


def test_the_operator_is_asked_for_no_key(page: Page) -> None:
    expect(page.get_by_role("button", name="Generate")).to_be_visible()
    expect(page.get_by_label("This server asks for a key")).to_have_count(0)


def test_a_stranger_enters_a_key_and_what_was_asked_for_is_painted(
    open_page: OpenPage, server: RunningServer, tolerated: list[str]
) -> None:
    tolerated.append("401 (Unauthorized)")
    store = Store(server.data_dir, serve=False)
    secret = store.keys.create(
        NewKey("a friend of the house", frozenset({Scope.GENERATE, Scope.PROMPTS, Scope.READ}))
    )
    store.close()
    page = open_page(width=360, height=740, extra_http_headers={"X-Forwarded-For": "203.0.113.7"})
    entry = page.get_by_label("This server asks for a key")
    expect(entry).to_be_visible()
    set_steps(page, 4)
    prompt_bar(page).fill("a red house by the sea")
    page.get_by_role("button", name="Generate").click()
    expect(easel(page).get_by_text("asks for a key")).to_be_visible()
    entry.fill("limner_wrong")
    entry.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not known")
    expect(entry).to_be_focused()
    entry.fill(secret)
    page.get_by_role("button", name="Enter").click()
    expect(entry).to_have_count(0)
    expect(easel(page).get_by_role("img", name="a red house by the sea", exact=True)).to_be_visible()
    expect(gallery(page).get_by_role("img")).to_have_count(1)
    page.reload()
    expect(gallery(page).get_by_role("img", name="a red house by the sea")).to_be_visible()
    expect(page.get_by_text("You paint with the key")).to_contain_text("a friend of the house")
    page.get_by_role("button", name="Leave").click()
    expect(entry).to_be_visible()
    expect(gallery(page)).to_have_count(0)
