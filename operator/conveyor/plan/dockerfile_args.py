"""Build arguments of a Dockerfile: given ones, predefined ones, and those before the first FROM.

In: a `Dockerfile`, the arguments given in werf.yaml and the platform. Out: values by name, as
Docker resolves them
(moby/buildkit: dockerfile2llb buildMetaArgs, defaultArgs) or, where werf hashes them, as werf does.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Dockerfile, Instruction
from conveyor.config.dockerfile_words import ExpansionError, expand_word

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What ARG instructions resolve against.

    Attributes:
        given: From werf.yaml; a value of a dependency is among them and was preferred.
        outer: Values of the global ARGs and the predefined platform arguments.
        werf_outer: The same as werf hashes them: an ARG without value is empty instead of unset.
    """

    given: Mapping[str, str]
    outer: Mapping[str, str]
    werf_outer: Mapping[str, str]


def arguments(
    parsed: Dockerfile,
    given: Mapping[str, str],
    platform: str,
    target: str = "",
    build_platform: str = "",
) -> Arguments:
    """Resolve what stands before the first FROM.

    Args:
        parsed: The Dockerfile.
        given: From werf.yaml.
        platform: What is built.
        target: Name of the target block as it was asked for, "" for the last block.
        build_platform: As of `Facts`.

    Raises:
        UserError: InvalidDockerfile with the line of an ARG whose default cannot be expanded.
    """
    stage = target or parsed.blocks[-1].name or "default"
    versions = {"BUILDOSVERSION": "", "TARGETOSVERSION": ""}
    predefined = {**platform_arguments(platform, build_platform), **versions, "TARGETSTAGE": stage}
    outer = {name: given.get(name, value) for name, value in predefined.items()}
    werf: dict[str, str] = {}
    for instruction in parsed.args:
        for name, default in declared(instruction):
            _resolve(parsed, instruction, name, default, given, outer)
            _resolve(parsed, instruction, name, default or "", given, werf)
    return Arguments(given=given, outer=outer, werf_outer={**predefined, **werf})


def uses_arguments(parsed: Dockerfile, names: Set[str], platform: str) -> bool:
    """Whether the digest of some block may depend on these build args: an ARG declares one, or it is predefined.

    A name made of variables may be any. The value of an undeclared one is invisible to every instruction.
    """
    if not names:
        return False
    inner = (one for block in parsed.blocks for one in block.instructions if one.keyword == "ARG")
    seen = {name for one in (*parsed.args, *inner) for name, _ in declared(one)}
    return any("$" in name for name in seen) or bool(
        names & (seen | {*platform_arguments(platform), "TARGETSTAGE"})
    )


def declared(instruction: Instruction) -> tuple[tuple[str, str | None], ...]:
    """Return names and defaults of an ARG; None for a name without `=`."""
    words = (word.partition("=") for word in instruction.args)
    return tuple((name, value if equals else None) for name, equals, value in words)


def platform_arguments(platform: str, build_platform: str = "") -> dict[str, str]:
    """Return BUILD* and TARGET*: `build_platform` ("": the same) and that of the image, in every block."""
    return {
        f"{who}{key}": value
        for who, named in (("BUILD", build_platform or platform), ("TARGET", platform))
        for key, value in _parts(named).items()
    }


def _parts(platform: str) -> dict[str, str]:
    system, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    return {"PLATFORM": platform, "OS": system, "ARCH": architecture, "VARIANT": variant}


def proxy_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables every RUN gets without declaring them, in both spellings."""
    found: dict[str, str] = {}
    for name, value in given.items():
        if name.lower() in _PROXIES and value:
            found |= {name.upper(): value, name.lower(): value}
    return found


def expanded(
    parsed: Dockerfile, line: int, word: str, values: Mapping[str, str], *, escape: str = ""
) -> str:
    """Expand a word; a failure becomes the UserError that names the line."""
    try:
        return expand_word(word, values, escape=escape or parsed.escape)
    except ExpansionError as problem:
        raise expansion_error(parsed, line, word, problem) from None


def expansion_error(parsed: Dockerfile, line: int, word: str, problem: Exception) -> UserError:
    """Return the error for a word that cannot be expanded."""
    shown = word if len(word) <= 80 else word[:77] + "…"
    return parsed.error(line, f"cannot expand {shown!r}: {problem}")


def _resolve(
    parsed: Dockerfile,
    instruction: Instruction,
    name: str,
    default: str | None,
    given: Mapping[str, str],
    values: dict[str, str],
) -> None:
    if name in given:
        values[name] = given[name]
    elif default is not None:
        values[name] = expanded(parsed, instruction.line, default, values)
