"""Values inside Dockerfile instructions: ports, durations, signals, modes, health checks.

In: the words of an instruction. Out: the value that goes into an image config. Everything raises
ValueError with a sentence that says what would be right; the caller adds file and line.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_PORT = re.compile(r"^(?P<ports>[0-9]+(?:-[0-9]+)?)(?:/(?P<proto>[A-Za-z]*))?$")
_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,  # Go accepts both spellings of micro
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_SIGNAL = re.compile(
    r"^(?:SIG)?(?:ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|"
    r"QUIT|SEGV|STKFLT|STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|"
    r"WINCH|XCPU|XFSZ|RTMIN|RTMAX"
    r"|RTMIN\+(?:[1-9]|1[0-5])|RTMAX-(?:[1-9]|1[0-5]))$",
    re.IGNORECASE,
)
MAX_SIGNAL = 64
MIN_INTERVAL = 10**6
MAX_DURATION = 2**63 - 1
MAX_PORTS = 65536
MAX_EXPOSED = 3 * MAX_PORTS
"""All ports of all protocols: more are the same again, and ranges are short to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A health check as image configs store it: times in nanoseconds, 0 for "inherit"."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


def parse_port(word: str) -> tuple[str, ...]:
    """Return `80/tcp` and the like for one EXPOSE word; a range becomes its ports."""
    low, high, proto = port_range(word)
    return tuple(f"{port}/{proto}" for port in range(low, high + 1))


def count_ports(words: Iterable[str]) -> int:
    """Return how many ports these words expose, repeated ones too.

    Raises:
        ValueError: A word is wrong, or they are more than there are.
    """
    count = 0
    for word in words:
        low, high, _ = port_range(word)
        count += high + 1 - low
    if count > MAX_EXPOSED:
        raise ValueError(f"{count} ports; {MAX_EXPOSED} are all there are")
    return count


def port_problems(words: Sequence[str]) -> tuple[str, ...]:
    """Return what is wrong with each of these words, or with all of them together."""
    wrong = [problem for word in words if (problem := _problem(word))]
    return tuple(wrong) or tuple(filter(None, [_problem(*words)]))


def _problem(*words: str) -> str:
    try:
        count_ports(words)
    except ValueError as error:
        return str(error)
    return ""


def port_range(word: str) -> tuple[int, int, str]:
    """Return the first and the last port of one EXPOSE word, and its protocol."""
    ports = word.rsplit(":", 1)[-1]  # Docker accepts host parts and leaves them out
    match = _PORT.match(ports)
    if not match:
        raise ValueError(f"{word!r} is not a port; write PORT, PORT/udp or FIRST-LAST/tcp")
    proto = (match["proto"] or "tcp").lower()
    first, _, last = match["ports"].partition("-")
    low, high = int(first[:6]), int((last or first)[:6])
    if not low <= high < MAX_PORTS:
        raise ValueError(f"{word!r} is not a port; ports are 0 to 65535, the smaller first")
    if proto not in ("tcp", "udp", "sctp"):
        raise ValueError(f"{word!r}: the protocol must be tcp, udp or sctp")
    return low, high, proto


def parse_duration(text: str) -> int:
    """Return nanoseconds of Go's duration text such as `1m30s`."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    parts = _DURATION.findall(rest[:64])
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise ValueError(f"{text!r} is not a duration; write 30s, 1m30s or 500ms")
    total = sum(_nanoseconds(number, _NANOSECONDS[unit]) for number, unit in parts)
    if total > MAX_DURATION:
        raise ValueError(f"{text!r} is too long a duration")
    return sign * total


def _nanoseconds(number: str, unit: int) -> int:
    whole, _, fraction = number.partition(".")
    return int(whole or "0") * unit + int(fraction or "0") * unit // int("1" + "0" * len(fraction))


def check_signal(text: str) -> None:
    """Check a STOPSIGNAL: a number or a name with or without SIG."""
    if text.isascii() and text.isdigit():
        if 0 < int(text[:4]) <= MAX_SIGNAL:
            return
    elif _SIGNAL.match(text):
        return
    raise ValueError(f"{text!r} is not a signal; write SIGTERM, TERM or 15")


def parse_health(words: Sequence[str], flags: Mapping[str, str], *, json: bool) -> Health:
    """Return the health check of HEALTHCHECK's words (`NONE`, or `CMD` and the command)."""
    kind, command = words[0].upper(), tuple(words[1:])
    if kind == "NONE":
        if command:
            raise ValueError("HEALTHCHECK NONE takes no arguments")
        return Health(test=("NONE",))
    if kind != "CMD":
        raise ValueError(f"HEALTHCHECK {words[0]}: write HEALTHCHECK CMD … or HEALTHCHECK NONE")
    if not command:
        raise ValueError("there is no command after HEALTHCHECK CMD")
    return Health(
        test=("CMD" if json else "CMD-SHELL", *command),
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=_retries(flags.get("retries", "")),
    )


def _interval(flags: Mapping[str, str], name: str) -> int:
    if not flags.get(name):
        return 0
    value = parse_duration(flags[name])
    if value and value < MIN_INTERVAL:
        raise ValueError(f"--{name}={flags[name]} is shorter than 1ms")
    return value


def _retries(text: str) -> int:
    if not text:
        return 0
    if not re.match(r"^\+?[0-9]{1,9}$", text):
        raise ValueError(f"--retries={text} is not a number of retries")
    return int(text)
