"""What the courier says: a line and a call after every run, and one StageResult at the end.

In: pushed blobs, exports, a failure. Out: JSON. The termination message of a container holds 4096 bytes:
a failure's long texts are cut to fit, a result that is too long by itself goes into a blob and only
its digest into the message. Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

MESSAGE_LIMIT: Final = 4096
_TEXTS: Final = ("logTail", "command", "message")
_SHORTEST: Final = 64
_FIELD_LIMIT: Final = 8192
_FAILURE: Final[Mapping[str, type | tuple[type, ...]]] = {
    "run": int,
    "layer": int,
    "step": (int, str),
    "reason": str,
    "exitCode": int,
    "signal": (int, str),
    "command": str,
    "logTail": str,
    "message": str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedBlob:
    """A layer or bundle in the registry; `size` is that of the compressed blob in bytes."""

    digest: str
    diff_id: str
    size: int
    media_type: str

    def layer(self) -> dict[str, object]:
        """As an element of `layers`."""
        return {
            "digest": self.digest,
            "diffID": self.diff_id,
            "size": self.size,
            "mediaType": self.media_type,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedExport:
    """A bundle for another image and the checksum of its files."""

    blob: PushedBlob
    checksum: str | None

    def to_json(self) -> dict[str, object]:
        """As a value of `exports`."""
        return {
            "checksum": self.checksum,
            "digest": self.blob.digest,
            "diffID": self.blob.diff_id,
            "size": self.blob.size,
        }


Layers = tuple[PushedBlob | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedAssembly:
    """The layers of another block, run by run."""

    runs: tuple[Layers, ...]

    def to_json(self) -> dict[str, object]:
        """As a value of `exports`."""
        return {"runs": [{"layers": _layers(run)} for run in self.runs]}


@dataclass(slots=True)
class StageResult:
    """Grows while the courier works; layers that changed nothing are None, exports that were left out as well.

    `outline`: of the image that the pod started from, as the stage program tells it.
    """

    runs: list[Layers] = field(default_factory=list)
    exports: dict[str, PushedExport | PushedAssembly | None] = field(default_factory=dict)
    failure: Mapping[str, object] | None = None
    outline: object = None


def run_report(run: int, layers: Layers) -> bytes:
    """The line on stdout for one run."""
    return compact({"version": 1, "run": run, "layers": _layers(layers)})


def result_json(result: StageResult) -> dict[str, object]:
    """The whole StageResult."""
    return {
        "version": 1,
        "runs": [{"layers": _layers(run)} for run in result.runs],
        "exports": {
            name: export.to_json() if export else None for name, export in result.exports.items()
        },
        "failure": result.failure,
        **({"outline": result.outline} if result.outline else {}),
    }


def message(result: StageResult) -> bytes | None:
    """The termination message, or None when it does not fit whatever is cut; an outline only where there is room."""
    whole = compact(result_json(result))
    if len(whole) > MESSAGE_LIMIT and result.outline:
        result = replace(result, outline=None)
        whole = compact(result_json(result))
    if len(whole) <= MESSAGE_LIMIT or result.failure is None:
        return whole if len(whole) <= MESSAGE_LIMIT else None
    failure = dict(result.failure)
    for name in _TEXTS:
        text = failure.get(name)
        keep = len(text) if isinstance(text, str) else 0
        while isinstance(text, str) and keep > _SHORTEST:
            keep = max(_SHORTEST, keep * 9 // 10)
            failure[name] = _cut(text, keep, tail=name == "logTail")
            whole = compact(result_json(StageResult(result.runs, result.exports, failure)))
            if len(whole) <= MESSAGE_LIMIT:
                return whole
    return None


def pointer(digest: str) -> bytes:
    """The termination message when the result is in a blob."""
    return compact({"version": 1, "resultDigest": digest})


def reason_only(reason: str, text: str) -> bytes:
    """The termination message of last resort: the failure alone."""
    failure = {"reason": reason, "message": text[:1000]}
    return compact({"version": 1, "runs": [], "exports": {}, "failure": failure})


def stage_failure(done: Mapping[str, object]) -> dict[str, object]:
    """The failure out of `done.json`: known fields of the right type, texts of bounded length."""
    failure: dict[str, object] = {}
    for name, kind in _FAILURE.items():
        value = done.get(name)
        if isinstance(value, kind) and not isinstance(value, bool):
            failure[name] = value
    for name, value in failure.items():
        if isinstance(value, str):
            failure[name] = _cut(value, _FIELD_LIMIT, tail=name == "logTail")
    return {"reason": "Internal", **failure}


def compact(value: object) -> bytes:
    """JSON without blanks; text that is not valid Unicode is replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _cut(text: str, keep: int, *, tail: bool) -> str:
    if len(text) <= keep:
        return text
    return "…" + text[-keep:] if tail else text[:keep] + "…"


def _layers(layers: Layers) -> list[dict[str, object] | None]:
    return [None if layer is None else layer.layer() for layer in layers]
