"""Users and groups as the container knows them.

In: `user[:group]` as a Dockerfile or werf.yaml writes it, and the container's own /etc/passwd and
/etc/group. Out: numbers and a home. The rules are Docker Engine's (moby/sys/user GetExecUser): a
numeric user without a passwd entry gets group 0 and home `/`; supplementary groups only when no
group is named.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH123

from __future__ import annotations

from conveyor.builder.failure import StageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from conveyor.builder.rootfs import Rootfs

_MAX_ID = (1 << 31) - 1
_MAX_FILE = 16 << 20


class Identity:
    """Who a command runs as.

    Attributes:
        uid: User number.
        gid: Group number.
        groups: Supplementary group numbers; the group itself is among them.
        home: Home directory, `/` when unknown.
    """

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


def identity(rootfs: Rootfs, spec: str) -> Identity:
    """Look up `user[:group]`, each by name or number; empty means root.

    Raises:
        StageFailure: NoSuchUser, a name that the container does not have.
    """
    user, _, group = spec.partition(":")
    passwd = _rows(rootfs, b"etc/passwd", 7)
    row = _find_user(passwd, user or "0")
    uid = int(row[2]) if row else _id(user or "0", spec, "user", "/etc/passwd")
    gid = int(row[3]) if row else 0
    home = (row[5] if row else "") or "/"
    extra: list[int] = []
    if group:
        gid = _group(rootfs, group, spec)
    elif row:
        rows = _rows(rootfs, b"etc/group", 4)
        extra = [int(g[2]) for g in rows if row[0] in g[3].split(",")]
    return Identity(uid, gid, tuple(dict.fromkeys([gid, *extra])), home)


def owner_ids(rootfs: Rootfs, owner: str, group: str) -> tuple[int | None, int | None]:
    """Numbers for an owner and a group given apart; None where the name is empty.

    Raises:
        StageFailure: NoSuchUser.
    """
    uid: int | None = None
    if owner:
        row = _find_user(_rows(rootfs, b"etc/passwd", 7), owner)
        uid = int(row[2]) if row else _id(owner, owner, "user", "/etc/passwd")
    return uid, _group(rootfs, group, group) if group else None


def chown_ids(rootfs: Rootfs, spec: str) -> tuple[int, int]:
    """Numbers of `--chown=user[:group]`: without a group, the group has the user's own number.

    A user given by name without a group takes the group of its passwd entry; `user:` means group 0.

    Raises:
        StageFailure: NoSuchUser.
    """
    user, colon, group = spec.partition(":")
    if colon and not group:
        return identity(rootfs, f"{user}:0").uid, 0
    if group or not _is_number(user or "0"):
        found = identity(rootfs, spec)
        return found.uid, found.gid
    uid = _id(user or "0", spec, "user", "/etc/passwd")
    return uid, uid


def _group(rootfs: Rootfs, group: str, spec: str) -> int:
    for row in _rows(rootfs, b"etc/group", 4):
        if (row[2] if _is_number(group) else row[0]) == group:
            return int(row[2])
    return _id(group, spec, "group", "/etc/group")


def _find_user(rows: list[list[str]], user: str) -> list[str] | None:
    column = 2 if _is_number(user) else 0
    return next((row for row in rows if row[column] == user), None)


def _id(text: str, spec: str, what: str, file: str) -> int:
    if not _is_number(text):
        raise StageFailure(
            "NoSuchUser",
            f"{spec!r}: no {what} {text!r} in {file} of this image; "
            f"create it in an earlier stage or use a number",
        )
    number = int(text)
    if number > _MAX_ID:
        raise StageFailure("NoSuchUser", f"{spec!r}: {what} number {number} is over {_MAX_ID}")
    return number


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12


def _rows(rootfs: Rootfs, path: bytes, columns: int) -> list[list[str]]:
    """Lines of a passwd-like file that have numbers where numbers belong; none if no file."""
    try:
        with open(rootfs.resolve(path), "rb") as file:
            text = file.read(_MAX_FILE).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []
    rows = [line.strip().split(":") for line in text.splitlines()]
    numbers = (2, 3) if columns == 7 else (2,)
    return [
        row
        for row in rows
        if len(row) >= columns and all(_is_number(row[column]) for column in numbers)
    ]
