"""The addresses of a host that may be connected, each judged before anything is sent.

In: host and port of a URL. Out: addresses, or a final RemoteForbidden. Whoever asks connects to these and does not
look the name up again: a name server that answers differently the second time changes nothing.
"""

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from conveyor.builder.courier_errors import CourierError
from conveyor.config.remote_policy import RemotePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Lets through what the policy allows; `place` begins every message: `FILE:LINE: ADD URL`."""

    policy: RemotePolicy
    place: str

    def error(self, reason: str, why: str) -> CourierError:
        """Return an error that names the instruction."""
        return CourierError(reason, f"{self.place}: {why}")

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Resolve a host and judge everything it stands for.

        Raises:
            CourierError: RemoteForbidden, for the name or for any of its addresses; RemoteUnreachable, there is none.
        """
        if why := self.policy.refuses_host(host, port):
            raise self.error("RemoteForbidden", why)
        found = await self._resolve(host, port)
        for address in found:
            if why := self.policy.refuses_address(host, port, ip_address(address)):
                raise self.error("RemoteForbidden", why)
        return found

    async def check(self, url: URL) -> tuple[str, ...]:
        """Judge a URL that is about to be asked; returns its addresses.

        Raises:
            CourierError: RemoteForbidden, RemoteUnreachable.
        """
        if url.scheme not in ("http", "https") or not url.raw_host:
            raise self.error("RemoteForbidden", f"it leads to {url.scheme}, not to http or https")
        if url.raw_user is not None or url.raw_password is not None:
            raise self.error("RemoteForbidden", "it leads to a URL with a login in it")
        return await self.addresses(url.raw_host, url.port or 0)

    async def _resolve(self, host: str, port: int) -> tuple[str, ...]:
        # A name with a dot at its end is looked up as it is: the pod's search domains cannot turn it into a Service.
        plain = self.policy.is_private(host, port) or _is_address(host) or host.endswith(".")
        name = host if plain else f"{host}."
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except OSError as error:
            text = f"{host} cannot be resolved: {error.strerror or error}"
            raise self.error("RemoteUnreachable", text) from None
        return tuple(dict.fromkeys(str(row[4][0]) for row in rows))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class CheckedResolver(AbstractResolver):
    """aiohttp's way to addresses: it connects to what is returned here, and to nothing else."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses that passed."""
        found = await self._gate.addresses(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing is held open."""
