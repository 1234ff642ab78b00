"""One server per data folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from limner.errors import Unusable


class FolderLock:
    """Held while a server owns `folder`; the system frees it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Raises `Unusable` naming the process that holds it."""
        self._file = os.open(folder / "limner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._file, 20, 0).decode().strip() or "unknown"
            os.close(self._file)
            raise Unusable(
                f"{folder} is in use by another Limner server (process {owner}); "
                "stop that one or give this one its own --data-dir"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._file)
