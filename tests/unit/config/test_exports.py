import pytest

from conveyor.config.exports import Conflict, Export, automatic_excludes


def _added(*exports):
    made = [
        Export(to=to, include_paths=tuple(include), exclude_paths=tuple(exclude))
        for to, include, exclude in exports
    ]
    return automatic_excludes(made)


def test_the_deeper_one_owns_its_directory():
    assert _added(("/app", [], []), ("/app/static", [], [])) == (("static",), ())
    assert _added(("/app/static", [], []), ("/app", [], [])) == ((), ("static",))
    assert _added(("/", [], []), ("/app", [], [])) == (("app",), ())
    assert _added(("/app", [], []), ("/application", [], [])) == ((), ())


def test_order_decides():
    app, static, deep = ("/app", [], []), ("/app/static", [], []), ("/app/static/deep", [], [])
    assert _added(app, static, deep) == (("static", "static/deep"), ("deep",), ())
    assert _added(app, deep, static) == (("static/deep",), (), ("deep",))


@pytest.mark.parametrize(
    ("exclude", "added"),
    [(["static"], ()), (["static/private"], ()), (["stat"], ("static",)), ([], ("static",))],
)
def test_existing_excludes(exclude, added):
    assert _added(("/app", [], exclude), ("/app/static", [], []))[0] == added


def test_an_exclude_around_does_not_suppress():
    assert _added(("/app", [], ["static"]), ("/app/static/pub", [], []))[0] == ("static/pub",)


def test_includes():
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
def test_conflicts(pair):
    with pytest.raises(Conflict) as raised:
        _added(*pair)
    assert (raised.value.first, raised.value.second) == (0, 1)
