"""Where the mounts of a RUN lie, and what is refused."""

import pytest

from conveyor.config.dockerfile_mount_points import (
    UnbuildableMountError,
    bound_path,
    check_mounts,
    mount_points,
    secret_id,
    seeded,
)
from conveyor.config.dockerfile_mounts import parse_mount


def points(*flags: str, workdir: str = "/w") -> list[str]:
    mounts = [parse_mount(flag, str) for flag in flags]
    return [point.target for point in mount_points(mounts, workdir)]


@pytest.mark.parametrize(
    ("flag", "target"),
    [
        ("target=/a/../b/", "/b"),
        ("target=.", "/w"),
        ("source=x", "/w"),
        ("type=cache,target=c/d", "/w/c/d"),
        ("type=tmpfs,target=/../x", "/x"),
        ("type=secret,id=a/b", "/run/secrets/b"),
        ("type=secret,source=s", "/run/secrets/s"),
        ("type=secret,id=a,target=t", "/w/t"),
        ("type=secret,id=a,env=A", ""),
        ("type=secret,id=a,env=A,target=/t", "/t"),
        ("type=ssh", "/run/buildkit/ssh_agent.0"),
        ("type=ssh,target=sock", "/w/sock"),
    ],
)
def test_targets(flag: str, target: str) -> None:
    assert points(flag) == [target]


def test_agents_are_counted_by_themselves() -> None:
    found = points("type=secret,id=a", "type=ssh,target=/x", "type=ssh,id=b")
    assert found == ["/run/secrets/a", "/x", "/run/buildkit/ssh_agent.1"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["target=/"], "the target is the root directory"),
        (["target=../.."], "the target is the root directory"),
        (["target=/x", "type=cache,target=/x/"], "/x is the target of two mounts"),
        (["type=secret,id=a", "type=secret,id=b/a"], "/run/secrets/a is the target of two mounts"),
    ],
)
def test_mistakes(flags: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        points(*flags)
    assert not isinstance(raised.value, UnbuildableMountError)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["target=/proc/x"], "nothing can be mounted to /proc/x: the container itself needs it"),
        (["target=/.conveyor/x"], "the container itself needs it"),
        (["target=/a:b"], "colon in its name"),
        ([f"type=ssh,target=/{'x' * 107}"], "the path of a socket has at most 107 bytes"),
        (["target=/etc"], "/etc cannot be mounted read-only"),
        (["target=/a", "type=cache,target=/a/b"], "/a/b lies inside of /a, where nothing can be"),
        (["type=cache,target=/run/secrets/a/b", "type=secret,id=a"], "where nothing can be made"),
    ],
)
def test_what_no_pod_can_do(flags: list[str], said: str) -> None:
    with pytest.raises(UnbuildableMountError, match=said):
        points(*flags)


def test_what_lies_inside_of_something_that_is_written_to() -> None:
    assert points("target=/a,rw", "type=cache,target=/a/b") == ["/a", "/a/b"]
    assert points("target=/etc,rw", "target=/ab", "target=/abc") == ["/etc", "/ab", "/abc"]


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("type=cache,source=a,target=/x", "source without from, a directory inside of the cache"),
        ("type=cache,from=scratch,source=a,target=/x", "source without from"),
        ("type=cache,from=a,source=*.jar,target=/x", r"names with \* \? \[ are not supported"),
        ("type=tmpfs,from=a,target=/x", "type=tmpfs: from and source are not supported, it is"),
        ("type=tmpfs,target=/x,ro", "a read-only tmpfs"),
        ("from=scratch,target=/x,rw", "from=scratch is not supported; use type=tmpfs"),
        ("source=*.txt,target=/x", r"names with \* \? \[ are not supported"),
        ("type=secret,id=a,mode=4755", "mode 4755 is not supported"),
        ("type=cache,target=/x,uid=2147483648", "uid and gid have to be under"),
    ],
)
def test_what_is_refused(flag: str, said: str) -> None:
    with pytest.raises(UnbuildableMountError, match=said):
        check_mounts([parse_mount(flag, str)])


@pytest.mark.parametrize(
    ("flag", "begins"),
    [
        ("type=cache,from=a,target=/x", True),
        ("type=cache,from=a,source=/deps,target=/x", True),
        ("type=cache,from=a,source=/deps,target=/x,uid=5,mode=700", True),
        ("type=cache,from=a,target=/x,uid=5", False),
        ("type=cache,from=a,source=/,target=/x,mode=700", False),
        ("type=cache,from=scratch,target=/x", False),
        ("type=cache,target=/x", False),
        ("from=a,target=/x", False),
    ],
)
def test_what_a_cache_begins_with(flag: str, *, begins: bool) -> None:
    mount = parse_mount(flag, str)
    check_mounts([mount])
    assert seeded(mount) is begins


def test_mounts_are_counted() -> None:
    mounts = [parse_mount(f"type=tmpfs,target=/t{number}", str) for number in range(51)]
    check_mounts(mounts[:50])
    with pytest.raises(UnbuildableMountError, match="51 mounts; 50 are allowed"):
        check_mounts(mounts)


def test_ids_and_paths() -> None:
    ids = ("id=a", "source=b,target=/x", "target=/run/c")
    assert [secret_id(parse_mount(f"type=secret,{text}", str)) for text in ids] == ["a", "b", "c"]
    paths = ("", ".", "/a/../b", "../../x", "a/")
    found = [bound_path(parse_mount(f"source={path},target=/t", str)) for path in paths]
    assert found == ["/", "/", "/b", "/x", "/a"]
