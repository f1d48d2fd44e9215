"""Programs built from Go modules: Kubernetes in one multi-call program, pause, kind, helm.

In: `node/` (sources with go.mod and go.sum), Go. Out: `bin/` in the cache folder with cluster,
pause, kind, helm and kubectl, rebuilt when their inputs change.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cluster import cache, golang, settings

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.console import Console

MODULE = settings.HERE / "node"
SOURCES = [MODULE / name for name in ("main.go", "pause", "go.mod", "go.sum")]
# what to build -> package
PROGRAMS = {
    "kind": "sigs.k8s.io/kind",
    "pause": "./pause",
    "cluster": ".",
    "helm": "helm.sh/helm/v3/cmd/helm",
}
MINUTES = {"cluster": "6-12 min the first time", "helm": "a minute the first time"}
SHORTCUTS = ("kubectl", "kubeadm")


def key() -> str:
    """Key of the programs; the Go version is left out on purpose, a new one changes nothing."""
    return cache.key_of(SOURCES, settings.KUBERNETES)


def ensure(console: Console) -> Path:
    """Build what is missing.

    Returns:
        The folder with the programs.

    Raises:
        Failure: no Go, or a build failed.
    """
    folder = settings.cache_folder() / "tools" / key()
    missing = [name for name in PROGRAMS if not cache.is_whole(folder / name)]
    if missing:
        go = golang.program(console)
        with cache.scratch(settings.cache_folder()) as scratch:
            for name in missing:
                _build(console, go, name, scratch / name)
                cache.store(scratch / name, folder / name)
        cache.forget_others(folder, "*")
    _link(folder)
    return folder


def _build(console: Console, go: str, name: str, output: Path) -> None:
    flags = ["-trimpath", "-mod=readonly", "-ldflags", _ldflags()]
    slow = MINUTES.get(name, "a minute the first time")
    what = f"Kubernetes {settings.KUBERNETES} node programs" if name == "cluster" else name
    with console.step(f"building {what}", slow=slow):
        console.run(
            ["nice", go, "build", *flags, "-o", str(output), PROGRAMS[name]],
            timeout=3600,
            env={"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
            cwd=MODULE,
        )


def _ldflags() -> str:
    version = "k8s.io/component-base/version"
    major, minor, _ = settings.KUBERNETES.removeprefix("v").split(".")
    values = {"gitVersion": settings.KUBERNETES, "gitMajor": major, "gitMinor": minor}
    values["gitTreeState"] = "clean"
    return "-s -w " + " ".join(f"-X {version}.{k}={v}" for k, v in values.items())


def _link(folder: Path) -> None:
    """Give the programs a place on the PATH that stays when their key changes."""
    place = settings.tools_folder()
    place.mkdir(parents=True, exist_ok=True)
    links = {name: folder / name for name in ("kind", "helm")}
    links |= dict.fromkeys(SHORTCUTS, folder / "cluster")
    for name, target in links.items():
        link = place / name
        if link.is_symlink() and link.readlink() == target:
            continue
        temporary = place / f".{name}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)


def program(name: str) -> str:
    """Path of kubectl, helm or kind."""
    return str(settings.tools_folder() / name)


def kubectl(console: Console, *arguments: str, timeout: float = 60, check: bool = True) -> str:
    """Run kubectl against the development cluster and answer its stdout."""
    command = [program("kubectl"), *arguments]
    env = {"KUBECONFIG": str(settings.kubeconfig())}
    return console.run(command, timeout=timeout, check=check, env=env)


def on_path() -> str:
    """The PATH with our programs first."""
    return f"{settings.tools_folder()}{os.pathsep}{os.environ['PATH']}"
