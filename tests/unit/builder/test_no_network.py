"""`RUN --network=none`: what the filter takes away, what it leaves, and that nobody can take it off.

Every command runs below a stage program of its own process: the filter, and what it closes, stay for good.
"""

import errno
import json
import os
import platform
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.builder import no_network
from conveyor.builder.failure import StageFailure

# What the stage program does, in a process that ends; the command's output is the process's own.
STAGE = """
import json, os, sys
from conveyor.builder.failure import StageFailure
from conveyor.builder.processes import Output, Runner
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.steps import Workplace
step, before = json.loads(sys.argv[1]), sys.argv[2]
exec(before)
try:
    Workplace(Rootfs(), Runner(Output(1)), os.getcwd(), dict(os.environ)).run(step, "0-0-0")
except StageFailure as failure:
    print(failure.reason, failure.message)
"""
TRY = """
import errno, socket, sys
def tried(what, action):
    try:
        action()
        print(what, "possible")
    except OSError as error:
        print(what, errno.errorcode[error.errno])
"""


def run(
    code: str,
    *,
    network: str = "none",
    before: str = "",
    user: str = "",
    argv: tuple[str, ...] = (),
) -> list[str]:
    """The lines that Python code, or another command, prints as a RUN."""
    command = argv or (sys.executable, "-c", TRY + code)
    step = {"op": "exec", "argv": command, "network": network, "user": user}
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", STAGE, json.dumps(step), before],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_cannot_be_reached(listening: int) -> None:
    code = (
        f"tried('connect', lambda: socket.create_connection(('127.0.0.1', {listening}), timeout=5))"
    )
    assert run(code, network="") == ["connect possible"]
    assert run(code) == ["connect EAFNOSUPPORT"]


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"])
def test_no_family_but_unix(family: str) -> None:
    kinds = "for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):\n"
    lines = run(f"{kinds}  tried('{family}', lambda: socket.socket(socket.{family}, kind))")
    assert lines == [f"{family} EAFNOSUPPORT"] * 3


def test_sockets_of_unix_stay(tmp_path: Path) -> None:
    path = tmp_path / "s"
    code = f"""
server = socket.socket(socket.AF_UNIX); server.bind({str(path)!r}); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect({str(path)!r})
client.sendall(b"heard"); print(server.accept()[0].recv(5))
one, two = socket.socketpair(); one.send(b"pair"); print(two.recv(4))
tried("pair of others", lambda: socket.socketpair(socket.AF_INET))
"""
    assert run(code) == ["b'heard'", "b'pair'", "pair of others EAFNOSUPPORT"]


def test_children_inherit_it() -> None:
    inner = "import socket; socket.socket()"
    code = f"""
import subprocess, os
done = subprocess.run(["/bin/sh", "-c", 'exec "$0" -c "{inner}"', sys.executable], stderr=subprocess.PIPE, text=True)
print(done.returncode, done.stderr.splitlines()[-1])
if os.fork() == 0:
    tried("child", socket.socket)
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""
    said = os.strerror(errno.EAFNOSUPPORT)
    assert run(code) == [f"1 OSError: [Errno {errno.EAFNOSUPPORT}] {said}", "child EAFNOSUPPORT"]


def test_what_does_not_use_the_network_works(tmp_path: Path) -> None:
    code = f"""
import threading, multiprocessing, tempfile
thread = threading.Thread(target=lambda: print("thread")); thread.start(); thread.join()
open({str(tmp_path / "file")!r}, "w").write("text")
read, write = multiprocessing.Pipe(); write.send([1]); print(read.recv())
"""
    assert run(code) == ["thread", "[1]"]
    assert (tmp_path / "file").read_text() == "text"


def test_io_uring_makes_no_sockets() -> None:
    number = no_network._MACHINES[platform.machine()]["io_uring_setup"]
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall({number}, 1, ctypes.create_string_buffer(120)), errno.errorcode[ctypes.get_errno()])
"""
    assert run(code) == ["-1 ENOSYS"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is of x86_64")
def test_the_second_table_of_calls_is_closed() -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(0x40000000 + 41, 2, 1, 0), errno.errorcode[ctypes.get_errno()])
"""
    assert run(code) == ["-1 ENOSYS"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code")
def test_calls_of_another_architecture_end_the_program() -> None:
    """`int 0x80` is how i386 calls; 359 is its `socket`."""
    code = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("53 b867010000 bb02000000 b901000000 31d2 cd80 5b c3"))
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print("before", flush=True)
print(call() >= 0)
"""
    assert run(code) == ["before", "CommandFailed the command was ended by signal 31"]


def test_a_command_gets_no_descriptor_of_ours() -> None:
    """Sockets that the stage program has open, as those of an SSH agent, stay its own."""
    before = "import socket; kept = socket.socket(), open('/dev/null'), os.pipe()"
    code = "import os\nprint(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:-1])"
    assert run(code, before=before) == ["[0, 1, 2]"]


@pytest.mark.skipif(os.getuid() != 0, reason="a user is set")
def test_a_user_has_it_too_and_gains_no_rights() -> None:
    shell = "id -u; grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status"
    lines = run("", user="65534:65534", argv=("/bin/sh", "-c", shell))
    assert lines == ["65534", "NoNewPrivs:\t1", "Seccomp:\t2"]


def test_a_refusal_of_the_kernel_is_told() -> None:
    before = (
        "from conveyor.builder import no_network\n"
        "no_network._SECCOMP_MODE_FILTER = 77"  # no mode that there is
    )
    (line,) = run("print('ran')", before=before)
    assert line.startswith("StepInvalid RUN --network=none: this node has no filters of system")


def test_an_unknown_network_is_refused() -> None:
    assert run("print('ran')", network="host") == ["StepInvalid unknown network 'host'"]


@pytest.mark.parametrize("name", ["riscv64", "armv7l", "i686"])
def test_a_machine_without_a_filter_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "n", "6", "v", name)))
    with pytest.raises(StageFailure, match=rf"not on {name}; leave it out for this platform"):
        no_network.NoNetwork()


# --- the filters themselves, for machines that this is not ------------------------------------------------------------

ALLOWED, ENDED = "allowed", "ended"
X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028


def decided(machine: str, arch: int, number: int, argument: int = 0) -> str:
    """What a filter says of a call: the kernel's classic BPF, as far as filters use it."""
    data = struct.pack("<IIQ6Q", number, arch, 0, argument, 0, 0, 0, 0, 0)
    code = no_network.instructions(machine)
    at, held = 0, 0
    while True:
        operation, yes, no, operand = struct.unpack_from("<HBBI", code, at * 8)
        at += 1
        match operation:
            case 0x20:
                (held,) = struct.unpack_from("<I", data, operand)
            case 0x15:
                at += yes if held == operand else no
            case 0x35:
                at += yes if held >= operand else no
            case 0x06:
                answers = {0x7FFF0000: ALLOWED, 0x80000000: ENDED}
                return answers.get(operand) or errno.errorcode[operand & 0xFFFF]
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize(
    ("machine", "arch", "number", "argument", "said"),
    [
        ("x86_64", X86_64, 41, 1, ALLOWED),
        ("x86_64", X86_64, 41, 2, "EAFNOSUPPORT"),
        ("x86_64", X86_64, 41, 0x1_0000_0002, "EAFNOSUPPORT"),
        ("x86_64", X86_64, 53, 1, ALLOWED),
        ("x86_64", X86_64, 53, 2, "EAFNOSUPPORT"),
        ("x86_64", X86_64, 425, 1, "ENOSYS"),
        ("x86_64", X86_64, 42, 2, ALLOWED),
        ("x86_64", X86_64, 0, 2, ALLOWED),
        ("x86_64", X86_64, 198, 2, ALLOWED),
        ("x86_64", X86_64, 0x40000000 + 41, 2, "ENOSYS"),
        ("x86_64", X86_64, 0xFFFFFFFF, 2, "ENOSYS"),
        ("x86_64", I386, 359, 1, ENDED),
        ("x86_64", I386, 102, 1, ENDED),
        ("aarch64", AARCH64, 198, 1, ALLOWED),
        ("aarch64", AARCH64, 198, 10, "EAFNOSUPPORT"),
        ("aarch64", AARCH64, 199, 16, "EAFNOSUPPORT"),
        ("aarch64", AARCH64, 425, 1, "ENOSYS"),
        ("aarch64", AARCH64, 41, 2, ALLOWED),
        ("aarch64", ARM, 281, 1, ENDED),
        ("aarch64", X86_64, 41, 1, ENDED),
    ],
)
def test_every_machine_has_its_numbers(
    machine: str, arch: int, number: int, argument: int, said: str
) -> None:
    assert decided(machine, arch, number, argument) == said
