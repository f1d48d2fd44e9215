"""Conveyor's results beside those of the reference builders, and the list of what may be different.

In: results of this run, `recorded/*.json`, `differences.json`. Out: one `Row` for each case and builder.
A difference that is not in the list, and one of the list that is not there any more, are both wrong.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.results import Json, differences, from_json

HERE = Path(__file__).parent
LIST = HERE / "differences.json"
BUILDERS = ("buildkit", "legacy")
EQUAL, DIFFERENT, REFUSED, UNKNOWN = "equal", "different", "refused", "not known to it"
# What an older builder says of syntax that it does not have.
_UNKNOWN_SYNTAX = re.compile(
    r"failed to parse platform|unknown instruction|unknown flag|dockerfile parse error|requires BuildKit|"
    r"missing ':' in substitution|unexpected key",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case beside one builder.

    Attributes:
        lines: What is different.
        reason: Why, from the list; "" when it is not in it.
        stale: What the list says and is not so.
    """

    case: str
    builder: str
    result: str
    lines: tuple[str, ...] = ()
    reason: str = ""
    stale: str = ""

    @property
    def wrong(self) -> str:
        """What is to be done about the row, "" when it is as it should be."""
        if self.stale:
            return (
                f"{self.case}, {self.builder}: differences.json is not true any more: {self.stale}"
            )
        if self.lines and not self.reason:
            return f"{self.case}, {self.builder}: not in differences.json:\n  " + "\n  ".join(
                self.lines
            )
        return ""


def read_recorded(builder: str) -> Json:
    """What is recorded of a builder: `{"version": …, "cases": {NAME: …}}`."""
    path = HERE / "recorded" / f"{builder}.json"
    found: Json = json.loads(path.read_text()) if path.exists() else {"cases": {}}
    return found


def read_list() -> dict[str, dict[str, Json]]:
    """The list: `reasons` by word, and per case what is `refused` and what is `different`.

    `{"reasons": {WORD: SENTENCE}, "refused": {CASE: {"says", "reason"}}, "different": {CASE: {BUILDER: {"lines", "reason"}}}}`
    """
    found: dict[str, dict[str, Json]] = json.loads(LIST.read_text())
    return found


def rows(results: Mapping[str, Json]) -> Iterator[Row]:
    """Compare the results of Conveyor with every builder."""
    listed = read_list()
    for builder in BUILDERS:
        recorded = read_recorded(builder)["cases"]
        assert isinstance(recorded, dict)
        for name, result in results.items():
            yield _row(name, builder, result, recorded[name], listed)


def compare(ours: Json, theirs: Json) -> tuple[str, ...]:
    """Lines of what is different; that both fail is equal."""
    if "error" in ours and "error" in theirs:
        return ()
    if "error" in ours:
        return (f"Conveyor fails: {ours['error']}",)
    if "error" in theirs:
        return (f"the builder fails: {theirs['error']}",)
    return tuple(differences(from_json(ours), from_json(theirs)))


def _row(
    name: str, builder: str, ours: Json, theirs: Json, listed: Mapping[str, dict[str, Json]]
) -> Row:
    refused = listed["refused"].get(name)
    if refused:
        return _refused(name, builder, ours, refused, _sentence(listed, refused))
    known = listed["different"].get(name, {}).get(builder, {})
    assert isinstance(known, dict)
    if _is_unknown(theirs) and not known and "error" not in ours:
        return Row(case=name, builder=builder, result=UNKNOWN)
    lines = compare(ours, theirs)
    stale = "" if list(lines) == known.get("lines", list(lines)) else "; ".join(known["lines"])
    reason = _sentence(listed, known)
    return Row(
        case=name,
        builder=builder,
        result=DIFFERENT if lines else EQUAL,
        lines=lines,
        reason=reason,
        stale=f"{stale or reason} (now: {'; '.join(lines) or 'equal'})" if stale else "",
    )


def _sentence(listed: Mapping[str, dict[str, Json]], known: Json) -> str:
    return str(listed["reasons"].get(str(known.get("reason", "")), ""))


def _refused(name: str, builder: str, ours: Json, known: Json, reason: str) -> Row:
    said = str(ours.get("error", ""))
    stale = "" if said == known["says"] else f"{known['says']} (now: {said or 'it is built'})"
    return Row(
        case=name, builder=builder, result=REFUSED, lines=(said,), reason=reason, stale=stale
    )


def _is_unknown(result: Json) -> bool:
    return _UNKNOWN_SYNTAX.search(str(result.get("error", ""))) is not None
