from typing import Any

import pytest

from conveyor.config.exports import Conflict, Export, automatic_excludes


def _added(*exports: Any) -> Any:
    made = [
        Export(to=to, include_paths=tuple(include), exclude_paths=tuple(exclude))
        for to, include, exclude in exports
    ]
    return automatic_excludes(made)


def test_the_deeper_one_owns_its_directory() -> None:
    assert _added(("/app", [], []), ("/app/static", [], [])) == (("static",), ())
    assert _added(("/app/static", [], []), ("/app", [], [])) == ((), ("static",))
    assert _added(("/", [], []), ("/app", [], [])) == (("app",), ())
    assert _added(("/app", [], []), ("/application", [], [])) == ((), ())


def test_order_decides() -> None:
    exports: list[Any] = [("/app", [], []), ("/app/static", [], []), ("/app/static/deep", [], [])]
    app, static, deep = exports
    assert _added(app, static, deep) == (("static", "static/deep"), ("deep",), ())
    assert _added(app, deep, static) == (("static/deep",), (), ("deep",))


@pytest.mark.parametrize(
    ("exclude", "added"),
    [(["static"], ()), (["static/private"], ()), (["stat"], ("static",)), ([], ("static",))],
)
def test_existing_excludes(exclude: Any, added: Any) -> None:
    assert _added(("/app", [], exclude), ("/app/static", [], []))[0] == added


def test_an_exclude_around_does_not_suppress() -> None:
    assert _added(("/app", [], ["static"]), ("/app/static/pub", [], []))[0] == ("static/pub",)


def test_includes() -> None:
    assert _added(("/app", ["static/pub", "a"], []), ("/app/static", [], []))[0] == ()
    assert _added(("/app", ["static"], []), ("/app/static/pub", [], []))[0] == ("static/pub",)
    assert _added(("/app", ["a"], []), ("/app", ["b"], [])) == (("b",), ("a",))
    assert _added(("/app", ["a"], []), ("/app", [], [])) == ((), ("a",))


@pytest.mark.parametrize(
    "pair",
    [
        (("/app", [], []), ("/app", [], [])),
        (("/", [], []), ("/", [], [])),
        (("/app", ["a"], []), ("/app", ["a", "b"], [])),
        (("/app", ["a"], []), ("/app/a", [], [])),
    ],
)
def test_conflicts(pair: Any) -> None:
    with pytest.raises(Conflict) as raised:
        _added(*pair)
    assert (raised.value.first, raised.value.second) == (0, 1)
