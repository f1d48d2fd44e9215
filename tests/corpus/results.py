"""What a build gave, in a form that is kept as data and compared.

In: image configs and file trees. Out: `Result`: the fields of the config that a Dockerfile can set, and one line of text for each
path in which the tree differs from that of the base image. What another day's base image changes is not in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.corpus.layers import Entry, Tree

Json = dict[str, object]

FIELDS = (
    *("Env", "Cmd", "Entrypoint", "WorkingDir", "User", "Volumes", "Labels", "ExposedPorts"),
    *("Healthcheck", "StopSignal", "Shell", "OnBuild"),
)
_WERF = "werf"
# Earlier times were chosen by somebody, later ones are of the build or of the context.
_CHOSEN_BEFORE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An image.

    Attributes:
        config: Of `FIELDS` those that are not empty.
        files: Path to what is there, as text; `gone` where the base image has something and this image has not.
    """

    config: Json = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> Json:
        return {"config": self.config, "files": self.files}


def from_json(value: Mapping[str, object]) -> Result:
    """Read what `Result.to_json` wrote."""
    config, files = value["config"], value["files"]
    assert isinstance(config, dict)
    assert isinstance(files, dict)
    return Result(config=config, files=files)


def result_of(config: Mapping[str, object], tree: Tree, base: Tree) -> Result:
    """The result of an image.

    Args:
        config: The part `config` of its image config.
        tree: Its files.
        base: The files of the base image that most cases begin with.
    """
    names = _content_names(base)
    base_lines = _lines(base, names)
    lines = _lines(tree, names)
    if not base.keys() & tree.keys() - {""}:
        return Result(config=_config(config), files=lines)  # from scratch
    files = {path: line for path, line in lines.items() if base_lines.get(path) != line}
    files |= dict.fromkeys(base_lines.keys() - lines.keys(), "gone")
    return Result(config=_config(config), files=dict(sorted(files.items())))


def differences(left: Result, right: Result) -> list[str]:
    """One line for each field and path that is not equal: `config.Env: … != …`, `/path: … != …`."""
    found = [
        f"config.{name}: {left.config.get(name)!r} != {right.config.get(name)!r}"
        for name in FIELDS
        if left.config.get(name) != right.config.get(name)
    ]
    for path in sorted(left.files.keys() | right.files.keys()):
        one, other = left.files.get(path, "as in base"), right.files.get(path, "as in base")
        if one != other:
            found.append(f"/{path}: {one} != {other}")
    return found


def _config(config: Mapping[str, object]) -> Json:
    values = {name: config.get(name) for name in FIELDS}
    labels = values["Labels"]
    if isinstance(labels, dict):
        values["Labels"] = {k: v for k, v in labels.items() if not k.startswith(_WERF)}
    return {name: value for name, value in values.items() if value}


def _content_names(base: Tree) -> dict[str, str]:
    """Contents of the base image have names instead of digests: those are others with the next base image."""
    files = sorted((path, entry) for path, entry in base.items() if entry.size)
    return {entry.sha256: path for path, entry in reversed(files)}


def _lines(tree: Tree, names: Mapping[str, str]) -> dict[str, str]:
    groups = _groups(tree)
    return {
        path: " ".join(_words(entry, groups.get(id(entry), ()), names))
        for path, entry in sorted(tree.items())
        if path
    }


def _groups(tree: Tree) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for path, entry in sorted(tree.items()):
        found.setdefault(id(entry), []).append(path)
    return {key: tuple(paths) for key, paths in found.items() if len(paths) > 1}


def _words(entry: Entry, links: Iterable[str], names: Mapping[str, str]) -> Iterable[str]:
    yield entry.kind
    if entry.kind != "link":
        yield f"{entry.mode:04o}"
    yield f"{entry.uid}:{entry.gid}"
    if entry.kind == "file":
        known = names.get(entry.sha256)
        yield f"content-of:/{known}" if known else f"{entry.size} {entry.sha256[:16]}"
    if entry.link:
        yield f"-> {entry.link}"
    if entry.kind in ("char", "block"):
        yield f"device {entry.device[0]},{entry.device[1]}"
    yield from (
        f"xattr {name}={value.encode('utf-8', 'surrogateescape').hex()}"
        for name, value in entry.xattrs
    )
    if links:
        yield f"same as {', '.join(links)}"
    if entry.mtime < _CHOSEN_BEFORE:
        yield f"time {entry.mtime}"
