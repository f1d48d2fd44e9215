"""The sources of a Dockerfile COPY, taken from the build context at a commit.

In: the context's directory, source patterns, the text of .dockerignore. Out: a bundle: source n lies in the
folder `n/`, a directory as its content and an entry for itself, a file as `n/<name>`; and what matched.
Rules: Docker's (moby/buildkit: solver/llbsolver/file, fsutil/copy): Go's filepath.Match, symlinks named by a
source are followed inside the context, those below it are kept, what .dockerignore names does not exist.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_task import ContextCopy, Limits
from conveyor.builder.failure import StageFailure
from conveyor.builder.filters import has_wildcard, translate
from conveyor.builder.inputs_archive import TarOut, commit_time, text_of
from conveyor.builder.inputs_git import GitStore
from conveyor.builder.inputs_objects import GitObjects, TreeEntry
from conveyor.config.dockerignore import Dockerignore

_MAX_LINKS: Final = 255
_MAX_LINK: Final = 4096
_SYMLINK: Final = "120000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The files of a context that are not ignored, by path relative to it, and all directories."""

    files: dict[bytes, TreeEntry]
    dirs: frozenset[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """What the sources of one COPY are looked up in."""

    item: ContextCopy
    tree: Tree
    objects: GitObjects
    tar: TarOut


def write_context(
    store: GitStore, item: ContextCopy, out: BinaryIO, limits: Limits
) -> dict[str, object]:
    """Write the bundle of one COPY.

    Returns:
        `{"sources": [{"pattern", "matches": [{"name", "dir"}]}]}`.

    Raises:
        CourierError: InputMissing, a source matches nothing.
    """
    tree = read_tree(store, item, limits)
    with store.objects() as objects:
        tar = TarOut(out, objects, commit_time(objects, item.commit), limits)
        copy = _Copy(item=item, tree=tree, objects=objects, tar=tar)
        described = [_source(copy, index, pattern) for index, pattern in enumerate(item.sources)]
        tar.close()
    return {"sources": described}


def read_tree(store: GitStore, item: ContextCopy, limits: Limits) -> Tree:
    """List the context without what .dockerignore names."""
    base = item.context.encode("utf-8", "surrogateescape")
    skip = len(base) + 1 if base else 0
    ignored = Dockerignore.parse(item.dockerignore or "")
    files: dict[bytes, TreeEntry] = {}
    dirs: set[bytes] = {b""}
    seen = False
    for entry in store.tree(item.commit, item.context, limits.entries):
        path = entry.path[skip:]
        if not path:
            raise CourierError(
                "InputMissing", f"the context {item.context!r} is a file, not a directory"
            )
        seen = True
        parents = _parents(path)
        if not ignored.ignores(text_of(path)):
            files[path] = entry
            dirs.update(parents)
        else:
            dirs.update(
                p for p in parents if p not in dirs and not ignored.ignores(text_of(p), is_dir=True)
            )
    if not seen:
        raise CourierError(
            "InputMissing", f"the context {item.context!r} is not in commit {item.commit}"
        )
    return Tree(files=files, dirs=frozenset(dirs))


def _parents(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _source(copy: _Copy, index: int, pattern: str) -> dict[str, object]:
    wanted = posixpath.normpath("/" + pattern).lstrip("/").encode("utf-8", "surrogateescape")
    top = b"%d" % index
    taken: list[dict[str, object]] = []
    for path in _matches(copy, wanted):
        real = _follow(copy, path)
        if real is None:
            continue
        name = path.rpartition(b"/")[2]
        is_dir = real in copy.tree.dirs
        if is_dir:
            _write_dir(copy, top, real)
        else:
            copy.tar.file(top + b"/" + name, copy.tree.files[real])
        taken.append({"name": text_of(name) or ".", "dir": is_dir})
    if not taken:
        raise _missing(copy.item, pattern)
    return {"pattern": pattern, "matches": taken}


def _matches(copy: _Copy, wanted: bytes) -> list[bytes]:
    if not has_wildcard(wanted):
        return [wanted]
    try:
        pattern = re.compile(translate(wanted, doublestar=False), re.DOTALL)
    except StageFailure as failure:
        raise CourierError("InputMissing", f"COPY {text_of(wanted)}: {failure}") from None
    everything = copy.tree.files.keys() | copy.tree.dirs
    return sorted(path for path in everything if path and pattern.fullmatch(path))


def _write_dir(copy: _Copy, top: bytes, real: bytes) -> None:
    copy.tar.dir(top)
    prefix = real + b"/" if real else b""
    below = [(path, None) for path in copy.tree.dirs if path and path.startswith(prefix)]
    files = [(path, entry) for path, entry in copy.tree.files.items() if path.startswith(prefix)]
    for path, entry in sorted([*below, *files], key=lambda found: found[0]):
        name = top + b"/" + path[len(prefix) :]
        if entry is None:
            copy.tar.dir(name)
        else:
            copy.tar.file(name, entry)


def _follow(copy: _Copy, path: bytes) -> bytes | None:
    """Resolve symlinks in every part of a path inside the context; None when nothing is there."""
    todo, real, links = path.split(b"/")[::-1], b"", 0
    while todo:
        part = todo.pop()
        if part in {b"", b"."}:
            continue
        if part == b"..":
            real = real.rpartition(b"/")[0]
            continue
        here = real + b"/" + part if real else part
        entry = copy.tree.files.get(here)
        if entry is not None and entry.mode == _SYMLINK:
            links += 1
            if links > _MAX_LINKS:
                return None
            target = copy.objects.whole(entry.oid, _MAX_LINK)
            real = b"" if target.startswith(b"/") else real
            todo += target.split(b"/")[::-1]
        elif (entry is not None and not todo) or here in copy.tree.dirs:
            real = here
        else:
            return None
    return real


def _missing(item: ContextCopy, pattern: str) -> CourierError:
    where = f"build context {item.context or '/'!r} at commit {item.commit}"
    hint = ", .dockerignore considered" if item.dockerignore else ""
    return CourierError(
        "InputMissing", f"COPY {pattern}: no such file or directory in the {where}{hint}"
    )
