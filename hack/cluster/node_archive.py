"""The control plane's images as one archive for containerd.

In: the multi-call program, pause, and the files kube-proxy needs. Out: a docker archive with one
image per program; all but pause share a single layer, so nodes unpack it once.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from typing import TYPE_CHECKING

from cluster import settings

if TYPE_CHECKING:
    from pathlib import Path

REGISTRY = "registry.k8s.io"
# The tags that kubeadm of this Kubernetes asks for.
IMAGES = {
    "kube-apiserver": settings.KUBERNETES,
    "kube-controller-manager": settings.KUBERNETES,
    "kube-scheduler": settings.KUBERNETES,
    "kube-proxy": settings.KUBERNETES,
    "etcd": "3.6.5-0",
    "coredns/coredns": "v1.12.1",
}
PAUSE = "3.10.1"
# Raise it when what this module writes changes otherwise than by the tags above.
LAYOUT = "1"
PATHS = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def key() -> str:
    """Key of what this module writes, given the same programs."""
    return json.dumps([LAYOUT, IMAGES, PAUSE])


def write(archive: Path, programs: Path, proxy: Path) -> None:
    """Write the archive.

    Args:
        archive: file to write.
        programs: folder with `cluster` and `pause`.
        proxy: tar of iptables and what it needs (made inside the node image).
    """
    shared = archive.with_name("shared-layer.tar")
    _shared_layer(shared, programs / "cluster", proxy)
    pause = archive.with_name("pause-layer.tar")
    with tarfile.open(pause, "w") as layer:
        _add(layer, programs / "pause", "pause")
    with tarfile.open(archive, "w") as out:
        manifest = [
            _image(out, f"{REGISTRY}/{name}:{tag}", shared, _entrypoint(name))
            for name, tag in IMAGES.items()
        ]
        manifest.append(_image(out, f"{REGISTRY}/pause:{PAUSE}", pause, ["/pause"]))
        for layer_file in (shared, pause):
            out.add(layer_file, layer_file.name)
        _add_bytes(out, "manifest.json", json.dumps(manifest).encode())


def _entrypoint(name: str) -> list[str]:
    # kubeadm's manifests name the program, but for CoreDNS, of which they give the flags only.
    return ["/coredns"] if name.startswith("coredns") else []


def _shared_layer(path: Path, program: Path, proxy: Path) -> None:
    with tarfile.open(path, "w") as layer:
        with tarfile.open(proxy) as files:
            for member in files:
                layer.addfile(member, files.extractfile(member) if member.isreg() else None)
        _add(layer, program, "usr/local/bin/cluster")
        for name in IMAGES:
            short = name.split("/")[-1]
            place = "coredns" if short == "coredns" else f"usr/local/bin/{short}"
            _add_link(layer, place, "/usr/local/bin/cluster")
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        layer.addfile(folder)


def _add(layer: tarfile.TarFile, file: Path, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = file.stat().st_size, 0o755
    with file.open("rb") as content:
        layer.addfile(info, content)


def _add_link(layer: tarfile.TarFile, name: str, target: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    layer.addfile(info)


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _image(
    archive: tarfile.TarFile, tag: str, layer: Path, entrypoint: list[str]
) -> dict[str, object]:
    with layer.open("rb") as file:
        diff_id = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "config": {"Env": [PATHS], "Entrypoint": entrypoint, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    content = json.dumps(config).encode()
    name = hashlib.sha256(content + tag.encode()).hexdigest() + ".json"
    _add_bytes(archive, name, content)
    return {"Config": name, "RepoTags": [tag], "Layers": [layer.name]}


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
