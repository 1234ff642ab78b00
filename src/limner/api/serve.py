"""Runs the server until it is told to stop."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import signal
import socket
from collections.abc import Callable

import uvicorn

from limner.api.app import create_app
from limner.engine.messages import Engine
from limner.errors import Unusable
from limner.prompting.messages import PromptWriter
from limner.service.moderation import Moderation
from limner.service.provenance import Provenance
from limner.service.service import Service
from limner.settings import Settings
from limner.store.store import Store

# Streams are told to end, so this long is waited only for pictures on their way to slow callers.
GRACE_S = 10


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._service = service
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.end_streams()
        await super().shutdown(sockets)


def serve(
    settings: Settings, engine: Engine, writer: PromptWriter, listening: Callable[[str], None] | None = None
) -> int:
    """Serve until SIGTERM or Ctrl+C and return the exit code; `listening` is told the URL once it answers.

    Raises `Unusable` when the address or the data folder cannot be used.
    """
    sock = _bound(settings.host, settings.port)
    with contextlib.ExitStack() as opened:
        opened.callback(sock.close)
        store = Store(settings.data_dir)
        opened.callback(store.close)
        provenance = Provenance.of(store, settings.sign_cert, settings.sign_key)
        moderation = Moderation(
            store,
            settings.moderation,
            blocklist=settings.blocklist,
            url=settings.moderation_url,
            checker=settings.safety_checker is not None,
            log_days=settings.abuse_log_days,
        )
        opened.pop_all()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{sock.getsockname()[1]}"
    service = Service(
        store, engine, writer, max_queued=settings.max_queued, provenance=provenance, moderation=moderation
    )
    config = uvicorn.Config(
        create_app(service, hosts=[host]),
        log_config=None,
        access_log=settings.log_level == "debug",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    server = _Server(config, service, lambda: listening(url) if listening else None)
    # The server answers these two itself and raises them again when it is done: by then they are answered.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[sock])
    finally:
        for number, answer in before.items():
            signal.signal(number, answer)
        store.close()
    return 0 if server.started else 1


def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to a loopback address. Raises `Unusable` with the remedy."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise Unusable(f"--host {host} is no address of this machine ({error.strerror})") from None
    if not ipaddress.ip_address(address[0]).is_loopback:
        raise Unusable(
            f"--host {host} would let anyone who reaches it use this server; "
            "use 127.0.0.1, and a reverse proxy or an SSH tunnel to reach it from elsewhere"
        )
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
        sock.listen(1024)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            remedy = "stop what uses it, or choose another with --port (0: any free one)"
            raise Unusable(f"port {port} on {host} is taken; {remedy}") from None
        raise Unusable(
            f"port {port} on {host} cannot be used ({error.strerror}); choose another with --port"
        ) from None
    return sock
