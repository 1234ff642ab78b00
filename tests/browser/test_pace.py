"""A fast model and the one it is a change of: the page offers both by what they are for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import tiny
from tests.browser.actions import IN_TIME, is_wider_than_the_window, open_settings, prompt_bar
from tests.browser.conftest import OpenPage
from tests.running import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("pace")
    best = tiny.save(tiny.TinyModel(cards={"description": "Draws noise."}), folder / "thorough")
    fast, _ = tiny.save_change(best, folder / "quick")
    with RunningServer(folder / "data", "--model", str(fast), "--model", str(best)) as running:
        yield running


def pace(page: Page, name: str) -> Locator:
    return page.get_by_role("radiogroup", name="Pace").get_by_role("radio", name=name)


def test_fast_and_best_are_one_click_apart_and_the_shape_stays(page: Page) -> None:
    expect(pace(page, "Fast")).to_be_checked()
    page.get_by_text("Portrait").click()
    page.get_by_text("Best", exact=True).click()
    expect(page.get_by_role("radio", name="Portrait")).to_be_checked()
    expect(page.get_by_role("button", name="Settings", exact=True)).to_be_visible()  # "changed" is none of it
    open_settings(page)
    expect(page.get_by_role("spinbutton", name="Steps", exact=True)).to_have_value("25")
    page.reload()
    expect(pace(page, "Best")).to_be_checked()
    page.get_by_text("Fast", exact=True).click()
    prompt_bar(page).fill("noise")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text(IN_TIME)).to_be_visible()
    expect(page.get_by_text("3 steps")).to_be_visible()


def test_the_choice_fits_a_narrow_phone(open_page: OpenPage) -> None:
    page = open_page(width=360, height=740)
    expect(pace(page, "Fast")).to_be_visible()
    assert not is_wider_than_the_window(page)
