"""The command line.

In: arguments. Out: exit code 0 fine, 2 the user's error (message on stderr), 1 anything else.
"""

import os
import sys
import traceback

import click

from conveyor import __version__
from conveyor.adapters.git_errors import GitMissing
from conveyor.api.errors import NotYet, UserError
from conveyor.cli.build import build_command
from conveyor.cli.plan import plan_command
from conveyor.cli.render import render_command
from conveyor.shell.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="conveyor")
def cli() -> None:
    """Build container images stage by stage on Kubernetes, the way werf does.

    Most people need no command line: kubectl apply an ImageBuild, and kubectl get ib.
    `render` and `plan` say what a commit means, without any cluster; `build` builds it with a
    Docker Engine.
    """


@cli.command("operator")
def run_operator() -> None:
    """Run the operator; configured by CONVEYOR_* variables (see the chart's README)."""
    from conveyor.shell.run import run_operator as run  # noqa: PLC0415 - keeps --help fast

    try:
        settings = Settings.from_env(os.environ)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    run(settings)


@cli.command("watch")
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True)
@click.option("--timeout", default=3600.0, show_default=True, help="Seconds to wait at most.")
def watch(name: str, namespace: str, timeout: float) -> None:
    """Follow the ImageBuild NAME until it is ready (exit code 0) or has failed (1)."""
    from conveyor.cli.watch import follow  # noqa: PLC0415 - keeps --help fast

    sys.exit(follow(namespace, name, timeout=timeout))


@cli.command("crd")
def print_crd() -> None:
    """Print the CustomResourceDefinition, for kubectl apply --server-side -f -."""
    from conveyor.api.schema import render_crd  # noqa: PLC0415 - keeps --help fast

    click.echo(render_crd(), nl=False)


cli.add_command(build_command)
cli.add_command(plan_command)
cli.add_command(render_command)


def run(args: list[str]) -> int:
    """Run a command; returns the exit code, told on stderr what it is about."""
    state = {"debug": False}
    try:
        code = cli.main(args=args, prog_name="conveyor", obj=state, standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except UserError as error:
        click.echo(f"Error: {_printable(error)}", err=True)
        return 2
    except BrokenPipeError:
        # Whoever read us has enough: nothing is left to be written, not even while the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _unexpected(error, debug=state["debug"])
    return code if isinstance(code, int) else 0


def _unexpected(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
        return 1
    if isinstance(error, NotYet | GitMissing):
        more = "; try again" if isinstance(error, NotYet) else ""
        click.echo(f"Error: {_printable(error)}{more}", err=True)
        return 1
    what = " ".join(f"{type(error).__name__}: {_printable(error)}".split())
    click.echo(f"Error: {what[:500]} (unexpected; --debug shows the traceback)", err=True)
    return 1


def _printable(error: Exception) -> str:
    return str(error).encode("utf-8", "backslashreplace").decode()


def main() -> None:
    """Entry point of the script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
