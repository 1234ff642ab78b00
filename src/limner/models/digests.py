"""What files hold, in short; remembered, because weights take long to read through."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

MOST = 256
# A file that changed so lately could change again and look the same: clocks of file systems are coarse.
SETTLED_NS = 2 * 10**9


class Digests:
    """SHA-256 of files, in a JSON file from start to start; it may be deleted at any time.

    A file is read again when its size, or the time that it or its entry was changed, is another.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def of(self, file: Path) -> bytes:
        path, looks, known = str(file.absolute()), _looks(file), self._read()
        told = known.pop(path, None)
        if isinstance(told, list) and told[:-1] == looks:
            return bytes.fromhex(told[-1])
        digest = digest_of(file)
        if looks == _looks(file) and time.time_ns() - max(looks[1:]) > SETTLED_NS:
            self._write(dict([*known.items(), (path, [*looks, digest.hex()])][-MOST:]))
        return digest

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self, known: dict[str, Any]) -> None:
        started = self._file.with_suffix(f".{os.getpid()}")
        try:
            started.write_text(json.dumps(known), encoding="utf-8")
            started.replace(self._file)
        except OSError as error:
            log.warning("what files hold cannot be remembered in %s: %s", self._file, error)


def _looks(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def digest_of(file: Path) -> bytes:
    """Read once by a process, for as long as it looks unchanged."""
    return _digest_of(file, *_looks(file))


@lru_cache(maxsize=64)
def _digest_of(file: Path, size: int, changed_ns: int, entry_changed_ns: int) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()
