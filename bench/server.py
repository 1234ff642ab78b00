"""What the server itself costs: the whole server in a process of its own, over an engine that does nothing.

    .venv/bin/python -m bench.server [--jobs 500] [--connections 8] [--size 64] [--rounds 3]

Real HTTP, record (SQLite, each commit on disk) and files; only the engine answers at once with a ready
picture. "file made" encodes it with its parameters and a thumbnail, as ever; "file given" keeps everything
but that. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from limner.api.serve import serve
from limner.engine.double import EngineDouble, cloud
from limner.engine.messages import EngineEvent, Finished, ImageRequest, Timings
from limner.params import GenerationParams
from limner.prompting.double import PromptWriterDouble
from limner.service import dispatcher
from limner.service.provenance import Provenance
from limner.settings import Settings
from limner.store.job import Durations, NewImage

PAUSE_S = 0.02
GIVEN = bytes(4_000)


class IdleEngine(EngineDouble):
    """Every request gets the same picture at once."""

    pixels: NDArray[np.uint8] | None = None

    async def generate(self, request: ImageRequest) -> AsyncIterator[EngineEvent]:
        if self.pixels is None:
            self.pixels = cloud(request, request.params.width, request.params.height)
        yield Finished(request.id, self.pixels, Timings())


def run_server(folder: str, makes_files: bool, pipe: Connection) -> None:
    """The server's process: tells its address, then its processor time whenever asked."""
    if not makes_files:
        vars(dispatcher)["develop"] = given_file

    def answer() -> None:
        while pipe.recv():
            pipe.send(time.process_time())

    def listening(url: str) -> None:
        pipe.send(url)
        threading.Thread(target=answer, daemon=True).start()

    given: dict[str, Any] = {"data_dir": folder, "port": 0, "max_queued": 1_000_000, "log_level": "warning"}
    serve(Settings(**given), IdleEngine(), PromptWriterDouble(), listening)


def given_file(params: GenerationParams, index: int, finished: Finished, _: Provenance) -> NewImage:
    height, width = finished.pixels.shape[:2]
    seed = params.seed_of(index)
    return NewImage(index, seed, width, height, params.output_format, Durations(), GIVEN, GIVEN)


class Client:
    """One connection that is kept; as little work as a client can do, because it shares the processor."""

    def __init__(self, url: str) -> None:
        self._host, _, self._port = url.removeprefix("http://").partition(":")

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines.append("Content-Type: application/json")
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert b" 20" in head.split(b"\r\n")[0], head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        answer: dict[str, Any] = json.loads(await self._reader.readexactly(length))
        return answer


@dataclass
class Figures:
    """Of one way to submit. Times in milliseconds."""

    jobs_s: float
    processor: float
    post_p50: float
    post_p95: float
    ended_p50: float


@dataclass
class Sent:
    id: str
    at: float
    posted_s: float
    ended_at: float | None


async def send(client: Client, size: int, wait: bool) -> Sent:
    body = json.dumps({"prompt": "a red house at night", "width": size, "height": size}).encode()
    at, began = time.time(), time.perf_counter()
    answer = await client.ask("POST", "/api/generations", body, **({"Prefer": "wait=60"} if wait else {}))
    return Sent(answer["id"], at, time.perf_counter() - began, ended_at(answer))


def ended_at(answer: dict[str, Any]) -> float | None:
    moment = answer["finished_at"]
    assert answer["status"] in (("queued", "running") if moment is None else ("succeeded",)), answer
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


async def newest_is_over(client: Client) -> None:
    """And with it nearly all: they begin in order, and few are painted at once."""
    while (await client.ask("GET", "/api/generations?limit=1"))["items"][0]["finished_at"] is None:
        await asyncio.sleep(PAUSE_S)
    await asyncio.sleep(PAUSE_S)


async def learn_ends(client: Client, sent: list[Sent]) -> None:
    """Fill in when each ended, as the record has it."""
    missing, cursor = {one.id: one for one in sent}, ""
    while any(one.ended_at is None for one in sent):
        page = await client.ask("GET", f"/api/generations?limit=100{cursor}")
        for item in page["items"]:
            if item["id"] in missing:
                missing[item["id"]].ended_at = ended_at(item)
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else ""


class Measured:
    """A running server and its figures."""

    def __init__(self, folder: Path, makes_files: bool) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=run_server, args=(str(folder), makes_files, theirs))
        self._process.start()
        theirs.close()
        self.url: str = self._pipe.recv()

    def processor_s(self) -> float:
        self._pipe.send(True)
        found: float = self._pipe.recv()
        return found

    def stop(self) -> None:
        self._process.terminate()
        self._process.join(30)

    async def way(
        self, jobs: int, connections: int, size: int, *, wait: bool = False, pause_s: float = 0.0
    ) -> Figures:
        """`jobs` over so many connections, each sending its next when it has its answer."""
        sent: list[Sent] = []

        async def one_connection(count: int) -> None:
            async with Client(self.url) as client:
                for _ in range(count):
                    sent.append(await send(client, size, wait))
                    await asyncio.sleep(pause_s)

        processor_s, began = self.processor_s(), time.time()
        await asyncio.gather(*(one_connection(jobs // connections) for _ in range(connections)))
        async with Client(self.url) as client:
            await newest_is_over(client)
            processor_s = self.processor_s() - processor_s
            await learn_ends(client, sent)
        last = max(one.ended_at or 0.0 for one in sent)
        posted = sorted(one.posted_s * 1000 for one in sent)
        return Figures(
            len(sent) / (last - began),
            1000 * processor_s / len(sent),
            statistics.median(posted),
            posted[int(0.95 * len(posted))],
            1000 * statistics.median((one.ended_at or 0.0) - one.at for one in sent),
        )

    async def reading(self, path: str, count: int) -> tuple[float, float]:
        """Milliseconds of a GET, median, and of the server's processor."""
        times = []
        async with Client(self.url) as client:
            processor_s = self.processor_s()
            for _ in range(count):
                began = time.perf_counter()
                await client.ask("GET", path)
                times.append(time.perf_counter() - began)
            return 1000 * statistics.median(times), 1000 * (self.processor_s() - processor_s) / count


async def measure(makes_files: bool, jobs: int, connections: int, size: int) -> dict[str, Figures]:
    """The figures of each way, each on a server that has been warmed up."""
    few, found = jobs // 4, {}
    with tempfile.TemporaryDirectory() as folder:
        server = Measured(Path(folder), makes_files)
        try:
            await server.way(10 * connections, connections, size)
            found["one by one, with pauses"] = await server.way(few, 1, size, pause_s=PAUSE_S)
            found["one by one, each waits for its end"] = await server.way(few, 1, size, wait=True)
            found["at once, each waits for its end"] = await server.way(jobs, connections, size, wait=True)
            found["at once, as fast as answered"] = await server.way(jobs, connections, size)
            for path in ("/healthz", "/api/generations?limit=1"):
                time_ms, processor_ms = await server.reading(path, 200)
                tqdm.write(f"GET {path}: {time_ms:.2f} ms, {processor_ms:.2f} ms of the processor")
        finally:
            server.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--size", type=int, default=64, help="width and height of the picture in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found: dict[tuple[str, str], list[Figures]] = {}
    for _ in tqdm(range(asked.rounds), desc="rounds", file=sys.stderr):
        for files, makes_files in (("made", True), ("given", False)):
            figures = asyncio.run(measure(makes_files, asked.jobs, asked.connections, asked.size))
            for way, one in figures.items():
                found.setdefault((files, way), []).append(one)
    print(f"{asked.size}×{asked.size}, {asked.jobs} jobs, {asked.connections} connections, ", end="")
    print(f"{asked.rounds} rounds, medians; times in ms")
    print("| file | submitted | jobs/s | processor a job | POST p50 | POST p95 | POST to ended p50 |")
    print("| --- " * 7 + "|")
    for (files, way), rounds in found.items():
        middle = [statistics.median(getattr(one, f.name) for one in rounds) for f in fields(Figures)]
        print(f"| {files} | {way} | {middle[0]:.0f} | " + " | ".join(f"{v:.1f}" for v in middle[1:]) + " |")


if __name__ == "__main__":
    main()
