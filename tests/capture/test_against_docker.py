"""The snapshot tool against Docker Engine: one container, kept twice, must be the same tree.

The container runs our program; Docker keeps it with `docker commit`, we with our layer on its base. Both
images are exported and compared path by path. One run serves both, so even times must be equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.capture import cases
from tests.capture.engine import script, task
from tests.capture.trees import differences

if TYPE_CHECKING:
    from tests.capture.cases import Case
    from tests.capture.engine import Captured, Engine, Layer
    from tests.capture.trees import Node

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

_MIB = 1 << 20
_MOST_RSS = 200 * _MIB


def check(
    engine: Engine, base: tuple[Layer, ...], work: dict[str, object], **options: Any
) -> tuple[Captured, dict[str, Node]]:
    """Run a task on a base, compare what Docker keeps with what we keep."""
    image = engine.image(base)
    found = engine.capture(image, work, commit=True, **options)
    assert found.exit_code == 0, found.log
    assert found.done == {"ok": True}
    ours = engine.tree(engine.image([*base, *found.layers]))
    assert differences(found.committed, ours) == []
    return found, ours


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.id)
def test_case(
    case: Case, engine: Engine, tools: Layer, bases: dict[str, tuple[Layer, ...]]
) -> None:
    work = task(*(script(*commands) for commands in case.layers))
    found, _ = check(engine, (tools, *bases["small"]), work)
    assert len(found.runs[0]["layers"]) == len(case.layers)


def test_package_with_file_capabilities(engine: Engine, tools: Layer, debian: Layer) -> None:
    commands = script(
        "export DEBIAN_FRONTEND=noninteractive",
        "apt-get update -qq",
        "apt-get install -y -qq --no-install-recommends iputils-ping libcap2-bin",
        "cp /bin/true /usr/local/bin/capable",
        "/sbin/setcap cap_net_bind_service=+ep /usr/local/bin/capable",
    )
    _, ours = check(engine, (tools, debian), task(commands), network_mode="host")
    assert ours["usr/bin/ping"].xattrs, "ping has no capability"
    assert ours["usr/local/bin/capable"].xattrs


def test_hundred_thousand_files(
    engine: Engine, tools: Layer, bases: dict[str, tuple[Layer, ...]]
) -> None:
    make = cases.python(
        "for d in range(100):",
        "    os.makedirs(f'/opt/many/{d:03}')",
        "    for f in range(1000):",
        "        with open(f'/opt/many/{d:03}/file-{f:04}', 'w') as o: o.write(f'{d} {f}')",
    )
    change = "rm -r /opt/many/09*; touch /opt/many/000/*"
    found, ours = check(engine, (tools, *bases["small"]), task(script(make), script(change)))
    assert sum(path.startswith("opt/many/") for path in ours) == 90 * 1001
    assert found.runs[0]["peakRSS"] <= _MOST_RSS


def test_three_gigabyte_file(
    engine: Engine, tools: Layer, bases: dict[str, tuple[Layer, ...]]
) -> None:
    make = "yes 0123456789abcdef | head -c 3000000000 > /opt-big"
    found, ours = check(engine, (tools, *bases["small"]), task(script(make)))
    assert ours["opt-big"].size == 3_000_000_000
    assert found.runs[0]["peakRSS"] <= _MOST_RSS


def test_scratch(engine: Engine, tools: Layer) -> None:
    commands = script(
        'mkdir() { /.conveyor/bin/mkdir "$@"; }',
        "mkdir -p /app /etc",
        "echo hello > /app/file",
        "echo x > /etc/conf",
        "/.conveyor/bin/ln -s file /app/link",
    )
    _, ours = check(engine, (tools,), task(commands))
    assert ours["app/file"].size == 6


def test_static_base_without_a_shell(
    engine: Engine, tools: Layer, bases: dict[str, tuple[Layer, ...]]
) -> None:
    steps: list[dict[str, object]] = [
        {"op": "exec", "argv": ["/app/mkdir", "/app/made"]},
        {"op": "exec", "argv": ["touch", "made/it"], "workdir": "/app", "env": {"PATH": "/app"}},
        {"op": "exec", "argv": ["/app/touch", "/app/made/x"], "user": "1234:5678"},
    ]
    image = engine.image([tools, *bases["static"]])
    refused = engine.capture(image, task(steps))
    assert refused.done["step"] == 2, "a user without rights must not write"
    _, ours = check(engine, (tools, *bases["static"]), task(steps[:2]))
    assert ours["app/made/it"].uid == 0


def test_base_that_declares_volume_and_user(
    engine: Engine, tools: Layer, bases: dict[str, tuple[Layer, ...]]
) -> None:
    """Writes below a VOLUME are kept; everything else is what `docker commit` keeps of the base."""
    base = (tools, *bases["small"])
    declared = engine.image(base, {"Volumes": {"/data": {}}, "User": "app", "Env": ["A=b"]})
    commands = ("echo x > /data/kept", "echo y > /srv/seen", "chown app /srv/file")
    reference = engine.capture(declared, task(script(*commands)), commit=True)
    _, ours = check(engine, base, task(script(*commands)))
    assert "data/kept" not in reference.committed, "Docker keeps no writes to a volume"
    assert ours["data/kept"].size == 2
    known = {path: node for path, node in ours.items() if not path.startswith("data")}
    seen = {p: node for p, node in reference.committed.items() if not p.startswith("data")}
    lines = [line for line in differences(seen, known) if "mtime" not in line]
    assert [line for line in lines if ": links " not in line] == []
