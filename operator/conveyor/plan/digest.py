"""The hashes of werf, as pure functions over named arguments.

In: arguments as `Component`s. Out: hex digests, byte for byte those of werf 1.2 and 2.x
(BuildCacheVersion 1.2). Which arguments a stage has is decided in `conveyor.plan.dependencies`.
Text is hashed as UTF-8; surrogate-escaped bytes (git output) are hashed as the bytes they stand for.
"""

import hashlib
from collections.abc import Iterable, Sequence

from conveyor.config.model import GitMapping, Import
from conveyor.plan.answers import ContentDigest, StageDigest
from conveyor.plan.model import Component

BUILD_CACHE_VERSION = "1.2"
DEFAULT_PLATFORM = "linux/amd64"
OWN_REPOSITORY = "own"

MAPPING = "git.to: "
"""What the label of a git mapping's paramshash begins with."""

_SEPARATOR = ":::"
# Renamed stages keep their old names in the stage digest, never in the content digest.
_LEGACY_NAMES = {
    "dependenciesBeforeInstall": "importsBeforeInstall",
    "dependenciesAfterInstall": "importsAfterInstall",
    "dependenciesBeforeSetup": "importsBeforeSetup",
    "dependenciesAfterSetup": "importsAfterSetup",
}


def sha256_args(*args: str) -> str:
    """Return SHA-256 (64 hex) over the arguments joined with `:::`."""
    return hashlib.sha256(_encode(_SEPARATOR.join(args))).hexdigest()


def sha256_concat(*parts: str) -> str:
    """Return SHA-256 (64 hex) over the parts without a separator."""
    return hashlib.sha256(_encode("".join(parts))).hexdigest()


def sha3_args(*args: str) -> str:
    """Return SHA3-224 (56 hex) over the arguments joined with `:::`."""
    return hashlib.sha3_224(_encode(_SEPARATOR.join(args))).hexdigest()


def legacy_name(stage: str) -> str:
    """Return the name under which a stage enters its digest."""
    return _LEGACY_NAMES.get(stage, stage)


def hashed_name(stage: str) -> str:
    """Return the name without the number that tells the instructions of a staged Dockerfile apart."""
    return stage.rstrip("0123456789")


def named(label: str, value: str) -> Component:
    """Return a plain named argument."""
    return Component(label=label, value=value)


def hashed(label: str, parts: Sequence[Component]) -> Component:
    """Return an argument that is itself the SHA-256 of named arguments."""
    return Component(
        label=label, value=sha256_args(*(part.value for part in parts)), parts=tuple(parts)
    )


def stage_components(
    *,
    stage: str,
    dependencies: Component,
    previous: tuple[StageDigest, str] | None,
    platform: str = DEFAULT_PLATFORM,
    base_image: str = "",
) -> tuple[Component, ...]:
    """Return the named arguments of a stage digest, in hash order.

    Args:
        stage: Real stage name.
        dependencies: What the stage depends on, hashed.
        previous: Digest and nextStageDependencies of the previous non-empty stage of the image.
        platform: `linux/amd64` is not hashed.
        base_image: Reference that the first stage of a staged Dockerfile is bound to.
    """
    components = [named("Platform", platform)] if platform != DEFAULT_PLATFORM else []
    components += [
        named("BuildCacheVersion", BUILD_CACHE_VERSION),
        named("StageName", legacy_name(stage)),
        dependencies,
    ]
    if previous is not None:
        components += [
            named("PrevNonEmptyStage digest", previous[0]),
            named("PrevNonEmptyStage dependencies for next stage", previous[1]),
        ]
    if base_image:
        components.append(named("BaseImage", base_image))
    return tuple(components)


def stage_digest(components: Iterable[Component]) -> StageDigest:
    """Return the key under which a stage is stored and found (56 hex)."""
    return StageDigest(sha3_args(*(component.value for component in components)))


def content_digest(
    *, stage: str, digest: StageDigest, next_dependencies: str, platform: str = DEFAULT_PLATFORM
) -> ContentDigest:
    """Return what stands for the content of a stage that is about to be built (56 hex).

    Of a stored stage it is read from the label: the stored one may carry an older commit.
    """
    args = [platform] if platform != DEFAULT_PLATFORM else []
    args += [BUILD_CACHE_VERSION, f"{stage}-content", "", digest, next_dependencies]
    return ContentDigest(sha3_args(*args))


def paramshash(mapping: GitMapping) -> str:
    """Return the identity of a git mapping (64 hex): part of label names and of gitArchive's digest."""
    return params_component(mapping).value


def params_component(mapping: GitMapping) -> Component:
    """Return the identity of a git mapping with what it is made of; items of a list have no separator, as in werf."""
    remote = mapping.remote
    parts = (
        named("Repository", f"{mapping.name}_{mapping.name}"),
        named("To", mapping.to),
        named("Add", mapping.add),
        named("IncludePaths", "".join(mapping.include_paths)),
        named("ExcludePaths", "".join(mapping.exclude_paths)),
        named("Owner", mapping.owner),
        named("Group", mapping.group),
        named("Branch", remote.branch if remote else ""),
        named("Tag", remote.tag if remote else ""),
        named("Commit", remote.commit if remote else ""),
    )
    value = sha256_concat(_SEPARATOR.join(part.value for part in parts))
    return Component(label=f"{MAPPING}{mapping.to}", value=value, parts=parts)


def import_id(import_: Import) -> str:
    """Return werf's importID (64 hex): the suffix of the import's labels."""
    return sha256_args(
        *("ImageName", "" if import_.artifact else import_.image),
        *("ArtifactName", import_.image if import_.artifact else ""),
        *("Stage", import_.stage, "After", import_.after, "Before", import_.before),
        *("Add", import_.add, "To", import_.to),
        *("Group", import_.group, "Owner", import_.owner),
        *("IncludePaths", "///".join(import_.include_paths)),
        *("ExcludePaths", "///".join(import_.exclude_paths)),
    )


def import_source_id(import_: Import, source: str) -> str:
    """Return werf's importSourceID (64 hex): the key of the import's record.

    Args:
        import_: What is imported.
        source: Content digest of the source stage, or `external-image:REFERENCE`.
    """
    return sha256_args(
        *("SourceImageContentDigest", source, "Add", import_.add),
        *("IncludePaths", "///".join(import_.include_paths)),
        *("ExcludePaths", "///".join(import_.exclude_paths)),
    )


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
