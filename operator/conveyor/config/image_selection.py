"""Names and patterns of images → the images of a config that they mean, in the order of the config.

In: a config and patterns as on werf's command line: `*`, `?`, `[a-z]`, `!pattern` to leave out. Out: names.
Source: werf pkg/config/images_to_process.go.
"""

import re
from collections.abc import Iterable
from typing import Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import WerfConfig
from conveyor.config.names import NAMELESS
from conveyor.config.near import near
from conveyor.config.raw import shorten

REASON: Final = Reason.INVALID_SPEC
LONGEST_PATTERN: Final = 100


def select_images(config: WerfConfig, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the images that the patterns select; no pattern selects all final and other images.

    An image that is named exactly is kept even when a `!pattern` matches it; `~` names the nameless image.

    Raises:
        UserError: InvalidSpec: a pattern is not allowed, a positive one matches nothing, or nothing is left.
    """
    everything = [image.name for image in config.images]
    given = tuple(names)
    patterns = tuple(_real(name, everything) for name in given)
    for pattern in patterns:
        _check(pattern)
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    refused = [_expression(pattern[1:]) for pattern in patterns if pattern.startswith("!")]
    included = _included(wanted, everything) if wanted else set(everything)
    found = tuple(
        name
        for name in everything
        if name in included
        and (name in wanted or not any(expression.match(name) for expression in refused))
    )
    if patterns and not found:
        raise UserError(REASON, f"no image is left: {', '.join(given)} leaves out all of them")
    return found


def _real(pattern: str, everything: list[str]) -> str:
    """The nameless image is shown as `~`, and may be called so unless an image really has that name."""
    plain = pattern.removeprefix("!")
    if plain != "~" or "~" in everything or NAMELESS not in everything:
        return pattern
    return pattern.replace("~", NAMELESS)


def _included(wanted: list[str], everything: list[str]) -> set[str]:
    found: set[str] = set()
    for pattern in wanted:
        expression = _expression(pattern)
        matching = [name for name in everything if expression.match(name) or name == pattern]
        if not matching:
            hint = near(pattern, everything)
            raise UserError(REASON, f"no image matches {shorten(pattern or '~')}{hint}")
        found.update(matching)
    return found


def _check(pattern: str) -> None:
    if "**" in pattern or any(character in pattern for character in "&|$"):
        raise UserError(
            REASON,
            f"the image pattern {shorten(pattern)} has one of `**`, `&`, `|`, `$`, which are not allowed",
        )
    if len(pattern) > LONGEST_PATTERN:
        raise UserError(
            REASON,
            f"the image pattern {shorten(pattern)} is longer than {LONGEST_PATTERN} characters",
        )


def _expression(pattern: str) -> re.Pattern[str]:
    """Translate a pattern of Go's filepath.Match: `*` and `?` do not match a slash, `[^a]` negates."""
    parts: list[str] = []
    rest = pattern
    while rest:
        character, rest = rest[0], rest[1:]
        if character == "*":
            parts.append("[^/]*")
        elif character == "?":
            parts.append("[^/]")
        elif character == "[":
            part, rest = _class(pattern, rest)
            parts.append(part)
        elif character == "\\" and rest:
            parts.append(re.escape(rest[0]))
            rest = rest[1:]
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


def _class(pattern: str, rest: str) -> tuple[str, str]:
    match = re.match(r"(\^?)((?:\\.|[^\]\\])+)\]", rest)
    if match is None:
        raise UserError(REASON, f"the image pattern {shorten(pattern)} has a `[` without its `]`")
    inner = re.sub(r"\\(.)", r"\1", match[2])
    ranges = re.sub(r"[\\\]\[^&~|]", lambda found: "\\" + found[0], inner)
    try:
        re.compile(f"[{match[1]}{ranges}]")
    except re.error:
        raise UserError(
            REASON, f"the image pattern {shorten(pattern)} has a wrong range in `[…]`"
        ) from None
    return f"[{match[1]}{ranges}]", rest[match.end() :]
