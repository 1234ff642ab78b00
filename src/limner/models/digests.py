"""What files hold, in short; remembered, because weights take long to read through."""

from __future__ import annotations

import hashlib
import time
from functools import lru_cache
from pathlib import Path

from limner.models.remembered import Remembered

MOST = 256
# A file that changed so lately could change again and look the same: clocks of file systems are coarse.
SETTLED_NS = 2 * 10**9


class Digests:
    """SHA-256 of files, in a JSON file from start to start; it may be deleted at any time.

    A file is read again when its size, or the time that it or its entry was changed, is another.
    """

    def __init__(self, file: Path) -> None:
        self._remembered = Remembered(file, MOST)

    def of(self, file: Path) -> bytes:
        path, looks = str(file.absolute()), _looks(file)
        told = self._remembered.get(path)
        if isinstance(told, list) and told[:-1] == looks:
            return bytes.fromhex(told[-1])
        digest = digest_of(file)
        if looks == _looks(file) and time.time_ns() - max(looks[1:]) > SETTLED_NS:
            self._remembered.put(path, [*looks, digest.hex()])
        return digest


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
