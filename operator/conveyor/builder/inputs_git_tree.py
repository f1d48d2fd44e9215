"""A directory of another repository as the bundle of an ADD.

In: URL, ref, directory. Out: a tar with the files in `0/`, made from the objects of the commit as they are: 0644 or
0755, directories 0755, owner 0:0, time of the commit. With `keep_git_dir` also `0/.git`: a repository of that one
commit, HEAD detached, everything clean.
"""

import asyncio
import shutil
from dataclasses import replace
from typing import BinaryIO, Final

from yarl import URL

from conveyor.builder.courier_remote import GitTreeInput
from conveyor.builder.courier_task import GitAccess
from conveyor.builder.inputs_archive import TarOut, commit_time
from conveyor.builder.inputs_git_access import check_url
from conveyor.builder.inputs_objects import TreeEntry
from conveyor.builder.remote_git import Found, Pinned, RemoteStore
from conveyor.builder.remote_http import Visitor
from conveyor.config.remote_source import GitSource, endpoint

_TOP: Final = b"0"
_SUBMODULE: Final = "160000"
_PROBE: Final = "info/refs"
_QUERY: Final = "?service=git-upload-pack"


async def write_git_tree(
    item: GitTreeInput, access: GitAccess, out: BinaryIO, visitor: Visitor
) -> None:
    """Fetch and write the files.

    Raises:
        CourierError: RemoteForbidden, RemoteUnreachable, GitUnreachable, GitAuthFailed, CommitNotFound, InputMissing,
            InputTooLarge, ChecksumMismatch.
    """
    check_url(access.url)
    pinned = await _pinned(access, visitor)
    await asyncio.to_thread(_write, item, pinned, out)


async def _pinned(access: GitAccess, visitor: Visitor) -> Pinned:
    """Judge the server, and for http all that it leads to: git itself will follow nothing."""
    source = GitSource(url=access.url)
    if source.over_ssh:
        addresses = await visitor.gate.addresses(*endpoint(source))
    else:
        access, addresses = await _led_to(access, visitor)
    return Pinned(
        access=access,
        addresses=addresses,
        ca_file=visitor.ca_file,
        limits=visitor.limits,
        gate=visitor.gate,
    )


async def _led_to(access: GitAccess, visitor: Visitor) -> tuple[GitAccess, tuple[str, ...]]:
    asked = f"{access.url.rstrip('/')}/{_PROBE}{_QUERY}"
    async with visitor.get(_without_user(asked)) as response:
        reached = response.url
    addresses = await visitor.gate.check(reached)
    if str(reached) == str(URL(_without_user(asked))):
        return access, addresses
    base, found, _ = str(reached).partition(f"/{_PROBE}?")
    if not found:
        text = f"it leads to {reached.host}, where no repository is"
        raise visitor.gate.error("GitUnreachable", text)
    same_place = reached.origin() == URL(_without_user(access.url)).origin()
    # What the login is for is the beginning of the URL as it is written; it follows nowhere.
    return GitAccess(url=base, credentials=access.credentials if same_place else None), addresses


def _without_user(url: str) -> str:
    return str(URL(url).with_user(None))


def _write(item: GitTreeInput, pinned: Pinned, out: BinaryIO) -> None:
    store = RemoteStore.make(pinned)
    try:
        found = store.resolve(item.ref)
        store.bring(found)
        commit = store.git("rev-parse", "--verify", f"{found.id}^{{commit}}")
        _check(item, replace(found, commit=commit), pinned)
        _write_tree(item, store, replace(found, commit=commit), out)
    finally:
        shutil.rmtree(store.home, ignore_errors=True)


def _check(item: GitTreeInput, found: Found, pinned: Pinned) -> None:
    if not found.id.startswith(item.checksum) and not found.commit.startswith(item.checksum):
        text = f"--checksum says {item.checksum}, and {item.ref or 'the default branch'} is {found.commit}"
        raise pinned.gate.error("ChecksumMismatch", text)


def _write_tree(item: GitTreeInput, store: RemoteStore, found: Found, out: BinaryIO) -> None:
    limits, gate = store.pinned.limits, store.pinned.gate
    with store.objects() as objects:
        mtime = commit_time(objects, found.commit)
        tar = TarOut(out, objects, mtime, limits, dir_mode=0o755)
        tar.dir(_TOP)
        skip = len(item.subdir.encode()) + 1 if item.subdir else 0
        seen = False
        for entry in store.tree(found.commit, item.subdir, limits.entries):
            if not entry.path[skip:]:
                raise gate.error("InputMissing", f"{item.subdir} is no directory")
            seen = True
            _put(item, tar, _TOP + b"/" + entry.path[skip:], entry, store)
        if item.subdir and not seen:
            raise gate.error("InputMissing", f"there is no {item.subdir} in {found.commit}")
        if item.keep_git_dir:
            _write_git_dir(store, found, tar)
        tar.close()


def _put(
    item: GitTreeInput, tar: TarOut, name: bytes, entry: TreeEntry, store: RemoteStore
) -> None:
    gate = store.pinned.gate
    if b".git" in name.lower().split(b"/"):
        raise gate.error("InputMissing", "the repository has a file named .git in it")
    tar.dir(name.rpartition(b"/")[0])
    if entry.mode != _SUBMODULE:
        tar.file(name, entry)
    elif item.submodules:
        path = entry.path.decode("utf-8", "replace")
        text = f"{path} is a submodule; write ?submodules=false in the URL to leave it empty"
        raise gate.error("InputMissing", text)
    else:
        tar.dir(name)


def _write_git_dir(store: RemoteStore, found: Found, tar: TarOut) -> None:
    """Make a work tree's `.git` of the bare repository, and write it."""
    url = _shown(store.pinned.access.url)
    store.git("update-ref", "--no-deref", "HEAD", found.commit)
    if found.ref:
        store.git("update-ref", found.ref, found.id)
    store.git("read-tree", found.commit)
    for key, value in (
        ("core.bare", "false"),
        ("core.logAllRefUpdates", "true"),
        ("remote.origin.url", url),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
    ):
        store.git("config", key, value)
    top = _TOP + b"/.git"
    tar.dir(top)  # directories come before what is in them
    for path in sorted(store.path.rglob("*")):
        name = top + b"/" + str(path.relative_to(store.path)).encode()
        if path.is_dir():
            tar.dir(name)
        else:
            tar.plain(name, path)


def _shown(url: str) -> str:
    return url if "://" not in url else str(URL(url).with_user(None))
