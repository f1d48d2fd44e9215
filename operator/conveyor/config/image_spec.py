"""`imageSpec:` of an image and `build.imageSpec` → `ImageSpec`.

In: the section. Out: checked values, merged; mistakes go to the report. What cannot be part of an image config, or would break
the stage that is published (labels that belong to werf), is a mistake here, not at the end of a build.
Source: werf pkg/config/raw_image_spec.go, image_spec.go.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.dockerfile_values import check_signal, port_problems
from conveyor.config.dockerfile_words import ExpansionError, expand_word
from conveyor.config.expressions import Effort, Expression, ExpressionError
from conveyor.config.model_image_config import HealthSpec, ImageSpec
from conveyor.config.raw import Section, shorten

ESSENTIAL_LABELS: Final = (
    "werf",
    "werf-stage-content-digest",
    "werf.io/parent-stage-id",
    "werf-project-repo-commit",
)
"""Labels that no imageSpec removes or sets: without them a stage is not found again (werf: imageSpec)."""

MAX_PATTERNS: Final = 100
_OUTSIDE: Final = ("author", "clearHistory", "config")
_GLOBAL: Final = ("labels", "removeLabels", "keepEssentialWerfLabels")
_OWN: Final = (
    "cmd",
    "entrypoint",
    "env",
    "expose",
    "healthcheck",
    "stopSignal",
    "user",
    "volumes",
    "workingDir",
    "removeVolumes",
    "removeEnv",
    "clearCmd",
    "clearEntrypoint",
    "clearUser",
    "clearWorkingDir",
)
_CLEAR: Final[dict[str, Literal["cmd", "entrypoint", "user", "workingDir"]]] = {
    "clearCmd": "cmd",
    "clearEntrypoint": "entrypoint",
    "clearUser": "user",
    "clearWorkingDir": "workingDir",
}
_HEALTH: Final = ("test", "interval", "timeout", "startperiod", "retries")
_TESTS: Final = ("NONE", "CMD", "CMD-SHELL")
_DAY: Final = 24 * 3600
_MAX_RETRIES: Final = 1000
_TEMPLATE: Final = re.compile(r"%[ \t]*([A-Za-z_]\w*)[ \t]*%")


def image_spec(section: Section, general: ImageSpec | None, *, final: bool) -> ImageSpec | None:
    """Read `imageSpec` of an image.

    Args:
        section: The image's document.
        general: `build.imageSpec`, which final images get too.
        final: Whether the image is one.
    """
    own = section.section("imageSpec")
    found = _read(own, (*_GLOBAL, *_OWN)) if own is not None else None
    if general is None or not final:
        return found
    return merged(general, found or ImageSpec(at=general.at))


def general_spec(build: Section) -> ImageSpec | None:
    """Read `build.imageSpec`, which knows labels, author and history only."""
    section = build.section("imageSpec")
    return None if section is None else _read(section, _GLOBAL)


def merged(general: ImageSpec, own: ImageSpec) -> ImageSpec:
    """Return the spec of a final image: the general author and labels win, the rest is added."""
    added = tuple(one for one in general.remove_labels if one not in own.remove_labels)
    return replace(
        own,
        author=general.author or own.author,
        clear_history=general.clear_history or own.clear_history,
        keep_essential_labels=general.keep_essential_labels or own.keep_essential_labels,
        labels={**own.labels, **general.labels},
        remove_labels=own.remove_labels + added,
    )


def expand_labels(spec: ImageSpec, *, image: str, project: str) -> dict[str, str]:
    """Return the labels with `%image%` and `%project%` replaced, in names and values."""
    values = {"image": image, "project": project}

    def expand(text: str) -> str:
        return _TEMPLATE.sub(lambda found: values.get(found[1], found[0]), text)

    return {expand(name): expand(value) for name, value in sorted(spec.labels.items())}


def name_matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Return whether a name is one of the patterns: exactly, or found by `/EXPRESSION/` as `^EXPRESSION$`.

    What is returned raises UserError InvalidWerfConfig when an expression takes too long.
    """
    names = frozenset(one for one in patterns if not _is_expression(one))
    expressions = [(one, Expression(f"^{one[1:-1]}$")) for one in patterns if _is_expression(one)]
    effort = Effort()

    def found(pattern: str, expression: Expression, name: str) -> bool:
        try:
            return expression.found_in(name, effort)
        except ExpressionError as error:
            said = f"imageSpec: the expression {shorten(pattern)}: {error}"
            raise UserError(Reason.INVALID_WERF_CONFIG, said) from None

    return lambda name: name in names or any(found(*one, name) for one in expressions)


def _is_expression(pattern: str) -> bool:
    return len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/")


def _read(section: Section, keys: tuple[str, ...]) -> ImageSpec:
    section.only(*_OUTSIDE)
    outside = ImageSpec(
        author=section.text("author"),
        clear_history=section.flag("clearHistory") or False,
        at=section.at,
    )
    config = section.section("config")
    if config is None:
        return outside
    config.only(*keys)
    read = _labels(config, outside)
    return read if keys == _GLOBAL else _own(config, read)


def _labels(config: Section, spec: ImageSpec) -> ImageSpec:
    labels = config.table("labels")
    for name, value in labels.items():
        _check_label(config, name, value)
    return replace(
        spec,
        labels=labels,
        remove_labels=_patterns(config, "removeLabels"),
        keep_essential_labels=config.flag("keepEssentialWerfLabels") or False,
    )


def _own(config: Section, spec: ImageSpec) -> ImageSpec:
    return replace(
        spec,
        cmd=config.scalars("cmd"),
        entrypoint=config.scalars("entrypoint"),
        env=_env(config),
        expose=_expose(config),
        healthcheck=_health(config),
        stop_signal=config.checked_text("stopSignal", check_signal),
        user=config.text("user"),
        volumes=_checked(config, "volumes", _absolute),
        working_dir=config.checked_text("workingDir", _absolute),
        remove_volumes=config.scalars("removeVolumes"),
        remove_env=_patterns(config, "removeEnv"),
        clear=frozenset(what for key, what in _CLEAR.items() if config.flag(key)),
    )


def _check_label(config: Section, name: str, value: str) -> None:
    if not name or name in ESSENTIAL_LABELS:
        config.error(
            f"`labels` sets {shorten(name)}, which belongs to the stage itself; take another name",
            key="labels",
        )
    for text in (name, value):
        for word in _TEMPLATE.findall(text):
            if word not in ("image", "project"):
                config.error(
                    f"`labels` has `%{word}%`; there are %image% and %project% only", key="labels"
                )


def _patterns(config: Section, key: str) -> tuple[str, ...]:
    patterns = config.scalars(key)
    if len(patterns) > MAX_PATTERNS:
        config.error(f"`{key}` has {len(patterns)} entries; {MAX_PATTERNS} are allowed", key=key)
        return ()
    for pattern in patterns:
        try:
            name_matcher((pattern,))
        except ExpressionError as error:
            config.error(
                f"`{key}` has {shorten(pattern)}, not a regular expression: {error}", key=key
            )
            return ()
    return patterns


def _env(config: Section) -> dict[str, str]:
    env = config.table("env")
    for name, value in env.items():
        if not name or "=" in name:
            config.error(f"`env` has the name {shorten(name)}; a name has no `=`", key="env")
        try:
            # Whether ${NAME?} is set is known when the image is; all other mistakes are known now.
            expand_word(value.replace("?", "-"), {})
        except ExpansionError as error:
            config.error(
                f"`env.{name}` is {shorten(value)}: {error}; write \\$ for a dollar sign"
                " and quotes in pairs",
                key="env",
            )
    return env


def _checked(config: Section, key: str, check: Callable[[str], object]) -> tuple[str, ...]:
    found = config.scalars(key)
    for one in found:
        try:
            check(one)
        except ValueError as error:
            config.error(f"`{key}`: {error}", key=key)
    return found


def _absolute(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError(f"{shorten(path)} is not absolute; write it with a leading slash")


def _expose(config: Section) -> tuple[str, ...]:
    words = config.scalars("expose")
    for problem in port_problems(words):
        config.error(f"`expose`: {problem}", key="expose")
    return words


def _health(config: Section) -> HealthSpec | None:
    section = config.section("healthcheck")
    if section is None:
        return None
    section.only(*_HEALTH)
    test = section.scalars("test")
    if test and test[0] not in _TESTS:
        section.error(
            f"`test` begins with {shorten(test[0])}; write [NONE], [CMD, …] or [CMD-SHELL, …]",
            key="test",
        )
    return HealthSpec(
        test=test,
        interval=section.number("interval", most=_DAY),
        timeout=section.number("timeout", most=_DAY),
        start_period=section.number("startperiod", most=_DAY),
        retries=section.number("retries", most=_MAX_RETRIES),
    )
