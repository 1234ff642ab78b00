"""From the click to the picture, the download and the record."""

from __future__ import annotations

import io
import re
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.actions import WATCH_THE_EASEL, easel, gallery, generate, prompt_bar, set_steps
from tests.running import RunningServer


def test_a_typed_prompt_becomes_a_picture_with_previews_and_its_time(page: Page) -> None:
    page.evaluate(WATCH_THE_EASEL)
    generate(page, "a red house at night", steps=24)
    seen = page.evaluate("window.seen")
    steps = [int(found[1]) for found in map(re.compile(r"Step (\d+) of 24").match, seen["states"]) if found]
    assert len(steps) > 1
    assert steps == sorted(steps)
    assert any(re.fullmatch(r"about .* left", eta) for eta in seen["etas"])
    assert seen["previews"]
    assert all(preview.startswith("data:image/") for preview in seen["previews"])
    picture = easel(page).get_by_role("img", name="a red house at night")
    assert picture.evaluate("img => img.complete && img.naturalWidth > 0")
    expect(page.locator("[aria-live=polite]").first).to_contain_text("The picture is ready after")


def test_the_download_is_a_whole_png_with_a_telling_name(page: Page, tmp_path: Path) -> None:
    generate(page, "a yellow fish on the sea")
    with page.expect_download() as saved:
        easel(page).get_by_role("link", name="Download").click()
    saved.value.save_as(tmp_path / "picture.png")
    picture = Image.open(tmp_path / "picture.png")
    picture.load()
    assert picture.format == "PNG"
    assert "fish" in saved.value.suggested_filename
    facts = easel(page).get_by_text(re.compile(r"\d+ × \d+, seed")).inner_text()
    assert f"{picture.width} × {picture.height}" in facts


def test_control_enter_generates_and_cancel_stops_it(page: Page) -> None:
    set_steps(page, 150)
    prompt_bar(page).fill("a green tree in the snow")
    page.keyboard.press("Control+Enter")
    easel(page).get_by_role("button", name="Cancel").click()
    expect(easel(page).get_by_text("Cancelled.")).to_be_visible()
    expect(gallery(page).get_by_role("img", name="a green tree in the snow")).to_have_count(0)


def test_several_pictures_of_one_prompt_stand_side_by_side(page: Page) -> None:
    set_steps(page, 4)
    page.get_by_role("spinbutton", name="Pictures", exact=True).fill("3")
    generate(page, "three blue cars")
    expect(gallery(page).get_by_role("img", name="three blue cars")).to_have_count(3)
    easel(page).get_by_role("button", name="Picture 3").click()
    expect(easel(page).get_by_role("button", name="Picture 3")).to_have_attribute("aria-pressed", "true")


def test_a_running_picture_is_picked_up_again_after_a_reload(page: Page) -> None:
    set_steps(page, 150)
    prompt_bar(page).fill("a white lighthouse")
    page.get_by_role("button", name="Generate").click()
    expect(easel(page).get_by_text(re.compile(r"Step \d+"))).to_be_visible()
    page.reload()
    expect(easel(page).get_by_role("progressbar")).to_be_visible()
    expect(easel(page).get_by_role("img", name="a white lighthouse")).to_be_visible()
    expect(easel(page).get_by_text("from click to picture")).to_be_visible()


def test_reused_settings_give_the_same_pixels_and_more_like_this_gives_others(
    page: Page, server: RunningServer
) -> None:
    generate(page, "an orange rocket", steps=7)
    easel(page).get_by_role("button", name="Reuse settings").click()
    expect(prompt_bar(page)).to_be_focused()
    assert page.get_by_role("spinbutton", name="Seed", exact=True).input_value() != ""
    page.get_by_role("button", name="Generate").click()
    expect(gallery(page).get_by_role("img", name="an orange rocket")).to_have_count(2)
    easel(page).get_by_role("button", name="More like this").click()
    expect(gallery(page).get_by_role("img", name="an orange rocket")).to_have_count(3)
    record = httpx.get(f"{server.url}/api/generations", params={"limit": 3}).json()["items"]
    assert {item["params"]["num_inference_steps"] for item in record} == {7}
    other, same, first = (
        Image.open(io.BytesIO(httpx.get(i["images"][0]["url"]).content)).tobytes() for i in record
    )
    assert first == same
    assert first != other
