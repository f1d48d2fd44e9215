from typing import Any

import pytest

from conveyor.api.errors import UserError
from conveyor.config.model import Dependency, DependencyImport, DockerfileImage
from conveyor.config.parse import parse

META = (
    "configVersion: 1\nproject: shop\n---\nimage: tool\nfrom: t:1\n"
    "platform: [linux/amd64, linux/arm64]\n---\n"
)


def _image(body: str) -> Any:
    return parse(META + body).images[-1]


def test_defaults() -> None:
    assert _image("image: a\ndockerfile: ./docker//Dockerfile\n") == DockerfileImage(
        name="a", dockerfile="docker/Dockerfile"
    )
    assert _image("image: a\ndockerfile: D\ncontext: .\n").context == ""


def test_everything() -> None:
    image = _image(
        "image: a\ndockerfile: D\ncontext: app/\ntarget: prod\nfinal: false\nstaged: true\ncacheVersion: 3\n"
        "args: {VERSION: 1.20, COUNT: 3, FLAG: yes, TEXT: '1.20', EMPTY: ''}\naddHost: db:10.0.0.1\nnetwork: host\n"
        "platform: [linux/arm64]\n"
        "dependencies:\n- {image: tool, imports: [{type: ImageTag, targetBuildArg: TOOL}]}\n"
    )
    assert image == DockerfileImage(
        name="a",
        dockerfile="D",
        context="app",
        target="prod",
        args={"VERSION": "1.2", "COUNT": "3", "FLAG": "true", "TEXT": "1.20", "EMPTY": ""},
        add_host=("db:10.0.0.1",),
        network="host",
        cache_version="3",
        final=False,
        staged=True,
        platforms=("linux/arm64",),
        dependencies=(
            Dependency(image="tool", imports=(DependencyImport(type="ImageTag", target="TOOL"),)),
        ),
    )


def test_several_names() -> None:
    assert [image.name for image in parse(META + "image: [a, b]\ndockerfile: D\n").images] == [
        "tool",
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("image: a\ndockerfile: ''\n", "`dockerfile` is empty"),
        ("image: a\ndockerfile: ../D\n", "write a relative path"),
        ("image: a\ndockerfile: D\nfrom: x\n", "unknown field `from`"),
        ("image: a\ndockerfile: D\nargs: [x]\n", "`args` is a list"),
        ("image: a\ndockerfile: D\ndependencies: [{image: tol}]\n", "did you mean `tool`?"),
        (
            "image: a\ndockerfile: D\ndependencies: [{image: tool, imports: [{type: ImageID, targetEnv: X}]}]\n",
            "write `targetBuildArg`",
        ),
    ],
)
def test_mistakes(body: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(META + body)
    assert said in raised.value.message
