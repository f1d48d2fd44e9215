"""Options of `conveyor build`: the machine that it builds on, and what commands of stages are given.

In: click. Out: decorators; what the texts mean is said by `conveyor.cli.build_inputs`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from conveyor import __version__

Command = Callable[..., None]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_MACHINE: Final = (
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH",
        help="Build every image for this platform instead of its own (without any: linux/amd64); repeatable, several "
        "with commas. Stages that are not stored run only on an Engine of that platform.",
    ),
    click.option(
        "--docker-host",
        metavar="ENDPOINT",
        help="The Engine: unix:///PATH or tcp://HOST:PORT. Default: DOCKER_HOST (with DOCKER_TLS_VERIFY and "
        "DOCKER_CERT_PATH), DOCKER_CONTEXT, the `docker context` in use, else unix:///var/run/docker.sock.",
    ),
    click.option(
        "--network",
        default="",
        metavar="NAME",
        help="The Engine's network for the containers. Default: the Engine's own.",
    ),
    click.option(
        "--conveyor-image",
        default=f"conveyor:{__version__}",
        envvar="CONVEYOR_IMAGE",
        show_default=True,
        metavar="IMAGE",
        help="Conveyor's image of this version, which couriers run and the tools of stages come from; "
        "also CONVEYOR_IMAGE. Pulled unless the Engine has it.",
    ),
    click.option(
        "--cache-volume",
        default="conveyor-cache",
        show_default=True,
        metavar="NAME",
        help="The Engine's volume that keeps caches of RUN --mount=type=cache and build_dir from build to build, by "
        'project; docker volume rm empties them. "": they are empty in every build.',
    ),
    click.option(
        "--insecure-registry",
        "insecure",
        multiple=True,
        metavar="HOST:PORT",
        help="Registry without verified TLS; repeatable. Those on loopback addresses always are. The Engine has "
        "a list of its own (insecure-registries).",
    ),
    click.option(
        "--container-registry-mirror",
        "mirrors",
        multiple=True,
        metavar="[REGISTRY=]URL",
        help="Mirror to read base images of REGISTRY from (default: docker.io) before it is asked itself; one for "
        "each registry, repeatable. Only tags and digests that the mirror lacks are asked of the registry.",
    ),
    click.option("--ca-file", type=_FILE, help="More certificate authorities (PEM) to trust."),
)

_GIVEN: Final = (
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="id=ID[,src=FILE|,env=VARIABLE]",
        help="Secret for RUN --mount=type=secret,id=ID; repeatable. Without src and env it is the variable ID, or else "
        "the file ID, as with docker build. Only containers of a RUN that asks for it have it; it is in no layer, "
        "history, log or digest.",
    ),
    click.option(
        "--ssh",
        multiple=True,
        metavar="default|ID=PATH[,PATH]",
        help="SSH for RUN --mount=type=ssh and commands of stapel images; repeatable. default: the agent of this "
        "machine (SSH_AUTH_SOCK), which lists keys and signs, no more. PATH: another agent's socket, or private keys "
        "without passphrase, for an agent beside the stage. No key is in a stage container.",
    ),
    click.option(
        "--ssh-key",
        "ssh_keys",
        multiple=True,
        type=_FILE,
        help="Private key for that agent, the same as --ssh default=FILE; repeatable.",
    ),
    click.option(
        "--add-remote/--no-add-remote",
        default=True,
        show_default=True,
        help="Whether ADD of URLs and repositories is fetched at all.",
    ),
    click.option(
        "--add-remote-allowed-host",
        "allowed_hosts",
        multiple=True,
        metavar="HOST",
        help='The hosts that ADD may fetch from: NAME, "*.DOMAIN" or an address, each also with :PORT; repeatable. '
        "Without any: every host with a public address.",
    ),
    click.option(
        "--add-remote-private-host",
        "private_hosts",
        multiple=True,
        metavar="HOST",
        help="Host, written likewise, that may have a private address: what is inside a network is refused without. "
        "Loopback only as an address, and then it is that of the courier's container; repeatable.",
    ),
    click.option(
        "--add-remote-blocked-network",
        "blocked_networks",
        multiple=True,
        metavar="CIDR",
        help="Network that ADD never connects to, in addition to all private ones; repeatable.",
    ),
)


def machine_options(command: Command) -> Command:
    """Add the options that say where and with what it is built."""
    return _added(command, _MACHINE)


def given_options(command: Command) -> Command:
    """Add the options that say what commands are given, and where files may come from."""
    return _added(command, _GIVEN)


def _added(command: Command, options: Sequence[Callable[[Any], Any]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
