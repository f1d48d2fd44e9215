"""Image configs of Dockerfiles, as BuildKit makes them.

The cases are ours; the configs were made by BuildKit 0.26 (dockerfile2llb), null where it refuses the file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.plan.test_dockerfile import plan

from conveyor.api.errors import UserError
from conveyor.plan.image_config import apply_instruction
from conveyor.plan.model import ExternalBase, ImageBase

DATA = json.loads(
    (Path(__file__).parents[2] / "data" / "dockerfile" / "configs-buildkit.json").read_text()
)


def built(case: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config of the image that the case's target would be."""
    done: dict[str, Mapping[str, Any]] = {}
    config: Mapping[str, Any] = {}
    rows = plan(
        case["text"],
        bases=DATA["bases"],
        args=case.get("args", {}),
        target=case.get("target", ""),
        asked=True,
    )
    for row in rows:
        config = {}
        if isinstance(row.base, ImageBase):
            config = done[row.base.image]
        elif isinstance(row.base, ExternalBase):
            config = {"config": DATA["bases"][row.base.reference]}
        for step in row.block.steps:
            config = apply_instruction(config, step)
        done[row.name] = config
    return config


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["text"])
def test_the_config_is_that_of_buildkit(case: Mapping[str, Any]) -> None:
    if case["config"] is None:
        with pytest.raises(UserError, match=r"^Dockerfile:\d+: "):
            built(case)
        return
    config = built(case)
    inner = {name: value for name, value in config.get("config", {}).items() if value}
    assert inner == case["config"]
    assert config.get("author", "") == case.get("author", "")
