"""`conveyor build`: build the images of a commit with containers of a local Docker Engine, without a cluster.

In: options. Out: images in the repository, progress on stderr, their references on stdout (or JSON); the exit code.
"""

import asyncio
import json
import os
from typing import Any

import click

from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.cli.build_inputs import add_policy, mirrors_of, secrets_of, ssh_of
from conveyor.cli.build_options import given_options, machine_options
from conveyor.cli.docker_context import engine_of
from conveyor.cli.options import (
    debug_option,
    dockerfile_mode_option,
    platforms_of,
    project_of,
    project_options,
    remotes_of,
)

_HELP = """Build images on this machine: every stage in a container of the Docker Engine here, as the
operator builds it in a pod of a cluster. No cluster is needed.

Config, plan, digests and storage are the same: what is stored in REPO, by a cluster or by
somebody else's machine, is not built again, and what is built here is Cached for them.
Only commits are built: what lies uncommitted in the work tree does not exist here.

\b
Build everything that werf.yaml of the last commit describes:
  conveyor build --repo registry.example.com/team/app

\b
One image of another commit, from a repository elsewhere on disk:
  conveyor build --git ../app --commit v1.2 --repo registry.example.com/team/app --image api

\b
Into a registry on this machine:
  docker run -d -p 127.0.0.1:5000:5000 registry:2
  conveyor build --repo 127.0.0.1:5000/app

\b
With a secret and the SSH agent of this machine for RUN --mount=type=secret,id=npm and type=ssh:
  conveyor build --repo registry.example.com/team/app --secret id=npm,src=$HOME/.npmrc --ssh default

\b
For a program: references of the images as JSON, nothing else on stdout:
  conveyor build --repo registry.example.com/team/app --json

Logins are those of `docker login`. They go to this process and to couriers, the containers that move
files; a container in which commands of your project run has none of them, and no Docker socket.
What a build leaves in the Engine when it is killed, the next build removes. Caches of RUN and build_dir
stay, in the volume of --cache-volume.

Exit codes: 0 built; 2 somebody has to change the config, the repository or the arguments; 1 anything
else: a command that failed, a registry or an Engine that does not answer; 130 interrupted.
"""


@click.command("build", help=_HELP, short_help="Build images with a local Docker Engine.")
@project_options
@click.option(
    "--repo", required=True, metavar="REGISTRY/PATH", help="Repository of stages and images."
)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="NAME",
    help="Build this image and what it needs; repeatable; patterns as in werf, ~ is the nameless one.",
)
@click.option(
    "--parallel", default=5, show_default=True, type=click.IntRange(1, 100), help="Stages at once."
)
@dockerfile_mode_option
@machine_options
@given_options
@click.option(
    "--remote",
    "remotes",
    multiple=True,
    metavar="URL=DIR",
    help="Local clone of a remote repository that git mappings name; repeatable. Without one, it is "
    "fetched without any login.",
)
@click.option(
    "--virtual-merge",
    is_flag=True,
    help="The commit stands for a merge that is only proposed, as with werf's option of that name.",
)
@click.option(
    "--stage-timeout", default="1h", show_default=True, help="How long one stage may take."
)
@click.option(
    "--quiet",
    "-q",
    is_flag=True,
    help="Do not print what commands write; of a failed one its end is told all the same.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON (docs/cli.md).")
@debug_option
def build_command(**given: Any) -> None:
    """Run the command."""
    from conveyor.cli.building import BuildOptions, build  # noqa: PLC0415 - keeps --help fast

    keys, agent = ssh_of(given["ssh"], os.environ)
    engine, certificates = engine_of(given["docker_host"], os.environ)
    options = BuildOptions(
        project=project_of(
            given,
            repo=given["repo"],
            remotes=remotes_of(given["remotes"]),
            virtual_merge=given["virtual_merge"],
            dockerfile_mode=DockerfileMode(given["dockerfile_mode"]),
            platforms=platforms_of(given["platforms"]),
        ),
        images=given["images"],
        parallel=given["parallel"],
        engine=engine,
        engine_tls=certificates,
        network=given["network"],
        conveyor_image=given["conveyor_image"],
        insecure=given["insecure"],
        ca_file=given["ca_file"],
        stage_timeout=given["stage_timeout"],
        ssh_keys=(*keys, *given["ssh_keys"]),
        ssh_agent=agent,
        secrets=secrets_of(given["secrets"], os.environ),
        mirrors=mirrors_of(given["mirrors"]),
        add_remote=add_policy(
            enabled=given["add_remote"],
            allowed=given["allowed_hosts"],
            private=given["private_hosts"],
            blocked=given["blocked_networks"],
        ),
        cache_volume=given["cache_volume"],
        quiet=given["quiet"],
    )
    code, document = asyncio.run(build(options))
    if given["as_json"]:
        click.echo(json.dumps(document, indent=1))
    elif code == 0:
        for image in document["images"]:
            if image["final"]:
                click.echo(f"{image['name'] or '~'} {image['ref']}")
    raise click.exceptions.Exit(code)
