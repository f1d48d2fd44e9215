"""ADD of URLs and of git repositories, fetched by couriers of real pods from the cluster's git server."""

import hashlib

from tests.cluster.builds import condition
from tests.cluster.harness import Harness
from tests.cluster.projects import Executable
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"
IMAGE = META + "image: app\ndockerfile: Dockerfile\n"
HEAD = "ref: refs/heads/main\n"
SHA256 = hashlib.sha256(HEAD.encode()).hexdigest()

LOOK = r"""
cd /
stat -c '%n %F %a %u:%g %Y' one/HEAD renamed docs docs/deep docs/deep/a docs/run
cat one/HEAD renamed docs/deep/a secret/hidden
docs/run
ls -A mixed whole
cat mixed/local.txt mixed/HEAD mixed/deep/a whole/.git/HEAD
"""


def test_everything_that_is_fetched(lab: Harness) -> None:
    """A file by its name and renamed, a directory of a tag, a repository with its .git, a private one, all sorts at once."""
    library = lab.git_project(
        {"lib/deep/a": "first\n", "lib/run": Executable("#!/bin/sh\necho run\n")}
    )
    library.tag("v1")
    library.change({"lib/deep/a": "second\n"})
    private = lab.git_project({"hidden": "hidden\n"})
    raw = f"{library.url}/HEAD"
    text = f"""FROM debian:bookworm
ARG LIBRARY={library.url}
ADD {raw} /one/
ADD --checksum=sha256:{SHA256} --chown=www-data:1234 --chmod=640 --link {raw} /renamed
ADD $LIBRARY#v1:lib /docs/
ADD --keep-git-dir --checksum={library.commit} ${{LIBRARY}} /whole
ADD {private.private_url} /secret
ADD local.txt {raw} {library.url}#:lib /mixed/
"""
    project = lab.git_project({"werf.yaml": IMAGE, "Dockerfile": text, "local.txt": "local\n"})
    secret = lab.git_secret()
    login = {"url": private.private_url, "secretRef": {"name": secret}}
    build = lab.build(project, gitCredentials=[login])
    seen = lab.pods.lines(refs(build.wait_ready(100))["app"], LOOK)
    assert seen[0].startswith("one/HEAD regular file 600 0:0 ")
    assert seen[1].startswith("renamed regular file 640 33:1234 ")
    assert [line.rpartition(" ")[0] for line in seen[2:6]] == [
        "docs directory 755 0:0",
        "docs/deep directory 755 0:0",
        "docs/deep/a regular file 644 0:0",
        "docs/run regular file 755 0:0",
    ]
    assert seen[6:11] == [HEAD.strip(), HEAD.strip(), "first", "hidden", "run"]
    assert seen[11:] == [
        *("mixed:", "HEAD", "deep", "local.txt", "run", "", "whole:", ".git", "lib"),
        *("local", HEAD.strip(), "second", library.commit),
    ]
    (job,) = build.jobs()
    stage = next(
        it for it in job["spec"]["template"]["spec"]["containers"] if it["name"] == "stage"
    )
    assert secret not in str(stage)


REFUSED = {
    "ADD http://10.255.255.1/x /x": "10.255.255.1 is no public address (private)",
    "ADD http://169.254.169.254/latest/meta-data/ /x": "no public address (link-local",
    "ADD https://kubernetes.default.svc/api /x": "kubernetes.default.svc is a name inside a network",
    "ADD http://2130706433:8080/ /x": "unusual spelling",
    "ADD http://[::ffff:127.0.0.1]/x.git /x": "no public address (loopback)",
    "ADD git@127.0.0.1:x/y.git /x": "127.0.0.1 is no public address (loopback)",
}


def test_what_the_policy_refuses_leaves_nothing_behind(lab: Harness) -> None:
    """Told with the lines, all of them, before any Job; a wrong checksum is told by the courier."""
    lines = "".join(f"{line}\n" for line in REFUSED)
    files = {"werf.yaml": IMAGE, "Dockerfile": f"FROM debian:bookworm\nRUN touch /a\n{lines}"}
    build = lab.build(lab.git_project(files))
    message = condition(build.wait_stalled("RemoteSourceNotAllowed", 60), "Stalled")["message"]
    told = message.splitlines()
    assert len(told) >= 3  # a condition has room for so much
    for number, (line, why) in enumerate(REFUSED.items(), 3):
        if number - 3 < len(told) - 1:
            assert told[number - 3].startswith(f"Dockerfile:{number}: {line.rpartition(' ')[0]}: ")
            assert why in told[number - 3]
    assert build.jobs() == []
    assert build.pods() == []
    build.stays_quiet()


def test_another_content_than_the_checksum_says(lab: Harness) -> None:
    library = lab.git_project({"a": "a\n"})
    wrong = "0" * 64
    text = f"FROM debian:bookworm\nADD --checksum=sha256:{wrong} {library.url}/HEAD /x\n"
    build = lab.build(lab.git_project({"werf.yaml": IMAGE, "Dockerfile": text}))
    status = build.wait_stalled("StageFailed", 60)
    said = condition(status, "Stalled")["message"]
    assert f"Dockerfile:2: ADD {library.url}/HEAD: the content has sha256:{SHA256}" in said
    assert len(build.jobs()) == 1
    build.stays_quiet()


def test_a_ref_that_is_not_there(lab: Harness) -> None:
    library = lab.git_project({"a": "a\n"})
    text = f"FROM debian:bookworm\nADD {library.url}#v9 /x\n"
    build = lab.build(lab.git_project({"werf.yaml": IMAGE, "Dockerfile": text}))
    said = condition(build.wait_stalled("GitRevisionNotFound", 60), "Stalled")["message"]
    assert f"Dockerfile:2: ADD {library.url}: it has no branch or tag v9" in said
