"""Which files one COPY or ADD takes from the build context, exactly.

In: a commit's tree, the context's directory, what is ignored, sources as the instruction names them. Out: a checksum over path,
mode and object id of every file, and over the directories. It may cover more than is copied, never less: a source with `**`, or
that is or goes through a symbolic link, stands for the whole context. Reads no file.
"""

import hashlib
import posixpath
from collections.abc import Iterable, Iterator

from conveyor.adapters.git_tree import LINK_MODE, GitTree
from conveyor.config.dockerfile_patterns import has_wildcard, name_regex
from conveyor.config.dockerignore import Dockerignore


def listing_checksum(
    tree: GitTree, context: str, ignore: Dockerignore, sources: Iterable[str]
) -> str:
    """Return the checksum (64 hex) of what the sources take; nothing has one, too."""
    found = {path for root in _roots(tree, context, sources) for path in _below(tree, root)}
    start = len(context) + 1 if context else 0
    checksum = hashlib.sha256()
    for path in sorted(found, key=_bytes):
        entry, relative = tree.entry(path), path[start:]
        if entry is None or not relative:
            continue
        folder = entry.type == "tree"
        if not ignore.ignores(relative, is_dir=folder):
            # A directory's own id says what is in it, ignored files too.
            identity = "" if folder else entry.oid
            checksum.update(_bytes(f"{entry.mode} {identity} {relative}\0"))
    return checksum.hexdigest()


def _roots(tree: GitTree, context: str, sources: Iterable[str]) -> list[str]:
    """Return the paths in the repository that the sources name, or the context itself."""
    roots: list[str] = []
    for source in sources:
        relative = posixpath.normpath(f"/{source}").lstrip("/")
        if "**" in relative:
            return [context]
        paths = list(_matches(tree, context, relative) if has_wildcard(relative) else [relative])
        named = [posixpath.normpath(posixpath.join(context, path)) for path in paths]
        if any(_through_link(tree, path) for path in named):
            return [context]
        roots += ["" if path == "." else path for path in named]
    return roots


def _matches(tree: GitTree, context: str, pattern: str) -> Iterator[str]:
    start = len(context) + 1 if context else 0
    wanted = [name_regex(part) for part in pattern.split("/")]
    for path in tree.entries(context):
        names = path[start:].split("/")
        same = len(names) == len(wanted)
        if same and all(map(lambda part, name: part.fullmatch(name), wanted, names)):
            yield path[start:]


def _through_link(tree: GitTree, path: str) -> bool:
    parts = path.split("/")
    parents = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    entries = (tree.entry(parent) for parent in parents)
    return any(entry is not None and entry.mode == LINK_MODE for entry in entries)


def _below(tree: GitTree, root: str) -> Iterator[str]:
    yield root
    yield from tree.entries(root)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
