"""`make conformance`, second part: the corpus as Conveyor builds it, beside what is recorded of BuildKit and the legacy builder.

In: the development cluster with the operator, names of cases (none: all). `--update` writes what is different into
differences.json, where every new entry needs a reason, and the page; `--to=FILE` keeps results, `--from=FILE` takes them
instead of building. Out: the table; exit code 1 when something is different and not listed.
"""
# It prints because it is the user interface.
# ruff: noqa: T201

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from tests.cluster.harness import Addresses, Harness, make_namespace  # noqa: E402 - path set above
from tests.cluster.kube import CORE, Kube  # noqa: E402
from tests.cluster.operator_pod import OperatorPod  # noqa: E402
from tests.cluster.registry import Registry  # noqa: E402
from tests.corpus import comparison, document  # noqa: E402
from tests.corpus.cases import read_cases  # noqa: E402
from tests.corpus.comparison import BUILDERS, Row  # noqa: E402
from tests.corpus.conveyor_builds import build_all  # noqa: E402
from tests.corpus.results import Json  # noqa: E402


def build(names: Iterable[str]) -> dict[str, Json]:
    """Build cases in a namespace of this run."""
    cases = read_cases()
    kube = Kube.connect(Path(os.environ["KUBECONFIG"]))
    at = Addresses.from_env(os.environ)
    namespace = make_namespace(kube)
    try:
        with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
            lab = Harness(
                kube=kube,
                at=at,
                namespace=namespace,
                folder=Path(folder),
                operator=OperatorPod(kube=kube),
                registry=Registry(host=at.registry),
            )
            return dict(build_all(lab, [cases[name] for name in names]))
    finally:
        kube.delete(f"{CORE}/namespaces/{namespace}")


def show(rows: list[Row]) -> None:
    """Print the table."""
    print(f"\ncorpus of Dockerfiles beside {document.versions()}\n")
    print(f"{'case':<34} {'buildkit':<16} {'legacy':<16} why")
    for name in dict.fromkeys(row.case for row in rows):
        both = {row.builder: row for row in rows if row.case == name}
        reasons = dict.fromkeys(row.reason for row in both.values() if row.reason)
        cells = " ".join(f"{both[one].result:<16}" for one in BUILDERS)
        print(f"{name:<34} {cells} {' / '.join(reasons)[:150]}".rstrip())
    print()
    for one in BUILDERS:
        found = [row.result for row in rows if row.builder == one]
        counts = ", ".join(f"{found.count(it)} {it}" for it in dict.fromkeys(found))
        print(f"{one}: {counts}")


def update(rows: Iterable[Row], results: dict[str, Json]) -> None:
    """Write what is so now into the list; reasons stay, new entries have none."""
    listed = comparison.read_list()
    for name, result in results.items():
        known = listed["refused"].pop(name, {})
        if str(result.get("error", "")).startswith("NotSupported: "):
            reason = known.get("reason", "refused")
            listed["refused"][name] = {"reason": reason, "says": result["error"]}
    for row in rows:
        known = listed["different"].setdefault(row.case, {})
        old = known.pop(row.builder, {})
        if row.lines and row.case not in listed["refused"]:
            reason = old.get("reason", "") if isinstance(old, dict) else ""
            known[row.builder] = {"reason": reason, "lines": list(row.lines)}
    listed["different"] = {name: it for name, it in sorted(listed["different"].items()) if it}
    listed["refused"] = dict(sorted(listed["refused"].items()))
    text = json.dumps(listed, indent=1, ensure_ascii=False) + "\n"
    comparison.LIST.write_bytes(text.encode("utf-8", "backslashreplace"))  # as JSON escapes them
    document.PAGE.write_text(document.text(listed))


def _read(path: str) -> dict[str, Json]:
    found: dict[str, Json] = json.loads(Path(path).read_text())
    return found


def main(arguments: list[str]) -> int:
    """Build, compare, print; returns the exit code. --from=FILE: results that --to=FILE has kept."""
    options = dict(word[2:].partition("=")[::2] for word in arguments if word.startswith("--"))
    names = [word for word in arguments if not word.startswith("--")] or list(read_cases())
    results = _read(options["from"]) if "from" in options else build(names)
    if "to" in options:
        Path(options["to"]).write_text(json.dumps(results))
    rows = list(comparison.rows(results))
    if "update" in options:
        update(rows, results)
        rows = list(comparison.rows(results))
    show(rows)
    wrong = [row.wrong for row in rows if row.wrong]
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
