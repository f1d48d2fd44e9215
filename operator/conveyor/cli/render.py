"""`conveyor render`: the rendered werf.yaml of a commit, or answers to template cases.

In: options. Out: text or JSON on stdout.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import click

from conveyor.adapters.template_cases import CaseRunner
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.cli.json_reader import JsonReader
from conveyor.cli.options import debug_option, project_of, project_options
from conveyor.cli.project import Project, ProjectOptions

_HELP = """Print the rendered werf.yaml of a commit.

Templates see the files of the commit and, where werf-giterminism.yaml allows it, the environment
variables of this process.

\b
The last commit of the repository here:
  conveyor render

\b
A tag of a bare repository, a project in a subdirectory, an environment:
  conveyor render --git repo.git --commit v1.0 --dir services/api --env production

\b
Answer a file of template cases (docs/cli.md):
  conveyor render --template-cases cases.json --json

Exit codes: 0 fine; 2 somebody has to change the config, the repository or the arguments; 1 anything else.
"""


@click.command("render", help=_HELP, short_help="Print the rendered werf.yaml of a commit.")
@project_options
@click.option(
    "--template-cases",
    "cases",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Render the templates of this file instead, with plain sprig and the file's values.",
)
@click.option("--json", "as_json", is_flag=True, help="With --template-cases: print JSON.")
@debug_option
def render_command(**given: Any) -> None:
    """Run the command."""
    cases: Path | None = given["cases"]
    if cases is None and given["as_json"]:
        raise click.UsageError("--json needs --template-cases; a rendered config is text")
    if cases is None:
        text = asyncio.run(_render(project_of(given)))
        click.echo(text.encode("utf-8", "surrogateescape"), nl=not text.endswith("\n"))
        return
    answers = answer_cases(cases)
    if given["as_json"]:
        click.echo(json.dumps(answers, indent=1))
        return
    for answer in answers:
        click.echo(f"error: {answer['error']}" if answer["error"] else answer["output"])


async def _render(options: ProjectOptions) -> str:
    return await (await Project.open(options)).text()


def answer_cases(path: Path) -> list[dict[str, str]]:
    """Return the answers to a file of cases, in its order.

    Raises:
        UserError: It is no such file.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(
            Reason.INVALID_SPEC, f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(Reason.INVALID_SPEC, f"{path} cannot be read: {error}") from None
    problems: list[str] = []
    reader = JsonReader(document, "", problems)
    values = dict(reader.mapping("values", default={}))
    templates = [case.text("template", may_be_empty=True) for case in reader.each("cases")]
    if problems:
        raise UserError(
            Reason.INVALID_SPEC, "\n".join(f"{path}: {problem}" for problem in problems[:10])
        )
    runner = CaseRunner(values=values, env=dict(os.environ), now=time.time_ns() // 10**9)
    return list(runner.answers(templates))
