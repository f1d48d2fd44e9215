"""Files taken out of this image for another one.

In: an `import` entry or the sources of a `COPY --from`, and the root filesystem after the last
step. Out: a bundle (tar) and what the importing side must know. Symlinks are kept as symlinks;
only the named path itself is followed, inside the root.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH112, PTH115, PTH119, PTH123, PTH208

from __future__ import annotations

import hashlib
import os
import stat

from conveyor.builder import tarformat
from conveyor.builder.failure import StageFailure
from conveyor.builder.filters import ImportFilter, matches, split_wildcards
from conveyor.builder.layer import TarFile
from conveyor.builder.rootfs import Rootfs, shown
from conveyor.builder.selection import choices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from conveyor.builder.selection import Choice

    Found = tuple[bytes, bytes, os.stat_result]  # name relative to the top, path, lstat

_READ = 1 << 20


class CoveredError(Exception):
    """Something that a RUN mounts lies at, above or below what an export takes: what the image has there is not seen."""


def export_import(
    rootfs: Rootfs, add: bytes, filters: tuple[Sequence[bytes], Sequence[bytes]], out: int
) -> dict[str, object]:
    """Bundle what an `import` entry takes; owners become 0:0 as werf's rsync does.

    Args:
        rootfs: Where from.
        add: The entry's `add`.
        filters: Its `includePaths` and `excludePaths`.
        out: Open file for the bundle.

    Returns:
        `{"checksum", "entries", "single"}`: checksum is the md5 of sorted `md5  /path` lines of the
        regular files and symlinks (werf-semantics §9.4, docker backend).

    Raises:
        StageFailure: InputMissing, `add` does not exist.
        CoveredError: A mount is in the way.
    """
    real = _existing(rootfs, add, "import: add")
    rule = ImportFilter(add, *filters)
    prefix = b"/" + add.strip(b"/") if add.strip(b"/") else b""
    tar, lines = TarFile(out), []
    single = not os.path.isdir(real)
    found = [(b"", real, os.lstat(real))] if single else _below(rootfs, real, prefix, rule)
    for relative, path, status in found:
        name = relative or os.path.basename(prefix)
        tar.add(name, path, status, root_owned=True)
        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
            shown_path = prefix + b"/" + relative if relative else prefix
            lines.append((shown_path, _md5(path, status)))
    if not single and tar.entries:
        tar.add(b".", real, os.lstat(real), root_owned=True)
    tar.close()
    text = b"".join(b"%b  %b\n" % (digest, path) for path, digest in sorted(lines))
    checksum = hashlib.md5(text, usedforsecurity=False).hexdigest()
    return {"checksum": checksum, "entries": tar.entries, "single": single}


def export_copy(
    rootfs: Rootfs, sources: Sequence[bytes], out: int, select: Mapping[str, Any] | None = None
) -> dict[str, object]:
    """Bundle the sources of a `COPY --from`, owners kept; source n lies in folder `n/`.

    A directory gives its content and an entry for itself (`n/`), a file an entry `n/<name>`. With `select` only what it
    takes; directories that are only on the way to that are marked as implied.

    Returns:
        `{"sources": [{"pattern", "matches": [{"name", "dir"}]}], "entries"}`.

    Raises:
        StageFailure: InputMissing, a source without wildcards does not exist.
        CoveredError: A mount is in the way.
    """
    tar, described = TarFile(out), []
    texts = [source.decode("utf-8", "surrogateescape") for source in sources]
    for index, choice in enumerate(choices(texts, select or {})):
        top, taken = b"%d" % index, []
        for path in _matched(rootfs, choice):
            real = _existing(rootfs, path, "COPY --from")
            is_dir = os.path.isdir(real)
            name = os.path.basename(path.rstrip(b"/"))
            tar.forget_links()  # BuildKit links within one source only
            tar.add(top if is_dir else top + b"/" + name, real, os.lstat(real))
            if is_dir:
                _add_below(rootfs, real, top, choice, tar)
            taken.append({"name": shown(name), "dir": is_dir})
        described.append({"pattern": shown(sources[index]), "matches": taken})
    tar.close()
    return {"sources": described, "entries": tar.entries}


def _add_below(rootfs: Rootfs, real: bytes, top: bytes, choice: Choice, tar: TarFile) -> None:
    waiting: list[Found] = []  # directories that are taken only if something below them is
    for relative, path, status in _below(rootfs, real):
        if not choice.all:
            while waiting and not relative.startswith(waiting[-1][0] + b"/"):
                waiting.pop()
            if not choice.takes(relative.decode("utf-8", "surrogateescape")):
                if stat.S_ISDIR(status.st_mode):
                    waiting.append((relative, path, status))
                continue
            for found in waiting:
                tar.add(top + b"/" + found[0], found[1], found[2], note=tarformat.IMPLIED)
            waiting.clear()
        tar.add(top + b"/" + relative, path, status)


def _matched(rootfs: Rootfs, choice: Choice) -> list[bytes]:
    base = choice.base.encode("utf-8", "surrogateescape")
    prefix, pattern = split_wildcards(os.path.normpath(b"/" + base))
    if not pattern:
        if choice.required is not None:
            _required(rootfs, prefix, choice.required)
        return [prefix]
    start = _existing(rootfs, prefix, "COPY --from")
    folder = start[len(rootfs.root) :]
    hidden = rootfs.is_ours if not folder else lambda _: False
    return [
        folder + b"/" + path if folder else path
        for path in matches(start.rstrip(b"/") + b"/", pattern, hidden)
    ]


def _required(rootfs: Rootfs, base: bytes, path: str) -> None:
    """A path named by --parents without wildcards has to be there; symlinks on the way are not followed."""
    wanted = base + b"/" + path.encode("utf-8", "surrogateescape")
    real = rootfs.resolve(wanted, follow_last=False)
    if not os.path.lexists(real) or real != rootfs.root + wanted.strip(b"/"):
        raise StageFailure(
            "InputMissing",
            f"COPY --from --parents {shown(wanted)}: no such file or directory in this image",
        )


def _existing(rootfs: Rootfs, path: bytes, what: str) -> bytes:
    real = rootfs.resolve(path)
    if rootfs.is_covered(real):
        raise CoveredError(shown(real))
    if not os.path.lexists(real):
        raise StageFailure(
            "InputMissing", f"{what} {shown(path)}: no such file or directory in this image"
        )
    return real


def _below(
    rootfs: Rootfs, top: bytes, prefix: bytes = b"", rule: ImportFilter | None = None
) -> Iterator[Found]:
    """Everything below a directory that is taken, parents first, in byte order."""
    base = top.rstrip(b"/") + b"/"
    at_root = base == rootfs.root
    stack = [iter(sorted(os.listdir(base)))]
    names: list[bytes] = [b""]
    while stack:
        for name in stack[-1]:
            relative = names[-1] + name
            path = base + relative
            if path in rootfs.mounts or (at_root and rootfs.is_ours(relative)):
                continue
            status = os.lstat(path)
            is_dir = stat.S_ISDIR(status.st_mode)
            if rule and not rule.takes(prefix + b"/" + relative, is_dir=is_dir):
                continue
            if stat.S_ISSOCK(status.st_mode):
                continue
            yield relative, path, status
            if is_dir:
                names.append(relative + b"/")
                stack.append(iter(sorted(os.listdir(path))))
                break
        else:
            stack.pop()
            names.pop()


def _md5(path: bytes, status: os.stat_result) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    if stat.S_ISLNK(status.st_mode):
        digest.update(b"symlink:" + os.readlink(path))
    else:
        with open(path, "rb", buffering=0) as file:
            while data := file.read(_READ):
                digest.update(data)
    return digest.hexdigest().encode()
