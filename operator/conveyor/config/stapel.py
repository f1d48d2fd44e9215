"""A document with `image:` or `artifact:` → `StapelImage`s, one for every name it gives.

In: the section, the names of the whole config, the meta section. Out: checked images with all defaults;
mistakes go to the report. Source: werf pkg/config/raw_stapel_image.go, stapel_image_base.go.
"""

from dataclasses import replace
from typing import Final, TypeVar

from conveyor.config.ansible import ansible_of
from conveyor.config.docker_instructions import docker_instructions
from conveyor.config.exports import Conflict, Export, automatic_excludes
from conveyor.config.image_spec import image_spec
from conveyor.config.imports import dependencies_of, imports_of
from conveyor.config.mappings import git_mappings
from conveyor.config.meta import platforms
from conveyor.config.model import (
    USER_STAGES,
    GitMapping,
    Import,
    Meta,
    Mount,
    Shell,
    StapelImage,
)
from conveyor.config.mounts import MAX_MOUNTS
from conveyor.config.names import Names, has_tag_or_digest, is_reference, shown
from conveyor.config.paths import TOO_LONG, clean, is_absolute, is_too_long
from conveyor.config.raw import Section, shorten
from conveyor.config.source_line import SourceLine
from conveyor.config.versions import VERSION_KEYS, cache_versions

MAX_EXPORTS: Final = 300
MAX_EXPORT_PATHS: Final = 2000

_KEYS: Final = (
    "image",
    "artifact",
    "final",
    "from",
    "fromImage",
    "fromArtifact",
    "fromLatest",
    "fromCacheVersion",
    "cacheVersion",
    "platform",
    "git",
    "shell",
    "ansible",
    "mount",
    "import",
    "dependencies",
    "docker",
    "imageSpec",
    "disableGitAfterPatch",
    "network",
    "secrets",
    "sbom",
)
_OF_DOCKERFILES: Final = (
    "args",
    "addHost",
    "context",
    "contextAddFiles",
    "ssh",
    "staged",
    "target",
)
_DOCKERFILE_MISSING: Final = "it is for images that have `dockerfile: PATH`"
_Exported = TypeVar("_Exported", GitMapping, Import)

_FROM_KEYS: Final = ("from", "fromImage", "fromArtifact")
_NOT_FOR_ARTIFACTS: Final = ("docker", "final", "disableGitAfterPatch", "dependencies")


def stapel_images(
    section: Section, own: tuple[str, ...], names: Names, meta: Meta
) -> tuple[StapelImage, ...]:
    """Read one document.

    Args:
        section: The document.
        own: The names the document gives.
        names: All names of the config.
        meta: Defaults for what the document leaves out.
    """
    body = _body(section, names, meta)
    images: list[StapelImage] = []
    for name in own:
        base, internal = _base(section, name, names)
        images.append(replace(body, name=name, base=base, base_internal=internal))
    return tuple(images)


def _body(section: Section, names: Names, meta: Meta) -> StapelImage:
    section.only(*_KEYS, elsewhere=_DOCKERFILE_MISSING, others=_OF_DOCKERFILES)
    _check_combinations(section)
    docker = section.section("docker")
    mappings, imports = _with_automatic_excludes(
        section, git_mappings(section), imports_of(section, names)
    )
    artifact = section.is_set("artifact")
    final = not artifact and section.flag("final") is not False
    return StapelImage(
        name="",
        base="",
        from_latest=section.flag("fromLatest") or False,
        from_cache_version=section.text("fromCacheVersion"),
        cache_version=section.text("cacheVersion") or meta.cache_version,
        final=final,
        artifact=artifact,
        platforms=platforms(section) or meta.platforms,
        git=mappings,
        shell=_shell(section),
        ansible=ansible_of(section),
        docker=docker_instructions(docker) if docker is not None else None,
        image_spec=image_spec(section, meta.image_spec, final=final),
        imports=imports,
        dependencies=dependencies_of(section, names, stapel=True),
        mounts=_mounts(section),
        disable_git_after_patch=section.flag("disableGitAfterPatch") or False,
        at=SourceLine(
            file=section.report.file, line=section.key_line("artifact" if artifact else "image")
        ),
    )


def _check_combinations(section: Section) -> None:
    for one, other in (("shell", "ansible"), ("docker", "imageSpec")):
        if section.is_set(one) and section.is_set(other):
            section.error(f"`{one}` and `{other}` are both set; keep one of them", key=other)
    if section.is_set("artifact"):
        for key in _NOT_FOR_ARTIFACTS:
            if section.is_set(key):
                section.error(f"`{key}` is not for artifacts; remove it or write `image:`", key=key)
    section.not_supported("secrets", "remove it")
    section.not_supported("network", "remove it; stages use the network of their pod")
    section.not_supported("sbom", "remove it")


def _base(section: Section, name: str, names: Names) -> tuple[str, bool]:
    given = [key for key in _FROM_KEYS if section.text(key)]
    if not given and section.is_collection(*_FROM_KEYS):
        return "", False
    if not given:
        section.error("does not say what it starts from; add `from: IMAGE`")
        return "", False
    if len(given) > 1:
        section.error(f"`{'` and `'.join(given)}` are both set; keep one of them", key=given[1])
    key = given[0]
    return _resolve(section, key, names, name)


def _resolve(section: Section, key: str, names: Names, name: str) -> tuple[str, bool]:
    value = section.text(key)
    if key == "fromArtifact":
        if value not in names.artifacts:
            section.error(names.unknown_artifact(value), key=key)
        return value, True
    if key == "from" and value == name:
        # werf: an image that starts from its own name means the registry's image of that name.
        return f"{value}:latest", False
    if value in names.all:
        return value, True
    if key == "from" and not is_reference(value):
        section.error(
            f"`from` is {shorten(value)}; write an image of a registry in small letters, such as"
            " `alpine:3.18`, or the name of an image of this config",
            key=key,
        )
    if key == "fromImage" and not has_tag_or_digest(value):
        section.error(
            f"{names.unknown_image(value)} (write `from` for an image of a registry)", key=key
        )
    return value, False


def _shell(section: Section) -> Shell | None:
    shell = section.section("shell", example="install: [make]")
    if shell is None:
        return None
    shell.only(*USER_STAGES, *VERSION_KEYS)
    commands = {stage: shell.texts(stage) for stage in USER_STAGES}
    cache_version, stage_versions = cache_versions(shell)
    return Shell(
        commands={stage: lines for stage, lines in commands.items() if lines},
        cache_version=cache_version,
        stage_cache_versions=stage_versions,
    )


def _mounts(section: Section) -> tuple[Mount, ...]:
    found: dict[str, Mount] = {}
    entries = section.sections("mount")
    if len(entries) > MAX_MOUNTS:
        section.error(f"has more than {MAX_MOUNTS} mounts", key="mount")
    for entry in entries[:MAX_MOUNTS]:
        mount = _mount(entry)
        if mount.to in found:
            entry.error(f"`to` is {shorten(mount.to)}, where another mount already is", key="to")
        found.setdefault(mount.to, mount)
    return tuple(found.values())


def _mount(section: Section) -> Mount:
    section.only("from", "fromPath", "to")
    source, path, to = (section.text(key) for key in ("from", "fromPath", "to"))
    if not is_absolute(to):
        said = f"is {shorten(to)}" if to else "is missing"
        section.error(f"`to` {said}; write an absolute path such as `/var/cache`", key="to")
    elif is_too_long(to):
        section.error(f"`to` {TOO_LONG}", key="to")
    if source and path:
        section.error("`from` and `fromPath` are both set; keep one of them", key="fromPath")
    elif not source and not path:
        section.error("does not say what is mounted; add `from: tmp_dir|build_dir` or `fromPath`")
    if source not in ("", "tmp_dir", "build_dir"):
        section.error(f"`from` is {shorten(source)}; write tmp_dir or build_dir", key="from")
    if source:
        return Mount(
            type="build_dir" if source == "build_dir" else "tmp_dir", to=clean(to), at=section.at
        )
    return Mount(type="custom_dir", to=clean(to), from_path=clean(path), at=section.at)


def _with_automatic_excludes(
    section: Section, mappings: tuple[GitMapping, ...], imports: tuple[Import, ...]
) -> tuple[tuple[GitMapping, ...], tuple[Import, ...]]:
    entries: tuple[GitMapping | Import, ...] = (*mappings, *imports)
    # With mistakes around, paths may be anything and the config is refused anyway.
    if section.report.invalid or not _few_enough(section, entries):
        return mappings, imports
    try:
        added = automatic_excludes([_export(entry) for entry in entries])
    except Conflict as conflict:
        _report_conflict(section, conflict, entries)
        return mappings, imports
    count = len(mappings)
    return (
        tuple(map(_excluding, mappings, added[:count])),
        tuple(map(_excluding, imports, added[count:])),
    )


def _excluding(entry: _Exported, added: tuple[str, ...]) -> _Exported:
    return replace(entry, exclude_paths=entry.exclude_paths + added)


def _few_enough(section: Section, entries: tuple[GitMapping | Import, ...]) -> bool:
    paths = sum(len(entry.include_paths) + len(entry.exclude_paths) for entry in entries)
    if len(entries) > MAX_EXPORTS or paths > MAX_EXPORT_PATHS:
        section.error(
            f"has {len(entries)} git mappings and imports with {paths} paths;"
            f" {MAX_EXPORTS} with {MAX_EXPORT_PATHS} paths are allowed"
        )
        return False
    return True


def _export(entry: GitMapping | Import) -> Export:
    return Export(to=entry.to, include_paths=entry.include_paths, exclude_paths=entry.exclude_paths)


def _report_conflict(
    section: Section, conflict: Conflict, entries: tuple[GitMapping | Import, ...]
) -> None:
    first, second = (entries[conflict.first], entries[conflict.second])
    section.report.error(
        second.at.line,
        f"{section.subject}: {_kind(second)} writes {shorten(conflict.path)} and so does {_kind(first)} of"
        f" line {first.at.line}; give them different targets or includePaths that do not overlap",
    )


def _kind(entry: GitMapping | Import) -> str:
    if isinstance(entry, Import):
        return f"the import of {shown(entry.image)}"
    return "the git mapping"
