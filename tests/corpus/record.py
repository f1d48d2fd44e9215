"""`make corpus-record`: build the corpus with the reference builders and write down what came out.

In: names of cases, `--new` for those that are not recorded yet (nothing: all), `--only=BUILDER`; the environment of
`hack/cluster.py env`, Docker Engine, Go. Out: `recorded/BUILDER.json`. Cases that are gone are taken out.
"""
# It prints because it is the user interface.
# ruff: noqa: T201

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from tests.cluster.registry import Registry  # noqa: E402 - path set above
from tests.corpus import references  # noqa: E402
from tests.corpus.cases import Case, read_cases  # noqa: E402
from tests.corpus.comparison import read_recorded  # noqa: E402
from tests.corpus.images import Images  # noqa: E402

RECORDED = Path(__file__).parent / "recorded"
BUILDERS = {"buildkit": references.buildkit, "legacy": references.legacy}


def write(builder: str, version: str, results: Mapping[str, object]) -> None:
    """Write it, in the order of names."""
    value = {"version": version, "cases": dict(sorted(results.items()))}
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{builder}.json").write_text(json.dumps(value, indent=1) + "\n")


def record(builder: str, cases: Mapping[str, Case], wanted: list[str]) -> None:
    """Build the wanted cases and keep what is recorded of the others."""
    registry = os.environ["CONVEYOR_REGISTRY"]
    images = Images(Registry(host=registry))
    known = read_recorded(builder)["cases"]
    assert isinstance(known, dict)
    results = {name: known[name] for name in cases if name in known}
    with BUILDERS[builder](registry) as ready:
        some = [cases[name] for name in wanted]
        try:
            for name, result in references.build_all(ready, some, images, registry):
                said = str(result.get("error", "built"))[:100]
                print(f"{builder:<9} {name:<40} {said}", flush=True)
                results[name] = result
        finally:
            write(builder, ready.version, results)


def main(arguments: list[str]) -> None:
    """Record with every builder, or those named by --only=BUILDER."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # buildctl would hand them to every RUN
    cases = read_cases()
    only = [word.removeprefix("--only=") for word in arguments if word.startswith("--only=")]
    for builder in only or BUILDERS:
        some = [word for word in arguments if not word.startswith("--")]
        if "--new" in arguments:
            some += sorted(cases.keys() - read_recorded(builder)["cases"])
        record(builder, cases, some or list(cases))


if __name__ == "__main__":
    main(sys.argv[1:])
