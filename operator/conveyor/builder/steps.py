"""The steps of a stage, one function each.

In: a step of the task (a dict with `op`) and the container's root filesystem. Out: files changed,
or a `StageFailure`. The environment of commands comes from the task alone, never from this
program's own.
"""
# Names are bytes that need not be UTF-8, and pathlib has no bytes paths.
# ruff: noqa: PTH101, PTH103, PTH112, PTH114, PTH123

from __future__ import annotations

import os

from conveyor.builder import script, users
from conveyor.builder.failure import StageFailure
from conveyor.builder.processes import Command, Runner
from conveyor.builder.procfs import oom_kills

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from conveyor.builder.rootfs import Rootfs
    from conveyor.builder.run_mounts import RunMounts

    Step = dict[str, Any]

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CA_NAMES = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
)
_MOST_COMMAND = 512


class Workplace:
    """What every step works with.

    Attributes:
        rootfs: Root filesystem of the container.
        runner: Starts commands.
        io: Directory shared with the courier; inputs are named relative to it.
        environ: Environment of every command, from the task.
        mounts: What every RUN of the task mounts, None without mounts.
    """

    def __init__(self, rootfs: Rootfs, runner: Runner, io: str, environ: dict[str, str]) -> None:
        self.rootfs = rootfs
        self.runner = runner
        self.io = io
        self.environ = environ
        self.mounts: RunMounts | None = None

    def run(self, step: Step, label: str) -> None:
        """Carry out one step.

        Args:
            step: The step.
            label: Unique within the task; names its files in the shared directory.

        Raises:
            StageFailure: It failed.
        """
        operation = _OPERATIONS.get(str(step.get("op")))
        if operation is None:
            raise StageFailure("StepInvalid", f"unknown step {step.get('op')!r}")
        if step["op"] not in _NOTING:
            self.rootfs.touch_anything()
        operation(self, step, label)
        self.rootfs.look_again()

    def real(self, path: object) -> bytes:
        """The real path of a path of the task."""
        return self.rootfs.resolve(raw(path))


def raw(text: object) -> bytes:
    """Text of the task as the bytes of a path."""
    return str(text).encode("utf-8", "surrogateescape")


def environment(task: dict[str, Any]) -> dict[str, str]:
    """What every command of a task sees, before its own additions."""
    environ = {"PATH": _DEFAULT_PATH, "HOSTNAME": os.uname().nodename}
    environ.update({str(key): str(value) for key, value in task.get("env", {}).items()})
    if task.get("caFile"):
        for name in _CA_NAMES:
            environ.setdefault(name, str(task["caFile"]))
    return environ


def _script(work: Workplace, step: Step, label: str) -> None:
    commands = [str(command) for command in step["commands"]]
    folder = f"{work.io}/run"
    os.makedirs(folder, exist_ok=True)
    path, note = f"{folder}/{label}.sh", f"{folder}/{label}.failed"
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(script.text(commands, note))
    os.chmod(path, 0o755)  # noqa: S103 - the user's own commands
    root = users.identity(work.rootfs, "0:0")
    environ = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": root.home, **work.environ}
    command = Command(script.argv(path), root, work.rootfs.root, environ)
    status = work.runner.run(command)
    if status:
        raise _failed(status, script.failed_command(commands, _read(note)))


def _ansible(work: Workplace, step: Step, label: str) -> None:
    from conveyor.builder import playbook  # noqa: PLC0415 - only here: start-up time

    playbook.run(work, step, label)


def _exec(work: Workplace, step: Step, _label: str) -> None:
    who = users.identity(work.rootfs, str(step.get("user") or ""))
    workdir = work.real(step.get("workdir") or "/")
    work.rootfs.make_dirs(workdir)
    argv = [str(word) for word in step["argv"]]
    if not argv:
        raise StageFailure("StepInvalid", "RUN without a command")
    environ = {**work.environ, **{str(k): str(v) for k, v in step.get("env", {}).items()}}
    environ.setdefault("HOME", who.home)
    command = Command(argv, who, workdir, environ, _confinement(step))
    written = _write_scripts(work, step)
    try:
        status = _run_mounted(work, command)
    finally:
        if written:
            work.rootfs.remove(written)
    if status:
        raise _failed(status, _shell_text(argv))


def _confinement(step: Step) -> Callable[[], None] | None:
    if not step.get("network"):
        return None
    if step["network"] != "none":
        raise StageFailure("StepInvalid", f"unknown network {step['network']!r}")
    from conveyor.builder import no_network  # noqa: PLC0415 - only here: start-up time

    return no_network.NoNetwork()


def _run_mounted(work: Workplace, command: Command) -> int:
    if work.mounts is None:
        return work.runner.run(command)
    command.environ = work.mounts.prepare(command.environ)
    try:
        return work.runner.run(command)
    finally:
        work.mounts.release()


def _write_scripts(work: Workplace, step: Step) -> bytes | None:
    """Put the here-documents that are programs where BuildKit mounts them; returns the folder made for them.

    `/dev` is no part of an image, and in a container it is a file system of its own.
    """
    if not step.get("scripts"):
        return None
    folder = work.rootfs.root + b"dev/pipes"
    os.makedirs(folder, exist_ok=True)
    for heredoc in step["scripts"]:
        path = folder + b"/" + raw(heredoc["name"])
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o755), "wb") as file:
            file.write(raw(heredoc["text"]))
        os.chmod(path, 0o755)  # noqa: S103 - the user's own commands
    return folder


def _unpack(work: Workplace, step: Step, _label: str) -> None:
    from conveyor.builder import steps_unpack  # noqa: PLC0415 - only here: start-up time

    steps_unpack.unpack(work, step)


def _patch(work: Workplace, step: Step, _label: str) -> None:
    from conveyor.builder import steps_unpack  # noqa: PLC0415 - only here: start-up time

    steps_unpack.patch(work, step)


def _import(work: Workplace, step: Step, _label: str) -> None:
    from conveyor.builder import steps_unpack  # noqa: PLC0415 - only here: start-up time

    steps_unpack.import_bundle(work, step)


def _copy(work: Workplace, step: Step, _label: str) -> None:
    from conveyor.builder import copying  # noqa: PLC0415 - only here: start-up time

    bundle = f"{work.io}/{step['file']}" if step.get("file") else None
    copying.copy(work.rootfs, bundle, step)


def _mkdir(work: Workplace, step: Step, _label: str) -> None:
    who = users.identity(work.rootfs, str(step.get("user") or ""))
    real = work.real(step["path"])
    work.rootfs.make_dirs(real, (who.uid, who.gid), int(step.get("mode", 0o755)))


def _clean(work: Workplace, step: Step, _label: str) -> None:
    """Leave empty directories. A link is replaced, as `rm -rf` would do, never followed; mode and owner stay."""
    for path in step["paths"]:
        real = work.rootfs.resolve(raw(path), follow_last=False)
        if real == work.rootfs.root:
            raise StageFailure("StepInvalid", "the root directory cannot be emptied")
        if os.path.islink(real) or not os.path.isdir(real):
            work.rootfs.remove(real)
        work.rootfs.make_dirs(real)
        work.rootfs.empty(real)


def _say(work: Workplace, step: Step, _label: str) -> None:
    work.runner.output.feed(raw(step["text"]) + b"\n")


_OPERATIONS = {
    "script": _script,
    "ansible": _ansible,
    "exec": _exec,
    "unpack": _unpack,
    "patch": _patch,
    "import": _import,
    "copy": _copy,
    "mkdir": _mkdir,
    "clean": _clean,
    "say": _say,
}


# They tell the root filesystem where they place something, so a capture need not look elsewhere.
_NOTING = frozenset(("copy", "mkdir", "say"))


def _failed(status: int, command: str) -> StageFailure:
    if status in {-9, 137} and oom_kills():
        return StageFailure(
            "OutOfMemory",
            "the command was ended: it used more memory than the limit",
            exit_code=137,
            command=command,
        )
    if status < 0:
        return StageFailure(
            "CommandFailed",
            f"the command was ended by signal {-status}",
            signal=-status,
            command=command,
        )
    return StageFailure(
        "CommandFailed",
        f"the command ended with exit code {status}",
        exit_code=status,
        command=command,
    )


def _shell_text(argv: Sequence[str]) -> str:
    """A RUN in shell form is shown as it was written, without the shell before it."""
    shown = argv[2] if len(argv) == 3 and argv[1] == "-c" else " ".join(argv)
    return shown.strip()[:_MOST_COMMAND]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except FileNotFoundError:
        return ""
