"""Many people at once, each wanting a picture: is anyone refused or left hanging, do reads stay quick?

    .venv/bin/python -m bench.crowd [--clients 200] [--readers 4] [--pause 0.1] [--patience 300]

The real server in a process of its own, with a key for each client. All ask at once, a third of them by each
protocol, and wait until they have their picture; meanwhile readers call the `GET` routes by turns. Ends with
status 1 when somebody was refused, or waited `--patience` seconds in vain, or the reads' p99 is over 250 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import PIL.Image

from limner.bench.load import quantile
from limner.store.keys import NewKey, Scope
from limner.store.store import Store

READS_P99_S = 0.25
START_S = 180.0
PROMPT = "a red house at night"
SCOPES = frozenset({Scope.GENERATE, Scope.PROMPTS, Scope.READ})
ROUTES = (
    *("/healthz", "/readyz", "/api/capabilities", "/api/session", "/api/generations?limit=20"),
    *("/v1/models", "/sdapi/v1/options", "/sdapi/v1/progress", "/sdapi/v1/samplers", "/openapi.json"),
)


@dataclass(slots=True)
class Outcome:
    """What one client got. `trouble` is empty when that was its picture."""

    protocol: str
    waited_s: float = 0.0
    trouble: str = ""


@dataclass(slots=True)
class Crowd:
    outcomes: list[Outcome] = field(default_factory=list)
    reads: dict[str, list[float]] = field(default_factory=dict)
    wrong_reads: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0

    @property
    def troubles(self) -> list[str]:
        return [f"{one.protocol}: {one.trouble}" for one in self.outcomes if one.trouble] + self.wrong_reads

    @property
    def reads_p99_s(self) -> float:
        return quantile([taken for times in self.reads.values() for taken in times], 0.99) or 0.0


class Refused(Exception):
    """An answer that is no picture."""


def checked(answer: httpx.Response) -> Any:
    if answer.status_code >= 300:
        raise Refused(f"{answer.status_code} {answer.text[:200]}")
    return answer.json()


async def native(client: httpx.AsyncClient, seed: int) -> bytes:
    asked = {"prompt": PROMPT, "seed": seed}
    made = checked(await client.post("/api/generations", json=asked, headers={"Prefer": "wait=60"}))
    while made["status"] in ("queued", "running"):  # who waits longer asks again now and then
        await asyncio.sleep(2)
        made = checked(await client.get(f"/api/generations/{made['id']}"))
    if made["status"] != "succeeded":
        raise Refused(f"{made['status']} {made['error']}")
    return (await client.get(made["images"][0]["url"])).content


async def openai(client: httpx.AsyncClient, seed: int) -> bytes:
    made = checked(await client.post("/v1/images/generations", json={"prompt": PROMPT, "seed": seed}))
    if "error" in made:
        raise Refused(str(made["error"]))
    return base64.b64decode(made["data"][0]["b64_json"])


async def automatic(client: httpx.AsyncClient, seed: int) -> bytes:
    made = checked(await client.post("/sdapi/v1/txt2img", json={"prompt": PROMPT, "seed": seed}))
    if "error" in made:
        raise Refused(str(made["error"]))
    return base64.b64decode(made["images"][0])


Asks = Callable[[httpx.AsyncClient, int], Awaitable[bytes]]
PROTOCOLS: tuple[Asks, ...] = (native, openai, automatic)


async def want(client: httpx.AsyncClient, number: int, key: str, patience_s: float) -> Outcome:
    ask = PROTOCOLS[number % len(PROTOCOLS)]
    outcome, began = Outcome(ask.__name__), time.perf_counter()
    client.headers["Authorization"] = f"Bearer {key}"
    try:
        async with asyncio.timeout(patience_s):
            PIL.Image.open(io.BytesIO(await ask(client, number))).verify()
    except TimeoutError:
        outcome.trouble = f"no picture after {patience_s:g} s"
    except (Refused, httpx.HTTPError, OSError) as error:
        outcome.trouble = f"{type(error).__name__}: {error}"
    outcome.waited_s = time.perf_counter() - began
    return outcome


async def read(url: str, key: str, pause_s: float, crowd: Crowd) -> None:
    """Call each route in turn, for ever."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        while True:
            for route in ROUTES:
                began = time.perf_counter()
                answer = await client.get(route)
                crowd.reads.setdefault(route, []).append(time.perf_counter() - began)
                if answer.status_code != 200:
                    crowd.wrong_reads.append(f"GET {route}: {answer.status_code}")
                await asyncio.sleep(pause_s)


async def gather(url: str, keys: Sequence[str], readers: int, pause_s: float, patience_s: float) -> Crowd:
    """One client for each key at once, and `readers` beside them until the last has its picture."""
    crowd = Crowd()
    async with connections(url, len(keys)) as clients:
        reading = [
            asyncio.create_task(read(url, keys[n % len(keys)], pause_s, crowd)) for n in range(readers)
        ]
        began = time.perf_counter()
        asking = (want(clients[n], n, key, patience_s) for n, key in enumerate(keys))
        crowd.outcomes = await asyncio.gather(*asking)
        crowd.elapsed_s = time.perf_counter() - began
        for task in reading:
            task.cancel()
        ends = await asyncio.gather(*reading, return_exceptions=True)
        crowd.wrong_reads += [f"a reader: {end!r}" for end in ends if isinstance(end, Exception)]
    return crowd


@asynccontextmanager
async def connections(url: str, count: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """One for each client, open already, as those of different machines."""
    shared = httpx.create_ssl_context()  # reading the certificates anew for each takes seconds
    clients = [httpx.AsyncClient(base_url=url, timeout=3600, verify=shared) for _ in range(count)]
    try:
        for client in clients:
            (await client.get("/healthz")).raise_for_status()
        yield clients
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))


def started(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A server that is ready to paint, and its address."""
    log = folder / "serve.log"
    command = [sys.executable, "-m", "limner", "serve", "--port", "0", "--data-dir", str(folder)]
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out)
    until = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found:
            try:
                if httpx.get(f"{found.group()}/readyz").status_code == 200:
                    return server, found.group()
            except httpx.TransportError:
                continue
    server.kill()
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


def made_keys(folder: Path, count: int) -> list[str]:
    store = Store(folder)
    try:
        return [store.keys.create(NewKey(f"client {number}", SCOPES)) for number in range(count)]
    finally:
        store.close()


def table(crowd: Crowd) -> str:
    lines = [
        f"{len(crowd.outcomes)} clients served in {crowd.elapsed_s:.1f} s, {len(crowd.troubles)} in trouble",
        "",
        "| | number | p50 | p95 | p99 | longest |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for ask in PROTOCOLS:
        waited = [one.waited_s for one in crowd.outcomes if one.protocol == ask.__name__]
        lines.append(row(f"pictures by {ask.__name__}", waited, "s", 1))
    for route, times in crowd.reads.items():
        lines.append(row(f"`GET {route}`", times, "ms", 1000))
    lines.append(row("all reads", [t for times in crowd.reads.values() for t in times], "ms", 1000))
    return "\n".join(lines)


def row(name: str, seconds: Sequence[float], unit: str, times: float) -> str:
    found = [quantile(seconds, share) or 0.0 for share in (0.5, 0.95, 0.99, 1.0)]
    shown = (f"{value * times:.{1 if times == 1 else 0}f} {unit}" for value in found)
    return f"| {name} | {len(seconds)} | " + " | ".join(shown) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between a reader's calls")
    parser.add_argument(
        "--patience", type=float, default=300, help="seconds until a client counts as hanging"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keys = made_keys(Path(folder), asked.clients)
        server, url = started(Path(folder))
        try:
            crowd = asyncio.run(gather(url, keys, asked.readers, asked.pause, asked.patience))
        finally:
            server.terminate()
            server.wait(30)
    print(table(crowd))
    for trouble in crowd.troubles[:20]:
        print(trouble)
    if crowd.troubles or crowd.reads_p99_s > READS_P99_S:
        sys.exit(1)


if __name__ == "__main__":
    main()
