"""What each stage of a stapel image depends on, as named arguments.

In: the image, its mappings at their commits, answers. Out: the `StageDependencies` argument of a stage
digest, with its parts (werf: GetDependencies), and nextStageDependencies. Patches and import checksums come as
arguments: asking for them is the walk's business.
"""

import posixpath
from collections.abc import Iterable, Mapping, Sequence

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import Mount, StapelImage, UserStageName
from conveyor.config.model_image_config import DockerInstructions, HealthSpec, ImageSpec
from conveyor.plan.answers import BaseImage
from conveyor.plan.digest import hashed, named, params_component, sha256_args, sha256_concat
from conveyor.plan.inquiry import Inquiry
from conveyor.plan.mappings import MappingCommit
from conveyor.plan.model import Component
from conveyor.plan.model_sources import PlannedDependency, PlannedImport
from conveyor.plan.questions import BaseImageInfo
from conveyor.plan.stages import GIT_STAGES, GIT_USER_STAGES, commands_of, tasks_of, versions_of

SCRATCH = "scratch"
PATCH_UNIT = 1024 * 1024
"""Bytes of patch from which gitCache exists, and the step in which its digest changes."""

_LABEL = "StageDependencies"


def from_dependencies(
    image: StapelImage, *, base: str, build_cache_version: str, base_id: str = ""
) -> Component:
    """Return what `from` depends on.

    Args:
        image: The image.
        base: `scratch`, the content digest of an internal base, or the reference as written.
        build_cache_version: `build.cacheVersion`, which the image's own replaces.
        base_id: Image id of the base in its registry, only with `fromLatest`.
    """
    optional = (
        ("CacheVersion", image.cache_version or build_cache_version),
        ("FromCacheVersion", image.from_cache_version),
        ("BaseImageID", base_id),
    )
    parts = [named(label, value) for label, value in optional if value]
    parts += [part for mount in image.mounts for part in _mount(mount)]
    return hashed(_LABEL, [*parts, named("Base", base)])


def latest_base(image: StapelImage, platform: str, inquiry: Inquiry) -> BaseImage | None:
    """Return the base image as it is in its registry now, None unless `fromLatest` asks for it.

    Raises:
        Waiting: Nobody has looked it up yet.
        UserError: It has no id.
    """
    if not image.from_latest or image.base_internal or image.base == SCRATCH:
        return None
    found = inquiry.need(BaseImageInfo(reference=image.base, platform=platform), BaseImage)
    if not found.id:
        raise UserError(Reason.NOT_SUPPORTED, f"{image.at}: fromLatest: the base image has no id")
    return found


def user_dependencies(
    image: StapelImage,
    stage: UserStageName,
    mappings: Sequence[MappingCommit],
    inquiry: Inquiry,
) -> Component:
    """Return what a user stage depends on: its commands, and the files it declares to depend on."""
    builder = _builder(image, stage)
    if stage not in GIT_USER_STAGES:
        return Component(label=_LABEL, value=builder.value, parts=builder.parts)
    files = [_declared_files(item, stage, inquiry) for item in mappings]
    return hashed(_LABEL, [builder, hashed("GitMappingsStageDependencies", files)])


def archive_dependencies(mappings: Iterable[MappingCommit]) -> Component:
    """Return what `gitArchive` depends on: which mappings there are, not what they contain."""
    hashes = (params_component(item.mapping) for item in mappings)
    return hashed(_LABEL, sorted(hashes, key=lambda component: component.value))


def cache_dependencies(size: int) -> Component:
    """Return what `gitCache` depends on: the size of the patch in whole MiB."""
    return hashed(_LABEL, [named("PatchSizeMiB", str(size // PATCH_UNIT))])


def patch_dependencies(texts: Iterable[str]) -> Component:
    """Return what `gitLatestPatch` depends on: the text of each mapping's patch, "" if unchanged."""
    return hashed(_LABEL, [named("Patch", text) for text in texts])


def import_dependencies(
    imports: Iterable[PlannedImport], dependencies: Iterable[PlannedDependency] = ()
) -> Component:
    """Return what a `dependencies*` stage depends on: the files and where they go, images and what names them."""
    parts: list[Component] = []
    for item in imports:
        of = item.import_
        values = (
            ("ImportChecksum", item.checksum),
            ("To", of.to),
            ("Group", of.group),
            ("Owner", of.owner),
        )
        parts += [named(label, value) for label, value in values]
    parts += [part for item in dependencies for part in _dependency(item)]
    return hashed(_LABEL, parts)


def instructions_dependencies(docker: DockerInstructions) -> Component:
    """Return what `dockerInstructions` depends on; unset values count as empty text."""
    parts = [named("ExactValues", "exact-values:::")] if docker.exact_values else []
    parts += [named("Volume", value) for value in docker.volumes]
    parts += [named("Expose", value) for value in docker.expose]
    parts += [*_pairs("Env", docker.env), *_pairs("Label", docker.labels)]
    last = (
        ("Cmd", docker.cmd),
        ("Entrypoint", docker.entrypoint),
        ("Workdir", docker.workdir),
        ("User", docker.user),
        ("HealthCheck", docker.healthcheck),
    )
    return hashed(_LABEL, [*parts, *(named(label, value) for label, value in last)])


def spec_dependencies(spec: ImageSpec) -> Component:
    """Return what `imageSpec` depends on: all of it, labels with their templates (werf-semantics 4.8)."""
    cleared = ("cmd", "entrypoint", "user", "workingDir")
    parts = [
        named("Author", spec.author),
        named("ClearHistory", _flag(spec.clear_history)),
        named("Cmd", " ".join(spec.cmd)),
        named("Entrypoint", " ".join(spec.entrypoint)),
        *_pairs("Env", spec.env),
        *_sorted("Expose", spec.expose),
        named("Healthcheck", _health(spec.healthcheck)),
        *_pairs("Label", spec.labels),
        named("StopSignal", spec.stop_signal),
        named("User", spec.user),
        *_sorted("Volume", spec.volumes),
        named("WorkingDir", spec.working_dir),
        *_sorted("RemoveLabel", spec.remove_labels),
        *_sorted("RemoveVolume", spec.remove_volumes),
        *_sorted("RemoveEnv", spec.remove_env),
        named("KeepEssentialWerfLabels", _flag(spec.keep_essential_labels)),
        *(named(f"Clear {what}", _flag(what in spec.clear)) for what in cleared),
    ]
    return hashed(_LABEL, parts)


def next_dependencies(stage: str, commits: Iterable[str]) -> str:
    """Return what a stage hands to the digest of its successor: the commits it carries."""
    return sha256_args(*sorted(commits)) if stage in GIT_STAGES else ""


def _builder(image: StapelImage, stage: UserStageName) -> Component:
    """The builder checksum; commands count as raw text, blanks and comments included, tasks as JSON."""
    parts = [named("Command", command) for command in commands_of(image, stage)]
    parts += [named("Task", task) for task in tasks_of(image, stage)]
    versions = versions_of(image, stage)
    if versions:
        parts.append(hashed("CacheVersion", [named("Version", value) for value in versions]))
    return hashed("BuilderChecksum", parts)


def _declared_files(item: MappingCommit, stage: str, inquiry: Inquiry) -> Component:
    """Checksum of a mapping's `stageDependencies`; a glob that matches nothing adds nothing."""
    globs = item.mapping.stage_dependencies.get(stage, ())
    parts = [named(glob, inquiry.need(item.checksum(glob), str)) for glob in globs]
    value = sha256_concat(*(part.value for part in parts)) if globs else ""
    return Component(label=f"git.add: /{item.mapping.add}", value=value, parts=tuple(parts))


def _mount(mount: Mount) -> list[Component]:
    return [
        named("MountFrom", posixpath.normpath(mount.from_path)),
        named("MountTo", posixpath.normpath(mount.to)),
        named("MountType", mount.type),
    ]


def _flag(value: object) -> str:
    return "true" if value else "false"


def _health(health: HealthSpec | None) -> str:
    """What Go prints for the pointer."""
    if health is None:
        return "<nil>"
    numbers = (health.interval, health.timeout, health.start_period, health.retries)
    return f"&{{[{' '.join(health.test)}] {' '.join(map(str, numbers))}}}"


def _sorted(label: str, values: Iterable[str]) -> list[Component]:
    return [named(label, value) for value in sorted(values)]


def _dependency(item: PlannedDependency) -> list[Component]:
    """Only the reference is hashed: it stands for all values."""
    parts = [named("Dependency", "Dependency"), named("ImageName", item.reference)]
    for handed in item.dependency.imports:
        words = ("Type", handed.type, "TargetEnv", handed.target)
        parts.append(named("DependencyImport", "DependencyImport"))
        parts.append(hashed("DependencyImportID", [named("Part", word) for word in words]))
    return parts


def _pairs(label: str, values: Mapping[str, str]) -> list[Component]:
    ordered = sorted(values.items())
    return [named(label, text) for pair in ordered for text in pair]
