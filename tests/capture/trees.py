"""Trees of files as `docker export` gives them, in a form that can be compared.

In: a tar stream. Out: path to `Node`, hard links as groups of paths. Names are bytes that need not be
UTF-8, shown with surrogate escapes.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass, fields
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHUNK = 1 << 20
# Docker Engine makes these anew in a layer of its own for every container, an export included.
_RUNTIME = frozenset(
    (
        "",
        ".",
        ".dockerenv",
        "dev",
        "proc",
        "sys",
        "etc/hosts",
        "etc/hostname",
        "etc/resolv.conf",
        "etc/mtab",
    )
)
_RUNTIME_PARENT = "etc"  # gets a new time by that


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What must be equal of one path; of a hard link, the figures of the file it names."""

    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    sha256: str
    link: str
    device: tuple[int, int]
    xattrs: tuple[tuple[str, str], ...]
    links: frozenset[str]


class _Chunks:
    """A file-like reader over an iterator of chunks, which the Docker SDK gives."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]


def read_tree(chunks: Iterator[bytes]) -> dict[str, Node]:
    """Read an exported container; our own folders and the runtime's files are left out."""
    nodes: dict[str, Node] = {}
    groups: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    stream: IO[bytes] = _Chunks(chunks)  # type: ignore[assignment]  # only read() is used
    with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as tar:
        for info in tar:
            tar.members = []  # type: ignore[attr-defined]  # a stream is read once; keep no list
            path = info.name.rstrip("/")
            if _is_left_out(path):
                continue
            if info.islnk():
                target = info.linkname.lstrip("/")
                first[path] = target
                groups.setdefault(target, {target}).add(path)
            else:
                info.mtime = 0 if path == _RUNTIME_PARENT else info.mtime
                nodes[path] = _node(tar, info)
    for path, target in first.items():
        nodes[path] = nodes[target]
    for group in groups.values():
        for path in group:
            nodes[path] = _with_links(nodes[path], frozenset(group))
    return nodes


def differences(left: Mapping[str, Node], right: Mapping[str, Node]) -> list[str]:
    """One line per path and figure that is not equal; empty when the trees are the same."""
    lines = [f"only left: {path!r}" for path in sorted(left.keys() - right.keys())]
    lines += [f"only right: {path!r}" for path in sorted(right.keys() - left.keys())]
    for path in sorted(left.keys() & right.keys()):
        for field in fields(Node):
            one, other = getattr(left[path], field.name), getattr(right[path], field.name)
            if one != other:
                lines.append(f"{path!r}: {field.name} {one!r} != {other!r}")
    return lines


def _is_left_out(path: str) -> bool:
    first = path.split("/", 1)[0]
    return path in _RUNTIME or first in _RUNTIME or first.startswith(".conveyor")


def _with_links(node: Node, links: frozenset[str]) -> Node:
    values = {field.name: getattr(node, field.name) for field in fields(Node)}
    return Node(**{**values, "links": links})


def _node(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Node:
    prefix = "SCHILY.xattr."
    return Node(
        kind=info.type.decode(),
        mode=info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        size=info.size,
        mtime=int(info.mtime // 1),
        sha256=_sha256(tar, info),
        link=info.linkname,
        device=(info.devmajor, info.devminor) if info.isdev() and not info.isfifo() else (0, 0),
        xattrs=tuple(sorted((k, v) for k, v in info.pax_headers.items() if k.startswith(prefix))),
        links=frozenset(),
    )


def _sha256(tar: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    file = tar.extractfile(info) if info.isreg() else None
    if file is None:
        return ""
    digest = hashlib.sha256()
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.hexdigest()
