"""One's own pictures: found again, looked at large, deleted and brought back."""

from __future__ import annotations

import httpx
from playwright.sync_api import Page, expect

from tests.browser.actions import easel, gallery, generate
from tests.running import RunningServer


def test_pictures_are_there_after_a_reload_and_arrow_keys_move_through_them(page: Page) -> None:
    generate(page, "first, a red balloon")
    generate(page, "second, a blue balloon")
    page.reload()
    images = gallery(page).get_by_role("img")
    expect(images.nth(1)).to_be_visible()
    assert images.nth(0).get_attribute("alt") == "second, a blue balloon"
    assert images.nth(1).get_attribute("alt") == "first, a red balloon"
    images.nth(0).click()
    large = page.get_by_role("dialog")
    expect(large.get_by_role("img", name="second, a blue balloon")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(large.get_by_role("img", name="first, a red balloon")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(large.get_by_role("img", name="second, a blue balloon")).to_be_visible()
    page.keyboard.press("Escape")
    expect(large).to_have_count(0)


def test_a_deleted_picture_can_be_brought_back_until_it_is_gone(page: Page, server: RunningServer) -> None:
    def known() -> list[str]:
        return [i["params"]["prompt"] for i in httpx.get(f"{server.url}/api/generations").json()["items"]]

    generate(page, "a flower to delete")
    picture = gallery(page).get_by_role("img", name="a flower to delete")
    easel(page).get_by_role("button", name="Delete").click()
    expect(picture).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(picture).to_be_visible()
    picture.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert "a flower to delete" in known()
    page.goto("about:blank")  # whoever leaves does not come back to undo
    page.wait_for_timeout(300)
    assert "a flower to delete" not in known()
