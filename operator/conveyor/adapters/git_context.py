"""Hash of a build context's files by name and content, as werf makes it for staged Dockerfiles.

In: a commit's tree, what is ignored, the sources of one COPY, ADD or RUN. Out: which paths they name, which blobs those need,
and with the blobs' SHA-256 the hash (werf: BuildContextArchive.CalculateGlobsChecksum, golang.org/x/mod dirhash Hash1). Contents
are those in git: conversions of line ends and filters that a checkout would apply are not.
"""

import base64
import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from conveyor.adapters.git_tree import LINK_MODE, Entry, GitTree
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.dockerfile_patterns import has_wildcard, name_regex
from conveyor.config.dockerignore import Dockerignore
from conveyor.plan.digest import sha256_args
from conveyor.plan.paths import Matcher

ROOT = "."


@dataclass(frozen=True, slots=True)
class ContextTree:
    """The files of a context that are not ignored, by path relative to it; the Dockerfile is always one."""

    files: Mapping[str, Entry]
    folders: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(
        cls, tree: GitTree, context: str, ignore: Dockerignore, dockerfile: str
    ) -> "ContextTree":
        """Cut the context out of a commit's tree.

        Raises:
            UserError: There is a submodule in it.
        """
        start = len(context) + 1 if context else 0
        files: dict[str, Entry] = {}
        for path in tree.entries(context):
            relative = path[start:]
            entry = tree.entry(path)
            kept = relative == posixpath.normpath(dockerfile) or not ignore.ignores_as_werf(
                relative
            )
            if entry is None or entry.type == "tree" or not kept:
                continue
            if entry.type == "commit":
                text = f"git submodules are not supported: {path}; name it in .dockerignore"
                raise UserError(Reason.NOT_SUPPORTED, text)
            files[relative] = entry
        folders = {path[:at] for path in files for at, char in enumerate(path) if char == "/"}
        return cls(files, frozenset({ROOT, *folders}))

    def named(self, sources: tuple[str, ...], *, globs: bool) -> tuple[str, ...]:
        """Return the paths that the sources name, sorted; () when one that is no pattern names nothing."""
        found: set[str] = set()
        for source in sources:
            matches = set(self._matches(source) if globs else self._literal(source))
            if not matches and not (globs and has_wildcard(source)):
                return ()
            found |= matches
        return tuple(sorted(found, key=_bytes))

    def blobs(self, paths: tuple[str, ...]) -> Iterator[str]:
        """Yield the ids of the blobs that hashing these paths needs."""
        for path in paths:
            yield from (entry.oid for _, entry in self._content(path))

    def hash(self, paths: tuple[str, ...], sums: Mapping[str, str]) -> str:
        """Return the hash (64 hex) of the paths; `sums` are SHA-256 of blobs by id."""
        return sha256_args(
            *(
                hash1((name, sums[entry.oid]) for name, entry in self._content(path))
                for path in paths
            )
        )

    def _matches(self, source: str) -> Iterator[str]:
        if not has_wildcard(source):
            yield from self._literal(source)
            return
        wanted = source.split("/")
        for path in (*self.files, *self.folders):
            if path != ROOT and _match(wanted, path.split("/")):
                yield path

    def _literal(self, source: str) -> Iterator[str]:
        path = posixpath.normpath(f"/{source}").lstrip("/") or ROOT
        if path in self.files or path in self.folders:
            yield path

    def _content(self, path: str) -> Iterator[tuple[str, Entry]]:
        """Yield names and blobs as they are hashed: below a directory from `/` on, a file by its basename."""
        if path not in self.files:
            prefix = "" if path == ROOT else f"{path}/"
            for name, entry in self.files.items():
                if name.startswith(prefix):
                    yield f"/{name[len(prefix) :]}", entry
            return
        entry = self.files[path]
        if entry.mode == LINK_MODE:
            text = f"{path} is a symbolic link, and named itself in COPY or ADD: it cannot be hashed as werf does"
            raise UserError(Reason.NOT_SUPPORTED, text)
        yield posixpath.basename(path), entry


def added_paths(tree: GitTree, project_dir: str, files: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files that `contextAddFiles` name, each once, as Go's filepath.Walk finds them, relative to the project."""
    start = len(project_dir) + 1 if project_dir else 0
    found: list[str] = []
    for file in files:
        below = tree.files(posixpath.join(project_dir, file))
        found += sorted((path[start:] for path in below), key=lambda path: path.split("/"))
    return tuple(dict.fromkeys(found))


def unseen_by_werf(
    tree: GitTree, context: str, ignore: Dockerignore, sources: Matcher
) -> Iterator[str]:
    """Yield files that are in the context as it is packed, and that werf's reading of .dockerignore leaves out."""
    start = len(context) + 1 if context else 0
    for path in tree.files(context):
        relative = path[start:]
        if (
            sources.matches(path)
            and ignore.ignores_as_werf(relative)
            and not ignore.ignores(relative)
        ):
            yield path


def with_files(tree: GitTree, checksum: str, files: Iterator[str]) -> str:
    """Return a checksum that also tells when one of these files changes; the given one when there are none."""
    entries = ((path, tree.entry(path)) for path in files)
    lines = [f"{entry.mode} {entry.oid} {path}" for path, entry in entries if entry]
    if not lines:
        return checksum
    return hashlib.sha256(_bytes("\n".join([checksum, *lines]))).hexdigest()


def hash1(files: Iterator[tuple[str, str]]) -> str:
    """Return Go's dirhash Hash1 of names and SHA-256 sums (hex) of contents."""
    lines = [
        f"{checksum}  {name}\n" for name, checksum in sorted(files, key=lambda f: _bytes(f[0]))
    ]
    total = hashlib.sha256(_bytes("".join(lines))).digest()
    return f"h1:{base64.b64encode(total).decode('ascii')}"


def _match(wanted: list[str], names: list[str]) -> bool:
    """Whether the segments match; `**` stands for any number of directories."""
    if not wanted or not names:
        return not wanted and not names
    if wanted[0] == "**":
        return _match(wanted[1:], names) or _match(wanted, names[1:])
    if name_regex(wanted[0]).fullmatch(names[0]) is None:
        return False
    return _match(wanted[1:], names[1:])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
