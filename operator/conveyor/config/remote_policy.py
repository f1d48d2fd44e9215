"""Which hosts an ADD may fetch from: by default those with public addresses, and no others.

In: what the cluster's administrator allows, a host as it is written, an address that it resolves to. Out: why not.
Names are judged before a Job starts, addresses by the courier, which then connects to the very address that was
judged. A URL in a Dockerfile is written by whoever can push, and the courier stands inside the cluster: what answers
there is not meant for them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

_HINT: Final = "the cluster's administrator allows hosts with `addRemote.{}` of Conveyor's chart"
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
# What a resolver of the C library takes for IPv4: one to four numbers, decimal, octal or hexadecimal.
_NUMBERS: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}")
_QUAD: Final = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")
_INSIDE: Final = ("localhost", "local", "svc", "internal", "cluster", "localdomain", "home.arpa")
# Not for the public (IANA's registries of special addresses), and what clouds answer their machines at.
_V4: Final = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "a carrier's or cluster's own",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "a cloud's own",
    "169.254.0.0/16": "link-local, where clouds keep metadata",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "a relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
_V6: Final = {
    "::1/128": "loopback",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "private",
    "ff00::/8": "multicast",
    "2001::/23": "reserved",
    "2001:db8::/32": "documentation",
    "2002::/16": "a relay",
    "3fff::/20": "documentation",
}
_RANGES: Final = [(ip_network(text), word) for text, word in (*_V4.items(), *_V6.items())]
_GLOBAL: Final = ip_network("2000::/3")
_EMBEDDING: Final = [ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96")]
_PRIVATE: Final = frozenset({"private", "a carrier's or cluster's own"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePolicy:
    """What the administrator says; hosts as `NAME`, `*.NAME`, an address, each also with `:PORT`.

    Attributes:
        enabled: Whether ADD fetches anything at all.
        allowed_hosts: The hosts that may be asked; empty: every one.
        private_hosts: Hosts that may have private addresses; loopback and link-local ones only where the entry
            is the address itself.
        blocked_networks: Networks in CIDR notation that are never connected, in addition to the known ones.
    """

    enabled: bool = True
    allowed_hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    blocked_networks: tuple[str, ...] = ()

    def refuses_host(self, host: str, port: int) -> str:
        """Return why a host may not be asked as far as its text tells, "" when it may."""
        if not self.enabled:
            return f"fetching is switched off; {_HINT.format('enabled')}"
        return misspelled(host) or self._refuses(_plain(host), port)

    def _refuses(self, plain: str, port: int) -> str:
        private = self.is_private(plain, port)
        if not private and self.allowed_hosts and not _listed(self.allowed_hosts, plain, port):
            return f"{plain} is no allowed host; {_HINT.format('allowedHosts')}"
        address = _address(plain)
        if address is not None:
            return self.refuses_address(plain, port, address)
        inside = "." not in plain or plain.endswith(tuple(f".{name}" for name in _INSIDE))
        if inside and not private:
            return f"{plain} is a name inside a network; {_HINT.format('privateHosts')}"
        return ""

    def refuses_address(self, host: str, port: int, address: Address) -> str:
        """Return why a host may not be connected at an address, "" when it may."""
        real = _embedded(address)
        blocked = _blocked(real, self.blocked_networks)
        if blocked:
            return f"{_named(host, address, real)} in {blocked}, a blocked network"
        word = _kind(real)
        plain = _plain(host)
        open_here = self.is_private(plain, port) and (
            word in _PRIVATE or _address(plain) == address
        )
        if not word or open_here:
            return ""
        hint = _HINT.format("privateHosts")
        return f"{_named(host, address, real)} no public address ({word}); {hint}"

    def is_private(self, host: str, port: int) -> bool:
        """Whether the host is one of `private_hosts`."""
        return _listed(self.private_hosts, _plain(host), port)


def misspelled(host: str) -> str:
    """Return why a host is written in a way that programs read differently, "" for a plain name or address."""
    text = host.lower()
    if ":" in text:
        return (
            "" if _address(text) is not None and "%" not in text else f"{host[:80]} is no address"
        )
    if _NUMBERS.fullmatch(text.rstrip(".")) and not (_QUAD.fullmatch(text) and _address(text)):
        return f"{host[:80]} is an address in an unusual spelling; write it as four decimal numbers"
    if len(text) > 253 or not _NAME.fullmatch(text.removesuffix(".")):
        return f"{host[:80]!r} is no host name; write it with ASCII letters, digits, '-' and '.'"
    return ""


def policy_of(data: Mapping[str, object]) -> RemotePolicy:
    """Read a policy from its JSON, which has the names of the chart's values.

    Raises:
        ValueError: An unknown key, or a value of another type.
    """
    known = {"enabled", "allowedHosts", "privateHosts", "blockedNetworks"}
    if unknown := sorted(data.keys() - known):
        raise ValueError(f"unknown: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    enabled = data.get("enabled", True)
    if not isinstance(enabled, bool):
        raise ValueError("enabled must be true or false")  # noqa: TRY004
    networks = _texts(data, "blockedNetworks")
    for network in networks:
        ip_network(network)
    return RemotePolicy(
        enabled=enabled,
        allowed_hosts=tuple(host.lower() for host in _texts(data, "allowedHosts")),
        private_hosts=tuple(host.lower() for host in _texts(data, "privateHosts")),
        blocked_networks=networks,
    )


def policy_json(policy: RemotePolicy) -> dict[str, object]:
    """Return what `policy_of` reads."""
    return {
        "enabled": policy.enabled,
        "allowedHosts": list(policy.allowed_hosts),
        "privateHosts": list(policy.private_hosts),
        "blockedNetworks": list(policy.blocked_networks),
    }


def _texts(data: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ValueError(f"{key} must be a list of texts")
    return tuple(value)


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _listed(entries: tuple[str, ...], host: str, port: int) -> bool:
    shown = f"[{host}]" if ":" in host else host
    return any(_matches(entry, shown, port) for entry in entries)


def _matches(entry: str, host: str, port: int) -> bool:
    name, colon, wanted = entry.rpartition(":")
    if not colon or entry.endswith("]"):
        name, wanted = entry, ""
    if wanted and wanted != str(port):
        return False
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for: mapped, or translated by NAT64."""
    if isinstance(address, IPv6Address) and any(address in network for network in _EMBEDDING):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _named(host: str, address: Address, real: Address) -> str:
    where = str(address) if address == real else f"{address} ({real})"
    return f"{where} is" if where == _plain(host) else f"{host} is {where},"


def _blocked(address: Address, networks: tuple[str, ...]) -> str:
    return next((text for text in networks if address in ip_network(text)), "")


def _kind(address: Address) -> str:
    """Return what a range that is not for the public is for, "" for a public address."""
    for network, word in _RANGES:
        if address in network:
            return word
    return "reserved" if isinstance(address, IPv6Address) and address not in _GLOBAL else ""
