"""Repositories of projects, and what a command said about them."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

META = "project: p\nconfigVersion: 1\n---\n"


def git(path: Path, *args: str) -> str:
    who = ["-c", "user.name=Dev", "-c", "user.email=dev@example.org"]
    quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(  # noqa: S603
        ["git", *who, "-C", str(path), *args],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], **quiet},
    )
    return done.stdout.strip()


@dataclass
class Repo:
    path: Path

    def commit(self, files: dict[str, str], *, tag: str = "") -> str:
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        git(self.path, "add", "--all")
        git(self.path, "commit", "--quiet", "--message", "change")
        if tag:
            git(self.path, "tag", tag)
        return git(self.path, "rev-parse", "HEAD")


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    def states(self, image: str) -> dict[str, str]:
        (found,) = (it for it in self.json["images"] if it["name"] == image)
        return {stage["name"]: stage["state"] for stage in found["stages"]}


def make_repo(path: Path) -> Repo:
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    return Repo(path)
