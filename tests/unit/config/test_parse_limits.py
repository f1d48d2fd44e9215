"""Configs that are large on purpose are refused before they cost much."""

import pytest

from conveyor.api.errors import UserError
from conveyor.config.parse import parse

META = "configVersion: 1\nproject: p\n"
IMAGE = "---\nimage: i\nfrom: x\n"
BRACES = "{a,b}" * 10


def _section(name: str, commands: int) -> str:
    words = ",".join(["x"] * commands)
    return f"---\nimage: {name}\nfrom: x\nshell: {{install: [{words}]}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (META + "---\n" * 20_001, "more than 20000 sections"),
        (META + _section("i", 500_000), "more than 500000 YAML nodes"),
        (
            META + _section("i", 300_000) + _section("j", 300_000),
            "500000 YAML nodes in all sections",
        ),
        (
            META + "---\nimage: [" + ",".join(f"i{n}" for n in range(5001)) + "]\nfrom: x\n",
            "5000 are",
        ),
        (
            META
            + IMAGE
            + "git:\n- to: /a\n  includePaths:\n"
            + "".join(f"  - '{BRACES}/{n}'\n" for n in range(60)),
            "more than 50000 globs, braces written out",
        ),
        (
            META + IMAGE + f"git:\n- to: /a\n  includePaths: ['{BRACES}{{a,b}}']\n",
            "more than 1024 globs",
        ),
        ("x" * 8_000_001, "8000000 are allowed"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(text)
    assert said in raised.value.message
    assert len(raised.value.message) < 2000


def test_what_is_large_and_right_is_read() -> None:
    imports = "".join(
        f"- {{image: i, add: /a{n}, to: /b{n}, after: install}}\n" for n in range(300)
    )
    names = ", ".join(f"j{n}" for n in range(1000))
    text = META + IMAGE + f"---\nimage: [{names}]\nfrom: x\nimport:\n{imports}" + "---\n" * 15_000
    assert len(parse(text).images) == 1001
