"""The large repositories that are planned, made by git fast-import.

In: a directory. Out: bare repositories: one of many images, one of many commits, one whose werf.yaml is a template that
asks for too much.
"""

from __future__ import annotations

import os
import random
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

META = "project: bench\nconfigVersion: 1\n"
BOMBS = {
    "nested range, 10^9 iterations": "{{ $n := untilStep 0 1000 1 }}"
    "{{ range $n }}{{ range $n }}{{ range $n }}x{{ end }}{{ end }}{{ end }}",
    "10^9 numbers at once": "{{ range untilStep 0 1000000000 1 }}x{{ end }}",
    "text of 1 GB": '{{ repeat 1000000000 "x" }}',
}

_THREE = (
    """\
image: app
from: debian:12
git:
- {add: /, to: /app, excludePaths: [docs]}
shell: {install: [make], setup: [make all]}
""",
    """\
image: web
from: app
git:
- {add: /dir0, to: /web, stageDependencies: {setup: ['**/*.txt']}}
shell: {setup: [make web]}
""",
    """\
image: docs
from: scratch
git:
- {add: /dir1, to: /docs}
""",
)

Files = dict[str, str]


def many_images(images: int) -> Files:
    """A project of images with ten stages each; all but the first import from the first."""
    documents = [META, *(_image(number) for number in range(images))]
    files = {"werf.yaml": "---\n".join(documents)}
    for number in range(images):
        for name in ("package.json", "yarn.lock", "src/main.js", "src/style.css"):
            files[f"services/s{number}/{name}"] = f"{number} {name}\n"
    return files


def _image(number: int) -> str:
    imports = """\
import:
- {image: image-0, add: /out, to: /out, before: setup}
- {image: image-0, add: /tool, to: /tool, after: install}
- {image: image-0, add: /lib, to: /lib, after: setup}
"""
    return f"""\
image: image-{number}
from: debian:12
git:
- add: /services/s{number}
  to: /app
  stageDependencies: {{install: [package.json, '*.lock'], beforeSetup: [src], setup: ['**/*.css']}}
shell:
  beforeInstall: [apt-get update, apt-get install -y curl]
  install: [make install-{number}]
  beforeSetup: [make prepare]
  setup: [make]
docker: {{CMD: run, ENV: {{A: '1', B: '2'}}}}
{imports if number else ""}"""


def many_files(files: int) -> Files:
    """A project of three images over a tree of many files."""
    config = "---\n".join([META, *_THREE])
    tree = {f"dir{n % 50}/part{n % 7}/file{n}.txt": f"{n}\n" * 20 for n in range(files)}
    return {"werf.yaml": config, **tree}


def make(path: Path, files: Mapping[str, str], commits: int = 1) -> list[str]:
    """Make a repository; every commit after the first changes two files. Returns the commits, oldest first."""
    _git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
    _git(f"--git-dir={path}", "fast-import", "--quiet", stdin=b"".join(_stream(files, commits)))
    _git(f"--git-dir={path}", "repack", "-adq")
    _git(f"--git-dir={path}", "commit-graph", "write", "--reachable")
    return _git(f"--git-dir={path}", "rev-list", "--reverse", "main").split()


def _stream(files: Mapping[str, str], commits: int) -> Iterator[bytes]:
    chance = random.Random(1)  # noqa: S311 - the same repository each time
    names = [name for name in files if name != "werf.yaml"]
    for number in range(commits):
        yield b"commit refs/heads/main\nmark :%d\n" % (number + 1)
        yield b"committer Dev <dev@example.org> %d +0000\n" % (1_600_000_000 + 60 * number)
        yield _data(f"commit {number}\n")
        if number:
            yield b"from :%d\n" % number
            changed: Iterable[tuple[str, str]] = (
                (name, f"{number}\n" * chance.randint(1, 30)) for name in chance.sample(names, 2)
            )
        else:
            changed = files.items()
        for name, text in changed:
            yield f"M 100644 inline {name}\n".encode() + _data(text)


def _data(text: str) -> bytes:
    raw = text.encode()
    return b"data %d\n" % len(raw) + raw + b"\n"


def _git(*args: str, stdin: bytes = b"") -> str:
    quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(  # noqa: S603 - git with arguments of ours
        ["git", *args],  # noqa: S607
        input=stdin,
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, **quiet},
    )
    return done.stdout.decode()
