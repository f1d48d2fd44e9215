"""What a `RUN --mount` means: where it lies, what it is called, and what this version cannot mount.

In: mounts with their variables replaced, and the working directory. Out: `MountPoint`s with absolute paths, or the reason
why there are none (moby/buildkit: dockerfile2llb/convert_runmount.go, convert_secrets.go, convert_ssh.go).
"""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from conveyor.config.dockerfile_mounts import RunMount
from conveyor.config.dockerfile_patterns import has_wildcard
from conveyor.config.mounts import MAX_MOUNTS, why_not

_NOTHING: Final = "scratch"
_SECRETS: Final = "/run/secrets"
_AGENT: Final = "/run/buildkit/ssh_agent"
# A pod has mounts of its own there, for which a read-only directory has no room.
_HOLDS_OWN_FILES: Final = "/etc"
_MAX_SOCKET: Final = 107
_MAX_MODE: Final = 0o777
_MAX_OWNER: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    """A mount of a RUN in its place.

    Attributes:
        target: Clean absolute path; "" for a secret that is a variable only.
        index: Position among the mounts of its RUN.
    """

    mount: RunMount
    target: str
    index: int


class UnbuildableMountError(ValueError):
    """Legal in a Dockerfile, but not built by this version."""


def mount_points(mounts: Sequence[RunMount], workdir: str) -> tuple[MountPoint, ...]:
    """Return where the mounts of one RUN lie.

    Args:
        mounts: In order.
        workdir: What relative targets start from.

    Raises:
        UnbuildableMountError: Nothing can be mounted there.
        ValueError: A target is wrong, or two are the same.
    """
    points = tuple(_points(mounts, workdir))
    for point in points:
        _check_target(point)
    for one, other in combinations((point for point in points if point.target), 2):
        _check_pair(one, other)
        _check_pair(other, one)
    return points


def check_mounts(mounts: Sequence[RunMount]) -> None:
    """Check what no working directory changes.

    Raises:
        UnbuildableMountError: This version cannot mount it.
    """
    if len(mounts) > MAX_MOUNTS:
        raise UnbuildableMountError(f"--mount: {len(mounts)} mounts; {MAX_MOUNTS} are allowed")
    for mount in mounts:
        if why := _unbuildable(mount):
            raise UnbuildableMountError(f"--mount=type={mount.type}: {why}")


def secret_id(mount: RunMount) -> str:
    """Return the id that a secret is asked for by."""
    return mount.source or mount.cache_id or posixpath.basename(mount.target)


def bound_path(mount: RunMount) -> str:
    """Return what a bind mounts, absolute in the context or image that it is from."""
    return posixpath.normpath("/" + mount.source.lstrip("/"))


def seeded(mount: RunMount) -> bool:
    """Whether a cache begins with files of a stage or an image.

    BuildKit makes a directory of its own, empty, where an owner or a mode is given for the whole of it.
    """
    if mount.type != "cache" or mount.source_image in ("", _NOTHING):
        return False
    return bound_path(mount) != "/" or (mount.mode, mount.uid, mount.gid) == (None, None, None)


def owned(mount: RunMount) -> bool:
    """Whether a secret's file belongs to somebody else than root."""
    return bool(mount.uid or mount.gid)


def _points(mounts: Sequence[RunMount], workdir: str) -> Iterator[MountPoint]:
    agents = 0
    for index, mount in enumerate(mounts):
        target = mount.target
        if mount.type == "secret" and not (target or mount.env):
            target = f"{_SECRETS}/{posixpath.basename(secret_id(mount))}"
        if mount.type == "ssh":
            target = target or f"{_AGENT}.{agents}"
            agents += 1
        if target or mount.type != "secret":
            joined = posixpath.join("/", workdir, target)
            target = posixpath.normpath("/" + joined.lstrip("/"))
        yield MountPoint(mount=mount, target=target, index=index)


def _check_target(point: MountPoint) -> None:
    if not point.target:
        return
    if point.target == "/":
        raise ValueError("--mount: the target is the root directory; name one below it")
    if why := why_not(point.target):
        text = f"--mount: nothing can be mounted to {point.target}: {why}"
        raise UnbuildableMountError(f"{text}; choose another target")
    if point.mount.type == "ssh" and len(point.target.encode()) > _MAX_SOCKET:
        text = f"--mount: {point.target}: the path of a socket has at most {_MAX_SOCKET} bytes"
        raise UnbuildableMountError(text)
    if point.target == _HOLDS_OWN_FILES and _read_only_directory(point.mount):
        text = f"--mount: {point.target} cannot be mounted read-only: the container has files there"
        raise UnbuildableMountError(f"{text}; add rw, or choose another target")


def _check_pair(outer: MountPoint, inner: MountPoint) -> None:
    if outer.target == inner.target:
        raise ValueError(f"--mount: {outer.target} is the target of two mounts")
    if not inner.target.startswith(f"{outer.target}/"):
        return
    if _read_only_directory(outer.mount) or outer.mount.type in ("secret", "ssh"):
        raise UnbuildableMountError(
            f"--mount: {inner.target} lies inside of {outer.target}, where nothing can be made; "
            f"add rw to the mount of {outer.target}, or choose another target"
        )


def _read_only_directory(mount: RunMount) -> bool:
    return bool(mount.read_only) and mount.type in ("bind", "cache", "tmpfs")


def _unbuildable(mount: RunMount) -> str:
    if max(mount.uid or 0, mount.gid or 0) >= _MAX_OWNER:
        return f"uid and gid have to be under {_MAX_OWNER}"
    match mount.type:
        case "bind":
            return _unbuildable_bind(mount)
        case "cache":
            return _unbuildable_cache(mount)
        case "tmpfs":
            return _unbuildable_tmpfs(mount)
        case "secret" if (mount.mode or 0) > _MAX_MODE:
            return f"mode {mount.mode:o} is not supported; at most {_MAX_MODE:o}"
    return ""


def _unbuildable_bind(mount: RunMount) -> str:
    if mount.source_image == _NOTHING:
        return "from=scratch is not supported; use type=tmpfs or type=cache"
    return _unbuildable_source(mount)


def _unbuildable_cache(mount: RunMount) -> str:
    if bound_path(mount) != "/" and mount.source_image in ("", _NOTHING):
        text = "source without from, a directory inside of the cache, is not supported"
        return f"{text}; mount the whole cache, or add from"
    return _unbuildable_source(mount)


def _unbuildable_tmpfs(mount: RunMount) -> str:
    if mount.source_image or mount.source:
        return "from and source are not supported, it is empty; copy in the RUN"
    return "a read-only tmpfs is not supported; leave ro out" if mount.read_only else ""


def _unbuildable_source(mount: RunMount) -> str:
    if has_wildcard(mount.source):
        return f"source {mount.source}: names with * ? [ are not supported; mount their directory"
    return ""
