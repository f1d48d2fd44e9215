"""The function table of a config's templates: sprig's, with werf's own on top.

In: what the functions may know (variables, the policy, the time). Out: a table for gotpl.
Differences from sprig: no `expandenv`; `env` asks the policy; name lookup is refused; `now` is the time that is given.
Source: werf pkg/config/parser.go funcMap. Imported only where a template is rendered, because gotpl is slow to import.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NoReturn

from gotpl import (
    ContextFunction,
    ExecutionBudget,
    RenderContext,
    SandboxPolicy,
    TemplateError,
    TemplateExecutionError,
)
from gotpl.funcs.sprig import text_func_map
from gotpl.runtime.gofmt import sprintf
from gotpl.runtime.results import unwrap_function_result
from gotpl.runtime.values import INVALID, UNTYPED_NIL

from conveyor.config import template_time
from conveyor.config.giterminism import FILE, Policy
from conveyor.config.raw import shorten
from conveyor.config.yaml_functions import from_yaml, to_yaml

Function = Callable[..., object]

MAX_OUTPUT: Final = 8_000_000
MAX_STEPS: Final = 1_000_000
MAX_DEPTH: Final = 100

_RENDERS: Final = frozenset({"render"})
_VERSION_FIELDS: Final = ("Major", "Minor", "Patch")
_VERSION_METHODS: Final = ("Prerelease", "Metadata", "Original")
_FILE_METHODS: Final = ("Get", "Glob", "Exists", "IsDir")
_NAMELESS_PLACE: Final = re.compile(r"\Atemplate:(\d+):\d+: ")
# Keys, certificates and salted hashes: different in every rendering.
_RANDOM: Final = (
    "bcrypt",
    "buildCustomCert",
    "decryptAES",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "htpasswd",
)
# sprig 3.2.3, which werf pins, does not have these two of gotpl's.
_NEWER_THAN_WERF: Final = ("sha512sum", "mustUniqBy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What templates may know of the outside.

    Attributes:
        env: Values of environment variables.
        policy: Which of them the repository allows.
        now: Unix seconds that `now` and relative dates start from.
    """

    env: Mapping[str, str]
    policy: Policy
    now: int


def function_table(outside: Outside) -> dict[str, Function]:
    """Return all functions by name."""
    now = template_time.from_unix(outside.now)
    table: dict[str, Function] = dict(
        text_func_map(clock=lambda: now, environ={}, resolver=_refuse_lookup)
    )
    for name in ("expandenv", *_NEWER_THAN_WERF):
        table.pop(name, None)
    table |= {name: partial(_refuse_random, name) for name in _RANDOM}
    table |= template_time.returning_times(table)
    table |= {name: _found(table[name]) for name in ("regexFindAll", "mustRegexFindAll")}
    table |= {"print": _print, "printf": _printf, "println": _println}
    table |= {"required": _required, "fromYaml": from_yaml, "toYaml": to_yaml}
    table["env"] = _Env(outside).get
    table["include"] = ContextFunction(sync=_include, capabilities=_RENDERS)
    table["tpl"] = ContextFunction(sync=_tpl, capabilities=_RENDERS)
    return table | _debug_functions(table)


def _found(function: Function) -> Function:
    """No match is an empty list, as it is to Go's len and print; the engine makes it a missing value."""

    def find_all(pattern: str, text: str, count: int) -> object:
        found = unwrap_function_result(function(pattern, text, count))
        return [] if found is None else found

    return find_all


def _debug_functions(table: Mapping[str, Function]) -> dict[str, Function]:
    """Return werf's `*_debug` twins, which only differ when its debug flag is on, and the silent `dump_debug`."""
    twins = {f"{name}_debug": table[name] for name in ("include", "tpl", "printf")}
    return twins | {"dump_debug": lambda _value: ""}


def sandbox(table: Mapping[str, Function]) -> SandboxPolicy:
    """Return the policy under which templates run: mappings and the methods werf documents, nothing of Python."""
    return SandboxPolicy(
        allow_attributes=_VERSION_FIELDS,
        allow_methods=(*_FILE_METHODS, *_VERSION_METHODS, *template_time.METHODS),
        allow_functions=table,
        allow_context_capabilities=_RENDERS,
        max_template_chars=MAX_OUTPUT,
        default_budget=ExecutionBudget(
            max_output_chars=MAX_OUTPUT,
            max_iterations=MAX_STEPS,
            max_template_depth=MAX_DEPTH,
            max_function_calls=MAX_STEPS,
        ),
    )


class _Env:
    """`env NAME [DEFAULT]`."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def get(self, name: object, *defaults: str) -> str:
        """Return the variable; an empty one gives way to the default, a missing one needs it."""
        variable = name if isinstance(name, str) else sprintf("%v", name)
        if len(defaults) > 1:
            raise ValueError("env takes one default at most")
        if not self._outside.policy.allows_env(variable):
            raise ValueError(
                f"the environment variable {shorten(variable)} is not allowed;"
                f" add it to config.goTemplateRendering.allowEnvVariables of {FILE}"
            )
        value = self._outside.env.get(variable)
        if defaults and not value:
            return defaults[0]
        if value is None:
            raise ValueError(
                f"the environment variable {shorten(variable)} is not set and has no default;"
                f' set it, or give a default: {{{{ env "{variable[:80]}" "…" }}}}'
            )
        return value


def _refuse_lookup(name: str) -> NoReturn:
    raise ValueError(f"getHostByName {shorten(name)}: a build must not depend on name resolution")


def _refuse_random(name: str, *_arguments: object) -> NoReturn:
    raise ValueError(
        f"{name} is not supported: keys, certificates and salted hashes would change the config with"
        " every build; make them in a command, or keep them outside of the image"
    )


def _required(message: str, value: object) -> object:
    if value is None or value is INVALID or value is UNTYPED_NIL or value == "":
        raise ValueError(message)
    return value


def _include(context: RenderContext, name: str, data: object) -> str:
    try:
        return context.render_template(name, data)
    except TemplateExecutionError as error:
        # gotpl places this error in the template that is missing instead of where it was asked for.
        if error.template_name == name and error.message == f"template {name!r} is not defined":
            raise ValueError(f"there is no template {shorten(name)}") from None
        raise


def _tpl(context: RenderContext, text: str, data: object) -> str:
    try:
        return context.render_source(text, data, name="tpl")
    except TemplateError as error:
        # The text has no file of its own: what is wrong with it is told at the place that called tpl.
        raise ValueError(_NAMELESS_PLACE.sub(r"tpl:\1: ", str(error))) from error


def _nil(value: object) -> object:
    # Go prints <nil> for a nil argument; only a bare `{{ .missing }}` prints <no value>.
    return UNTYPED_NIL if value is None or value is INVALID else value


def _printf(layout: object, *values: object) -> str:
    return sprintf(layout, *map(_nil, values))


def _println(*values: object) -> str:
    return " ".join(sprintf("%v", _nil(value)) for value in values) + "\n"


def _print(*values: object) -> str:
    """Go's Sprint: a blank between two operands when neither is a text."""
    parts: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(sprintf("%v", _nil(value)))
    return "".join(parts)
