"""`RUN --mount=…`: the flag's text to its fields.

In: the value of one flag and how to expand variables. Out: `RunMount`, checked as BuildKit checks it
(moby/buildkit: instructions/commands_runmount.go). What a mount means is told by `dockerfile_mount_points`.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from conveyor.config.dockerfile_model import Instruction

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS = ("shared", "private", "locked")
_CHOICES = {"type": TYPES, "sharing": SHARINGS}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_WORDS = {"readonly": True, "ro": True, "readwrite": False, "rw": False}
_TEXTS = {
    "from": "source_image",
    "source": "source",
    "src": "source",
    "target": "target",
    "dst": "target",
    "destination": "target",
    "id": "cache_id",
}
_NUMBERS = {"mode": 8, "uid": 10, "gid": 10}
_MAX_NUMBER = 2**32
_SIZE = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE
)
_POWERS = {unit: 1024**power for power, unit in enumerate(("", "k", "m", "g", "t", "p"))}
_MAX_SIZE = 2**60


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMount:
    """One mount.

    Attributes:
        source_image: What `from=` says.
        read_only: None until its default is known.
        cache_id: `id`, of secrets and ssh too.
        size: Of a tmpfs, in bytes; 0 for no limit.
        env: Variable that a secret is handed over in, "" for none.
    """

    type: str = "bind"
    source_image: str = ""
    source: str = ""
    target: str = ""
    read_only: bool | None = None
    cache_id: str = ""
    sharing: str = ""
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    env: str = ""


def mount_flags(instruction: Instruction) -> tuple[str, ...]:
    """Return the values of a RUN's `--mount` flags, in order."""
    if instruction.keyword != "RUN":
        return ()
    pairs = (flag.removeprefix("--").partition("=") for flag in instruction.flags)
    return tuple(value for name, _, value in pairs if name == "mount")


def mount_images(instruction: Instruction) -> tuple[str, ...]:
    """Return what the mounts of a RUN say in `from=`, "" left out; variables are not possible there."""
    return tuple(name for flag in mount_flags(instruction) if (name := _from(flag)))


def parse_mount(text: str, expand: Callable[[str], str]) -> RunMount:
    """Return the mount that the flag describes.

    Raises:
        ValueError: It is malformed; without a place.
    """
    mount = RunMount()
    for key, value in _fields(text):
        mount = _with_word(mount, key) if value is None else _with(mount, key, expand(value))
    return _checked(mount)


def _fields(text: str) -> list[tuple[str, str | None]]:
    try:
        fields = next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration):
        raise ValueError(f"--mount={text} is malformed; write --mount=type=…,target=…") from None
    pairs = (field.partition("=") for field in fields)
    return [(key.lower(), value if equals else None) for key, equals, value in pairs]


def check_mount(text: str) -> None:
    """Check a flag as far as its variables, which are not known yet, allow it.

    Raises:
        ValueError: It is malformed; without a place.
    """
    if "$" in _from(text).rstrip("$"):
        raise ValueError(
            "--mount: from takes no variables; define a stage FROM the variable and name it"
        )
    if "$" not in text:
        parse_mount(text, str)


def _from(text: str) -> str:
    names = [value for key, value in _fields(text) if key == "from" and value]
    return names[-1] if names else ""


def _with_word(mount: RunMount, key: str) -> RunMount:
    if key in _WORDS:
        return replace(mount, read_only=_WORDS[key])
    if key == "required" and mount.type in ("secret", "ssh"):
        return replace(mount, required=True)
    raise ValueError(f"--mount: {key!r} must be a KEY=VALUE pair")


def _with(mount: RunMount, key: str, value: str) -> RunMount:
    change = _change(mount.type, key, value)
    if change is None:
        raise ValueError(f"--mount: {key}={value} is not possible for a mount of type {mount.type}")
    return replace(mount, **change)


def _change(kind: str, key: str, value: str) -> dict[str, Any] | None:
    """Return the field that a pair sets, None when a mount of this type has no such key."""
    if key in _TEXTS:
        return {_TEXTS[key]: value}
    if key in _NUMBERS:
        return {key: _number(key, value)}
    if key in _CHOICES:
        return {key: _one_of(key, value, _CHOICES[key])}
    if key in _WORDS:
        return {"read_only": _flag(key, value) == _WORDS[key]}
    return _change_of(kind, key, value)


def _change_of(kind: str, key: str, value: str) -> dict[str, Any] | None:
    """The same for keys that only some types have."""
    match key, kind:
        case "required", "secret" | "ssh":
            return {"required": _flag(key, value)}
        case "size", "tmpfs":
            return {"size": _size(value)}
        case "env", "secret":
            return {"env": _variable(value)}
    return None


def _size(value: str) -> int:
    """Read a number of bytes as Docker does (units.RAMInBytes): 64m, 1.5 GiB."""
    found = _SIZE.fullmatch(value)
    size = int(float(found[1]) * _POWERS[found[2].lower()]) if found else _MAX_SIZE
    if size >= _MAX_SIZE:
        raise ValueError(f"--mount: size={value} is no size, as in 64m or 1.5g")
    return size


def _variable(value: str) -> str:
    if not value or "=" in value or "\0" in value:
        raise ValueError(f"--mount: env={value} cannot name a variable")
    return value


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> str:
    if value.lower() not in allowed:
        raise ValueError(f"--mount: {key}={value} is unknown; known are {', '.join(allowed)}")
    return value.lower()


def _flag(key: str, value: str) -> bool:
    if value not in _TRUE + _FALSE:
        raise ValueError(f"--mount: {key}={value} must be true or false")
    return value in _TRUE


def _number(key: str, value: str) -> int:
    try:
        number = int(value, _NUMBERS[key]) if value.isascii() and value.isdigit() else _MAX_NUMBER
    except ValueError:
        number = _MAX_NUMBER
    if number >= _MAX_NUMBER:
        raise ValueError(f"--mount: {key}={value} is not a number")
    return number


def _checked(mount: RunMount) -> RunMount:
    owned = mount.mode is not None or mount.uid is not None or mount.gid is not None
    if owned and mount.type not in ("secret", "ssh", "cache"):
        raise ValueError(f"--mount: mode, uid and gid are not possible for type {mount.type}")
    if mount.sharing and mount.type != "cache":
        raise ValueError(f"--mount: sharing is not possible for type {mount.type}")
    if mount.type == "secret":
        _check_secret(mount)
    if mount.type == "ssh" and mount.source:
        raise ValueError("--mount: ssh has no source")
    if mount.read_only is None:
        return replace(mount, read_only=mount.type not in ("cache", "tmpfs"))
    return mount


def _check_secret(mount: RunMount) -> None:
    if mount.source_image:
        raise ValueError("--mount: a secret has no from")
    if not (mount.source or mount.target or mount.cache_id):
        raise ValueError("--mount: a secret needs id, source or target")
    if mount.source and mount.cache_id:
        raise ValueError("--mount: a secret has either source or id")
