"""Which hosts an ADD may fetch from, by their text and by their addresses."""

from ipaddress import ip_address

import pytest

from conveyor.config.remote_policy import RemotePolicy, policy_json, policy_of

PUBLIC = RemotePolicy()

REFUSED_TEXT = {
    # addresses as they are
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "this network",  # noqa: S104 - refused
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "10.96.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "a carrier's or cluster's own",
    "100.100.100.200": "a carrier's or cluster's own",
    "169.254.169.254": "link-local, where clouds keep metadata",
    "169.254.170.2": "link-local, where clouds keep metadata",
    "168.63.129.16": "a cloud's own",
    "192.0.0.192": "reserved",
    "192.0.2.1": "documentation",
    "192.88.99.1": "a relay",
    "198.18.0.1": "benchmarking",
    "198.51.100.1": "documentation",
    "203.0.113.9": "documentation",
    "224.0.0.251": "multicast",
    "255.255.255.255": "reserved",
    # IPv6, and IPv4 inside it
    "::": "reserved",
    "::1": "loopback",
    "0:0:0:0:0:0:0:1": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:7f00:1": "loopback",
    "::ffff:169.254.169.254": "link-local, where clouds keep metadata",
    "::127.0.0.1": "reserved",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b:1::a00:1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fec0::1": "private",
    "ff02::1": "multicast",
    "2001::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "a relay",
    "3fff::1": "documentation",
    "5f00::1": "reserved",
    "100::1": "reserved",
    # other spellings
    "2130706433": "unusual spelling",
    "0x7f000001": "unusual spelling",
    "0x7f.0.0.1": "unusual spelling",
    "0177.0.0.1": "unusual spelling",
    "017700000001": "unusual spelling",
    "127.1": "unusual spelling",
    "127.0.1": "unusual spelling",
    "127.0.0.01": "unusual spelling",
    "127.0.0.1.": "unusual spelling",
    "0": "unusual spelling",
    "256.1.1.1": "unusual spelling",
    "8.8.2056": "unusual spelling",
    "fe80::1%eth0": "is no address",
    "::1::": "is no address",
    "\uff11\uff12\uff17.0.0.1": "no host name",
    "ⓔxample.com": "no host name",
    "127。0。0。1": "no host name",
    "%31%32%37.0.0.1": "no host name",
    "exa mple.com": "no host name",
    "-oProxyCommand=x": "no host name",
    "a..b": "no host name",
    "'$(x)'": "no host name",
    f"{'a.' * 130}com": "no host name",
    "": "no host name",
    # names of networks, not of the internet
    "localhost": "a name inside a network",
    "LOCALHOST.": "a name inside a network",
    "x.localhost": "a name inside a network",
    "registry": "a name inside a network",
    "kubernetes.default.svc": "a name inside a network",
    "kubernetes.default.svc.cluster.local": "a name inside a network",
    "metadata.google.internal": "a name inside a network",
    "printer.local": "a name inside a network",
}


@pytest.mark.parametrize("host", REFUSED_TEXT)
def test_hosts_that_are_refused_by_their_text(host: str) -> None:
    assert REFUSED_TEXT[host] in PUBLIC.refuses_host(host, 443)


@pytest.mark.parametrize(
    "host",
    [
        *("example.org", "Example.ORG", "example.org.", "a_b.example.org", "xn--caf-dma.example"),
        *("8.8.8.8", "1.1.1.1", "172.32.0.1", "192.167.255.255", "100.63.255.255", "168.63.129.17"),
        *("2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "1e100.net", "0x.example.org"),
        *("svc.example.org", "local.example.org", "127.0.0.1.example.org"),
    ],
)
def test_hosts_of_the_internet_are_allowed(host: str) -> None:
    assert PUBLIC.refuses_host(host, 443) == ""


@pytest.mark.parametrize("address", [it for it in REFUSED_TEXT if "." in it or ":" in it])
def test_a_name_is_as_bad_as_its_address(address: str) -> None:
    """A name server may answer with whatever it likes."""
    try:
        value = ip_address(address)
    except ValueError:
        return
    assert f"rebound.example.org is {value}" in PUBLIC.refuses_address(
        "rebound.example.org", 443, value
    )


def test_the_message_says_what_to_do() -> None:
    assert PUBLIC.refuses_host("10.0.0.1", 80) == (
        "10.0.0.1 is no public address (private); the cluster's administrator allows hosts with "
        "`addRemote.privateHosts` of Conveyor's chart"
    )
    mapped = ip_address("::ffff:10.0.0.1")
    assert PUBLIC.refuses_address("h.example", 80, mapped) == (
        f"h.example is {mapped} (10.0.0.1), no public address (private); the cluster's administrator allows "
        "hosts with `addRemote.privateHosts` of Conveyor's chart"
    )
    off = RemotePolicy(enabled=False)
    assert off.refuses_host("example.org", 443) == (
        "fetching is switched off; the cluster's administrator allows hosts with `addRemote.enabled` of "
        "Conveyor's chart"
    )


def test_allowed_hosts_shut_out_all_others() -> None:
    policy = RemotePolicy(
        allowed_hosts=("example.org", "*.example.net", "files.example.com:8443", "8.8.8.8")
    )
    for host, port, good in (
        ("example.org", 443, True),
        ("EXAMPLE.org.", 80, True),
        ("www.example.org", 443, False),
        ("a.b.example.net", 443, True),
        ("example.net", 443, False),
        ("badexample.net", 443, False),
        ("files.example.com", 8443, True),
        ("files.example.com", 443, False),
        ("8.8.8.8", 443, True),
        ("1.1.1.1", 443, False),
        ("example.org.evil.test", 443, False),
    ):
        assert (policy.refuses_host(host, port) == "") is good, host
    # What is allowed by name still needs a public address.
    assert "private" in policy.refuses_address("example.org", 443, ip_address("10.0.0.1"))


def test_private_hosts_are_opened_one_by_one() -> None:
    policy = RemotePolicy(
        allowed_hosts=("example.org",),
        private_hosts=("git.corp", "*.svc", "10.0.0.5:8080", "127.0.0.1:9000", "[fd00::1]:80"),
    )
    assert policy.refuses_host("git.corp", 443) == ""
    assert policy.refuses_host("web.team.svc", 80) == ""
    assert policy.refuses_address("git.corp", 443, ip_address("10.1.2.3")) == ""
    assert policy.refuses_address("git.corp", 443, ip_address("100.64.0.1")) == ""
    assert policy.refuses_address("git.corp", 443, ip_address("fd00::7")) == ""
    assert policy.refuses_host("10.0.0.5", 8080) == ""
    assert "no allowed host" in policy.refuses_host("10.0.0.5", 80)
    assert policy.refuses_host("127.0.0.1", 9000) == ""
    assert policy.refuses_host("fd00::1", 80) == ""
    # A name opens private networks, not the machine itself nor its metadata.
    for address in ("127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "fe80::1", "224.0.0.1"):  # noqa: S104
        assert "no public address" in policy.refuses_address("git.corp", 443, ip_address(address))


def test_networks_can_be_blocked_in_addition() -> None:
    policy = RemotePolicy(
        blocked_networks=("34.118.224.0/20", "2600:1900::/28"), private_hosts=("*.svc",)
    )
    assert policy.refuses_host("34.118.224.1", 80) == (
        "34.118.224.1 is in 34.118.224.0/20, a blocked network"
    )
    assert "blocked" in policy.refuses_address("a.svc", 80, ip_address("34.118.230.7"))
    assert "blocked" in policy.refuses_address("a.example", 80, ip_address("2600:1900::1"))
    assert policy.refuses_address("a.example", 80, ip_address("34.118.240.1")) == ""


def test_a_policy_travels_as_json() -> None:
    policy = RemotePolicy(
        allowed_hosts=("example.org",),
        private_hosts=("git.corp",),
        blocked_networks=("10.0.0.0/8",),
    )
    assert policy_of(policy_json(policy)) == policy
    assert policy_of({}) == RemotePolicy()
    assert policy_of({"privateHosts": ["Git.Corp"]}).private_hosts == ("git.corp",)


@pytest.mark.parametrize(
    "data",
    [
        {"enable": True},
        {"enabled": "yes"},
        {"allowedHosts": "example.org"},
        {"allowedHosts": [""]},
        {"privateHosts": [1]},
        {"blockedNetworks": ["10.0.0.1/8"]},
        {"blockedNetworks": ["net"]},
    ],
)
def test_a_policy_that_is_none(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        policy_of(data)
