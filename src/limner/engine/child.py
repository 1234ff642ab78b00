"""The start of the engine's own process, before torch is loaded."""

from __future__ import annotations

import os

from limner.engine.wire import EngineStart
from limner.process.child import Inbox, Send


def main(start: EngineStart, inbox: Inbox, send: Send) -> None:
    """The entry for `SupervisedProcess`. Raises `ModelUnusable` when a model cannot be loaded."""
    # OpenMP's threads else spin while they wait for each other, which is many times slower as soon as
    # anything else wants a processor. It is read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from limner.engine.worker import work

    work(start, inbox, send)
