"""Files that only their owner may read: keys that this folder has for itself, and those it is given."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from limner.errors import Unusable

_MOST_BYTES = 1 << 20


def kept(path: Path, make: Callable[[], bytes], good: Callable[[bytes], bool]) -> bytes:
    """What `path` holds; made, with mode 0600, when it is missing or no longer `good`.

    Processes that ask at once all get the same. Raises `OSError`.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = os.pread(file, _MOST_BYTES, 0)
        if good(before):
            return before
        made = make()
        os.fchmod(file, 0o600)  # before anything secret is in it
        os.ftruncate(file, 0)
        os.pwrite(file, made, 0)
        os.fsync(file)
        return made
    finally:
        os.close(file)


def found(path: Path) -> bytes | None:
    """What a kept file holds; None when it is missing or not for this user to read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def given(path: Path, flag: str) -> bytes:
    """What the file named by `flag` holds. Raises `Unusable`."""
    try:
        with path.expanduser().open("rb") as file:
            read = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise Unusable(f"{flag} {path} cannot be read ({error.strerror}); name another file") from None
    if len(read) > _MOST_BYTES:
        raise Unusable(f"{flag} {path} is larger than {_MOST_BYTES >> 20} MiB; name another file")
    return read
