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
        (["!*", "!*/*", "tool"], ["tool"]),
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
        ("~", 'no image matches "~"'),
    ],
)
def test_refused(pattern: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        select_images(CONFIG, [pattern])
    assert raised.value.reason == "InvalidSpec"
    assert said in raised.value.message


def test_patterns_that_leave_nothing_are_refused_and_do_not_mean_everything() -> None:
    with pytest.raises(UserError) as raised:
        select_images(CONFIG, ["!*", "!*/*"])
    assert raised.value.reason == "InvalidSpec"
    assert raised.value.message == "no image is left: !*, !*/* leaves out all of them"


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        ([], ["", "helper"]),
        (["~"], [""]),
        (["*"], ["", "helper"]),
        (["?*"], ["helper"]),
        (["!~"], ["helper"]),
        (["~", "!*"], [""]),
        (["helper", "~"], ["", "helper"]),
    ],
)
def test_the_nameless_image(patterns: list[str], selected: list[str]) -> None:
    nameless = "image: ~\nfrom: x:1\n---\nimage: helper\nfinal: false\nfrom: x:1\n"
    config = parse(f"configVersion: 1\nproject: p\n---\n{nameless}")
    assert list(select_images(config, patterns)) == selected


def test_an_image_whose_name_is_a_tilde_goes_first() -> None:
    tilde = 'image: "~"\nfrom: x:1\n---\nimage: ~\nfinal: false\nfrom: x:1\n'
    config = parse(f"configVersion: 1\nproject: p\n---\n{tilde}")
    assert select_images(config, ["~"]) == ("~",)
