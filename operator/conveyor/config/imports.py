"""`import:` and `dependencies:` of an image → `Import`s and `Dependency`s.

In: the sections of the lists and the declared names. Out: values without automatic excludes; mistakes go to the report.
Source: werf pkg/config/raw_import.go, import.go, dependency.go.
"""

import re
from typing import Final, Literal, cast, get_args

from conveyor.config.mappings import EXPORT_KEYS, paths_of
from conveyor.config.model import USER_STAGES, Dependency, DependencyImport, Import, When
from conveyor.config.names import Names, has_tag_or_digest
from conveyor.config.raw import Section, shorten

DependencyType = Literal["ImageName", "ImageTag", "ImageRepo", "ImageDigest", "ImageID"]
_TYPES: Final = get_args(DependencyType)
_WHEN: Final = ("install", "setup")
MAX_VALUES: Final = 500
MAX_TARGET: Final = 255
_TARGET: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_TARGET}}}\Z")


def imports_of(section: Section, names: Names) -> tuple[Import, ...]:
    """Read `import:` of a stapel image."""
    return tuple(_import(entry, names) for entry in section.sections("import"))


def _import(section: Section, names: Names) -> Import:
    section.only(*EXPORT_KEYS, "image", "from", "artifact", "before", "after", "stage")
    image, external, artifact = _source(section, names)
    before, after = _when(section)
    add = section.text("add")
    paths = paths_of(section, add=add, to=section.text("to") or add)
    if add and paths.add == "/" and not paths.include_paths:
        section.error("`add: /` imports a whole image; name the parts in `includePaths`", key="add")
    return Import(
        image=image,
        external=external,
        artifact=artifact,
        stage=_stage(section),
        before=before,
        after=after,
        add=paths.add,
        to=paths.to,
        include_paths=paths.include_paths,
        exclude_paths=paths.exclude_paths,
        owner=paths.owner,
        group=paths.group,
        at=section.at,
    )


def _one_of(section: Section, keys: tuple[str, ...], what: str) -> str:
    """Return the key that names the source; note a mistake unless there is exactly one."""
    given = [key for key in keys if section.text(key)]
    if len(given) > 1:
        section.error(f"`{'` and `'.join(given)}` are both set; keep one of them", key=given[1])
    if not given and not section.is_collection(*keys):
        section.error(f"names no {what}; add `image: NAME`")
    return given[0] if given else ""


def _source(section: Section, names: Names) -> tuple[str, bool, bool]:
    key = _one_of(section, ("image", "from", "artifact"), "source")
    name = section.text(key)
    if key == "artifact":
        if name not in names.artifacts:
            section.error(names.unknown_artifact(name), key=key)
        return name, False, True
    external = has_tag_or_digest(name)
    if name and not external and name not in names.all:
        hint = names.unknown_image(name)
        section.error(f"{hint} (an image of a registry needs its tag or digest)", key=key)
    return name, external, False


def _stage(section: Section) -> str:
    stage = section.text("stage")
    if stage and stage not in USER_STAGES:
        section.error(
            f"`stage` is {shorten(stage)}; write one of {', '.join(USER_STAGES)}", key="stage"
        )
    return stage


def _when(section: Section) -> tuple[When, When]:
    before, after = section.text("before"), section.text("after")
    if before and after:
        section.error("`before` and `after` are both set; keep one of them", key="after")
    if not before and not after and not section.is_collection("before", "after"):
        section.error(
            "does not say when it happens; add `before: install|setup` or `after: install|setup`"
        )
    for key, value in (("before", before), ("after", after)):
        if value and value not in _WHEN:
            section.error(f"`{key}` is {shorten(value)}; write install or setup", key=key)
    return _as_when(before), _as_when(after)


def _as_when(value: str) -> When:
    return cast("When", value) if value in _WHEN else ""


def dependencies_of(section: Section, names: Names, *, stapel: bool) -> tuple[Dependency, ...]:
    """Read `dependencies:`; a stapel image says when and sets env variables, a Dockerfile image sets build args."""
    target = "targetEnv" if stapel else "targetBuildArg"
    found = tuple(
        _dependency(entry, names, stapel=stapel, target=target)
        for entry in section.sections("dependencies")
    )
    _unique_targets(section, found, target)
    count = sum(len(dependency.imports) for dependency in found)
    if count > MAX_VALUES:
        section.error(f"takes {count} values of other images; {MAX_VALUES} are allowed")
    return found


def _unique_targets(section: Section, found: tuple[Dependency, ...], target: str) -> None:
    seen: set[str] = set()
    for dependency in found:
        for item in dependency.imports:
            if item.target and item.target in seen:
                section.report.error(
                    dependency.at.line,
                    f"{section.subject}: {target} {shorten(item.target)} is set twice; every name can be set once",
                )
            seen.add(item.target)


def _dependency(section: Section, names: Names, *, stapel: bool, target: str) -> Dependency:
    section.only("image", "from", "before", "after", "imports")
    key = _one_of(section, ("image", "from"), "image")
    name = section.text(key)
    if name and name not in names.all:
        section.error(names.unknown_image(name), key=key)
    before, after = _when(section) if stapel else _never(section)
    return Dependency(
        image=name,
        before=before,
        after=after,
        imports=tuple(_handed_over(entry, target) for entry in section.sections("imports")),
        at=section.at,
    )


def _never(section: Section) -> tuple[When, When]:
    for key in ("before", "after"):
        if section.text(key):
            section.error(f"`{key}` is only for stapel images; remove it", key=key)
    return "", ""


def _handed_over(section: Section, target: str) -> DependencyImport:
    section.only("type", "targetEnv", "targetBuildArg")
    kind = section.text("type")
    if kind not in _TYPES:
        said = f"is {shorten(kind)}" if kind else "is missing"
        section.error(f"`type` {said}; write one of {', '.join(_TYPES)}", key="type")
    other = "targetBuildArg" if target == "targetEnv" else "targetEnv"
    if section.text(other):
        section.error(f"`{other}` is for the other kind of image; write `{target}`", key=other)
    elif not section.text(target):
        section.error(f"`{target}` is missing; name what receives the value")
    elif not _TARGET.match(section.text(target)):
        section.error(
            f"`{target}` is {shorten(section.text(target))}; write up to {MAX_TARGET} letters, digits,"
            " `_`, `.` and `-`",
            key=target,
        )
    type_ = cast("DependencyType", kind) if kind in _TYPES else "ImageName"
    return DependencyImport(type=type_, target=section.text(target))
