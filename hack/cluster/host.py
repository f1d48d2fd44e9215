"""What the host must have: Debian packages and Go.

In: the PATH. Out: every needed program is there, installed by apt on Debian and Ubuntu; elsewhere
a `Failure` (code 2) that lists what to install.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from cluster.console import Console, Failure

# program -> Debian package
PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "mmdebstrap": "mmdebstrap",
    "skopeo": "skopeo",
    "jq": "jq",
    "iptables": "iptables",
    "ip": "iproute2",
    "git": "git",
    "tar": "tar",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
GO_FOLDERS = ("/usr/local/go/bin", "/usr/lib/go/bin", "/usr/lib/go-1.24/bin", "/snap/bin")


def ensure_packages(console: Console) -> None:
    """Install what is missing.

    Raises:
        Failure: not Debian, or no right to install; the message lists what is needed.
    """
    # Debian keeps the daemons' programs out of the PATH of ordinary users.
    os.environ["PATH"] += os.pathsep + os.pathsep.join(("/usr/sbin", "/sbin"))
    missing = _missing_packages()
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Failure(f"please install (Debian's package names): {' '.join(missing)}", code=2)
    apt = _as_root(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"], missing)
    with console.step(f"installing {' '.join(missing)}", slow="a minute or two"):
        wait = ["-o", "DPkg::Lock::Timeout=300"]
        console.run([*apt, *wait, "update"], timeout=420, check=False)
        install = [*apt, *wait, "install", "-y", "--no-install-recommends"]
        console.run([*install, *missing], timeout=900)
        if shutil.which("docker") is None:  # newer Debian: the client is a package of its own
            console.run([*install, "docker-cli"], timeout=600)
    if left := _missing_packages():
        raise Failure(f"still missing after the installation: {' '.join(left)}", code=2)


def _missing_packages() -> list[str]:
    missing = {package for program, package in PROGRAMS.items() if not _has(program)}
    if not KEYRING.exists():
        missing.add("debian-archive-keyring")
    return sorted(missing)


def _has(program: str) -> bool:
    # A Docker Engine that answers elsewhere (DOCKER_HOST) makes a daemon of our own needless.
    if program == "dockerd" and os.environ.get("DOCKER_HOST"):
        return True
    return shutil.which(program) is not None


def _as_root(command: list[str], packages: list[str]) -> list[str]:
    if os.geteuid() == 0:
        return command
    if shutil.which("sudo"):
        return ["sudo", *command]
    raise Failure(f"as root, please run: apt-get install {' '.join(packages)}", code=2)


def go_program(console: Console) -> str:
    """Path of a Go of at least 1.24.

    Raises:
        Failure: there is none; the message says how to get one.
    """
    folders = os.pathsep.join((os.environ["PATH"], *GO_FOLDERS))
    found = shutil.which("go", path=folders)
    if found:
        version = console.run([found, "env", "GOVERSION"], timeout=30)
        match = re.match(r"go(\d+)\.(\d+)", version)
        if match and (int(match[1]), int(match[2])) >= (1, 24):
            return found
        found = f"{found} is {version}"
    raise Failure(
        f"Go 1.24 or newer is needed to build the cluster's programs ({found or 'none found'}). "
        "On Debian 13 or newer: apt-get install golang-go; on Debian 12: apt-get install -t "
        "bookworm-backports golang-go; elsewhere unpack Go's own archive into /usr/local/go.",
        code=2,
    )
