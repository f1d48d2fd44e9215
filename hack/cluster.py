#!/usr/bin/env python3
"""Development cluster: kind, a registry and a git server, with one command.

In: a command and its flags. Out: what the command says, progress on stdout, everything else in
the log file. Exit codes: 0 fine, 2 the user must do something first, 1 anything else.
"""
# It prints because it is the user interface.
# ruff: noqa: T201

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.console import Console, Failure

from cluster import (
    cache,
    engine,
    health,
    host,
    image_store,
    images,
    node_network,
    nodes,
    room,
    services,
    settings,
    tools,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster.settings import Addresses


def up(console: Console, options: argparse.Namespace) -> None:
    """Make everything run; when all is healthy already, only see that it is."""
    host.ensure_packages(console)
    engine.ensure(console)
    tools.ensure(console)
    found = services.ensure_network(console)
    image = images.node(console)
    services.ensure(console, found)
    services.ensure_base_images(console, found)
    images.operating_system(console)
    _ensure_nodes(console, found, image, _wanted_workers(options))
    if wrong := health.problems(console):
        raise Failure("not healthy: " + "; ".join(wrong))
    console.say(f"the cluster is up after {console.elapsed:.0f} s; log: {console.log_path}")
    console.say(f'use it with: eval "$({Path(__file__).resolve()} env)"')


def _wanted_workers(options: argparse.Namespace) -> int:
    """The flag, else NODES, else what is there, else one."""
    text = options.nodes if options.nodes is not None else os.environ.get("NODES", "")
    if not text:
        return nodes.planned_workers() or 1
    if not text.isdigit() or not 1 <= int(text) <= 9:
        raise Failure(f"{text!r} workers: a number from 1 to 9 is needed", code=2)
    return int(text)


def _ensure_nodes(console: Console, found: Addresses, image: str, workers: int) -> None:
    containers = nodes.containers(console)
    reason = nodes.reason_to_create(containers, image, workers)
    if reason is None:
        try:
            _revive_nodes(console, found, image, workers)
        except Failure as failure:
            reason = str(failure)
        else:
            return
    if containers:
        console.say(f"making the cluster anew: {reason}")
    nodes.create(console, image, workers)
    _set_up_nodes(console, found, image, workers, timeout=180)
    _prove(console, found)


def _prove(console: Console, found: Addresses) -> None:
    health.prove(console, found)
    nodes.mark_proved(console)


def _revive_nodes(console: Console, found: Addresses, image: str, workers: int) -> None:
    """Bring back what a killed dockerd or a reboot has stopped."""
    nodes.start(console, nodes.containers(console))
    console.wait_for(
        "the API server answers", lambda: _kubeconfig_works(console), timeout=150, every=1
    )
    if nodes.is_proved(console) and not health.problems(console):
        _set_up_nodes(console, found, image, workers, timeout=120)
        return
    with console.step("repairing the cluster", slow="up to two minutes"):
        _set_up_nodes(console, found, image, workers, timeout=120)
    _prove(console, found)


def _kubeconfig_works(console: Console) -> bool:
    nodes.ensure_kubeconfig(console)
    return tools.kubectl(console, "get", "--raw", "/readyz", timeout=15) == "ok"


def _set_up_nodes(
    console: Console, found: Addresses, image: str, workers: int, *, timeout: float
) -> None:
    nodes.wait_for_api(console, workers)
    node_network.set_up(console, found, image)
    nodes.wait_until_ready(console, timeout=timeout)


def down(console: Console, options: argparse.Namespace) -> None:
    """Remove the cluster; with --all also the data, the images, our dockerd and the cache."""
    if engine.answers(console):
        nodes.delete(console)
        services.remove(console, volumes=options.all)
        if options.all:
            with console.step("removing images"):
                image_store.remove_all(console)
    if not options.all:
        return
    engine.stop(console)
    with console.step("removing the cache"):
        for path in settings.cache_folder().iterdir():
            if path.name in ("lock", console.log_path.name):
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def make_room(console: Console, _: argparse.Namespace) -> None:
    """See that the disk has room for all tests; a full one costs the old cluster."""
    room.ensure(console)


def status(console: Console, _: argparse.Namespace) -> None:
    """Say what is wrong, or that nothing is."""
    wrong = health.problems(console)
    for problem in wrong:
        print(problem)
    if wrong:
        raise Failure("not healthy; hack/cluster.py up repairs it")
    print("healthy")


def load_image(console: Console, options: argparse.Namespace) -> None:
    """Copy an image from Docker's store into the registry; prints its name there."""
    found = services.addresses(console)
    name = options.target or options.name
    head, _, rest = name.partition("/")
    path = rest if rest and ("." in head or ":" in head or head == "localhost") else name
    reference = f"{found.registry}/{path if ':' in path else path + ':latest'}"
    services.push(console, options.name, reference)
    print(reference)


def git_repo(console: Console, options: argparse.Namespace) -> None:
    """Make a bare repository; prints its URLs without and with login."""
    found = services.addresses(console)
    services.new_repository(console, options.name)
    name = options.name.removesuffix(".git")
    print(f"{found.git_url}/{name}.git")
    print(f"{found.git_auth_url}/{name}.git")


def variables(console: Console) -> dict[str, str]:
    """What `env` exports."""
    found = services.addresses(console)
    return {
        "KUBECONFIG": str(settings.kubeconfig()),
        "CONVEYOR_REGISTRY": found.registry,
        "CONVEYOR_REGISTRY_AUTH": found.registry_auth,
        "CONVEYOR_REGISTRY_READONLY": found.registry_readonly,
        "CONVEYOR_REGISTRY_USER": settings.USER,
        "CONVEYOR_REGISTRY_PASSWORD": settings.PASSWORD,
        "CONVEYOR_GIT_URL": found.git_url,
        "CONVEYOR_GIT_AUTH_URL": found.git_auth_url,
        "CONVEYOR_GIT_USER": settings.USER,
        "CONVEYOR_GIT_PASSWORD": settings.PASSWORD,
    }


def env(console: Console, _: argparse.Namespace) -> None:
    """Print shell exports."""
    for name, value in variables(console).items():
        print(f"export {name}={shlex.quote(value)}")
    print(f'export PATH={shlex.quote(str(settings.tools_folder()))}:"$PATH"')


def binaries(console: Console, _: argparse.Namespace) -> None:
    """Build the programs if needed; prints the path of the multi-call program."""
    print(tools.ensure(console) / "cluster")


def os_image(console: Console, _: argparse.Namespace) -> None:
    """Build the operator's base image if needed; prints its name."""
    host.ensure_packages(console)
    engine.ensure(console)
    print(images.operating_system(console))


def ansible_image(console: Console, _: argparse.Namespace) -> None:
    """Build the image with the ansible layer if needed; prints its name."""
    host.ensure_packages(console)
    engine.ensure(console)
    print(images.ansible(console))


# command -> (function, takes the lock, its stdout is for programs)
COMMANDS: dict[str, tuple[Callable[[Console, argparse.Namespace], None], bool, bool]] = {
    "up": (up, True, False),
    "down": (down, True, False),
    "room": (make_room, True, False),
    "status": (status, False, True),
    "load-image": (load_image, False, True),
    "git-repo": (git_repo, False, True),
    "env": (env, False, True),
    "binaries": (binaries, True, True),
    "os-image": (os_image, True, True),
    "ansible-image": (ansible_image, True, True),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hack/cluster.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    added = {
        name: commands.add_parser(name, help=(function.__doc__ or "").splitlines()[0])
        for name, (function, _, _) in COMMANDS.items()
    }
    added["up"].add_argument(
        "--nodes", metavar="N", nargs="?", help="number of workers (else NODES, else 1)"
    )
    added["down"].add_argument("--all", action="store_true", help="also data, cache, our dockerd")
    added["load-image"].add_argument("name", help="image in Docker's store")
    added["load-image"].add_argument("--as", dest="target", help="repository:tag to push to")
    added["git-repo"].add_argument("name")
    return parser


def main() -> int:
    """Run the command line."""
    options = _parser().parse_args()
    function, exclusive, quiet = COMMANDS[options.command]
    console = Console(settings.cache_folder() / "cluster.log", quiet=quiet)
    console.note(f"=== {' '.join(sys.argv)}")
    try:
        if exclusive:
            with cache.locked(settings.cache_folder(), console):
                function(console, options)
        else:
            function(console, options)
    except Failure as failure:
        if failure.code == 1 and options.command == "up":
            print(f"the last lines of the log:\n{console.log_tail()}", file=sys.stderr)
        print(f"hack/cluster.py: {failure}\nlog: {console.log_path}", file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
