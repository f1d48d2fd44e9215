"""A command without a network: a filter of system calls that it and all it starts can never take off again.

In: the machine this runs on. Out: `NoNetwork`, which the child calls before it becomes the command (linux: seccomp(2),
Documentation/userspace-api/seccomp_filter.rst). A network namespace would need a privilege, this needs none: `socket` makes
sockets of the family AF_UNIX only, and there is no other way to get one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

from conveyor.builder.failure import StageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_AF_UNIX = 1

# linux: uapi/linux/audit.h, and the tables of system calls
_MACHINES = {
    "x86_64": {"arch": 0xC000003E, "socket": 41, "socketpair": 53, "io_uring_setup": 425},
    "aarch64": {"arch": 0xC00000B7, "socket": 198, "socketpair": 199, "io_uring_setup": 425},
}
_X32 = 0x4000_0000  # set in the numbers of x86_64's second table; those of other machines are far below

# linux: uapi/linux/bpf_common.h and seccomp.h
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, all little-endian
_ALLOW, _KILL, _ERROR = 0x7FFF_0000, 0x8000_0000, 0x0005_0000


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class NoNetwork:
    """Takes the network from the process that calls it; made before the fork, called after it."""

    def __init__(self) -> None:
        """Make everything ready, and close this program itself to the command: root could let it open a socket.

        Raises:
            StageFailure: StepInvalid, no filter is known for this machine.
        """
        self._code = ctypes.create_string_buffer(instructions(_machine()))
        # The buffer ends with a zero byte of ctypes' own.
        self._program = _Program(len(self._code) // 8, ctypes.addressof(self._code))
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
        self._set(_PR_SET_DUMPABLE, 0)

    def __call__(self) -> None:
        """Put the filter on.

        Raises:
            OSError: The kernel, or what stands between it and this container, has no filters.
        """
        self._set(_PR_SET_NO_NEW_PRIVS, 1)  # without it a filter takes a privilege
        self._set(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(self._program))

    def _set(self, option: int, *values: int) -> None:
        padded: Any = (*values, 0, 0, 0, 0)[:4]
        if self._prctl(option, *padded):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def instructions(machine: str) -> bytes:
    """Return the filter for a machine, as an array of `struct sock_filter`.

    Programs of another architecture are ended, as their numbers mean other calls. io_uring makes sockets without `socket`.

    Raises:
        KeyError: It is not known for this machine.
    """
    known = _MACHINES[machine]
    unknown_call, no_family = _ERROR | errno.ENOSYS, _ERROR | errno.EAFNOSUPPORT
    # (code, operand, how many instructions to skip if so, if not)
    program = (
        (_LOAD, _ARCH, 0, 0),
        (_IF_EQUAL, known["arch"], 1, 0),
        (_RETURN, _KILL, 0, 0),
        (_LOAD, _NUMBER, 0, 0),
        (_IF_AT_LEAST, _X32, 7, 0),
        (_IF_EQUAL, known["io_uring_setup"], 6, 0),
        (_IF_EQUAL, known["socket"], 1, 0),
        (_IF_EQUAL, known["socketpair"], 0, 2),
        (_LOAD, _FIRST_ARGUMENT, 0, 0),
        (_IF_EQUAL, _AF_UNIX, 0, 1),
        (_RETURN, _ALLOW, 0, 0),
        (_RETURN, no_family, 0, 0),
        (_RETURN, unknown_call, 0, 0),
    )
    return b"".join(
        struct.pack("<HBBI", code, yes, no, operand) for code, operand, yes, no in program
    )


def _machine() -> str:
    name = os.uname().machine
    if name in _MACHINES and sys.maxsize >= 2**63 - 1:  # a 32-bit Python counts its calls otherwise
        return name
    known = " and ".join(_MACHINES)
    raise StageFailure(
        "StepInvalid",
        f"RUN --network=none is possible on {known}, not on {name}; leave it out for this platform",
    )
