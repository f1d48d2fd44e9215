"""Fixtures of the capture lane: Docker Engine, the tools layer, base layers.

In: the engine of the environment (`DOCKER_HOST`, else the usual socket). Out: `engine`, `bases`. Nothing
is skipped: without an engine the lane fails and says so.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from tests.capture import basefiles  # noqa: E402 - the path is set above
from tests.capture.engine import Engine, Layer  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conveyor" / "capture"
_SYSTEM_PYTHON = "/usr/bin/python3"
_SECONDS = 600


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "docker: needs Docker Engine")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine; images made through it are removed at the end."""
    client = docker.from_env(timeout=_SECONDS)
    try:
        client.ping()
    except docker.errors.DockerException as error:
        pytest.fail(f"the capture lane needs Docker Engine: {error}", pytrace=False)
    found = Engine(client, tmp_path_factory.mktemp("capture"))
    yield found
    found.clean()
    client.close()


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """The tools layer, built from this source tree."""
    out = tmp_path_factory.mktemp("tools")
    build = [_SYSTEM_PYTHON, str(ROOT / "images/tools/build.py")]
    subprocess.run(  # noqa: S603 - our own script
        [*build, "--source", str(ROOT / "operator"), "--out", str(out)],
        check=True,
        timeout=_SECONDS,
    )
    (out / "tools.tar").write_bytes(gzip.decompress((out / "tools.tar.gz").read_bytes()))
    return Layer.of(out / "tools.tar")


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Layer, ...]]:
    """Base layers by name: `small` (busybox and a tree), `static` (one program), `scratch`."""
    folder = tmp_path_factory.mktemp("bases")
    basefiles.write_small(folder / "small.tar")
    basefiles.write_static(folder / "static.tar")
    return {
        "small": (Layer.of(folder / "small.tar"),),
        "static": (Layer.of(folder / "static.tar"),),
        "scratch": (),
    }


@pytest.fixture(scope="session")
def debian() -> Layer:
    """A minimal Debian, made once and kept in the user's cache folder."""
    path = _CACHE / "debian-bookworm.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.tar")
        command = ["mmdebstrap", "--variant=minbase", "--quiet", "bookworm", str(part)]
        subprocess.run(command, check=True, timeout=_SECONDS)  # noqa: S603 - fixed words
        part.rename(path)
    return Layer.of(path)
