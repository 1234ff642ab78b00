"""Clients that dawdle, and heads without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from limner.api import connection, patience
from tests.serving import Api, serving

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "REST_S", 0.5)
        patch.setattr(connection, "UNREAD_S", 0.5)
        patch.setattr(patience, "GRACE_S", 0.5)
        async with serving(tmp_path_factory.mktemp("data")) as running:
            yield running


async def say(api: Api, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """What comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


async def test_a_usual_head_is_answered_in_pieces_too(api: Api) -> None:
    for pieces in ((HEAD + b"\r\n",), (HEAD[:30], HEAD[30:], b"Cookie: " + b"a" * 8000, b"\r\n\r\n")):
        assert (await say(api, *pieces)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD, b"X-Long: " + b"a" * 40_000, b"\r\n\r\n"),
        (HEAD, b"X-Long: " + b"a" * 40_000),
        (HEAD, b"".join(b"X-%d: aaaaaaaaaaaaaaaaaaaa\r\n" % n for n in range(2000)), b"\r\n"),
        (b"GET /" + b"a" * 40_000,),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",),
    ],
    ids=["a header", "a header without end", "many headers", "a path without end", "a path"],
)
async def test_a_head_that_is_too_large_is_refused(api: Api, pieces: tuple[bytes, ...]) -> None:
    answer = await say(api, *pieces)
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 431"), answer[:80]


@pytest.mark.parametrize(
    "pieces", [(), (b"GET / HT",), (HEAD,)], ids=["nothing", "half a line", "half a head"]
)
async def test_a_head_that_does_not_come_is_not_waited_for(api: Api, pieces: tuple[bytes, ...]) -> None:
    assert await say(api, *pieces) == b""


async def test_a_body_that_does_not_come_is_not_waited_for(api: Api) -> None:
    head = (
        b"POST /api/generations HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    answer = await say(api, head, b'{"prompt"')
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()
    assert b'"too_slow"' in answer


async def test_a_body_that_goes_on_after_its_answer_is_not_waited_for(api: Api) -> None:
    head = b"POST /api/generations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    answer = await say(api, head, *[b"x"] * 40, pause_s=0.05)
    assert answer.startswith(b"HTTP/1.1 415") or answer == b"reset", answer[:80]


async def test_whoever_does_not_read_the_answer_is_cut_off(api: Api) -> None:
    made = await api.painted(width=512, height=512)
    path = made["images"][0]["url"].removeprefix(api.url)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port, limit=1024)
    writer.write(request * 200)
    async with asyncio.timeout(20):
        while not writer.is_closing():
            try:
                writer.write(b"\r\n")
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0.05)
    writer.close()
    assert reader is not None
    assert (await api.client.get("/healthz")).status_code == 200
