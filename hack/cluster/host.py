"""What the host must have: Debian packages.

In: the PATH. Out: every needed program is there, installed by apt on Debian and Ubuntu; elsewhere
a `Failure` (code 2) that lists what to install.
"""

from __future__ import annotations

import os
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
    install(console, missing)
    if left := _missing_packages():
        raise Failure(f"still missing after the installation: {' '.join(left)}", code=2)


def install(console: Console, packages: list[str]) -> None:
    """Install Debian packages.

    Raises:
        Failure: no apt here, no right to install, or apt failed; the message lists what is needed.
    """
    if shutil.which("apt-get") is None:
        raise Failure(f"please install (Debian's package names): {' '.join(packages)}", code=2)
    apt = _as_root(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"], packages)
    with console.step(f"installing {' '.join(packages)}", slow="a minute or two"):
        wait = ["-o", "DPkg::Lock::Timeout=300"]
        console.run([*apt, *wait, "update"], timeout=420, check=False)
        command = [*apt, *wait, "install", "-y", "--no-install-recommends"]
        console.run([*command, *packages], timeout=900)
        if "docker.io" in packages and shutil.which("docker") is None:
            # Newer Debian: the client is a package of its own.
            console.run([*command, "docker-cli"], timeout=600)


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
