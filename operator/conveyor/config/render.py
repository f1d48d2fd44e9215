"""werf.yaml and `.werf/**/*.tmpl` of a commit → the rendered text.

In: the files of the commit, environment variables, the name of the environment, the commit. Out: text.
gotpl is imported only when there is something to render. Templates are hostile input: run this in a child process
(`conveyor.adapters.renderer`), because memory and time are not limited here.
Source: werf pkg/config/parser.go renderWerfConfigYaml.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from conveyor.api.errors import UserError
from conveyor.config.commit import CommitInfo
from conveyor.config.files import Files
from conveyor.config.giterminism import FILE as POLICY_FILE
from conveyor.config.giterminism import parse_policy
from conveyor.config.raw import shorten
from conveyor.config.report import INVALID
from conveyor.config.template_hints import hint_for, in_words
from conveyor.config.template_place import cause_of, place_of

if TYPE_CHECKING:
    from gotpl import Environment

    from conveyor.config.functions import Outside

DEFAULT_PATH: Final = "werf.yaml"
OTHER_PATH: Final = "werf.yml"
TEMPLATES_DIR: Final = ".werf"
MAX_CONFIG: Final = 4_000_000
# What the engine can read with the memory it gets.
MAX_TEMPLATE: Final = 1_000_000
MAX_MESSAGE: Final = 2000

_MAIN: Final = "werfConfig"
_DEFINED: Final = re.compile(r"\{\{-?\s*(?:define|block)\s+\"([^\"]+)\"")
_RENDERED_LINES: Final = (
    "line numbers are those of the rendered text, which `conveyor render` prints"
)
_TOO_DEEP: Final = (
    "templates or values are nested too deeply; is there a template that includes itself?"
)
_BUDGET: Final = re.compile(
    r"\b(iteration|function-call|output character) budget exceeded: limit (\d+)"
)
_DOES: Final = {
    "iteration": "go through more than {} iterations; make them do less",
    "function-call": "call functions more than {} times; make them do less",
    "output character": "give more than {} characters; make them give less",
}
_WHERE: Final = re.compile(
    r"template: (?P<name>[^:\n]*):(?P<line>\d+):\d+: (?:executing \"[^\"\n]*\": )?"
)


class Stopped(Exception):  # noqa: N818 - says what happened
    """The caller stopped the rendering; `where` is the file, with the line when it is known."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """How the caller limits a rendering.

    Attributes:
        kinds: Exceptions by which it stops one: out of memory, out of time.
        over: Called first thing when a rendering has failed, to make room for saying so.
    """

    kinds: tuple[type[BaseException], ...]
    over: Callable[[], None]


NO_STOPS: Final = Stops(kinds=(), over=lambda: None)


def render(  # noqa: PLR0913 - what the outside is to templates
    files: Files,
    *,
    config_path: str = DEFAULT_PATH,
    env: Mapping[str, str],
    environment: str,
    commit: CommitInfo,
    now: int | None = None,
    stops: Stops = NO_STOPS,
) -> str:
    """Render a config.

    Args:
        files: The files of the commit, paths relative to the project directory.
        config_path: Where the config is; when the default is missing, werf.yml is tried.
        env: Environment variables that `env` may read if werf-giterminism.yaml allows them.
        environment: What `.Env` is.
        commit: What `.Commit` is.
        now: Unix seconds for `now`; the commit's date when None, so that one commit renders to one text.
        stops: How the caller limits the rendering.

    Raises:
        UserError: InvalidWerfConfig; the message names file and line of the template.
        Stopped: One of `stops.kinds` was raised, which is its cause.
    """
    path, text = read_config(files, config_path)
    if not needs_rendering(text, files):
        return text
    from conveyor.config.functions import Outside  # noqa: PLC0415 - gotpl is slow to import

    policy = parse_policy(files.get(POLICY_FILE))
    outside = Outside(env=env, policy=policy, now=commit.date if now is None else now)
    data = {"Files": _TemplateFiles(files), "Env": environment, "Commit": _commit_data(commit)}
    return _Templates(path, text, files).execute(outside, data, stops)


def told_of_rendered(error: UserError, source: str) -> UserError:
    """Return an error about a rendered config that says which lines are meant, if they are not the file's own."""
    if not has_actions(source):
        return error
    return UserError(error.reason, f"{error.message}\n{_RENDERED_LINES}")


def read_config(files: Files, config_path: str = DEFAULT_PATH) -> tuple[str, str]:
    """Return path and text of the config.

    Raises:
        UserError: InvalidWerfConfig: there is none, or it is too large.
    """
    candidates = (DEFAULT_PATH, OTHER_PATH) if config_path == DEFAULT_PATH else (config_path,)
    for path in candidates:
        text = files.get(path)
        if text is not None:
            _check_size(path, text, MAX_CONFIG)
            return path, text
    raise UserError(
        INVALID, f"{config_path}: not found in the commit; commit it or say where it is"
    )


def _check_size(path: str, text: str, limit: int) -> None:
    if len(text) > limit:
        what = "with templates in it" if limit == MAX_TEMPLATE else "in one config"
        raise UserError(INVALID, f"{path}: has {len(text)} characters; {limit} are allowed {what}")


def needs_rendering(text: str, files: Files) -> bool:
    """Whether there is anything to render, or templates beside the config that may be wrong (werf parses all)."""
    return has_actions(text) or files.is_dir(TEMPLATES_DIR)


def has_actions(text: str) -> bool:
    """Whether the text has any template action; without one it renders to itself."""
    return "{{" in text


def _commit_data(commit: CommitInfo) -> dict[str, object]:
    return {"Hash": commit.hash, "Date": {"Human": commit.human, "Unix": str(commit.date)}}


class _TemplateFiles:
    """`.Files` of a template."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __repr__(self) -> str:
        return ".Files"

    def Get(self, path: str) -> str:  # noqa: N802 - the names templates write
        text = self._files.get(path)
        if text is None:
            raise ValueError(f"the file {shorten(path)} is not in the commit")
        return text

    def Glob(self, pattern: str) -> dict[str, str]:  # noqa: N802
        return dict(self._files.glob(pattern))

    def Exists(self, path: str) -> bool:  # noqa: N802
        return self._files.exists(path)

    def IsDir(self, path: str) -> bool:  # noqa: N802
        return self._files.is_dir(path)


class _Templates:
    """The config and the templates beside it."""

    def __init__(self, path: str, text: str, files: Files) -> None:
        self._path = path
        # The config comes last: its `define`s win, as in werf.
        self._sources = {
            name.removeprefix(f"{TEMPLATES_DIR}/"): source
            for name, source in sorted(files.glob(f"{TEMPLATES_DIR}/**/*.tmpl").items())
        } | {_MAIN: text}

    def execute(
        self,
        outside: "Outside",
        data: Mapping[str, object],
        stops: Stops,
    ) -> str:
        from gotpl import Environment, TemplateError  # noqa: PLC0415

        from conveyor.config.functions import function_table, sandbox  # noqa: PLC0415

        for name, source in self._sources.items():
            _check_size(self._file(name), source, MAX_TEMPLATE)
        table = function_table(outside)
        environment = Environment(functions=table, sandbox=sandbox(table))
        caught: tuple[type[BaseException], ...] = (TemplateError, RecursionError, *stops.kinds)
        try:
            template = environment.from_sources(self._sources)
            return template.render_template(_MAIN, data)
        except caught as error:
            stops.over()
            if stop := cause_of(error, *stops.kinds):
                raise Stopped(self._where(error)) from stop
            raise self._explained(error, environment) from None

    def _where(self, error: BaseException) -> str:
        place = place_of(error, self._sources)
        if place is None:
            return self._path
        name, line = place
        return f"{self._file(name)}:{line}" if line else self._file(name)

    def _file(self, name: str) -> str:
        if name == _MAIN:
            return self._path
        return f"{TEMPLATES_DIR}/{name}" if name in self._sources else name

    def _explained(self, error: BaseException, environment: "Environment") -> UserError:
        message = self._hinted(self._located(error, environment), environment.functions)
        if "template-depth budget" in message or cause_of(error, RecursionError):
            message = f"{self._where(error)}: {_TOO_DEEP}"
        elif budget := _BUDGET.search(message):
            message = f"{self._where(error)}: the templates {_DOES[budget[1]].format(budget[2])}"
        if len(message) > MAX_MESSAGE:
            message = message[:MAX_MESSAGE] + "…"
        return UserError(INVALID, message)

    def _hinted(self, message: str, functions: Iterable[str]) -> str:
        said = in_words(message)
        return said + hint_for(said, functions=functions, templates=self._names())

    def _names(self) -> frozenset[str]:
        defined = (name for source in self._sources.values() for name in _DEFINED.findall(source))
        return frozenset(self._sources) - {_MAIN} | frozenset(defined)

    def _located(self, error: BaseException, environment: "Environment") -> str:
        from gotpl import TemplateSyntaxError  # noqa: PLC0415

        if isinstance(error, TemplateSyntaxError):
            # A syntax error knows its line but not its source.
            said = str(error).removeprefix(f"template:{error.line}:{error.column}: ")
            return f"{self._file(self._broken_source(environment))}:{error.line}: {said}"
        return _WHERE.sub(
            lambda found: f"{self._file(found['name'])}:{found['line']}: ", str(error)
        )

    def _broken_source(self, environment: "Environment") -> str:
        from gotpl import TemplateError  # noqa: PLC0415

        for name, source in self._sources.items():
            try:
                environment.from_string(source, name=name)
            except TemplateError:
                return name
        return _MAIN
