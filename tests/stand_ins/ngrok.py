"""Stands in for ngrok's SDK, with the few calls of it that Limner makes. Nothing is forwarded.

Reads the folder in `STAND_IN_FOLDER`: a file `lost` there breaks the line; what it is told it writes there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

FOLDER = Path(os.environ["STAND_IN_FOLDER"])


def _note(name: str, text: str = "") -> None:
    (FOLDER / name).write_text(text)


class Listener:
    def __init__(self, url: str) -> None:
        self._url = url

    def url(self) -> str:
        return self._url


class HttpListenerBuilder:
    _domain = "stand-in.ngrok-free.app"

    def domain(self, domain: str) -> Self:
        self._domain = domain
        return self

    async def listen_and_forward(self, url: str) -> Listener:
        _note("forwards-to", url)
        return Listener(f"https://{self._domain}")


class Session:
    def http_endpoint(self) -> HttpListenerBuilder:
        return HttpListenerBuilder()

    async def close(self) -> None:
        _note("closed")


class SessionBuilder:
    _token = ""
    _interrupted: Callable[[str, str], object]

    def authtoken(self, authtoken: str) -> Self:
        self._token = authtoken
        return self

    def handle_disconnection(self, handler: Callable[[str, str], object]) -> Self:
        self._interrupted = handler
        return self

    def handle_stop_command(self, handler: Callable[[], object]) -> Self:
        return self

    async def connect(self) -> Session:
        if self._token == "wrong":
            raise ValueError("failed to connect session", "authentication failed:\nERR_NGROK_105")
        if self._token == "offline":
            raise ValueError("failed to connect session", "failed to establish tcp connection")
        threading.Thread(target=self._watch, daemon=True).start()
        return Session()

    def _watch(self) -> None:
        while not (FOLDER / "lost").exists():
            time.sleep(0.05)
        self._interrupted("connect.ngrok-agent.com:443", "remote gone away")
