"""The rendered text of werf.yaml → `WerfConfig`, or one error that lists what is wrong with line numbers.

In: text. Out: a config whose references are resolved and whose defaults are filled in. Nothing is read from outside;
giterminism permissions are checked separately (`conveyor.config.giterminism.check_policy`).
Source of the rules: werf pkg/config; every section of the file has a module of its own.
"""

from dataclasses import dataclass
from typing import Final, Literal

from conveyor.config.dockerfile_image import dockerfile_images
from conveyor.config.documents import Document, split
from conveyor.config.meta import meta as read_meta
from conveyor.config.model import Image, Meta, WerfConfig
from conveyor.config.names import NAMELESS, Names, shown
from conveyor.config.raw import Section, describe, shorten
from conveyor.config.relations import check_cycles, check_names, check_platforms
from conveyor.config.report import Report
from conveyor.config.stapel import stapel_images
from conveyor.config.yaml import MAX_NODES, Mapping, Node, Scalar, Sequence, YamlError, load

MAX_TEXT: Final = 8_000_000
MAX_IMAGES: Final = 5000
MAX_DOCUMENTS: Final = 20_000
MAX_NAME: Final = 255

Kind = Literal["meta", "dockerfile", "image", "artifact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A document whose kind and names are known."""

    kind: Kind
    section: Section
    names: tuple[str, ...] = ()


def parse(text: str, *, file: str = "werf.yaml", project_dir: str = "") -> WerfConfig:
    """Read a rendered config.

    Args:
        text: The rendered text.
        file: Name to show in errors.
        project_dir: Directory of the file inside the repository, "" for its root.

    Raises:
        UserError: InvalidWerfConfig with up to 10 mistakes, one a line; NotSupported when the config is right but
            uses what cannot be built yet.
    """
    report = Report(file=file)
    drafts = _drafts(text, report)
    meta = _meta(drafts, report)
    names = Names(
        images=_names(drafts, "image", "dockerfile"), artifacts=_names(drafts, "artifact")
    )
    # A document that could not be read hides names, so references are not judged then.
    report.raise_invalid()
    images = tuple(image for draft in drafts for image in _images(draft, names, meta))
    check_names(images, report)
    report.raise_invalid()
    check_cycles(images, report)
    check_platforms(images, report)
    report.raise_any()
    return WerfConfig(meta=meta, images=images, project_dir=project_dir)


def _drafts(text: str, report: Report) -> list[_Draft]:
    if len(text) > MAX_TEXT:
        report.error(0, f"the rendered config has {len(text)} characters; {MAX_TEXT} are allowed")
        return []
    if text.count("\n---") > MAX_DOCUMENTS:
        report.error(0, f"the config has more than {MAX_DOCUMENTS} sections")
        return []
    drafts: list[_Draft] = []
    nodes = 0
    for document in split(text):
        draft = _draft(document, report)
        if draft is not None:
            drafts.append(draft)
            nodes += draft.section.node.weight
        if nodes > MAX_NODES:
            report.error(document.line, f"more than {MAX_NODES} YAML nodes in all sections")
            break
    _check_count(drafts, report)
    return drafts


def _check_count(drafts: list[_Draft], report: Report) -> None:
    count = sum(len(draft.names) for draft in drafts)
    if count > MAX_IMAGES:
        report.error(0, f"the config describes {count} images; {MAX_IMAGES} are allowed")


def _draft(document: Document, report: Report) -> _Draft | None:
    try:
        node = load(document.text, first_line=document.line)
    except YamlError as error:
        report.error(error.line, error.message)
        return None
    if node is None:
        return None
    if not isinstance(node, Mapping):
        report.error(
            node.line, f"the section is {describe(node)}; it has to be a mapping of keys to values"
        )
        return None
    return _classify(Section(node, report))


def _classify(section: Section) -> _Draft | None:
    kind = _kind(section)
    if kind is None:
        section.error(f"cannot recognize the section; {_what_is_missing(section)}")
        return None
    if kind == "meta":
        return _Draft(kind=kind, section=section)
    names = _own_names(section, kind)
    word = "artifact" if kind == "artifact" else "image"
    section.subject = f"{word} {shown(names[0])}" if names else word
    return _Draft(kind=kind, section=section, names=names)


def _kind(section: Section) -> Kind | None:
    if section.has("configVersion"):
        return "meta"
    if section.has("dockerfile"):
        return "dockerfile"
    if section.is_set("artifact"):
        return "artifact"
    return "image" if section.has("image") else None


def _what_is_missing(section: Section) -> str:
    if section.has("project"):
        return "add `configVersion: 1` to the meta section"
    if section.has("artifact"):
        return "write the name of the artifact after `artifact:`"
    if section.has("from"):
        return "add `image: NAME` to it"
    return "write `configVersion: 1` in the meta section, `image: NAME` or `artifact: NAME` in the others"


def _own_names(section: Section, kind: Kind) -> tuple[str, ...]:
    if kind == "artifact":
        if section.has("image"):
            section.error("`image` and `artifact` are both set; keep one of them", key="image")
        name = section.text("artifact")
        named = isinstance(section.node.entries["artifact"].value, Scalar)
        return (name,) if named and _is_name(section, name, "artifact") else ()
    if not section.has("image"):
        section.error(
            "a section with `dockerfile` needs a name; add `image: NAME`", key="dockerfile"
        )
        return ()
    return _image_names(section, section.node.entries["image"].value, kind)


def _image_names(section: Section, node: Node, kind: Kind) -> tuple[str, ...]:
    items = node.items if isinstance(node, Sequence) else [node]
    names: list[str] = []
    for item in items:
        if isinstance(item, Scalar) and item.value is None and item is node:
            if kind == "dockerfile":
                section.error(
                    "an image with a Dockerfile needs a name; write it after `image:`", key="image"
                )
            names.append(NAMELESS)
        elif not isinstance(item, Scalar) or not isinstance(item.value, str):
            section.report.error(
                item.line,
                f"an image name cannot be {describe(item)}; write a text, quoted if need be",
            )
        elif _is_name(section, item.text):
            names.append(item.text)
    if not items:
        section.error("the list of image names is empty; write at least one", key="image")
    return tuple(names)


def _is_name(section: Section, name: str, key: str = "image") -> bool:
    if not name or len(name) > MAX_NAME or not name.isprintable():
        section.error(
            f"{shorten(name)} cannot be a name; write 1 to {MAX_NAME} printable characters",
            key=key,
        )
        return False
    return True


def _names(drafts: list[_Draft], *kinds: Kind) -> frozenset[str]:
    return frozenset(name for draft in drafts if draft.kind in kinds for name in draft.names)


def _meta(drafts: list[_Draft], report: Report) -> Meta:
    sections = [draft.section for draft in drafts if draft.kind == "meta"]
    if not sections:
        if not report.invalid:
            report.error(
                0,
                "the meta section is missing; add `configVersion: 1` and `project: NAME`, then a line `---`",
            )
        return Meta(project="")
    for section in sections[1:]:
        section.error(f"a second meta section; the first one is in line {sections[0].line}")
    return read_meta(sections[0])


def _images(draft: _Draft, names: Names, meta: Meta) -> tuple[Image, ...]:
    if draft.kind == "meta":
        return ()
    if draft.kind == "dockerfile":
        return dockerfile_images(draft.section, draft.names, names, meta)
    return stapel_images(draft.section, draft.names, names, meta)
