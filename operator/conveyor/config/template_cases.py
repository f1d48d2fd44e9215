"""Templates one by one, as Go's text/template with sprig would render them: the cases of a file of recorded answers.

In: values, a template. Out: the text or the error. The functions are those with which the answers were recorded: sprig's,
with its own `env` and `expandenv`, and include, tpl and required; nothing of werf's. It is also the program of a child
process, `python -m conveyor.config.template_cases`: first a JSON line with values, then one with a template for each
answer.
"""

import copy
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from gotpl import Environment, TemplateError
from gotpl.funcs.sprig import text_func_map

from conveyor.config.functions import Outside, function_table, sandbox
from conveyor.config.giterminism import Policy
from conveyor.config.render_child import RECURSION, limit
from conveyor.config.template_nil import MESSAGE, bare_nil

NAME = "x"
_NOT_RECORDED = ("fromYaml", "toYaml", "include_debug", "tpl_debug", "printf_debug", "dump_debug")


class Cases:
    """Renders templates with the same values.

    Args:
        values: What `.` is; numbers become floats, as JSON's do in Go.
        env: What `env` and `expandenv` see.
        now: Unix seconds.
    """

    def __init__(self, values: object, *, env: Mapping[str, str], now: int) -> None:
        table = _table(env, now)
        self._values = _go_json(values)
        self._environment = Environment(functions=table, sandbox=sandbox(table))

    def answer(self, template: str) -> dict[str, str]:
        """Return `{"output", "error"}`; one of them is ""."""
        try:
            line = bare_nil(template, self._environment.functions)
            if line is not None:
                return {"output": "", "error": f"template: {NAME}:{line}: {MESSAGE}"}
            found = self._environment.from_string(template, name=NAME)
            text = str(found.render(copy.deepcopy(self._values)))
        except TemplateError as error:
            return {"output": "", "error": str(error) or type(error).__name__}
        except RecursionError:
            return {"output": "", "error": "templates call each other too deeply"}
        except MemoryError:
            return {"output": "", "error": "needs more memory than is allowed"}
        return {"output": text, "error": ""}


def _table(env: Mapping[str, str], now: int) -> dict[str, Callable[..., object]]:
    table = function_table(Outside(env=env, policy=Policy(), now=now))
    sprig = text_func_map(environ=dict(env))
    for name in _NOT_RECORDED:
        table.pop(name, None)
    return table | {"env": sprig["env"], "expandenv": sprig["expandenv"]}


def _go_json(value: object) -> object:
    if isinstance(value, dict):
        return {key: _go_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_go_json(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def serve(questions: TextIO) -> Iterator[str]:
    """Yield a JSON line for the first line, which starts the cases, and then one for each template."""
    job = json.loads(questions.readline())
    cases = Cases(job["values"], env=job["env"], now=job["now"])
    yield json.dumps({"ready": True})
    for line in questions:
        yield json.dumps(cases.answer(json.loads(line)["template"]))


def main(memory: int, seconds: int) -> None:
    """Serve within limits until the other end has nothing more to ask."""
    # Time for one template is the other end's business.
    limit(memory=memory, cpu_seconds=seconds, wall_seconds=0)
    sys.setrecursionlimit(RECURSION)
    for line in serve(sys.stdin):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
