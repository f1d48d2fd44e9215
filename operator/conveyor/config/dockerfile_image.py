"""A document with `dockerfile:` → `DockerfileImage`s, one for every name it gives.

In: the section, the names of the whole config, the meta section. Out: checked images with all
defaults; mistakes go to the report. The Dockerfile itself is not read here. Source: werf
pkg/config/image_from_dockerfile.go.
"""

from dataclasses import replace
from typing import Final

from conveyor.config.image_spec import image_spec
from conveyor.config.imports import dependencies_of
from conveyor.config.meta import platforms
from conveyor.config.model import Dependency, DockerfileImage, Meta
from conveyor.config.names import Names
from conveyor.config.paths import clean, stays_inside
from conveyor.config.raw import Section, shorten
from conveyor.config.source_line import SourceLine

_KEYS: Final = (
    "image",
    "final",
    "dockerfile",
    "context",
    "contextAddFile",
    "contextAddFiles",
    "target",
    "args",
    "addHost",
    "network",
    "ssh",
    "staged",
    "platform",
    "secrets",
    "dependencies",
    "imageSpec",
    "cacheVersion",
    "sbom",
)


_OF_STAPEL: Final = (
    *("from", "fromImage", "fromArtifact", "fromLatest", "fromCacheVersion", "git", "shell"),
    *("ansible", "mount", "import", "docker", "disableGitAfterPatch"),
)
_NOT_HERE: Final = "an image is built either with `dockerfile` or with `from`"


def dockerfile_images(
    section: Section, own: tuple[str, ...], names: Names, meta: Meta
) -> tuple[DockerfileImage, ...]:
    """Read one document; arguments as for `stapel_images`."""
    section.only(*_KEYS, elsewhere=_NOT_HERE, others=_OF_STAPEL)
    _check_unsupported(section)
    dependencies = dependencies_of(section, names, stapel=False)
    args = section.table("args", values=True)
    _check_targets(section, args, dependencies)
    staged = section.flag("staged")
    final = section.flag("final") is not False
    body = DockerfileImage(
        name="",
        dockerfile=_path(section, "dockerfile", "Dockerfile"),
        context=_path(section, "context", "app"),
        target=section.text("target"),
        context_add_files=_added(section),
        args=args,
        add_host=section.texts("addHost"),
        network=section.text("network"),
        cache_version=section.text("cacheVersion") or meta.cache_version,
        final=final,
        staged=meta.staged if staged is None else staged,
        platforms=platforms(section) or meta.platforms,
        dependencies=dependencies,
        image_spec=image_spec(section, meta.image_spec, final=final),
        at=SourceLine(file=section.report.file, line=section.key_line("image")),
    )
    return tuple(replace(body, name=name) for name in own)


def _check_unsupported(section: Section) -> None:
    if section.is_set("contextAddFile") and section.is_set("contextAddFiles"):
        section.error(
            "`contextAddFile` and `contextAddFiles` are both set; keep contextAddFiles",
            key="contextAddFile",
        )
    section.not_supported("ssh", "keys for RUN --mount=type=ssh are named in spec.sshKeySecretRefs")
    section.not_supported("secrets", "secrets of RUN --mount=type=secret are named in spec.secrets")
    section.not_supported("sbom", "remove it")


def _added(section: Section) -> tuple[str, ...]:
    key = "contextAddFiles" if section.is_set("contextAddFiles") else "contextAddFile"
    paths = section.texts(key)
    for path in paths:
        if not path or not stays_inside(path):
            text = f"`{key}` has {shorten(path)}; write paths relative to the context"
            section.error(text, key=key)
    return tuple(clean(path) for path in paths)


def _path(section: Section, key: str, example: str) -> str:
    path = section.text(key)
    if path and not stays_inside(path):
        section.error(
            f"`{key}` is {shorten(path)}; write a relative path such as `{example}`", key=key
        )
    if not path and key == "dockerfile" and not section.is_collection(key):
        section.error("`dockerfile` is empty; write a path such as `Dockerfile`", key=key)
    cleaned = clean(path)
    return "" if cleaned == "." else cleaned


def _check_targets(
    section: Section, args: dict[str, str], dependencies: tuple[Dependency, ...]
) -> None:
    for dependency in dependencies:
        for item in dependency.imports:
            if item.target in args:
                section.report.error(
                    dependency.at.line,
                    f"{section.subject}: the build arg {shorten(item.target)} is set by `args` too; keep one",
                )
