"""Which paths of the cluster a config may mount, and where."""

import pytest

from conveyor.api.errors import UserError
from conveyor.config.mounts import check_mounts, why_not
from conveyor.config.parse import parse

USES = """\
project: p
configVersion: 1
---
image: a
from: x:1
mount:
- {from: tmp_dir, to: /t}
- {fromPath: /srv/yarn/, to: /yarn}
- {fromPath: ~/.m2, to: /m2}
"""


def test_offered_paths_pass() -> None:
    check_mounts(parse(USES), {"/srv/yarn", "~/.m2", "/other"})


def test_every_other_path_is_named_with_its_line_and_what_to_do() -> None:
    with pytest.raises(UserError) as caught:
        check_mounts(parse(USES), {"/srv", "/srv/yarn/deep", "~/.m2"})
    assert caught.value.reason == "MountNotAllowed"
    assert caught.value.message.splitlines() == [
        'werf.yaml:8: image "a": `fromPath: "/srv/yarn"` has no volume in this cluster',
        "its administrator gives paths a volume with `mounts.fromPaths` of Conveyor's chart "
        "(now: /srv, /srv/yarn/deep, ~/.m2)",
    ]


def test_nothing_is_offered_at_first() -> None:
    with pytest.raises(UserError, match=r"werf.yaml:8: (.|\n)*werf.yaml:9: (.|\n)*now: none"):
        check_mounts(parse(USES), ())


@pytest.mark.parametrize("point", ["/a", "/var/cache", "/tmp", "/etc", "/process", "/.cache"])  # noqa: S108
def test_mount_points(point: str) -> None:
    assert why_not(point) == ""


@pytest.mark.parametrize(
    "point",
    [
        "",
        ".",
        "a",
        "/",
        "/proc",
        "/sys/x",
        "/dev/x",
        "/.conveyor",
        "/.conveyor-io/x",
        "/.werf",
        "/etc/resolv.conf",
        "/a:b",
        "/a/../proc",
        "/a/",
        "/" + "x" * 2000,
    ],
)
def test_no_mount_points(point: str) -> None:
    assert why_not(point) != ""


def test_too_many_and_too_long() -> None:
    many = "".join(f"- {{from: tmp_dir, to: /m{number}}}\n" for number in range(51))
    head = USES.partition("mount:")[0] + "mount:\n"
    with pytest.raises(UserError, match="more than 50 mounts"):
        parse(head + many)
    with pytest.raises(UserError, match="1024 characters"):
        parse(head + f"- {{from: tmp_dir, to: /{'x' * 2000}}}\n")
