"""`python -m tests.browser.screenshots` takes the README's pictures of the page into docs/images/.

Needs `make serve` to have run once, and Chromium; the server it starts is its own and empty at first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page

from tests.browser.actions import easel, prompt_bar
from tests.browser.conftest import launched
from tests.running import RunningServer

IMAGES = Path(__file__).parents[2] / "docs" / "images"
GALLERY = (
    "a yellow car in the desert",
    "a red mushroom in the snow",
    "an orange fish on the sea",
    "a purple tree on a meadow",
    "a green rocket at night",
    "a blue sailboat at sunset",
)
HERO = "a red house next to a green tree in the snow"
MOST_BYTES = 300_000  # the README stays light


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningServer(Path(folder) / "data") as server,
        launched() as b,
    ):
        with opened(b, server.url, 1440, 1330) as page:
            for prompt in (*GALLERY, HERO):
                paint(page, prompt)
            save(page, "page.png")
        with opened(b, server.url, 1440, 1330, "dark") as page:
            paint(page, HERO)
            save(page, "page-dark.png")
        with opened(b, server.url, 390, 844) as page:
            paint(page, GALLERY[-1])
            save(page, "phone.png")


@contextmanager
def opened(
    browser: Browser, url: str, width: int, height: int, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


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
