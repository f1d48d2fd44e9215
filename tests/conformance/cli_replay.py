"""Running a vector through the command line: `conveyor plan --json`, run after run, on one storage file."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werf_history import make_repository
from werf_replay import base_env

MAX_ROUNDS = 20
URL = re.compile(r"\burl: (\S+)")

Run = Callable[[list[str], Mapping[str, str]], tuple[int, str, str]]
"""Arguments and variables → exit code, stdout, stderr."""


def in_a_process(args: list[str], env: Mapping[str, str]) -> tuple[int, str, str]:
    """Run the command as a shell would."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "conveyor", *args],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@dataclass
class CliReplay:
    """One vector; `storage` is the file that every run reads and writes."""

    vector: Mapping[str, Any]
    repo: Path
    remotes: Mapping[str, Path]
    storage: Path
    run: Run

    @classmethod
    def start(cls, vector: Mapping[str, Any], directory: Path, run: Run) -> "CliReplay":
        own = directory / "own.git"
        make_repository(own, vector["commits"], {"refs/heads/main": len(vector["commits"]) - 1})
        remotes: dict[str, Path] = {}
        for name, remote in vector.get("remotes", {}).items():
            path = directory / name.replace("/", "-")
            refs = {f"refs/heads/{k}": v for k, v in remote.get("branches", {}).items()}
            refs |= {f"refs/tags/{k}": v for k, v in remote.get("tags", {}).items()}
            make_repository(path, remote["commits"], refs)
            remotes |= {url: path for url in _urls(vector) if name in url}
        return cls(vector, own, remotes, directory / "storage.json", run)

    def plan(self, run: Mapping[str, Any]) -> tuple[int, str, str]:
        """Plan one run, answering what is asked; the last time as if it had been built."""
        for _ in range(MAX_ROUNDS):
            code, out, err = self._call(run)
            if code:
                return code, out, err
            answers = self._answers(json.loads(out), run)
            if not answers:
                result = self._call(run, "--assume-built", str(self.storage))
                self._lose_unstored(json.loads(out), run)
                return result
            self._edit(lambda document, found=answers: document["answers"].extend(found))
        raise AssertionError("no end of questions")

    def _call(self, run: Mapping[str, Any], *more: str) -> tuple[int, str, str]:
        commit = self.vector["commits"][run["commit"]]["sha"]
        args = ["plan", "--git", str(self.repo), "--commit", commit, "--json"]
        args += ["--stages", str(self.storage), *more, *run["args"].get("flags", [])]
        if self.vector.get("dir"):
            args += ["--dir", self.vector["dir"]]
        for url, path in self.remotes.items():
            args += ["--remote", f"{url}={path}"]
        return self.run(args, run["args"].get("env", {}))

    def _answers(self, plan: dict[str, Any], run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the vector tells about the open questions."""
        found: dict[str, dict[str, Any]] = {}
        for image in plan["images"]:
            labels = run["images"].get(image["name"], {}).get("labels") or {}
            for stage in image["stages"]:
                question = stage["question"] or {}
                answer = self._answer(question, run)
                if answer:
                    found[json.dumps(question)] = {"question": question, "answer": answer}
                found |= _imports(stage, labels)
        return list(found.values())

    def _answer(self, question: Mapping[str, str], run: Mapping[str, Any]) -> dict[str, Any] | None:
        if question.get("kind") == "ImageReference":
            ids = {"digest": f"sha256:{1:064}", "id": f"sha256:{2:064}"}
            return {"reference": run["refs"][question["image"]], **ids}
        if question.get("kind") != "BaseImageInfo":
            return None
        about = self.vector["base_images"][question["reference"]]
        ids = dict(re.findall(r"(image id|manifest) (sha256:\w+)", about))
        config = {"Env": base_env(about)}
        return {"id": ids["image id"], "digest": ids["manifest"], "config": config}

    def _lose_unstored(self, plan: dict[str, Any], run: Mapping[str, Any]) -> None:
        failed = set(run.get("unstored", ()))
        lost = {
            stage["digest"]
            for image in plan["images"]
            for stage in image["stages"]
            if f"{image['name']}/{stage['name']}" in failed
        }
        self._edit(
            lambda document: document.update(
                stages=[s for s in document["stages"] if s["id"].partition("-")[0] not in lost]
            )
        )

    def _edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        document = {"version": 1, "stages": [], "answers": []}
        if self.storage.exists():
            document = json.loads(self.storage.read_text())
        change(document)
        self.storage.write_text(json.dumps(document))


def seen(out: str, names: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the printed plan in the form of a vector's expectation."""
    images = {image["name"]: image for image in json.loads(out)["images"]}
    return {
        name: [
            {
                "name": stage["name"],
                "digest": stage["digest"],
                "cached": stage["state"] == "Cached",
            }
            for stage in images[name]["stages"]
        ]
        for name in names
    }


def _imports(stage: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found = {}
    for item in stage.get("imports", ()):
        checksum = labels.get(f"werf-import-checksum-{item['importId']}")
        if item["question"] and not item["checksum"] and checksum:
            answer = {"checksum": checksum, "sourceStage": f"{'0' * 56}-1"}
            question = item["question"]
            found[json.dumps(question)] = {"question": question, "answer": answer}
    return found


def _urls(vector: Mapping[str, Any]) -> set[str]:
    texts = [
        text
        for commit in vector["commits"]
        for path, text in commit.get("files", {}).items()
        if path.endswith("werf.yaml")
    ]
    return {url for text in texts for url in URL.findall(text)}
