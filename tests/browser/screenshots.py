"""`python -m tests.browser.screenshots` takes the README's picture of the page: docs/images/page.png.

Needs `make serve` to have run once, and Chromium; the server it starts is its own and empty at first.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.browser.actions import easel, prompt_bar
from tests.browser.conftest import launched
from tests.running import RunningServer

IMAGES = Path(__file__).parents[2] / "docs" / "images"
GALLERY = (
    "a yellow car in the desert",
    "a white castle in the snow",
    "a watercolor of a brown mushroom on a meadow",
    "a neon sign of a blue sailboat on the sea",
    "an orange tree at sunset",
    "a purple hot-air balloon at sunset",
)
HERO = "a red mushroom in the snow"
MOST_BYTES = 300_000  # the README stays light


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningServer(Path(folder) / "data") as server,
        launched() as b,
    ):
        context = b.new_context(viewport={"width": 1440, "height": 1330}, color_scheme="light")
        page = context.new_page()
        page.goto(server.url)
        for prompt in (*GALLERY, HERO):
            paint(page, prompt)
        save(page, "page.png")


def paint(page: Page, prompt: str) -> None:
    prompt_bar(page).fill(prompt)
    page.keyboard.press("ControlOrMeta+Enter")
    easel(page).get_by_text("from click to picture").wait_for(timeout=120_000)
    easel(page).get_by_role("img", name=prompt, exact=True).wait_for()


def save(page: Page, name: str) -> None:
    page.evaluate("document.activeElement.blur(); scrollTo({ top: 0, behavior: 'instant' })")
    page.wait_for_timeout(1000)  # until what fades has faded
    page.screenshot(path=IMAGES / name)
    lighten(IMAGES / name)
    print(f"{IMAGES / name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB")


def lighten(path: Path) -> None:
    """Fewer colours where the file is too large, dithered if that is light enough."""
    with Image.open(path) as taken:
        full = taken.convert("RGB")
    palette = full.quantize(256, kmeans=1)
    for dither in (Image.Dither.FLOYDSTEINBERG, Image.Dither.NONE):
        if path.stat().st_size > MOST_BYTES:
            full.quantize(palette=palette, dither=dither).save(path, optimize=True)


if __name__ == "__main__":
    main()
