"""What COPY and ADD make, against what BuildKit made of the same Dockerfiles (`tests/data/dockerfile/copy-as-buildkit.json`)."""

import base64
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from tests.unit.builder.dockerfile_copies import Build, tree

from conveyor.api.errors import UserError
from conveyor.builder.courier_errors import CourierError
from conveyor.builder.failure import StageFailure

TOLD = json.loads(
    (Path(__file__).parents[2] / "data/dockerfile/copy-as-buildkit.json").read_text(
        encoding="utf-8"
    )
)
CASES = [(name, stage) for name, told in TOLD["contexts"].items() for stage in told["stages"]]
# Stricter than BuildKit, or not bound to what it sends over the network: docs/compatibility.md.
REFUSED_HERE = {("archives", "t12"): "leaves the directory"}
BUILT_HERE = {("paths", "t39"): ["x d 755 0:0", "x/one.conf - 644 0:0 '1\\n'"]}

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


def test_same_tree(tmp_path: Path, case: tuple[str, str]) -> None:
    told = TOLD["contexts"][case[0]]
    context = tmp_path / "context"
    for name, content in told["files"].items():
        _write(context / name, content)
    build = Build(told["dockerfile"], context, tmp_path / "work")
    expected = BUILT_HERE.get(case, told["stages"][case[1]])
    if expected is None or case in REFUSED_HERE:
        with pytest.raises(
            (UserError, CourierError, StageFailure), match=REFUSED_HERE.get(case, ".")
        ):
            build.stage(case[1])
        return
    assert tree(build.stage(case[1])) == expected


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    match content:
        case {"link": target}:
            path.symlink_to(target)
        case {"zlib": text}:
            path.write_bytes(zlib.decompress(base64.b64decode(text)))
        case {"executable": text}:
            path.write_text(text)
            path.chmod(0o755)
        case _:
            path.write_text(str(content))
