"""The website on another origin than its server: a static host, and the server at home."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from limner.store.keys import NewKey, Scope
from limner.store.store import Store
from tests.browser.actions import WATCH_THE_EASEL, easel, gallery, prompt_bar, set_steps
from tests.browser.conftest import PATIENCE_MS
from tests.running import RunningServer

WEB = Path(__file__).parents[2] / "web"
VITE = WEB / "node_modules" / "vite" / "bin" / "vite.js"
NODE = shutil.which("node", path=f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}")

pytestmark = pytest.mark.skipif(
    NODE is None or not VITE.exists(), reason="needs the website's packages: make install"
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def static_host(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A host of files at another origin: its address, and the folder it shows."""
    folder = tmp_path / "site"
    folder.mkdir()
    host = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=host.serve_forever)
    thread.start()
    yield f"http://localhost:{host.server_address[1]}", folder
    host.shutdown()
    thread.join()
    host.server_close()


@pytest.mark.timeout(600)
def test_a_page_on_a_static_host_paints_with_a_key_on_the_server_at_home(
    browser: Browser, tmp_path: Path, static_host: tuple[str, Path]
) -> None:
    origin, folder = static_host
    complaints: list[str] = []
    server = RunningServer(tmp_path / "data", "--allow-origin", origin, "--root-path", "/limner")
    with contextlib.ExitStack() as stack:
        stack.push(server)
        server.start(wait_ready=False)
        subprocess.run(
            [str(NODE), VITE, "build", "--logLevel", "error", "--outDir", folder, "--emptyOutDir"],
            cwd=WEB,
            env=os.environ | {"VITE_LIMNER_API": f"{server.url}/limner"},
            check=True,
        )
        server.wait_ready()
        store = Store(server.data_dir, serve=False)
        scopes = frozenset({Scope.GENERATE, Scope.PROMPTS, Scope.READ})
        secret = store.keys.create(NewKey("a page elsewhere", scopes))
        store.close()
        # As if it came from another house; the machine's own person needs no key.
        context = browser.new_context(extra_http_headers={"X-Forwarded-For": "203.0.113.7"})
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(origin)
        entry = page.get_by_label("This server asks for a key")
        entry.fill("limner_wrong")
        entry.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("not known")
        entry.fill(secret)
        entry.press("Enter")
        expect(entry).to_have_count(0)
        prompt_bar(page).fill("a red")
        page.get_by_role("button", name="Random prompt").click()
        expect(prompt_bar(page)).not_to_have_value("a red")
        set_steps(page, 16)
        page.evaluate(WATCH_THE_EASEL)
        prompt_bar(page).fill("a red house by the sea")
        page.get_by_role("button", name="Generate").click()
        picture = easel(page).get_by_role("img", name="a red house by the sea", exact=True)
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 0
        assert any(re.match(r"Step \d+ of 16", state) for state in page.evaluate("window.seen.states"))
        assert str(picture.get_attribute("src")).startswith(f"{server.url}/limner/api/images/")
        with page.expect_download() as saved:
            easel(page).get_by_role("link", name="Download").click()
        assert saved.value.suggested_filename.endswith(".png")
        assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")
        assert context.cookies() == []
        page.reload()
        thumbnail = gallery(page).get_by_role("img", name="a red house by the sea")
        expect(thumbnail).to_have_js_property("complete", True)
        assert thumbnail.evaluate("image => image.naturalWidth") > 0
        expect(page.get_by_role("link", name="API")).to_have_attribute("href", f"{server.url}/limner/docs")
        page.get_by_role("button", name="Leave").click()
        expect(entry).to_be_visible()
        context.close()
    unexpected = [text for text in complaints if "401 (Unauthorized)" not in text]
    assert unexpected == []
