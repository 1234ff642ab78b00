"""What is worked out once for a model and kept on disk: converted networks, choices, colours."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# Raise it when what is kept would be made otherwise.
FORMAT = 1
PACKAGES = ("diffusers", "openvino", "torch", "transformers")
MAX_BYTES = 16 * 2**30


class Kept:
    """A folder of folders, one for each model part and everything that its conversion depends on.

    Without a folder, or where it cannot be written, everything lasts as long as this object.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is None or not _writable(folder):
            folder = Path(tempfile.mkdtemp(prefix="limner-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder

    def folder(self, files: Iterable[Path], make: Callable[[Path], object]) -> Path:
        """The folder that belongs to the contents of `files`; `make` fills it where there is none."""
        found = self._folder / identity(files)
        if not found.exists():
            self.prune()
            started = Path(tempfile.mkdtemp(prefix="started-", dir=self._folder))
            try:
                make(started)
                started.rename(found)
            except OSError:
                if not found.exists():  # else somebody else was faster
                    raise
            finally:
                shutil.rmtree(started, ignore_errors=True)
        os.utime(found)
        return found

    def recall(self, name: str, files: Iterable[Path], *words: str) -> dict[str, Any] | None:
        """What was remembered under `name` for these files and words."""
        try:
            value = json.loads(self._file(name, files, words).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def remember(self, name: str, value: dict[str, Any], files: Iterable[Path], *words: str) -> None:
        file = self._file(name, files, words)
        started = file.with_suffix(f".{os.getpid()}")
        started.write_text(json.dumps(value), encoding="utf-8")
        started.replace(file)

    def _file(self, name: str, files: Iterable[Path], words: tuple[str, ...]) -> Path:
        return self._folder / f"{name}-{identity(files, *words)}.json"

    def prune(self) -> None:
        """Drop the folders that were not used for the longest time, until the others fit `MAX_BYTES`."""
        folders = sorted((f for f in self._folder.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime)
        sizes = {f: sum(file.stat().st_size for file in f.rglob("*") if file.is_file()) for f in folders}
        left = sum(sizes.values())
        for folder in folders:
            if left <= MAX_BYTES:
                return
            shutil.rmtree(folder, ignore_errors=True)
            left -= sizes[folder]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        log.warning("nothing is kept in %s (%s); give another --cache-dir", folder, error)
        return False


def part_files(model: Path, *parts: str) -> list[Path]:
    """What the named parts of a diffusers folder are made of."""
    files = [model / "model_index.json"]
    for part in parts:
        files += [*(model / part).glob("*.safetensors"), model / part / "config.json"]
    return files


def identity(files: Iterable[Path], *words: str) -> str:
    """Of the contents of `files`, the packages that read them, and the processor that runs them."""
    digest = hashlib.sha256(repr((FORMAT, _versions(), processor(), words)).encode())
    for file in sorted(files):
        status = file.stat()
        digest.update(_digest_of(file, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()[:32]


@lru_cache(maxsize=64)
def _digest_of(file: Path, size: int, changed_ns: int) -> bytes:
    """Read once by a process, for as long as it looks unchanged."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _versions() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(version(package))
        except PackageNotFoundError:
            found.append("")
    return found


def processor() -> str:
    """Its name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    return f"{told.get('model name', platform.processor())} {platform.machine()} {os.cpu_count()}"
