"""A tunnel while the server runs: opened once it listens, counted, and closed before it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from limner.api.reach import Reach
from limner.api.tunnel import Tunnel, qr_code
from limner.errors import Unusable
from limner.service.tunnel_use import TunnelUse

log = logging.getLogger(__name__)

_KEEP_PAUSE_S = 10.0

# Told the public address, a QR code of it (empty where none can be drawn), and what was used this month.
AnnouncePublic = Callable[[str, str, str], None]


class Opening:
    """`failure` says why the tunnel could not be opened. One that fails later leaves the server as it is."""

    def __init__(
        self,
        tunnel: Tunnel,
        target: str,
        root_path: str,
        reach: Reach,
        use: TunnelUse,
        announce: AnnouncePublic | None,
    ) -> None:
        self._tunnel = tunnel
        self._target = target
        self._root_path = root_path
        self._reach = reach
        self._use = use
        self._announce = announce
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self.failure: Unusable | None = None

    def begin(self, give_up: Callable[[], None]) -> None:
        """`give_up` is called when it cannot be opened."""
        self._task = asyncio.create_task(self._run(give_up), name="tunnel")

    async def end(self) -> None:
        self._ending = True
        if self._task is not None:
            self._task.cancel()
            (ended,) = await asyncio.gather(self._task, return_exceptions=True)
            if isinstance(ended, Exception):  # no reason not to end the rest in good order
                log.error("the tunnel went wrong", exc_info=ended)
        await self._tunnel.close()
        await self._use.keep()

    async def _run(self, give_up: Callable[[], None]) -> None:
        try:
            url = await self._tunnel.open(self._target, self._lost)
        except Unusable as error:
            self.failure = error
            give_up()
            return
        self._reach.open_tunnel(url)
        shown = url.rstrip("/") + self._root_path
        if self._announce is not None:
            self._announce(shown, qr_code(shown), self._use.told())
        while True:
            await asyncio.sleep(_KEEP_PAUSE_S)
            await self._use.keep()

    def _lost(self, why: str) -> None:
        if not self._ending:
            log.warning("the tunnel is gone: %s. Here Limner paints on.", why)
