"""From where this server may be reached."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from limner.errors import Unusable

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Reach:
    """`hosts`: names beside the loopback ones that this server answers to; `origins`: pages that may call
    in; `loopback`: it listens on this machine alone.
    """

    hosts: Collection[str] = ()
    origins: Collection[str] = ()
    loopback: bool = True
    names: frozenset[str] = field(init=False)
    tunnels: set[str] = field(init=False, default_factory=set, compare=False)

    def __post_init__(self) -> None:
        """Raises `Unusable` for what is no host or no origin."""
        for host in self.hosts:
            if _HOST.fullmatch(host) is None or host_of(host) != host.lower():
                raise Unusable(
                    f"--allow-host {host!r} is no host name; give it alone, such as art.example.org"
                )
        for origin in self.origins:
            if not _is_origin(origin):
                raise Unusable(
                    f"--allow-origin {origin!r} is no origin; give scheme and host alone, such as "
                    "https://art.example.org"
                )
        object.__setattr__(self, "names", LOOPBACK_HOSTS | {host.lower() for host in self.hosts})

    def answers_to(self, host: str, scope: Scope) -> bool:
        """Whether a request may name this host, with or without a port.

        On a network the address that the request arrived at is good as well: a name can be made to point
        at this machine (DNS rebinding), an address cannot.
        """
        name = host_of(host)
        if name in self.names or name in self.tunnels:
            return True
        here = (scope.get("server") or ("", None))[0]
        arrived_at = None if self.loopback else address_of(here)
        return arrived_at is not None and address_of(name.strip("[]")) == arrived_at

    def open_tunnel(self, url: str) -> None:
        """From now on this server answers to the host of `url`, which a tunnel leads here."""
        self.tunnels.add(host_of(urlsplit(url).netloc))

    def is_tunnel(self, scope: Scope) -> bool:
        """Whether a request came by a tunnel's name."""
        if not self.tunnels:
            return False
        headers = Headers(scope=scope)
        return host_of(headers.get("x-forwarded-host", headers.get("host", ""))) in self.tunnels

    def is_our_page(self, origin: str, scope: Scope) -> bool:
        if origin in self.origins:
            return True
        try:
            return self.answers_to(urlsplit(origin).netloc, scope)
        except ValueError:
            return False


def host_of(given: str) -> str:
    """A `Host` without its port, in small letters; empty when it is none."""
    match = _HOST.fullmatch(given)
    return match[1].lower() if match else ""


def address_of(text: str) -> Address | None:
    """IPv4 also where it comes dressed as IPv6."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped) or found


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_whole = text == f"{parts.scheme}://{parts.netloc}" == text.lower()
    except ValueError:
        return False
    return is_whole and parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc) is not None
