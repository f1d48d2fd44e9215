"""The corpus as Conveyor builds it, on the development cluster.

In: a `Harness` and cases. Out: name to `{"config": …, "files": …}` or `{"error": "REASON: message"}`. Every case is an
ImageBuild of its own, so that one that fails says so for itself; they share a git repository, and a repository of the registry.
"""

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import yaml
from tests.cluster.builds import IMAGE_PER_JOB, condition
from tests.cluster.harness import Harness
from tests.cluster.projects import Content, Project
from tests.cluster.registry import refs
from tests.corpus.cases import Case, case_files
from tests.corpus.images import Images
from tests.corpus.results import Json

_AT_ONCE = 12
_SECONDS = 300


def build_all(lab: Harness, cases: Iterable[Case]) -> Iterator[tuple[str, Json]]:
    """Build every case; gives them in the order of the cases."""
    chosen = list(cases)
    project, repo, images = _project(lab, chosen), lab.new_repo(), Images(lab.registry)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = pool.map(lambda case: _build(lab, project, repo, case, images), chosen)
        yield from ((case.name, result) for case, result in zip(chosen, results, strict=True))


def _project(lab: Harness, cases: Iterable[Case]) -> Project:
    files: dict[str, Content] = {}
    for case in cases:
        files |= case_files(case)
        files[f"{case.name}.yaml"] = _config(case)
    return lab.git_project(files)


def _config(case: Case) -> str:
    image: dict[str, object] = {"image": "it", "context": case.name, "dockerfile": "Dockerfile"}
    if case.target:
        image["target"] = case.target
    if case.args:
        image["args"] = case.args
    meta = {"project": "corpus", "configVersion": 1}
    return "---\n".join(yaml.safe_dump(part, sort_keys=False) for part in (meta, image))


def _build(lab: Harness, project: Project, repo: str, case: Case, images: Images) -> Json:
    build = lab.build(
        project,
        repo=repo,
        configPath=f"{case.name}.yaml",
        execution=IMAGE_PER_JOB,
        retryLimit=0,
        jobTTLSeconds=60,
        secrets=[_secret(lab, name, value) for name, value in case.secrets.items()],
    )
    status = build.wait_for("Ready or Stalled", _over, _SECONDS)
    stalled = condition(status, "Stalled")
    if stalled.get("status") == "True":
        return {"error": _why(stalled, case)}
    return images.result(refs(status)["it"]).to_json()


def _secret(lab: Harness, name: str, value: str) -> Json:
    made = lab.secret("Opaque", {"value": value})
    return {"id": name, "secretRef": {"name": made, "key": "value"}}


def _over(found: Json) -> bool:
    status = found.get("status") or {}
    assert isinstance(status, dict)
    return any(condition(status, kind).get("status") == "True" for kind in ("Ready", "Stalled"))


def _why(stalled: Json, case: Case) -> str:
    text = f"{stalled['reason']}: {stalled['message']}"
    text = text.replace(f"{case.name}/", "").replace(f"{case.name}.yaml", "werf.yaml")
    return re.sub(r"\b[0-9a-f]{40}\b", "…", text)
