"""The prompt writer on this machine, in a process of its own. No torch here."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Final

from limner.errors import ModelUnusable, NotReady, PromptWriterFailed
from limner.process.supervised import SupervisedProcess
from limner.prompting.messages import PromptRequest, WriterHealth
from limner.prompting.pipe import Failed, Load, Piece, Ready, Stop, Written

ENTRY: Final = "limner.prompting.child:run"


class LocalPromptWriter:
    """Writes with the GPT-2 in `folder`; `name` is what people are shown.

    The process is started again when it dies; what it was writing fails with `PromptWriterFailed`.
    """

    def __init__(self, folder: Path, name: str, *, log_level: str = "info", threads: int = 1) -> None:
        self._name = name
        self._health = WriterHealth("stopped")
        self._changed = asyncio.Event()
        self._numbers = itertools.count()
        self._streams: dict[str, asyncio.Queue[Piece | Written | Failed]] = {}
        self._process = SupervisedProcess(
            ENTRY,
            Load(str(folder), threads),
            on_message=self._receive,
            on_exit=self._on_exit,
            log_level=log_level,
        )

    async def start(self) -> None:
        self._become(WriterHealth("loading", f"loading the prompt writer {self._name}"))
        await self._process.start()

    async def stop(self) -> None:
        await self._process.stop()
        self._become(WriterHealth("stopped"))
        self._fail_all("the prompt writer was stopped")

    async def ready(self) -> None:
        """Wait until it is loaded. Raises `ModelUnusable` when that fails."""
        while self._health.state != "ready":
            if self._health.state in ("failed", "stopped"):
                raise ModelUnusable(
                    f"the prompt writer {self._name} is {self._health.state}: {self._health.detail}"
                )
            await self._changed.wait()

    def health(self) -> WriterHealth:
        return self._health

    def name(self) -> str:
        return self._name

    async def write(self, request: PromptRequest) -> AsyncGenerator[str]:
        """As `PromptWriter.write`."""
        if self._health.state == "failed":
            raise PromptWriterFailed(
                f"the prompt writer {self._name} cannot be loaded: {self._health.detail}"
            )
        if self._health.state != "ready":
            raise NotReady(f"the prompt writer is {self._health.state}; try again in a moment")
        # A number of our own: what still comes for a closed prompt must not reach the next of the same id.
        request = replace(request, id=f"{request.id}/{next(self._numbers)}")
        stream = self._streams[request.id] = asyncio.Queue()
        ended = False
        self._process.send(request)
        try:
            while not ended:
                message = await stream.get()
                if isinstance(message, Piece):
                    yield message.text
                    continue
                ended = True
                if isinstance(message, Failed):
                    raise PromptWriterFailed(
                        f"the prompt writer could not write this prompt: {message.reason}"
                    )
        finally:
            del self._streams[request.id]
            if not ended:
                self._process.send(Stop(request.id))

    def _receive(self, message: object) -> None:
        if isinstance(message, Ready):
            self._become(WriterHealth("ready"))
        elif isinstance(message, Piece | Written | Failed) and message.request_id in self._streams:
            self._streams[message.request_id].put_nowait(message)

    def _on_exit(self, reason: str) -> None:
        loaded = self._health.state == "ready"
        self._become(WriterHealth("restarting" if loaded else "failed", reason))
        self._fail_all(reason)

    def _fail_all(self, reason: str) -> None:
        for request_id, stream in self._streams.items():
            stream.put_nowait(Failed(request_id, reason))

    def _become(self, health: WriterHealth) -> None:
        self._health = health
        self._changed.set()
        self._changed = asyncio.Event()
