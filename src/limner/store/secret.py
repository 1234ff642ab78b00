"""The secret that cookies are signed with."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

BYTES = 32


def read_or_make(file: Path) -> bytes:
    """The secret in `file`, made at the first call. Only the file's owner may read it."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        file.chmod(0o600)
        found = file.read_bytes()
        if len(found) >= BYTES:
            return found
        file.unlink()  # a crash cut it short
        return read_or_make(file)
    with os.fdopen(descriptor, "wb") as opened:
        made = secrets.token_bytes(BYTES)
        opened.write(made)
        opened.flush()
        os.fsync(descriptor)
    return made
