"""Tunnels that make a server at home reachable from everywhere."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from limner.errors import Unusable

log = logging.getLogger(__name__)

OPEN_S = 30.0
_END_S = 5.0
_TOKEN_PAGE = "https://dashboard.ngrok.com/get-started/your-authtoken"  # noqa: S105
_CLOUDFLARED_PAGE = "https://developers.cloudflare.com/tunnel/downloads/"
_QUICK_TUNNEL = re.compile(r"https://(?!api\.)[a-z0-9-]+\.trycloudflare\.com")
# The shell ends cloudflared when our end of its input closes: when this process ends, however that happens.
_LEASH = (
    'exec 3<&0; "$@" < /dev/null 3<&- & child=$!; { read _ <&3; kill $child; } > /dev/null 2>&1 & reader=$!; '
    "wait $child; kill $reader"
)
_LAST_WORDS_S = 0.2

Lost = Callable[[str], None]


class Tunnel(Protocol):
    """Two makers, one shape. Everything is called on the event loop."""

    async def open(self, target: str, lost: Lost) -> str:
        """Lead a public address, which is returned, to `target`; `lost` is told when it no longer does.

        Raises `Unusable`.
        """
        ...

    async def close(self) -> None: ...


class Ngrok:
    """A tunnel of ngrok, by their SDK, which connects again by itself when the line breaks."""

    def __init__(self, token: str | None, domain: str | None) -> None:
        """Raises `Unusable` when the SDK or a token is missing."""
        try:
            self._sdk: Any = importlib.import_module("ngrok")
        except ImportError:
            raise Unusable(
                "--public needs ngrok's SDK, and segno for the QR code: pip install ngrok segno" + _offer()
            ) from None
        if not token:
            raise Unusable(
                f"--public needs your token of ngrok in NGROK_AUTHTOKEN; it is free at {_TOKEN_PAGE}"
                + _offer()
            )
        self._token = token
        self._domain = domain
        self._session: Any = None

    async def open(self, target: str, lost: Lost) -> str:
        loop = asyncio.get_running_loop()

        def tell(why: str) -> None:
            with contextlib.suppress(RuntimeError):  # the SDK's thread may outlive the loop
                loop.call_soon_threadsafe(lost, why)

        def interrupted(_: str, error: str) -> None:
            tell(f"{error}; ngrok connects again when it can")

        builder = self._sdk.SessionBuilder().authtoken(self._token)
        builder = builder.handle_disconnection(interrupted)
        builder = builder.handle_stop_command(lambda: tell("stopped from ngrok's dashboard"))
        try:
            async with asyncio.timeout(OPEN_S):
                self._session = await builder.connect()
                endpoint = self._session.http_endpoint()
                if self._domain:
                    endpoint = endpoint.domain(self._domain)
                listener = await endpoint.listen_and_forward(target)
        except TimeoutError:
            raise Unusable(_without_network("ngrok", f"no answer within {OPEN_S:.0f} s")) from None
        except Exception as error:  # the SDK raises ValueError with the parts of a message
            await self.close()
            raise Unusable(_without_network("ngrok", _one_line(error))) from None
        return str(listener.url())

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_END_S):
                    await session.close()


class Cloudflared:
    """A quick tunnel of Cloudflare, by their program, which needs no account."""

    def __init__(self) -> None:
        """Raises `Unusable` when the program is missing."""
        found = shutil.which("cloudflared")
        if found is None:
            raise Unusable(
                f"--public cloudflared needs the program cloudflared on the PATH: {_CLOUDFLARED_PAGE}"
            )
        self._program = found
        self._child: asyncio.subprocess.Process | None = None
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, target: str, lost: Lost) -> str:
        command = [self._program, "tunnel", "--no-autoupdate", "--url", target]
        if os.name == "posix":
            command = ["/bin/sh", "-c", _LEASH, "limner", *command]
        self._child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl+C is for the server, which ends it in its turn
        )
        assert self._child.stdout is not None
        self._spawn(self._read(self._child.stdout))
        self._spawn(self._await_end(self._child))
        try:
            async with asyncio.timeout(OPEN_S):
                url = await self._address()
        except TimeoutError:
            await self.close()
            why = f"no address within {OPEN_S:.0f} s"
            raise Unusable(_without_network("cloudflared", why)) from None
        except Unusable:
            await self.close()
            raise
        self._spawn(self._watch(lost))
        return url

    async def close(self) -> None:
        child, self._child = self._child, None
        for task in self._tasks:
            task.cancel()
        if child is None or child.returncode is not None:
            return
        if os.name == "posix":
            assert child.stdin is not None
            child.stdin.close()
        else:
            child.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await child.wait()
            return
        child.kill()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name="cloudflared"))

    async def _read(self, output: asyncio.StreamReader) -> None:
        """Its output must be read, or it would wait for us."""
        while line := await _line(output):
            self._lines.put_nowait(line)

    async def _await_end(self, child: asyncio.subprocess.Process) -> None:
        """The end of the output is no sign: whatever it has started may hold that open."""
        await child.wait()
        await asyncio.sleep(_LAST_WORDS_S)
        self._lines.put_nowait(None)

    async def _address(self) -> str:
        last = "it ended without a word"
        while line := await self._lines.get():
            if found := _QUICK_TUNNEL.search(line):
                return found.group()
            last = line
        raise Unusable(_without_network("cloudflared", last))

    async def _watch(self, lost: Lost) -> None:
        last = ""
        while line := await self._lines.get():
            last = line
        lost(f"cloudflared has ended ({last or 'without a word'})")


async def _line(output: asyncio.StreamReader) -> str:
    """The next that is not blank; empty at the end. One longer than the buffer is passed over."""
    while True:
        try:
            line = await output.readline()
        except ValueError:
            continue
        text = line.decode(errors="replace").strip()
        if text or not line:
            return text


def _offer() -> str:
    return (
        "; or use the cloudflared that is here: --public cloudflared" if shutil.which("cloudflared") else ""
    )


def _without_network(maker: str, why: str) -> str:
    return (
        f"the tunnel of {maker} cannot be opened ({why}); check the network and what the message names, "
        "or serve without --public"
    )


def _one_line(error: Exception) -> str:
    parts = [str(part) for part in error.args] or [type(error).__name__]
    return ": ".join(" ".join(part.split()) for part in parts)


def qr_code(url: str) -> str:
    """Drawn with blocks, to point a phone at; empty where segno is not installed."""
    try:
        segno: Any = importlib.import_module("segno")
    except ImportError:
        return ""
    import io

    drawn = io.StringIO()
    segno.make(url, error="l").terminal(drawn, compact=True)
    return drawn.getvalue()
