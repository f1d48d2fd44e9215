"""The Docker network, the registry and the git server.

In: the services' image. Out: two containers with fixed addresses that answer from the host, from
nodes and from pods, and base images in the registry.
"""

# The URLs are our own, http only.
# ruff: noqa: S310

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import re
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from cluster import engine, images, settings
from cluster.console import Console, Failure
from cluster.settings import Addresses

BRIDGE = "conveyor0"
# Pushed under the names people use; all are the same minimal Debian.
BASE_TAGS = ("library/debian:bookworm", "library/debian:latest", "library/ubuntu:latest")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def addresses(console: Console) -> Addresses:
    """The addresses of a network that exists.

    Raises:
        Failure: it does not.
    """
    config = _network_config(console)
    if config is None:
        raise Failure("the cluster is not up: run hack/cluster.py up", code=2)
    return Addresses(subnet=ipaddress.IPv4Network(config["Subnet"]))


def _network_config(console: Console) -> dict[str, str] | None:
    command = ["docker", "network", "inspect", settings.NETWORK]
    code, out = console.call(command, timeout=90)
    if code:
        return None
    configs: list[dict[str, str]] = json.loads(out)[0]["IPAM"]["Config"]
    return next(c for c in configs if ":" not in c["Subnet"])


def ensure_network(console: Console) -> Addresses:
    """Make the network, or its bridge where only that was lost."""
    config = _network_config(console)
    if config is None:
        with console.step(f"creating the Docker network {settings.NETWORK}"):
            _create_network(console)
        return addresses(console)
    local = os.geteuid() == 0 and not os.environ.get("DOCKER_HOST")
    if local and engine.restore_bridge(console, BRIDGE, config):
        _restart_all(console)
    return addresses(console)


def _restart_all(console: Console) -> None:
    """Plug everything on the network into its bridge again."""
    listed = ["docker", "ps", "--quiet", "--filter", f"network={settings.NETWORK}"]
    names = console.run(listed, timeout=90).split()
    if names:
        with console.step("restarting what lost its network"):
            console.run(["docker", "restart", "--time", "5", *names], timeout=120)


def _create_network(console: Console) -> None:
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        # Docker has forgotten the network, the kernel has not.
        console.run(["ip", "link", "delete", BRIDGE], timeout=10, check=False)
    found = Addresses(subnet=_free_subnet(console))
    options = [f"com.docker.network.bridge.name={BRIDGE}"]
    options += ["com.docker.network.bridge.enable_ip_masquerade=true"]
    options += [f"com.docker.network.driver.mtu={mtu(console)}"]
    command = ["docker", "network", "create", "--driver", "bridge"]
    command += ["--subnet", str(found.subnet), "--gateway", found.gateway]
    command += ["--ip-range", found.node_range]
    command += [word for option in options for word in ("--opt", option)]
    console.run([*command, settings.NETWORK], timeout=90)


def _free_subnet(console: Console) -> ipaddress.IPv4Network:
    routes = json.loads(console.run(["ip", "-j", "-4", "route"], timeout=10) or "[]")
    taken = [
        ipaddress.IPv4Network(route["dst"], strict=False)
        for route in routes
        if route["dst"] != "default" and route.get("dev") != BRIDGE
    ]
    for subnet in map(ipaddress.IPv4Network, settings.SUBNETS):
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise Failure(f"all of {', '.join(settings.SUBNETS)} are in use on this machine", code=2)


def mtu(console: Console) -> int:
    """The MTU of the way out of this machine, which bridge and pods must not exceed."""
    links = json.loads(console.run(["ip", "-j", "-4", "route", "show", "default"], timeout=10))
    if not links:
        return 1500
    return int(Path(f"/sys/class/net/{links[0]['dev']}/mtu").read_text())


def ensure(console: Console, found: Addresses) -> None:
    """Start the registry and the git server unless they run as they should."""
    image = images.services(console)
    volume = f"{settings.REGISTRY_VOLUME}:/var/lib/registry"
    _ensure_container(
        console, settings.REGISTRY_CONTAINER, found.registry_ip, volume, [image, "serve-registry"]
    )
    volume = f"{settings.GIT_VOLUME}:/srv/git"
    _ensure_container(console, settings.GIT_CONTAINER, found.git_ip, volume, [image, "serve-git"])
    console.wait_for("the registry answers", lambda: registry_problem(found) is None, timeout=90)
    console.wait_for("the git server answers", lambda: git_problem(found) is None, timeout=90)


def _ensure_container(
    console: Console, name: str, address: str, volume: str, command: list[str]
) -> None:
    fields = "{{.State.Running}} {{.Config.Image}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    state = console.run(["docker", "inspect", "--format", fields, name], timeout=90, check=False)
    healthy = state == f"true {command[0]} {address}" and _answers_soon(console, name, address)
    if healthy:
        return
    with console.step(f"starting {name} at {address}"):
        console.run(["docker", "rm", "--force", name], timeout=60, check=False)
        run = ["docker", "run", "--detach", "--name", name, "--restart", "always"]
        run += ["--network", settings.NETWORK, "--ip", address, "--volume", volume]
        console.run([*run, *command], timeout=60)


def _answers_soon(console: Console, name: str, address: str) -> bool:
    """Whether a running container answers; on a busy machine it gets some seconds."""
    port = 5000 if name == settings.REGISTRY_CONTAINER else 80
    url = f"http://{address}:{port}/"
    try:
        console.wait_for(f"{name} answers", lambda: http_status(url) is not None, timeout=15)
    except Failure:
        return False
    return True


def http_status(url: str, *, login: bool = False, accept: str = "*/*") -> int | None:
    """Status code of a GET, None when nobody answers; 10 s at most."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    if login:
        pair = f"{settings.USER}:{settings.PASSWORD}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    try:
        with _OPENER.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return None


def _first_wrong(expected: dict[str, tuple[int | None, int]]) -> str | None:
    for url, (got, wanted) in expected.items():
        if got != wanted:
            return f"{url} answers {got or 'nothing'} instead of {wanted}"
    return None


def registry_problem(found: Addresses) -> str | None:
    """What is wrong with the registry, None when all three ports answer as they should."""
    private = f"http://{found.registry_auth}/v2/"
    return _first_wrong(
        {
            f"http://{found.registry}/v2/": (http_status(f"http://{found.registry}/v2/"), 200),
            f"{private} without login": (http_status(private), 401),
            private: (http_status(private, login=True), 200),
            f"http://{found.registry_readonly}/v2/": (
                http_status(f"http://{found.registry_readonly}/v2/"),
                200,
            ),
        }
    )


def git_problem(found: Addresses) -> str | None:
    """What is wrong with the git server, None when both paths answer as they should."""
    probe = "health.git/info/refs?service=git-upload-pack"
    public, private = f"{found.git_url}/{probe}", f"{found.git_auth_url}/{probe}"
    return _first_wrong(
        {
            public: (http_status(public), 200),
            f"{private} without login": (http_status(private), 401),
            private: (http_status(private, login=True), 200),
        }
    )


def new_repository(console: Console, name: str) -> None:
    """Make the bare repository NAME.git, unless it is there.

    Raises:
        Failure: the name is not fit for a path, or the server is not up.
    """
    path = name.removesuffix(".git")
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", path, re.ASCII):
        raise Failure(f"{name!r} is no repository name: letters, digits, - _ . and / only", code=2)
    command = ["docker", "exec", settings.GIT_CONTAINER, "new-repository", path]
    console.run(command, timeout=90)


def push(console: Console, image: str, reference: str) -> None:
    """Copy an image from Docker's store into the registry.

    Args:
        console: runs the commands.
        image: name in Docker's store.
        reference: host:port/repository:tag to push to.
    """
    console.run(["docker", "tag", image, reference], timeout=90)
    try:
        code, _ = console.call(["docker", "push", "--quiet", reference], timeout=900)
    finally:
        console.run(["docker", "rmi", "--no-prune", reference], timeout=90, check=False)
    if code:
        # A dockerd that was not started by us speaks https only to a registry it does not know.
        _push_with_skopeo(console, image, reference)


def _push_with_skopeo(console: Console, image: str, reference: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        console.run(["docker", "save", "--output", str(archive), image], timeout=900)
        copy = ["skopeo", "copy", "--dest-tls-verify=false", f"docker-archive:{archive}"]
        console.run([*copy, f"docker://{reference}"], timeout=600)


def _digest(reference: str) -> str | None:
    """Digest of a tag in the registry."""
    host, rest = reference.split("/", 1)
    repository, tag = rest.rsplit(":", 1)
    url = f"http://{host}/v2/{repository}/manifests/{tag}"
    types = "application/vnd.docker.distribution.manifest.v2+json"
    request = urllib.request.Request(url, method="HEAD", headers={"Accept": types})
    try:
        with _OPENER.open(request, timeout=10) as answer:
            digest: str | None = answer.headers["Docker-Content-Digest"]
            return digest
    except (OSError, http.client.HTTPException):
        return None


def base_images_problem(found: Addresses) -> str | None:
    """Which base image is missing in the registry or is not ours."""
    ours = _digest(f"{found.registry}/library/debian:{settings.SUITE}-{images.base_key()}")
    for tag in BASE_TAGS:
        if ours is None or _digest(f"{found.registry}/{tag}") != ours:
            return f"{found.registry}/{tag} is not the base image"
    return None


def ensure_base_images(console: Console, found: Addresses) -> None:
    """Push the base images unless they are there."""
    if base_images_problem(found) is None:
        return
    image = images.base(console)
    with console.step("pushing base images into the registry"):
        keyed = f"library/debian:{settings.SUITE}-{images.base_key()}"
        for tag in (keyed, *BASE_TAGS):
            push(console, image, f"{found.registry}/{tag}")
        if problem := base_images_problem(found):
            raise Failure(problem)


def remove(console: Console, *, volumes: bool) -> None:
    """Remove both containers and the network; the data too if asked."""
    with console.step("removing registry and git server", slow="minutes where they hold much"):
        for name in (settings.REGISTRY_CONTAINER, settings.GIT_CONTAINER):
            console.run(["docker", "rm", "--force", name], timeout=60, check=False)
        console.run(["docker", "network", "rm", settings.NETWORK], timeout=60, check=False)
        for name in (settings.REGISTRY_VOLUME, settings.GIT_VOLUME) if volumes else ():
            command = ["docker", "volume", "rm", name]
            console.run(command, timeout=settings.REMOVAL_SECONDS, check=False)
