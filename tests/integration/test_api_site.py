"""The page, the API reference and the schema, served beside the API."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.api import site
from limner.api.app import routes
from tests.serving import serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small website where the real one would lie."""
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "docs").mkdir()
    (static / "index.html").write_text("<title>Limner</title>")
    (static / "favicon.svg").write_text("<svg/>")
    (static / "assets" / "page-abc123.js").write_text("1")
    (static / "docs" / "swagger-ui.css").write_text("a {}")
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(site, "STATIC", static)
    return tmp_path


async def test_the_page_is_always_fresh_and_its_assets_are_kept_for_good(built: Path) -> None:
    async with serving(built / "data") as api:
        page = await api.client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["cache-control"] == "no-cache"
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        asset = await api.client.get("/assets/page-abc123.js")
        assert "immutable" in asset.headers["cache-control"]
        assert (await api.client.get("/favicon.svg")).status_code == 200


async def test_nothing_outside_the_site_is_served(built: Path) -> None:
    tricks = ("/secret.txt", "/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt", "/docs/..%2f..%2fsecret.txt")
    async with serving(built / "data") as api:
        for path in (*tricks, "/.%00", "/docs/start.js%00"):
            answer = await api.client.get(path)
            assert answer.status_code == 404, path
            assert answer.headers["content-type"] == "application/problem+json"


async def test_without_a_built_page_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "STATIC", tmp_path / "nothing")
    async with serving(tmp_path / "data") as api:
        answer = await api.client.get("/")
        assert answer.status_code == 404
        assert answer.text.count("\n") == 1
        assert "make serve" in answer.text


async def test_the_reference_brings_everything_it_needs(built: Path) -> None:
    async with serving(built / "data") as api:
        page = await api.client.get("/docs")
        assert "http" not in page.text.replace("http-equiv", "")
        assert (await api.client.get("/docs/swagger-ui.css")).status_code == 200
        assert "openapi.json" in (await api.client.get("/docs/start.js")).text
        assert (await api.client.get("/openapi.json")).json() == routes().openapi()


def test_the_schema_describes_events_and_problems() -> None:
    schema = routes().openapi()
    components = schema["components"]["schemas"]
    assert {"GenerationEvents", "PromptEvents", "Problem", "PreviewEvent"} <= set(components)
    assert "HTTPValidationError" not in components
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            refused = schema["components"]["responses"][operation["responses"]["403"]["$ref"].split("/")[-1]]
            assert ("application/problem+json" in refused["content"]) == (
                not path.startswith(("/v1", "/sdapi"))
            )
