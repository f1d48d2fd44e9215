"""Dockerfile COPY and ADD: where the files of a bundle go.

In: a bundle (folder `n/` per source), texts of here-documents, and the instruction's destination. Out: files in place by
BuildKit's rules (tonistiigi/fsutil: copy): a directory gives its content, a file goes into the destination if that is a
directory, else it becomes it. Symlinks are followed in the destination's own path, never below it. With `link` the files
are placed in an empty tree, which is then laid over the image as a layer is.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH101, PTH102, PTH108, PTH112, PTH120, PTH123

from __future__ import annotations

import errno
import io
import os
import stat
import time

from conveyor.builder import overlay, tarformat, users
from conveyor.builder.failure import StageFailure
from conveyor.builder.modes import modes
from conveyor.builder.rootfs import Rootfs, shown
from conveyor.builder.tarformat import Entry, Reader
from conveyor.builder.unpack import own, put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Step = dict[str, Any]
    Owner = tuple[int | None, int | None]

_LINK = b".conveyor-link"


def copy(rootfs: Rootfs, bundle: str | None, step: Step) -> None:
    """Carry out a `copy` step.

    Args:
        rootfs: Where to.
        bundle: Path of the tar, None when there are only texts.
        step: See `docs/stage-task.md`.

    Raises:
        StageFailure: StepInvalid (a file where a directory is needed, or the other way round), InputMissing (a source
            that is not in the bundle), NoSuchUser.
    """
    owner = _owner(rootfs, step)
    if not step.get("link"):
        Copier(rootfs, step, owner).run(bundle)
        return
    rootfs.touch_anything()
    tree = rootfs.root + _LINK
    rootfs.remove(tree)
    os.mkdir(tree, 0o755)
    Copier(Rootfs(tree), step, owner).run(bundle)
    overlay.lay_over(rootfs, tree)


class Copier:
    """Places what one instruction names."""

    def __init__(self, rootfs: Rootfs, step: Step, owner: Owner) -> None:
        self._rootfs = rootfs
        self._step = step
        self._owner = owner
        self._chmod, self._mode_of_new = modes(step)
        self._dest, self._wants_dir = _destination(step)
        self._dirs: dict[bytes, Entry] = {}
        self._checked: bytes | None = None
        self._now = int(time.clock_gettime(time.CLOCK_REALTIME))
        self._base = b""

    def run(self, bundle: str | None) -> None:
        """Place the files, then the texts, as BuildKit does."""
        sources = self._step["sources"]
        if bundle is not None and sources:
            seen: set[bytes] = set()
            with open(bundle, "rb") as stream:
                self._entries(Reader(stream), seen, bundle)
            _check_seen(sources, seen)
        for text in self._step.get("texts", ()):
            self._text(str(text["name"]), str(text["text"]))

    def _entries(self, reader: Reader, seen: set[bytes], bundle: str) -> None:
        """Every entry of the bundle; the sources are in it one after the other."""
        wanted = {str(source["entries"]).strip("/").encode() for source in self._step["sources"]}
        folder, is_tree = b"", False
        for entry in reader:
            parts = [part for part in entry.name.split(b"/") if part not in (b"", b".")]
            if not parts or parts[0] not in wanted:
                continue
            if b".." in parts:
                raise StageFailure("StepInvalid", f"{shown(entry.name)!r} leaves its directory")
            if parts[0] != folder:
                self._finish()
                folder, is_tree = parts[0], False
            seen.add(folder)
            if len(parts) == 1:
                is_tree = True
                self._top(entry)
            elif entry.note.startswith(tarformat.ARCHIVE) and self._step.get("unpack"):
                self._archive(f"{bundle}.{int(entry.note[len(tarformat.ARCHIVE) :])}")
            elif is_tree:
                self._below(parts[1:], entry, reader)
            else:
                self._single(parts[-1], entry, reader)
        self._finish()

    def _top(self, entry: Entry) -> None:
        """A directory whose content follows: the destination keeps mode and owner, and gets its time."""
        self._finish()
        base = self._resolved()
        if os.path.lexists(base) and not os.path.isdir(base):
            raise StageFailure("StepInvalid", f"cannot copy to non-directory: {self._dest_shown()}")
        self._make_dirs(base)
        self._rootfs.touch(base)
        self._base, self._checked = base.rstrip(b"/"), base.rstrip(b"/")
        self._dirs[base] = entry

    def _single(self, name: bytes, entry: Entry, reader: Reader) -> None:
        """A file named by the instruction: into the destination, or it becomes the destination."""
        target = self._resolved()
        if os.path.isdir(target):
            target = target.rstrip(b"/") + b"/" + name
        else:
            self._make_dirs(os.path.dirname(target))
        self._file(target, entry, reader)

    def _below(self, parts: list[bytes], entry: Entry, reader: Reader) -> None:
        parent = b"/".join([self._base, *parts[:-1]])
        if parent != self._checked:
            self._check_parent(parent)
        target = parent + b"/" + parts[-1]
        if entry.kind == tarformat.DIR:
            self._directory(target, entry)
        else:
            self._file(target, entry, reader)

    def _check_parent(self, parent: bytes) -> None:
        inside = parent[len(self._rootfs.root.rstrip(b"/")) :]
        real = self._rootfs.resolve(inside)  # of the root directory with a slash at its end
        if real.rstrip(b"/") != parent or not _is_dir(real):
            raise StageFailure("StepInvalid", f"cannot copy to non-directory: {shown(inside)}")
        self._checked = parent

    def _directory(self, target: bytes, entry: Entry) -> None:
        self._rootfs.touch(target)
        if not os.path.lexists(target):
            os.mkdir(target, 0o755)
        elif not _is_dir(target):
            raise StageFailure(
                "StepInvalid", f"cannot copy to non-directory: {self._shown(target)}"
            )
        elif entry.note == tarformat.IMPLIED:
            os.chmod(target, entry.mode)  # a directory that is only on the way keeps its owner
            return
        self._dirs[target] = entry

    def _file(self, target: bytes, entry: Entry, reader: Reader) -> None:
        if _is_dir(target):
            text = f"cannot replace directory {self._shown(target)} with a file"
            raise StageFailure("StepInvalid", text)
        self._rootfs.touch(os.path.dirname(target))
        if os.path.lexists(target):
            self._unlink(target)
        put(target, entry, reader, self._link_source)
        if entry.kind != tarformat.LINK:
            own(target, entry, self._owner, self._chmod(entry))

    def _unlink(self, target: bytes) -> None:
        try:
            os.unlink(target)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            text = f"{self._shown(target)} is mounted into every pod, so an image cannot get it from a build"
            raise StageFailure("StepInvalid", text) from error

    def _link_source(self, entry: Entry) -> bytes:
        """Of a hard link: the file of this source that it is another name of."""
        parts = entry.link.split(b"/")
        source = b"/".join([self._base, *parts[1:]])
        if b".." in parts or len(parts) < 2 or not os.path.lexists(source):
            raise StageFailure("StepInvalid", f"{shown(entry.link)!r} is not a file of this source")
        return source

    def _archive(self, path: str) -> None:
        from conveyor.builder import untar  # noqa: PLC0415 - only here: start-up time

        self._rootfs.touch_anything()
        dest = self._rootfs.resolve(self._dest)
        owner = self._owner if self._step.get("chown") else (None, None)
        self._rootfs.make_dirs(dest, _numbers(self._owner))
        with open(path, "rb") as stream:
            untar.unpack(self._rootfs, dest, stream, owner)

    def _text(self, name: str, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        raw = name.encode("utf-8", "surrogateescape")
        entry = Entry(raw, tarformat.FILE, 0o644)
        entry.size = len(data)
        entry.mtime = self._now
        block = tarformat.header(entry) + data + tarformat.padding(len(data))
        reader = Reader(io.BytesIO(block))
        for found in reader:
            self._single(raw, found, reader)

    def _resolved(self) -> bytes:
        """The real destination; it is made where the instruction asks for a directory."""
        real = self._rootfs.resolve(self._dest)
        if self._wants_dir:
            self._make_dirs(real)
        return real

    def _make_dirs(self, real: bytes) -> None:
        self._rootfs.make_dirs(real, _numbers(self._owner), self._mode_of_new)

    def _finish(self) -> None:
        """Figures of directories last: placing files in them changes their times."""
        top = self._base or self._rootfs.root
        for path, entry in self._dirs.items():
            if path.rstrip(b"/") == top.rstrip(b"/"):
                os.utime(path, (entry.mtime, entry.mtime))
            elif _is_dir(path):
                own(path, entry, self._owner, self._chmod(entry))
        self._dirs.clear()

    def _dest_shown(self) -> str:
        return shown(self._dest)

    def _shown(self, path: bytes) -> str:
        return shown(path[len(self._rootfs.root.rstrip(b"/")) :])


def _destination(step: Step) -> tuple[bytes, bool]:
    text = str(step["dest"])
    wants_dir = text.endswith(("/", "/.")) or text in (".", "")
    if not text.startswith("/"):
        text = str(step.get("workdir") or "/").rstrip("/") + "/" + text
    dest = text.encode("utf-8", "surrogateescape")
    return b"/" + os.path.normpath(dest).strip(b"/"), wants_dir


def _check_seen(sources: list[Step], seen: set[bytes]) -> None:
    for source in sources:
        pattern = str(source["pattern"])
        folder = str(source["entries"]).strip("/").encode()
        if folder not in seen and not any(char in pattern for char in "*?["):
            raise StageFailure("InputMissing", f"COPY {pattern}: no such file or directory")


def _owner(rootfs: Rootfs, step: Step) -> Owner:
    chown = str(step.get("chown") or "")
    if not chown:
        return (None, None) if step.get("keepOwner") else (0, 0)
    if step.get("link") and not chown.replace(":", "").isdigit():
        raise StageFailure(
            "StepInvalid",
            f"--link with --chown={chown}: names cannot be looked up, for --link does not see the image below; use numbers",
        )
    return users.chown_ids(rootfs, chown)


def _numbers(owner: Owner) -> tuple[int, int]:
    return owner[0] or 0, owner[1] or 0


def _is_dir(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
