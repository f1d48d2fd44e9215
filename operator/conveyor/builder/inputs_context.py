"""The sources of a Dockerfile COPY, taken from the build context at a commit.

In: the context's directory, source patterns, the text of .dockerignore. Out: a bundle: source n lies in the
folder `n/`, a directory as its content and an entry for itself, a file as `n/<name>`; and what matched.
Rules: Docker's (moby/buildkit: solver/llbsolver/file, fsutil/copy): Go's filepath.Match, symlinks named by a
source are followed inside the context, those below it are kept, what .dockerignore names does not exist.
"""

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from conveyor.builder.archives import Archive, write_tar
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.courier_inputs import ContextCopy
from conveyor.builder.courier_task import Limits
from conveyor.builder.failure import StageFailure
from conveyor.builder.filters import go_pattern, split_wildcards
from conveyor.builder.inputs_archive import TarOut, commit_time, text_of
from conveyor.builder.inputs_git import GitStore
from conveyor.builder.inputs_objects import GitObjects, TreeEntry
from conveyor.builder.selection import Choice, choices
from conveyor.config.dockerignore import Dockerignore

_MAX_LINKS: Final = 255
_MAX_LINK: Final = 4096
_SYMLINK: Final = "120000"
_SUBMODULE: Final = "160000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The files of a context that are not ignored, by path relative to it, and all directories."""

    files: dict[bytes, TreeEntry]
    dirs: frozenset[bytes]


@dataclass(slots=True, kw_only=True)
class _Copy:
    """What the sources of one COPY are looked up in, and how many archives were found among them."""

    item: ContextCopy
    tree: Tree
    objects: GitObjects
    tar: TarOut
    limits: Limits
    open_archive: Callable[[int], BinaryIO]
    archives: int = 0


def write_context(
    store: GitStore,
    item: ContextCopy,
    out: BinaryIO,
    limits: Limits,
    open_archive: Callable[[int], BinaryIO],
) -> dict[str, object]:
    """Write the bundle of one COPY; every archive that is to be unpacked becomes a tar of its own, numbered from 0.

    Returns:
        `{"sources": [{"pattern", "matches": [{"name", "dir"}]}]}`.

    Raises:
        CourierError: InputMissing, a source that is no pattern is not there.
    """
    tree = read_tree(store, item, limits)
    with store.objects() as objects:
        tar = TarOut(out, objects, commit_time(objects, item.commit), limits)
        copy = _Copy(
            item=item, tree=tree, objects=objects, tar=tar, limits=limits, open_archive=open_archive
        )
        chosen = choices(item.sources, item.select)
        described = [
            _source(copy, index, pattern, choice)
            for index, (pattern, choice) in enumerate(zip(item.sources, chosen, strict=True))
        ]
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


def _source(copy: _Copy, index: int, pattern: str, choice: Choice) -> dict[str, object]:
    wanted = posixpath.normpath("/" + choice.base).lstrip("/").encode("utf-8", "surrogateescape")
    top = b"%d" % index
    if choice.required is not None and not _is_there(copy.tree, wanted, choice.required):
        raise _missing(copy.item, pattern)
    taken: list[dict[str, object]] = []
    for path in _matches(copy, wanted):
        real = _follow(copy, path)
        if real is None:
            raise _missing(copy.item, pattern if path == wanted else text_of(path))
        name = path.rpartition(b"/")[2]
        is_dir = real in copy.tree.dirs
        if choice.parents and not is_dir:
            continue  # a file that a pattern before `/./` names; BuildKit does not even send it
        if is_dir:
            _write_dir(copy, top, real, choice)
        elif not (copy.item.unpack and _write_archive(copy, top + b"/" + name, real)):
            copy.tar.file(top + b"/" + name, copy.tree.files[real])
        taken.append({"name": text_of(name) or ".", "dir": is_dir})
    return {"pattern": pattern, "matches": taken}


def _is_there(tree: Tree, base: bytes, path: str) -> bool:
    whole = (base + b"/" + path.encode("utf-8", "surrogateescape")).lstrip(b"/")
    return whole in tree.files or whole in tree.dirs


def _matches(copy: _Copy, wanted: bytes) -> list[bytes]:
    prefix, rest = split_wildcards(wanted)
    if not rest:
        return [wanted]
    base = _follow(copy, prefix)
    if base is None:
        return []
    try:
        pattern = go_pattern(rest)
    except StageFailure as failure:
        raise CourierError("InputMissing", f"COPY {text_of(wanted)}: {failure}") from None
    start = base + b"/" if base else b""
    everything = copy.tree.files.keys() | copy.tree.dirs
    below = (path for path in everything if path and path.startswith(start))
    return sorted(path for path in below if pattern.fullmatch(path[len(start) :]))


def _write_archive(copy: _Copy, name: bytes, path: bytes) -> bool:
    """Write what an archive holds beside the bundle, and say so in it; False when the file is none."""
    entry = copy.tree.files[path]
    if entry.mode == _SUBMODULE:
        return False
    copy.objects.open(entry.oid)
    archive = Archive(iter(copy.objects.read, b""))
    if not archive.is_tar():
        return False
    with copy.open_archive(copy.archives) as out:
        write_tar(archive, out, copy.limits, text_of(path))
    copy.tar.archive(name, copy.archives)
    copy.archives += 1
    return True


def _write_dir(copy: _Copy, top: bytes, real: bytes, choice: Choice) -> None:
    copy.tar.dir(top)
    prefix = real + b"/" if real else b""
    below = [(path, None) for path in copy.tree.dirs if path and path.startswith(prefix)]
    files = [(path, entry) for path, entry in copy.tree.files.items() if path.startswith(prefix)]
    for path, entry in sorted([*below, *files], key=lambda found: found[0].split(b"/")):
        relative = path[len(prefix) :]
        if not choice.all and not choice.takes(text_of(relative)):
            continue
        name = top + b"/" + relative
        copy.tar.dir(name.rpartition(b"/")[0], implied=True)
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
