"""The fields of RUN --mount, as BuildKit reads them."""

import pytest

from conveyor.config.dockerfile_mounts import RunMount, mount_images, parse_mount
from conveyor.config.dockerfile_syntax import parse_instructions


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/x", RunMount(target="/x", read_only=True)),
        ("type=bind,from=a,src=b,dst=/c,rw", RunMount(source_image="a", source="b", target="/c", read_only=False)),
        (
            "type=cache,id=k,sharing=LOCKED,mode=0755,uid=1,gid=2",
            RunMount(type="cache", cache_id="k", sharing="locked", mode=0o755, uid=1, gid=2, read_only=False),
        ),
        ("type=tmpfs,size=10m", RunMount(type="tmpfs", read_only=False, size=10 << 20)),
        ("type=tmpfs,size=1.5GiB", RunMount(type="tmpfs", read_only=False, size=3 << 29)),
        ("type=secret,id=x,env=TOKEN", RunMount(type="secret", cache_id="x", env="TOKEN", read_only=True)),
        ("type=secret,id=x,required", RunMount(type="secret", cache_id="x", required=True, read_only=True)),
        ("type=ssh,required=false", RunMount(type="ssh", read_only=True)),
        ("readonly=false,target=/x", RunMount(target="/x", read_only=False)),
        ("readwrite=false,target=/x", RunMount(target="/x", read_only=True)),
        ('type=bind,"target=/a,b"', RunMount(target="/a,b", read_only=True)),
    ],
)  # fmt: skip
def test_fields(text, mount):
    assert parse_mount(text, str) == mount


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("type=disk", "type=disk is unknown"),
        ("target", "'target' must be a KEY=VALUE pair"),
        ("type=bind,size=1", "size=1 is not possible"),
        ("type=bind,mode=1", "mode, uid and gid are not possible"),
        ("type=cache,uid=-1", "uid=-1 is not a number"),
        ("type=cache,mode=9", "mode=9 is not a number"),
        ("type=bind,sharing=shared", "sharing is not possible"),
        ("type=secret", "needs id, source or target"),
        ("type=secret,id=a,source=b", "either source or id"),
        ("type=secret,id=a,from=b", "a secret has no from"),
        ("readonly=perhaps", "must be true or false"),
        ('"open', "malformed"),
        ("type=tmpfs,size=-1", "size=-1 is no size"),
        ("type=tmpfs,size=99999p", "size=99999p is no size"),
        ("type=cache,env=X", "env=X is not possible"),
        ("type=secret,id=x,env=A=B", "env=A=B cannot name a variable"),
        ("type=ssh,source=x", "ssh has no source"),
    ],
)
def test_mistakes(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse_mount(text, str)


def test_variables_are_replaced_value_by_value():
    found = parse_mount("target=$T,source=$S", lambda text: text.replace("$T", "/t,rw"))
    assert (found.target, found.source, found.read_only) == ("/t,rw", "$S", True)


def test_images_that_mounts_name():
    text = "FROM a\nRUN --mount=from=x,target=/x --mount=target=/y --mount=from=y,target=/z true\n"
    assert mount_images(parse_instructions(text, file="D")[1]) == ("x", "y")
