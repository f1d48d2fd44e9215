"""The modes that `--chmod` takes: octal, or symbolic as the command chmod has them.

In: the flag's value. Out: a number, or the changes of bits that a symbolic mode stands for, ready to be applied to a
file's mode by whoever has the file. The grammar is that of BSD's setmode(3), which BuildKit follows (moby/buildkit:
dockerfile2llb/convert.go dispatchCopy).
"""

from collections.abc import Mapping
from dataclasses import dataclass

_UID, _GID, _STICKY = 0o4000, 0o2000, 0o1000
_USER, _GROUP, _OTHER = 0o700, 0o070, 0o007
_ALL = _UID | _GID | _USER | _GROUP | _OTHER
_WHO = {"a": _ALL, "u": _UID | _USER, "g": _GID | _GROUP, "o": _OTHER}
_PERMS = {"r": 0o444, "w": 0o222, "x": 0o111}
_CLASSES = (("u", 0o400), ("g", 0o040), ("o", 0o004))
MAX_MODE = 256


@dataclass(frozen=True, slots=True)
class ModeChange:
    """One change.

    Attributes:
        op: `+` sets bits, `-` clears them, `X` sets them where something may be executed or entered already. `u`, `g` and
            `o` copy the bits of that class into the classes named by `to`, setting (`+`), clearing (`-`) or both (`=`).
        bits: Of `+`, `-`, `X`.
        to: Of a copy: `u`, `g`, `o`.
        how: Of a copy.
    """

    op: str
    bits: int = 0
    to: str = ""
    how: str = ""


def octal_mode(text: str) -> int | None:
    """Return the number, None for a symbolic mode.

    Raises:
        ValueError: Neither, or a number over 7777.
    """
    if text.isascii() and text.isdigit():
        if set(text) <= set("01234567") and int(text, 8) <= 0o7777:
            return int(text, 8)
        raise ValueError(f"--chmod={text}: an octal mode is between 0 and 07777")
    mode_changes(text)
    return None


def mode_changes(text: str) -> tuple[ModeChange, ...]:
    """Return the changes of a symbolic mode (`u=rwX,go=rX`).

    Raises:
        ValueError: It is none.
    """
    if len(text) > MAX_MODE:
        raise ValueError(f"--chmod: a mode of {len(text)} characters; {MAX_MODE} are allowed")
    changes: list[ModeChange] = []
    for clause in text.split(","):
        rest = clause.lstrip("augo")
        who = _bits(_WHO, clause[: len(clause) - len(rest)])
        if not rest:
            raise _wrong(text)
        while rest:
            op, rest = rest[0], rest[1:]
            if op not in "+-=":
                raise _wrong(text)
            perms = rest[: len(rest) - len(rest.lstrip("rstwXxugo"))]
            rest = rest[len(perms) :]
            _Part(op, who, changes).read(perms)
    return tuple(changes)


@dataclass(slots=True)
class _Part:
    """What stands behind one operator: `=rX`, `-w`, `+u`."""

    op: str
    who: int
    changes: list[ModeChange]
    perm: int = 0
    conditional: int = 0
    cleared: bool = False

    def read(self, perms: str) -> None:
        """Add the changes."""
        for char in perms:
            if char in "ugo":
                self._flush()
                self.cleared = True  # a copy with `=` clears by itself
                self.changes.append(_copy(char, self.who, self.op))
            else:
                self._perm(char)
        if self.op == "=" and not self.cleared:
            self._add("=", self.perm)
            self.perm = 0
        self._flush()

    def _perm(self, char: str) -> None:
        special = not self.who or bool(self.who & ~_OTHER)
        if char == "s":
            self.perm |= (_UID | _GID) if special else 0
        elif char == "t":
            self.who |= _STICKY if special else 0
            self.perm |= _STICKY if special else 0
        elif char == "X" and self.op != "-":
            self.conditional = _PERMS["x"]
        else:
            self.perm |= _PERMS[char.lower()]

    def _flush(self) -> None:
        if self.perm:
            self._add(self.op, self.perm)
        if self.conditional:
            self._add("X", self.conditional)
        self.perm = self.conditional = 0

    def _add(self, op: str, bits: int) -> None:
        if op == "=":
            self.changes.append(ModeChange("-", self.who or _ALL))
            op = "+"
        self.changes.append(ModeChange(op, bits & self.who if self.who else bits))


def _copy(source: str, who: int, op: str) -> ModeChange:
    to = "".join(name for name, bit in _CLASSES if not who or who & bit)
    return ModeChange(source, to=to, how=op)


def _bits(table: Mapping[str, int], chars: str) -> int:
    total = 0
    for char in chars:
        total |= table[char]
    return total


def _wrong(text: str) -> ValueError:
    return ValueError(
        f"--chmod={text}: neither an octal mode (0644) nor a symbolic one (u=rwX,go=rX)"
    )
