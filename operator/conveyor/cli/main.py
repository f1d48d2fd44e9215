"""The command line.

In: arguments. Out: exit code 0 fine, 2 the user's error (message on stderr), 1 anything else.
"""

import os
import sys

import click

from conveyor import __version__
from conveyor.api.errors import UserError
from conveyor.shell.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="conveyor")
def cli() -> None:
    """Build container images stage by stage on Kubernetes, the way werf does.

    Most people need no command line: kubectl apply an ImageBuild, and kubectl get ib.
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


def main() -> None:
    """Entry point of the script."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except UserError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
