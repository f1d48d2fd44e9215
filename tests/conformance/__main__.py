"""`make conformance`: one table of all digest vectors, and how many template cases are equal.

In: the vectors, NOT_YET of test_vectors.py. Out: the table on stdout; exit code 1 when something that should be equal is not, or
something that should not be is.
"""
# It prints because it is the user interface.
# ruff: noqa: T201

import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from test_vectors import NAMES, NOT_YET, check, load  # noqa: E402

from conveyor.cli.render import answer_cases  # noqa: E402

CASES = HERE.parent / "data" / "gotemplate-cases.json"
ENOUGH_CASES = 300


def run(name: str) -> str:
    """Replay a vector; returns "" when it is equal, else the first line of what is wrong."""
    with TemporaryDirectory(prefix="conveyor-vector-") as directory:
        # Failures of pytest are no Exceptions.
        try:
            asyncio.run(check(name, Path(directory)))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return (str(error).splitlines() or [type(error).__name__])[0][:100]
    return ""


def vector_row(name: str) -> tuple[str, int, int, str, str, bool]:
    """Return name, runs, stages, result, reason, and whether the result is the expected one."""
    vector = load(name)
    stages = sum(len(it["stages"]) for r in vector["runs"] for it in r["images"].values())
    wrong = run(name)
    reason = NOT_YET.get(name, "")
    if wrong:
        return name, len(vector["runs"]), stages, "FAIL", reason or wrong, bool(reason)
    note = f"passes, but NOT_YET says: {reason}" if reason else ""
    return name, len(vector["runs"]), stages, "pass", note, not reason


def equal_cases() -> tuple[int, int]:
    """Return how many template cases are answered as Go answered them, and how many there are."""
    cases = json.loads(CASES.read_text(encoding="utf-8"))["cases"]
    answers = answer_cases(CASES)
    equal = sum(
        bool(case["error"]) == bool(answer["error"])
        and (bool(case["error"]) or case["output"] == answer["output"])
        for case, answer in zip(cases, answers, strict=True)
    )
    return equal, len(cases)


def main() -> int:
    """Print the table; returns the exit code."""
    print(f"{'vector':<32} runs stages result")
    rows = []
    for name in NAMES:
        row = vector_row(name)
        rows.append(row)
        print(f"{row[0]:<32} {row[1]:>4} {row[2]:>6} {row[3]:<6} {row[4]}".rstrip(), flush=True)
    passed = sum(row[3] == "pass" for row in rows)
    equal, cases = equal_cases()
    print(f"\nvectors equal: {passed} of {len(rows)}")
    print(f"template cases equal: {equal} of {cases}")
    return 0 if all(row[5] for row in rows) and equal >= ENOUGH_CASES else 1


if __name__ == "__main__":
    sys.exit(main())
