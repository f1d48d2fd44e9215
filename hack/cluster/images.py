"""The images the cluster is made of, from Debian's packages and our own programs.

In: `base/`, `services/`, `node/image/` (Dockerfiles and their files), the programs of `tools`.
Out: the tags of the base image, the operator's base, the services' image and the node image.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from typing import TYPE_CHECKING

from cluster import cache, image_store, node_archive, settings, tools
from cluster.console import Console, Failure

if TYPE_CHECKING:
    from pathlib import Path

BASE_SETTINGS = [
    'CMD ["bash"]',
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
]
NEGATIVE_ANSWER_LASTS = 24 * 3600
NODE = settings.HERE / "node" / "image"
ROOT = settings.HERE.parent.parent
ANSIBLE = ROOT / "images" / "ansible"
TOOLS = ROOT / "images" / "tools"


def base_key() -> str:
    """Key of the base image."""
    mirror = os.environ.get("CONVEYOR_DEBIAN_MIRROR", "")
    return cache.key_of([], settings.SUITE, mirror, *BASE_SETTINGS)


def base(console: Console) -> str:
    """Debian's minimal system, as `debian` images have it."""

    def bootstrap(image: str) -> None:
        with cache.scratch(settings.cache_folder()) as scratch:
            rootfs = scratch / "rootfs.tar"
            mirror = os.environ.get("CONVEYOR_DEBIAN_MIRROR", "")
            command = ["mmdebstrap", "--variant=minbase", settings.SUITE, str(rootfs)]
            # Times in the image do not depend on when it was made.
            env = {"SOURCE_DATE_EPOCH": "1735689600"}
            console.run([*command, *([mirror] if mirror else [])], timeout=900, env=env)
            changes = [word for line in BASE_SETTINGS for word in ("--change", line)]
            console.run(["docker", "import", *changes, str(rootfs), image], timeout=900)

    return image_store.ensure(console, "base", base_key(), bootstrap, slow="half a minute")


def os_key() -> str:
    """Key of the operator's base."""
    return cache.key_of([settings.HERE / "base"], base_key())


def _from_dockerfile(console: Console, name: str, folder: Path, *, slow: str) -> str:
    key = cache.key_of([folder], base_key())

    def build(image: str) -> None:
        image_store.build(console, image, folder, {"BASE": base(console)}, timeout=900)

    return image_store.ensure(console, name, key, build, slow=slow)


def operating_system(console: Console) -> str:
    """The base of the operator's own image: Python, git, static shells; tagged OS_IMAGE too."""
    image = _from_dockerfile(console, "os", settings.HERE / "base", slow="half a minute")
    console.run(["docker", "tag", image, settings.OS_IMAGE], timeout=90)
    return settings.OS_IMAGE


def ansible(console: Console) -> str:
    """An image that holds nothing but the ansible layer, which stages of `ansible:` run on."""
    key = cache.key_of([ANSIBLE, TOOLS], os_key())
    return image_store.ensure(
        console, "ansible", key, lambda image: _build_ansible(console, image), slow="two minutes"
    )


def _build_ansible(console: Console, image: str) -> None:
    """Wheels are fetched on this machine, with its ordinary client; the build only needs Debian's packages."""
    with cache.scratch(settings.cache_folder()) as scratch:
        shutil.copytree(ANSIBLE, scratch / "ansible")
        shutil.copytree(TOOLS, scratch / "tools")
        shutil.copy(ANSIBLE / "Dockerfile", scratch / "Dockerfile")
        pip = [str(ROOT / ".venv/bin/python"), "-m", "pip", "download", "--quiet"]
        pip += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
        pip += ["--implementation", "cp", "--dest", str(scratch / "wheels")]
        console.run([*pip, "-r", str(ANSIBLE / "requirements.lock")], timeout=600)
        image_store.build(console, image, scratch, {"BASE": operating_system(console)}, timeout=900)


def services(console: Console) -> str:
    """The image of both the registry and the git server."""
    return _from_dockerfile(console, "services", settings.HERE / "services", slow="half a minute")


def node(console: Console) -> str:
    """The image of the cluster's nodes: kind's own where it can be pulled, else built here.

    CONVEYOR_NODE_IMAGE chooses: "build", or any image that kind can use.
    """
    wanted = os.environ.get("CONVEYOR_NODE_IMAGE", "")
    if wanted and wanted != "build":
        return wanted
    if not wanted and _pull_published(console):
        return settings.PUBLISHED_NODE_IMAGE
    return _built_node(console)


def is_built_here(image: str) -> bool:
    """Whether a node image is ours (then its pod network and DNS are ours to set up)."""
    return image.startswith("conveyor-node:")


def _pull_published(console: Console) -> bool:
    image = settings.PUBLISHED_NODE_IMAGE
    if image_store.exists(console, image):
        return True
    unreachable = settings.cache_folder() / "published-node-image-unreachable"
    if unreachable.exists() and _age(unreachable) < NEGATIVE_ANSWER_LASTS:
        return False
    with console.step("asking for kind's published node image"):
        try:
            console.run(["skopeo", "inspect", "--raw", f"docker://{_plain(image)}"], timeout=15)
        except Failure:
            unreachable.touch()
            console.note("kind's published node image is not to be had; remembered for a day")
            return False
    with console.step("pulling kind's published node image", slow="minutes"):
        console.run(["docker", "pull", "--quiet", image], timeout=1200)
    return True


def _age(file: Path) -> float:
    """Seconds since the file was written."""
    return dt.datetime.now(dt.UTC).timestamp() - file.stat().st_mtime  # noqa: TID251


def _plain(image: str) -> str:
    """The reference without its tag: skopeo takes a tag or a digest, not both."""
    name, digest = image.split("@")
    return f"docker.io/{name.split(':')[0]}@{digest}"


def _built_node(console: Console) -> str:
    key = cache.key_of([NODE], base_key(), tools.key(), node_archive.key())

    def build(image: str) -> None:
        programs = tools.ensure(console)
        parent = base(console)
        with cache.scratch(settings.cache_folder()) as scratch:
            context = scratch / "context"
            shutil.copytree(NODE, context)
            shutil.copy(programs / "cluster", context / "cluster")
            stage = "conveyor-node-without-images:local"
            arguments = {"BASE": parent, "KUBERNETES": settings.KUBERNETES}
            image_store.build(console, stage, context, arguments, timeout=1200)
            _put_images_in(console, stage, image, programs, scratch)

    return image_store.ensure(console, "node", key, build, slow="two minutes")


def _put_images_in(console: Console, stage: str, image: str, programs: Path, scratch: Path) -> None:
    """Import the control plane's images into the containerd of a throw-away node."""
    container = "conveyor-node-import"
    console.run(["docker", "rm", "--force", container], timeout=60, check=False)
    run = ["docker", "run", "--detach", "--name", container, "--privileged", "--network", "none"]
    console.run([*run, "--entrypoint", "/bin/sleep", stage, "600"], timeout=60)
    try:
        proxy = scratch / "proxy.tar"
        console.run(["docker", "exec", container, "/kind/proxy-files", "/proxy.tar"], timeout=60)
        console.run(["docker", "cp", f"{container}:/proxy.tar", str(proxy)], timeout=60)
        archive = scratch / "images.tar"
        node_archive.write(archive, programs, proxy)
        console.run(["docker", "cp", str(archive), f"{container}:/images.tar"], timeout=120)
        console.run(["docker", "exec", container, "/kind/import-images"], timeout=900)
        changes = [
            "--change",
            f"ENTRYPOINT {json.dumps(['/usr/local/bin/entrypoint', '/sbin/init'])}",
        ]
        console.run(
            ["docker", "commit", *changes, "--change", "CMD []", container, image], timeout=900
        )
    finally:
        console.run(["docker", "rm", "--force", container], timeout=60, check=False)
        console.run(["docker", "rmi", stage], timeout=60, check=False)
