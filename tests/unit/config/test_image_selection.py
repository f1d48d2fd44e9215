import pytest

from conveyor.api.errors import UserError
from conveyor.config.image_selection import select_images
from conveyor.config.parse import parse

NAMES = ["web", "web-debug", "api/v1", "api/v2", "tool"]
CONFIG = parse(
    "configVersion: 1\nproject: p\n" + "".join(f"---\nimage: {name}\nfrom: x:1\n" for name in NAMES)
)


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        ([], NAMES),
        (["tool", "web"], ["web", "tool"]),
        (["web*"], ["web", "web-debug"]),
        (["api/*"], ["api/v1", "api/v2"]),
        (["*"], ["web", "web-debug", "tool"]),
        (["api/v[2-9]"], ["api/v2"]),
        (["api/v[^1]"], ["api/v2"]),
        (["t??l"], ["tool"]),
        (["!web*"], ["api/v1", "api/v2", "tool"]),
        (["web*", "!*-debug"], ["web"]),
        (["web", "!web*"], ["web"]),
        (["!nothing"], NAMES),
        ([r"t\ool"], ["tool"]),
    ],
)
def test_selected(patterns: list[str], selected: list[str]) -> None:
    assert list(select_images(CONFIG, patterns)) == selected


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("wev", 'no image matches "wev"; did you mean `web`?'),
        ("zzz", 'no image matches "zzz"'),
        ("**", "not allowed"),
        ("a|b", "not allowed"),
        ("$x", "not allowed"),
        ("x" * 101, "longer than 100"),
        ("[a", "without its"),
        ("[z-a]", "wrong range"),
    ],
)
def test_refused(pattern: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        select_images(CONFIG, [pattern])
    assert raised.value.reason == "InvalidSpec"
    assert said in raised.value.message
