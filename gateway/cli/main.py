"""The `brokergate` command: a table of commands, each loaded only when it is called."""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
import traceback
from typing import NamedTuple

import click


class _Entry(NamedTuple):
    module: str
    summary: str


_COMMANDS = {
    "demo": _Entry("gateway.cli.demo.command", "See it work: no account, no network needed."),
    "init": _Entry("gateway.cli.init", "Make a configuration, a master key and a first API key."),
    "serve": _Entry("gateway.cli.serve", "Run the gateway."),
    "config": _Entry("gateway.cli.config", "Check or reload the configuration; its JSON Schema."),
    "console": _Entry("gateway.cli.console", "Watch and act: accounts, orders, kill switch."),
    "doctor": _Entry("gateway.cli.doctor", "Check the set-up and say what to mend."),
    "health": _Entry("gateway.cli.health", "Whether the gateway answers at all."),
    "vault": _Entry("gateway.cli.vault", "Seal broker credentials; list which are set."),
    "login": _Entry("gateway.cli.login", "Log accounts in at their brokers."),
    "tls": _Entry("gateway.cli.tls", "Make certificates: a CA, the server's, the callers'."),
    "keys": _Entry("gateway.cli.keys", "Make, list and revoke API keys."),
    "alerts": _Entry("gateway.cli.alerts", "Who is told of troubles; test it; set secrets."),
    "orders": _Entry("gateway.cli.orders", "Look at orders and what became of them."),
    "kill": _Entry("gateway.cli.kill", "Stop orders at once; look at the switch; release it."),
    "positions": _Entry("gateway.cli.positions", "Show the net positions of every account."),
    "funds": _Entry("gateway.cli.funds", "Show the money of every account."),
    "reconcile": _Entry("gateway.cli.reconcile", "Compare the journal with books and trades."),
    "instruments": _Entry("gateway.cli.instruments", "Search and fetch instrument masters."),
    "kpi": _Entry("gateway.cli.kpi", "Measure what the gateway promises, over any window."),
    "audit": _Entry("gateway.cli.audit", "Check, follow and export the tamper-evident log."),
    "backup": _Entry("gateway.cli.backup", "Write the data directory to one file."),
    "restore": _Entry("gateway.cli.restore", "Unpack a backup into an empty data directory."),
    "simulate": _Entry("gateway.cli.simulate", "Run a broker's simulator to practise against."),
    "adapter": _Entry("gateway.cli.adapter", "Start an adapter; show what the adapters can do."),
    "openapi": _Entry("gateway.cli.openapi", "Print the API's OpenAPI document."),
    "version": _Entry("gateway.cli.version", "Print the version."),
}
_HIDDEN = {"_simulators": "gateway.cli.simulators"}


class _LazyGroup(click.Group):
    """Lists commands from the table above and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        module = entry.module if entry else _HIDDEN.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in _COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from gateway.version import program_version

        click.echo(f"brokergate {program_version()}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(), help="Configuration file, for every command.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version.",
)
def cli(config: str | None) -> None:
    """One self-hosted process between trading scripts and Indian brokers.

    A script sends one order; brokergate places it at every account named, proves what
    happened at each, and answers once.

    \b
    Try it, no account needed:   brokergate demo
    Set it up:                   brokergate init
                                 brokergate vault set fyers-main
                                 brokergate serve
                                 brokergate login --all
    More on a command:           brokergate COMMAND --help
    """


def _with_suggestion(error: click.UsageError) -> click.UsageError:
    """Add what may have been meant to the words about a command that does not exist."""
    group = error.ctx.command if error.ctx is not None else None
    typed = re.fullmatch(r"No such command '(.*)'\.", error.message)
    if typed is None or error.ctx is None or not isinstance(group, click.Group):
        return error
    known = group.list_commands(error.ctx)
    near = difflib.get_close_matches(typed[1], known, n=3, cutoff=0.5)
    more = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(known)}."
    return click.UsageError(f"{error.message} {more}", error.ctx)


def main() -> None:
    """Run a command. Exit status: 0 done, 1 failed, 2 wrong usage."""
    debug = bool(os.environ.get("BROKERGATE_DEBUG"))
    # Looking for plugins of pydantic reads what every installed package says of itself.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        status = cli.main(prog_name="brokergate", standalone_mode=False)
    except click.UsageError as error:
        _with_suggestion(error).show()
        sys.exit(2)
    except click.ClickException as error:
        if debug:
            traceback.print_exc()
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("brokergate: stopped", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read the output has gone; the interpreter must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        click.echo(
            f"brokergate: unexpected {type(error).__name__}: {error}"
            " (BROKERGATE_DEBUG=1 shows where; please report it)",
            err=True,
        )
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
