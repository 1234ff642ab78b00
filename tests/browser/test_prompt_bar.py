"""Writing a prompt, by hand and by the prompt writer; what is wrong is said beside its field."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.actions import IN_TIME, easel, open_settings, prompt_bar, set_steps

# Resolves with what stood in the bar when Stop was pressed, at the first sign of a word.
STOP_AT_THE_FIRST_WORD = """() => new Promise((resolve) => {
    const bar = document.querySelector('#prompt')
    const look = () => {
        if (!bar.value) return setTimeout(look, 1)
        const stop = [...document.querySelectorAll('button')].find((b) => b.textContent.trim() === 'Stop')
        stop?.click()
        resolve({ stopped: !!stop, text: bar.value })
    }
    look()
})"""
COLLECT_LENGTHS = """() => {
    const bar = document.querySelector('#prompt')
    window.lengths = new Set()
    const look = () => { window.lengths.add(bar.value.length); setTimeout(look, 1) }
    look()
}"""


def test_a_random_prompt_streams_in_and_can_be_edited_and_painted(page: Page) -> None:
    set_steps(page, 4)
    page.evaluate(COLLECT_LENGTHS)
    page.get_by_role("button", name="Random prompt").click()
    expect(prompt_bar(page)).not_to_be_empty()
    expect(page.get_by_role("button", name="Random prompt")).to_be_visible()  # it has ended
    assert page.evaluate("window.lengths.size") > 3  # it grew, it did not appear
    written = prompt_bar(page).input_value()
    prompt_bar(page).press("End")
    prompt_bar(page).press_sequentially(" at night")
    expect(prompt_bar(page)).to_have_value(f"{written} at night")
    page.get_by_role("button", name="Random prompt").click()
    expect(page.get_by_role("button", name="Random prompt")).to_be_visible()
    assert prompt_bar(page).input_value().startswith(f"{written} at night")  # a person's words stay
    page.get_by_role("button", name="Generate").click()
    expect(easel(page).get_by_text(IN_TIME)).to_be_visible()


def test_stop_keeps_what_is_written_so_far(page: Page) -> None:
    page.get_by_role("button", name="Random prompt").click()
    at_stop = page.evaluate(STOP_AT_THE_FIRST_WORD)
    assert at_stop["stopped"]
    page.wait_for_timeout(300)
    expect(prompt_bar(page)).to_have_value(at_stop["text"])
    expect(page.get_by_role("button", name="Random prompt")).to_be_visible()


def test_the_writer_continues_what_is_typed_and_starts_from_it_again(page: Page) -> None:
    prompt_bar(page).fill("a red lighthouse")
    for _ in range(2):
        page.get_by_role("button", name="Random prompt").click()
        expect(page.get_by_role("button", name="Stop")).to_have_count(0)
        assert prompt_bar(page).input_value().startswith("a red lighthouse")
        assert prompt_bar(page).input_value().count("lighthouse") < 3


def test_surprise_me_writes_and_paints(page: Page) -> None:
    set_steps(page, 4)
    page.get_by_role("button", name="Surprise me").click()
    expect(easel(page).get_by_text(IN_TIME)).to_be_visible()
    expect(easel(page).get_by_role("img", name=prompt_bar(page).input_value(), exact=True)).to_be_visible()


def test_an_error_stands_beside_its_field_and_nothing_typed_is_lost(page: Page, tolerated: list[str]) -> None:
    tolerated.append("422")
    prompt_bar(page).fill("a purple mushroom")
    set_steps(page, 999)
    page.get_by_role("button", name="Generate").click()
    steps = page.get_by_role("spinbutton", name="Steps", exact=True)
    expect(steps).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#num_inference_steps-error")).to_contain_text("150")
    page.reload()
    expect(prompt_bar(page)).to_have_value("a purple mushroom")
    open_settings(page)
    expect(steps).to_have_value("999")
    steps.fill("4")
    page.get_by_role("button", name="Generate").click()
    expect(easel(page).get_by_text(IN_TIME)).to_be_visible()


def test_an_empty_prompt_is_refused_beside_the_bar(page: Page, tolerated: list[str]) -> None:
    tolerated.append("422")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#prompt-error")).to_be_visible()
    prompt_bar(page).fill("a tree")
    expect(page.locator("#prompt-error")).to_have_count(0)


def test_words_the_model_was_not_taught_are_marked(page: Page) -> None:
    prompt_bar(page).fill("a red zeugma at night")
    expect(page.get_by_text("was not taught zeugma")).to_be_visible()
    assert page.locator(".mirror mark").all_inner_texts() == ["zeugma"]


def test_markup_in_a_prompt_is_text(page: Page) -> None:
    hostile = "a house <img src=x onerror=document.title=1> & <b>tree</b>"
    set_steps(page, 4)
    prompt_bar(page).fill(hostile)
    page.get_by_role("button", name="Generate").click()
    expect(easel(page).get_by_text(IN_TIME)).to_be_visible()
    expect(easel(page).get_by_text(hostile)).to_be_visible()
    assert page.title() == "Limner"
