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

    Most people need no command line: kubectl apply an ImageBuild and watch it.

    \b
    conveyor watch app          follow a build until it is ready
    conveyor plan --git DIR     what would be built, without a cluster
    conveyor operator           run the operator (what the chart does)
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
