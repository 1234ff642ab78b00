"""Folders of a cache that several processes use: who uses one holds it, and only others are dropped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path


def held(folder: Path) -> int | None:
    """A descriptor: until it is closed, or its process ends, `drop` leaves the folder alone.

    None where there is no such folder.
    """
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):  # a file system without locks, where `drop` does nothing
        fcntl.flock(opened, fcntl.LOCK_SH)
    with contextlib.suppress(FileNotFoundError):
        # It may have been dropped, and made anew, while the lock was waited for.
        if os.path.samestat(os.fstat(opened), folder.stat()):
            return opened
    os.close(opened)
    return None


def drop(folder: Path) -> bool:
    """Delete it; False where somebody holds it, or it is gone."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who comes now finds none, instead of half of one.
        renamed = folder.rename(folder.with_name(f"dropped-{os.getpid()}-{folder.name}"))
        shutil.rmtree(renamed, ignore_errors=True)
        return True
    except OSError:
        return False
    finally:
        os.close(opened)
