"""`brokergate adapter`: for whoever writes an adapter, and whoever asks what one can do."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.failure import Failure


@click.group("adapter")
def command() -> None:
    """Start an adapter for another broker; show what the installed ones can do.

    \b
    Example:
      brokergate adapter new zerodha
      brokergate adapter capabilities
      brokergate adapter errors
    """


@command.command("new", short_help="Make a package for another broker, with failing tests.")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where to put it  [default: ./brokergate-NAME]",
)
def new(name: str, folder: Path | None) -> None:
    """Make a package for the broker NAME that runs, and whose tests say what is missing.

    It holds the files that every adapter has, a simulator with a made-up protocol, and the
    conformance suite, which fails wherever the adapter is unfinished and says what to write.
    NAME is what `broker:` in an account's settings will say: small letters, digits, underscores.

    \b
    Example:
      brokergate adapter new zerodha
      cd brokergate-zerodha
      pip install -e '.[test]'
      pytest
    """
    from adapters.sdk.scaffold import check_name, create
    from gateway.brokers import load_plugins

    target = folder or Path(f"brokergate-{name.replace('_', '-')}")
    try:
        check_name(name, load_plugins())
        written = create(name, target)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise Failure(f"cannot write {error.filename}: {error.strerror}") from error
    # The frozen program is no Python that could install anything.
    python = "python3" if getattr(sys, "frozen", False) else Path(sys.executable).name
    click.echo(
        f"{len(written)} files in {target}. Now, in an environment that has brokergate:\n\n"
        f"    cd {target}\n"
        f"    {python} -m pip install --no-deps -e .\n"
        f"    {python} -m pip install pytest pytest-asyncio\n"
        f"    {python} -m pytest\n\n"
        "The failures are the work that is left, in words. docs/adapters.md is the guide."
    )


@command.command(
    "capabilities", short_help="Print what the adapters support, lack or have not proven."
)
def capabilities() -> None:
    """Print what every installed adapter supports, lacks or has not proven, as Markdown.

    \b
    Example:
      brokergate adapter capabilities > docs/capabilities.md
    """
    from adapters.sdk.capabilities_page import render
    from gateway.brokers import load_plugins

    click.echo(render(load_plugins().values()), nl=False)


@command.command("errors", short_help="Print what each broker's codes and texts mean.")
def errors() -> None:
    """Print what each broker's codes and texts mean, and what they prove, as Markdown.

    \b
    Example:
      brokergate adapter errors > docs/errors.md
    """
    from adapters.sdk.errors_page import render
    from gateway.brokers import load_plugins

    click.echo(render(load_plugins().values()), nl=False)
