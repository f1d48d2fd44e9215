"""A strict reader of OCI layers: what an image's file tree is when all its layers are on top of each other.

In: tar streams, lowest first. Out: path to `Entry`; hard links share one `Entry`. It knows whiteouts and opaque directories as
the OCI image specification has them, and refuses what no builder should write.
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_XATTR = "SCHILY.xattr."
_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


class LayerError(Exception):
    """A layer that the specification does not allow; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """What is at a path; two paths with the same object are hard links.

    Attributes:
        kind: file, dir, link, char, block or fifo.
        sha256: Of a file's content.
        mtime: Seconds.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    sha256: str = ""
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, str], ...] = ()


Tree = dict[str, Entry]


def with_layer(below: Mapping[str, Entry], blob: bytes) -> Tree:
    """The tree after one more layer, packed with gzip or not at all.

    Raises:
        LayerError: A name twice, a path that climbs out, a parent or link target that is not there.
    """
    data = gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="surrogateescape") as tar:
        infos = [(_path(info.name), info) for info in tar]
        _no_name_twice(path for path, _ in infos)
        tree = _hidden(dict(below), [path for path, _ in infos])
        for path, info in infos:
            if not _name(path).startswith(_WHITEOUT):
                _add(tree, path, info, tar)
    return tree


def _path(name: str) -> str:
    path = name.removeprefix("./").rstrip("/")
    if path.startswith("/") or ".." in path.split("/"):
        raise LayerError(f"{name!r} is not a path inside the image")
    return "" if path == "." else path


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _no_name_twice(paths: Iterable[str]) -> None:
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            raise LayerError(f"{path!r} is twice in a layer")
        seen.add(path)


def _hidden(tree: Tree, paths: list[str]) -> Tree:
    """Take out what whiteouts of the layer hide; they never hide anything of their own layer."""
    for path in paths:
        name, parent = _name(path), _parent(path)
        if name == _OPAQUE:
            tree = {one: entry for one, entry in tree.items() if not _below(one, parent)}
        elif name.startswith(_WHITEOUT):
            gone = f"{parent}/{name[4:]}".lstrip("/")
            if not name[4:] or name.startswith(_WHITEOUT * 2):
                raise LayerError(f"{path!r} is no whiteout")
            if gone not in tree:
                raise LayerError(f"{path!r} hides nothing")
            tree = _without(tree, gone)
    return tree


def _below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/") if folder else path != ""


def _without(tree: Tree, path: str) -> Tree:
    return {one: it for one, it in tree.items() if one != path and not _below(one, path)}


def _add(tree: Tree, path: str, info: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
    parent = _parent(path)
    if parent and (parent not in tree or tree[parent].kind != "dir"):
        raise LayerError(f"{path!r} is in nothing, or in something that is no directory")
    if info.islnk():
        entry = tree.get(_path(info.linkname))
        if entry is None or entry.kind == "dir":
            raise LayerError(f"{path!r} is a hard link to nothing: {info.linkname!r}")
    else:
        entry = _entry(info, tar)
    if path in tree and entry.kind != "dir" and tree[path].kind == "dir":
        for one in [one for one in tree if _below(one, path)]:
            del tree[one]
    tree[path] = entry


def _entry(info: tarfile.TarInfo, tar: tarfile.TarFile) -> Entry:
    if info.type not in _KINDS:
        raise LayerError(f"{info.name!r} is of a type that no layer has: {info.type!r}")
    kind = _KINDS[info.type]
    file = tar.extractfile(info) if kind == "file" else None
    xattrs = [(k[len(_XATTR) :], v) for k, v in info.pax_headers.items() if k.startswith(_XATTR)]
    return Entry(
        kind=kind,
        mode=info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        mtime=int(info.mtime),
        size=info.size if file else 0,
        sha256=hashlib.sha256(file.read()).hexdigest() if file else "",
        link=info.linkname if kind == "link" else "",
        device=(info.devmajor, info.devminor) if kind in ("char", "block") else (0, 0),
        xattrs=tuple(sorted(xattrs)),
    )
