"""What is read but not built yet is refused, with its line."""

import pytest

from conveyor.api.errors import UserError
from conveyor.config.parse import parse
from conveyor.config.scope import check_scope

META = "project: p\nconfigVersion: 1\n---\n"
STAPEL = META + "image: app\nfrom: debian:bookworm\n"
DOCKERFILE = META + "image: app\ndockerfile: Dockerfile\n"


@pytest.mark.parametrize(
    "text",
    [
        STAPEL,
        DOCKERFILE,
        STAPEL + "mount: [{from: tmp_dir, to: /c}]\n",
        STAPEL + "platform: [linux/amd64, linux/arm64]\n",
    ],
)
def test_what_is_built_passes(text):
    check_scope(parse(text))


@pytest.mark.parametrize(
    ("text", "directive"),
    [
        (STAPEL + "mount:\n- from: tmp_dir\n  to: /\n", 'mounted to "/"'),
        (STAPEL + "mount:\n- from: tmp_dir\n  to: /proc/x\n", 'mounted to "/proc/x"'),
        (STAPEL + "mount:\n- from: tmp_dir\n  to: /.werf/tmp\n", 'mounted to "/.werf/tmp"'),
        (STAPEL + "mount:\n- from: tmp_dir\n  to: /etc/hosts\n", 'mounted to "/etc/hosts"'),
        (STAPEL + "mount:\n- from: tmp_dir\n  to: /a:b\n", 'mounted to "/a:b"'),
        (STAPEL + "platform: [linux/arm64, windows/amd64]\n", "platform windows/amd64"),
        (DOCKERFILE + "network: host\n", "`network`"),
        (DOCKERFILE + "addHost: ['h:1.2.3.4']\n", "`addHost`"),
    ],
)
def test_what_would_be_left_out_is_refused(text, directive):
    with pytest.raises(UserError) as caught:
        check_scope(parse(text))
    assert caught.value.reason == "NotSupported"
    assert caught.value.message.startswith('werf.yaml:4: image "app": ')
    assert directive in caught.value.message
