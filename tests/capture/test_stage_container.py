"""The stage program as a container's first process: failures, users, the courier's protocol."""

from __future__ import annotations

import fcntl
import io
import os
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.capture.cases import python
from tests.capture.engine import collect, script, task

if TYPE_CHECKING:
    from pathlib import Path

    from tests.capture.engine import Engine, Layer

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

_PATIENCE = 60.0


@pytest.fixture(scope="module")
def image(engine: Engine, tools: Layer, bases: dict[str, tuple[Layer, ...]]) -> str:
    return engine.image([tools, *bases["small"]])


def run(*argv: str, **more: object) -> dict[str, object]:
    return {"op": "exec", "argv": list(argv), **more}


def wait_for(path: Path) -> None:
    limit = time.monotonic() + _PATIENCE
    while not path.exists():
        assert time.monotonic() < limit, f"{path} did not appear"
        time.sleep(0.01)


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def bundle(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    ("commands", "code", "command"),
    [
        (["true", "echo before", "ls /nowhere", "echo after"], 1, "ls /nowhere"),
        (
            ["for i in 1 2; do\n  echo $i\n  (exit 9)\ndone", "true"],
            9,
            "for i in 1 2; do\n  echo $i\n  (exit 9)\ndone",
        ),
        (
            ["cd /srv", "false | true", "test -f file", "exit 3"],
            3,
            "cd /srv\nfalse | true\ntest -f file\nexit 3",
        ),
        (["set -u", "echo $missing"], 1, "set -u\necho $missing"),
        (["(exit 200)"], 200, "(exit 200)"),
    ],
    ids=["command", "compound", "explicit-exit", "unset-variable", "large-code"],
)
def test_failing_command(
    engine: Engine, image: str, commands: list[str], code: int, command: str
) -> None:
    found = engine.capture(image, task(script("true"), script("true") + script(*commands)))
    told = {
        key: found.done[key]
        for key in ("ok", "run", "layer", "step", "reason", "exitCode", "signal", "command")
    }
    assert told == {
        "ok": False,
        "run": 0,
        "layer": 1,
        "step": 1,
        "reason": "CommandFailed",
        "exitCode": code,
        "signal": None,
        "command": command,
    }
    assert found.exit_code == min(code, 125)


def test_script_semantics(engine: Engine, image: str) -> None:
    """One bash for all commands, `-e` alone, in `/`, no input, clean environment."""
    commands = (
        "pwd",
        "cd /srv; V=kept",
        "pwd; echo $V $-",
        "false | true",
        "false || true",
        "cat",
        "env",
    )
    found = engine.capture(image, task(script(*commands), env={"MINE": "1"}))
    lines = found.log.splitlines()
    assert lines[:3] == ["/", "/srv", "kept ehB"]
    names = {line.split("=")[0] for line in lines[3:]}
    assert names == {
        "HOME",
        "HOSTNAME",
        "LANG",
        "LC_ALL",
        "MINE",
        "OLDPWD",
        "PATH",
        "PWD",
        "SHLVL",
        "_",
    }
    assert "HOME=/root" in lines


def test_log_tail_is_bounded_and_valid(engine: Engine, image: str) -> None:
    noise = python(
        "os.write(1, (b'x' * 90 + b'\\n') * 5000 + b'\\xff\\xfe last words')", "os._exit(4)"
    )
    found = engine.capture(image, task(script(noise)))
    assert len(found.done["logTail"].encode()) <= 2048
    assert found.done["logTail"].endswith(" last words\n")
    assert len(found.log) > 400_000, "all of it is in the container's log"


def test_ended_by_a_signal(engine: Engine, image: str) -> None:
    found = engine.capture(image, task([run("/bin/sh", "-c", "kill -9 $$")]))
    assert (found.done["reason"], found.done["signal"], found.done["exitCode"]) == (
        "CommandFailed",
        9,
        None,
    )
    assert found.done["command"] == "kill -9 $$"


@pytest.mark.parametrize(
    ("step", "reason", "said"),
    [
        (run("/nope"), "CommandFailed", "cannot run '/nope': not found"),
        (run("/etc/passwd"), "CommandFailed", "Permission denied"),
        (run("true", user="nobody"), "NoSuchUser", "no user 'nobody' in /etc/passwd"),
        ({"op": "unpack", "file": "in/a.tar", "to": "/x", "owner": "ghost"}, "NoSuchUser", "ghost"),
        (
            {"op": "unpack", "file": "in/none.tar", "to": "/x"},
            "InputMissing",
            "in/none.tar was not delivered",
        ),
        ({"op": "unpack", "file": "in/bad.tar", "to": "/x"}, "StepInvalid", "archive is broken"),
        ({"op": "dance"}, "StepInvalid", "unknown step 'dance'"),
        (run("/bin/sh", "-c", "touch /srv/.wh.name"), "LayerInvalid", "/srv/.wh.name"),
    ],
)
def test_clear_failures(
    engine: Engine, image: str, step: dict[str, Any], reason: str, said: str
) -> None:
    inputs = {"a.tar": bundle(f=b"1"), "bad.tar": b"not a tar" * 100}
    found = engine.capture(image, task([step]), inputs=inputs)
    assert found.done["reason"] == reason
    assert said in found.done["message"]
    assert found.exit_code > 0


def _names(path: Path) -> set[str]:
    with tarfile.open(path) as tar:
        return set(tar.getnames())


def test_what_is_mounted_is_never_captured(engine: Engine, image: str) -> None:
    """Not even where a command gives the directory above it another name."""
    moving = script("echo own > /made/own", "mv /made /moved", "echo mounted > /moved/inner/file")
    later = script("echo more > /moved/inner/more; echo x > /x")
    exports = [{"id": "e0", "kind": "copy", "sources": ["/moved"]}]
    found = engine.capture(
        image, task(moving, later, exports=exports), tmpfs={"/made/inner": "rw,size=1m"}
    )
    assert found.done == {"ok": True}, found.log
    names = [_names(layer.path) for layer in found.layers]
    assert {"moved", "moved/own"} <= names[0]
    assert names[1] == {"x"}
    names.append(_names(found.io / "out/export-e0.tar"))
    assert not [name for layer in names for name in layer if "inner" in name]


_SOCKETS = python(
    "import ctypes, errno",
    "libc = ctypes.CDLL(None, use_errno=True)",
    "for family in (1, 2, 10, 16):",
    "    found = libc.socket(family, 2, 0)",
    "    print('open' if found >= 0 else errno.errorcode[ctypes.get_errno()], flush=True)",
    "try:",
    "    open('/proc/1/mem', 'r+b')",
    "    print('the program is open')",
    "except PermissionError:",
    "    print('closed')",
)


@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_no_network(engine: Engine, image: str, user: str) -> None:
    """Root of the container cannot make the stage program open a socket for it either; the next command has a network."""
    without = run("/bin/sh", "-c", _SOCKETS, network="none", user=user)
    found = engine.capture(image, task([without, run("/bin/sh", "-c", _SOCKETS, user=user)]))
    assert found.done == {"ok": True}, found.log
    assert found.log.splitlines() == [
        *("open", "EAFNOSUPPORT", "EAFNOSUPPORT", "EAFNOSUPPORT", "closed"),
        *("open", "open", "open", "open", "closed"),
    ]


def test_no_shell(engine: Engine, tools: Layer, bases: dict[str, tuple[Layer, ...]]) -> None:
    found = engine.capture(
        engine.image([tools, *bases["static"]]), task([run("/bin/sh", "-c", "true")])
    )
    assert found.done["reason"] == "NoSuchShell"
    assert "no /bin/sh in this image" in found.done["message"]


@pytest.mark.parametrize(
    "user", ["", "app", "1000", "app:extra", "1000:5", "4321", "4321:99", "0:10", "root"]
)
def test_user_is_the_one_docker_gives(engine: Engine, image: str, user: str) -> None:
    theirs = engine.client.containers.run(
        image,
        ["-c", "id -u; id -g; id -G; echo $HOME; umask; pwd"],
        entrypoint="/bin/sh",
        user=user,
        remove=True,
    )
    found = engine.capture(
        image,
        task([run("/bin/sh", "-c", "id -u; id -g; id -G; echo $HOME; umask; pwd", user=user)]),
    )
    assert found.log == theirs.decode()


def test_working_directory_is_made(engine: Engine, image: str) -> None:
    found = engine.capture(image, task([run("pwd", workdir="/made/here", user="app")]))
    assert found.log == "/made/here\n"
    tree = engine.tree(engine.image([*_layers_of(engine, image), *found.layers]))
    assert (tree["made/here"].uid, tree["made/here"].mode) == (0, 0o755)


def test_extra_ca(engine: Engine, image: str) -> None:
    work = task([run("env")], caFile="/.conveyor-ca/ca.crt", env={"PIP_CERT": "/own"})
    lines = engine.capture(image, work).log.splitlines()
    assert {
        "SSL_CERT_FILE=/.conveyor-ca/ca.crt",
        "PIP_CERT=/own",
        "GIT_SSL_CAINFO=/.conveyor-ca/ca.crt",
    } <= set(lines)


def test_the_images_environment_does_not_reach_the_program(
    engine: Engine, tools: Layer, bases: dict[str, tuple[Layer, ...]]
) -> None:
    config: dict[str, object] = {
        "Env": [
            "LD_PRELOAD=/lib/none.so",
            "LD_LIBRARY_PATH=/srv",
            "BASH_ENV=/srv/file",
            "PYTHONHOME=/srv",
            "PATH=/none",
        ]
    }
    found = engine.capture(engine.image([tools, *bases["small"]], config), task([run("env")]))
    assert found.done == {"ok": True}, found.log
    assert not [
        line for line in found.log.splitlines() if line.startswith(("LD_", "BASH_ENV", "PYTHON"))
    ]


def test_process_that_keeps_the_output_open(engine: Engine, image: str) -> None:
    begun = time.monotonic()
    found = engine.capture(
        image, task(script("(trap '' TERM HUP; exec sleep 3000) &", "echo started"))
    )
    assert found.done == {"ok": True}
    assert time.monotonic() - begun < _PATIENCE
    assert found.runs[0]["layers"][0]["file"] is None, "nothing changed, so there is no layer"


def test_waits_for_inputs_of_each_run(engine: Engine, image: str) -> None:
    unpack: dict[str, object] = {"op": "unpack", "file": "in/late.tar", "to": "/late"}
    work = {
        "version": 1,
        "runs": [
            {"layers": [{"steps": script("echo 0 > /zero")}]},
            {"layers": [{"steps": [unpack]}]},
        ],
    }
    container, shared = engine.start(image, work, ready=False)
    try:
        wait_for(shared / "out/0.json")
        assert is_locked(shared / "alive")
        assert not (shared / "out/1.json").exists()
        (shared / "in/late.tar").write_bytes(bundle(file=b"came"))
        (shared / "in/ready-1").touch()
        code = container.wait(timeout=_PATIENCE)["StatusCode"]
        found = collect(code, "", shared, {})
    finally:
        container.remove(force=True, v=True)
    assert found.done == {"ok": True}
    assert [len(run["layers"]) for run in found.runs] == [1, 1]
    assert not is_locked(shared / "alive")


@pytest.mark.parametrize(
    ("marker", "said"),
    [('{"message": "git says no"}', "git says no"), (None, "did not arrive within 0 s")],
)
def test_inputs_that_do_not_come(engine: Engine, image: str, marker: str | None, said: str) -> None:
    step: dict[str, object] = {"op": "unpack", "file": "in/x.tar", "to": "/x"}
    seconds = 0 if marker is None else 60
    container, shared = engine.start(image, task([step], inputSeconds=seconds), ready=False)
    try:
        if marker:
            (shared / "in/failed").write_text(marker)
        found = collect(container.wait(timeout=_PATIENCE)["StatusCode"], "", shared, {})
    finally:
        container.remove(force=True, v=True)
    assert (found.done["reason"], said in found.done["message"]) == ("InputMissing", True)


def test_told_to_stop(engine: Engine, image: str) -> None:
    container, shared = engine.start(image, task(script("echo x > /started; exec sleep 3000")))
    try:
        wait_for(shared / "run/0-0-0.sh")
        container.stop(timeout=50)
        found = collect(container.wait(timeout=_PATIENCE)["StatusCode"], "", shared, {})
    finally:
        container.remove(force=True, v=True)
    assert (found.done["reason"], found.exit_code) == ("Terminated", 143)


def test_a_killed_stage_is_seen_by_its_lock(engine: Engine, image: str) -> None:
    container, shared = engine.start(image, task(script("sleep 3000 & sleep 3000")))
    try:
        wait_for(shared / "run/0-0-0.sh")
        assert is_locked(shared / "alive"), "and no command of the user holds it too"
        container.kill()
        container.wait(timeout=_PATIENCE)
        assert not is_locked(shared / "alive")
        assert not (shared / "out/done.json").exists()
    finally:
        container.remove(force=True, v=True)


def test_steps_of_a_stapel_stage(engine: Engine, image: str) -> None:
    """Archive, patch, clean, import and copy in one task, and exports of the result."""
    steps: list[dict[str, object]] = [
        {"op": "unpack", "file": "in/app.tar", "to": "/app", "owner": "app", "group": "extra"},
        {"op": "patch", "file": "in/patch.tar", "deletes": ["d/gone", "none"], "to": "/app"},
        {"op": "mkdir", "path": "/w/x", "mode": 0o711, "user": "app"},
        {"op": "clean", "paths": ["/srv/tree", "/no/such"]},
    ]
    exports = [
        {"id": "a", "kind": "import", "add": "/app", "includePaths": ["*.txt"], "excludePaths": []},
        {"id": "b", "kind": "copy", "sources": ["/app", "/etc/pass*"]},
    ]
    inputs = {
        "app.tar": bundle(**{"one.txt": b"1", "d/gone": b"2", "keep": b"3"}),
        "patch.tar": bundle(**{"one.txt": b"ONE"}),
    }
    found = engine.capture(image, task(steps, exports=exports), inputs=inputs)
    assert found.done == {"ok": True}, found.log
    tree = engine.tree(engine.image([*_layers_of(engine, image), *found.layers]))
    assert {path for path in tree if path.startswith(("app", "w"))} == {
        "app",
        "app/keep",
        "app/one.txt",
        "w",
        "w/x",
    }
    assert (tree["app"].uid, tree["app/keep"].uid, tree["app/keep"].gid) == (1000, 1000, 2002)
    assert (tree["w/x"].uid, tree["w/x"].mode) == (1000, 0o711)
    assert not [path for path in tree if path.startswith("srv/tree/")]
    with tarfile.open(found.io / "out/export-a.tar") as tar:
        assert tar.getnames() == ["one.txt", "."]
    with tarfile.open(found.io / "out/export-b.tar") as tar:
        assert tar.getnames() == ["0", "0/keep", "0/one.txt", "1/passwd"]


def test_one_process_only(tools: Layer, tmp_path: Path) -> None:
    """Outside a container of its own the program refuses: it would kill its neighbours."""
    # Not by Python: whether its tarfile takes a filter depends on the patch release.
    subprocess.run(["tar", "-xf", str(tools.path), "-C", str(tmp_path)], check=True)  # noqa: S603, S607
    status = os.waitstatus_to_exitcode(
        os.system(f"chroot {tmp_path} /.conveyor/bin/stage 2> {tmp_path}/said")  # noqa: S605 - fixed words
    )
    assert (status, (tmp_path / "said").read_text()) == (
        126,
        "conveyor: Internal: the stage program must be process 1\n",
    )


def _layers_of(engine: Engine, image: str) -> list[Layer]:
    return list(engine.layers[image])


def test_scripts_of_here_documents(engine: Engine, image: str) -> None:
    """They lie where BuildKit mounts them, anybody may run them, and they are gone afterwards."""
    script_text = '#!/bin/sh\necho "$0 $(id -u)" && ls -l /dev/pipes && test ! -w "$0"\n'
    steps: list[dict[str, object]] = [
        run(
            "/bin/sh",
            "-c",
            "/dev/pipes/EOF",
            user="app",
            scripts=[{"name": "EOF", "text": script_text}],
        ),
        run("/bin/sh", "-c", "test ! -e /dev/pipes"),
    ]
    found = engine.capture(image, task(steps))
    assert found.done == {"ok": True}, found.log
    assert found.log.splitlines()[0] == "/dev/pipes/EOF 1000"
    assert "-rwxr-xr-x" in found.log
    assert not found.layers


def test_here_documents_and_links_laid_over_the_image(engine: Engine, image: str) -> None:
    texts = [{"name": "EOF", "text": "text\n"}]
    copy = {"op": "copy", "sources": [], "workdir": "/", "texts": texts}
    steps: list[dict[str, object]] = [
        run(
            "/bin/sh",
            "-c",
            "mkdir /real /over && ln -s real /lnk && touch /over/old && chmod 700 /over",
        ),
        {**copy, "dest": "/lnk/", "chown": "app"},
        {**copy, "dest": "/over/x", "link": True, "chown": "7:8"},
        {**copy, "dest": "/lnk", "link": True},
    ]
    found = engine.capture(image, task(steps))
    assert found.done == {"ok": True}, found.log
    tree = engine.tree(engine.image([*_layers_of(engine, image), *found.layers]))
    assert (tree["real/EOF"].uid, tree["real/EOF"].mode) == (1000, 0o644)
    assert (tree["over/x"].uid, tree["over/x"].gid, tree["over/x"].mode) == (7, 8, 0o644)
    assert (tree["over"].uid, tree["over"].mode) == (7, 0o755), "as the upper one of two layers"
    assert "over/old" in tree
    assert tree["lnk"].link == "", "the link was replaced by the file"
    assert not [path for path in tree if path.startswith(".conveyor-link")]
