"""The real application on a real socket, over doubles of engine and prompt writer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from httpx_sse import ServerSentEvent, aconnect_sse

from limner.api.app import create_app
from limner.api.connection import Connection
from limner.api.reach import Reach
from limner.engine.double import EngineDouble
from limner.prompting.double import PromptWriterDouble
from limner.service.moderation import Moderation
from limner.service.people import Allowance
from limner.service.service import Service
from limner.service.tunnel_use import TunnelUse
from limner.store.store import Store


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.over = asyncio.Event()

    async def main_loop(self) -> None:
        """As uvicorn's own, but for the date, and it does not look ten times a second whether it is over."""
        await self.on_tick(0)
        await self.over.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own, but connections are given a moment to close instead of a tenth of a second."""
        for listener in self.servers:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0.005)
        await asyncio.wait_for(self._wait_tasks_to_complete(), self.config.timeout_graceful_shutdown)
        await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Api:
    """A running server and a client of it."""

    client: httpx.AsyncClient
    engine: EngineDouble
    writer: PromptWriterDouble
    store: Store
    folder: Path
    url: str
    port: int

    async def generate(self, prompt: str = "a red house", **values: Any) -> dict[str, Any]:
        answer = await self.client.post("/api/generations", json={"prompt": prompt} | values)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def painted(self, prompt: str = "a red house", **values: Any) -> dict[str, Any]:
        """A generation that is over."""
        answer = await self.client.post(
            "/api/generations", json={"prompt": prompt} | values, headers={"Prefer": "wait=20"}
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def read(self, job_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/api/generations/{job_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def over(self, job_id: str) -> dict[str, Any]:
        """The generation when it has ended."""
        async with asyncio.timeout(20):
            while (found := await self.read(job_id))["status"] in ("queued", "running"):
                await asyncio.sleep(0.02)
        return found

    async def events(self, job_id: str, last_event_id: str | None = None) -> list[ServerSentEvent]:
        """All of them, to the end."""
        return [event async for event in self.follow(job_id, last_event_id)]

    async def follow(self, job_id: str, last_event_id: str | None = None) -> AsyncIterator[ServerSentEvent]:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        path = f"/api/generations/{job_id}/events"
        async with aconnect_sse(self.client, "GET", path, headers=headers) as source:
            assert source.response.status_code == 200
            async for event in source.aiter_sse():
                yield event


@functools.cache
def _empty_record() -> bytes:
    """A database of today's shape: bringing every new one there takes longer than many tests."""
    with tempfile.TemporaryDirectory() as folder:
        Store(Path(folder), serve=False).close()
        return Path(folder, "limner.db").read_bytes()


@contextlib.asynccontextmanager
async def serving(
    folder: Path,
    engine: EngineDouble | None = None,
    writer: PromptWriterDouble | None = None,
    max_queued: int = 50,
    visitors: Allowance | None = None,
    reach: Reach = Reach(),
    root_path: str = "",
    tunnel_use: TunnelUse | None = None,
    host: str = "127.0.0.1",
    grace_s: float = 30.0,
    moderation: Callable[[Store], Moderation] = Moderation,
) -> AsyncIterator[Api]:
    engine = engine or EngineDouble(step_s=0.002)
    writer = writer or PromptWriterDouble(token_s=0.002)
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "limner.db").write_bytes(_empty_record())
    store = Store(folder)
    service = Service(
        store, engine, writer, max_queued=max_queued, visitors=visitors, moderation=moderation(store)
    )
    service.blocking.grace_s = grace_s
    app = create_app(
        service, secret=store.cookie_secret(), reach=reach, root_path=root_path, tunnel_use=tunnel_use
    )
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=0,
            http=Connection,
            log_config=None,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.005)
            assert not running.done(), "the server did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            yield Api(client, engine, writer, store, folder, url, port)
    finally:
        service.end_streams()
        server.over.set()
        await running
        store.close()
