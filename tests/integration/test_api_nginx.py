"""Behind a real nginx, with the configuration that the document shows."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from httpx_sse import aconnect_sse

from limner.api import site
from limner.api.reach import Reach
from limner.engine.double import EngineDouble
from limner.service.people import Allowance
from tests.serving import Api, serving

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(NGINX is None, reason="needs nginx: apt install nginx-light"),
]

DOCUMENT = Path(__file__).parents[2] / "docs" / "proxies.md"
BARE = "server { listen 80; location / { proxy_pass http://127.0.0.1:7860; } }"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def documented() -> str:
    blocks = re.findall(r"^```nginx\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


@contextmanager
def nginx(folder: Path, server: str, server_port: int) -> Iterator[str]:
    """The address of an nginx with this `server` block, but on a free port and before `server_port`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "listen 80;" in server
    assert "127.0.0.1:7860" in server
    server = server.replace("listen 80;", f"listen 127.0.0.1:{port};")
    server = server.replace("127.0.0.1:7860", f"127.0.0.1:{server_port}")
    temporary = " ".join(f"{name}_temp_path {folder / name};" for name in TEMPORARY)
    user = "user root;" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off; master_process off; {user} pid {folder}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{server}}}\n"
    )
    with subprocess.Popen([str(NGINX), "-p", folder, "-c", file]) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@asynccontextmanager
async def behind_nginx(
    folder: Path, server: str, *, visitors: Allowance | None, engine: EngineDouble | None = None
) -> AsyncIterator[tuple[Api, httpx.AsyncClient]]:
    reach = Reach(hosts=["art.example.org"])
    (folder / "nginx").mkdir()
    async with serving(folder / "data", engine, visitors=visitors, reach=reach, root_path="/limner") as api:
        with nginx(folder / "nginx", server, api.port) as url:
            headers = {"Host": "art.example.org"}
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
                await _answering(client)
                yield api, client


async def _answering(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await client.get("/")
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def test_page_api_links_and_cookies_lie_under_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text('<script src="./assets/page-1.js"></script>')
    (static / "assets" / "page-1.js").write_text("1")
    monkeypatch.setattr(site, "STATIC", static)
    async with behind_nginx(tmp_path, documented(), visitors=Allowance(4)) as (_, client):
        bare = await client.get("/limner")
        assert bare.status_code in (301, 308)
        assert bare.headers["location"].endswith("/limner/")
        page = await client.get("/limner/")
        assert page.status_code == 200
        assert "Path=/limner;" in page.headers["set-cookie"]
        assert (await client.get("/limner/assets/page-1.js")).status_code == 200
        made = await client.post(
            "/limner/api/generations", json={"prompt": "a red house"}, headers={"Prefer": "wait=20"}
        )
        assert made.status_code == 200, made.text
        picture = made.json()["images"][0]["url"]
        for link in (made.headers["location"], *made.json()["links"].values(), picture):
            assert link.startswith("http://art.example.org/limner/api/"), link
        assert (await client.get(httpx.URL(picture).path)).headers["content-type"] == "image/png"
        assert (await client.get("/limner/api/session")).json()["kind"] == "visitor"
        large = {"image": "data:image/png;base64," + "A" * 2_000_000}
        assert (await client.post("/limner/sdapi/v1/png-info", json=large)).status_code not in (413, 502)


async def test_a_stream_of_events_comes_while_it_happens(tmp_path: Path) -> None:
    engine = EngineDouble(step_s=0.05)
    async with behind_nginx(tmp_path, documented(), visitors=Allowance(4), engine=engine) as (_, client):
        asked = {"prompt": "a red house", "num_inference_steps": 60}
        job = (await client.post("/limner/api/generations", json=asked)).json()
        standing: list[str] = []
        async with aconnect_sse(client, "GET", f"/limner/api/generations/{job['id']}/events") as source:
            assert source.response.status_code == 200
            async for event in source.aiter_sse():
                if event.event == "progress" and not standing:
                    now = await client.get(f"/limner/api/generations/{job['id']}")
                    standing.append(now.json()["status"])
        assert standing == ["running"]
        assert event.event == "succeeded"


async def test_a_proxy_that_says_nothing_of_the_caller_is_not_taken_for_the_operator(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, BARE, visitors=None) as (api, client):
        assert (await client.get("/limner/api/session")).json()["kind"] == "stranger"
        assert (await client.get("/limner/api/generations")).status_code == 401
        assert (await api.client.get("/limner/api/generations")).status_code == 200
