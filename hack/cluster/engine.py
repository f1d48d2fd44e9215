"""Docker Engine: find it, or start it and keep it running after this program has ended.

In: a host with dockerd, perhaps with what a killed one left behind. Out: an Engine that answers,
with a bridge that exists.
"""
# Commands are lists made by our own code.
# ruff: noqa: S603

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path

from cluster import settings
from cluster.console import Console, Failure

SOCKET = Path("/var/run/docker.sock")
PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}
CAP_SYS_RESOURCE = 24
RUNTIME = "capped"


def answers(console: Console) -> bool:
    """Whether an Engine answers now."""
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        return console.call(command, timeout=15)[0] == 0
    except Failure:
        return False


def ensure(console: Console) -> None:
    """Make an Engine answer.

    Raises:
        Failure: none answers and this user may not start one, or it does not start.
    """
    if not answers(console):
        _start(console)
    _check_runtime(console)
    _ensure_default_bridge(console)


def _start(console: Console) -> None:
    if os.environ.get("DOCKER_HOST"):
        raise Failure(
            f"no Docker Engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}", code=2
        )
    if os.geteuid() != 0:
        raise Failure(
            "no Docker Engine answers. Start it (sudo systemctl start docker), and see to it that "
            "this user may use it (member of the group docker), or run this as root.",
            code=2,
        )
    if Path("/run/systemd/system").is_dir():
        with console.step("starting Docker Engine (systemd)"):
            console.run(["systemctl", "start", "docker"], timeout=120)
            _wait(console)
        return
    with console.step("starting Docker Engine"):
        _end_hung(console)
        _remove_stale_files(console)
        _spawn(console)
        _wait(console)


def _wait(console: Console) -> None:
    console.wait_for(
        f"Docker Engine answers (its log: {log_path()})", lambda: answers(console), timeout=90
    )


def log_path() -> Path:
    """Log file of a dockerd that we started."""
    return settings.cache_folder() / "dockerd.log"


def _own_pid_file() -> Path:
    return settings.cache_folder() / "dockerd.pid"


def own_pid() -> int | None:
    """Process id of the dockerd that an earlier run started, if it still lives."""
    try:
        pid = int(_own_pid_file().read_text())
    except (OSError, ValueError):
        return None
    return pid if _process_name(pid) == "dockerd" else None


def _process_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _end_hung(console: Console) -> None:
    """End a dockerd of ours that lives but does not answer."""
    pid = own_pid()
    if pid is None:
        return
    console.note(f"our dockerd {pid} does not answer; ending it")
    stop(console)


def stop(console: Console) -> None:
    """End the dockerd that an earlier run started; one that others started is left alone."""
    pid = own_pid()
    if pid is not None:
        os.kill(pid, 15)
        try:
            console.wait_for("dockerd ends", lambda: _process_name(pid) != "dockerd", timeout=40)
        except Failure:
            os.kill(pid, 9)
    _own_pid_file().unlink(missing_ok=True)


def _remove_stale_files(console: Console) -> None:
    for file, program in PID_FILES.items():
        try:
            pid = int(file.read_text())
        except (OSError, ValueError):
            pid = 0
        # The number may belong to some other process by now: only the right program counts.
        if file.exists() and _process_name(pid) != program:
            console.note(f"removing stale {file}")
            file.unlink(missing_ok=True)
    if SOCKET.is_socket() and not any(f.exists() for f in PID_FILES if "dockerd" in f.name):
        console.note(f"removing stale {SOCKET}")
        SOCKET.unlink(missing_ok=True)


def _spawn(console: Console) -> None:
    """Start dockerd in a session of its own, so that it outlives us."""
    log_path().parent.mkdir(parents=True, exist_ok=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command = ["dockerd", "--host", f"unix://{SOCKET}", *_runtime_flags(), *_registry_flags()]
    console.note(f"$ {' '.join(command)}")
    with log_path().open("ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    _own_pid_file().write_text(f"{child.pid}\n")


def _registry_flags() -> list[str]:
    """Let `docker pull` and `docker push` use the cluster's registry, which speaks plain http."""
    return [word for subnet in settings.SUBNETS for word in ("--insecure-registry", subnet)]


def lacks_capability() -> bool:
    """Whether CAP_SYS_RESOURCE is missing from this machine's bounding set."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return not int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1


def _runtime_flags() -> list[str]:
    if not lacks_capability():
        return []
    return ["--add-runtime", f"{RUNTIME}={_put_wrapper()}", "--default-runtime", RUNTIME]


def _put_wrapper() -> Path:
    """Have the wrapper outside of this checkout, which may go before dockerd does."""
    source, wrapper = settings.HERE / "runc-capped.sh", settings.cache_folder() / "runc-capped.sh"
    if not wrapper.exists() or wrapper.read_bytes() != source.read_bytes():
        temporary = wrapper.with_suffix(".new")
        shutil.copy(source, temporary)
        temporary.replace(wrapper)
    return wrapper


def _check_runtime(console: Console) -> None:
    # Asked only where it matters: on a busy machine the answer can take half a minute.
    if os.environ.get("DOCKER_HOST") or not lacks_capability():
        return
    if own_pid() is not None:
        _put_wrapper()  # the cache folder may have been wiped under a running dockerd
        return
    info = ["docker", "info", "--format", "{{.DefaultRuntime}}"]
    if console.run(info, timeout=180) == RUNTIME:
        _put_wrapper()
        return
    raise Failure(
        "this machine lacks CAP_SYS_RESOURCE and its dockerd was started without a runtime that "
        "can do without it, so privileged containers (kind's nodes) cannot start. Stop that "
        "dockerd and run this again: it starts one that can.",
        code=2,
    )


def _ensure_default_bridge(console: Console) -> None:
    """Make docker0 again where a restarted dockerd has lost it."""
    shown = console.run(["docker", "network", "inspect", "bridge"], timeout=90, check=False)
    networks = json.loads(shown or "[]")
    if os.geteuid() != 0 or not networks or not networks[0]["IPAM"]["Config"]:
        return
    restore_bridge(console, "docker0", networks[0]["IPAM"]["Config"][0])


def restore_bridge(console: Console, device: str, config: dict[str, str]) -> bool:
    """Make a Docker network's bridge device if it is gone.

    Args:
        console: runs the commands.
        device: name of the bridge.
        config: the network's `IPAM.Config` entry, with Subnet and perhaps Gateway.

    Returns:
        Whether it was gone; what ran on it must then be started again.
    """
    if Path(f"/sys/class/net/{device}").exists() or "Subnet" not in config:
        return False
    length = config["Subnet"].split("/")[1]
    first = config["Subnet"].split("/")[0].rsplit(".", 1)[0] + ".1"
    gateway = config.get("Gateway", first).split("/")[0]
    with console.step(f"making the lost bridge {device} again"):
        console.run(["ip", "link", "add", device, "type", "bridge"], timeout=10)
        console.run(["ip", "addr", "add", f"{gateway}/{length}", "dev", device], timeout=10)
        console.run(["ip", "link", "set", device, "up"], timeout=10)
    return True
