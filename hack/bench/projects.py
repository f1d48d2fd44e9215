"""The projects that are built.

In: a word that makes commands unique, so that nothing is cached. Out: werf.yaml and files as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES = ("beforeInstall", "install", "beforeSetup", "setup")
HEAD = "project: bench\nconfigVersion: 1\n---\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A Dockerfile that several builders build.

    Attributes:
        text: The Dockerfile; `{base}` stands for the base image.
        files: Of the context.
        target: Stage to build, "" for the last.
        changed: Files of the next commit; a remark at their end makes each commit another one.
        remark: How a remark begins in these files.
    """

    text: str
    base: str = "debian"
    tag: str = "bookworm"
    target: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    remark: str = "#"

    def context(self, base: str) -> dict[str, str]:
        """The Dockerfile and its files, upon this base image."""
        return {"Dockerfile": self.text.replace("{base}", base), **self.files}

    def project(self) -> dict[str, str]:
        """The same with a werf.yaml."""
        target = f"target: {self.target}\n" if self.target else ""
        config = f"{HEAD}image: app\ndockerfile: Dockerfile\n{target}"
        return {"werf.yaml": config, **self.context(f"{self.base}:{self.tag}")}


SEED = Example(
    base="ubuntu",
    tag="latest",
    target="stage2",
    text="""\
FROM {base} AS base
RUN echo "base"
FROM base AS stage1
RUN echo "stage1"
FROM base AS stage2
RUN echo "stage2"
""",
)
DIAMOND = Example(
    text="""\
FROM {base} AS top
RUN sleep 2; echo top > /top
FROM top AS one
RUN sleep 2; echo one > /one
FROM top AS two
RUN sleep 2; echo two > /two
FROM top AS three
RUN sleep 2; echo three > /three
FROM top AS four
RUN sleep 2; echo four > /four
FROM top
COPY --from=one /one /
COPY --from=two /two /
COPY --from=three /three /
COPY --from=four /four /
RUN sleep 2; cat /one /two /three /four > /all
"""
)
SERVICE = Example(
    text="""\
FROM {base}
RUN apt-get update \\
 && apt-get install -y --no-install-recommends python3 python3-pip python3-setuptools \\
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY lib/ lib/
RUN pip install --no-index --no-build-isolation --break-system-packages ./lib
COPY src/ src/
RUN python3 -m compileall -q src
USER nobody
CMD ["python3", "-m", "src.main"]
""",
    files={
        "lib/setup.py": "from setuptools import setup\nsetup(name='lib', py_modules=['lib'])\n",
        "lib/lib.py": "ANSWER = 42\n",
        "src/main.py": "import lib\nprint(lib.ANSWER)\n",
    },
    changed={"src/main.py": "import lib\nprint(lib.ANSWER + 1)\n"},
)

GO_SERVICE = Example(
    text="""\
FROM {base} AS build
RUN apt-get update \\
 && apt-get install -y --no-install-recommends golang-go \\
 && rm -rf /var/lib/apt/lists/*
ENV CGO_ENABLED=0 HOME=/root
WORKDIR /src
COPY go.mod ./
COPY *.go ./
RUN go build -o /service .
FROM {base}
COPY --from=build /service /usr/local/bin/service
USER nobody
CMD ["service"]
""",
    files={
        "go.mod": "module example.com/service\n\ngo 1.19\n",
        "main.go": """\
package main

import "net/http"

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) })
	_ = http.ListenAndServe(":8080", nil)
}
""",
        "answer.go": 'package main\n\nconst answer = "42"\n',
    },
    changed={"answer.go": 'package main\n\nconst answer = "43"\n'},
    remark="//",
)


def chain(word: str, command: str, stages: tuple[str, ...] = STAGES) -> str:
    """An image with `from` and one command in each of the stages; it prints before and after."""
    lines = [f"  {stage}: ['echo {word}; {command}; echo end']" for stage in stages]
    return "\n".join([f"{HEAD}image: app\nfrom: debian:bookworm\nshell:", *lines, ""])


def six(word: str) -> dict[str, str]:
    """Six stages: from, beforeInstall, gitArchive, install, beforeSetup, setup; small commands."""
    lines = [f"  {stage}: ['echo {word} > /{stage}']" for stage in STAGES]
    git = "git:\n- add: /src\n  to: /src\nshell:"
    config = "\n".join([f"{HEAD}image: app\nfrom: debian:bookworm\n{git}", *lines, ""])
    return {"werf.yaml": config, "src/readme.txt": f"{word}\n"}


def two(word: str) -> dict[str, str]:
    """The first two stages of `six`."""
    config = (
        f"{HEAD}image: app\nfrom: debian:bookworm\nshell:\n"
        f"  beforeInstall: ['echo {word} > /beforeInstall']\n"
    )
    return {"werf.yaml": config, "src/readme.txt": f"{word}\n"}
