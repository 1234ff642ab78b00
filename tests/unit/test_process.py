"""The supervised child, as a real process with real signals."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from limner.process.child import Inbox, Send
from limner.process.supervised import SupervisedProcess

pytestmark = pytest.mark.anyio
HERE = "tests.unit.test_process"


def echo(greeting: str, inbox: Inbox, send: Send) -> None:
    """A child that answers each message with its greeting and pid."""
    send((greeting, os.getpid()))
    while True:
        message = inbox.wait()
        if message == "raise":
            raise ValueError("asked to")
        send((greeting, message))


class Life:
    """Collects what the child says and why it ended."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[object] = asyncio.Queue()
        self.exits: asyncio.Queue[str] = asyncio.Queue()

    async def next(self) -> tuple[object, object]:
        message = await asyncio.wait_for(self.messages.get(), 20)
        assert isinstance(message, tuple)
        return message

    async def end(self) -> str:
        return await asyncio.wait_for(self.exits.get(), 20)


@asynccontextmanager
async def child(heartbeat_timeout_s: float = 8.0) -> AsyncIterator[tuple[SupervisedProcess, Life]]:
    life = Life()
    process = SupervisedProcess(
        f"{HERE}:echo",
        "hello",
        on_message=life.messages.put_nowait,
        on_exit=life.exits.put_nowait,
        heartbeat_timeout_s=heartbeat_timeout_s,
    )
    await process.start()
    try:
        yield process, life
    finally:
        await process.stop()


async def test_child_answers_messages_of_any_size_in_order() -> None:
    async with child() as (process, life):
        await life.next()
        for message in ("a", b"x" * 5_000_000, "b"):
            process.send(message)
        assert [(await life.next())[1] for _ in range(3)] == ["a", b"x" * 5_000_000, "b"]


async def test_killed_child_is_reported_and_replaced() -> None:
    async with child() as (_, life):
        _, first = await life.next()
        assert isinstance(first, int)
        os.kill(first, signal.SIGKILL)
        assert await life.end() == "killed by signal 9"
        _, second = await life.next()
        assert second != first


async def test_a_service_managers_signal_to_the_whole_group_leaves_the_child_to_its_parent() -> None:
    async with child() as (process, life):
        _, first = await life.next()
        assert isinstance(first, int)
        os.kill(first, signal.SIGTERM)
        process.send("still there")
        assert await life.next() == ("hello", "still there")
        assert process.pid == first


async def test_a_child_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    start, refused = asyncio.create_subprocess_exec, ["once", "twice"]

    async def refuse(*command: str, **values: Any) -> asyncio.subprocess.Process:
        if refused:
            raise OSError(errno.EAGAIN, f"no room for a process, {refused.pop()}")
        return await start(*command, **values)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    async with child() as (_, life):
        assert "no room for a process, twice" in await life.end()
        assert "no room for a process, once" in await life.end()
        assert isinstance((await life.next())[1], int)


async def test_a_message_that_cannot_be_taken_costs_the_child_and_not_the_watch_over_it() -> None:
    async with child() as (process, life):
        _, first = await life.next()
        taken, process._on_message = process._on_message, lambda _: [][0]
        process.send("anything")
        assert await life.end() == "IndexError: list index out of range"
        process._on_message = taken
        assert (await life.next())[1] != first


async def test_child_that_raises_says_why() -> None:
    async with child() as (process, life):
        await life.next()
        process.send("raise")
        assert await life.end() == "ValueError: asked to"


async def test_stopped_child_is_noticed_by_its_silence_and_replaced() -> None:
    async with child(heartbeat_timeout_s=2.0) as (_, life):
        _, first = await life.next()
        assert isinstance(first, int)
        os.kill(first, signal.SIGSTOP)
        assert await life.end() == "no sign of life for 2 s"
        assert (await life.next())[1] != first


async def test_child_outlives_a_pause_of_its_parents_event_loop() -> None:
    async with child(heartbeat_timeout_s=2.0) as (process, life):
        _, first = await life.next()
        time.sleep(2.5)
        await asyncio.sleep(0.1)
        assert process.pid == first
        assert life.exits.empty()


async def test_child_ends_when_its_parent_is_killed() -> None:
    parent = textwrap.dedent(f"""
        import asyncio
        from limner.process.supervised import SupervisedProcess
        async def main():
            def told(message): print(message[1], flush=True)
            process = SupervisedProcess("{HERE}:echo", "hi", on_message=told, on_exit=print)
            await process.start()
            await asyncio.sleep(60)
        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        pid = int(await asyncio.to_thread(running.stdout.readline))
        running.kill()
        for _ in range(100):
            if not _alive(pid):
                return
            await asyncio.sleep(0.1)
    pytest.fail(f"child {pid} outlived its parent")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
