"""A real Chromium in front of the real server process."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.running import RunningServer

HERE = Path(__file__).parent
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
MISSING = "no Chromium: install it with `apt install chromium` or `.venv/bin/playwright install chromium`"

OpenPage = Callable[..., Page]
PATIENCE_MS = 45_000  # for a busy machine; an idle one needs a second
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(180))


@contextmanager
def launched() -> Iterator[Browser]:
    """Debian's Chromium where there is one, else Playwright's own. Raises `Error` when there is neither."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*FLAGS, *(["--no-sandbox"] if root else [])]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(launched())
        except Error:
            pytest.skip(MISSING)
        yield opened


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("page") / "data") as running:
        yield running


@pytest.fixture
def tolerated() -> list[str]:
    """Texts that the browser's console may show as errors in this test; it may show no others."""
    return []


@pytest.fixture
def open_page(browser: Browser, server: RunningServer, tolerated: list[str]) -> Iterator[OpenPage]:
    """Opens the page in a window of its own; at the end its console must be free of errors."""
    contexts, complaints = [], []

    def open_one(width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url)
        page.get_by_role("button", name=re.compile("^Settings")).wait_for()
        return page

    yield open_one
    for context in contexts:
        context.close()
    unexpected = [c for c in complaints if not any(text in c for text in tolerated)]
    assert unexpected == []


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    return open_page()
