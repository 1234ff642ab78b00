"""One name for all the ways to run out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class OutOfMemory(MemoryError):
    """The device has no room for this."""


@contextmanager
def told_as_memory() -> Iterator[None]:
    """torch's processor allocator has no exception class of its own. Raises `OutOfMemory`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        told = str(error).lower()
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if known or "out of memory" in told or "allocate memory" in told:
            raise OutOfMemory(str(error).splitlines()[0] if told else "") from error
        raise
