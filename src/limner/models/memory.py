"""One name for all the ways to run out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# torch's allocator on a processor; OpenVINO, twice; cuBLAS. None has an exception class of its own.
TOLD = ("out of memory", "allocate memory", "failed to allocate", "bad_alloc", "status_alloc_failed")


class OutOfMemory(MemoryError):
    """The device has no room for this."""


@contextmanager
def told_as_memory() -> Iterator[None]:
    """Raises `OutOfMemory` for what is that in other words."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        lines = str(error).splitlines()
        # OpenVINO says it in the last, and before that where in its source.
        said = next((line for line in lines if any(words in line.lower() for words in TOLD)), "")
        if said or isinstance(error, MemoryError | torch.OutOfMemoryError):
            raise OutOfMemory(said or "".join(lines[:1])) from error
        raise
