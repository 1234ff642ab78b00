"""What is worked out once for a model and kept on disk: converted and compiled networks, choices, colours."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from limner.models.digests import Digests, digest_of
from limner.models.folder_lock import drop, held
from limner.models.processor import processor_name, processors

log = logging.getLogger(__name__)

# Raise it when what is kept would be made otherwise.
FORMAT = 1
PACKAGES = ("diffusers", "openvino", "torch", "transformers")
MAX_BYTES = 16 * 2**30
# Of those, for compiled shapes: there is one for each size of picture and batch that anybody asks for.
MAX_COMPILED_BYTES = 4 * 2**30


class Kept:
    """A folder of folders, one for each model part and everything that its conversion depends on.

    What was not used for longest is dropped when there is too much, but nothing that any process uses.
    Without a folder, or where it cannot be written, everything lasts as long as this object.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is None or not _writable(folder):
            folder = Path(tempfile.mkdtemp(prefix="limner-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder
        self._digests = Digests(folder / "digests.json")

    def folder(self, files: Iterable[Path], make: Callable[[Path], object]) -> Path:
        """The folder that belongs to the contents of `files`; `make` fills it where there is none.

        It stays there for as long as this object lives.
        """
        found = self._folder / self._identity(files)
        while (hold := held(found)) is None:
            self._make(found, make)
        weakref.finalize(self, os.close, hold)
        _mark_used(found)
        return found

    def _make(self, found: Path, make: Callable[[Path], object]) -> None:
        _prune(self._folder.iterdir(), MAX_BYTES)
        started = Path(tempfile.mkdtemp(prefix="started-", dir=self._folder))
        hold = held(started)
        try:
            make(started)
            started.rename(found)
        except OSError:
            if not found.exists():  # else somebody else was faster
                raise
        finally:
            if hold is not None:
                os.close(hold)
            shutil.rmtree(started, ignore_errors=True)

    @contextlib.contextmanager
    def compiled(self, folder: Path, name: str) -> Iterator[Path]:
        """Where a compiler keeps one shape of what `folder` holds, for as long as it compiles."""
        place = folder / "compiled" / name
        while (hold := held(place)) is None:
            place.mkdir(parents=True, exist_ok=True)
        try:
            _mark_used(place)
            yield place
        finally:
            os.close(hold)
        _prune(self._folder.glob("*/compiled/*"), MAX_COMPILED_BYTES)

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
        return self._folder / f"{name}-{self._identity(files, *words)}.json"

    def _identity(self, files: Iterable[Path], *words: str) -> str:
        return identity(files, *words, digest=self._digests.of)


def compiler_folder(cache_dir: Path) -> Path:
    """Where PyTorch's compiler keeps its own. It stays as long as this process does; when it has grown too
    large it is begun anew, unless another process uses it."""
    folder = (cache_dir if _writable(cache_dir) else Path(tempfile.mkdtemp(prefix="limner-"))) / "compiled"
    if _bytes(folder) > MAX_COMPILED_BYTES and drop(folder):
        log.info("dropped %s, which had grown too large", folder)
    hold = None
    while hold is None:
        folder.mkdir(parents=True, exist_ok=True)
        hold = held(folder)
    return folder


def _mark_used(folder: Path) -> None:
    """Now, more finely than the file system's own clock, which may stand still for some milliseconds."""
    now_ns = time.time_ns()
    os.utime(folder, ns=(now_ns, now_ns))


def _prune(folders: Iterable[Path], most_bytes: int) -> None:
    """Drop those that were not used for the longest time, and that nobody uses, until the others fit."""
    found = []
    for folder in folders:
        with contextlib.suppress(OSError):  # another process may be dropping it
            if folder.is_dir() and not folder.is_symlink():
                found.append((folder.stat().st_mtime_ns, _bytes(folder), folder))
    left = sum(size for _, size, _ in found)
    for _, size, folder in sorted(found):
        if left <= most_bytes:
            return
        if drop(folder):
            log.info("dropped %s, which was not used for longest", folder)
            left -= size


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


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


def identity(files: Iterable[Path], *words: str, digest: Callable[[Path], bytes] = digest_of) -> str:
    """Of the contents of `files`, the packages that read them, and the processor that runs them."""
    processor = f"{processor_name()} {platform.machine()} {processors()}"
    found = hashlib.sha256(repr((FORMAT, versions(), processor, words)).encode())
    for file in sorted(files):
        found.update(digest(file))
    return found.hexdigest()[:32]


def versions() -> list[str]:
    """Of the packages that what is kept depends on; empty where one is not installed."""
    found = []
    for package in PACKAGES:
        try:
            found.append(version(package))
        except PackageNotFoundError:
            found.append("")
    return found
