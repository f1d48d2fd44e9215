"""Reading what a courier says of its Job.

In: text that passed through a pod in which hostile code ran. Out: `StageResult`, or None for anything that is not exactly one:
sizes are numbers that fit, digests are digests, texts have a bounded length, nesting is bounded.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from conveyor.api.names import Reason
from conveyor.jobs.model import (
    AssemblyResult,
    ExportResult,
    Failure,
    LayerRef,
    RunResult,
    StageResult,
)
from conveyor.jobs.outline import outline_of

Json = Mapping[str, Any]

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_SIZE: Final = 1 << 50
_MAX_TEXT: Final = 16_384
_MAX_EXIT: Final = 255

# What is nobody's doing: another attempt may succeed.
_INFRASTRUCTURE: Final = frozenset(
    {
        "GitUnreachable",
        "Internal",
        "RegistryUnreachable",
        "RemoteUnreachable",
        "StageDied",
        "StageNeverStarted",
        "Terminated",
    }
)
_REASONS: Final = {
    "CommitNotFound": Reason.GIT_REVISION_NOT_FOUND,
    "GitAuthFailed": Reason.GIT_AUTH_FAILED,
    "GitUnreachable": Reason.GIT_REMOTE_UNREACHABLE,
    "Internal": Reason.STAGE_EVICTED,
    "OutOfMemory": Reason.STAGE_OOM_KILLED,
    "RegistryDenied": Reason.PUSH_FAILED,
    "RegistryUnreachable": Reason.REGISTRY_UNREACHABLE,
    "RemoteForbidden": Reason.REMOTE_SOURCE_NOT_ALLOWED,
    "RemoteUnreachable": Reason.REMOTE_SOURCE_UNREACHABLE,
    "SecretInvalid": Reason.SECRET_NOT_FOUND,
    "StageDied": Reason.STAGE_EVICTED,
    "StageNeverStarted": Reason.STAGE_EVICTED,
    "Terminated": Reason.STAGE_EVICTED,
}


def parse_result(text: str) -> StageResult | None:
    """Read a StageResult (termination message, HTTP report, or the blob of a long one)."""
    try:
        data = json.loads(text)
        return StageResult(
            runs=tuple(_run(run) for run in _list(data.get("runs"))),
            exports={
                str(key): None if value is None else _export(value)
                for key, value in _items(data.get("exports"))
            },
            failure=_failure(data["failure"]) if data.get("failure") else None,
            outline=outline_of(data.get("outline")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def result_digest(text: str) -> str:
    """Digest of the blob that holds a result too long for a termination message, else ""."""
    try:
        digest = json.loads(text).get("resultDigest")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else ""


def merged(old: StageResult, new: StageResult) -> StageResult:
    """Return what two reports of a Job say together: both tell the same about the runs that both have."""
    return StageResult(
        runs=max(old.runs, new.runs, key=len),
        exports={**old.exports, **new.exports},
        failure=new.failure or old.failure,
        outline=new.outline or old.outline,
    )


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _items(value: object) -> list[tuple[object, Any]]:
    if value is None:
        return []
    if not isinstance(value, dict):
        raise TypeError(value)
    return list(value.items())


def _run(data: Json) -> RunResult:
    layers = _list(data["layers"])
    return RunResult(layers=tuple(None if layer is None else _layer(layer) for layer in layers))


def _layer(data: Json) -> LayerRef:
    size = data["size"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
        raise ValueError("size")
    return LayerRef(digest=_digest(data["digest"]), diff_id=_digest(data["diffID"]), size=size)


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError("digest")
    return value


def _export(data: Json) -> ExportResult | AssemblyResult:
    if "runs" in data:
        return AssemblyResult(runs=tuple(_run(run) for run in _list(data["runs"])))
    return ExportResult(layer=_layer(data), checksum=_text(data.get("checksum")))


def _failure(data: Json) -> Failure:
    word, run = _text(data.get("reason")), data.get("run", 0)
    if not isinstance(run, int):
        raise TypeError(run)
    message = _text(data.get("message")) or word or "no reason was given"
    if word == "OutOfMemory":
        message += "; raise spec.podTemplate.resources.limits.memory"
    return Failure(
        reason=_REASONS.get(word, Reason.STAGE_FAILED),
        message=message,
        final=word not in _INFRASTRUCTURE,
        run=_number(run, 1 << 20) or 0,
        command=_text(data.get("command")),
        exit_code=_number(data.get("exitCode"), _MAX_EXIT),
        log_tail=_text(data.get("logTail"), tail=True),
    )


def _text(value: object, *, tail: bool = False) -> str:
    if not isinstance(value, str):
        return ""
    return value[-_MAX_TEXT:] if tail else value[:_MAX_TEXT]


def _number(value: object, most: int) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        return None
    return value
