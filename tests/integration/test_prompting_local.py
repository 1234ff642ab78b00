"""The prompt writer in its own process, with the shipped weights."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from limner.errors import ModelUnusable, NotReady, PromptWriterFailed
from limner.params import Voice
from limner.prompting import catalog
from limner.prompting.local import LocalPromptWriter
from limner.prompting.messages import PromptRequest
from tests.gpt2 import make_gpt2

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all: they share a process, which takes seconds to start."""
    return "asyncio"


@pytest.fixture(scope="module")
async def writer(anyio_backend: str) -> AsyncIterator[LocalPromptWriter]:
    writer = LocalPromptWriter(catalog.find("writer"), "writer", log_level="error")
    await writer.start()
    await writer.ready()
    yield writer
    await writer.stop()


async def whole(writer: LocalPromptWriter, request: PromptRequest) -> str:
    return request.text + "".join([piece async for piece in writer.write(request)])


async def test_it_streams_prompts_to_many_at_once_and_the_seed_decides(writer: LocalPromptWriter) -> None:
    requests = [PromptRequest(str(n), "a red hou", Voice.STARTER, n % 2) for n in range(6)]
    texts = await asyncio.gather(*(whole(writer, request) for request in requests))
    assert all(text.startswith("a red house") for text in texts)
    assert len(set(texts)) == 2
    pieces = [p async for p in writer.write(PromptRequest("x", "", Voice.FULL, 1))]
    assert len(pieces) > 5
    assert writer.health().state == "ready"


async def test_a_closed_stream_does_not_reach_the_next_of_the_same_id(writer: LocalPromptWriter) -> None:
    expected = await whole(writer, PromptRequest("other", "", Voice.FULL, 2))
    for _ in range(5):
        stream = writer.write(PromptRequest("same", "", Voice.FULL, 1))
        await anext(stream)
        await stream.aclose()
        assert await whole(writer, PromptRequest("same", "", Voice.FULL, 2)) == expected


async def test_a_killed_process_fails_its_prompts_and_comes_back(writer: LocalPromptWriter) -> None:
    request = PromptRequest("1", "", Voice.FULL, 9)
    before = await whole(writer, request)
    pid = writer._process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    lost = asyncio.create_task(whole(writer, request))
    await asyncio.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(PromptWriterFailed, match="signal 9"):
        await lost
    assert writer.health().state == "restarting"
    with pytest.raises(NotReady):
        await whole(writer, request)
    async with asyncio.timeout(60):
        await writer.ready()
    assert await whole(writer, request) == before


async def test_it_says_when_the_weights_cannot_be_loaded(tmp_path: Path) -> None:
    folder = make_gpt2(tmp_path, ["a b c"])
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    writer = LocalPromptWriter(folder, "broken", log_level="critical")
    await writer.start()
    try:
        with pytest.raises(ModelUnusable, match="broken"):
            await writer.ready()
        assert writer.health().state == "failed"
        with pytest.raises(PromptWriterFailed, match="cannot be loaded"):
            await whole(writer, PromptRequest("1", "", Voice.FULL, 1))
    finally:
        await writer.stop()


async def test_before_it_is_started_it_is_not_ready() -> None:
    writer = LocalPromptWriter(catalog.find("writer"), "writer")
    with pytest.raises(NotReady):
        await anext(writer.write(PromptRequest("1", "", Voice.FULL, 1)))
    assert writer.name() == "writer"


def test_the_server_side_never_imports_torch() -> None:
    asked = "import sys, limner.prompting.local, limner.prompting.catalog as c; c.find('writer'); "
    asked += "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
