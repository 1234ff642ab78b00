"""What other people's clients need, in folders of their own: fetched once, kept in `.cache/clients`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
KEPT = HERE.parents[1] / ".cache" / "clients"
# The machine's Node, or the one that the set-up put beside Python.
_PROGRAMS = f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}"


def python_packages(name: str) -> Path:
    """A folder with the packages that `name`.txt pins, and nothing else. Skips where it cannot be had."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--retries", "1"]

    def install(folder: Path) -> None:
        _fetch([*pip, "--only-binary", ":all:", "--target", str(folder), "--requirement", str(pins)])

    pins = HERE / f"{name}.txt"
    return _kept(name, [pins], sys.version, install)


def javascript_packages() -> Path:
    """A folder with what package-lock.json pins. Skips where it cannot be had."""
    npm = shutil.which("npm", path=_PROGRAMS)
    if npm is None or shutil.which("node", path=_PROGRAMS) is None:
        pytest.skip("needs Node and npm")
    pins = [HERE / "package.json", HERE / "package-lock.json"]

    def install(folder: Path) -> None:
        for pin in pins:
            shutil.copy(pin, folder)
        _fetch([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)])

    return _kept("javascript", pins, "", install)


async def python_says(packages: Path, script: str, *arguments: str) -> Any:
    """What a script prints that sees these packages and the standard library, and nothing else."""
    return await _says({"PYTHONPATH": str(packages)}, sys.executable, "-S", str(SCRIPTS / script), *arguments)


async def javascript_says(packages: Path, script: str, *arguments: str) -> Any:
    # A module finds its packages from where it lies.
    place = shutil.copy(SCRIPTS / script, packages)
    return await _says({}, str(shutil.which("node", path=_PROGRAMS)), str(place), *arguments)


async def _says(environment: dict[str, str], *command: str) -> Any:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    running = await asyncio.create_subprocess_exec(
        *command,
        env=kept | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(240):
            said, complaints = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode == 0, complaints.decode()[-4000:]
    return json.loads(said.splitlines()[-1])  # some print advertisements before


def _kept(name: str, pins: list[Path], platform: str, install: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(platform.encode() + b"".join(pin.read_bytes() for pin in pins)).hexdigest()[:16]
    folder = KEPT / f"{name}-{digest}"
    if not folder.is_dir():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as unfinished:
            made = Path(unfinished) / name
            made.mkdir()
            install(made)
            made.rename(folder)
    return folder


def _fetch(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if ended.returncode != 0:
        lines = (ended.stderr.strip() or ended.stdout.strip() or "?").splitlines()
        reason = next((line for line in lines if "error" in line.lower()), lines[-1])
        pytest.skip(f"cannot fetch the clients to try: {reason}")
