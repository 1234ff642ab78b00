"""What a person does on the page, in the page's own words."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

IN_TIME = re.compile(r"[\d.]+ s from click to picture")

# Keeps what the easel said and showed on its way.
WATCH_THE_EASEL = """() => {
    window.seen = { states: [], previews: [], etas: [] }
    const add = (list, value) => value && list.at(-1) !== value && list.push(value)
    new MutationObserver(() => {
        add(seen.states, document.querySelector('.state p span')?.textContent)
        add(seen.etas, document.querySelector('.state .eta')?.textContent)
        add(seen.previews, document.querySelector('img.preview')?.src)
    }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true })
}"""


def prompt_bar(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Describe a picture")


def open_settings(page: Page) -> None:
    toggle = page.get_by_role("button", name=re.compile("^Settings"))
    if toggle.get_attribute("aria-expanded") == "false":
        toggle.click()


def set_steps(page: Page, steps: int) -> None:
    open_settings(page)
    page.get_by_role("spinbutton", name="Steps", exact=True).fill(str(steps))


def generate(page: Page, prompt: str, *, steps: int = 4) -> None:
    """Ask for a picture and wait until it stands on the easel. Few steps: these tests are not about art."""
    set_steps(page, steps)
    prompt_bar(page).fill(prompt)
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text(IN_TIME)).to_be_visible()
    expect(easel(page).get_by_role("img", name=prompt, exact=True)).to_be_visible()


def easel(page: Page) -> Locator:
    return page.get_by_role("region", name="The picture")


def gallery(page: Page) -> Locator:
    return page.get_by_role("region", name="Your pictures")


def is_wider_than_the_window(page: Page) -> bool:
    wider = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert isinstance(wider, bool)
    return wider
