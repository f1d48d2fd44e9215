"""A Go that is new enough: the host's, else one from the Go module registry.

In: the PATH. Out: the path of a `go` program. Any older Go, from apt where there is none, can fetch a newer one: Go's releases
are published as versions of the module golang.org/toolchain.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import settings
from cluster.console import Failure
from cluster.host import install

if TYPE_CHECKING:
    from cluster.console import Console

NEEDED = (1, 24)
RELEASE = "1.24.4"
MODULE = f"golang.org/toolchain@v0.0.1-go{RELEASE}.linux-amd64"
# What the module's files must hash to, as in a go.sum.
SUM = "h1:nm4Il5pypT+vEB1UPY4e+r1p/0HoRr/2jjj+dwb8KhA="
BY_HAND = (
    "Go 1.24 or newer is needed to build the cluster's programs: "
    "unpack Go's own archive into /usr/local/go"
)
FOLDERS = ("/usr/local/go/bin", "/usr/lib/go/bin", "/usr/lib/go-1.24/bin", "/snap/bin")


def program(console: Console) -> str:
    """Path of a Go of at least 1.24.

    Raises:
        Failure: there is none and none could be fetched; the message says how to get one.
    """
    fetched = _place() / "bin" / "go"
    if fetched.exists():
        return str(fetched)
    found = _find()
    if found and _is_new_enough(console, found):
        return found
    if not found:
        install(console, ["golang-go"])
        found = _find()
    if found and _is_new_enough(console, found):
        return found
    return _fetch(console, found or "go")


def _find() -> str | None:
    return shutil.which("go", path=os.pathsep.join((os.environ["PATH"], *FOLDERS)))


def _is_new_enough(console: Console, go: str) -> bool:
    match = re.match(r"go(\d+)\.(\d+)", console.run([go, "env", "GOVERSION"], timeout=30))
    return bool(match) and (int(match[1]), int(match[2])) >= NEEDED


def _place() -> Path:
    return settings.cache_folder() / "go" / RELEASE


def _fetch(console: Console, go: str) -> str:
    """Let an older Go download the release, and put it where its programs may be executed."""
    if platform.machine() != "x86_64":
        raise Failure(BY_HAND, code=2)
    with console.step(f"fetching Go {RELEASE}"):
        # In a folder without go.mod. GOTOOLCHAIN would make a newer `go` fetch more than it is asked for.
        told = console.run(
            [go, "mod", "download", "-json", MODULE],
            timeout=900,
            cwd=Path("/"),
            env={"GOTOOLCHAIN": "local", "GOFLAGS": ""},
        )
        answer = json.loads(told)
        if answer.get("Sum") != SUM:
            raise Failure(f"{BY_HAND} ({MODULE} is not what it should be)", code=2)
        _unpack(Path(answer["Dir"]), _place())
    return str(_place() / "bin" / "go")


def _unpack(module: Path, place: Path) -> None:
    """Copy it: files of modules are read-only, and no program of them may run."""
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f".{place.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(module, scratch)
    for path in (scratch, *scratch.rglob("*")):
        program = path.parent.name == "bin" or "tool" in path.parts
        path.chmod(0o755 if path.is_dir() or program else 0o644)
    scratch.replace(place)
