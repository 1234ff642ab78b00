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
from limner.api.connection import Connection
from limner.api.opening import AnnouncePublic, Opening
from limner.api.reach import Address, Reach
from limner.api.traffic import Traffic
from limner.api.tunnel import Cloudflared, Ngrok, Tunnel
from limner.engine.messages import Engine
from limner.errors import Unusable
from limner.prompting.messages import PromptWriter
from limner.service.moderation import Moderation
from limner.service.people import Allowance
from limner.service.provenance import Provenance
from limner.service.service import Service
from limner.service.tunnel_use import NGROK_FREE, TunnelUse
from limner.settings import Settings, ngrok_authtoken
from limner.store.store import Store

# Streams are told to end, so this long is waited only for pictures on their way to slow callers.
GRACE_S = 10


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        listening: Callable[[], None],
        opening: Opening | None,
    ) -> None:
        super().__init__(config)
        self._service = service
        self._listening = listening
        self._opening = opening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()
            if self._opening is not None:
                self._opening.begin(self._end)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.end_streams()
        if self._opening is not None:
            await self._opening.end()
        await super().shutdown(sockets)

    def _end(self) -> None:
        self.should_exit = True


def serve(
    settings: Settings,
    engine: Engine,
    writer: PromptWriter,
    listening: Callable[[str], None] | None = None,
    public: AnnouncePublic | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl+C and return the exit code; `listening` is told the URL once it answers,
    and `public` the address of the tunnel once it is open.

    Raises `Unusable` when the address or the data folder cannot be used, strangers could come in, or the
    tunnel that was asked for cannot be opened.
    """
    tunnel = _tunnel(settings)
    sock = _bound(settings.host, settings.port)
    with contextlib.ExitStack() as opened:
        opened.callback(sock.close)
        reach = _reach(settings, sock)
        store = Store(settings.data_dir)
        opened.callback(store.close)
        _forbid_strangers(settings, reach, store)
        service = _service(settings, store, engine, writer)
        opened.pop_all()
    use = TunnelUse(store.tunnel_file(), NGROK_FREE if settings.public == "ngrok" else None)
    opening = None
    if tunnel is not None:
        opening = Opening(
            tunnel, _url(sock, _nearest(settings, sock)), settings.root_path, reach, use, public
        )
    app = create_app(
        service, secret=store.cookie_secret(), reach=reach, root_path=settings.root_path, tunnel_use=use
    )
    url = _url(sock, _shown(settings, sock)) + settings.root_path
    server = _Server(_config(settings, app), service, lambda: listening(url) if listening else None, opening)
    # The server answers these two itself and raises them again when it is done: by then they are answered.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[sock])
    finally:
        for number, answer in before.items():
            signal.signal(number, answer)
        store.close()
    if opening is not None and opening.failure is not None:
        raise opening.failure
    return 0 if server.started else 1


def _config(settings: Settings, app: Traffic) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        proxy_headers=False,  # the application takes them itself
        log_config=None,
        access_log=settings.log_level == "debug",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )


def _reach(settings: Settings, sock: socket.socket) -> Reach:
    address = _address(sock)
    hosts = () if address.is_unspecified else (_in_url(settings.host),)
    return Reach((*hosts, *settings.allow_host), settings.allow_origin, loopback=address.is_loopback)


def _service(settings: Settings, store: Store, engine: Engine, writer: PromptWriter) -> Service:
    """Raises `Unusable` for settings that cannot work."""
    return Service(
        store,
        engine,
        writer,
        max_queued=settings.max_queued,
        visitors=_visitors(settings),
        provenance=Provenance.of(store, settings.sign_cert, settings.sign_key),
        moderation=Moderation(
            store,
            settings.moderation,
            blocklist=settings.blocklist,
            url=settings.moderation_url,
            checker=settings.safety_checker is not None,
            log_days=settings.abuse_log_days,
        ),
    )


def _forbid_strangers(settings: Settings, reach: Reach, store: Store) -> None:
    """Raises `Unusable` when whoever reaches this server could use it without being told apart."""
    if reach.loopback or settings.anonymous or store.keys.any_valid():
        return
    raise Unusable(
        f"--host {settings.host} lets others reach this server, and there is no key yet that tells them "
        "apart; make one with `limner keys create --name NAME` (and the same --data-dir), or let strangers "
        "in with small quotas: --anonymous"
    )


def _tunnel(settings: Settings) -> Tunnel | None:
    """Raises `Unusable` when what it needs is missing."""
    match settings.public:
        case "ngrok":
            return Ngrok(ngrok_authtoken(), settings.public_domain)
        case "cloudflared":
            return Cloudflared()
        case _:
            return None


def _address(sock: socket.socket) -> Address:
    return ipaddress.ip_address(sock.getsockname()[0])


def _url(sock: socket.socket, host: str) -> str:
    return f"http://{_in_url(host)}:{sock.getsockname()[1]}"


def _shown(settings: Settings, sock: socket.socket) -> str:
    """The host by which people reach this server."""
    return _own_address(sock.family) if _address(sock).is_unspecified else settings.host


def _nearest(settings: Settings, sock: socket.socket) -> str:
    """The host by which a tunnel on this machine reaches it: loopback where that will do."""
    address = _address(sock)
    if not (address.is_unspecified or address.is_loopback):
        return settings.host
    return "::1" if sock.family == socket.AF_INET6 else "127.0.0.1"


def _visitors(settings: Settings) -> Allowance | None:
    if not settings.anonymous:
        return None
    return Allowance(settings.visitor_queued, settings.visitor_rate, settings.visitor_quota)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _own_address(family: int) -> str:
    """The address by which others most likely reach this machine. Nothing is sent to find it."""
    beyond, here = ("2001:db8::1", "::1") if family == socket.AF_INET6 else ("192.0.2.1", "127.0.0.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((beyond, 9))
        except OSError:
            return here
        found: str = probe.getsockname()[0]
        return found


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `Unusable` with the remedy."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise Unusable(f"--host {host} is no address of this machine ({error.strerror})") from None
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
