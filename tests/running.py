"""The real program as a process: a command, or a server that is started, signalled, started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import httpx

START_S = 90.0

Case = TypeVar("Case")
Result = TypeVar("Result")


def limner(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "limner", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def at_once(run: Callable[[Case], Result], cases: Sequence[Case]) -> list[Result]:
    """What `run` gives for each: their processes run beside each other."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(run, cases))


def refused_in_one_line(ended: subprocess.CompletedProcess[str], *says: str) -> None:
    """What was asked for cannot work, and one line says why, with all of `says` in it."""
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert all(word in ended.stderr for word in says), ended.stderr


class RunningServer:
    """`limner serve` on a free port, ready to paint and to write once entered.

    `url` stays the same across restarts.
    """

    def __init__(self, data_dir: Path, *flags: str) -> None:
        self.data_dir = data_dir
        self.flags = flags
        self.url = ""
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGTERM)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, wait_ready: bool = True) -> None:
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "limner", "serve", "--port", port, "--data-dir", str(self.data_dir)]
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith("LIMNER_") or k == "LIMNER_CACHE_DIR"
        }
        written = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*command, *self.flags], stdout=log, stderr=log, env=environment)
        self._wait_for_address(written)
        if wait_ready:
            self.wait_ready()

    def _wait_for_address(self, written: int) -> None:
        for _ in self._moments():
            found = re.search(r"http://127\.0\.0\.1:\d+", self.log.read_text()[written:])
            if found:
                self.url = found.group()
                return
        raise AssertionError(f"the server printed no address:\n{self.log.read_text()}")

    def wait_ready(self) -> None:
        for _ in self._moments():
            try:
                answer = httpx.get(f"{self.url}/readyz")
                if answer.status_code == 200 and answer.json()["prompt_writer"]["state"] == "ready":
                    return
            except httpx.TransportError:
                continue
        raise AssertionError(f"the server did not get ready:\n{self.log.read_text()}")

    def _moments(self) -> Iterator[None]:
        """Short pauses until `START_S` is over or the process has ended."""
        assert self._process is not None
        until = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
            yield

    def signal(self, number: int) -> int:
        """Send a signal and wait for the end. Returns the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(30)
